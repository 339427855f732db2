//! `runner explain`: the chain rule of an experiment's network, derived and computed.

use super::{load, print};
use crate::cli::ExplainArgs;
use crate::console::Console;
use crate::error::Failure;
use crate::explain::{explain, render};
use crate::registry::Registry;
use crate::storage::{self, Disk};

/// Derives the gradients of an experiment's network; with `--sample`, puts the numbers in.
///
/// # Errors
/// As `check`'s; [`Failure::Usage`] if there is no such sample.
pub fn run(arguments: &ExplainArgs, registry: &Registry, console: Console) -> Result<(), Failure> {
    let experiment = load(&arguments.experiment, registry)?;
    let explanation = explain(&experiment, registry, arguments.sample)?;
    if arguments.sample.is_some() {
        console.detail(&format!("start weights of seed {}, computed in f64", experiment.seed));
    }
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&explanation).expect("an explanation is always JSON") + "\n";
        storage::write_atomically(&Disk, path, text.as_bytes())?;
    }
    print(console, &render(&explanation))
}
