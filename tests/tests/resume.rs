//! Interruptions: a run that was killed, interrupted, or whose checkpoints were damaged ends as if nothing had been.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use chainrule_tests::kills::{self, ADAM, SGD};
use chainrule_tests::runner::{Ended, Runner, json_lines, program};

fn assert_kills_change_nothing(experiment: &str) {
    let folder = tempfile::tempdir().unwrap();
    let done =
        kills::kill(program(), folder.path(), experiment, 50).unwrap_or_else(|error| panic!("{error}"));
    assert!(done.kills >= 50 && done.resuming >= 10, "{done:?}");
}

#[test]
fn fifty_kills_do_not_change_what_sgd_leaves() {
    assert_kills_change_nothing(SGD);
}

#[test]
fn fifty_kills_do_not_change_what_adam_with_noise_and_early_stopping_leaves() {
    assert_kills_change_nothing(ADAM);
}

/// The experiment of many short steps, trained to its end in `whole`.
fn trained() -> Runner {
    let runner = Runner::new();
    runner.write("x.toml", SGD);
    runner.done(["x.toml", "--out", "whole", "--progress", "none"]);
    runner
}

/// What may not differ.
fn assert_same_model(runner: &Runner, run: &str) {
    assert_eq!(runner.bytes(format!("{run}/model.safetensors")), runner.bytes("whole/model.safetensors"));
    let lines = |run: &str| {
        let mut lines = runner.json_lines(format!("{run}/metrics.jsonl"));
        lines.iter_mut().for_each(|line| line["train_seconds"] = 0.into());
        lines
    };
    assert_eq!(lines(run), lines("whole"));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// A copy of the finished run as if it had been killed before it wrote its model.
fn killed(runner: &Runner, run: &str) {
    copy(&runner.path("whole"), &runner.path(run));
    for name in ["model.safetensors", "result.json"] {
        fs::remove_file(runner.path(run).join(name)).unwrap();
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over_with_a_warning() {
    let runner = trained();
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("bit", |path| {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            fs::write(path, bytes).unwrap();
        }),
        ("torn", |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 9]).unwrap();
        }),
        ("empty", |path| fs::write(path, "").unwrap()),
        ("folder", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
    ];
    for (run, damage) in damages {
        killed(&runner, run);
        damage(&runner.path(run).join("checkpoints/last"));
        let Ended { code, stderr, .. } = runner.run(["resume", run, "--progress", "none"]);
        if run == "folder" {
            // It cannot be replaced by a file; nothing else is touched.
            assert_eq!(code, 1, "{stderr}");
            continue;
        }
        assert_eq!(code, 0, "{run}: {stderr}");
        assert!(stderr.contains(&format!("warning: {run}/checkpoints/last is passed over: ")), "{stderr}");
        assert_same_model(&runner, run);
    }
    killed(&runner, "all");
    for entry in fs::read_dir(runner.path("all/checkpoints")).unwrap() {
        fs::write(entry.unwrap().path(), "no checkpoint").unwrap();
    }
    let Ended { code, stderr, .. } = runner.run(["resume", "all"]);
    assert_eq!(code, 5, "{stderr}");
    assert!(stderr.contains("error: all: none of its checkpoints is whole"), "{stderr}");
}

#[test]
fn a_log_that_lost_lines_leads_to_an_older_checkpoint_or_to_an_error() {
    let runner = Runner::new();
    runner.write("x.toml", SGD.replace("log_every = 3", "log_every = 1"));
    runner.done(["x.toml", "--out", "whole", "--progress", "none"]);
    killed(&runner, "older");
    // `last` is of the end; the one before it, of four steps, had not the last line yet.
    let log = runner.text("older/metrics.jsonl");
    let cut = log.trim_end().rfind('\n').unwrap() + 1;
    runner.write("older/metrics.jsonl", &log[..cut]);
    let stderr = runner.done(["resume", "older", "--progress", "none"]).stderr;
    let warning = "warning: older/checkpoints/last is passed over: metrics.jsonl does not reach as far as it";
    assert!(stderr.starts_with(warning) && stderr.contains("going on after step "), "{stderr}");
    assert_same_model(&runner, "older");

    killed(&runner, "run");
    let metrics = runner.path("run/metrics.jsonl");
    fs::write(&metrics, "").unwrap();
    let Ended { code, stderr, .. } = runner.run(["resume", "run"]);
    assert_eq!(code, 5, "{stderr}");
    assert!(stderr.contains("metrics.jsonl does not reach as far as it"), "{stderr}");
}

