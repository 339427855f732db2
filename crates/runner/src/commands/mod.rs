//! The verbs of the command line, one file each.

pub mod check;
pub mod completions;
pub mod eval;
pub mod explain;
pub mod generate;
pub mod gradcheck;
pub mod list;
pub mod man;
pub mod new;
pub mod predict;
pub mod resume;
pub mod schema;
pub mod summary;
pub mod sweep;
pub mod train;

use std::io;
use std::path::Path;

use crate::cli::ExperimentArgs;
use crate::console::Console;
use crate::error::Failure;
use crate::experiment::Experiment;
use crate::registry::Registry;

/// Loads the experiment that a command names.
fn load(arguments: &ExperimentArgs, registry: &Registry) -> Result<Experiment, Failure> {
    Experiment::load(&arguments.experiment, &arguments.overrides, registry)
}

/// The `config.toml` of a run is not the user's experiment: what is wrong with it is wrong with the run.
fn of_run(failure: Failure, config: &Path) -> Failure {
    match failure {
        Failure::Experiment(..) | Failure::Unreadable(_) => Failure::Run {
            path: config.to_owned(),
            message: format!("this is not the experiment of a run\n\n{}", failure.render(false).trim_end()),
        },
        other => other,
    }
}

/// Writes a result to stdout.
fn print(console: Console, text: &str) -> Result<(), Failure> {
    console.result(text).map_err(|source: io::Error| Failure::io("write to", "stdout")(source))
}
