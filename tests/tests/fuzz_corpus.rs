//! The files that the fuzzer started from and those that it found worth keeping, read once more with every test run: no
//! panic, no memory beyond what each is long.

#![allow(clippy::print_stderr, clippy::print_stdout)] // Which file it was: shown if a test fails, or with --nocapture.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use chainrule_tests::measured::Measured;
use chainrule_tests::untrusted::TARGETS;

#[global_allocator]
static ALLOCATOR: Measured = Measured;

fn fuzz(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(folder)
}

#[test]
fn every_target_has_its_program_and_every_folder_its_target() {
    let entries = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz(folder)).expect("a folder to read");
        let name = |path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
        entries.map(|entry| name(entry.expect("an entry").path())).collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(entries("fuzz_targets"), targets);
    assert_eq!(entries("corpus"), targets);
    for name in targets {
        let program =
            fs::read_to_string(fuzz("fuzz_targets").join(&name).with_extension("rs")).expect("UTF-8");
        assert!(program.contains(&format!("untrusted::{name}(bytes)")), "{name}");
    }
}

#[test]
fn no_file_of_the_corpus_takes_more_than_it_is_long() {
    let corpus = fuzz("corpus");
    for (name, target) in TARGETS {
        let folder = corpus.join(name);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{} is empty", folder.display());
        let (mut most, mut share) = (0, 0.0f64);
        for path in &paths {
            let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            eprintln!("{}", path.display());
            let taken = target(&bytes);
            most = most.max(taken.held);
            share = share.max(taken.share());
        }
        println!(
            "{name}: {} files, at most {most} bytes, {:.0} % of what is allowed",
            paths.len(),
            100.0 * share
        );
    }
}
