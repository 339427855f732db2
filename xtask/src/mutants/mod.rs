//! Plants bugs in the backward code and sees whether a test notices.
//!
//! cargo-mutants does this for any code, in hours; here every function that computes a gradient gets a few bugs, evenly
//! spread over it, in a copy of the core crate, and only core's own tests judge them.

mod source;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use source::{Mutant, mutants_of};

/// Folders of core with gradients in them.
const FOLDERS: [&str; 4] = ["src/affine", "src/layers", "src/activation", "src/loss"];

/// Files with gradients in them beside those.
const FILES: [&str; 2] = ["src/affine.rs", "src/objective.rs"];

/// A loop that a bug made endless is a bug that was noticed.
const PATIENCE: Duration = Duration::from_secs(120);

/// A bug that changes nothing, and why.
#[derive(Debug, Deserialize)]
struct Equivalent {
    file: String,
    /// The line as it was, without its indentation.
    line: String,
    change: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Equivalents {
    #[serde(default)]
    equivalent: Vec<Equivalent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Killed,
    Survived,
    /// It does not compile.
    Unviable,
}

/// Runs the task.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let (each, named) = parse(arguments)?;
    let work = prepare(root)?;
    let equivalents = fs::read_to_string(root.join("xtask/equivalents.toml")).map_err(|e| e.to_string())?;
    let equivalents: Equivalents = toml::from_str(&equivalents).map_err(|e| e.to_string())?;
    let wanted = |path: &Path| named.is_empty() || named.iter().any(|name| path.ends_with(name));
    let mut rows = Vec::new();
    let mut survivors = 0;
    forget_builds(&work)?;
    test(&work, "").map_err(|error| format!("the tests fail without any bug: {error:?}"))?;
    for path in files(&work)?.into_iter().filter(|path| wanted(path)) {
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let file = path.strip_prefix(&work).unwrap_or(&path).display().to_string();
        for mutant in mutants_of(&text, each) {
            fs::write(&path, &mutant.text).map_err(|error| error.to_string())?;
            let verdict = judge(&work, &module(&file));
            fs::write(&path, &text).map_err(|error| error.to_string())?;
            let reason = equivalents.equivalent.iter().find(|known| {
                known.file == file && known.line == mutant.line && known.change == mutant.change
            });
            if verdict == Verdict::Survived && reason.is_none() {
                survivors += 1;
            }
            println!("{verdict:?}: {file}:{} in {}: {}", mutant.number, mutant.function, mutant.change);
            rows.push((file.clone(), mutant, verdict, reason.map(|known| known.reason.clone())));
        }
    }
    if named.is_empty() {
        fs::write(root.join("docs/mutants.md"), report(&rows)).map_err(|error| error.to_string())?;
    }
    match survivors {
        0 => Ok(()),
        _ => Err(format!("{survivors} planted bugs were not noticed")),
    }
}

fn parse(arguments: &[String]) -> Result<(usize, Vec<String>), String> {
    let mut each = 2;
    let mut named = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--each" {
            let count = rest.next().and_then(|count| count.parse().ok());
            each = count.ok_or("--each takes a number")?;
        } else {
            named.push(argument.clone());
        }
    }
    Ok((each, named))
}

/// A copy of the workspace with the core crate alone, which is built without optimisation.
fn prepare(root: &Path) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| error.to_string();
    let work = root.join("target/mutants");
    let core = work.join("crates/core");
    if core.exists() {
        fs::remove_dir_all(&core).map_err(failed)?;
    }
    copy(&root.join("crates/core"), &core).map_err(failed)?;
    let manifest = fs::read_to_string(root.join("Cargo.toml")).map_err(failed)?;
    let members = "members = [\"crates/core\"]";
    let lines = manifest.lines().map(|line| match line {
        line if line.starts_with("members") => members,
        line if line.starts_with("default-members") || line.starts_with("chainrule-") => "",
        line => line,
    });
    fs::write(work.join("Cargo.toml"), lines.collect::<Vec<_>>().join("\n")).map_err(failed)?;
    fs::copy(root.join("Cargo.lock"), work.join("Cargo.lock")).map_err(failed)?;
    Ok(core)
}

