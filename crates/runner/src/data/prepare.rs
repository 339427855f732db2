//! From raw samples to what a network computes with, and back to names.

use std::path::PathBuf;
use std::sync::OnceLock;

use chainrule_core::Float;
use chainrule_trainer::metrics::Task;
use chainrule_trainer::{Dataset, Error, Fractions, Split, SplitError, huge_pages};

use super::coded::Coded;
use super::preprocessing::Mask;
use super::{Parts, Preprocessing, Raw, ScaleSpec};
use crate::memory;

/// What an output is compared with.
#[derive(Clone, Debug)]
pub(crate) struct OutputTargets {
    /// The layer that gives it.
    pub(crate) name: String,
    /// What it says.
    pub(crate) task: Task,
    /// Targets of one sample.
    pub(crate) columns: usize,
}

/// How raw samples become data sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    /// What is held out.
    pub(crate) fractions: Fractions,
    /// Decides which.
    pub(crate) seed: u64,
    /// How inputs are scaled.
    pub(crate) scale: Option<ScaleSpec>,
    /// The outputs; of the classes of the first that has any, each part gets its share.
    pub(crate) outputs: &'a [OutputTargets],
    /// Which positions are padding.
    pub(crate) mask: Option<Mask>,
}

/// Why raw samples do not become data sets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// They are not whole samples.
    #[error(transparent)]
    Dataset(#[from] Error),
    /// They cannot be split.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// A model of other classes.
    #[error("the model was trained on other classes: it does not know the label \"{0}\"")]
    Label(String),
    /// A model of another text.
    #[error("the model was trained on a text of other characters")]
    Vocabulary,
    /// Several outputs, and data that have one kind of targets.
    #[error(
        "several outputs need data of type `inline` or `csv`, which have the targets of all side by side"
    )]
    OneOutput,
    /// Other columns of targets than the outputs take.
    #[error("the outputs take {takes}, but the data have {found}")]
    Columns {
        /// How many each takes, in words.
        takes: String,
        /// How many there are.
        found: usize,
    },
    /// A number that is no class index.
    #[error("{value} is no class of the output \"{output}\": a class is a whole number from 0 on")]
    ClassIndex {
        /// The layer.
        output: String,
        /// The row.
        row: usize,
        /// The column of the targets.
        column: usize,
        /// What stands there.
        value: f64,
    },
    /// A column of a file does not hold what its output takes.
    #[error("{message}")]
    Content {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// They are too many.
    #[error("the samples need {0}")]
    Memory(String),
}

/// The data sets of an experiment and what was fitted on the training set.
#[derive(Debug)]
pub struct Prepared<F> {
    /// What is trained on.
    pub train: Dataset<F>,
    /// What is evaluated while training.
    pub validation: Option<Dataset<F>>,
    /// What is evaluated at the end.
    pub test: Option<Dataset<F>>,
    /// Which of the raw samples they hold.
    pub split: Split,
    /// What was fitted.
    pub preprocessing: Preprocessing,
    /// That of all parts, once somebody has asked for it.
    pub(crate) digest: OnceLock<String>,
}

impl<F: Float> Prepared<F> {
    /// Splits `raw`, fits the preprocessing on the training part, unless it is `stored` from a run, and applies it.
    ///
    /// # Errors
    /// [`PrepareError`].
    pub(crate) fn new(
        raw: &Raw,
        plan: Plan<'_>,
        stored: Option<Preprocessing>,
    ) -> Result<Self, PrepareError> {
        if stored.as_ref().is_some_and(|stored| stored.vocabulary != raw.kept.vocabulary) {
            return Err(PrepareError::Vocabulary);
        }
        let (targets, names) = Coded::new(raw, plan.outputs, stored.as_ref())?;
        let split = split(raw, &targets, plan)?;
        check_memory::<F>(raw.x.width() + targets.per_sample(), &split)?;

        let preprocessing =
            stored.unwrap_or_else(|| Preprocessing::fit(raw, &split.train, names, (plan.scale, plan.mask)));
        let scaling = preprocessing.scaling();
        let dataset = |samples: &[u32]| {
            let mut x = huge_pages::with_capacity(samples.len() * raw.x.width());
            raw.x.for_each(samples, |row| {
                scaling.apply(row);
                x.extend(row.iter().map(|&x| F::of(x)));
            });
            Dataset::several(x, raw.x.width(), targets.data(samples))
        };
        let held_out = |samples: &Vec<u32>| (!samples.is_empty()).then(|| dataset(samples)).transpose();
        let train = dataset(&split.train)?;
        let (validation, test) = (held_out(&split.validation)?, held_out(&split.test)?);
        Ok(Self { train, validation, test, split, preprocessing, digest: OnceLock::new() })
    }
}

