//! What is done to inputs before a network takes them, and what its outputs are called.

use chainrule_core::{Float, Masking};
use chainrule_trainer::Scaler;
use serde::{Deserialize, Serialize};

use super::{Labels, Raw, ScaleSpec, Vocabulary, Window};

/// What was fitted on the training samples and is needed to predict: it is stored with the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Numbers in an input row.
    pub inputs: usize,
    /// The names of the inputs, if they have any; of a time series, those of one row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<String>>,
    /// The names of the outputs, if they have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<String>>,
    /// What each class is called, if classes have labels; with one output, "no" and "yes".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// Of several outputs, what those of each are called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputNames>,
    /// Which positions of a sample are padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Mask>,
    /// What each input is divided by, before it is scaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divide_by: Option<f64>,
    /// What is subtracted from each input, or from each feature of a time series; empty without scaling.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shift: Vec<f64>,
    /// What each is then divided by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub divisor: Vec<f64>,
    /// The tokens of a text, which inputs and classes are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<Vocabulary>,
    /// How inputs are taken from the rows of a time series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

/// What the numbers of one output are called.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputNames {
    /// The names of its targets, if they have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<String>>,
    /// What each class is called, if classes have labels; with one output, "no" and "yes".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
}

/// Padding as `[data] mask_value` marks it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mask {
    /// Positions of a sample.
    pub positions: usize,
    /// Numbers of a position.
    pub width: usize,
    /// What all of them are where there is nothing.
    pub value: f64,
}

impl Mask {
    /// The same for the network.
    pub(crate) fn masking(self) -> Masking {
        Masking { positions: self.positions, width: self.width, value: self.value }
    }

    fn is_padding(self, position: &[f64]) -> bool {
        position.iter().all(|&number| number == self.value)
    }

    /// Moves a position that counts and has come to look like padding, in single precision too, a little away from it.
    fn keep_apart(self, position: &mut [f64]) {
        if position.iter().all(|&number| number as f32 == self.value as f32) {
            position[0] = match self.value as f32 {
                0.0 => f64::from(f32::MIN_POSITIVE),
                value => f64::from(value) * (1.0 + 2.0 * f64::from(f32::EPSILON)),
            };
        }
    }
}

impl Preprocessing {
    /// Fits the scaling to the training samples, without their padding; of a time series, to its training rows, one scale
    /// a feature.
    pub(super) fn fit(
        raw: &Raw,
        train: &[u32],
        mut names: Vec<OutputNames>,
        (scale, mask): (Option<ScaleSpec>, Option<Mask>),
    ) -> Self {
        let divide_by = raw.kept.divide_by;
        let (window, series_rows) = raw.kept.window.unzip();
        let inputs = raw.x.width();
        let width = window.map_or(inputs, |window: Window| inputs / window.length);
        let undivided = Scaling { divide_by, scaler: None, mask };
        let for_each_row = |visit: &mut dyn FnMut(&[f64])| {
            let visit = |row: &mut [f64]| {
                if let Some(mask) = mask {
                    // The scaler passes over what is no number.
                    let positions = row.chunks_exact_mut(mask.width);
                    let padding = positions.filter(|position| mask.is_padding(position));
                    padding.for_each(|position| position.fill(f64::NAN));
                }
                undivided.apply(row);
                visit(row);
            };
            match series_rows {
                Some(rows) => raw.x.for_each_of_first(rows, width, visit),
                None => raw.x.for_each(train, visit),
            }
        };
        let scaler = scale.map(|scale| Scaler::fit_rows(scale.into(), width, for_each_row));
        let (shift, divisor) = scaler.map_or_else(Default::default, |scaler| (scaler.shift, scaler.divisor));
        let features = raw.features.clone();
        let vocabulary = raw.kept.vocabulary.clone();
        let OutputNames { targets, labels } = match names.len() {
            1 => names.remove(0),
            _ => OutputNames::default(),
        };
        let outputs = names;
        Self {
            inputs,
            features,
            targets,
            labels,
            outputs,
            mask,
            divide_by,
            shift,
            divisor,
            vocabulary,
            window,
        }
    }

