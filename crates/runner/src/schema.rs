//! The JSON Schema of the whole experiment file, put together from the registered types.
//!
//! It is the one truth about the format: files are checked against it, defaults are filled in from it, editors read it.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value as Json, json};

use crate::data::DataCommon;
use crate::registry::{Entry, Registry};
use crate::spec::{
    CheckpointTable, EarlyStoppingTable, InitializerSpec, MetricsTable, OptimizerCommon, PredictTable,
    RuntimeTable, ScheduleCommon, Sweep, TopLevel, TrainTable,
};

/// The dialect that schemars writes.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema as editors take it: that of [`experiment`], except that a file that inherits from another by `extends`
/// need not be complete.
///
/// All keys stand at the root, where editors look for them, and there none is required; what must be there stands in
/// the `else`.
pub fn published(registry: &Registry) -> Json {
    let mut whole = experiment(registry);
    let definitions = whole["$defs"].take();
    if let Some(whole) = whole.as_object_mut() {
        whole.remove("$defs");
    }
    let mut schema = whole.clone();
    make_optional(&mut schema);
    let has = |key: &str| json!({ "required": [key], "additionalProperties": true });
    without_loss(&mut whole);
    whole["oneOf"] = json!([has("loss"), has("outputs")]);
    schema["$schema"] = DIALECT.into();
    schema["$defs"] = definitions;
    // Without the second key Tombi warns of every other key of a file that has the first.
    schema["if"] = json!({ "required": ["extends"], "additionalProperties": true });
    schema["else"] = whole;
    schema
}

/// Lets every key of a table be absent, its `type` too. Not within arrays: an array replaces that of the file below,
/// so its items must be whole.
fn make_optional(schema: &mut Json) {
    let Some(schema) = schema.as_object_mut() else { return };
    schema.remove("required");
    // Without `type`, a table may fit into several branches.
    if let Some(branches) = schema.remove("oneOf") {
        schema.insert("anyOf".into(), branches);
    }
    schema.get_mut("anyOf").and_then(Json::as_array_mut).into_iter().flatten().for_each(make_optional);
    let properties = schema.get_mut("properties").and_then(Json::as_object_mut);
    properties.into_iter().flat_map(Map::values_mut).for_each(make_optional);
}

/// The same schema of a file that need not have `[loss]`, as it has `[[outputs]]`.
pub(crate) fn without_loss(experiment: &mut Json) {
    if let Some(required) = experiment["required"].as_array_mut() {
        required.retain(|key| key != "loss");
    }
}

/// The schema of a whole experiment with `[loss]` that may name the types of `registry`.
pub fn experiment(registry: &Registry) -> Json {
    let mut root = schema_of::<TopLevel>();
    let optimizer = schema_of::<OptimizerCommon>();
    let tables = [
        (
            "extends",
            json!({ "type": "string", "description": "A file to inherit from: tables merge, arrays replace." }),
        ),
        ("data", described("The samples.", one_of(registry.data_types(), &schema_of::<DataCommon>()))),
        ("model", model()),
        ("inputs", inputs()),
        ("outputs", outputs(registry)),
        (
            "loss",
            described(
                "What training makes small; without it there are [[outputs]], each with its loss.",
                one_of(registry.losses(), &json!({})),
            ),
        ),
        (
            "optimizer",
            described("How parameters follow the gradient.", one_of(registry.optimizers(), &optimizer)),
        ),
        (
            "lr_schedule",
            described(
                "How the learning rate changes from step to step; constant, if absent. Lengths count from the end of the warm-up.",
                one_of(registry.schedules(), &schema_of::<ScheduleCommon>()),
            ),
        ),
        ("train", schema_of::<TrainTable>()),
        ("early_stopping", schema_of::<EarlyStoppingTable>()),
        (
            "weight_averaging",
            described(
                "The average of the parameters along the way, which is evaluated and kept in their place.",
                one_of(registry.averagings(), &json!({})),
            ),
        ),
        ("checkpoint", schema_of::<CheckpointTable>()),
        ("metrics", with_default(schema_of::<MetricsTable>(), json!({}))),
        ("predict", schema_of::<PredictTable>()),
        (
            "sweep",
            described(
                "The experiment many times, with other values of some keys: `runner sweep`.",
                one_of(&Sweep::entries(), &json!({})),
            ),
        ),
        ("runtime", with_default(schema_of::<RuntimeTable>(), json!({}))),
    ];
    for (key, schema) in tables {
        root["properties"][key] = schema;
    }
    root["required"] = json!(["data", "model", "loss", "optimizer", "train"]);
    root["title"] = "A Chainrule experiment".into();
    root["description"] = "Data, model, loss, optimizer and training of one neural network.".into();
    root["$defs"] = definitions(registry);
    root
}

