//! Layers of layers.

use std::borrow::Cow;

use chainrule_core::layers::residual;
use chainrule_core::{Float, Layer};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::example;
use crate::registry::{BuildError, LayerContext, LayerExample, LayerSpec, Registry, Spec, Taken};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.layer::<ResidualSpec>()
}

/// The key `layers` of a layer that holds layers: [`LayerContext::layers`] builds them.
#[derive(Debug, Deserialize)]
pub struct LayerList(#[allow(dead_code)] Vec<IgnoredAny>);

impl JsonSchema for LayerList {
    fn schema_name() -> Cow<'static, str> {
        "LayerList".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": { "$ref": "#/$defs/layer" }, "minItems": 1 })
    }
}

/// Layers whose output is added to their input: y = x + f(x).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ResidualSpec {
    /// The layers of f, from input to output; "input" is what the whole reads.
    #[allow(dead_code)]
    layers: LayerList,
}

impl Spec for ResidualSpec {
    const TYPE: &'static str = "residual";
}

impl LayerSpec for ResidualSpec {
    fn examples() -> Vec<LayerExample> {
        vec![
            example("layers = [{ type = 'dense', units = 3, activation = 'tanh' }]", &[&[3]]),
            example(
                "layers = [{ type = 'dense', name = 'a', units = 4, activation = 'gelu' }, { type = 'dense', name = 'b', units = 2 }]",
                &[&[3, 2]],
            ),
            example(
                "layers = [{ type = 'residual', layers = [{ type = 'multi_head_attention', heads = 1 }] }, { type = 'dense', units = 2 }]",
                &[&[3, 2]],
            ),
        ]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        let input = context.input("residual")?;
        Ok(Box::new(residual(input, context.layers(input)?)?))
    }
}
