//! What is wrong with a file, an argument or a run: a message with the place, the exit code of the contract, nothing
//! left behind.

mod files;
mod fit;
mod keys;
mod mutations;
mod runs;
mod weights;

use chainrule_tests::runner::{Ended, GENDER, Runner};

/// A text with pieces of it replaced, each of which must be there once.
fn edited(base: &str, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(base.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "`{from}` in {text}");
        text.replace(from, to)
    })
}

/// `gender.toml` with other layers.
fn with_layers(layers: &str) -> String {
    let (before, rest) = GENDER.split_once("layers = [\n").expect("layers");
    let (_, after) = rest.split_once("]\n\n[loss]").expect("the end of the layers");
    format!("{before}layers = [\n{layers}]\n\n[loss]{after}")
}

#[track_caller]
fn assert_says(stderr: &str, fragments: &[&str]) {
    for fragment in fragments {
        assert!(stderr.contains(fragment), "no `{fragment}` in:\n{stderr}");
    }
}

/// Runs `check` and `train` on an experiment: both refuse it in the same words, print no result and leave nothing.
#[track_caller]
fn refused(text: impl AsRef<[u8]>, code: i32, fragments: &[&str]) -> String {
    let runner = Runner::new();
    runner.write("x.toml", text);
    let trained = runner.run(["train", "x.toml"]);
    assert_says(&trained.stderr, fragments);
    assert_eq!((trained.code, trained.stdout.as_str()), (code, ""), "{}", trained.stderr);
    assert_eq!(runner.run(["check", "x.toml"]), trained);
    assert_eq!(runner.entries(), ["x.toml"]);
    trained.stderr
}

/// Runs arguments that fail in the folder and leave it as it is.
#[track_caller]
fn fails(runner: &Runner, arguments: &[&str], code: i32, fragments: &[&str]) -> String {
    let before = runner.entries();
    let Ended { code: found, stdout, stderr } = runner.run(arguments);
    assert_says(&stderr, fragments);
    assert_eq!((found, stdout.as_str()), (code, ""), "{arguments:?}: {stderr}");
    assert_eq!(runner.entries(), before, "{arguments:?}");
    stderr
}
