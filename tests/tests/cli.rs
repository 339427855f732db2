//! The command line: verbs, flags, streams.

use std::process::{Command, Stdio};

use chainrule_tests::runner::{Ended, GENDER, Runner, ended, json_lines};

const BRIEF: [&str; 3] = ["gender.toml", "--set", "train.epochs=21"];

/// What a brief training prints as its result.
const PREDICTIONS: [&str; 3] =
    ["sample  x        prediction", "female  50, 168  female 0.", "male    77, 173  female 0."];

fn brief<'a>(more: &[&'a str]) -> Vec<&'a str> {
    BRIEF.iter().chain(more).copied().collect()
}

#[track_caller]
fn assert_is_predictions(stdout: &str) {
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), PREDICTIONS.len(), "{stdout}");
    for (line, expected) in lines.iter().zip(PREDICTIONS) {
        assert!(line.starts_with(expected), "{stdout}");
    }
}

#[test]
fn help_names_every_verb_and_the_short_form() {
    let runner = Runner::new();
    let long = runner.done(["--help"]);
    for word in [
        "Usage: runner",
        "train",
        "check",
        "summary",
        "eval",
        "predict",
        "`runner x.toml` is short for `runner train x.toml`",
    ] {
        assert!(long.stdout.contains(word), "{word}: {}", long.stdout);
    }
    assert_eq!(long.stderr, "");
    for word in ["-h", "help"] {
        assert_eq!(runner.done([word]).stdout, long.stdout);
    }
    let train = runner.done(["train", "--help"]);
    for flag in
        ["--set", "--out", "--force", "--threads", "--progress", "--quiet", "--verbose", "EXPERIMENT.toml"]
    {
        assert!(train.stdout.contains(flag), "{flag}: {}", train.stdout);
    }
    assert_eq!(runner.entries(), [""; 0]);
}

