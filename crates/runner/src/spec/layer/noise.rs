//! Layers that are random in training and the identity in evaluation.

use chainrule_core::layers::{Dropout, GaussianNoise};
use chainrule_core::{Float, Layer};
use schemars::JsonSchema;
use serde::Deserialize;

use super::example;
use crate::registry::{BuildError, LayerContext, LayerExample, LayerSpec, Registry, Spec, Taken};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.layer::<DropoutSpec>()?;
    registry.layer::<SpatialDropoutSpec>()?;
    registry.layer::<GaussianNoiseSpec>()
}

fn half() -> f64 {
    0.5
}

/// Leaves out a random share of the numbers in training, and scales up the others.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DropoutSpec {
    /// The share that is left out.
    #[serde(default = "half")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    rate: f64,
}

impl Spec for DropoutSpec {
    const TYPE: &'static str = "dropout";
}

impl LayerSpec for DropoutSpec {
    fn examples() -> Vec<LayerExample> {
        vec![example("", &[&[17]]), example("rate = 0.2", &[&[3, 4]]), example("rate = 0", &[&[2]])]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        Ok(Box::new(Dropout::new(context.input(Self::TYPE)?, self.rate)?))
    }
}

/// Leaves out a random share of whole channels, the first axis, in training, and scales up the others.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SpatialDropoutSpec {
    /// The share that is left out.
    #[serde(default = "half")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    rate: f64,
}

impl Spec for SpatialDropoutSpec {
    const TYPE: &'static str = "spatial_dropout";
}

impl LayerSpec for SpatialDropoutSpec {
    fn examples() -> Vec<LayerExample> {
        vec![example("", &[&[17, 2]]), example("rate = 0.2", &[&[5, 3, 3]])]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        Ok(Box::new(Dropout::of_channels(context.input(Self::TYPE)?, self.rate)?))
    }
}

/// Adds normal noise in training.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GaussianNoiseSpec {
    /// The standard deviation of the noise.
    #[schemars(range(min = 0.0))]
    std: f64,
}

impl Spec for GaussianNoiseSpec {
    const TYPE: &'static str = "gaussian_noise";
}

impl LayerSpec for GaussianNoiseSpec {
    fn examples() -> Vec<LayerExample> {
        vec![example("std = 0.1", &[&[5]]), example("std = 1", &[&[2, 3]])]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        Ok(Box::new(GaussianNoise::new(context.input(Self::TYPE)?, self.std)))
    }
}
