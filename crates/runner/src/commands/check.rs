//! `runner check`: everything that `train` does before the first step.

use super::{load, print, print_data};
use crate::cli::CheckArgs;
use crate::console::Console;
use crate::error::Failure;
use crate::experiment::Experiment;
use crate::registry::{Number, Registry};
use crate::session::Session;
use crate::spec::Dtype;

/// Checks an experiment and its data.
///
/// # Errors
/// As `train`'s before it starts.
pub fn run(arguments: &CheckArgs, registry: &Registry, console: Console) -> Result<(), Failure> {
    let experiment = load(&arguments.experiment, registry)?;
    let verdict = match experiment.dtype {
        Dtype::F32 => check::<f32>(&experiment, registry)?,
        Dtype::F64 => check::<f64>(&experiment, registry)?,
    };
    if arguments.resolved {
        return print_data(console, experiment.resolved_toml().trim_end());
    }
    print(console, &format!("{}: {verdict}", arguments.experiment.experiment.display()))
}

fn check<F: Number>(experiment: &Experiment, registry: &Registry) -> Result<String, Failure> {
    let session = Session::<F>::new(experiment, registry, None)?;
    // Start weights are read here too: what `train` would refuse, `check` refuses.
    session.start(experiment)?;
    let mut verdict =
        format!("ok, {} parameters, {} training samples", session.parameter_count, session.train.len());
    for (name, part) in session.parts().skip(1) {
        verdict += &format!(", {} {name}", part.len());
    }
    Ok(verdict)
}
