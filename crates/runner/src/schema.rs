//! The JSON Schema of the whole experiment file, put together from the registered types.
//!
//! It is the one truth about the format: files are checked against it, defaults are filled in from it, editors read it.

use serde_json::{Map, Value as Json, json};

use crate::data::DataCommon;
use crate::registry::{Entry, Registry, schema_of};
use crate::spec::{
    InitializerSpec, MetricsTable, OptimizerCommon, PredictTable, RuntimeTable, TopLevel, TrainTable,
};

/// The schema of an experiment file that may name the types of `registry`.
pub fn experiment(registry: &Registry) -> Json {
    let mut root = schema_of::<TopLevel>();
    let optimizer = schema_of::<OptimizerCommon>();
    let tables = [
        (
            "extends",
            json!({ "type": "string", "description": "A file to inherit from: tables merge, arrays replace." }),
        ),
        ("data", one_of(registry.data_types(), &schema_of::<DataCommon>())),
        ("model", model(registry)),
        ("loss", one_of(registry.losses(), &json!({}))),
        ("optimizer", one_of(registry.optimizers(), &optimizer)),
        ("train", schema_of::<TrainTable>()),
        ("metrics", with_default(schema_of::<MetricsTable>(), json!({}))),
        ("predict", schema_of::<PredictTable>()),
        ("runtime", with_default(schema_of::<RuntimeTable>(), json!({}))),
    ];
    for (key, schema) in tables {
        root["properties"][key] = schema;
    }
    root["required"] = json!(["data", "model", "loss", "optimizer", "train"]);
    root["title"] = "A Chainrule experiment".into();
    root
}

/// `[model]`.
fn model(registry: &Registry) -> Json {
    json!({
        "type": "object",
        "description": "The network.",
        "properties": {
            "input_shape": {
                "type": "array",
                "description": "The shape of one sample: [features], [time, features] or [channels, height, width].",
                "items": { "type": "integer", "minimum": 1 },
                "minItems": 1,
            },
            "weight_init": with_description(schema_of::<InitializerSpec>(), "The start values of weights."),
            "bias_init": with_description(schema_of::<InitializerSpec>(), "The start values of biases."),
            "initial_weights": {
                "type": "string",
                "description": "A safetensors file to start from; names and shapes must match.",
            },
            "layers": {
                "type": "array",
                "description": "The layers, from input to output.",
                "items": layer(registry),
                "minItems": 1,
            },
        },
        "required": ["layers"],
        "additionalProperties": false,
    })
}

/// An entry of `[model] layers`.
fn layer(registry: &Registry) -> Json {
    let common = json!({
        "properties": {
            "name": { "type": "string", "description": "The name: letters, digits, _ and -." },
            "inputs": {
                "type": "array",
                "description": "The layers it reads; the one before it, if absent. \"input\" is the network's input.",
                "items": { "type": "string" },
                "minItems": 1,
            },
            "activation": activation(registry),
        },
    });
    one_of(registry.layers(), &common)
}

/// A name, or a table.
fn activation(registry: &Registry) -> Json {
    let without_keys = |entry: &&Entry<_>| entry.schema["required"].as_array().is_none_or(Vec::is_empty);
    let names: Vec<Json> = registry
        .activations()
        .iter()
        .filter(without_keys)
        .map(|entry| json!({ "type": "string", "const": entry.name, "description": entry.schema["description"] }))
        .collect();
    json!({
        "description": "Applied to the layer's output.",
        "anyOf": [{ "oneOf": names }, one_of(registry.activations(), &json!({}))],
    })
}

/// A table whose `type` picks one of `entries`, with the properties of `common` in each.
fn one_of<B>(entries: &[Entry<B>], common: &Json) -> Json {
    let branches: Vec<Json> = entries.iter().map(|entry| branch(entry, common)).collect();
    json!({ "oneOf": branches })
}

fn branch<B>(entry: &Entry<B>, common: &Json) -> Json {
    let mut properties = Map::new();
    properties.insert("type".into(), json!({ "const": entry.name }));
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

fn with_description(mut schema: Json, description: &str) -> Json {
    schema["description"] = description.into();
    schema
}

fn with_default(mut schema: Json, default: Json) -> Json {
    schema["default"] = default;
    schema
}
