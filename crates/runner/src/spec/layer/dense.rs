//! The fully connected layer.

use chainrule_core::layers::Dense;
use chainrule_core::{Float, Layer};
use schemars::JsonSchema;
use serde::Deserialize;

use super::example;
use crate::registry::{BuildError, LayerContext, LayerExample, LayerSpec, Registry, Spec, Taken};
use crate::spec::{InitializerSpec, yes};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.layer::<DenseSpec>()
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
