//! `type = "synthetic"`: random inputs and labels, to measure speed with.

use chainrule_core::random::{self, Purpose};
use chainrule_trainer::metrics::Task;
use ndarray_rand::rand::RngCore;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Context, DataError, Numbers, Raw, RawTargets, Samples, keys};
use crate::document::Node;
use crate::memory;
use crate::registry::Spec;

/// Random inputs between 0 and 1 with random labels: nothing can be learned, but much measured.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SyntheticData {
    /// How many samples.
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    samples: usize,
    /// The shape of a sample.
    #[schemars(length(min = 1), inner(range(min = 1)))]
    input_shape: Vec<usize>,
    /// How many classes.
    #[schemars(range(min = 2, max = 4_294_967_295_u32))]
    classes: u32,
    /// What they are drawn from; the experiment's seed, if absent.
    seed: Option<u64>,
}

impl Spec for SyntheticData {
    const TYPE: &'static str = "synthetic";
}

/// Draws the labels; inputs are drawn when data sets are made, in the network's precision.
pub(super) fn read(node: &Node, context: &Context<'_>) -> Result<Raw, DataError> {
    let SyntheticData { samples, input_shape, classes, seed } = keys(node)?;
    let width = input_shape.iter().try_fold(1usize, |width, &axis| width.checked_mul(axis));
    let numbers = width.and_then(|width| width.checked_mul(samples));
    let (Some(width), Some(len)) = (width, numbers) else {
        return Err(context.mistake("input_shape", "the samples are too many numbers", "make them smaller"));
    };
    // The labels twice, as they are drawn and of the parts.
    let needed = len as u128 * context.bytes as u128 + samples as u128 * 8;
    memory::require(needed)
        .map_err(|needs| context.mistake("samples", format!("the samples need {needs}"), "use fewer"))?;

    let seed = seed.unwrap_or(context.seed);
    let mut generator = random::generator(seed, Purpose::Synthetic, 0, 1);
    // The upper half of a product is below `classes`, and the same on every machine.
    let label = |_| ((u64::from(generator.next_u32()) * u64::from(classes)) >> 32) as u32;
    let labels = (0..samples).map(label);
    let y = match context.task {
        Task::Classes => RawTargets::Indices(labels.collect()),
        Task::Binary { threshold } if threshold > 0.0 && classes == 2 => {
            RawTargets::Values { data: labels.map(f64::from).collect(), width: 1 }
        }
        _ => {
            let message = "synthetic data have classes, but the loss compares numbers";
            let help = "use the loss `cross_entropy`, or with two classes `binary_cross_entropy`";
            return Err(context.mistake("classes", message, help));
        }
    };
    let x = Samples::rows(Numbers::Uniform { seed, len }, width);
    Ok(Raw { x, shape: Some(input_shape), ..Raw::of_rows(Vec::new(), width, y) })
}
