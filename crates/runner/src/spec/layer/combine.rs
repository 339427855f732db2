//! Layers that join several inputs.

use chainrule_core::layers::{Add, Average, Concat, Multiply, Subtract};
use chainrule_core::{Float, Layer};
use schemars::JsonSchema;
use serde::Deserialize;

use super::example;
use crate::registry::{BuildError, LayerContext, LayerExample, LayerSpec, Registry, Spec, Taken};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.layer::<AddSpec>()?;
    registry.layer::<ConcatSpec>()?;
    registry.layer::<MultiplySpec>()?;
    registry.layer::<SubtractSpec>()?;
    registry.layer::<AverageSpec>()
}

/// The sum of several inputs of one shape.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AddSpec {}

impl Spec for AddSpec {
    const TYPE: &'static str = "add";
}

impl LayerSpec for AddSpec {
    fn examples() -> Vec<LayerExample> {
        vec![example("", &[&[3], &[3]]), example("", &[&[2, 2], &[2, 2], &[2, 2]])]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        Ok(Box::new(Add::new(context.inputs())?))
    }
}

/// Several inputs side by side along an axis.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConcatSpec {
    /// The axis, counted without the batch; 0 is the outermost.
    #[serde(default)]
    axis: usize,
}

impl Spec for ConcatSpec {
    const TYPE: &'static str = "concat";
}

impl LayerSpec for ConcatSpec {
    fn examples() -> Vec<LayerExample> {
        vec![example("", &[&[3], &[2]]), example("axis = 1", &[&[2, 3, 2], &[2, 1, 2], &[2, 2, 2]])]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        Ok(Box::new(Concat::new(context.inputs(), self.axis)?))
    }
}

/// The product of several inputs of one shape, number by number.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MultiplySpec {}

impl Spec for MultiplySpec {
    const TYPE: &'static str = "multiply";
}

impl LayerSpec for MultiplySpec {
    fn examples() -> Vec<LayerExample> {
        vec![example("", &[&[3], &[3]]), example("", &[&[2, 2], &[2, 2], &[2, 2]])]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        Ok(Box::new(Multiply::new(context.inputs())?))
    }
}

/// The first of two inputs of one shape minus the second.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SubtractSpec {}

impl Spec for SubtractSpec {
    const TYPE: &'static str = "subtract";
}

impl LayerSpec for SubtractSpec {
    fn examples() -> Vec<LayerExample> {
        vec![example("", &[&[3], &[3]]), example("", &[&[2, 2], &[2, 2]])]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        Ok(Box::new(Subtract::new(context.inputs())?))
    }
}

/// The mean of several inputs of one shape, number by number.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AverageSpec {}

impl Spec for AverageSpec {
    const TYPE: &'static str = "average";
}

impl LayerSpec for AverageSpec {
    fn examples() -> Vec<LayerExample> {
        vec![example("", &[&[3], &[3]]), example("", &[&[2, 2], &[2, 2], &[2, 2]])]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        Ok(Box::new(Average::new(context.inputs())?))
    }
}
