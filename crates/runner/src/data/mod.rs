//! The data of `[data]`: from a file's keys to samples that a network takes.

mod inline;
mod prepare;

pub use prepare::{Labels, Prepared, Preprocessing};

use std::path::PathBuf;

use chainrule_trainer::Scale;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostics;
use crate::registry::{Registry, Taken};

pub(crate) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.data::<inline::InlineData>(inline::read)
}

/// How `[data] scale` scales inputs, fitted on the training split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ScaleSpec {
    /// Subtract the mean.
    Center,
    /// Subtract the mean and divide by the standard deviation.
    Standard,
    /// Map the least value to 0 and the largest to 1.
    Minmax,
}

impl From<ScaleSpec> for Scale {
    fn from(scale: ScaleSpec) -> Self {
        match scale {
            ScaleSpec::Center => Self::Center,
            ScaleSpec::Standard => Self::Standard,
            ScaleSpec::Minmax => Self::MinMax,
        }
    }
}

/// Samples as they were read: in raw units, in f64, classes as they were called.
#[derive(Clone, Debug)]
pub struct Raw {
    /// The names of the inputs, if they have any.
    pub(crate) features: Option<Vec<String>>,
    /// The names of the outputs, if they have any.
    pub(crate) targets: Option<Vec<String>>,
    /// Row after row.
    pub(crate) x: Vec<f64>,
    /// Numbers in a row.
    pub(crate) width: usize,
    /// What the outputs should be.
    pub(crate) y: RawTargets,
    /// How inputs are to be scaled.
    pub(crate) scale: Option<ScaleSpec>,
}

/// Targets as they were read.
#[derive(Clone, Debug)]
pub enum RawTargets {
    /// Numbers.
    Values {
        /// Row after row.
        data: Vec<f64>,
        /// Numbers in a row.
        width: usize,
    },
    /// Class indices.
    Indices(Vec<u32>),
    /// Class labels.
    Labels(Vec<String>),
}

/// What a reader of data knows beside its own keys.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Whether the loss compares classes.
    pub(crate) classes: bool,
}

/// Why data cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Mistakes in the experiment file itself.
    #[error("the experiment file has mistakes in its data")]
    File(Diagnostics),
    /// A data file cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}