#[test]
fn a_changed_experiment_is_refused_unless_its_keys_are_allowed() {
    let runner = trained();
    let refused = |arguments: &[&str], says: &str| {
        let Ended { code, stderr, .. } = runner.run(arguments);
        assert_eq!(code, 5, "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    };
    let more = "train.epochs=45";
    refused(
        &["resume", "whole", "--set", more],
        "`train.epochs` changed\n  = help: undo it, or allow it by name: --allow train.epochs",
    );
    refused(&["resume", "whole", "--set", more, "--allow", "train.epoch"], "`train.epochs` changed");
    refused(&["resume", "whole", "--set", more, "--set", "seed=3", "--allow", "train"], "`seed` changed");
    // Neither threads nor checkpoints change a result.
    runner.done(["resume", "whole", "--set", "runtime.threads=1", "--set", "checkpoint.keep_last=5"]);
    runner.done(["resume", "whole", "--set", more, "--allow", "train.epochs", "--progress", "none"]);
    runner.done(["x.toml", "--set", more, "--out", "straight", "--progress", "none"]);
    assert_eq!(runner.bytes("straight/model.safetensors"), runner.bytes("whole/model.safetensors"));
    // From now on this is the experiment of the run.
    assert!(runner.text("whole/config.toml").contains("epochs = 45"));
    let Ended { code, stderr, .. } = runner.run(["resume", "whole"]);
    assert_eq!((code, stderr.as_str()), (0, "whole has finished already\n"));
    let Ended { code, stderr, .. } = runner.run(["resume", "whole", "--progress", "json"]);
    assert_eq!((code, stderr.as_str()), (0, "{\"event\":\"finished_already\",\"run\":\"whole\"}\n"));
    // A hand that changes the file is noticed too.
    let config = runner.text("whole/config.toml").replace("momentum = 0.9", "momentum = 0.8");
    runner.write("whole/config.toml", config);
    refused(&["resume", "whole"], "`optimizer.momentum` changed");
}

#[test]
fn changed_data_are_refused() {
    let runner = Runner::new();
    let row = |index: usize| format!("{},{}\n", index % 7, index % 2);
    let csv: String = std::iter::once("x,y\n".to_owned()).chain((0..40).map(row)).collect();
    runner.write("d.csv", &csv);
    runner.write(
        "x.toml",
        "data = { type = \"csv\", path = \"d.csv\", target = \"y\" }\nmodel.layers = [{ type = \"dense\", units = 2 }]\nloss.type = \"cross_entropy\"\noptimizer = { type = \"sgd\", learning_rate = 0.1 }\ntrain.epochs = 3\n",
    );
    runner.done(["x.toml", "--out", "whole", "--progress", "none"]);
    let changed = |arguments: &[&str]| {
        killed(&runner, "run");
        let Ended { code, stderr, .. } = runner.run([&["resume", "run"], arguments].concat());
        assert_eq!(code, 5, "{stderr}");
        assert!(stderr.contains("the data are not those that this run was started with"), "{stderr}");
        fs::remove_dir_all(runner.path("run")).unwrap();
    };
    // Where the samples are may change, not what they are.
    changed(&["--set", "data.scale='standard'", "--allow", "data.scale"]);
    changed(&["--set", "data.validation=0.25", "--allow", "data.validation"]);
    runner.write("e.csv", &csv);
    runner.write("d.csv", csv.replacen("\n3,1", "\n4,1", 1));
    changed(&[]);
    killed(&runner, "run");
    let moved = format!("data.path='{}'", runner.path("e.csv").display());
    runner.done(["resume", "run", "--set", &moved, "--allow", "data.path", "--progress", "none"]);
    assert_same_model(&runner, "run");
}

/// Every file of a run with its bytes.
fn content(run: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(run).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(content(&path)),
            false => found.push((path.clone(), fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found
}

#[test]
fn a_resume_that_cannot_be_leaves_the_run_as_it_was() {
    let runner = trained();
    killed(&runner, "run");
    let before = content(&runner.path("run"));
    let refused: [(&[&str], &str); 5] = [
        (
            &["--set", "optimizer={ type = \"adam\", learning_rate = 0.1 }", "--allow", "optimizer"],
            "its checkpoint holds the memory of another optimizer (`velocity`; this one has `first_moment`, `second_moment`)",
        ),
        (
            &["--set", "optimizer.momentum=0", "--allow", "optimizer"],
            "its checkpoint holds the memory of another optimizer (`velocity`; this one has none)",
        ),
        (&["--set", "dtype=f64", "--allow", "dtype"], "`dtype` changed, but the checkpoints hold numbers of"),
        (
            &["--set", "model.layers.0.units=9", "--allow", "model"],
            "the state is not one of a run of this network with this optimizer",
        ),
        (&["--set", "seed=8"], "`seed` changed"),
    ];
    for (arguments, says) in refused {
        let Ended { code, stderr, .. } = runner.run([&["resume", "run"], arguments].concat());
        assert_eq!(code, 5, "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
        assert_eq!(content(&runner.path("run")), before, "{arguments:?}");
    }
}

#[test]
fn the_best_checkpoint_is_better_than_none() {
    let runner = Runner::new();
    runner.write("x.toml", ADAM);
    runner.done(["x.toml", "--out", "whole", "--progress", "none"]);
    killed(&runner, "run");
    for entry in fs::read_dir(runner.path("run/checkpoints")).unwrap() {
        let path = entry.unwrap().path();
        if !path.ends_with("best") {
            fs::write(path, "no checkpoint").unwrap();
        }
    }
    let Ended { code, stderr, .. } = runner.run(["resume", "run", "--progress", "json"]);
    assert_eq!(code, 0, "{stderr}");
    let events = json_lines(&stderr);
    assert_eq!(events[0]["event"], "warning");
    let message = events[0]["message"].as_str().unwrap();
    assert!(message.starts_with("run/checkpoints/last is passed over: "), "{message}");
    assert_same_model(&runner, "run");
}

/// Sends a signal by its name.
fn signal(name: &str, process: u32) {
    // Of the shell: not every system has a program of this name.
    let kill = format!("kill {name} {process}");
    let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(status.success());
}

fn wait_for(path: &Path) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "{} does not appear", path.display());
        sleep(Duration::from_millis(2));
    }
}

#[test]
fn the_first_signal_ends_a_run_after_its_step_and_a_checkpoint() {
    let runner = Runner::new();
    // Without checkpoints on the way, and long enough that no signal comes too late.
    let experiment = SGD.replace("every_steps = 4", "").replace("epochs = 40", "epochs = 40000");
    runner.write("x.toml", &experiment);
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let run = format!("run{name}");
        let mut command = runner.command(["x.toml", "--out", &run, "--progress", "none"]);
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        wait_for(&runner.path(&run));
        sleep(Duration::from_millis(30));
        signal(name, child.id());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.starts_with("interrupted after step "), "{stderr}");
        assert!(stderr.contains(&format!("go on with `runner resume {run}`")), "{stderr}");
    }
}

