//! From raw samples to what a network computes with, and back to names.

use chainrule_core::Float;
use chainrule_trainer::metrics::Task;
use chainrule_trainer::{Dataset, Error, Fractions, Scaler, Split, SplitError, TargetData};
use serde::{Deserialize, Serialize};

use super::{Labels, Raw, RawTargets, ScaleSpec};

/// What was fitted on the training samples and is needed to predict: it is stored with the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Numbers in an input row.
    pub inputs: usize,
    /// The names of the inputs, if they have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<String>>,
    /// The names of the outputs, if they have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<String>>,
    /// What each class is called, if classes have labels; with one output, "no" and "yes".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// What is subtracted from each input; empty without scaling.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shift: Vec<f64>,
    /// What each input is then divided by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub divisor: Vec<f64>,
}

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
        let labels = stored.as_ref().map_or_else(|| labels(raw), |stored| stored.labels.clone());
        let targets = Coded::new(&raw.y, labels.as_ref())?;
        let samples = raw.x.len() / raw.width;
        let split = Split::new(samples, targets.classes(plan.task).as_deref(), plan.fractions, plan.seed)?;

        let mut x = rows(&raw.x, raw.width, &split.train);
        let preprocessing = stored.unwrap_or_else(|| Preprocessing::fit(raw, &x, labels.clone(), plan.scale));
        preprocessing.scale(&mut x);
        let train = targets.dataset(x, raw.width, &split.train)?;
        let held_out = |samples: &Vec<u32>| {
            let dataset = || {
                let mut x = rows(&raw.x, raw.width, samples);
                preprocessing.scale(&mut x);
                targets.dataset(x, raw.width, samples)
            };
            (!samples.is_empty()).then(dataset).transpose()
        };
        let (validation, test) = (held_out(&split.validation)?, held_out(&split.test)?);
        Ok(Self { train, validation, test, split, preprocessing })
    }
}

/// The labels of all samples, held out or not: every part has the same classes.
fn labels(raw: &Raw) -> Option<Labels> {
    match &raw.y {
        RawTargets::Labels(column) | RawTargets::YesNo(column) => Some(Labels::of(column)),
        _ => None,
    }
}

/// Targets as numbers and classes, of all samples.
enum Coded<'a> {
    Values { data: &'a [f64], width: usize },
    Classes(Vec<u32>),
    YesNo(Vec<u32>),
}

impl<'a> Coded<'a> {
    fn new(targets: &'a RawTargets, labels: Option<&Labels>) -> Result<Self, PrepareError> {
        let classes = |column| {
            let known = labels.map_or_else(|| Labels::of(column), Labels::clone);
            known.classes(column).map_err(PrepareError::Label)
        };
        Ok(match targets {
            RawTargets::Values { data, width } => Self::Values { data, width: *width },
            RawTargets::Indices(indices) => Self::Classes(indices.clone()),
            RawTargets::Labels(column) => Self::Classes(classes(column)?),
            RawTargets::YesNo(column) => Self::YesNo(classes(column)?),
        })
    }

    /// The class of each sample, if the task has classes.
    fn classes(&self, task: Task) -> Option<Vec<u32>> {
        match (self, task) {
            (Self::Classes(classes) | Self::YesNo(classes), _) => Some(classes.clone()),
            (Self::Values { data, width: 1 }, Task::Binary { threshold }) => {
                Some(data.iter().map(|&value| u32::from(value >= threshold)).collect())
            }
            _ => None,
        }
    }

    /// The data set of some samples and their inputs.
    fn dataset<F: Float>(&self, x: Vec<f64>, inputs: usize, samples: &[u32]) -> Result<Dataset<F>, Error> {
        let classes = |classes: &[u32]| rows(classes, 1, samples);
        let targets = match self {
            Self::Values { data, width } => {
                let values = rows(data, *width, samples).into_iter().map(F::of);
                TargetData::Values { data: values.collect(), width: *width }
            }
            Self::Classes(all) => TargetData::Classes { data: classes(all), per_sample: 1 },
            Self::YesNo(all) => {
                let values = classes(all).into_iter().map(|class| F::of(f64::from(class)));
                TargetData::Values { data: values.collect(), width: 1 }
            }
        };
        Dataset::new(x.into_iter().map(F::of).collect(), inputs, targets)
    }
}

/// The rows of some samples, one after the other.
fn rows<T: Copy>(data: &[T], width: usize, samples: &[u32]) -> Vec<T> {
    let mut rows = Vec::with_capacity(samples.len() * width);
    for &sample in samples {
        let start = sample as usize * width;
        rows.extend_from_slice(&data[start..start + width]);
    }
    rows
}

impl Preprocessing {
    /// Fits the scaling to the training rows `x`.
    fn fit(raw: &Raw, x: &[f64], labels: Option<Labels>, scale: Option<ScaleSpec>) -> Self {
        let scaler = scale.map(|scale| Scaler::fit(scale.into(), x, raw.width));
        let (shift, divisor) = scaler.map_or_else(Default::default, |scaler| (scaler.shift, scaler.divisor));
        let (features, targets) = (raw.features.clone(), raw.targets.clone());
        Self { inputs: raw.width, features, targets, labels, shift, divisor }
    }

    fn scale(&self, rows: &mut [f64]) {
        if !self.shift.is_empty() {
            let scaler = Scaler { shift: self.shift.clone(), divisor: self.divisor.clone() };
            scaler.apply(rows);
        }
    }

    /// Raw input rows as the network takes them.
    pub fn inputs<F: Float>(&self, mut rows: Vec<f64>) -> Vec<F> {
        self.scale(&mut rows);
        rows.into_iter().map(F::of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> Raw {
        Raw {
            features: None,
            targets: None,
            x: (0..10).map(f64::from).collect(),
            width: 1,
            y: RawTargets::Values { data: (0..10).map(f64::from).collect(), width: 1 },
        }
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