/// A run that was killed leaves a bug in what it had built.
fn forget_builds(core: &Path) -> Result<(), String> {
    let cleaned = cargo(core, &["clean", "--quiet", "--offline", "--package", "chainrule-core"]).status();
    match cleaned {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("cargo clean: {other:?}")),
    }
}

fn cargo(core: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(core).env("RUST_BACKTRACE", "0").env("CARGO_TARGET_DIR", core.join("../../build"));
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// All files with gradients, in order.
fn files(core: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found: Vec<PathBuf> = FILES.iter().map(|file| core.join(file)).collect();
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|folder| core.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))? {
            let path = entry.map_err(|error| error.to_string())?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("check.rs")
            {
                // What tests share is no gradient.
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// `layers::dense` of `src/layers/dense.rs`: whose tests are asked first.
fn module(file: &str) -> String {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    path.replace('/', "::")
}

fn judge(core: &Path, module: &str) -> Verdict {
    for filter in [module, ""] {
        match test(core, filter) {
            Ok(()) => {}
            Err(verdict) => return verdict,
        }
    }
    Verdict::Survived
}

fn test(core: &Path, filter: &str) -> Result<(), Verdict> {
    let built = cargo(core, &["test", "--quiet", "--offline", "--lib", "--no-run"]).status();
    if !built.is_ok_and(|status| status.success()) {
        return Err(Verdict::Unviable);
    }
    let mut child = cargo(core, &["test", "--quiet", "--offline", "--lib", "--", filter])
        .spawn()
        .map_err(|_| Verdict::Unviable)?;
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(_)) | Err(_) => return Err(Verdict::Killed),
            Ok(None) if start.elapsed() > PATIENCE => {
                let _ = child.kill();
                return Err(Verdict::Killed);
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn report(rows: &[(String, Mutant, Verdict, Option<String>)]) -> String {
    let count = |verdict| rows.iter().filter(|row| row.2 == verdict).count();
    let survived = rows.iter().filter(|row| row.2 == Verdict::Survived);
    let (equivalent, missed): (Vec<_>, Vec<_>) = survived.partition(|row| row.3.is_some());
    let mut text = format!(
        "# Planted bugs\n\nWritten by `cargo run --release -p xtask -- mutants`. Every function of core that computes a gradient \
         gets a few bugs, one at a\ntime; core's own tests must notice each.\n\n\
         {} planted, {} noticed, {} do not compile, {} change nothing, {} missed.\n",
        rows.len(),
        count(Verdict::Killed),
        count(Verdict::Unviable),
        equivalent.len(),
        missed.len()
    );
    for (title, list) in [("Missed", missed), ("Change nothing", equivalent)] {
        if list.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n## {title}\n\n| where | line | change | why |\n|---|---|---|---|");
        for (file, mutant, _, reason) in list {
            let reason = reason.as_deref().unwrap_or_default();
            let _ = writeln!(
                text,
                "| {file}, {} | `{}` | `{}` | {reason} |",
                mutant.function, mutant.line, mutant.change
            );
        }
    }
    let _ = writeln!(text, "\n## All\n\n| file | functions | planted | noticed |\n|---|---|---|---|");
    let mut files: Vec<&String> = rows.iter().map(|row| &row.0).collect();
    files.dedup();
    for file in files {
        let own: Vec<_> = rows.iter().filter(|row| row.0 == *file && row.2 != Verdict::Unviable).collect();
        let mut functions: Vec<&str> = own.iter().map(|row| row.1.function.as_str()).collect();
        functions.sort_unstable();
        functions.dedup();
        let noticed = own.iter().filter(|row| row.2 == Verdict::Killed).count();
        let _ = writeln!(text, "| {file} | {} | {} | {noticed} |", functions.join(", "), own.len());
    }
    text
}
