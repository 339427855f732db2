//! The data of `[data]`: from a file's keys to samples that a network takes.

mod csv;
mod csv_file;
mod inline;
mod labels;
mod prepare;

pub(crate) use csv_file::{CsvFile, FirstLine};
pub(crate) use labels::LabelColumn;
pub use labels::Labels;
pub(crate) use prepare::Plan;
pub use prepare::{PrepareError, Prepared, Preprocessing};

use std::path::PathBuf;

use chainrule_trainer::metrics::Task;
use chainrule_trainer::{Fractions, Scale};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostics;
use crate::registry::{Registry, Taken};

pub(crate) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.data::<inline::InlineData>(inline::read)?;
    registry.data::<csv::CsvData>(csv::read)
}

/// The keys that every type of data takes.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataCommon {
    /// How inputs are scaled, fitted on the training samples; not at all, if absent.
    pub(crate) scale: Option<ScaleSpec>,
    /// The share of the samples that is evaluated while training; of each class its share.
    #[serde(default)]
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub(crate) validation: f64,
    /// The share of the samples that is evaluated at the end.
    #[serde(default)]
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub(crate) test: f64,
}

impl DataCommon {
    /// The shares that are held out.
    pub(crate) fn fractions(self) -> Fractions {
        Fractions { validation: self.validation, test: self.test }
    }
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
}

/// Targets as they were read.
#[derive(Clone, Debug)]
pub(crate) enum RawTargets {
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
    Labels(LabelColumn),
    /// Two labels that one output tells apart: the first is 0, the second 1.
    YesNo(LabelColumn),
}

/// What a reader of data knows beside its own keys.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// What the loss takes the outputs for.
    pub(crate) task: Task,
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
    /// A data file holds what cannot be used.
    #[error("{path}: {message}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
}
