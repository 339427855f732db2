//! Trains the experiments of `configs/` on their real data and writes down how good they are.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::Value as Json;

/// An experiment and what it must reach.
#[derive(Debug, Deserialize)]
struct Claim {
    config: String,
    /// The key of `result.json`'s `metrics`, such as `test.accuracy`.
    metric: String,
    #[serde(default)]
    at_least: Option<f64>,
    #[serde(default)]
    at_most: Option<f64>,
    seeds: Vec<u64>,
    /// A file without which the experiment is left out: data that a package carries.
    #[serde(default)]
    needs: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    claim: Vec<Claim>,
}

/// Runs the task.
pub(crate) fn run(root: &Path, named: &[String]) -> Result<(), String> {
    let text = fs::read_to_string(root.join("xtask/accuracy.toml")).map_err(|error| error.to_string())?;
    let claims: Claims = toml::from_str(&text).map_err(|error| error.to_string())?;
    build(root)?;
    let mut table = String::from(
        "| experiment | metric | asked | by seed | worst | seconds |\n|---|---|---|---|---|---|\n",
    );
    let mut missed = Vec::new();
    for claim in claims.claim.iter().filter(|claim| named.is_empty() || named.contains(&claim.config)) {
        if let Some(path) = claim.needs.as_ref().filter(|path| !Path::new(path).exists()) {
            println!("{}: left out, there is no {path}", claim.config);
            continue;
        }
        let mut values = Vec::new();
        let mut seconds = 0.0;
        for &seed in &claim.seeds {
            let result = train(root, &claim.config, seed)?;
            let value = metric(&result, &claim.metric)?;
            println!("{} seed {seed}: {} {value}", claim.config, claim.metric);
            values.push(value);
            seconds += result["train_seconds"].as_f64().unwrap_or_default();
        }
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (asked, worst, holds) = match (claim.at_least, claim.at_most) {
            (Some(bound), _) => (format!("at least {bound}"), lowest, lowest >= bound),
            (_, Some(bound)) => (format!("at most {bound}"), highest, highest <= bound),
            _ => ("none".into(), lowest, true),
        };
        if !holds {
            missed.push(claim.config.clone());
        }
        let listed: Vec<String> = values.iter().map(|value| format!("{value:.4}")).collect();
        let _ = writeln!(
            table,
            "| {} | {} | {asked} | {} | {worst:.4} | {:.0} |",
            claim.config,
            claim.metric,
            listed.join(" "),
            seconds / claim.seeds.len() as f64
        );
    }
    if named.is_empty() {
        let head = "# How good the shown experiments are\n\nWritten by `cargo run --release -p xtask -- accuracy`: the experiments \
                    of `configs/` on their real data, seconds of training a run\non two shared cores.\n\n";
        fs::write(root.join("docs/accuracy.md"), format!("{head}{table}"))
            .map_err(|error| error.to_string())?;
    }
    if missed.is_empty() { Ok(()) } else { Err(format!("not reached: {}", missed.join(", "))) }
}

fn build(root: &Path) -> Result<(), String> {
    let status = Command::new("cargo").current_dir(root).args(["build", "--release", "--locked"]).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err("the runner cannot be built".into()),
    }
}

/// Trains with a seed; what the run found.
fn train(root: &Path, config: &str, seed: u64) -> Result<Json, String> {
    let out = root.join("target/accuracy").join(format!("{config}_{seed}"));
    let runner = root.join("target/release/runner");
    let status = Command::new(runner)
        .current_dir(root)
        .args(["train", &format!("configs/{config}.toml"), "--force", "--progress", "none"])
        .args(["--set", &format!("seed={seed}")])
        .arg("--out")
        .arg(&out)
        .status();
    if !status.is_ok_and(|status| status.success()) {
        return Err(format!("{config} with seed {seed} does not train"));
    }
    let text = fs::read_to_string(out.join("result.json")).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn metric(result: &Json, name: &str) -> Result<f64, String> {
    let mut value = &result["metrics"];
    for key in name.split('.') {
        value = &value[key];
    }
    value.as_f64().ok_or_else(|| format!("the result has no metric {name}"))
}
