//! `runner summary`: the layers as a table.

use super::{load, print};
use crate::cli::ExperimentArgs;
use crate::console::Console;
use crate::error::Failure;
use crate::experiment::Experiment;
use crate::memory::in_words;
use crate::registry::{Number, Registry};
use crate::session::Session;
use crate::spec::Dtype;
use crate::table::{Table, grouped};

/// Shows the layers of an experiment, their shapes, parameters and costs.
///
/// # Errors
/// As `check`'s.
pub fn run(arguments: &ExperimentArgs, registry: &Registry, console: Console) -> Result<(), Failure> {
    let experiment = load(arguments, registry)?;
    let text = match experiment.dtype {
        Dtype::F32 => summary::<f32>(&experiment, registry)?,
        Dtype::F64 => summary::<f64>(&experiment, registry)?,
    };
    print(console, &text)
}

fn summary<F: Number>(experiment: &Experiment, registry: &Registry) -> Result<String, Failure> {
    let session = Session::<F>::new(experiment, registry, None)?;
    let layers = experiment
        .model
        .summary::<F>(registry, &session.input_shape)
        .map_err(|mistakes| experiment.mistake(mistakes))?;
    let rows = experiment.train.batch_size.min(session.train.len());
    let bytes = |numbers: usize| in_words(numbers as u128 * F::BYTES as u128);
    let columns = ["layer", "type", "activation", "output", "parameters", "multiply-adds", "memory"];
    let mut table = Table::new(&columns);
    for (name, shape) in experiment.model.inputs() {
        table.row([name, "", "", &shape.unwrap_or(&session.input_shape).to_string(), "", "", ""]);
    }
    for layer in &layers {
        table.row([
            &layer.name,
            &layer.type_name,
            layer.activation.as_deref().unwrap_or_default(),
            &layer.output.to_string(),
            &grouped(layer.parameters),
            &grouped(layer.multiply_adds),
            &bytes(layer.tape.for_rows(rows) + 2 * rows * layer.output.len()),
        ]);
    }
    let network = session.objective.network();
    Ok(format!(
        "{}\n{} parameters ({}), {} multiply-adds a sample; memory of a batch of {}, activations, their gradients and what layers keep: {}",
        table.render(),
        grouped(session.parameter_count),
        bytes(session.parameter_count),
        grouped(network.multiply_adds()),
        grouped(rows),
        bytes(network.tape().for_rows(rows) + 2 * rows * network.output_shape().len()),
    ))
}
