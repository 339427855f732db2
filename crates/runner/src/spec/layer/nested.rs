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

#[cfg(test)]
mod tests {
    use chainrule_core::{Layer, Shape};

    use crate::experiment::Experiment;
    use crate::model::Head;
    use crate::registry::Registry;

    /// An experiment of two features with these layers, or the text of its mistakes.
    fn load(layers: &str) -> Result<Experiment, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.toml");
        let text = format!(
            "[data]\ntype = 'inline'\nx = [[0, 1], [1, 0]]\ny = [[1, 1], [0, 1]]\n[loss]\ntype = 'mse'\n[optimizer]\ntype = 'sgd'\nlearning_rate = 0.1\n[train]\nepochs = 1\n[model]\nweight_init = 'he_normal'\nlayers = [{layers}]\n"
        );
        std::fs::write(&path, text).unwrap();
        let registry = Registry::standard();
        let experiment = Experiment::load(&path, &[], &registry).map_err(|failure| failure.render(false))?;
        let shape = Shape::vector(2).unwrap();
        match experiment.model.build::<f64>(&registry, &shape, &[Head::Keep]) {
            Ok(_) => Ok(experiment),
            Err(found) => Err(found.iter().map(|mistake| format!("{}\n", mistake.message)).collect()),
        }
    }

    fn network(experiment: &Experiment) -> Box<dyn Layer<f64>> {
        experiment
            .model
            .build(&Registry::standard(), &Shape::vector(2).unwrap(), &[Head::Keep])
            .unwrap()
            .layer
    }

    #[test]
    fn names_of_tensors_join_by_points() {
        let experiment = load(
            "{ type = 'residual', name = 'r', layers = [{ type = 'dense', name = 'a', units = 2, activation = 'relu' }, { type = 'residual', layers = [{ type = 'dense', units = 2 }] }] }",
        );
        let names = network(&experiment.unwrap()).parameters().into_iter().map(|tensor| tensor.name);
        assert_eq!(
            names.collect::<Vec<_>>(),
            ["r.a.weight", "r.a.bias", "r.residual_1.dense_0.weight", "r.residual_1.dense_0.bias"]
        );
    }

    #[test]
    fn defaults_of_the_model_reach_layers_within() {
        let experiment = load(
            "{ type = 'residual', layers = [{ type = 'residual', layers = [{ type = 'dense', units = 2 }] }] }",
        );
        let resolved = experiment.unwrap().resolved;
        let within = ["model", "layers", "0", "layers", "0", "layers", "0"];
        let at = |key: &str| resolved.at(&[&within[..], &[key]].concat()).and_then(|node| node.as_str());
        assert_eq!(
            (at("weight_init"), at("bias_init"), at("name")),
            (Some("he_normal"), Some("zeros"), Some("dense_0"))
        );
    }

    #[test]
    fn mistakes_within_have_their_place() {
        let key =
            load("{ type = 'residual', layers = [{ type = 'dense', name = 'a', unit = 2 }] }").unwrap_err();
        assert!(key.contains("unknown key `unit` in model.layers[0].layers[0] (dense \"a\")"), "{key}");
        let wiring = load(
            "{ type = 'residual', layers = [{ type = 'dense', name = 'a', units = 2, inputs = ['b'] }] }",
        );
        let wiring = wiring.unwrap_err();
        assert!(wiring.contains("model.layers[0].layers[0] (dense \"a\") reads \"b\""), "{wiring}");
        let shapes = load(
            "{ type = 'dense', units = 2 }, { type = 'residual', name = 'r', layers = [{ type = 'dense', units = 3 }, { type = 'multi_head_attention', heads = 1 }] }",
        );
        let shapes = shapes.unwrap_err();
        assert!(shapes.contains("model.layers[1].layers[1] (multi_head_attention "), "{shapes}");
        let sum =
            load("{ type = 'residual', name = 'r', layers = [{ type = 'dense', units = 3 }] }").unwrap_err();
        assert!(sum.contains("make \"dense_0\" give [2]"), "{sum}");
    }

    #[test]
    fn lists_within_lists_have_an_end() {
        let nested = |depth: usize| {
            let innermost = "{ type = 'dense', units = 2 }".to_owned();
            (0..depth).fold(innermost, |inner, _| format!("{{ type = 'residual', layers = [{inner}] }}"))
        };
        assert!(load(&nested(15)).is_ok());
        let error = load(&nested(16)).unwrap_err();
        assert!(error.contains("at most 16 lists of layers stand in each other"), "{error}");
    }

    #[test]
    fn indices_are_read_from_the_input() {
        let error = load("{ type = 'dense', units = 2 }, { type = 'embedding', vocabulary = 3, units = 2 }");
        let error = error.unwrap_err();
        assert!(error.contains("takes indices, but reads the numbers that"), "{error}");
    }

    #[test]
    fn the_activation_of_a_transformer_block_is_not_that_of_the_output() {
        let layers = "{ type = 'embedding', vocabulary = 2, units = 4 }, { type = 'transformer_block', heads = 2, activation = 'sigmoid' }";
        let registry = Registry::standard();
        let experiment = load(layers).unwrap();
        let plan = |head| experiment.model.build::<f64>(&registry, &Shape::vector(2).unwrap(), head).unwrap();
        assert_eq!(
            plan(&[Head::Keep]).layer.parameters().len(),
            plan(&[Head::Fused]).layer.parameters().len()
        );
        assert!(experiment.model.head(0).is_none());
    }
}
