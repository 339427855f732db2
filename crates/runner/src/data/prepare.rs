//! From raw samples to what a network computes with, and back to names.

use std::borrow::Cow;

use chainrule_core::Float;
use chainrule_trainer::metrics::Task;
use chainrule_trainer::{Dataset, Error, Fractions, Split, SplitError, TargetData};

use super::{Labels, Parts, Preprocessing, Raw, RawTargets, ScaleSpec};
use crate::memory;

/// How raw samples become data sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// What is held out.
    pub(crate) fractions: Fractions,
    /// Decides which.
    pub(crate) seed: u64,
    /// How inputs are scaled.
    pub(crate) scale: Option<ScaleSpec>,
    /// Whether there are classes, of which each part gets its share.
    pub(crate) task: Task,
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
}

impl<F: Float> Prepared<F> {
    /// Splits `raw`, fits the preprocessing on the training part, unless it is `stored` from a run, and applies it.
    ///
    /// # Errors
    /// [`PrepareError`].
    pub(crate) fn new(raw: &Raw, plan: Plan, stored: Option<Preprocessing>) -> Result<Self, PrepareError> {
        if stored.as_ref().is_some_and(|stored| stored.vocabulary != raw.kept.vocabulary) {
            return Err(PrepareError::Vocabulary);
        }
        let labels = stored.as_ref().map_or_else(|| labels(raw), |stored| stored.labels.clone());
        let targets = Coded::new(raw, labels.as_ref())?;
        let split = split(raw, &targets, plan)?;
        check_memory::<F>(raw.x.width() + targets.per_sample(), &split)?;

        let preprocessing =
            stored.unwrap_or_else(|| Preprocessing::fit(raw, &split.train, labels, plan.scale));
        let scaling = preprocessing.scaling();
        let dataset = |samples: &[u32]| {
            let mut x = Vec::with_capacity(samples.len() * raw.x.width());
            raw.x.for_each(samples, |row| {
                scaling.apply(row);
                x.extend(row.iter().map(|&x| F::of(x)));
            });
            Dataset::new(x, raw.x.width(), targets.data(samples))
        };
        let held_out = |samples: &Vec<u32>| (!samples.is_empty()).then(|| dataset(samples)).transpose();
        let train = dataset(&split.train)?;
        let (validation, test) = (held_out(&split.validation)?, held_out(&split.test)?);
        Ok(Self { train, validation, test, split, preprocessing })
    }
}

/// What the reader has not split is split by the seed.
fn split(raw: &Raw, targets: &Coded<'_>, plan: Plan) -> Result<Split, SplitError> {
    let draw = |samples: usize, fractions: Fractions| {
        let classes = targets.classes(plan.task);
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

/// The labels of all samples, held out or not: every part has the same classes.
fn labels(raw: &Raw) -> Option<Labels> {
    match &raw.y {
        RawTargets::Labels(column) | RawTargets::YesNo(column) => Some(Labels::of(column)),
        _ => None,
    }
}

/// Targets as numbers and classes, of all rows.
enum Codes<'a> {
    Values { data: &'a [f64], width: usize },
    Classes(Cow<'a, [u32]>),
    YesNo(Vec<u32>),
    NextTokens,
}

/// The targets of all samples.
struct Coded<'a> {
    codes: Codes<'a>,
    raw: &'a Raw,
}

impl<'a> Coded<'a> {
    fn new(raw: &'a Raw, labels: Option<&Labels>) -> Result<Self, PrepareError> {
        let classes = |column| {
            let known = labels.map_or_else(|| Labels::of(column), Labels::clone);
            known.classes(column).map_err(PrepareError::Label)
        };
        let codes = match &raw.y {
            RawTargets::Values { data, width } => Codes::Values { data, width: *width },
            RawTargets::Indices(indices) => Codes::Classes(indices.into()),
            RawTargets::Labels(column) => Codes::Classes(classes(column)?.into()),
            RawTargets::YesNo(column) => Codes::YesNo(classes(column)?),
            RawTargets::NextTokens => Codes::NextTokens,
        };
        Ok(Self { codes, raw })
    }

    /// Targets of one sample.
    fn per_sample(&self) -> usize {
        match &self.codes {
            Codes::Values { width, .. } => *width,
            Codes::Classes(_) | Codes::YesNo(_) => 1,
            Codes::NextTokens => self.raw.x.width(),
        }
    }

    /// The class of each row, if the task has classes.
    fn classes(&self, task: Task) -> Option<Cow<'_, [u32]>> {
        match (&self.codes, task) {
            (Codes::Classes(classes), _) => Some(Cow::Borrowed(classes)),
            (Codes::YesNo(classes), _) => Some(Cow::Borrowed(classes)),
            (Codes::Values { data, width: 1 }, Task::Binary { threshold }) => {
                Some(data.iter().map(|&value| u32::from(value >= threshold)).collect())
            }
            _ => None,
        }
    }

    /// The targets of some samples.
    fn data<F: Float>(&self, samples: &[u32]) -> TargetData<F> {
        let of_rows: Vec<u32>;
        let rows_of = match &self.raw.y_rows {
            Some(rows) => {
                of_rows = samples.iter().map(|&sample| rows[sample as usize]).collect();
                &of_rows
            }
            None => samples,
        };
        match &self.codes {
            Codes::Values { data, width } => {
                let values = rows(data, *width, rows_of).into_iter().map(F::of);
                TargetData::Values { data: values.collect(), width: *width }
            }
            Codes::Classes(all) => TargetData::Classes { data: rows(all, 1, rows_of), per_sample: 1 },
            Codes::YesNo(all) => {
                let values = rows(all, 1, rows_of).into_iter().map(|class| F::of(f64::from(class)));
                TargetData::Values { data: values.collect(), width: 1 }
            }
            Codes::NextTokens => {
                let x = &self.raw.x;
                TargetData::Classes { data: x.next_tokens(samples), per_sample: x.width() }
            }
        }
    }
}

/// The rows of these numbers, one after the other.
fn rows<T: Copy>(data: &[T], width: usize, of: &[u32]) -> Vec<T> {
    let mut rows = Vec::with_capacity(of.len() * width);
    for &row in of {
        let start = row as usize * width;
        rows.extend_from_slice(&data[start..start + width]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let plan = Plan { fractions, seed: 1, scale: None, task: Task::Numbers };
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
            task: Task::Numbers,
        };
        let Prepared { train, validation, test, split, preprocessing } =
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
