//! What can go wrong between a network and a trained one.

use chainrule_core as core;

use crate::Divergence;

/// Why training or evaluation cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A network with statistics over the batch, and a batch that has none.
    #[error(
        "{samples} samples in batches of {batch_size} leave a batch of {smallest}, but a layer takes statistics over at least {needed}"
    )]
    SmallBatch {
        /// Rows of the smallest batch of an epoch.
        smallest: usize,
        /// Rows that the network needs.
        needed: usize,
        /// Samples of the training set.
        samples: usize,
        /// Samples a batch.
        batch_size: usize,
    },
    /// An optimiser that compares gradients of the whole training set, and steps of parts of it.
    #[error("the optimizer takes its steps on all {samples} training samples, but a step has {step}")]
    NotWhole {
        /// Samples of the training set.
        samples: usize,
        /// Samples of a step.
        step: usize,
    },
    /// The network or its memory cannot be had.
    #[error(transparent)]
    Core(#[from] core::Error),
    /// A data set without samples.
    #[error("the data set has no samples")]
    NoSamples,
    /// Inputs and targets do not make whole samples of the same number.
    #[error("{inputs} input rows and {targets} target rows; every sample needs one of each")]
    Ragged {
        /// Whole input rows.
        inputs: usize,
        /// Whole target rows.
        targets: usize,
    },
    /// The data do not have the shape that the network and its loss take.
    #[error("the network takes {expected} {what} a sample, but the data have {found}")]
    DataShape {
        /// Inputs, targets.
        what: &'static str,
        /// What the objective takes.
        expected: usize,
        /// What the data set holds.
        found: usize,
    },
    /// The loss compares numbers and the data hold classes, or the other way round.
    #[error("the loss compares outputs with {expected}, but the targets are {found}")]
    TargetKind {
        /// What the loss takes.
        expected: &'static str,
        /// What the data set holds.
        found: &'static str,
    },
    /// A class index that no output stands for.
    #[error("sample {sample} is of class {class}, but the network has scores for {classes}: 0 to {}", classes - 1)]
    ClassRange {
        /// The zero-based index of the sample.
        sample: usize,
        /// Its class.
        class: u32,
        /// The number of classes.
        classes: usize,
    },
    /// An input that is no index of the layer that reads it.
    #[error("sample {sample} holds {value} where the network takes an index: a whole number from 0 to {}", limit - 1)]
    IndexRange {
        /// The zero-based index of the sample.
        sample: usize,
        /// What it holds.
        value: f64,
        /// The number that indices are below.
        limit: usize,
    },
    /// The targets of one of several outputs.
    #[error("output \"{name}\": {source}")]
    Output {
        /// The layer that gives it.
        name: String,
        /// What is wrong with them.
        source: Box<Self>,
    },
    /// A loss or a gradient is no longer finite, or the parameters are not after the last step.
    #[error("diverged: {0}")]
    Diverged(Box<Divergence>),
    /// A state that is none of a run of this network and optimiser.
    #[error("the state is not one of a run of this network with this optimizer")]
    State,
    /// A metric that the outputs of the network do not have.
    #[error("the metric {metric} does not fit what the network predicts")]
    Metric {
        /// Its name.
        metric: &'static str,
    },
    /// A setting that counts something, and is zero.
    #[error("{what} must be at least 1")]
    Zero {
        /// Which setting.
        what: &'static str,
    },
    /// An observer failed; a log file that cannot be written.
    #[error("{0}")]
    Observer(Box<dyn std::error::Error + Send + Sync>),
    /// An optimiser with settings that contradict each other.
    #[error("{0}")]
    Optimizer(&'static str),
    /// The threads cannot be started.
    #[error("cannot start {count} threads: {source}")]
    Threads {
        /// How many were asked for.
        count: usize,
        /// What the system says.
        source: rayon::ThreadPoolBuildError,
    },
}
