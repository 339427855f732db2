//! Metrics: what a person asks of a network, beside the loss that it is trained by.
//!
//! Each equals scikit-learn's of the same name; `tests/tests/metrics.rs` compares them. Counts are whole numbers and sums
//! are added in the order of the samples, so the bits do not depend on the number of threads.

mod classes;
mod numbers;
mod scorer;

pub use scorer::{Scored, ScoredOutput, Scorer, Scoring};

/// What the outputs of a network say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Task {
    /// Numbers.
    Numbers,
    /// Yes or no: yes from `threshold` on, outputs as well as targets.
    Binary {
        /// 1/2 for probabilities, 0 for signs.
        threshold: f64,
    },
    /// The class with the highest of its scores; as many scores as the network's last axis is long.
    Classes,
}

/// A number or a table that says how good predictions are.
///
/// # Which class
/// `precision`, `recall` and `f1` are those of one class: of two classes the second, "yes" (scikit-learn's `average =
/// "binary"` with labels 0 and 1). Of more classes they are the mean over those that occur, as targets or as predictions
/// (`average = "macro"`). Where nothing can be right, they are 0 (`zero_division = 0`). With several yes-or-no outputs,
/// the answers of all are counted together.
///
/// # Several numbers
/// `rmse`, `mae` and `r2` of several outputs are the means of those of each output (`multioutput = "uniform_average"`).
/// `r2` of an output whose targets are all equal is 1 if they are met and 0 if not; of a single sample it is not defined,
/// which is NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// The share of right answers.
    Accuracy,
    /// How often each class (row) was taken for each (column).
    ConfusionMatrix,
    /// Of the answers "class c", the share that is right.
    Precision,
    /// Of the samples of class c, the share that is found.
    Recall,
    /// The harmonic mean of precision and recall.
    F1,
    /// The root of the mean squared error.
    Rmse,
    /// The mean absolute error.
    Mae,
    /// 1 minus the squared error over that of the targets' mean.
    R2,
}

/// The value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Score {
    /// A number.
    Number(f64),
    /// Counts, a row a true class, a column a predicted one.
    Matrix {
        /// Row after row.
        counts: Vec<u64>,
        /// The number of classes.
        classes: usize,
    },
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 8] = [
        Self::Accuracy,
        Self::ConfusionMatrix,
        Self::Precision,
        Self::Recall,
        Self::F1,
        Self::Rmse,
        Self::Mae,
        Self::R2,
    ];

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::ConfusionMatrix => "confusion_matrix",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::F1 => "f1",
            Self::Rmse => "rmse",
            Self::Mae => "mae",
            Self::R2 => "r2",
        }
    }

    /// Whether more of it is better. A table is no number to compare.
    pub fn larger_is_better(self) -> bool {
        !matches!(self, Self::Rmse | Self::Mae)
    }

    /// Whether it counts right answers, rather than how far numbers are off.
    pub fn counts(self) -> bool {
        !matches!(self, Self::Rmse | Self::Mae | Self::R2)
    }

    /// Whether it can be had of a network that does `task`. Yes-or-no outputs are numbers too.
    pub fn fits(self, task: Task) -> bool {
        match task {
            Task::Numbers => !self.counts(),
            Task::Binary { .. } => true,
            Task::Classes => self.counts(),
        }
    }
}
