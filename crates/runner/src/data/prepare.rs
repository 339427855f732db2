//! From raw samples to what a network computes with, and back to names.

use chainrule_core::Float;
use chainrule_trainer::{Dataset, Error, Scaler, TargetData};
use serde::{Deserialize, Serialize};

use super::{Raw, RawTargets};

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
    /// What each class is called, if classes have labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// What is subtracted from each input; empty without scaling.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shift: Vec<f64>,
    /// What each input is then divided by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub divisor: Vec<f64>,
}

/// The labels of classes, sorted by code point; a class is a position here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(pub Vec<String>);

impl Labels {
    fn of(samples: &[String]) -> Self {
        let mut labels = samples.to_vec();
        labels.sort_unstable();
        labels.dedup();
        Self(labels)
    }

    fn class(&self, label: &String) -> Option<u32> {
        self.0.binary_search(label).ok().and_then(|class| u32::try_from(class).ok())
    }
}

/// A training set and what was fitted on it.
#[derive(Debug)]
pub struct Prepared<F> {
    /// The samples, scaled.
    pub train: Dataset<F>,
    /// What was fitted.
    pub preprocessing: Preprocessing,
}

impl<F: Float> Prepared<F> {
    /// Fits the preprocessing on `raw`, unless it is `stored` from a run, and applies it.
    ///
    /// # Errors
    /// As [`Dataset::new`]'s.
    pub fn new(raw: &Raw, stored: Option<Preprocessing>) -> Result<Self, Error> {
        let preprocessing = stored.unwrap_or_else(|| Preprocessing::fit(raw));
        let train = preprocessing.dataset(raw)?;
        Ok(Self { train, preprocessing })
    }
}

impl Preprocessing {
    fn fit(raw: &Raw) -> Self {
        let scaler = raw.scale.map(|scale| Scaler::fit(scale.into(), &raw.x, raw.width));
        let (shift, divisor) = scaler.map_or_else(Default::default, |scaler| (scaler.shift, scaler.divisor));
        let labels = match &raw.y {
            RawTargets::Labels(labels) => Some(Labels::of(labels)),
            _ => None,
        };
        let (features, targets) = (raw.features.clone(), raw.targets.clone());
        Self { inputs: raw.width, features, targets, labels, shift, divisor }
    }

    /// Raw samples as this preprocessing makes them; labels that it has not seen are an error.
    ///
    /// # Errors
    /// As [`Dataset::new`]'s.
    pub fn dataset<F: Float>(&self, raw: &Raw) -> Result<Dataset<F>, Error> {
        let targets = match &raw.y {
            RawTargets::Values { data, width } => {
                TargetData::Values { data: data.iter().map(|&value| F::of(value)).collect(), width: *width }
            }
            RawTargets::Indices(data) => TargetData::Classes { data: data.clone(), per_sample: 1 },
            RawTargets::Labels(labels) => {
                let known = self.labels.as_ref();
                let class = |label| known.and_then(|known| known.class(label)).unwrap_or(u32::MAX);
                TargetData::Classes { data: labels.iter().map(class).collect(), per_sample: 1 }
            }
        };
        Dataset::new(self.inputs(raw.x.clone()), raw.width, targets)
    }

    /// Raw input rows as the network takes them.
    pub fn inputs<F: Float>(&self, mut rows: Vec<f64>) -> Vec<F> {
        if !self.shift.is_empty() {
            let scaler = Scaler { shift: self.shift.clone(), divisor: self.divisor.clone() };
            scaler.apply(&mut rows);
        }
        rows.into_iter().map(F::of).collect()
    }
}