/// What the reader has not split is split by the seed.
fn split(raw: &Raw, targets: &Coded<'_>, plan: Plan<'_>) -> Result<Split, SplitError> {
    let draw = |samples: usize, fractions: Fractions| {
        let classes = targets.classes(plan.outputs);
        // Only with the numbers of the samples for those of the rows, which they are where anything is drawn.
        Split::new(samples, classes.as_deref().map(|classes| &classes[..samples]), fractions, plan.seed)
    };
    match &raw.parts {
        Parts::Drawn => draw(raw.x.len(), plan.fractions),
        Parts::TestFrom(first) => {
            let mut split = draw(*first, Fractions { test: 0.0, ..plan.fractions })?;
            split.test = (0..).take(raw.x.len()).skip(*first).collect();
            Ok(split)
        }
        Parts::Given(split) => Ok(split.clone()),
    }
}

/// Samples that overlap, or that are drawn, may be many more numbers than were read.
fn check_memory<F: Float>(numbers: usize, split: &Split) -> Result<(), PrepareError> {
    let samples = split.train.len() + split.validation.len() + split.test.len();
    // A class is four bytes, a number of the network no less.
    let needed = samples as u128 * numbers as u128 * F::BYTES as u128;
    memory::require(needed).map_err(PrepareError::Memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::RawTargets;

    fn numbers() -> [OutputTargets; 1] {
        [OutputTargets { name: String::new(), task: Task::Numbers, columns: 1 }]
    }

    fn values() -> Vec<f64> {
        (0..10).map(f64::from).collect()
    }

    fn raw() -> Raw {
        Raw::of_rows(values(), 1, RawTargets::Values { data: values(), width: 1 })
    }

    #[test]
    fn of_a_ready_made_test_part_nothing_is_drawn() {
        let raw = Raw { parts: Parts::TestFrom(6), ..raw() };
        let fractions = Fractions { validation: 0.5, test: 0.0 };
        let plan = Plan { fractions, seed: 1, scale: None, outputs: &numbers(), mask: None };
        let Prepared { split, test, .. } = Prepared::<f32>::new(&raw, plan, None).unwrap();
        assert_eq!((split.train.len(), split.validation.len()), (3, 3));
        assert!(split.train.iter().chain(&split.validation).all(|&sample| sample < 6));
        assert_eq!(test.unwrap().batch(0..4).0.data(), [6.0, 7.0, 8.0, 9.0]);
    }

    #[test]
    fn the_scaling_is_fitted_on_the_training_part_alone() {
        let plan = Plan {
            fractions: Fractions { validation: 0.2, test: 0.3 },
            seed: 5,
            scale: Some(ScaleSpec::Center),
            outputs: &numbers(),
            mask: None,
        };
        let Prepared { train, validation, test, split, preprocessing, .. } =
            Prepared::<f64>::new(&raw(), plan, None).unwrap();
        let mean = split.train.iter().map(|&sample| f64::from(sample)).sum::<f64>() / 5.0;
        assert_eq!(preprocessing.shift, [mean]);
        let parts = [(Some(&train), &split.train), (validation.as_ref(), &split.validation)];
        for (part, samples) in parts.into_iter().chain([(test.as_ref(), &split.test)]) {
            let expected: Vec<f64> = samples.iter().map(|&sample| f64::from(sample) - mean).collect();
            assert_eq!(part.unwrap().batch(0..samples.len()).0.data(), expected);
        }
        // Stored preprocessing is applied as it is.
        let stored = Preprocessing { shift: vec![100.0], ..preprocessing };
        let again = Prepared::<f64>::new(&raw(), plan, Some(stored.clone())).unwrap();
        assert_eq!(again.preprocessing, stored);
        assert_eq!(again.split, split);
    }
}
