//! What distinguishes one recurrent layer from another: how a step makes the next state from the sums.

use std::fmt;
use std::ops::Range;

use crate::Float;

/// Some gates, whose weights lie together in `weight_ih`, and where their sums lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputBlock {
    /// The first gate.
    pub first: usize,
    /// How many gates.
    pub count: usize,
    /// The place of the first one's sums within those of a step, in gates.
    pub at: usize,
}

impl InputBlock {
    /// The rows of `weight_ih`.
    #[inline]
    pub(super) fn rows(self, units: usize) -> Range<usize> {
        self.first * units..(self.first + self.count) * units
    }

    /// The columns of the sums.
    #[inline]
    pub(super) fn columns(self, units: usize) -> Range<usize> {
        self.at * units..(self.at + self.count) * units
    }
}

/// One step of one sample, forward. Every slice is a whole number of `units`.
#[derive(Debug)]
pub struct Step<'a, F> {
    /// `x W_ihᵀ + h W_hhᵀ` with biases, as [`Cell::INPUT`] lays them out; left as the way back wants it.
    pub sums: &'a mut [F],
    /// The state before.
    pub h_before: &'a [F],
    /// What the step before kept; zeros at first.
    pub memory_before: &'a [F],
    /// What this step keeps.
    pub memory: &'a mut [F],
    /// The state after.
    pub h: &'a mut [F],
}

/// The same step on the way back.
#[derive(Debug)]
pub struct StepBack<'a, F> {
    /// What [`Cell::forward`] left there; becomes the gradient of the sums.
    pub sums: &'a mut [F],
    /// The state before.
    pub h_before: &'a [F],
    /// The state after.
    pub h: &'a [F],
    /// What the step before kept; zeros at first.
    pub memory_before: &'a [F],
    /// What this step kept.
    pub memory: &'a [F],
    /// `dL/dh`; becomes the part of `dL/dh_before` that does not go through the sums.
    pub dh: &'a mut [F],
    /// The gradient of the memory, as far as it is carried; becomes that of the memory before.
    pub dmemory: &'a mut [F],
}

/// The equations of a cell as text.
#[derive(Debug)]
pub struct CellText {
    /// From sums to the next state.
    pub forward: Vec<String>,
    /// The partial derivatives of these steps.
    pub local: Vec<String>,
    /// The gradients of a step, from that of the state to those of the sums and of the state before.
    pub between: Vec<String>,
    /// The gradient of the sums as `weight_ih` sees it, and as `weight_hh` sees it.
    pub gradients: [&'static str; 2],
}

/// A recurrent cell: gates, and a step in both directions, for one sample.
///
/// What cells share stands elsewhere: the products with the weights, time, direction, stacking and padding. A cell
/// gets sums and makes a state.
pub trait Cell: fmt::Debug + Clone + Send + Sync + 'static {
    /// What errors call the layer.
    const NAME: &'static str;

    /// Rows of `weight_ih` and of `weight_hh` for each unit.
    const GATES: usize;

    /// Numbers of the sums for each unit. Those of `h W_hhᵀ` are the first [`GATES`](Cell::GATES).
    const SUMS: usize;

    /// Where the sums `x W_ihᵀ` lie: on those of the state, unless the two must be kept apart.
    const INPUT: &'static [InputBlock];

    /// Numbers for each unit that a step keeps beside sums and state.
    const MEMORY: usize;

    /// Numbers for each unit whose gradient is carried from step to step beside that of the state: the first of the
    /// memory.
    const CARRIED: usize;

    /// A step.
    fn forward<F: Float>(&self, step: Step<'_, F>);

    /// The step back.
    fn backward<F: Float>(&self, step: StepBack<'_, F>);

    /// The equations of both.
    fn text(&self) -> CellText;
}
