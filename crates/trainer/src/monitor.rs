//! The one number by which epochs are judged, and what follows from it.

use crate::Record;
use crate::metrics::{Metric, Score, Scored};

/// What an epoch is judged by.
#[derive(Clone, Debug, PartialEq)]
pub struct Monitor {
    /// Of which part of the data.
    pub part: Part,
    /// Which number of it; the loss, if it is no metric.
    pub metric: Option<(Metric, String)>,
}

/// Which samples a number is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The batches of the epoch, each before its step.
    Running,
    /// The whole training set after the epoch.
    Train,
    /// The validation set after the epoch.
    Validation,
}

impl Monitor {
    /// The loss of a part.
    pub fn loss(part: Part) -> Self {
        Self { part, metric: None }
    }

    /// A metric of a part, of the output of this name.
    pub fn metric(part: Part, metric: Metric, output: String) -> Self {
        Self { part, metric: Some((metric, output)) }
    }

    /// Whether more is better.
    pub fn larger_is_better(&self) -> bool {
        self.metric.as_ref().is_some_and(|(metric, _)| metric.larger_is_better())
    }

    /// The number that a record has of it; none, if it is not defined.
    pub fn of(&self, record: &Record) -> Option<f64> {
        let (loss, scores): (_, &[Scored]) = match self.part {
            Part::Running => (Some(record.running_loss), &[]),
            Part::Train => (record.train_loss, &record.train_scores),
            Part::Validation => (record.validation_loss, &record.validation_scores),
        };
        let Some((metric, output)) = &self.metric else { return loss };
        let found = scores.iter().find(|scored| scored.metric == *metric && scored.output == *output)?;
        match found.score {
            Score::Number(number) if !number.is_nan() => Some(number),
            _ => None,
        }
    }
}

/// How the monitored quantity went so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Judged {
    /// The best value; none yet.
    pub best: Option<f64>,
    /// The epoch that had it.
    pub best_epoch: u64,
    /// Epochs since then.
    pub waited: u64,
}

impl Judged {
    /// Takes the value of an epoch; whether it is better than all before by more than `min_delta`. An epoch without a
    /// value is none that is better.
    pub fn judge(&mut self, value: Option<f64>, epoch: u64, larger_is_better: bool, min_delta: f64) -> bool {
        let gain = |best: f64, value: f64| if larger_is_better { value - best } else { best - value };
        let better = value.is_some_and(|value| self.best.is_none_or(|best| gain(best, value) > min_delta));
        if better {
            *self = Self { best: value, best_epoch: epoch, waited: 0 };
        } else {
            self.waited += 1;
        }
        better
    }
}

/// Ends a run when the monitored quantity no longer gets better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStopping {
    /// Epochs without a better value before the run ends, at least 1.
    pub patience: u64,
    /// How much better a value must be to count.
    pub min_delta: f64,
    /// Whether the run gives the parameters of the best epoch rather than the last.
    pub restore_best: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_epochs_since_the_best_by_more_than_the_least_difference() {
        let mut judged = Judged::default();
        let better = [3.0, 2.0, 1.95, 2.5, 1.8].map(Some).into_iter().zip(1..);
        let better: Vec<bool> = better.map(|(value, epoch)| judged.judge(value, epoch, false, 0.1)).collect();
        assert_eq!(better, [true, true, false, false, true]);
        assert_eq!(judged, Judged { best: Some(1.8), best_epoch: 5, waited: 0 });
        assert!(!judged.judge(None, 6, false, 0.0));
        assert_eq!(judged.waited, 1);
    }

    #[test]
    fn takes_more_for_better_where_it_is() {
        let mut judged = Judged::default();
        assert!(judged.judge(Some(0.5), 1, true, 0.0));
        assert!(!judged.judge(Some(0.4), 2, true, 0.0));
        assert!(judged.judge(Some(0.6), 3, true, 0.0));
        assert!(Monitor::metric(Part::Validation, Metric::Accuracy, String::new()).larger_is_better());
        assert!(!Monitor::metric(Part::Validation, Metric::Rmse, String::new()).larger_is_better());
        assert!(!Monitor::loss(Part::Train).larger_is_better());
    }
}