/// What schemas refer to: a layer, as layers may hold layers, and what every layer takes.
pub(crate) fn definitions(registry: &Registry) -> Json {
    json!({
        "activation": activation(registry),
        "initializer": schema_of::<InitializerSpec>(),
        "layer": layer(registry),
    })
}

/// A reference to one of `$defs`: what every layer takes is written once, not once a layer.
fn reference(definition: &str) -> Json {
    json!({ "$ref": format!("#/$defs/{definition}") })
}

/// `[[inputs]]`.
fn inputs() -> Json {
    json!({
        "type": "array",
        "description": "Named inputs: consecutive parts of a sample; without them it is one input, called \"input\".",
        "minItems": 1,
        "items": {
            "type": "object",
            "properties": {
                "name": { "type": "string", "description": "What layers call it in their `inputs`: letters, digits, _ and -." },
                "shape": {
                    "type": "array",
                    "description": "Its shape, such as [1, 8, 8]: so many numbers of a sample, after those of the inputs before.",
                    "items": { "type": "integer", "minimum": 1 },
                    "minItems": 1,
                },
            },
            "required": ["name", "shape"],
            "additionalProperties": false,
        },
    })
}

/// `[[outputs]]`.
fn outputs(registry: &Registry) -> Json {
    json!({
        "type": "array",
        "description": "Outputs with a loss each, instead of [loss], in the order of the target columns.",
        "minItems": 1,
        "items": {
            "type": "object",
            "properties": {
                "layer": { "type": "string", "description": "The layer whose output it is; other layers may read it too." },
                "loss": described("How far it is from its targets.", one_of(registry.losses(), &json!({}))),
                "weight": {
                    "type": "number",
                    "description": "The factor of its mean loss in the sum that training makes small.",
                    "exclusiveMinimum": 0,
                    "default": 1.0,
                },
            },
            "required": ["layer", "loss"],
            "additionalProperties": false,
        },
    })
}

/// `[model]`.
fn model() -> Json {
    json!({
        "type": "object",
        "description": "The network.",
        "properties": {
            "input_shape": {
                "type": "array",
                "description": "The shape of one sample: [features], [time, features] or [channels, height, width]; one axis, if absent.",
                "items": { "type": "integer", "minimum": 1 },
                "minItems": 1,
            },
            "weight_init": described("The start values of weights, for layers that set none; the layer's default, if absent.", reference("initializer")),
            "bias_init": described("The start values of biases, for layers that set none; the layer's default, if absent.", reference("initializer")),
            "initial_weights": {
                "type": "string",
                "description": "A safetensors file to start from; names and shapes must match.",
            },
            "layers": {
                "type": "array",
                "description": "The layers, from input to output.",
                "items": reference("layer"),
                "minItems": 1,
            },
        },
        "required": ["layers"],
        "additionalProperties": false,
    })
}

/// An entry of `[model] layers`, or of the `layers` of a layer.
fn layer(registry: &Registry) -> Json {
    let common = json!({
        "properties": {
            "name": { "type": "string", "description": "The layer's name: letters, digits, _ and -; TYPE_N, if absent, N counted from 0." },
            "inputs": {
                "type": "array",
                "description": "The layers or inputs that it reads; the layer before it, if absent. \"input\" is the network's input, unless [[inputs]] have names.",
                "items": { "type": "string" },
                "minItems": 1,
            },
            "activation": described(
                "Applied to the layer's output: a name, or a table with keys; nothing, if absent.",
                reference("activation"),
            ),
            "trainable": { "type": "boolean", "default": true, "description": "Whether training changes its parameters; their gradients are computed all the same." },
            "tie": { "type": "string", "description": "An earlier layer whose parameters it uses in place of its own; their shapes must be the same." },
            "lr_mult": { "type": "number", "default": 1.0, "exclusiveMinimum": 0, "description": "A factor of the learning rate for its parameters." },
        },
    });
    let mut layer = one_of(registry.layers(), &common);
    let branches = layer["oneOf"].as_array_mut().into_iter().flatten();
    for (branch, entry) in branches.zip(registry.layers()) {
        if let Some(inner) = entry.build.inner_activation {
            branch["properties"]["activation"]["description"] = inner.into();
        }
    }
    refer_to_initializers(&mut layer);
    layer
}

/// Puts a reference in place of every initialiser among the keys of the layers.
fn refer_to_initializers(layers: &mut Json) {
    let initializer = schema_of::<InitializerSpec>();
    let branches = layers["oneOf"].as_array_mut().into_iter().flatten();
    let properties =
        branches.filter_map(|branch| branch["properties"].as_object_mut()).flat_map(Map::values_mut);
    for property in properties.filter_map(Json::as_object_mut) {
        if property.get("anyOf") == initializer.get("anyOf") {
            property.remove("anyOf");
            property.extend(reference("initializer").as_object().cloned().unwrap_or_default());
        }
    }
}

