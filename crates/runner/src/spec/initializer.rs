//! `weight_init` and `bias_init`: a name, or a table where there is something to set.

use chainrule_core::Initializer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A distribution of start values.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum InitializerSpec {
    /// By its name, with its defaults.
    Name(InitializerName),
    /// With keys of its own.
    Table(InitializerTable),
}

/// The initialisers that need no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InitializerName {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// Normal, mean 0, standard deviation 1.
    Normal,
    /// Uniform in [0, 1).
    Uniform,
    /// Uniform, variance 2 / (fan in + fan out).
    XavierUniform,
    /// Normal, variance 2 / (fan in + fan out).
    XavierNormal,
    /// Uniform, variance 2 / fan in.
    HeUniform,
    /// Normal, variance 2 / fan in.
    HeNormal,
    /// Normal, variance 1 / fan in.
    LecunNormal,
    /// Orthonormal rows or columns.
    Orthogonal,
}

/// An initialiser with its keys.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum InitializerTable {
    /// All 0.
    Zeros {},
    /// All 1.
    Ones {},
    /// All one value.
    Constant {
        /// The value.
        value: f64,
    },
    /// Normal, by default mean 0 and standard deviation 1.
    Normal {
        /// The mean.
        #[serde(default)]
        mean: f64,
        /// The standard deviation.
        #[serde(default = "one")]
        #[schemars(range(min = 0.0))]
        std: f64,
    },
    /// Uniform in [low, high), by default [0, 1).
    Uniform {
        /// The least value.
        #[serde(default)]
        low: f64,
        /// The bound above, itself excluded.
        #[serde(default = "one")]
        high: f64,
    },
    /// Uniform, variance gain² · 2 / (fan in + fan out).
    XavierUniform {
        /// A factor of all values.
        #[serde(default = "one")]
        #[schemars(extend("exclusiveMinimum" = 0))]
        gain: f64,
    },
    /// Normal, variance gain² · 2 / (fan in + fan out).
    XavierNormal {
        /// A factor of all values.
        #[serde(default = "one")]
        #[schemars(extend("exclusiveMinimum" = 0))]
        gain: f64,
    },
    /// Uniform, variance 2 / fan in.
    HeUniform {},
    /// Normal, variance 2 / fan in.
    HeNormal {},
    /// Normal, variance 1 / fan in.
    LecunNormal {},
    /// Orthonormal rows or columns.
    Orthogonal {
        /// A factor of all values.
        #[serde(default = "one")]
        #[schemars(extend("exclusiveMinimum" = 0))]
        gain: f64,
    },
}

fn one() -> f64 {
    1.0
}

impl InitializerSpec {
    /// The default of weights.
    pub fn xavier_uniform() -> Self {
        Self::Name(InitializerName::XavierUniform)
    }

    /// The default of weights between states.
    pub fn orthogonal() -> Self {
        Self::Name(InitializerName::Orthogonal)
    }

    /// The default of biases.
    pub fn zeros() -> Self {
        Self::Name(InitializerName::Zeros)
    }

    /// The initialiser itself; `Err` says which keys contradict each other.
    ///
    /// # Errors
    /// If a uniform's `low` is not below its `high`.
    pub fn build(self) -> Result<Initializer, String> {
        let table = match self {
            Self::Table(table) => table,
            Self::Name(name) => name.with_defaults(),
        };
        Ok(match table {
            InitializerTable::Zeros {} => Initializer::Zeros,
            InitializerTable::Ones {} => Initializer::Ones,
            InitializerTable::Constant { value } => Initializer::Constant { value },
            InitializerTable::Normal { mean, std } => Initializer::Normal { mean, std },
            InitializerTable::Uniform { low, high } if low < high => Initializer::Uniform { low, high },
            InitializerTable::Uniform { low, high } => {
                return Err(format!("a uniform distribution needs low < high, found {low} and {high}"));
            }
            InitializerTable::XavierUniform { gain } => Initializer::XavierUniform { gain },
            InitializerTable::XavierNormal { gain } => Initializer::XavierNormal { gain },
            InitializerTable::HeUniform {} => Initializer::HeUniform,
            InitializerTable::HeNormal {} => Initializer::HeNormal,
            InitializerTable::LecunNormal {} => Initializer::LecunNormal,
            InitializerTable::Orthogonal { gain } => Initializer::Orthogonal { gain },
        })
    }
}

impl InitializerName {
    fn with_defaults(self) -> InitializerTable {
        match self {
            Self::Zeros => InitializerTable::Zeros {},
            Self::Ones => InitializerTable::Ones {},
            Self::Normal => InitializerTable::Normal { mean: 0.0, std: 1.0 },
            Self::Uniform => InitializerTable::Uniform { low: 0.0, high: 1.0 },
            Self::XavierUniform => InitializerTable::XavierUniform { gain: 1.0 },
            Self::XavierNormal => InitializerTable::XavierNormal { gain: 1.0 },
            Self::HeUniform => InitializerTable::HeUniform {},
            Self::HeNormal => InitializerTable::HeNormal {},
            Self::LecunNormal => InitializerTable::LecunNormal {},
            Self::Orthogonal => InitializerTable::Orthogonal { gain: 1.0 },
        }
    }
}
