//! Experiment files as files: unreadable, inherited, changed from the command line; and where a run goes.

use chainrule_tests::runner::{Ended, GENDER, Runner};

use super::{assert_says, edited, fails, refused};

#[test]
fn refuses_files_that_are_no_experiment() {
    for text in ["", "\n\n", "# only words\n", "\u{feff}"] {
        let missing =
            ["data", "model", "loss", "optimizer", "train"].map(|table| format!("missing table [{table}]"));
        refused(text, 2, &missing.iter().map(String::as_str).chain(["--> x.toml"]).collect::<Vec<_>>());
    }
    refused(
        (0..=255).collect::<Vec<u8>>(),
        2,
        &["x.toml is not UTF-8 text: line 2 has a byte that cannot be read"],
    );
    refused(vec![0; 1000], 2, &["--> x.toml:1:1"]);
    refused(edited(GENDER, &[("[loss]", "[loss]\0")]), 2, &["--> x.toml:23:7"]);
    refused(
        edited(GENDER, &[("learning_rate = 0.1", "learning_rate = 0.1\nlearning_rate = 0.2")]),
        2,
        &["duplicate key `learning_rate`", "--> x.toml:29:1"],
    );
    refused(format!("{GENDER}\n[train]\nepochs = 1\n"), 2, &["duplicate key `train`", "--> x.toml:41:2"]);
    refused(edited(GENDER, &[("\"sgd\"", "sgd")]), 2, &["string values must be quoted", "--> x.toml:27:8"]);
    refused(
        edited(GENDER, &[("learning_rate = 0.1", "learning_rate =")]),
        2,
        &["a value is missing", "--> x.toml:28:"],
    );
    refused(format!("a = {}", "[".repeat(100_000)), 2, &["--> x.toml:1:"]);
    refused("<html>\n<body>not found</body>\n", 2, &["--> x.toml:1:"]);
}

#[test]
fn a_byte_order_mark_is_no_mistake() {
    let runner = Runner::new();
    runner.write("x.toml", format!("\u{feff}{GENDER}"));
    runner.done(["check", "x.toml"]);
    let bad = edited(GENDER, &[("schema_version", "schema")]);
    refused(format!("\u{feff}{bad}"), 2, &["unknown key `schema`"]);
}

#[test]
fn a_file_of_windows_is_read_and_its_places_are_right() {
    let runner = Runner::new();
    runner.write("x.toml", GENDER.replace('\n', "\r\n"));
    runner.done(["check", "x.toml"]);
    let bad = edited(GENDER, &[("learning_rate", "lr")]).replace('\n', "\r\n");
    let stderr = refused(bad, 2, &["--> x.toml:28:1", "28 | lr = 0.1\n"]);
    assert!(!stderr.contains('\r'), "{stderr:?}");
}

