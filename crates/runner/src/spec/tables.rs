//! The tables that have no variants.

use chainrule_trainer::metrics::Metric;
use chainrule_trainer::optimizer::{Clip, DecayOn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::yes;

/// The keys above all tables.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopLevel {
    /// The version of this format.
    #[serde(default = "first_version")]
    #[schemars(range(min = 1, max = 1))]
    pub schema_version: u32,
    /// The name of the experiment and of its run directory; the file's, if not given.
    pub name: Option<String>,
    /// Decides every random number: start values, the order of samples, and so on.
    #[serde(default)]
    pub seed: u64,
    /// The numbers that the network computes in.
    #[serde(default)]
    pub dtype: Dtype,
}

fn first_version() -> u32 {
    1
}

/// The precision of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// Single precision, 32 bits.
    #[default]
    F32,
    /// Double precision, 64 bits.
    F64,
}

/// `[train]`: how long, how many samples at a time, what is logged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainTable {
    /// Passes over the training set.
    #[schemars(range(min = 1))]
    pub epochs: u64,
    /// Samples a step of the optimizer.
    #[serde(default = "usual_batch")]
    #[schemars(range(min = 1))]
    pub batch_size: usize,
    /// Whether each epoch has an order of its own, a function of seed and epoch.
    #[serde(default = "yes")]
    pub shuffle: bool,
    /// Log epoch 1, then every so many epochs, and the last.
    #[serde(default = "every_epoch")]
    #[schemars(range(min = 1))]
    pub log_every: u64,
    /// Whether a logged epoch has the loss and the metrics over the whole training set.
    #[serde(default)]
    pub evaluate_train: bool,
}

fn usual_batch() -> usize {
    32
}

fn every_epoch() -> u64 {
    1
}

/// `[predict]`: samples predicted after training.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PredictTable {
    /// A row a sample, in raw units.
    #[schemars(length(min = 1))]
    pub x: Vec<Vec<f64>>,
    /// A name a sample, printed with its prediction.
    pub names: Option<Vec<String>>,
}

/// `[metrics]`: what is reported beside the loss.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsTable {
    /// The metrics of each part of the data, after each logged epoch and at the end.
    #[serde(default)]
    pub report: Vec<MetricName>,
}

/// A metric, equal to scikit-learn's of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricName {
    /// The share of right answers.
    Accuracy,
    /// How often each class (row) was taken for each (column).
    ConfusionMatrix,
    /// Of the answers "class c", the share that is right; of two classes the second's, else the mean over classes.
    Precision,
    /// Of the samples of class c, the share that is found; of two classes the second's, else the mean over classes.
    Recall,
    /// The harmonic mean of precision and recall; of two classes the second's, else the mean over classes.
    F1,
    /// The root of the mean squared error.
    Rmse,
    /// The mean absolute error.
    Mae,
    /// 1 minus the squared error over that of the targets' mean.
    R2,
}

impl From<MetricName> for Metric {
    fn from(name: MetricName) -> Self {
        match name {
            MetricName::Accuracy => Self::Accuracy,
            MetricName::ConfusionMatrix => Self::ConfusionMatrix,
            MetricName::Precision => Self::Precision,
            MetricName::Recall => Self::Recall,
            MetricName::F1 => Self::F1,
            MetricName::Rmse => Self::Rmse,
            MetricName::Mae => Self::Mae,
            MetricName::R2 => Self::R2,
        }
    }
}

/// `[runtime]`: what never changes a result.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuntimeTable {
    /// How many threads; 0 for all cores.
    #[serde(default)]
    #[schemars(range(max = 1024))]
    pub threads: usize,
}

/// The keys that every optimiser takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OptimizerCommon {
    /// The length of a step along the gradient.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(crate) learning_rate: f64,
    /// The parameters that weight decay shrinks.
    #[serde(default)]
    pub(crate) weight_decay_on: WeightDecayOn,
    /// The gradient of all trained parameters is shortened to this L2 norm, if it is longer.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(crate) clip_grad_norm: Option<f64>,
    /// Every number of the gradient is limited to plus or minus this, before its norm is.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(crate) clip_grad_value: Option<f64>,
    /// The factor of the L1 norm, of what `weight_decay_on` says, that is added to what training makes small.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub(crate) l1: f64,
    /// After each step every row of a weight, what one unit weighs its inputs by, is shortened to this L2 norm.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(crate) max_norm: Option<f64>,
    /// Layers that are trained otherwise than the rest.
    #[schemars(length(min = 1))]
    pub(crate) groups: Option<Vec<GroupTable>>,
}

/// `[[optimizer.groups]]`: layers with a learning rate or a weight decay of their own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupTable {
    /// Their names; of a layer within another OUTER.INNER, or INNER if that is unique.
    #[schemars(length(min = 1))]
    pub(crate) layers: Vec<String>,
    /// The learning rate in place of the optimizer's; a schedule scales it alike.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(crate) learning_rate: Option<f64>,
    /// The weight decay in place of the optimizer's.
    #[schemars(range(min = 0.0))]
    pub(crate) weight_decay: Option<f64>,
}

impl OptimizerCommon {
    /// The names of these keys.
    pub(crate) const KEYS: [&str; 7] =
        ["learning_rate", "weight_decay_on", "clip_grad_norm", "clip_grad_value", "l1", "max_norm", "groups"];

    /// What the gradient is limited to.
    pub(crate) fn clip(&self) -> Clip {
        Clip { norm: self.clip_grad_norm, value: self.clip_grad_value }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WeightDecayOn {
    /// Every parameter.
    #[default]
    All,
    /// No biases.
    Weights,
}

impl From<WeightDecayOn> for DecayOn {
    fn from(on: WeightDecayOn) -> Self {
        match on {
            WeightDecayOn::All => Self::All,
            WeightDecayOn::Weights => Self::Weights,
        }
    }
}
