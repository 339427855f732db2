//! The layers of `[model] layers`.

use chainrule_core::layers::{Add, Concat, Dense, Multiply};
use chainrule_core::{Float, Layer};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{InitializerSpec, yes};
use crate::registry::{BuildError, LayerContext, LayerExample, LayerSpec, Registry, Spec, Taken};

/// Examples of one kind of keys for inputs of these shapes.
fn example(keys: &'static str, inputs: &[&[usize]]) -> LayerExample {
    LayerExample { keys, inputs: inputs.iter().map(|axes| axes.to_vec()).collect() }
}

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.layer::<DenseSpec>()?;
    registry.layer::<AddSpec>()?;
    registry.layer::<ConcatSpec>()?;
    registry.layer::<MultiplySpec>()
}

/// A fully connected layer on the last axis: y = f(x Wᵀ + b).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DenseSpec {
    /// How many outputs it has.
    #[schemars(range(min = 1))]
    units: usize,
    /// Whether it has a bias b.
    #[serde(default = "yes")]
    bias: bool,
    /// The start values of the weights W.
    #[serde(default = "InitializerSpec::xavier_uniform")]
    weight_init: InitializerSpec,
    /// The start values of the bias b.
    #[serde(default = "InitializerSpec::zeros")]
    bias_init: InitializerSpec,
}

impl Spec for DenseSpec {
    const TYPE: &'static str = "dense";
}

impl LayerSpec for DenseSpec {
    fn examples() -> Vec<LayerExample> {
        vec![
            example("units = 3", &[&[4]]),
            example("units = 2\nbias = false", &[&[5]]),
            example("units = 2", &[&[3, 4]]),
            example("units = 17", &[&[33]]),
        ]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let key = |key| move |message| BuildError::Key { key, message };
        let weight_init = self.weight_init.build().map_err(key("weight_init"))?;
        let bias_init = self.bias_init.build().map_err(key("bias_init"))?;
        let input = context.input("dense")?;
        let activation = context.activation(&input.with_last(self.units)?)?;
        let dense = Dense::new(input, self.units, activation)?.with_init(weight_init, bias_init);
        Ok(if self.bias { Box::new(dense) } else { Box::new(dense.without_bias()) })
    }
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
