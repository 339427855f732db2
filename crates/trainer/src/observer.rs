//! What a run tells whoever watches it.

use std::error::Error;

use crate::metrics::Scored;

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Samples trained since the start, over all epochs.
    pub samples: u64,
    /// The loss of the last step.
    pub loss: f64,
}

/// What is known of a logged epoch: a line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Steps since the start, over all epochs.
    pub step: u64,
    /// The mean loss over the epoch's batches, each as it was before its step.
    pub running_loss: f64,
    /// The loss over the whole training set after the epoch, if asked for.
    pub train_loss: Option<f64>,
    /// The loss over the validation set after the epoch, if there is one.
    pub validation_loss: Option<f64>,
    /// Of several outputs, the loss of each by its name, before it is weighted, over the whole training set.
    pub train_losses: Vec<(String, f64)>,
    /// The same over the validation set.
    pub validation_losses: Vec<(String, f64)>,
    /// The metrics over the whole training set, if asked for.
    pub train_scores: Vec<Scored>,
    /// The metrics over the validation set, if there is one and they are asked for.
    pub validation_scores: Vec<Scored>,
    /// The learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Seconds spent training since the last record, without evaluation and logging.
    pub train_seconds: f64,
    /// Epochs since the last record.
    pub epochs_since: u64,
}

/// Watches a run. It cannot change a result.
pub trait Observer {
    /// Called now and then, about every millisecond of work or more rarely.
    fn progressed(&mut self, progress: Progress);

    /// Called after every logged epoch.
    ///
    /// # Errors
    /// Any error ends the run.
    fn logged(&mut self, record: &Record) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// Watches nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Observer for Silent {
    fn progressed(&mut self, _progress: Progress) {}

    fn logged(&mut self, _record: &Record) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}
