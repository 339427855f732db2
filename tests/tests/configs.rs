//! Every experiment of `configs/`: it is correct, it trains, and what it gives depends on nothing but the file.

use std::fs;
use std::path::{Path, PathBuf};

use chainrule_tests::runner::Runner;

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

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

/// The digest of the parameters of a run.
fn digest(runner: &Runner, run: &str) -> String {
    let result = runner.json(format!("{run}/result.json"));
    result["parameters_blake3"].as_str().expect("a digest").to_owned()
}

/// Trains for two epochs into `out`.
fn train(runner: &Runner, config: &str, out: &str, more: &[&str]) {
    let brief = ["train", config, "--set", "train.epochs=2", "--out", out];
    runner.done(brief.iter().chain(more));
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
        let ended = runner.done(["check", text(&config)]);
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
        let files =
            ["run/", "run/config.toml", "run/metrics.jsonl", "run/model.safetensors", "run/result.json"];
        assert_eq!(runner.entries(), files, "{}", config.display());
        assert_eq!(runner.json("run/result.json")["epochs"], 2);
        let last = runner.json_lines("run/metrics.jsonl").pop().expect("a line");
        assert_eq!(last["epoch"], 2, "{}", config.display());
    }
}

#[test]
fn the_resolved_config_gives_the_same_result_from_anywhere() {
    for config in configs() {
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
    for config in configs() {
        let runner = Runner::new();
        train(&runner, text(&config), "one", &[]);
        train(&runner, text(&config), "two", &[]);
        train(&runner, text(&config), "other", &["--set", "seed=12345"]);
        assert_eq!(runner.bytes("one/model.safetensors"), runner.bytes("two/model.safetensors"));
        assert_ne!(digest(&runner, "one"), digest(&runner, "other"), "{}", config.display());
    }
}

#[test]
fn neither_threads_nor_progress_nor_words_change_a_result() {
    let ways: [&[&str]; 9] = [
        &["--threads", "1"],
        &["--threads", "2"],
        &["--threads", "4"],
        &["--set", "runtime.threads=3"],
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
