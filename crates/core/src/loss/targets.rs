//! What outputs should have been, of one output of a network or of several.

use std::ops::Range;

use crate::Rows;

/// The targets of many samples for one output.
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
    /// Targets of one sample.
    pub fn per_sample(&self) -> usize {
        match *self {
            Self::Values { width, .. } => width,
            Self::Classes { per_sample, .. } => per_sample,
        }
    }

    /// Targets of all samples.
    #[allow(clippy::len_without_is_empty)] // Whoever has samples has targets.
    pub fn len(&self) -> usize {
        match self {
            Self::Values { data, .. } => data.len(),
            Self::Classes { data, .. } => data.len(),
        }
    }

    /// The targets of consecutive samples.
    #[inline(always)]
    pub fn of(&self, samples: Range<usize>) -> Targets<'_, F> {
        let per_sample = self.per_sample();
        let range = samples.start * per_sample..samples.end * per_sample;
        match self {
            Self::Values { data, width } => {
                Targets::Values(Rows::counted(&data[range], samples.len(), *width))
            }
            Self::Classes { data, .. } => Targets::Classes(&data[range]),
        }
    }

    /// Those of one sample.
    #[inline(always)]
    fn of_one(&self, sample: usize) -> Targets<'_, F> {
        match *self {
            Self::Values { ref data, width } => Targets::Values(Rows::one(&data[sample * width..][..width])),
            Self::Classes { ref data, per_sample } => {
                Targets::Classes(&data[sample * per_sample..][..per_sample])
            }
        }
    }
}

/// What the outputs of a batch should have been.
#[derive(Debug)]
pub enum Targets<'a, F> {
    /// A number for every output, `[rows, width of the output]`.
    Values(Rows<'a, F>),
    /// A class index for every group of scores: one a sample, or one a position of a sample.
    Classes(&'a [u32]),
    /// Of a network with several outputs: consecutive samples of the targets of each.
    Several {
        /// The targets of all samples, output by output.
        outputs: &'a [TargetData<F>],
        /// The first sample of the batch.
        start: usize,
        /// The sample after its last.
        end: usize,
    },
}

// Not derived: a view is copied whether or not its numbers are.
impl<F> Copy for Targets<'_, F> {}

impl<F> Clone for Targets<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'a, F> Targets<'a, F> {
    /// The targets of consecutive samples for all outputs of a network, of which there is at least one.
    #[inline(always)]
    pub fn of(outputs: &'a [TargetData<F>], samples: Range<usize>) -> Self {
        match outputs {
            [only] => only.of(samples),
            _ => Self::Several { outputs, start: samples.start, end: samples.end },
        }
    }

    /// Those of one sample.
    #[inline(always)]
    pub fn of_one(outputs: &'a [TargetData<F>], sample: usize) -> Self {
        match outputs {
            [only] => only.of_one(sample),
            _ => Self::of(outputs, sample..sample + 1),
        }
    }

    /// The targets of the output `index`; of a network with one output, all of them.
    #[inline]
    pub fn output(self, index: usize) -> Self {
        match self {
            Self::Several { outputs, start, end } => outputs[index].of(start..end),
            one => one,
        }
    }

    /// The numbers.
    ///
    /// # Panics
    /// If these are classes, or targets of several outputs: trainers compare [`TargetKind`]s with their data before the
    /// first step.
    #[inline]
    pub fn values(self) -> Rows<'a, F> {
        match self {
            Self::Values(values) => values,
            _ => panic!("this loss compares numbers, and these targets are none"),
        }
    }

    /// The number, if there is only one.
    #[inline(always)]
    pub(crate) fn only(self) -> Option<F>
    where
        F: Copy,
    {
        match self {
            Self::Values(values) => match *values.data() {
                [only] => Some(only),
                _ => None,
            },
            _ => None,
        }
    }

    /// The class indices.
    ///
    /// # Panics
    /// If these are numbers, or targets of several outputs.
    #[inline]
    pub fn classes(self) -> &'a [u32] {
        match self {
            Self::Classes(classes) => classes,
            _ => panic!("this loss compares classes, and these targets are none"),
        }
    }

    /// The targets `start..end` of one output, in parts of a `count`th of all of them each.
    pub(crate) fn part(self, count: usize, start: usize, end: usize) -> Self {
        match self {
            Self::Values(values) => {
                let width = values.data().len() / count;
                Self::Values(Rows::new(&values.data()[start * width..end * width], width))
            }
            Self::Classes(classes) => {
                let width = classes.len() / count;
                Self::Classes(&classes[start * width..end * width])
            }
            Self::Several { .. } => panic!("parts are those of one output"),
        }
    }
}

/// Which [`Targets`] a loss takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// [`Targets::Values`].
    Values,
    /// [`Targets::Classes`] below this number.
    Classes(usize),
}
