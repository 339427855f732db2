//! A small experiment file, as types and as text, for the tests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default = "one")]
    #[schemars(extend("const" = 1))]
    schema_version: u32,
    #[schemars(length(min = 1))]
    name: Option<String>,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    dtype: Dtype,
    data: Option<Data>,
    model: Model,
    optimizer: Optimizer,
    pub(super) train: Train,
    #[serde(default)]
    runtime: Runtime,
}

fn one() -> u32 {
    1
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Dtype {
    /// 32 bits.
    #[default]
    F32,
    /// 64 bits.
    F64,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct Data {
    x: Vec<Vec<f64>>,
    #[serde(default)]
    y: Option<Labels>,
    pair: Option<(f64, u8)>,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(untagged)]
pub(super) enum Labels {
    Rows(Vec<Vec<f64>>),
    Names(Vec<String>),
    Indices(Vec<u32>),
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    #[schemars(length(min = 1))]
    layers: Vec<Layer>,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Layer {
    /// A matrix and a bias.
    Dense {
        name: Option<String>,
        /// The width of the output.
        #[schemars(range(min = 1))]
        units: u32,
        #[serde(default = "linear")]
        activation: Activation,
    },
    Dropout {
        #[schemars(extend("exclusiveMaximum" = 1.0), range(min = 0.0))]
        rate: f64,
    },
    Residual {
        layers: Vec<Layer>,
    },
}

fn linear() -> Activation {
    Activation::Name(Name::Linear)
}

#[derive(Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(untagged)]
pub(super) enum Activation {
    Name(Name),
    Table(Elu),
}

#[derive(Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Name {
    Linear,
    Sigmoid,
    LeakyRelu,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Elu {
    Elu {
        #[serde(default = "one_float")]
        slope: f64,
    },
}

fn one_float() -> f64 {
    1.0
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Optimizer {
    Sgd {
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        learning_rate: f64,
        #[serde(default)]
        momentum: f64,
        #[serde(default)]
        nesterov: bool,
    },
    Adam {
        learning_rate: f64,
    },
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct Train {
    pub(super) epochs: u32,
    #[serde(default = "batch_size")]
    pub(super) batch_size: u32,
}

fn batch_size() -> u32 {
    32
}

#[derive(Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Runtime {
    threads: u16,
}

pub(super) const GOOD: &str = r#"name = "n"
[data]
x = [[54, 168.5], [65, 185]]
y = [[1], [0]]
[optimizer]
type = "sgd"
learning_rate = 1
[train]
epochs = 10
[[model.layers]]
type = "dense"
units = 2
activation = "sigmoid"
[[model.layers]]
type = "dense"
name = "output"
units = 1
activation = { type = "elu" }
"#;
