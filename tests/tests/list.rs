//! `runner list`, `runner completions`, `runner man`: what the program says of itself.

use chainrule_tests::runner::Runner;

#[test]
fn list_alone_lists_the_kinds() {
    let ended = Runner::new().done(["list"]);
    let kinds: Vec<&str> = ended.stdout.lines().filter_map(|line| line.split(' ').next()).collect();
    for kind in [
        "layers",
        "activations",
        "losses",
        "optimizers",
        "schedules",
        "initializers",
        "data",
        "metrics",
        "templates",
    ] {
        assert!(kinds.contains(&kind), "{kinds:?}");
        assert_eq!(Runner::new().done(["list", kind]).stderr, "");
    }
}

#[test]
fn a_kind_is_listed_with_a_description_each() {
    let ended = Runner::new().done(["list", "layers"]);
    assert!(ended.stdout.starts_with("dense "), "{}", ended.stdout);
    assert!(ended.stdout.lines().all(|line| line.contains("  ") && line.ends_with('.')), "{}", ended.stdout);
}

#[test]
fn a_type_is_shown_with_its_keys() {
    let ended = Runner::new().done(["list", "optimizers", "sgd"]);
    let line =
        ended.stdout.lines().find(|line| line.starts_with("momentum ")).expect("a line for the momentum");
    assert!(line.contains(">= 0, < 1") && line.contains("0.0"), "{line}");
}

#[test]
fn verbose_shows_the_keys_of_every_type() {
    let ended = Runner::new().done(["list", "activations", "-v"]);
    assert!(ended.stdout.contains("relu: max(x, 0).\n(no keys)\n\n"), "{}", ended.stdout);
    assert!(ended.stdout.contains("\nslope  number  >= 0   0.01 "), "{}", ended.stdout);
}

#[test]
fn a_wrong_name_is_a_usage_error_with_the_nearest() {
    let runner = Runner::new();
    let ended = runner.run(["list", "layers", "dens"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(ended.stderr.contains("did you mean `dense`?"), "{}", ended.stderr);
    let ended = runner.run(["list", "layer"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(ended.stderr.contains("'layers'"), "{}", ended.stderr);
}

#[test]
fn every_shell_has_completions() {
    let runner = Runner::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = runner.done(["completions", shell]);
        assert!(ended.stdout.contains("summary"), "{shell}");
        assert_eq!(ended.stderr, "");
    }
    assert_eq!(runner.run(["completions", "csh"]).code, 2);
}

#[test]
fn manual_pages_are_printed_or_written() {
    let runner = Runner::new();
    assert!(runner.done(["man"]).stdout.contains(".TH runner 1"));
    assert!(runner.done(["man", "train"]).stdout.contains(".TH runner-train 1"));
    assert_eq!(runner.run(["man", "trian"]).code, 2);
    runner.done(["man", "--out", "pages", "-q"]);
    let entries = runner.entries();
    for page in ["pages/runner.1", "pages/runner-train.1", "pages/runner-list.1"] {
        assert!(entries.iter().any(|entry| entry == page), "{entries:?}");
    }
    assert!(!entries.iter().any(|entry| entry.contains("help")), "{entries:?}");
}
