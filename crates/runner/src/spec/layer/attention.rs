//! Attention.

use chainrule_core::layers::MultiHeadAttention;
use chainrule_core::{Float, Layer};
use schemars::JsonSchema;
use serde::Deserialize;

use super::example;
use crate::registry::{BuildError, LayerContext, LayerExample, LayerSpec, Registry, Spec, Taken};
use crate::spec::{InitializerSpec, yes};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.layer::<MultiHeadAttentionSpec>()
}

/// Every position takes a mean of others: of one input's own, of a second input's, or by keys (2nd) of values (3rd).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MultiHeadAttentionSpec {
    /// How many means each position takes; divides the features.
    #[schemars(range(min = 1))]
    heads: usize,
    /// Whether no position sees those after it.
    #[serde(default)]
    causal: bool,
    /// Whether the projections have biases.
    #[serde(default = "yes")]
    bias: bool,
    /// The start values of the weights of the projections.
    #[serde(default = "InitializerSpec::xavier_uniform")]
    weight_init: InitializerSpec,
    /// The start values of their biases.
    #[serde(default = "InitializerSpec::zeros")]
    bias_init: InitializerSpec,
}

impl Spec for MultiHeadAttentionSpec {
    const TYPE: &'static str = "multi_head_attention";
}

impl LayerSpec for MultiHeadAttentionSpec {
    fn examples() -> Vec<LayerExample> {
        vec![
            example("heads = 2", &[&[3, 4]]),
            example("heads = 1\nbias = false", &[&[5, 3]]),
            example("heads = 3\ncausal = true", &[&[4, 6]]),
            example("heads = 2", &[&[2, 4], &[5, 4]]),
            example("heads = 2", &[&[3, 2], &[4, 2], &[4, 2]]),
        ]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let key = |key| move |message| BuildError::Key { key, message };
        let weight_init = self.weight_init.build().map_err(key("weight_init"))?;
        let bias_init = self.bias_init.build().map_err(key("bias_init"))?;
        let layer = MultiHeadAttention::new(context.inputs(), self.heads)?.with_init(weight_init, bias_init);
        let layer = if self.causal { layer.causal()? } else { layer };
        Ok(Box::new(if self.bias { layer } else { layer.without_bias() }))
    }
}