/// A name, or a table. That a name is a string must be said: `const` alone leaves the table a chance in `conform`.
fn activation(registry: &Registry) -> Json {
    let without_keys = |entry: &&Entry<_>| entry.schema["required"].as_array().is_none_or(Vec::is_empty);
    let names: Vec<Json> = registry
        .activations()
        .iter()
        .filter(without_keys)
        .map(|entry| json!({ "type": "string", "const": entry.name, "description": entry.schema["description"] }))
        .collect();
    json!({ "anyOf": [{ "oneOf": names }, one_of(registry.activations(), &json!({}))] })
}

/// A table whose `type` picks one of `entries`, with the properties of `common` in each.
fn one_of<B>(entries: &[Entry<B>], common: &Json) -> Json {
    let branches: Vec<Json> = entries.iter().map(|entry| branch(entry, common)).collect();
    json!({ "oneOf": branches })
}

fn branch<B>(entry: &Entry<B>, common: &Json) -> Json {
    let mut properties = Map::new();
    properties.insert(
        "type".into(),
        json!({ "type": "string", "const": entry.name, "description": entry.schema["description"] }),
    );
    let mut required = vec![Json::from("type")];
    for part in [common, &entry.schema] {
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    json!({
        "type": "object",
        "title": entry.name,
        "description": entry.schema["description"],
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn described(description: &str, mut schema: Json) -> Json {
    schema["description"] = description.into();
    schema
}

fn with_default(mut schema: Json, default: Json) -> Json {
    schema["default"] = default;
    schema
}

/// The JSON Schema of a type, without references, so that schemas can be put together.
pub(crate) fn schema_of<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
        settings.transforms.push(Box::new(RecursiveTransform(for_toml)));
    });
    settings.into_generator().into_root_schema_for::<T>().into()
}

/// Takes out what TOML does not have, null, and the sizes of Rust's integers, which say nothing to a user.
fn for_toml(schema: &mut Schema) {
    schema.remove("format");
    // A comment's lines are one paragraph.
    let description = schema.get("description").and_then(Json::as_str).map(|text| text.replace('\n', " "));
    if let Some(description) = description {
        schema.insert("description".into(), description.into());
    }
    if schema.get("default").is_some_and(Json::is_null) {
        schema.remove("default");
    }
    if let Some(Json::Array(choices)) = schema.get_mut("enum") {
        choices.retain(|choice| !choice.is_null());
    }
    if let Some(Json::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = &kinds[..] {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    let Some(Json::Array(branches)) = schema.get_mut("anyOf") else { return };
    branches.retain(|branch| branch["type"] != "null");
    if let [Json::Object(only)] = &branches[..] {
        let only = only.clone();
        schema.remove("anyOf");
        for (key, value) in only {
            // What the field says of itself stands.
            schema.ensure_object().entry(key).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Visits every property with the path of keys that leads to it.
    fn properties(schema: &Json, path: &str, visit: &mut dyn FnMut(&str, &Json)) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            visit(&path, property);
            properties(property, &path, visit);
        }
        properties_of_branches(schema, path, visit);
        if !schema["items"].is_null() {
            properties(&schema["items"], path, visit);
        }
    }

    fn properties_of_branches(schema: &Json, path: &str, visit: &mut dyn FnMut(&str, &Json)) {
        for key in ["oneOf", "anyOf"] {
            for branch in schema[key].as_array().into_iter().flatten() {
                let name = branch["properties"]["type"]["const"].as_str().unwrap_or_default();
                properties(branch, &format!("{path}({name})"), visit);
            }
        }
    }

    #[test]
    fn describes_every_key_in_a_line() {
        let mut count = 0;
        let schema = experiment(&Registry::standard());
        let mut check = |path: &str, property: &Json| {
            count += 1;
            let description = property["description"].as_str().unwrap_or_default();
            // The `type` of an initialiser is schemars's, which describes the table and not the tag.
            let is_tag = path.ends_with(".type") && property["const"].is_string();
            assert!(is_tag || !description.is_empty(), "{path} has no description");
            assert!(!description.contains('\n'), "{path}: {description}");
        };
        properties(&schema, "", &mut check);
        properties(&schema["$defs"]["layer"], "layer", &mut check);
        properties(&schema["$defs"]["activation"], "activation", &mut check);
        properties(&schema["$defs"]["initializer"], "initializer", &mut check);
        assert!(count > 60, "{count} keys");
    }

    #[test]
    fn says_nothing_of_null_which_toml_does_not_have() {
        let text = published(&Registry::standard()).to_string();
        assert!(!text.contains("null"), "{text}");
    }

    #[test]
    fn a_part_needs_no_key_but_its_layers_are_whole() {
        let schema = published(&Registry::standard());
        assert!(schema["properties"]["train"]["required"].is_null());
        assert!(schema["properties"]["optimizer"]["anyOf"][0]["required"].is_null());
        assert!(schema.pointer("/$defs/layer/oneOf/0/required").is_some());
        assert_eq!(schema["else"]["required"][0], "data");
    }
}
