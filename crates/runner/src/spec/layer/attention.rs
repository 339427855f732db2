//! Attention, alone and in the block of a transformer.

use chainrule_core::activation::Gelu;
use chainrule_core::layers::{MultiHeadAttention, NormPlace, TransformerBlock};
use chainrule_core::{Activation, Float, Layer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::example;
use crate::registry::{BuildError, LayerContext, LayerExample, LayerSpec, Registry, Spec, Taken};
use crate::spec::{InitializerSpec, yes};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.layer::<MultiHeadAttentionSpec>()?;
    registry.layer::<TransformerBlockSpec>()
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

/// Attention, then two dense layers at every position, each with a way around and a layer norm: [t, d] to [t, d].
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TransformerBlockSpec {
    /// The heads of the attention; divides the features.
    #[schemars(range(min = 1))]
    heads: usize,
    /// The width between the two dense layers; 4 times the features, if absent.
    #[schemars(range(min = 1))]
    feed_forward: Option<usize>,
    /// The share of the numbers that is left out in training, behind attention and both dense layers.
    #[serde(default = "tenth")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    dropout: f64,
    /// Whether no position sees those after it.
    #[serde(default)]
    causal: bool,
    /// Whether attention and dense layers are given normalised numbers, or their sums are normalised.
    #[serde(default)]
    norm: NormSpec,
    /// Added to the variance by the norms.
    #[serde(default = "small")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    epsilon: f64,
    /// The start values of the weights.
    #[serde(default = "InitializerSpec::xavier_uniform")]
    weight_init: InitializerSpec,
    /// The start values of the biases.
    #[serde(default = "InitializerSpec::zeros")]
    bias_init: InitializerSpec,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum NormSpec {
    /// What is read.
    Pre,
    /// The sum.
    #[default]
    Post,
}

fn tenth() -> f64 {
    0.1
}

fn small() -> f64 {
    1e-5
}

impl Spec for TransformerBlockSpec {
    const TYPE: &'static str = "transformer_block";
}

impl LayerSpec for TransformerBlockSpec {
    const INNER_ACTIVATION: Option<&'static str> =
        Some("Between the two dense layers: a name, or a table with keys; gelu, if absent.");

    fn examples() -> Vec<LayerExample> {
        vec![
            example("heads = 2\ndropout = 0.0", &[&[3, 4]]),
            example("heads = 1\nfeed_forward = 5\nnorm = 'pre'\ncausal = true", &[&[4, 3]]),
            example("heads = 3\nfeed_forward = 2\ndropout = 0.5", &[&[2, 6]]),
        ]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let key = |key| move |message| BuildError::Key { key, message };
        let weight_init = self.weight_init.build().map_err(key("weight_init"))?;
        let bias_init = self.bias_init.build().map_err(key("bias_init"))?;
        let input = context.input("transformer_block")?;
        let hidden = TransformerBlock::<F>::hidden(input, self.feed_forward)?;
        let activation: Option<Box<dyn Activation<F>>> = context.remaining(&hidden)?;
        let activation = activation.unwrap_or_else(|| Box::new(Gelu::exact()));
        let norm = match self.norm {
            NormSpec::Pre => NormPlace::Before,
            NormSpec::Post => NormPlace::After,
        };
        let block = TransformerBlock::new(self.heads, activation)
            .with_feed_forward(hidden.last())
            .with_dropout(self.dropout)
            .with_norm(norm, self.epsilon)
            .with_init(weight_init, bias_init);
        let block = if self.causal { block.causal() } else { block };
        Ok(Box::new(block.build(input)?))
    }
}
