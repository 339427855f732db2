//! Activations that are layers of their own, as they have a weight or an axis.

use chainrule_core::layers::{Prelu, Softmax};
use chainrule_core::{Float, Layer};
use schemars::JsonSchema;
use serde::Deserialize;

use super::example;
use crate::registry::{BuildError, LayerContext, LayerExample, LayerSpec, Registry, Spec, Taken};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.layer::<PreluSpec>()?;
    registry.layer::<SoftmaxSpec>()
}

/// A rectifier that learns its slope for negative numbers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PreluSpec {
    /// The start value of the slope.
    #[serde(default = "quarter")]
    slope: f64,
    /// Whether every channel, the first axis, has a slope of its own.
    #[serde(default)]
    per_channel: bool,
}

fn quarter() -> f64 {
    0.25
}

impl Spec for PreluSpec {
    const TYPE: &'static str = "prelu";
}

impl LayerSpec for PreluSpec {
    fn examples() -> Vec<LayerExample> {
        vec![
            example("", &[&[17]]),
            example("slope = 0.1", &[&[3, 4]]),
            example("per_channel = true", &[&[3, 7]]),
            example("per_channel = true", &[&[2, 3, 4]]),
        ]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let build = if self.per_channel { Prelu::of_channels } else { Prelu::new };
        Ok(Box::new(build(context.input(Self::TYPE)?, self.slope)))
    }
}

/// Scores along an axis to positive shares that add up to 1.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SoftmaxSpec {
    /// The axis, counted without the batch; 0 is the outermost, -1 the last.
    #[serde(default = "last")]
    axis: isize,
}

fn last() -> isize {
    -1
}

impl Spec for SoftmaxSpec {
    const TYPE: &'static str = "softmax";
}

impl LayerSpec for SoftmaxSpec {
    fn examples() -> Vec<LayerExample> {
        vec![
            example("", &[&[5]]),
            example("axis = 0", &[&[3, 4]]),
            example("axis = -2", &[&[2, 3, 17]]),
            example("axis = 2", &[&[2, 3, 4]]),
        ]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        Ok(Box::new(Softmax::new(context.input(Self::TYPE)?, self.axis)?))
    }
}