#[test]
fn an_interrupted_run_goes_on_exactly() {
    let runner = trained();
    let mut interrupted = 0;
    let mut command = runner.command(["x.toml", "--out", "run", "--progress", "none"]);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    wait_for(&runner.path("run"));
    loop {
        sleep(Duration::from_millis(15));
        if child.try_wait().unwrap().is_none() {
            signal("-INT", child.id());
        }
        match child.wait().unwrap().code() {
            Some(0) => break,
            Some(130) => interrupted += 1,
            // It had not begun to listen; the run is as it was.
            None => {}
            code => panic!("{code:?}"),
        }
        let mut command = runner.command(["resume", "run", "--progress", "none"]);
        child = command.stderr(Stdio::null()).spawn().unwrap();
    }
    assert!(interrupted > 0);
    assert_same_model(&runner, "run");
}

#[test]
fn a_second_signal_ends_a_run_at_once() {
    let runner = Runner::new();
    // A step of minutes.
    let experiment = SGD
        .replace("samples = 60", "samples = 20000")
        .replace("units = 8", "units = 60000")
        .replace("batch_size = 7", "batch_size = 20000");
    runner.write("x.toml", &experiment);
    let mut command = runner.command(["x.toml", "--out", "run", "--progress", "none"]);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&runner.path("run"));
    sleep(Duration::from_millis(100));
    let start = Instant::now();
    signal("-INT", child.id());
    sleep(Duration::from_millis(50));
    signal("-INT", child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(130), &b""[..]));
    // Long before the step could have ended.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(runner.path("run/checkpoints/last").is_file());
}
