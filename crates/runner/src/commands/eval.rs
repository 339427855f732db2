//! `runner eval`: a run's model on its data, once more.

use std::path::Path;

use chainrule_trainer::Threads;

use super::{of_run, print};
use crate::cli::RunArgs;
use crate::console::Console;
use crate::error::Failure;
use crate::evaluation;
use crate::experiment::Experiment;
use crate::predictor::{Card, inputs_json, layers_json};
use crate::registry::{Number, Registry};
use crate::run_dir::{CONFIG, MODEL, RunDir};
use crate::session::{Session, read_weights};
use crate::spec::Dtype;
use crate::weights::{self, Weights};

/// Evaluates the model of a run on the data of its experiment.
///
/// # Errors
/// [`Failure::Run`] if the directory is not a finished run, or its parts do not fit.
pub fn run(arguments: &RunArgs, registry: &Registry, console: Console) -> Result<(), Failure> {
    let run = RunDir::open(&arguments.run)?;
    let config = run.file(CONFIG);
    let experiment = Experiment::load(&config, &[], registry).map_err(|failure| of_run(failure, &config))?;
    match experiment.dtype {
        Dtype::F32 => eval::<f32>(&experiment, &run.file(MODEL), registry, console)
            .map_err(|failure| of_run(failure, &config)),
        Dtype::F64 => eval::<f64>(&experiment, &run.file(MODEL), registry, console)
            .map_err(|failure| of_run(failure, &config)),
    }
}

fn eval<F: Number>(
    experiment: &Experiment,
    model: &Path,
    registry: &Registry,
    console: Console,
) -> Result<(), Failure> {
    let unfit =
        |error: &dyn std::fmt::Display| Failure::Run { path: model.to_owned(), message: error.to_string() };
    // What the file may hold is not known before the network is; the limit is that of a model of 2^32 parameters.
    let bytes = read_weights(model, 1 << 32).map_err(|_| unfit(&"the run has no readable model"))?;
    let card = Card::of(&bytes).map_err(|error| unfit(&error))?;
    let of_experiment = (layers_json(&experiment.resolved), inputs_json(&experiment.resolved));
    if (card.layers, card.inputs) != of_experiment || card.dtype != experiment.dtype {
        return Err(unfit(&format!("the network of the model is not that of {CONFIG}")));
    }
    let session = Session::<F>::new(experiment, registry, Some(card.preprocessing))?;
    let mut model = Weights::<F>::zeros(session.parameter_count, &session.buffers);
    weights::decode(&bytes, session.tensors(), &mut model).map_err(|error| unfit(&error))?;
    let work = chainrule_trainer::Trainer::largest_work(&session.objective, 1, session.most_samples());
    let threads = Threads::for_work(experiment.runtime.threads, work)?;
    let evaluations = evaluation::evaluate(&session, model.values(), &threads)?;
    print(console, &evaluation::report(&evaluations, &session))
}
