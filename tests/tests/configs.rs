//! Every experiment of `configs/`: it is correct, it trains, and what it gives depends on nothing but the file.

use std::fs;
use std::path::{Path, PathBuf};

use chainrule_tests::little::little;
use chainrule_tests::runner::{Ended, Runner};

/// All `.toml` files under `configs/`.
fn configs() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("configs") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                found.push(path.canonicalize().expect("a path"));
            }
        }
    }
    found.sort();
    found
}

/// Those that are shown: without `configs/bench`, whose nets are large and have nothing to say to these tests that others
/// do not.
fn shown() -> Vec<PathBuf> {
    configs().into_iter().filter(|path| !text(path).contains("configs/bench")).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

/// The digest of the parameters of a run.
fn digest(runner: &Runner, run: &str) -> String {
    let result = runner.json(format!("{run}/result.json"));
    result["parameters_blake3"].as_str().expect("a digest").to_owned()
}

/// Calls the verb with the config, little of its data, and more arguments.
fn call(runner: &Runner, verb: &str, config: &str, more: &[&str]) -> Ended {
    let little = little(config);
    let sets = little.iter().flat_map(|set| ["--set", set]);
    runner.done([verb, config].into_iter().chain(sets).chain(more.iter().copied()))
}

/// Trains for two epochs into `out`.
fn train(runner: &Runner, config: &str, out: &str, more: &[&str]) {
    let brief = ["--set", "train.epochs=2", "--out", out];
    call(runner, "train", config, &[&brief[..], more].concat());
}

#[test]
fn the_notebook_and_exclusive_or_are_among_them() {
    let names: Vec<String> =
        configs().iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    for name in ["gender.toml", "xor.toml"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
}

#[test]
fn every_config_passes_check() {
    for config in configs() {
        let runner = Runner::new();
        let ended = call(&runner, "check", text(&config), &[]);
        assert!(ended.stdout.starts_with(&format!("{}: ok, ", config.display())), "{}", ended.stdout);
        assert_eq!(ended.stderr, "");
        assert_eq!(runner.entries(), [""; 0]);
    }
}

#[test]
fn every_config_trains_and_leaves_a_complete_run() {
    for config in configs() {
        let runner = Runner::new();
        train(&runner, text(&config), "run", &[]);
        let files = ["checkpoints/last", "config.toml", "metrics.jsonl", "model.safetensors", "result.json"];
        for file in files {
            assert!(runner.path("run").join(file).is_file(), "{}: {file}", config.display());
        }
        assert_eq!(runner.json("run/result.json")["epochs"], 2);
        let last = runner.json_lines("run/metrics.jsonl").pop().expect("a line");
        assert_eq!(last["epoch"], 2, "{}", config.display());
    }
}

#[test]
fn the_resolved_config_gives_the_same_result_from_anywhere() {
    for config in shown() {
        let (runner, elsewhere) = (Runner::new(), Runner::new());
        train(&runner, text(&config), "run", &[]);
        let resolved = runner.path("run/config.toml");
        elsewhere.done(["train", text(&resolved), "--out", "again"]);
        assert_eq!(digest(&runner, "run"), digest(&elsewhere, "again"), "{}", config.display());
        assert_eq!(runner.bytes("run/model.safetensors"), elsewhere.bytes("again/model.safetensors"));
        assert_eq!(runner.text("run/config.toml"), elsewhere.text("again/config.toml"));
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    for config in shown() {
        let runner = Runner::new();
        train(&runner, text(&config), "one", &[]);
        train(&runner, text(&config), "two", &[]);
        train(&runner, text(&config), "other", &["--set", "seed=12345"]);
        assert_eq!(runner.bytes("one/model.safetensors"), runner.bytes("two/model.safetensors"));
        assert_ne!(digest(&runner, "one"), digest(&runner, "other"), "{}", config.display());
    }
}

#[test]
fn neither_threads_nor_progress_nor_words_nor_checkpoints_change_a_result() {
    let ways: [&[&str]; 12] = [
        &["--threads", "1"],
        &["--threads", "2"],
        &["--threads", "4"],
        &["--threads", "8"],
        &["--set", "runtime.threads=3"],
        &["--set", "checkpoint.every_steps=2"],
        &["--threads", "2", "--set", "checkpoint.every_epochs=1", "--set", "checkpoint.save_best=true"],
        &["--progress", "none"],
        &["--progress", "plain"],
        &["--progress", "json"],
        &["-q"],
        &["-v", "--progress", "bar"],
    ];
    for config in configs() {
        let runner = Runner::new();
        train(&runner, text(&config), "plain", &[]);
        for (index, way) in ways.iter().enumerate() {
            let out = format!("way-{index}");
            train(&runner, text(&config), &out, way);
            assert_eq!(digest(&runner, "plain"), digest(&runner, &out), "{} {way:?}", config.display());
            let model = |run| runner.bytes(format!("{run}/model.safetensors"));
            assert_eq!(model("plain"), model(&out), "{} {way:?}", config.display());
        }
    }
}
