//! Samples in memory: a row of inputs and its targets each.

use std::ops::Range;
use std::sync::Arc;

use chainrule_core::{
    Executor, Float, Inline, Layer, Objective, OutputLoss, Rows, TargetData, TargetKind, Targets,
};

use crate::Error;

/// Samples in a fixed order. A clone shares them.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset<F> {
    inputs: Arc<Vec<F>>,
    width: usize,
    /// Of each output.
    targets: Arc<Vec<TargetData<F>>>,
}

impl<F: Float> Dataset<F> {
    /// A data set of rows of `width` inputs.
    ///
    /// # Errors
    /// [`Error::NoSamples`]; [`Error::Ragged`] if inputs and targets do not make the same number of whole samples.
    pub fn new(inputs: Vec<F>, width: usize, targets: TargetData<F>) -> Result<Self, Error> {
        Self::several(inputs, width, vec![targets])
    }

    /// A data set for a network with an output for each of `targets`.
    ///
    /// # Errors
    /// As [`Dataset::new`].
    pub fn several(inputs: Vec<F>, width: usize, targets: Vec<TargetData<F>>) -> Result<Self, Error> {
        let is_empty = targets.is_empty() || targets.iter().any(|targets| targets.per_sample() == 0);
        if inputs.is_empty() || width == 0 || is_empty {
            return Err(Error::NoSamples);
        }
        let rows = inputs.len() / width;
        for targets in &targets {
            let (len, per_sample) = (targets.len(), targets.per_sample());
            let whole = inputs.len().is_multiple_of(width) && len.is_multiple_of(per_sample);
            if !whole || rows != len / per_sample {
                return Err(Error::Ragged { inputs: rows, targets: len / per_sample });
            }
        }
        Ok(Self { inputs: Arc::new(inputs), width, targets: Arc::new(targets) })
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

    /// The targets of each output.
    pub fn targets(&self) -> &[TargetData<F>] {
        &self.targets
    }

    /// Consecutive samples, as they lie in memory.
    #[inline(always)]
    pub fn batch(&self, range: Range<usize>) -> (Rows<'_, F>, Targets<'_, F>) {
        let inputs = &self.inputs[range.start * self.width..range.end * self.width];
        let inputs = Rows::counted(inputs, range.len(), self.width);
        (inputs, Targets::of(&self.targets, range))
    }

    /// The inputs of one sample, and its targets.
    #[inline(always)]
    pub(crate) fn sample(&self, index: usize) -> (&[F], Targets<'_, F>) {
        let x = &self.inputs[index * self.width..][..self.width];
        (x, Targets::of_one(&self.targets, index))
    }

    /// The samples of these numbers, in their order.
    ///
    /// # Errors
    /// [`Error::NoSamples`] if there are none.
    pub fn select(&self, samples: &[u32]) -> Result<Self, Error> {
        let mut selected = Gathered::new(self, samples.len());
        selected.gather(&Inline, self, samples);
        Self::several(selected.inputs, self.width, selected.targets)
    }

    /// Checks that `objective` can be evaluated on every sample.
    ///
    /// # Errors
    /// [`Error::DataShape`], [`Error::TargetKind`], [`Error::ClassRange`] or [`Error::IndexRange`], whatever does not
    /// fit first; of one of several outputs, as [`Error::Output`].
    pub fn check(&self, objective: &Objective<F>) -> Result<(), Error> {
        let shapes = objective.input_shapes();
        check("sets of inputs", shapes.len(), 1)?;
        check("inputs", shapes[0].len(), self.width)?;
        check_indices(objective.network(), Rows::new(&self.inputs, self.width))?;
        let outputs = objective.loss().outputs();
        check("sets of targets", outputs.len(), self.targets.len())?;
        for (output, targets) in outputs.iter().zip(self.targets.iter()) {
            check_output(output, targets).map_err(|error| match output.name.is_empty() {
                true => error,
                false => Error::Output { name: output.name.clone(), source: Box::new(error) },
            })?;
        }
        Ok(())
    }
}

/// Checks that the inputs `x` of a network, `[samples, width]`, are whole numbers below the limit where a layer takes them
/// for indices: core computes with indices as they are.
///
/// # Errors
/// [`Error::IndexRange`], of the first sample with a number that is none.
///
/// # Panics
/// If a row is shorter than the network's first input.
pub fn check_indices<F: Float>(network: &dyn Layer<F>, x: Rows<'_, F>) -> Result<(), Error> {
    for (columns, limit) in network.index_ranges() {
        let is_index = |x: F| x >= F::zero() && x.fract() == F::zero() && x.as_f64() < limit as f64;
        for (sample, row) in x.iter().enumerate() {
            if let Some(x) = row[columns.clone()].iter().find(|&&x| !is_index(x)) {
                return Err(Error::IndexRange { sample, value: x.as_f64(), limit });
            }
        }
    }
    Ok(())
}

fn check(what: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found { Ok(()) } else { Err(Error::DataShape { what, expected, found }) }
}

/// Checks that an output can be compared with its targets.
fn check_output<F: Float>(output: &OutputLoss<F>, targets: &TargetData<F>) -> Result<(), Error> {
    let (numbers, classes) = ("numbers", "classes");
    match (targets, output.loss.target_kind()) {
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
    check("targets", output.targets_per_sample(), targets.per_sample())
}

/// Numbers that a thread copies at a time: some microseconds' work, as samples are all over the memory.
const PIECE: usize = 1 << 13;

/// Room for the samples of one batch in an order of their own.
#[derive(Debug)]
pub(crate) struct Gathered<F> {
    inputs: Vec<F>,
    targets: Vec<TargetData<F>>,
}

impl<F: Float> Gathered<F> {
    /// Room for `rows` samples of `data`.
    pub(crate) fn new(data: &Dataset<F>, rows: usize) -> Self {
        let room = |targets: &TargetData<F>| match *targets {
            TargetData::Values { width, .. } => {
                TargetData::Values { data: vec![F::zero(); rows * width], width }
            }
            TargetData::Classes { per_sample, .. } => {
                TargetData::Classes { data: vec![0; rows * per_sample], per_sample }
            }
        };
        let targets = data.targets.iter().map(room).collect();
        Self { inputs: vec![F::zero(); rows * data.width], targets }
    }

    /// Copies the samples `order` of `data`, of which there must be room for all.
    pub(crate) fn gather(
        &mut self,
        executor: &dyn Executor<F>,
        data: &Dataset<F>,
        order: &[u32],
    ) -> (Rows<'_, F>, Targets<'_, F>) {
        let (width, rows) = (data.width, order.len());
        let inputs = &mut self.inputs[..rows * width];
        let piece = PIECE.div_ceil(width);
        if rows < 2 * piece {
            copy_rows(&data.inputs, width, order, inputs);
        } else {
            executor.for_each_chunk(inputs, piece * width, &|index, inputs| {
                copy_rows(&data.inputs, width, &order[index * piece..], inputs);
            });
        }
        for (own, targets) in self.targets.iter_mut().zip(data.targets.iter()) {
            match (own, targets) {
                (TargetData::Values { data: own, width }, TargetData::Values { data, .. }) => {
                    copy_rows(data, *width, order, own);
                }
                (TargetData::Classes { data: own, per_sample }, TargetData::Classes { data, .. }) => {
                    copy_rows(data, *per_sample, order, own);
                }
                _ => unreachable!("the targets are of the kind they were made for"),
            }
        }
        (Rows::counted(&self.inputs[..rows * width], rows, width), Targets::of(&self.targets, 0..rows))
    }
}

/// Rows that are copied side by side, and the numbers of one that are copied at a time.
const TOGETHER: usize = 4;
const RUN: usize = 128;

/// Copies rows of `from` in an order, as many as there are in both it and `to`.
///
/// Long rows some at a time: each is somewhere else in memory, and the processor waits for several as long as for one.
#[inline]
fn copy_rows<T: Copy>(from: &[T], width: usize, order: &[u32], to: &mut [T]) {
    let row = |row: u32| &from[row as usize * width..][..width];
    let several = if width < 2 * RUN { 0 } else { order.len().min(to.len() / width) / TOGETHER * TOGETHER };
    let (together, order) = order.split_at(several);
    let (to_together, to) = to.split_at_mut(several * width);
    for (rows, to) in
        together.as_chunks::<TOGETHER>().0.iter().zip(to_together.chunks_exact_mut(TOGETHER * width))
    {
        let rows = rows.map(row);
        for start in (0..width).step_by(RUN) {
            let end = width.min(start + RUN);
            for (from, to) in rows.iter().zip(to.chunks_exact_mut(width)) {
                to[start..end].copy_from_slice(&from[start..end]);
            }
        }
    }
    for (to, &index) in to.chunks_exact_mut(width).zip(order) {
        to.copy_from_slice(row(index));
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
        let (inputs, targets) = gathered.gather(&Inline, &data, &[1, 0]);
        assert_eq!(inputs.data(), [3.0, 4.0, 1.0, 2.0]);
        assert_eq!(targets.classes(), [1, 0]);
    }

    /// Of rows that are copied side by side and of such that are not, in pieces and whole.
    #[test]
    fn gathers_rows_of_any_length_and_number() {
        for width in [1, 2 * RUN - 1, 2 * RUN, 3 * RUN + 5] {
            let samples = 2 * PIECE.div_ceil(width) + 3;
            let inputs: Vec<f64> = (0..samples * width).map(|at| at as f64).collect();
            let targets = TargetData::Classes { data: vec![0; samples], per_sample: 1 };
            let data = Dataset::new(inputs, width, targets).unwrap();
            let mut gathered = Gathered::new(&data, samples);
            for count in [1, TOGETHER, TOGETHER + 1, samples] {
                let order: Vec<u32> = (0..count).map(|at| ((at * 7 + 2) % samples) as u32).collect();
                let (found, _) = gathered.gather(&Inline, &data, &order);
                let expected =
                    order.iter().flat_map(|&row| (0..width).map(move |at| row as usize * width + at));
                assert!(found.data().iter().copied().eq(expected.map(|at| at as f64)), "{count} of {width}");
            }
        }
    }

    #[test]
    fn gathers_the_targets_of_every_output() {
        let numbers = TargetData::Values { data: vec![0.5, 1.5, 2.5, 3.5], width: 2 };
        let classes = TargetData::Classes { data: vec![0, 1], per_sample: 1 };
        let data = Dataset::several(vec![1.0, 2.0], 1, vec![numbers, classes]).unwrap();
        let mut gathered = Gathered::new(&data, 2);
        let (_, targets) = gathered.gather(&Inline, &data, &[1]);
        assert_eq!(targets.output(0).values().data(), [2.5, 3.5]);
        assert_eq!(targets.output(1).classes(), [1]);
        assert_eq!(data.batch(1..2).1.output(0).values().data(), [2.5, 3.5]);
        assert_eq!(data.select(&[1]).unwrap().batch(0..1).0.data(), [2.0]);
    }

    #[test]
    fn refuses_samples_that_are_not_whole() {
        let targets = |count| TargetData::Classes { data: vec![0; count], per_sample: 1 };
        assert!(matches!(Dataset::<f64>::new(Vec::new(), 2, targets(0)), Err(Error::NoSamples)));
        assert!(matches!(Dataset::new(vec![1.0; 3], 2, targets(1)), Err(Error::Ragged { .. })));
        assert!(matches!(Dataset::new(vec![1.0; 4], 2, targets(3)), Err(Error::Ragged { .. })));
    }
}
