//! The tables that have no variants.

use chainrule_trainer::metrics::Metric;
use chainrule_trainer::optimizer::{Clip, DecayOn};
use chainrule_trainer::{EarlyStopping, Every, OnNotFinite};
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
    /// Samples a batch; a step of the optimizer has `accumulate` batches.
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
    /// Batches whose gradients make one step of the optimizer.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub accumulate: usize,
    /// What epochs are judged by, for early stopping, `save_best` and `reduce_on_plateau`: "running_loss", "train_loss", "validation_loss", or a metric of a part such as "validation_accuracy"; the validation loss, if absent, or without a validation part the running loss.
    pub monitor: Option<String>,
    /// What happens when the loss of a batch or its gradient is not finite.
    #[serde(default)]
    pub on_nonfinite: OnNonFinite,
}

fn one() -> usize {
    1
}

/// What happens when a step is not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnNonFinite {
    /// The run ends, before the step is taken.
    #[default]
    Stop,
    /// The step is left out and counted.
    SkipStep,
}

impl From<OnNonFinite> for OnNotFinite {
    fn from(on: OnNonFinite) -> Self {
        match on {
            OnNonFinite::Stop => Self::Stop,
            OnNonFinite::SkipStep => Self::SkipStep,
        }
    }
}

/// `[early_stopping]`: when training ends before its last epoch.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStoppingTable {
    /// Epochs without a better value of `train.monitor` before training ends.
    #[schemars(range(min = 1))]
    pub patience: u64,
    /// How much better a value must be to count.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub min_delta: f64,
    /// Whether the model is that of the best epoch rather than the last.
    #[serde(default = "yes")]
    pub restore_best: bool,
}

impl From<EarlyStoppingTable> for EarlyStopping {
    fn from(table: EarlyStoppingTable) -> Self {
        let EarlyStoppingTable { patience, min_delta, restore_best } = table;
        Self { patience, min_delta, restore_best }
    }
}

/// `[checkpoint]`: how often the state of a run is stored; at its start, at its end and when it is interrupted it is in any case.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointTable {
    /// After so many epochs.
    #[schemars(range(min = 1))]
    pub every_epochs: Option<u64>,
    /// After so many steps, within an epoch too.
    #[schemars(range(min = 1))]
    pub every_steps: Option<u64>,
    /// Whether the state with the best value of `train.monitor` is kept as checkpoints/best.
    #[serde(default)]
    pub save_best: bool,
    /// How many are kept, beside the best.
    #[serde(default = "two")]
    #[schemars(range(min = 2))]
    pub keep_last: usize,
}

fn two() -> usize {
    2
}

impl Default for CheckpointTable {
    fn default() -> Self {
        Self { every_epochs: None, every_steps: None, save_best: false, keep_last: two() }
    }
}

impl CheckpointTable {
    /// How often.
    pub(crate) fn every(self) -> Option<Every> {
        self.every_epochs.map(Every::Epochs).or(self.every_steps.map(Every::Steps))
    }
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
