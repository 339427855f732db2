//! Layers that standardise numbers: mean 0 and variance 1 over the batch, a position or a group.

use chainrule_core::layers::{BatchNorm, GroupNorm, LayerNorm, RmsNorm};
use chainrule_core::{Float, Layer};
use schemars::JsonSchema;
use serde::Deserialize;

use super::example;
use crate::registry::{BuildError, LayerContext, LayerExample, LayerSpec, Registry, Spec, Taken};
use crate::spec::yes;

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.layer::<BatchNormSpec>()?;
    registry.layer::<LayerNormSpec>()?;
    registry.layer::<GroupNormSpec>()?;
    registry.layer::<RmsNormSpec>()
}

fn epsilon() -> f64 {
    1e-5
}

fn momentum() -> f64 {
    0.1
}

/// Standardises every channel, the first axis, over the batch; in evaluation by running statistics.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BatchNormSpec {
    /// The share by which the running statistics follow those of a batch.
    #[serde(default = "momentum")]
    #[schemars(range(min = 0.0, max = 1.0))]
    momentum: f64,
    /// What is added to the variance.
    #[serde(default = "epsilon")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    epsilon: f64,
    /// Whether it has a weight and a bias a channel.
    #[serde(default = "yes")]
    affine: bool,
}

impl Spec for BatchNormSpec {
    const TYPE: &'static str = "batch_norm";
}

impl LayerSpec for BatchNormSpec {
    fn examples() -> Vec<LayerExample> {
        // Of two samples, what is left of a gradient is of the order of epsilon: too small to measure at the default.
        vec![
            example("epsilon = 0.1", &[&[5]]),
            example("momentum = 0.3", &[&[3, 4]]),
            example("", &[&[2, 3, 5]]),
            example("affine = false", &[&[2, 3, 3]]),
        ]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let layer = BatchNorm::new(context.input(Self::TYPE)?, self.momentum, self.epsilon);
        Ok(Box::new(if self.affine { layer } else { layer.without_affine() }))
    }
}

/// Standardises the last axis of each position by itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LayerNormSpec {
    /// What is added to the variance.
    #[serde(default = "epsilon")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    epsilon: f64,
    /// Whether it has a weight, and a bias unless `bias` is off.
    #[serde(default = "yes")]
    affine: bool,
    /// Whether there is a bias beside the weight.
    #[serde(default = "yes")]
    bias: bool,
}

impl Spec for LayerNormSpec {
    const TYPE: &'static str = "layer_norm";
}

impl LayerSpec for LayerNormSpec {
    fn examples() -> Vec<LayerExample> {
        vec![
            example("", &[&[5]]),
            example("", &[&[3, 4]]),
            example("bias = false", &[&[2, 3, 4]]),
            example("affine = false\nepsilon = 0.01", &[&[33]]),
        ]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let layer = LayerNorm::new(context.input(Self::TYPE)?, self.epsilon)?;
        Ok(Box::new(match (self.affine, self.bias) {
            (true, true) => layer,
            (true, false) => layer.without_bias(),
            (false, _) => layer.without_affine(),
        }))
    }
}

/// Standardises groups of channels, the first axis, of each sample by itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GroupNormSpec {
    /// How many groups of neighbouring channels there are; a divisor of the channels.
    #[schemars(range(min = 1))]
    groups: usize,
    /// What is added to the variance.
    #[serde(default = "epsilon")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    epsilon: f64,
    /// Whether it has a weight and a bias a channel.
    #[serde(default = "yes")]
    affine: bool,
}

impl Spec for GroupNormSpec {
    const TYPE: &'static str = "group_norm";
}

impl LayerSpec for GroupNormSpec {
    fn examples() -> Vec<LayerExample> {
        vec![
            example("groups = 2", &[&[6]]),
            example("groups = 3", &[&[3, 5]]),
            example("groups = 1", &[&[2, 3, 3]]),
            example("groups = 2\naffine = false", &[&[4, 2, 3]]),
        ]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let layer = GroupNorm::new(context.input(Self::TYPE)?, self.groups, self.epsilon)?;
        Ok(Box::new(if self.affine { layer } else { layer.without_affine() }))
    }
}

/// Divides the last axis of each position by its root mean square.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RmsNormSpec {
    /// What is added to the mean square.
    #[serde(default = "epsilon")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    epsilon: f64,
    /// Whether it has a weight.
    #[serde(default = "yes")]
    affine: bool,
}

impl Spec for RmsNormSpec {
    const TYPE: &'static str = "rms_norm";
}

impl LayerSpec for RmsNormSpec {
    fn examples() -> Vec<LayerExample> {
        vec![
            example("", &[&[5]]),
            example("", &[&[2, 3, 4]]),
            example("affine = false\nepsilon = 0.01", &[&[33]]),
        ]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let layer = RmsNorm::new(context.input(Self::TYPE)?, self.epsilon);
        Ok(Box::new(if self.affine { layer } else { layer.without_affine() }))
    }
}
