//! Sweeps: trials are runs like any other, whoever trains them and however often the sweep was interrupted.

use std::fs;
use std::time::Duration;

use chainrule_tests::kills::SGD;
use chainrule_tests::runner::{Ended, Runner};

const GRID: &str = r#"
[sweep]
type = "grid"
vary = [
  { key = "optimizer.learning_rate", values = [0.05, 0.2, 1e39] },
  { key = "model.layers.0.units", values = [4, 8] },
]
"#;

fn sweep(of: &str) -> Runner {
    let runner = Runner::new();
    runner.write("x.toml", format!("{}{of}", SGD.replace("epochs = 40", "epochs = 9")));
    runner
}

fn ranking(runner: &Runner, name: &str) -> Vec<Vec<String>> {
    runner.text(name).lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn a_grid_is_trained_and_ranked_and_its_best_run_is_a_run() {
    let runner = sweep(GRID);
    let Ended { stdout, stderr, .. } = runner.done(["sweep", "x.toml", "--out", "s"]);
    let rows = ranking(&runner, "s/ranking.csv");
    let headings = [
        "rank",
        "trial",
        "loss",
        "epochs",
        "status",
        "optimizer.learning_rate",
        "model.layers.0.units",
        "run",
    ];
    assert_eq!(rows[0], headings);
    assert_eq!(rows.len(), 7);
    let scores: Vec<f64> = rows[1..5].iter().map(|row| row[2].parse().unwrap()).collect();
    assert!(scores.is_sorted(), "{scores:?}");
    // A learning rate of 1e39 diverges, and is ranked last.
    assert!(
        rows[5..].iter().all(|row| row[4] == "diverged" && row[2].is_empty() && row[5] == "1e39"),
        "{rows:?}"
    );
    assert_eq!(stdout.lines().count(), 7);
    assert!(
        stderr.contains(&format!("the best run is {}; ranking in s/ranking.csv", rows[1][7])),
        "{stderr}"
    );

    let best = &rows[1][7];
    runner.done(["eval", best]);
    let sets = [5, 6].map(|column| format!("{}={}", rows[0][column], rows[1][column]));
    runner.write("plain.toml", SGD.replace("epochs = 40", "epochs = 9"));
    runner.done(["plain.toml", "--out", "plain", "--set", &sets[0], "--set", &sets[1], "--progress", "none"]);
    assert_eq!(runner.bytes("plain/model.safetensors"), runner.bytes(format!("{best}/model.safetensors")));
    let loss = runner.json("plain/result.json")["metrics"]["train"]["loss"].as_f64().unwrap();
    assert_eq!(loss, scores[0]);
}

#[test]
fn neither_threads_nor_interruptions_nor_shares_change_a_ranking() {
    let runner = sweep(GRID);
    runner.done(["sweep", "x.toml", "--out", "s", "--threads", "1"]);
    let expected = runner.text("s/ranking.csv").replace("s/", "");
    for threads in ["2", "8"] {
        let out = format!("t{threads}");
        runner.done(["sweep", "x.toml", "--out", &out, "--threads", threads]);
        assert_eq!(runner.text(format!("{out}/ranking.csv")).replace(&format!("{out}/"), ""), expected);
    }
    killed_until_it_ends(&runner, "k");
    assert_eq!(runner.text("k/ranking.csv").replace("k/", ""), expected);
    // Shared out to two jobs, then ranked together: nothing is trained any more.
    for index in ["0", "1"] {
        runner.done(["sweep", "x.toml", "--out", "j", "--index", index, "--of", "2"]);
        assert_eq!(ranking(&runner, &format!("j/ranking-{index}-of-2.csv")).len(), 4);
    }
    let before = fs::metadata(runner.path("j/00000/model.safetensors")).unwrap().modified().unwrap();
    runner.done(["sweep", "x.toml", "--out", "j"]);
    assert_eq!(runner.text("j/ranking.csv").replace("j/", ""), expected);
    assert_eq!(fs::metadata(runner.path("j/00000/model.safetensors")).unwrap().modified().unwrap(), before);
}

const HALVING: &str = r#"
[sweep]
type = "halving"
trials = 9
min_epochs = 1
factor = 3
vary = [{ key = "optimizer.learning_rate", range = [1e-5, 0.3], scale = "log" }]
"#;

/// Starts the sweep of `x.toml` again and again and kills it, a little later every time, until it ends by itself.
fn killed_until_it_ends(runner: &Runner, out: &str) {
    let mut kills = 0;
    loop {
        let mut child = runner.command(["sweep", "x.toml", "--out", out, "-q"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(40 + 10 * kills));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 0);
}

#[test]
fn a_halving_trains_the_better_ones_on_as_if_they_had_never_waited() {
    let runner = sweep(HALVING);
    let Ended { stdout, .. } = runner.done(["sweep", "x.toml", "--out", "s"]);
    let rows = ranking(&runner, "s/ranking.csv");
    let epochs: Vec<&str> = rows[1..].iter().map(|row| row[3].as_str()).collect();
    assert_eq!(epochs, ["9", "3", "3", "1", "1", "1", "1", "1", "1"]);
    let rate = format!("optimizer.learning_rate={}", rows[1][5]);
    runner.write("plain.toml", SGD.replace("epochs = 40", "epochs = 9"));
    runner.done(["plain.toml", "--out", "plain", "--set", &rate, "--progress", "none"]);
    let best = &rows[1][6];
    assert_eq!(runner.bytes("plain/model.safetensors"), runner.bytes(format!("{best}/model.safetensors")));
    // One that waits can be trained to its end by hand, and the halving is what it was.
    let before = runner.bytes("s/ranking.csv");
    let again = || runner.done(["sweep", "x.toml", "--out", "s"]).stdout;
    assert_eq!((again(), runner.bytes("s/ranking.csv")), (stdout.clone(), before.clone()));
    let other = &rows[9][6];
    runner.done(["resume", other, "--progress", "none"]);
    assert_eq!(runner.json(format!("{other}/result.json"))["epochs"], 9);
    assert_eq!((again(), runner.bytes("s/ranking.csv")), (stdout, before));
    // Without the record nobody knows any more what it had reached when it was compared.
    fs::remove_file(runner.path("s/halving.json")).unwrap();
    let Ended { code, stderr, .. } = runner.run(["sweep", "x.toml", "--out", "s"]);
    assert_eq!(code, 5, "{stderr}");
    assert!(stderr.contains("before it was compared with the others after epoch 1"), "{stderr}");
}

#[test]
fn a_halving_that_is_killed_again_and_again_is_ranked_as_one_that_is_not() {
    let runner = sweep(HALVING);
    runner.done(["sweep", "x.toml", "--out", "s", "-q"]);
    killed_until_it_ends(&runner, "k");
    let ranking = |out: &str| runner.text(format!("{out}/ranking.csv")).replace(&format!("{out}/"), "");
    assert_eq!(ranking("k"), ranking("s"));
    assert_eq!(runner.bytes("k/halving.json"), runner.bytes("s/halving.json"));
}

#[test]
fn mistakes_of_a_sweep_are_shown_at_their_place_by_check_too() {
    // The entry, what is said of it, and where.
    let cases = [
        (
            "{ key = \"optimizer.learning_rat\", values = [1.0] }",
            "unknown key `learning_rat` in [optimizer]",
            "\"optimizer.learning_rat\"",
        ),
        ("{ key = \"optimizer.learning_rate\", values = [0.1, -1.0] }", "learning_rate", "-1.0"),
        (
            "{ key = \"model.layers.9.units\", values = [1] }",
            "the list has no item 9",
            "\"model.layers.9.units\"",
        ),
        (
            "{ key = \"model.layers.1.units\", values = [3, 2] }",
            "this is of trial 1: model.layers.1.units=2",
            "",
        ),
        ("{ key = \"seed\", range = [1, 2] }", "sweep.vary[0]: a grid takes `values`", "[1, 2]"),
        ("{ key = \"seed\" }", "sweep.vary[0]: give `values`", "\"seed\""),
        ("{ key = \"seed\", value = [1] }", "did you mean `values`?", ""),
        ("{ key = \"seed\", values = [] }", "values", ""),
        ("", "vary", ""),
        ("{ key = \"runtime.threads\", values = [1] }", "`runtime.threads` cannot be varied", "\"runtime"),
        (
            "{ key = \"dtype\", values = [\"f32\"] }, { key = \"dtype\", values = [\"f64\"] }",
            "varied by sweep.vary[0] already",
            "\"dtype\"",
        ),
    ];
    for (vary, says, at) in cases {
        let runner = sweep(&format!("[sweep]\ntype = \"grid\"\nvary = [{vary}]\n"));
        let text = runner.text("x.toml");
        let line = text.lines().next_back().unwrap();
        let place = format!("--> x.toml:{}:{}\n", text.lines().count(), line.rfind(at).unwrap() + 1);
        for arguments in [&["sweep", "x.toml", "--out", "s"][..], &["check", "x.toml"]] {
            let Ended { code, stderr, .. } = runner.run(arguments);
            assert_eq!(code, 2, "{stderr}");
            assert!(stderr.contains(says), "{stderr}");
            assert!(at.is_empty() || stderr.contains(&place), "{place}{stderr}");
        }
        assert!(!runner.path("s").exists());
    }
    let runner = sweep(GRID);
    let refused = |arguments: &[&str], says: &str| {
        let Ended { code, stderr, .. } = runner.run(arguments);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    };
    refused(&["x.toml"], "x.toml has a [sweep]\n  = help: run all of its trials with `runner sweep`");
    refused(&["sweep", "x.toml", "--index", "2", "--of", "2"], "--index must be less than --of");
    refused(
        &["sweep", "x.toml", "--set", "sweep.monitor=\"validation_f1\""],
        "sweep.monitor: there is no `validation_f1`",
    );
    runner.write("plain.toml", SGD);
    refused(&["sweep", "plain.toml"], "plain.toml has no [sweep]");
    let Ended { stdout, .. } = runner.done(["check", "x.toml"]);
    assert_eq!(stdout, "x.toml: ok, 6 trials; the first has 43 parameters, 60 training samples\n");
}

#[test]
fn a_score_is_a_number_that_every_trial_has() {
    let runner = sweep(GRID);
    let refused = |set: &str, says: &str| {
        for verb in ["sweep", "check"] {
            let Ended { code, stderr, .. } = runner.run([verb, "x.toml", "--set", set]);
            assert_eq!(code, 2, "{stderr}");
            assert!(stderr.contains(says), "{stderr}");
        }
        assert!(!runner.path("runs").exists());
    };
    let no_part = "sweep.monitor: `validation_loss` needs a validation part";
    refused("sweep.monitor=validation_loss", no_part);
    refused("sweep.monitor=val_loss", "there is no `val_loss`");
    refused("sweep.monitor=running_loss", "sweep.monitor: there is no `running_loss`");
    // Ranked by the validation loss, which the second has not.
    let two =
        sweep("[sweep]\ntype = \"grid\"\nvary = [{ key = \"data.validation\", values = [0.3, 0.0] }]\n");
    let Ended { code, stderr, .. } = two.run(["sweep", "x.toml", "--out", "s"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains(no_part) && stderr.contains("of trial 1: data.validation=0.0"), "{stderr}");
    assert!(!two.path("s").exists());
}

#[test]
fn a_score_that_is_not_defined_does_not_mean_that_a_trial_diverged() {
    let runner = sweep(
        "[metrics]\nreport = [\"accuracy\"]\n[sweep]\ntype = \"grid\"\nmonitor = \"train_accuracy\"\nvary = [{ key = \"seed\", values = [1, 2] }]\n",
    );
    runner.done(["sweep", "x.toml", "--out", "s"]);
    let before = ranking(&runner, "s/ranking.csv");
    assert!(before[1][2] >= before[2][2], "{before:?}");
    let best = format!("{}/result.json", before[1][6]);
    let mut result = runner.json(&best);
    result["metrics"]["train"]["accuracy"] = serde_json::Value::Null;
    runner.write(&best, result.to_string());
    runner.done(["sweep", "x.toml", "--out", "s"]);
    let rows = ranking(&runner, "s/ranking.csv");
    assert_eq!(
        (rows[2][1].as_str(), rows[2][2].as_str(), rows[2][4].as_str()),
        (before[1][1].as_str(), "", "done")
    );
}

#[test]
fn paths_are_relative_to_the_file_of_the_sweep() {
    let runner = Runner::new();
    let data = "type = \"csv\"\npath = \"none.csv\"\ntarget = \"y\"\n";
    let text = SGD.replace("type = \"synthetic\"\nsamples = 60\ninput_shape = [6]\nclasses = 3\n", data);
    let vary =
        "[sweep]\ntype = \"grid\"\nvary = [{ key = \"data.path\", values = [\"a.csv\", \"b.csv\"] }]\n";
    runner.write("sub/x.toml", format!("{text}{vary}"));
    for (name, factor) in [("a", 1), ("b", 2)] {
        let rows: String = (0..30).map(|row| format!("{},{}\n", row * factor, row % 3)).collect();
        runner.write(&format!("sub/{name}.csv"), format!("x,y\n{rows}"));
    }
    runner.done(["sweep", "sub/x.toml", "--out", "s", "--set", "train.epochs=2"]);
    assert_eq!(ranking(&runner, "s/ranking.csv").len(), 3);
    fs::remove_file(runner.path("sub/b.csv")).unwrap();
    let Ended { code, stderr, .. } = runner.run(["sweep", "sub/x.toml", "--out", "t"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(!runner.path("t").exists(), "nothing is trained before every trial is known to be right");
}

#[test]
fn more_jobs_than_trials_are_possible() {
    let runner = sweep("[sweep]\ntype = \"grid\"\nvary = [{ key = \"seed\", values = [1, 2] }]\n");
    runner.done(["sweep", "x.toml", "--out", "s", "--index", "3", "--of", "4"]);
    assert_eq!(ranking(&runner, "s/ranking-3-of-4.csv").len(), 1);
    assert_eq!(runner.entries(), ["s/", "s/ranking-3-of-4.csv", "x.toml"]);
}

#[test]
fn what_changes_no_result_may_change_between_two_calls() {
    let runner = sweep(GRID);
    runner.done(["sweep", "x.toml", "--out", "s"]);
    let before = runner.bytes("s/ranking.csv");
    runner.done([
        "sweep",
        "x.toml",
        "--out",
        "s",
        "--set",
        "runtime.threads=2",
        "--set",
        "checkpoint.keep_last=2",
    ]);
    assert_eq!(runner.bytes("s/ranking.csv"), before);
}

#[test]
fn a_directory_of_another_sweep_is_left_alone() {
    let runner = sweep(GRID);
    runner.done(["sweep", "x.toml", "--out", "s"]);
    let before = runner.bytes("s/00000/model.safetensors");
    let Ended { code, stderr, .. } = runner.run(["sweep", "x.toml", "--out", "s", "--set", "train.epochs=3"]);
    assert_eq!(code, 5, "{stderr}");
    assert!(
        stderr.contains("this run is of another experiment than this trial: it differs in `train.epochs`"),
        "{stderr}"
    );
    assert_eq!(runner.bytes("s/00000/model.safetensors"), before);
}

#[test]
fn an_interrupted_sweep_stores_its_trials_and_goes_on() {
    let runner = Runner::new();
    runner.write(
        "x.toml",
        format!("{}{GRID}", SGD.replace("every_steps = 4", "").replace("epochs = 40", "epochs = 12000")),
    );
    let mut command = runner.command(["sweep", "x.toml", "--out", "s", "--threads", "2"]);
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    while !runner.path("s/00000").exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(Duration::from_millis(30));
    // Of the shell: not every system has a program of this name.
    let kill = format!("kill -INT {}", child.id());
    let signal = std::process::Command::new("sh").args(["-c", &kill]).status();
    assert!(signal.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("go on with `runner sweep x.toml --out s --threads 2`"), "{stderr}");
    assert!(runner.path("s/00000/checkpoints/step-000000000000").is_file(), "{:?}", runner.entries());
    runner.done(["sweep", "x.toml", "--out", "s", "-q"]);
    runner.done(["sweep", "x.toml", "--out", "straight", "-q"]);
    let ranking = |out: &str| runner.text(format!("{out}/ranking.csv")).replace(&format!("{out}/"), "");
    assert_eq!(ranking("s"), ranking("straight"));
}

#[test]
fn a_sweep_of_which_every_trial_diverges_ends_as_a_run_that_does() {
    let runner = sweep(
        "[sweep]\ntype = \"grid\"\nvary = [{ key = \"optimizer.learning_rate\", values = [1e39, 2e39] }]\n",
    );
    let Ended { code, stderr, .. } = runner.run(["sweep", "x.toml", "--out", "s"]);
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("error: every trial diverged\n  = help: "), "{stderr}");
    assert!(ranking(&runner, "s/ranking.csv")[1..].iter().all(|row| row[4] == "diverged"));
}

#[test]
fn a_trial_that_stopped_early_is_ranked_by_its_score() {
    let runner = Runner::new();
    let early = "monitor = \"running_loss\"\n[early_stopping]\npatience = 1\n";
    let vary =
        "[sweep]\ntype = \"grid\"\nvary = [{ key = \"optimizer.learning_rate\", values = [1e-4, 0.05] }]\n";
    runner.write("x.toml", format!("{}{vary}", SGD.replace("[checkpoint]", &format!("{early}[checkpoint]"))));
    runner.done(["sweep", "x.toml", "--out", "s"]);
    let rows = ranking(&runner, "s/ranking.csv");
    let column =
        |column: usize| rows[1..].iter().map(|row| row[column].parse().unwrap()).collect::<Vec<f64>>();
    // The better one stopped long before the other.
    assert!(column(2).is_sorted() && column(3) == [3.0, 40.0], "{rows:?}");
}