#[test]
fn version_is_that_of_the_workspace() {
    let runner = Runner::new();
    for flag in ["--version", "-V"] {
        let expected = concat!("runner ", env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!(runner.done([flag]), Ended { code: 0, stdout: expected.into(), stderr: String::new() });
    }
}

#[test]
fn nothing_at_all_shows_the_help_and_is_usage() {
    let ended = Runner::new().run([""; 0]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(ended.stderr.contains("Usage: runner"), "{}", ended.stderr);
}

#[test]
fn an_experiment_alone_is_trained() {
    let runner = Runner::with_gender();
    let alone = runner.done(brief(&["--out", "alone"]));
    let verb = runner.done(["train"].into_iter().chain(brief(&["--out", "verb"])));
    let flags_first = runner.done(["-q", "--out", "first", "gender.toml", "--set", "train.epochs=21"]);
    assert_eq!(alone.stdout, verb.stdout);
    assert_eq!(alone.stdout, flags_first.stdout);
    assert!(runner.bytes("alone/model.safetensors") == runner.bytes("verb/model.safetensors"));
    assert!(runner.bytes("alone/model.safetensors") == runner.bytes("first/model.safetensors"));
}

#[test]
fn a_misspelt_verb_is_no_experiment() {
    let runner = Runner::with_gender();
    for (word, verb) in [
        ("trian", "train"),
        ("chekc", "check"),
        ("sumary", "summary"),
        ("evval", "eval"),
        ("pridict", "predict"),
    ] {
        let ended = runner.run([word, "gender.toml"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
        let expected = format!("error: unrecognized subcommand '{word}'\n\n  tip: ");
        let tip =
            ended.stderr.strip_prefix(&expected).and_then(|rest| rest.lines().next()).unwrap_or_default();
        assert!(tip.contains(&format!("'{verb}'")), "{}", ended.stderr);
    }
    assert_eq!(runner.entries(), ["gender.toml"]);
}

#[test]
fn an_argument_that_does_not_exist_is_usage() {
    let runner = Runner::with_gender();
    let cases: [(&[&str], &str); 10] = [
        (&["gender.toml", "--foo"], "unexpected argument '--foo'"),
        (&["gender.toml", "--thread", "2"], "a similar argument exists: '--threads'"),
        (&["gender.toml", "other.toml"], "unexpected argument 'other.toml'"),
        (&["gender.toml", "--threads", "many"], "invalid value 'many' for '--threads <N>'"),
        (&["gender.toml", "--threads", "1025"], "1025 is not in 0..=1024"),
        (&["gender.toml", "--progress", "fancy"], "[possible values: auto, bar, plain, json, none]"),
        (&["gender.toml", "-q", "-v"], "cannot be used with"),
        (&["gender.toml", "--set"], "a value is required for '--set"),
        (&["check", "gender.toml", "--out", "x"], "unexpected argument '--out'"),
        (&["predict", "run"], "--input <FILE>"),
    ];
    for (arguments, message) in cases {
        let ended = runner.run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains(message), "{}", ended.stderr);
    }
    assert_eq!(runner.entries(), ["gender.toml"]);
}

#[test]
fn results_go_to_stdout_and_everything_else_to_stderr() {
    let runner = Runner::with_gender();
    let ended = runner.done(brief(&["--out", "run"]));
    assert_is_predictions(&ended.stdout);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 5, "{}", ended.stderr);
    for (line, epoch) in lines.iter().zip(["epoch  1/21", "epoch 11/21", "epoch 21/21"]) {
        let values = line.strip_prefix(epoch).unwrap_or_else(|| panic!("{line}, not {epoch}"));
        assert!(values.starts_with("  running_loss 0.") && values.contains("  train_loss 0."), "{line}");
    }
    assert!(lines[3].starts_with("gender: 21 epochs, 84 steps in "), "{}", lines[3]);
    assert_eq!(lines[4], "wrote run");
}

#[test]
fn an_experiment_without_predictions_prints_no_result() {
    let runner = Runner::new();
    let (text, _) = GENDER.split_once("[predict]").unwrap();
    runner.write("gender.toml", text);
    let ended = runner.done(brief(&["-q"]));
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    assert_eq!(runner.json("runs/gender/result.json")["predictions"], serde_json::json!([]));
}

#[test]
fn quiet_says_nothing_but_results_and_errors() {
    let runner = Runner::with_gender();
    for style in ["auto", "none"] {
        let ended = runner.done(brief(&["-q", "--progress", style]));
        assert_is_predictions(&ended.stdout);
        assert_eq!(ended.stderr, "", "{style}");
    }
    // What is asked for by name is shown even so, and nothing else.
    let ended = runner.done(brief(&["-q", "--progress", "plain"]));
    assert!(ended.stderr.lines().all(|line| line.starts_with("epoch ")), "{}", ended.stderr);
    let ended = runner.done(brief(&["-q", "--progress", "json"]));
    assert_eq!(json_lines(&ended.stderr).len(), 5);
    let ended = runner.run(["-q", "no.toml"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (2, "error: there is no file no.toml\n"));
}

#[test]
fn verbose_says_what_was_decided() {
    let runner = Runner::with_gender();
    let ended = runner.done(brief(&["-v", "--threads", "1"]));
    let first = ended.stderr.lines().next();
    assert_eq!(first, Some("9 parameters in f64, 4 samples, 1 thread(s), seed 42"));
    assert_is_predictions(&ended.stdout);
}

#[test]
fn progress_none_shows_no_epoch() {
    let runner = Runner::with_gender();
    let ended = runner.done(brief(&["--progress", "none"]));
    assert!(!ended.stderr.contains("epoch "), "{}", ended.stderr);
    assert!(ended.stderr.ends_with("wrote runs/gender\n"), "{}", ended.stderr);
}

#[test]
fn progress_json_shows_the_lines_of_the_metrics() {
    let runner = Runner::with_gender();
    let ended = runner.done(brief(&["--progress", "json", "--out", "run"]));
    assert_is_predictions(&ended.stdout);
    let events = json_lines(&ended.stderr);
    let lines: String = ended
        .stderr
        .lines()
        .filter(|line| !line.contains("\"event\""))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(lines, runner.text("run/metrics.jsonl"));
    assert_eq!(events.len(), 5, "{}", ended.stderr);
    assert_eq!((&events[0]["event"], &events[0]["parameters"]), (&"start".into(), &9.into()));
    let done = &events[4];
    assert_eq!((&done["event"], &done["run"]), (&"done".into(), &"run".into()));
    let result = runner.json("run/result.json");
    for key in ["name", "epochs", "steps", "train_seconds", "metrics"] {
        assert_eq!(done[key], result[key], "{key}");
    }
}

#[test]
fn progress_json_tells_failures_as_json_too() {
    let runner = Runner::with_gender();
    let ended = runner.run(["gender.toml", "--progress", "json", "--set", "train.epochs=0"]);
    let events = json_lines(&ended.stderr);
    assert_eq!((ended.code, events.len()), (2, 1));
    assert_eq!((&events[0]["event"], &events[0]["code"]), (&"error".into(), &2.into()));
    assert!(events[0]["message"].as_str().unwrap().contains("train.epochs must be at least 1"));
}

#[test]
fn nothing_is_coloured_that_is_piped() {
    let runner = Runner::with_gender();
    runner.write("bad.toml", GENDER.replace("learning_rate", "lr"));
    let commands: [&[&str]; 7] = [
        &["gender.toml", "--progress", "bar", "-v"],
        &["gender.toml", "--progress", "plain"],
        &["bad.toml"],
        &["gender.toml", "--foo"],
        &["trian"],
        &["--help"],
        &["summary", "gender.toml"],
    ];
    for arguments in commands {
        for colour in [None, Some(("NO_COLOR", "1")), Some(("TERM", "xterm-256color"))] {
            let output = runner.command(arguments).envs(colour).output().expect("a program that starts");
            let ended = ended(output);
            let escape = |text: &str| text.contains('\u{1b}') || text.contains('\r');
            assert!(!escape(&ended.stdout) && !escape(&ended.stderr), "{arguments:?}: {ended:?}");
        }
    }
}

#[test]
fn summary_is_a_table_of_the_layers() {
    let runner = Runner::with_gender();
    let expected = "\
layer   type   activation  output  parameters  multiply-adds  memory
input                      [2]
hidden  dense  sigmoid     [2]              6              4  32 B
output  dense  sigmoid     [1]              3              2  16 B
9 parameters (72 B), 6 multiply-adds a sample; memory of a batch of 1, activations, their gradients and what layers keep: 48 B
";
    let ended = runner.done(["summary", "gender.toml"]);
    assert_eq!(ended, Ended { code: 0, stdout: expected.into(), stderr: String::new() });
    let wider =
        runner.done(["summary", "gender.toml", "--set", "model.layers.0.units=8", "--set", "dtype=f32"]);
    assert!(
        wider.stdout.contains("\nhidden  dense  sigmoid     [8]             24             16  64 B\n"),
        "{}",
        wider.stdout
    );
    assert!(
        wider.stdout.contains("\n33 parameters (132 B), 24 multiply-adds a sample; "),
        "{}",
        wider.stdout
    );
    assert_eq!(runner.entries(), ["gender.toml"]);
}

#[test]
fn check_says_that_all_is_well() {
    let runner = Runner::with_gender();
    let expected = "gender.toml: ok, 9 parameters, 4 training samples\n";
    let ended = runner.done(["check", "gender.toml"]);
    assert_eq!(ended, Ended { code: 0, stdout: expected.into(), stderr: String::new() });
    assert_eq!(runner.entries(), ["gender.toml"]);
}

#[test]
fn check_resolved_prints_the_config_of_the_run() {
    let runner = Runner::with_gender();
    let change = ["--set", "train.epochs=3", "--set", "optimizer.momentum=0.5"];
    let resolved = runner.done(["check", "--resolved", "gender.toml"].iter().chain(&change)).stdout;
    for line in
        ["epochs = 3", "momentum = 0.5", "weight_decay = 0.0", "nesterov = false", "threads = 0", "seed = 42"]
    {
        assert!(resolved.lines().any(|found| found == line), "{line}: {resolved}");
    }
    runner.write("resolved.toml", &resolved);
    assert_eq!(runner.done(["check", "--resolved", "resolved.toml"]).stdout, resolved);
    runner.done(["gender.toml", "--out", "run"].iter().chain(&change));
    assert_eq!(runner.text("run/config.toml"), resolved);
    runner.done(["resolved.toml", "--out", "again"]);
    assert!(runner.bytes("run/model.safetensors") == runner.bytes("again/model.safetensors"));
}

#[test]
fn set_changes_a_key_as_the_file_would() {
    let runner = Runner::with_gender();
    let sets = [
        "train.epochs=2",
        "model.layers.0.units=5",
        "name='other name'",
        "loss.type=mae",
        "data.x.0=[50, 160]",
        "optimizer.momentum = 0.5",
    ];
    let arguments = sets.iter().flat_map(|set| ["--set", set]);
    runner.done(["gender.toml"].into_iter().chain(arguments));
    let config = runner.text("runs/other name/config.toml");
    for line in ["epochs = 2", "units = 5", "type = \"mae\"", "momentum = 0.5"] {
        assert!(config.lines().any(|found| found == line), "{line}: {config}");
    }
    assert!(config.contains("x = [[50, 160], [65, 185]"), "{config}");
    assert_eq!(runner.json("runs/other name/result.json")["parameters"], 5 * 2 + 5 + 5 + 1);
}

#[test]
fn the_last_set_of_a_key_counts() {
    let runner = Runner::with_gender();
    runner.done(["gender.toml", "--set", "train.epochs=2", "--set", "train.epochs=3", "--out", "run"]);
    assert_eq!(runner.json("run/result.json")["epochs"], 3);
}

#[test]
fn the_flag_for_threads_beats_the_file() {
    let runner = Runner::with_gender();
    let ended = runner.done(brief(&["-v", "--set", "runtime.threads=2", "--threads", "1"]));
    assert!(ended.stderr.contains(" 1 thread(s), "), "{}", ended.stderr);
}

/// A reader that has gone away (`| head -0`) is no error, and no panic.
#[test]
fn a_closed_stdout_is_no_error() {
    let runner = Runner::with_gender();
    runner.done(brief(&["--out", "run", "-q"]));
    let commands: [&[&str]; 6] = [
        &["summary", "gender.toml"],
        &["check", "--resolved", "gender.toml"],
        &["eval", "run"],
        &["--help"],
        &["--version"],
        &["gender.toml", "--out", "piped"],
    ];
    for arguments in commands {
        let mut child =
            runner.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = ended(child.wait_with_output().unwrap());
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
    }
    assert!(runner.path("piped/result.json").is_file());
}

#[test]
fn a_closed_stderr_is_no_error() {
    let runner = Runner::with_gender();
    let mut child = runner.command(brief(&[])).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    let ended = ended(child.wait_with_output().unwrap());
    assert_eq!(ended.code, 0);
    assert_is_predictions(&ended.stdout);
}

/// A result that cannot be written is not delivered.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_stdout_is_an_io_failure() {
    let runner = Runner::with_gender();
    for arguments in [&["summary", "gender.toml"][..], &["gender.toml", "-q"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = runner.command(arguments).stdout(full).output().unwrap();
        let ended = ended(output);
        assert_eq!(ended.code, 1, "{arguments:?}");
        assert!(ended.stderr.starts_with("error: cannot write to stdout: "), "{}", ended.stderr);
    }
}

#[test]
fn a_path_with_spaces_and_letters_of_any_alphabet_is_a_path() {
    let runner = Runner::new();
    runner.write("ein Ordner/größe 数.toml", GENDER.replace("name  = \"gender\"\n", ""));
    runner.done(["ein Ordner/größe 数.toml", "--set", "train.epochs=1"]);
    assert!(runner.path("runs/größe 数/result.json").is_file());
}

/// `cargo run -- configs/gender.toml` starts the program from the root of the workspace, where `runs/` is then.
#[test]
fn runs_are_relative_to_the_working_directory() {
    let runner = Runner::new();
    runner.write("there/gender.toml", GENDER);
    std::fs::create_dir(runner.path("here")).unwrap();
    let mut command: Command = runner.command(["../there/gender.toml", "--set", "train.epochs=1"]);
    let ended = ended(command.current_dir(runner.path("here")).output().unwrap());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(runner.path("here/runs/gender/result.json").is_file());
    assert!(!runner.path("there/runs").exists());
}
