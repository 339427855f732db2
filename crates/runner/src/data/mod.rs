//! The data of `[data]`: from a file's keys to samples that a network takes.

mod characters;
mod coded;
mod csv;
mod csv_file;
mod idx;
mod idx_file;
mod inline;
mod labels;
mod prepare;
mod preprocessing;
mod samples;
mod shared;
mod source;
mod synthetic;
mod text;
mod windows;

pub(crate) use csv_file::{CsvFile, FirstLine};
pub(crate) use labels::LabelColumn;
pub use labels::Labels;
pub(crate) use prepare::{OutputTargets, Plan};
pub use prepare::{PrepareError, Prepared};
pub use preprocessing::{Mask, OutputNames, Preprocessing};
pub(crate) use samples::{Numbers, Samples};
pub(crate) use shared::SharedData;
pub use text::Vocabulary;
pub(crate) use text::read_tokens;
pub use windows::Window;

use std::path::PathBuf;

use chainrule_trainer::metrics::Task;
use chainrule_trainer::{Fractions, Scale, Split};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{self, Node, Place};
use crate::registry::{Registry, Taken};

pub(crate) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.data::<inline::InlineData>(inline::read)?;
    registry.data::<csv::CsvData>(csv::read)?;
    registry.data::<idx::IdxData>(idx::read)?;
    registry.data::<text::TextData>(text::read)?;
    registry.data::<synthetic::SyntheticData>(synthetic::read)
}

/// The keys of `[data]` that are paths or lists of paths; each is made absolute when an experiment is loaded.
pub(crate) const PATHS: [&str; 6] = ["path", "paths", "images", "labels", "test_images", "test_labels"];

/// The keys that every type of data takes.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataCommon {
    /// How inputs are scaled, fitted on the training samples; not at all, if absent.
    pub(crate) scale: Option<ScaleSpec>,
    /// The share of the samples that is evaluated while training: of each class, or of a series before the test part.
    #[serde(default)]
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub(crate) validation: f64,
    /// The share of the samples that is evaluated at the end; of a text or a time series the last.
    #[serde(default)]
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub(crate) test: f64,
    /// Marks padding: positions of which every number is this one; for samples of the shape [positions, features].
    pub(crate) mask_value: Option<f64>,
}

impl DataCommon {
    /// The names of the keys.
    pub(crate) const KEYS: [&'static str; 4] = ["scale", "validation", "test", "mask_value"];

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

/// Samples as they were read: in raw units, classes as they were called.
#[derive(Clone, Debug)]
pub struct Raw {
    /// The names of the inputs, if they have any.
    pub(crate) features: Option<Vec<String>>,
    /// The names of the outputs, if they have any.
    pub(crate) targets: Option<Vec<String>>,
    /// The inputs.
    pub(crate) x: Samples,
    /// What the outputs should be.
    pub(crate) y: RawTargets,
    /// Which row of `y` belongs to each sample; none, if each has the row of its own number.
    pub(crate) y_rows: Option<Vec<u32>>,
    /// The shape of a sample, if the data know more than its length.
    pub(crate) shape: Option<Vec<usize>>,
    /// What is held out.
    pub(crate) parts: Parts,
    /// What else the model must keep, to take new inputs as it took these.
    pub(crate) kept: Kept,
}

impl Raw {
    /// Samples that are rows of numbers, of which any may be held out.
    pub(crate) fn of_rows(x: Vec<f64>, width: usize, y: RawTargets) -> Self {
        Self {
            features: None,
            targets: None,
            x: Samples::rows(Numbers::F64(x), width),
            y,
            y_rows: None,
            shape: None,
            parts: Parts::Drawn,
            kept: Kept::default(),
        }
    }

    /// The shape of a sample: one axis, if the data do not know better.
    pub(crate) fn shape(&self) -> Vec<usize> {
        self.shape.clone().unwrap_or_else(|| vec![self.x.width()])
    }
}

/// What is held out of the samples that a reader gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parts {
    /// What the seed draws.
    Drawn,
    /// The samples from this one on are the test part; of those before, what the seed draws is for validation.
    TestFrom(usize),
    /// The reader has split them.
    Given(Split),
}

/// What a reader did to the inputs that is not fitted, and has to be done to new ones too.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Kept {
    /// What every input is divided by, before it is scaled.
    pub(crate) divide_by: Option<f64>,
    /// The tokens of a text.
    pub(crate) vocabulary: Option<Vocabulary>,
    /// How samples are taken from a time series, and how many of its rows are for training.
    pub(crate) window: Option<(Window, usize)>,
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
    /// A class index for each position of a sample.
    PositionIndices {
        /// Sample after sample.
        data: Vec<u32>,
        /// Positions of a sample.
        width: usize,
    },
    /// Class labels.
    Labels(LabelColumn),
    /// Two labels that one output tells apart: the first is 0, the second 1.
    YesNo(LabelColumn),
    /// After each token of a sample, the next one of the text.
    NextTokens,
    /// The targets of several outputs, column by column: what they are is known once the network is.
    Columns(Vec<TargetColumn>),
}

/// A column of targets that may be numbers or labels.
#[derive(Clone, Debug)]
pub(crate) struct TargetColumn {
    /// Its name.
    pub(crate) name: String,
    /// Where it was read.
    pub(crate) path: PathBuf,
    /// Its numbers; else which cell is none.
    pub(crate) numbers: Result<Vec<f64>, String>,
    /// Its labels; none, if there are too many for that.
    pub(crate) labels: Option<LabelColumn>,
}

/// What a reader of data knows beside its own keys.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What the loss takes the outputs for; of several, nothing that is known yet.
    pub(crate) task: Task,
    /// Whether there are several outputs, whose targets stand side by side.
    pub(crate) several: bool,
    /// The keys that every type takes.
    pub(crate) common: DataCommon,
    /// The whole table, with the places of those keys.
    pub(crate) table: &'a Node,
    /// The seed of the experiment.
    pub(crate) seed: u64,
    /// The bytes of a number of the network.
    pub(crate) bytes: usize,
}

impl Context<'_> {
    /// The place of a key of the table, or of the table.
    fn place(&self, key: &str) -> Place {
        self.table
            .at(&[key])
            .map(|node| node.place)
            .filter(|place| !place.is_none())
            .unwrap_or(self.table.place)
    }

    /// A mistake at a key of the table.
    fn mistake(&self, key: &str, message: impl Into<String>, help: &str) -> DataError {
        DataError::File(Diagnostic::new(message).at(self.place(key)).help(help).into())
    }
}

/// The keys of a type of data, of a table that conforms to the schema.
fn keys<T: serde::de::DeserializeOwned>(node: &Node) -> Result<T, DataError> {
    document::deserialize(node).map_err(|error| {
        let mistake = Diagnostic::new(format!("[data]: {error}")).at(node.place);
        DataError::File(mistake.into())
    })
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
