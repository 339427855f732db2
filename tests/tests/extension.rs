//! Layers, activations and losses of a user's own: the example programs, run as a user runs them, and the guide that
//! quotes them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect("a file of the project")
}

/// Runs an example by cargo, from the workspace's root, as the guide says.
fn run(example: &str, arguments: &[&str]) -> Output {
    let package = format!("chainrule-example-{example}");
    Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", &package, "--"])
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo runs")
}

fn succeeds(example: &str, arguments: &[&str]) -> String {
    let output = run(example, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What a program of an example must do with its own type.
fn trains_checks_and_explains(example: &str, file: &str, name: &str, predicted: &str, derivative: &str) {
    let file = format!("examples/{example}/{file}");
    let out = tempfile::tempdir().expect("a temporary folder");
    let run = out.path().join("run");
    let printed = succeeds(example, &[&file, "--quiet", "--out", run.to_str().expect("a path of text")]);
    assert!(printed.contains(predicted), "{printed}");
    assert!(run.join("model.safetensors").is_file());

    let table = succeeds(example, &["gradcheck"]);
    let row = table.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
    assert!(row.is_some_and(|row| row.ends_with(" ok")), "{table}");
    let checked = succeeds(example, &["gradcheck", &file]);
    assert!(checked.ends_with("no gradient is wrong\n"), "{checked}");
    let explained = succeeds(example, &["explain", &file]);
    assert!(explained.contains(derivative), "{explained}");
}

#[test]
fn an_activation_of_ones_own_fits_a_sine() {
    trains_checks_and_explains("activation", "snake.toml", "snake", "y0 0.949", "1 + sin(2 · 0.5 z)");
}

#[test]
fn a_layer_of_ones_own_learns_exclusive_or() {
    trains_checks_and_explains(
        "layer",
        "rbf.toml",
        "rbf",
        "1: 0 0.002, 1 0.998",
        "dc_jk = Σ_rows g_j (x_k - c_jk)",
    );
}

#[test]
fn a_loss_of_ones_own_finds_a_quantile() {
    trains_checks_and_explains(
        "loss",
        "pinball.toml",
        "pinball",
        "y0 8.000",
        "max(0.8 (t - y), (1 - 0.8) (y - t))",
    );
}

#[test]
fn a_type_of_ones_own_is_listed_and_in_the_schema() {
    for (example, kind, name) in
        [("activation", "activations", "snake"), ("layer", "layers", "rbf"), ("loss", "losses", "pinball")]
    {
        let listed = succeeds(example, &["list", kind]);
        assert!(listed.lines().any(|line| line.starts_with(&format!("{name} "))), "{listed}");
        let schema = succeeds(example, &["schema"]);
        assert!(schema.contains(&format!("\"const\": \"{name}\"")), "{schema}");
    }
    let keys = succeeds("layer", &["list", "layers", "rbf"]);
    assert!(keys.lines().any(|line| line.starts_with("units ") && line.contains(">= 1")), "{keys}");
}

#[test]
fn a_mistake_in_a_key_of_ones_own_is_shown_where_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("rbf.toml");
    std::fs::write(&path, read("examples/layer/rbf.toml").replace("gamma", "gama")).expect("a file");
    let output = run("layer", &["check", path.to_str().expect("a path of text")]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.starts_with("error: unknown key `gama` in model.layers[0]"), "{message}");
    assert!(message.contains("rbf.toml:12:45"), "{message}");
    assert!(message.contains("did you mean `gamma`?"), "{message}");

    let output = run("layer", &["check", "examples/layer/rbf.toml", "--set", "model.layers.0.gamma=-1"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("model.layers[0].gamma must be greater than 0, found -1"), "{message}");
    assert!(message.contains("--set:1:"), "{message}");
}

/// The blocks of the guide in this language.
fn blocks(guide: &str, language: &str) -> Vec<String> {
    let start = format!("```{language}\n");
    let block = |part: &str| part.split("```").next().unwrap_or_default().to_owned();
    guide.split(&start).skip(1).map(block).collect()
}

#[test]
fn the_guide_quotes_code_that_is_compiled_and_run() {
    let guide = read("docs/extending.md");
    let code = read("examples/layer/src/main.rs");
    let rust = blocks(&guide, "rust");
    assert!(rust.len() >= 6, "{}", rust.len());
    for block in &rust {
        assert!(code.contains(block.trim_end()), "not in the example:\n{block}");
    }
    let files = read("examples/layer/Cargo.toml") + &read("examples/layer/rbf.toml");
    for block in blocks(&guide, "toml") {
        assert!(files.contains(block.trim_end()), "not in the example:\n{block}");
    }
    let derivation = blocks(&guide, "text").concat();
    assert!(derivation.lines().all(|line| code.contains(line)), "{derivation}");
}