    /// What is done to the numbers of a row.
    pub(super) fn scaling(&self) -> Scaling {
        let (shift, divisor) = (self.shift.clone(), self.divisor.clone());
        let scaler = (!shift.is_empty()).then_some(Scaler { shift, divisor });
        Scaling { divide_by: self.divide_by, scaler, mask: self.mask }
    }

    /// Raw input rows as the network takes them.
    pub fn inputs<F: Float>(&self, mut rows: Vec<f64>) -> Vec<F> {
        self.scaling().apply(&mut rows);
        rows.into_iter().map(F::of).collect()
    }

    /// Numbers in a row of an input file: of a time series, those of one time.
    pub(crate) fn columns(&self) -> usize {
        self.window.map_or(self.inputs, |window| self.inputs / window.length)
    }

    /// What the numbers of the output `index` are called.
    pub(crate) fn of_output(&self, index: usize) -> OutputNames {
        let only = || OutputNames { targets: self.targets.clone(), labels: self.labels.clone() };
        if self.outputs.is_empty() { only() } else { self.outputs.get(index).cloned().unwrap_or_default() }
    }

    /// What the classes of the output `index` are called, if they have names.
    pub(crate) fn class_names(&self, index: usize) -> Option<Vec<String>> {
        let labels = self.of_output(index).labels;
        labels.as_ref().map(Labels::names).or(self.vocabulary.as_ref().map(Vocabulary::names))
    }

    /// Whether its parts are of one size; otherwise says what does not fit.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let length = self.window.map_or(1, |window| window.length);
        if self.inputs == 0 || length == 0 || !self.inputs.is_multiple_of(length) {
            return Err("samples");
        }
        if self.window.is_some_and(|window| window.stride == 0) {
            return Err("windows");
        }
        if self.features.as_ref().is_some_and(|features| features.len() != self.columns()) {
            return Err("features");
        }
        if self.vocabulary.as_ref().is_some_and(|vocabulary| !vocabulary.is_in_order()) {
            return Err("characters");
        }
        let holds = |mask: Mask| mask.positions.checked_mul(mask.width) == Some(self.inputs);
        if self.mask.is_some_and(|mask| !holds(mask)) {
            return Err("positions");
        }
        let fits = self.shift.is_empty() || self.shift.len() == self.columns();
        if fits && self.shift.len() == self.divisor.len() { Ok(()) } else { Err("scales") }
    }
}

/// What is done to numbers, in f64 whatever the network computes in.
#[derive(Clone, Debug)]
pub(super) struct Scaling {
    divide_by: Option<f64>,
    scaler: Option<Scaler>,
    mask: Option<Mask>,
}

impl Scaling {
    /// Scales whole rows; padding stays as it is, and what counts does not come to look like it.
    pub(super) fn apply(&self, rows: &mut [f64]) {
        let Some(mask) = self.mask else { return self.scale(rows) };
        let width = self.scaler.as_ref().map_or(mask.width, |scaler| scaler.shift.len());
        let mut padding = Vec::with_capacity(width / mask.width);
        for row in rows.chunks_exact_mut(width) {
            padding.clear();
            padding.extend(row.chunks_exact(mask.width).map(|position| mask.is_padding(position)));
            self.scale(row);
            for (position, &is_padding) in row.chunks_exact_mut(mask.width).zip(&padding) {
                match is_padding {
                    true => position.fill(mask.value),
                    false => mask.keep_apart(position),
                }
            }
        }
    }

    fn scale(&self, rows: &mut [f64]) {
        if let Some(divisor) = self.divide_by {
            rows.iter_mut().for_each(|x| *x /= divisor);
        }
        if let Some(scaler) = &self.scaler {
            scaler.apply(rows);
        }
    }
}
