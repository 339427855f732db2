//! Samples in memory: a row of inputs and its targets each.

use std::ops::Range;

use chainrule_core::{Float, Objective, Rows, TargetKind, Targets};

use crate::Error;

/// The targets of a data set.
#[derive(Clone, Debug, PartialEq)]
pub enum TargetData<F> {
    /// `width` numbers a sample.
    Values {
        /// Row after row.
        data: Vec<F>,
        /// Numbers in a row.
        width: usize,
    },
    /// `per_sample` class indices a sample.
    Classes {
        /// Sample after sample.
        data: Vec<u32>,
        /// Indices in a sample.
        per_sample: usize,
    },
}

impl<F> TargetData<F> {
    fn len(&self) -> usize {
        match self {
            Self::Values { data, .. } => data.len(),
            Self::Classes { data, .. } => data.len(),
        }
    }

    /// Targets of one sample.
    pub fn per_sample(&self) -> usize {
        match *self {
            Self::Values { width, .. } => width,
            Self::Classes { per_sample, .. } => per_sample,
        }
    }
}

/// Samples in a fixed order.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset<F> {
    inputs: Vec<F>,
    width: usize,
    targets: TargetData<F>,
}

impl<F: Float> Dataset<F> {
    /// A data set of rows of `width` inputs.
    ///
    /// # Errors
    /// [`Error::NoSamples`]; [`Error::Ragged`] if inputs and targets do not make the same number of whole samples.
    pub fn new(inputs: Vec<F>, width: usize, targets: TargetData<F>) -> Result<Self, Error> {
        let per_sample = targets.per_sample();
        if inputs.is_empty() || width == 0 || per_sample == 0 {
            return Err(Error::NoSamples);
        }
        let whole = inputs.len().is_multiple_of(width) && targets.len().is_multiple_of(per_sample);
        let (rows, target_rows) = (inputs.len() / width, targets.len() / per_sample);
        if !whole || rows != target_rows {
            return Err(Error::Ragged { inputs: rows, targets: target_rows });
        }
        Ok(Self { inputs, width, targets })
    }

    /// The number of samples, at least 1.
    #[allow(clippy::len_without_is_empty)] // No data set is empty.
    pub fn len(&self) -> usize {
        self.inputs.len() / self.width
    }

    /// Numbers of input a sample.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The targets.
    pub fn targets(&self) -> &TargetData<F> {
        &self.targets
    }

    /// Consecutive samples, as they lie in memory.
    #[inline]
    pub fn batch(&self, range: Range<usize>) -> (Rows<'_, F>, Targets<'_, F>) {
        let inputs = Rows::new(&self.inputs[range.start * self.width..range.end * self.width], self.width);
        let per_sample = self.targets.per_sample();
        let range = range.start * per_sample..range.end * per_sample;
        let targets = match &self.targets {
            TargetData::Values { data, width } => Targets::Values(Rows::new(&data[range], *width)),
            TargetData::Classes { data, .. } => Targets::Classes(&data[range]),
        };
        (inputs, targets)
    }

    /// Checks that `objective` can be evaluated on every sample.
    ///
    /// # Errors
    /// [`Error::DataShape`], [`Error::TargetKind`] or [`Error::ClassRange`], whatever does not fit first.
    pub fn check(&self, objective: &Objective<F>) -> Result<(), Error> {
        let check = |what, expected, found| match expected == found {
            true => Ok(()),
            false => Err(Error::DataShape { what, expected, found }),
        };
        let shapes = objective.input_shapes();
        check("sets of inputs", shapes.len(), 1)?;
        check("inputs", shapes[0].len(), self.width)?;
        let (numbers, classes) = ("numbers", "classes");
        match (&self.targets, objective.target_kind()) {
            (TargetData::Values { .. }, TargetKind::Values) => {}
            (TargetData::Values { .. }, _) => {
                return Err(Error::TargetKind { expected: classes, found: numbers });
            }
            (_, TargetKind::Values) => return Err(Error::TargetKind { expected: numbers, found: classes }),
            (TargetData::Classes { data, per_sample }, TargetKind::Classes(classes)) => {
                if let Some(at) = data.iter().position(|&class| class as usize >= classes) {
                    return Err(Error::ClassRange { sample: at / per_sample, class: data[at], classes });
                }
            }
        }
        check("targets", objective.targets_per_sample(), self.targets.per_sample())
    }
}

/// Room for the samples of one batch in an order of their own.
#[derive(Debug)]
pub(crate) struct Gathered<F> {
    inputs: Vec<F>,
    targets: TargetData<F>,
}

impl<F: Float> Gathered<F> {
    /// Room for `rows` samples of `data`.
    pub(crate) fn new(data: &Dataset<F>, rows: usize) -> Self {
        let targets = match data.targets {
            TargetData::Values { width, .. } => {
                TargetData::Values { data: Vec::with_capacity(rows * width), width }
            }
            TargetData::Classes { per_sample, .. } => {
                TargetData::Classes { data: Vec::with_capacity(rows * per_sample), per_sample }
            }
        };
        Self { inputs: Vec::with_capacity(rows * data.width), targets }
    }

    /// Copies the samples `order` of `data`; no more than there is room for, so nothing is allocated.
    pub(crate) fn gather(&mut self, data: &Dataset<F>, order: &[u32]) -> (Rows<'_, F>, Targets<'_, F>) {
        copy_rows(&data.inputs, data.width, order, &mut self.inputs);
        let inputs = Rows::new(&self.inputs, data.width);
        match (&mut self.targets, &data.targets) {
            (TargetData::Values { data: own, width }, TargetData::Values { data, .. }) => {
                copy_rows(data, *width, order, own);
                (inputs, Targets::Values(Rows::new(own, *width)))
            }
            (TargetData::Classes { data: own, per_sample }, TargetData::Classes { data, .. }) => {
                copy_rows(data, *per_sample, order, own);
                (inputs, Targets::Classes(own))
            }
            _ => unreachable!("the targets are of the kind they were made for"),
        }
    }
}

fn copy_rows<T: Copy>(from: &[T], width: usize, order: &[u32], to: &mut Vec<T>) {
    to.clear();
    for &row in order {
        let start = row as usize * width;
        to.extend_from_slice(&from[start..start + width]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_by_two() -> Dataset<f64> {
        let targets = TargetData::Classes { data: vec![0, 1], per_sample: 1 };
        Dataset::new(vec![1.0, 2.0, 3.0, 4.0], 2, targets).unwrap()
    }

    #[test]
    fn gathers_samples_in_any_order() {
        let data = two_by_two();
        let mut gathered = Gathered::new(&data, 2);
        let (inputs, targets) = gathered.gather(&data, &[1, 0]);
        assert_eq!(inputs.data(), [3.0, 4.0, 1.0, 2.0]);
        assert_eq!(targets.classes(), [1, 0]);
    }

    #[test]
    fn refuses_samples_that_are_not_whole() {
        let targets = |count| TargetData::Classes { data: vec![0; count], per_sample: 1 };
        assert!(matches!(Dataset::<f64>::new(Vec::new(), 2, targets(0)), Err(Error::NoSamples)));
        assert!(matches!(Dataset::new(vec![1.0; 3], 2, targets(1)), Err(Error::Ragged { .. })));
        assert!(matches!(Dataset::new(vec![1.0; 4], 2, targets(3)), Err(Error::Ragged { .. })));
    }
}
