//! Vectors for indices and for positions.

use chainrule_core::layers::{Embedding, PositionalEmbedding, SinusoidalPositions};
use chainrule_core::{Float, Layer};
use schemars::JsonSchema;
use serde::Deserialize;

use super::example;
use crate::registry::{BuildError, LayerContext, LayerExample, LayerSpec, Registry, Spec, Taken};
use crate::spec::{InitializerSpec, InitializerTable};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.layer::<EmbeddingSpec>()?;
    registry.layer::<PositionalEmbeddingSpec>()?;
    registry.layer::<SinusoidalPositionsSpec>()
}

/// A learned vector for each index: [t] to [t, units].
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EmbeddingSpec {
    /// How many different indices there are; they count from 0.
    #[schemars(range(min = 1))]
    vocabulary: usize,
    /// Numbers of a vector.
    #[schemars(range(min = 1))]
    units: usize,
    /// The index of padding: its vector is zero, and later layers and the loss skip its positions; none, if absent.
    padding_index: Option<usize>,
    /// The start values of the vectors.
    #[serde(default = "standard_normal")]
    weight_init: InitializerSpec,
}

fn standard_normal() -> InitializerSpec {
    InitializerSpec::Table(InitializerTable::Normal { mean: 0.0, std: 1.0 })
}

impl Spec for EmbeddingSpec {
    const TYPE: &'static str = "embedding";
}

impl LayerSpec for EmbeddingSpec {
    fn examples() -> Vec<LayerExample> {
        vec![
            example("vocabulary = 4\nunits = 3", &[&[5]]),
            example("vocabulary = 3\nunits = 2\npadding_index = 1", &[&[7]]),
            example("vocabulary = 9\nunits = 1", &[&[2, 3]]),
        ]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let weight_init =
            self.weight_init.build().map_err(|message| BuildError::Key { key: "weight_init", message })?;
        let input = context.input("embedding")?;
        let layer = Embedding::new(input, self.vocabulary, self.units)?.with_init(weight_init);
        let Some(index) = self.padding_index else { return Ok(Box::new(layer)) };
        let layer = layer.with_padding(index);
        Ok(Box::new(
            layer.map_err(|error| BuildError::Key { key: "padding_index", message: error.to_string() })?,
        ))
    }
}

/// A learned vector for each position, added to [t, d].
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PositionalEmbeddingSpec {
    /// The start values of the vectors.
    #[serde(default = "small_normal")]
    weight_init: InitializerSpec,
}

fn small_normal() -> InitializerSpec {
    InitializerSpec::Table(InitializerTable::Normal { mean: 0.0, std: 0.02 })
}

impl Spec for PositionalEmbeddingSpec {
    const TYPE: &'static str = "positional_embedding";
}

impl LayerSpec for PositionalEmbeddingSpec {
    fn examples() -> Vec<LayerExample> {
        vec![example("", &[&[4, 3]]), example("", &[&[1, 5]])]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let weight_init =
            self.weight_init.build().map_err(|message| BuildError::Key { key: "weight_init", message })?;
        let input = context.input("positional_embedding")?;
        Ok(Box::new(PositionalEmbedding::new(input)?.with_init(weight_init)))
    }
}

/// Waves of all lengths that tell the positions of [t, d] apart, added; nothing is learned.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SinusoidalPositionsSpec {}

impl Spec for SinusoidalPositionsSpec {
    const TYPE: &'static str = "sinusoidal_positions";
}

impl LayerSpec for SinusoidalPositionsSpec {
    fn examples() -> Vec<LayerExample> {
        vec![example("", &[&[4, 3]]), example("", &[&[3, 6]])]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        Ok(Box::new(SinusoidalPositions::new(context.input("sinusoidal_positions")?)?))
    }
}
