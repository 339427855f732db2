//! What an experiment file says of training beyond epochs and batches: when it ends, what is averaged, what is skipped,
//! what epochs are judged by.

use chainrule_tests::kills::SGD;
use chainrule_tests::runner::{Ended, Runner};
use serde_json::Value as Json;

/// The experiment of three classes with a validation part and these tables and keys.
fn runner(tables: &str, replace: &[(&str, &str)]) -> Runner {
    let runner = Runner::new();
    let mut text = SGD.replace("classes = 3", "classes = 3\nvalidation = 0.3").replace("log_every = 3\n", "");
    for (from, to) in replace {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    runner.write("x.toml", format!("{text}\n{tables}"));
    runner
}

fn train(runner: &Runner, out: &str, sets: &[&str]) -> Json {
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    runner.done(["x.toml", "--out", out, "--progress", "none"].into_iter().chain(sets));
    runner.json(format!("{out}/result.json"))
}

#[test]
fn early_stopping_leaves_the_model_of_the_best_epoch() {
    let runner =
        runner("[early_stopping]\npatience = 5\n", &[("learning_rate = 0.05", "learning_rate = 0.3")]);
    let result = train(&runner, "run", &[]);
    assert_eq!(result["stopped_early"], true);
    let best = result["best_epoch"].as_u64().unwrap();
    assert_eq!(result["epochs"], best + 5);
    let lines = runner.json_lines("run/metrics.jsonl");
    let loss = |line: &Json| line["validation_loss"].as_f64().unwrap();
    assert!(lines.iter().all(|line| loss(line) >= loss(&lines[best as usize - 1])));
    assert_eq!(result["metrics"]["validation"]["loss"], lines[best as usize - 1]["validation_loss"]);
    let last = train(&runner, "last", &["early_stopping.restore_best=false"]);
    assert_eq!(last["metrics"]["validation"]["loss"], lines.last().unwrap()["validation_loss"]);
}

#[test]
fn epochs_are_judged_by_what_is_monitored_though_they_are_not_logged() {
    let tables = "[early_stopping]\npatience = 6\n[metrics]\nreport = [\"accuracy\"]\n";
    let runner = runner(tables, &[("every_steps = 4", "every_epochs = 3\nsave_best = true")]);
    let monitor = "train.monitor=\"validation_accuracy\"";
    let often = train(&runner, "often", &[monitor]);
    let rarely = train(&runner, "rarely", &[monitor, "train.log_every=1000"]);
    for key in ["best_epoch", "epochs", "parameters_blake3"] {
        assert_eq!(often[key], rarely[key], "{key}");
    }
    assert_eq!(runner.json_lines("rarely/metrics.jsonl").len(), 2);
    assert!(runner.path("often/checkpoints/best").is_file());
}

#[test]
fn steps_that_are_not_finite_are_left_out_if_asked_for() {
    let runner = Runner::new();
    runner.write(
        "x.toml",
        "data = { type = \"inline\", x = [[1.0], [2.0], [3.0]], y = [[1.0], [1e300], [2.0]] }\ndtype = \"f64\"\n\
         model.layers = [{ type = \"dense\", name = \"only\", units = 1 }]\nloss.type = \"mse\"\n\
         optimizer = { type = \"sgd\", learning_rate = 0.01 }\n\
         train = { epochs = 4, batch_size = 1, evaluate_train = false }\n",
    );
    let Ended { code, stderr, .. } = runner.run(["x.toml", "--out", "stops"]);
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("diverged: the loss became inf in epoch 1, step "), "{stderr}");
    assert!(stderr.contains("by sample(s) 1 of the data, counted from 0, of 1 in the step"), "{stderr}");
    // Whatever is taken out of the data to validate, samples keep the numbers that the file gives them.
    let split = ["data.validation=0.4", "seed=3", "train.shuffle=false"];
    let arguments = split.into_iter().flat_map(|key| ["--set", key]);
    let Ended { code, stderr, .. } = runner.run(["x.toml", "--out", "split"].into_iter().chain(arguments));
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("by sample(s) 1 of the data"), "{stderr}");
    let result = train(&runner, "skips", &["train.on_nonfinite=\"skip_step\""]);
    assert_eq!((&result["steps"], &result["skipped_steps"]), (&8.into(), &4.into()));
}

#[test]
fn averages_are_judged_and_left_in_place_of_the_parameters() {
    let runner = runner("", &[]);
    let plain = train(&runner, "plain", &[]);
    for (out, table) in [("ema", "{type=\"ema\",decay=0.9}"), ("swa", "{type=\"swa\",from_epoch=30}")] {
        let averaged = train(&runner, out, &[&format!("weight_averaging={table}")]);
        assert_ne!(averaged["parameters_blake3"], plain["parameters_blake3"]);
        let last = runner.json_lines(format!("{out}/metrics.jsonl")).pop().unwrap();
        assert_eq!(averaged["metrics"]["validation"]["loss"], last["validation_loss"]);
        // What is trained is not the average: its losses are those of the plain run.
        let plain = runner.json_lines("plain/metrics.jsonl").pop().unwrap();
        assert_eq!(last["running_loss"], plain["running_loss"]);
    }
}

#[test]
fn accumulated_batches_make_a_step() {
    let runner = runner("", &[]);
    // 42 samples: 6 batches of 7 an epoch.
    assert_eq!(train(&runner, "one", &[])["steps"], 240);
    assert_eq!(train(&runner, "four", &["train.accumulate=4"])["steps"], 80);
}

#[test]
fn a_plateau_lowers_the_learning_rate() {
    let tables =
        "[lr_schedule]\ntype = \"reduce_on_plateau\"\npatience = 0\nfactor = 0.5\nthreshold = 0.01\n";
    let runner = runner(tables, &[]);
    train(&runner, "run", &[]);
    let rates: Vec<f64> = runner
        .json_lines("run/metrics.jsonl")
        .iter()
        .map(|line| line["learning_rate"].as_f64().unwrap())
        .collect();
    assert!(rates.windows(2).all(|pair| pair[1] == pair[0] || pair[1] == pair[0] * 0.5), "{rates:?}");
    assert!(rates.last() < rates.first());
}

#[test]
fn a_monitor_that_is_not_there_is_a_mistake_at_its_place() {
    let stopping = "[early_stopping]\npatience = 5\n";
    let cases = [
        (stopping, "validation_los", "there is no `validation_los` (did you mean `validation_loss`?)"),
        (stopping, "validation_accuracy", "metrics are those of [metrics] report"),
        ("", "train_loss", "nothing looks at it"),
    ];
    for (tables, monitor, says) in cases {
        let runner = runner(tables, &[]);
        let set = format!("train.monitor=\"{monitor}\"");
        let Ended { code, stderr, .. } = runner.run(["check", "x.toml", "--set", &set]);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains("error: train.monitor: ") && stderr.contains(says), "{stderr}");
    }
    let runner = Runner::new();
    runner.write("x.toml", format!("{SGD}\n{stopping}"));
    let set = "train.monitor=\"validation_loss\"";
    let Ended { code, stderr, .. } = runner.run(["check", "x.toml", "--set", set]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("needs a validation part"), "{stderr}");
}
