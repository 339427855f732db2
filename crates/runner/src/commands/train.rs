//! `runner train`: from an experiment to a run directory.

use super::{load, print};
use crate::cli::TrainArgs;
use crate::console::Console;
use crate::error::Failure;
use crate::experiment::Experiment;
use crate::registry::{Number, Registry};
use crate::run_dir::{Existing, Place};
use crate::session::Session;
use crate::signals::Interrupt;
use crate::spec::Dtype;
use crate::storage::Disk;
use crate::training::{self, Context};

/// Trains an experiment and writes its run directory.
///
/// # Errors
/// Whatever the contract has an exit code for; before training starts, nothing has been written.
pub fn run(arguments: &TrainArgs, registry: &Registry, console: Console) -> Result<(), Failure> {
    let experiment = load(&arguments.experiment, registry)?;
    if experiment.sweep.is_some() {
        let message = format!("{} has a [sweep]", arguments.experiment.experiment.display());
        let help = "run all of its trials with `runner sweep`, or remove the table".to_owned();
        return Err(Failure::Usage { message, help });
    }
    match experiment.dtype {
        Dtype::F32 => train::<f32>(&experiment, arguments, registry, console),
        Dtype::F64 => train::<f64>(&experiment, arguments, registry, console),
    }
}

fn train<F: Number>(
    experiment: &Experiment,
    arguments: &TrainArgs,
    registry: &Registry,
    console: Console,
) -> Result<(), Failure> {
    let session = Session::<F>::new(experiment, registry, None)?;
    let existing = if arguments.force { Existing::Replace } else { Existing::Keep };
    let place = Place { out: arguments.out.as_deref(), name: &experiment.name, existing };
    // Before anything is computed; it is chosen again when the directory is made.
    place.choose()?;
    let interrupt = Interrupt::listen().map_err(Failure::io("listen to", "signals"))?;
    let context = Context {
        registry,
        arguments: &arguments.training,
        interrupt: &interrupt,
        console,
        system: &Disk,
        pause_after: None,
    };
    let reached = training::start(context, experiment, &session, place)?;
    reached.predictions.map_or(Ok(()), |table| print(console, &table))
}
