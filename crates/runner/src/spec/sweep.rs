//! `[sweep]`: one experiment many times, with other values of some keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::document::{self, Node, ReadValueError};
use crate::registry::Entry;
use crate::schema::schema_of;

/// Every combination of the values.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GridSpec {
    /// What is varied; the last key changes fastest.
    #[schemars(length(min = 1))]
    pub vary: Vec<Vary>,
    /// What trials are ranked by: "validation_loss", "train_loss", or a metric such as "validation_accuracy"; the loss of the validation part, if absent, or without one of the training part.
    pub monitor: Option<String>,
}

/// So many combinations, drawn from the seed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomSpec {
    /// What is varied.
    #[schemars(length(min = 1))]
    pub vary: Vec<Vary>,
    /// How many combinations are tried.
    #[schemars(range(min = 1))]
    pub trials: usize,
    /// What trials are ranked by: "validation_loss", "train_loss", or a metric such as "validation_accuracy"; the loss of the validation part, if absent, or without one of the training part.
    pub monitor: Option<String>,
}

/// So many combinations, drawn from the seed, of which the better ones are trained further and further.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HalvingSpec {
    /// What is varied.
    #[schemars(length(min = 1))]
    pub vary: Vec<Vary>,
    /// How many combinations are tried.
    #[schemars(range(min = 1))]
    pub trials: usize,
    /// Epochs that all of them are trained for.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub min_epochs: u64,
    /// The best of so many go on, for so many times as many epochs.
    #[serde(default = "three")]
    #[schemars(range(min = 2))]
    pub factor: u64,
    /// What trials are ranked by: "validation_loss", "train_loss", or a metric such as "validation_accuracy"; the loss of the validation part, if absent, or without one of the training part.
    pub monitor: Option<String>,
}

fn one() -> u64 {
    1
}

fn three() -> u64 {
    3
}

/// A key and what it is set to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vary {
    /// The key, as `--set` names it: "optimizer.learning_rate", "model.layers.0.units"; none of `name`, `runtime`, `checkpoint` and `sweep`.
    pub key: String,
    /// Its values.
    #[schemars(length(min = 1))]
    pub values: Option<Vec<Scalar>>,
    /// The least and the largest, between which values are drawn; whole numbers, if both are.
    #[schemars(length(min = 2, max = 2))]
    pub range: Option<Vec<Number>>,
    /// How values are spread over the range.
    #[serde(default)]
    pub scale: SweepScale,
}

/// How drawn values are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SweepScale {
    /// Evenly.
    #[default]
    Linear,
    /// Evenly by their order of magnitude.
    Log,
}

/// A value of a key.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(String),
}

/// A bound of a range.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Number {
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
}

/// `[sweep]`.
#[derive(Clone, Debug)]
pub enum Sweep {
    /// `type = "grid"`.
    Grid(GridSpec),
    /// `type = "random"`.
    Random(RandomSpec),
    /// `type = "halving"`.
    Halving(HalvingSpec),
}

impl Sweep {
    /// The types with their schemas.
    pub(crate) fn entries() -> [Entry<()>; 3] {
        let entry = |name, schema: Json| Entry { name, schema, build: () };
        [
            entry("grid", schema_of::<GridSpec>()),
            entry("random", schema_of::<RandomSpec>()),
            entry("halving", schema_of::<HalvingSpec>()),
        ]
    }

    /// Reads a table that conforms to the schema.
    pub(crate) fn read(node: &Node) -> Result<Self, ReadValueError> {
        let name = node.at(&["type"]).and_then(Node::as_str).unwrap_or_default().to_owned();
        let mut keys = node.clone();
        if let Some(table) = keys.as_table_mut() {
            drop(table.remove("type"));
        }
        Ok(match name.as_str() {
            "grid" => Self::Grid(document::deserialize(&keys)?),
            "random" => Self::Random(document::deserialize(&keys)?),
            _ => Self::Halving(document::deserialize(&keys)?),
        })
    }

    /// What is varied.
    pub fn vary(&self) -> &[Vary] {
        match self {
            Self::Grid(spec) => &spec.vary,
            Self::Random(spec) => &spec.vary,
            Self::Halving(spec) => &spec.vary,
        }
    }

    /// What trials are ranked by.
    pub fn monitor(&self) -> Option<&str> {
        match self {
            Self::Grid(spec) => spec.monitor.as_deref(),
            Self::Random(spec) => spec.monitor.as_deref(),
            Self::Halving(spec) => spec.monitor.as_deref(),
        }
    }
}
