//! `soak`: a run that is killed a thousand times.

use std::path::Path;
use std::process::Command;

use chainrule_tests::kills::{self, ADAM, SGD};

/// Kills of each experiment, unless asked otherwise.
const KILLS: usize = 500;

/// Kills the runs of two experiments again and again, and compares what they leave with what runs leave that nobody
/// killed.
///
/// # Errors
/// If something differs, in words.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let kills = match arguments {
        [] => KILLS,
        [count] => count.parse().map_err(|error| format!("{count}: {error}"))?,
        _ => return Err("soak [KILLS]".into()),
    };
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "-p", "chainrule-runner"]).current_dir(root);
    let status = build.status().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err("the program cannot be built".into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let program = target.join("release/runner").canonicalize().map_err(|error| error.to_string())?;
    for (name, experiment) in [("sgd", SGD), ("adam", ADAM)] {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let done = kills::kill(&program, folder.path(), experiment, kills)?;
        println!(
            "{name}: {} kills over {} runs, {} of them before there was a run directory, {} while resuming: the same bytes",
            done.kills, done.runs, done.before, done.resuming
        );
    }
    Ok(())
}
