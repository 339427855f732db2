//! Every file of `tests/broken/`, and of the folders in it, is refused by `check` and by `train` in the words that
//! stand beside it: `name.toml` in those of `name.stderr`.
//!
//! In `broken/` itself are files that do not conform to the schema; those of `fit/` do, and are wrong for what their
//! parts are together; those of `syntax/` are no TOML. After a change of a message, `UPDATE_GOLDENS=1 cargo test -p
//! chainrule-tests --test broken` writes the new words, to be read in the diff.

use std::fs;
use std::path::{Path, PathBuf};

use chainrule_tests::runner::{Ended, Runner, ended};

/// The `.toml` files of a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    files.sort();
    files
}

/// What a verb says of a file, run in the file's folder so that no message depends on where the repository is.
fn refusal(runner: &Runner, file: &Path, arguments: &[&str]) -> Ended {
    let name = file.file_name().expect("a name").to_str().expect("UTF-8");
    let mut command = runner.command([arguments[0], name]);
    command.args(&arguments[1..]).current_dir(file.parent().expect("a folder"));
    ended(command.output().expect("a program that starts"))
}

#[test]
fn every_broken_file_is_refused_in_its_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("broken");
    let update = std::env::var_os("UPDATE_GOLDENS").is_some();
    let runner = Runner::new();
    let out = runner.path("run").display().to_string();
    let mut count = 0;
    let mut wrong = Vec::new();
    for file in ["", "fit", "syntax"].iter().flat_map(|folder| files(&root.join(folder))) {
        count += 1;
        let name = file.display().to_string();
        let checked = refusal(&runner, &file, &["check"]);
        assert_eq!((checked.code, checked.stdout.as_str()), (2, ""), "{name}: {}", checked.stderr);
        assert_eq!(refusal(&runner, &file, &["train", "--out", &out]), checked, "{name}: `train` says other");
        let golden = file.with_extension("stderr");
        if update {
            fs::write(&golden, &checked.stderr).expect("a file to write");
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default().replace("\r\n", "\n");
        if checked.stderr != expected {
            wrong.push(format!("{name}\n--- expected\n{expected}\n--- found\n{}", checked.stderr));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} files:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 60, "{count} files");
    assert!(runner.entries().is_empty(), "{:?}", runner.entries());
}