#[test]
fn a_file_cannot_drive_the_terminal() {
    let stderr =
        refused(edited(GENDER, &[("[loss]", "\"\\u001b[31mred\" = 1\n[loss]")]), 2, &["unknown key"]);
    assert!(!stderr.contains('\u{1b}'), "{stderr:?}");
    let stderr = refused(edited(GENDER, &[("[loss]", "# \u{1b}[2J\u{7}\nx = 1 # \u{202e}\n[loss]")]), 2, &[]);
    assert!(!stderr.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{stderr:?}");
}

#[test]
fn names_an_experiment_that_cannot_be_read() {
    let runner = Runner::new();
    for verb in ["train", "check", "summary"] {
        assert_eq!(fails(&runner, &[verb, "no.toml"], 2, &[]), "error: there is no file no.toml\n");
        assert_eq!(fails(&runner, &[verb, "."], 2, &[]), "error: . is not a file\n");
    }
    assert_eq!(fails(&runner, &["no.toml"], 2, &[]), "error: there is no file no.toml\n");
    if cfg!(unix) {
        assert_eq!(fails(&runner, &["/dev/null"], 2, &[]), "error: /dev/null is not a file\n");
    }
}

#[test]
fn names_the_file_of_a_chain_of_extends_that_has_the_mistake() {
    let runner = Runner::new();
    runner.write("base/base.toml", edited(GENDER, &[("learning_rate", "lr")]));
    runner.write("x.toml", "extends = \"base/base.toml\"\n[train]\nepoch = 3\n");
    let stderr = fails(
        &runner,
        &["check", "x.toml"],
        2,
        &[
            "unknown key `lr` in [optimizer]",
            "--> base/base.toml:28:1",
            "unknown key `epoch` in [train]",
            "--> x.toml:3:1",
        ],
    );
    assert_eq!(stderr.matches("error: ").count(), 2, "{stderr}");

    runner.write("x.toml", "# first\nextends = \"none.toml\"\n");
    fails(&runner, &["check", "x.toml"], 2, &["there is no file none.toml", "--> x.toml:2:1"]);
    runner.write("x.toml", "extends = \"y.toml\"\n");
    runner.write("y.toml", "\nextends = \"x.toml\"\n");
    fails(&runner, &["check", "x.toml"], 2, &["this file extends itself through `x.toml`", "--> y.toml:2:1"]);
    runner.write("x.toml", "extends = \"./x.toml\"\n");
    fails(
        &runner,
        &["check", "x.toml"],
        2,
        &["this file extends itself through `./x.toml`", "--> x.toml:1:1"],
    );
    runner.write("x.toml", "extends = [\"y.toml\"]\n");
    fails(&runner, &["check", "x.toml"], 2, &["extends must be a string, found an array", "--> x.toml:1:1"]);
}

#[test]
fn extends_takes_the_base_and_changes_it() {
    let runner = Runner::new();
    runner.write("base/base.toml", GENDER);
    runner.write(
        "x.toml",
        "extends = \"base/base.toml\"\n[train]\nepochs = 3\n[data]\nx = [[1, 2], [3, 4]]\ny = [[0], [1]]\n",
    );
    runner.done(["x.toml", "--out", "run"]);
    let result = runner.json("run/result.json");
    assert_eq!((&result["name"], &result["steps"]), (&"gender".into(), &6.into()));
    assert!(!runner.text("run/config.toml").contains("extends"));
}

#[test]
fn points_into_the_argument_that_has_the_mistake() {
    let runner = Runner::with_gender();
    let cases: [(&str, &[&str]); 13] = [
        ("train.epochs=-1", &["train.epochs must be at least 1, found -1", "--> --set:1:14"]),
        ("train.epochs=10.0", &["train.epochs must be an integer, found 10.0", "write 10"]),
        ("train.epoch=1", &["unknown key `epoch` in [train]", "--> --set:1:7"]),
        ("optimizer.lr=1", &["unknown key `lr` in [optimizer]", "--> --set:1:11"]),
        ("train.epochs", &["there is no `=`", "--> --set:1:1", "write --set key.path=value"]),
        ("train.epochs=", &["there is no value after the `=`", "--> --set:1:14"]),
        ("=1", &["a key is missing here", "--> --set:1:1"]),
        ("train.epochs=a b", &["string values must be quoted", "--> --set:1:14"]),
        ("loss.type=mes", &["unknown type `mes` in [loss]", "--> --set:1:11", "did you mean `mse`?"]),
        ("model.layers.5.units=1", &["the list has no item 5: it has 2 items, 0 to 1", "--> --set:1:14"]),
        (
            "model.layers.hidden.units=1",
            &["a list has no key `hidden`; its items are numbered from 0", "--> --set:1:14"],
        ),
        (
            "model.layers.1.unit=1",
            &["unknown key `unit` in model.layers[1] (dense \"output\")", "--> --set:1:16"],
        ),
        ("extends=base.toml", &["extends can only be set in a file", "--> --set:1:1"]),
    ];
    for (argument, fragments) in cases {
        for verb in ["train", "check", "summary"] {
            fails(&runner, &[verb, "gender.toml", "--set", argument], 2, fragments);
        }
    }
    let two = ["check", "gender.toml", "--set", "train.epochs=0", "--set", "optimizer.lr=1"];
    fails(&runner, &two, 2, &["train.epochs must be at least 1", "unknown key `lr`"]);
}

#[test]
fn a_batch_larger_than_any_memory_is_the_whole_set() {
    let runner = Runner::with_gender();
    for (size, out) in [("4", "four"), ("1099511627776", "huge"), ("9223372036854775807", "most")] {
        let size = format!("train.batch_size={size}");
        runner.done(["gender.toml", "--set", "train.epochs=3", "--set", &size, "--out", out]);
        let digest = |run: &str| runner.json(format!("{run}/result.json"))["parameters_blake3"].clone();
        assert_eq!(digest(out), digest("four"));
        assert_eq!(runner.json(format!("{out}/result.json"))["steps"], 3);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_an_io_failure() {
    let runner = Runner::with_gender();
    runner.write("file", "not a folder");
    for out in ["file/run", "file/deeper/run"] {
        fails(&runner, &["gender.toml", "--out", out], 1, &["error: cannot create file"]);
        fails(&runner, &["gender.toml", "--out", out, "--force"], 1, &["error: cannot create file"]);
    }
    let long = "x".repeat(300);
    fails(&runner, &["gender.toml", "--out", &long], 1, &["error: cannot create xxx"]);
    runner.write("runs", "not a folder");
    fails(&runner, &["gender.toml"], 1, &["error: cannot create runs"]);
    assert_eq!(runner.text("file"), "not a folder");
}

/// Root may write to every folder but those of the kernel.
#[cfg(target_os = "linux")]
#[test]
fn a_read_only_folder_is_an_io_failure() {
    let runner = Runner::with_gender();
    for out in ["/proc/run", "/proc/self/run", "/dev/null/run"] {
        let stderr = fails(&runner, &["gender.toml", "--out", out], 1, &["error: cannot create /"]);
        assert!(!stderr.contains("epoch"), "{stderr}");
    }
}

#[test]
fn what_is_taken_is_usage() {
    let runner = Runner::with_gender();
    runner.done(["gender.toml", "--out", "run", "--set", "train.epochs=1"]);
    fails(&runner, &["gender.toml", "--out", "run"], 2, &["error: run already holds a run", "--force"]);
    for out in [".", "..", "/"] {
        fails(&runner, &["gender.toml", "--out", out, "--force"], 2, &["exists and is not a run directory"]);
    }
}

/// What was logged until then stays, to be looked at; but there is no model and no result.
#[test]
fn divergence_has_a_code_of_its_own_and_leaves_no_model() {
    let linear = edited(
        GENDER,
        &[
            ("units = 1, activation = \"sigmoid\"", "units = 1"),
            ("learning_rate = 0.1", "learning_rate = 1e30"),
        ],
    );
    let runner = Runner::new();
    runner.write("x.toml", linear);
    let Ended { code, stdout, stderr } = runner.run(["x.toml", "--out", "run", "--progress", "none"]);
    assert_eq!((code, stdout.as_str()), (4, ""), "{stderr}");
    assert_says(
        &stderr,
        &["error: diverged: the loss became ", " in epoch ", ", step ", "help: lower `learning_rate`"],
    );
    let files = ["run/", "run/checkpoints/", "run/checkpoints/last", "run/config.toml", "run/metrics.jsonl"];
    assert_eq!(runner.entries(), [&files[..], &["x.toml"]].concat());
    fails(&runner, &["eval", "run"], 5, &["error: run/model.safetensors: the run has no readable model"]);

    // The run can be replaced as any other.
    runner.done(["x.toml", "--out", "run", "--force", "--set", "optimizer.learning_rate=0.1"]);
}
