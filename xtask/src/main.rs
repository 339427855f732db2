//! `cargo run -p xtask -- TASK`: checks that take too long for every test run. Their last results are in `docs/`.
#![allow(clippy::print_stdout, clippy::print_stderr)] // It has no other way to report.

mod accuracy;
mod mutants;
mod soak;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo run -p xtask -- TASK

  mutants [FILE...] [--each N]   plants bugs in the backward code of core, N a function (default 2), and runs core's tests;
                                 writes docs/mutants.md if no file is named
  accuracy [CONFIG...]           trains the experiments of configs/ on their real data, several seeds each;
                                 writes docs/accuracy.md if no experiment is named
  soak [KILLS]                   kills training again and again, KILLS times (default 500) each of two experiments,
                                 and compares what is left";

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((task, rest)) if task == "mutants" => mutants::run(&root(), rest),
        Some((task, rest)) if task == "accuracy" => accuracy::run(&root(), rest),
        Some((task, rest)) if task == "soak" => soak::run(&root(), rest),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
