//! `runner train`: from an experiment to a run directory.

use chainrule_trainer::State;

use super::load;
use crate::checkpoint::{Belongs, data_digest, fingerprint};
use crate::cli::TrainArgs;
use crate::console::Console;
use crate::error::Failure;
use crate::experiment::Experiment;
use crate::registry::{Number, Registry};
use crate::run_dir::{Existing, RunDir};
use crate::session::Session;
use crate::signals::Interrupt;
use crate::spec::Dtype;
use crate::storage::Disk;
use crate::training::{Training, first_checkpoint};
use crate::weights::Weights;

/// Trains an experiment and writes its run directory.
///
/// # Errors
/// Whatever the contract has an exit code for; before training starts, nothing has been written.
pub fn run(arguments: &TrainArgs, registry: &Registry, console: Console) -> Result<(), Failure> {
    let experiment = load(&arguments.experiment, registry)?;
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
    let Weights { theta, buffers } = session.start(experiment)?;
    let state = State::new(theta, buffers, session.optimizer.as_ref());
    let existing = if arguments.force { Existing::Replace } else { Existing::Keep };
    let path = RunDir::choose(arguments.out.as_deref(), &experiment.name, existing)?;
    let belongs = Belongs {
        experiment: fingerprint(&experiment.resolved),
        data: data_digest(session.parts()),
        preprocessing: session.preprocessing.clone(),
    };
    let checkpoint = first_checkpoint(&session, &state, &belongs, 0)?;
    let interrupt = Interrupt::listen().map_err(Failure::io("listen to", "signals"))?;
    let run = RunDir::create(&Disk, &path, &experiment.resolved_toml(), &checkpoint, existing)?;
    let metrics = run.metrics()?;
    let training = Training {
        experiment,
        registry,
        session: &session,
        run: &run,
        belongs: &belongs,
        system: &Disk,
        arguments: &arguments.training,
        interrupt: &interrupt,
        console,
    };
    training.go_on(state, metrics, Some(0))
}
