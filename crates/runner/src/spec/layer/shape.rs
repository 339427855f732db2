//! Layers that move numbers and compute nothing.

use chainrule_core::layers::{Permute, Reshape, Upsample, ZeroPad};
use chainrule_core::{Float, Layer};
use schemars::JsonSchema;
use serde::Deserialize;

use super::example;
use super::sizes::{Margins, Sizes};
use crate::registry::{BuildError, LayerContext, LayerExample, LayerSpec, Registry, Spec, Taken};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.layer::<FlattenSpec>()?;
    registry.layer::<ReshapeSpec>()?;
    registry.layer::<PermuteSpec>()?;
    registry.layer::<Upsample2dSpec>()?;
    registry.layer::<ZeroPad2dSpec>()
}

/// All numbers of a sample along one axis, last axis fastest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FlattenSpec {}

impl Spec for FlattenSpec {
    const TYPE: &'static str = "flatten";
}

impl LayerSpec for FlattenSpec {
    fn examples() -> Vec<LayerExample> {
        vec![example("", &[&[2, 3, 2]]), example("", &[&[3]])]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        Ok(Box::new(Reshape::flat(context.input(Self::TYPE)?)?))
    }
}

/// The numbers of a sample in another shape, in the same order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReshapeSpec {
    /// The axes, without the batch; one of them may be -1: as long as is needed.
    #[schemars(length(min = 1), inner(range(min = -1)))]
    shape: Vec<i64>,
}

impl Spec for ReshapeSpec {
    const TYPE: &'static str = "reshape";
}

impl LayerSpec for ReshapeSpec {
    fn examples() -> Vec<LayerExample> {
        vec![example("shape = [3, 4]", &[&[2, 6]]), example("shape = [2, -1, 2]", &[&[12]])]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        // Only -1 is negative: see the schema.
        let axes: Vec<Option<usize>> = self.shape.iter().map(|&axis| usize::try_from(axis).ok()).collect();
        Ok(Box::new(Reshape::new(context.input(Self::TYPE)?, &axes)?))
    }
}

/// The axes of a sample in another order: [1, 0] makes [time, features] the [channels, length] of a convolution.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PermuteSpec {
    /// For each axis of the output the axis of the input, counted without the batch; 0 is the outermost.
    #[schemars(length(min = 1))]
    axes: Vec<usize>,
}

impl Spec for PermuteSpec {
    const TYPE: &'static str = "permute";
}

impl LayerSpec for PermuteSpec {
    fn examples() -> Vec<LayerExample> {
        vec![example("axes = [1, 0]", &[&[2, 3]]), example("axes = [2, 0, 1]", &[&[2, 3, 4]])]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        Ok(Box::new(Permute::new(context.input(Self::TYPE)?, &self.axes)?))
    }
}

/// [channels, height, width] enlarged: every cell is repeated.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Upsample2dSpec {
    /// How many times larger: one number, or [height, width].
    factor: Sizes<1>,
}

impl Spec for Upsample2dSpec {
    const TYPE: &'static str = "upsample2d";
}

impl LayerSpec for Upsample2dSpec {
    fn examples() -> Vec<LayerExample> {
        vec![example("factor = 2", &[&[2, 2, 3]]), example("factor = [3, 1]", &[&[1, 2, 2]])]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        Ok(Box::new(Upsample::new(context.input(Self::TYPE)?, self.factor.pair())?))
    }
}

/// [channels, height, width] with a margin of zeros.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ZeroPad2dSpec {
    /// Cells on each side: one number, [height, width], or [[top, bottom], [left, right]].
    padding: Margins,
}

impl Spec for ZeroPad2dSpec {
    const TYPE: &'static str = "zero_pad2d";
}

impl LayerSpec for ZeroPad2dSpec {
    fn examples() -> Vec<LayerExample> {
        vec![
            example("padding = 1", &[&[2, 2, 3]]),
            example("padding = [0, 2]", &[&[1, 2, 3]]),
            example("padding = [[1, 0], [0, 2]]", &[&[2, 2, 2]]),
        ]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let [rows, columns] = self.padding.sides();
        Ok(Box::new(ZeroPad::new(context.input(Self::TYPE)?, rows, columns)?))
    }
}
