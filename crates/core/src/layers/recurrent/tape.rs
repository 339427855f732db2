//! What a tile of samples keeps from forward to backward, and where.
//!
//! Within a tile everything is time-major, `[time, rows, ...]`: the rows of one step lie together, all steps are one
//! matrix `[time * rows, ...]`, and the states before all steps but the first are that matrix, shifted by a step.

use std::ops::Range;

use super::cell::Cell;
use crate::{Error, Rows, Shape};

/// The numbers of a stack of recurrent layers, of which all lengths follow.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    pub(super) time: usize,
    pub(super) features: usize,
    pub(super) units: usize,
    pub(super) directions: usize,
    pub(super) layers: usize,
    /// Rows of the weights of a direction.
    pub(super) gates: usize,
    /// Sums of a direction in a step.
    pub(super) sums: usize,
    /// What a direction keeps of a step beside them.
    pub(super) memory: usize,
    /// Gradients that it carries from step to step.
    pub(super) carry: usize,
}

/// The tape of a tile.
pub(super) struct Parts<'a, F> {
    /// Zeros, the state before the first step: `[rows, ...]`.
    pub(super) blank: &'a mut [F],
    /// The gradients that go from step to step.
    pub(super) carry: &'a mut [F],
    /// Gradients of the states of a layer, or of its inputs.
    pub(super) gradient: &'a mut [F],
    /// The input.
    pub(super) x: &'a mut [F],
    /// The layers, one after the other.
    pub(super) layers: &'a mut [F],
}

/// The part of a layer.
pub(super) struct LayerPart<'a, F> {
    /// `[time, rows, width]`, the directions side by side.
    pub(super) states: &'a mut [F],
    /// Sums, then memory, of one direction after the other.
    pub(super) directions: &'a mut [F],
}

impl Sizes {
    pub(super) fn new<C: Cell>(
        input: [usize; 2],
        units: usize,
        layers: usize,
        directions: usize,
    ) -> Result<Self, Error> {
        let [time, features] = input;
        let times = |count: usize| Ok(Shape::new([units, count.max(1)])?.len() * count.min(1));
        let sizes = Self {
            time,
            features,
            units,
            directions,
            layers,
            gates: times(C::GATES)?,
            sums: times(C::SUMS)?,
            memory: times(C::MEMORY)?,
            carry: times(1 + C::CARRIED)?,
        };
        sizes.check()?;
        Ok(sizes)
    }

    /// Whether weights and tape fit the address space.
    fn check(&self) -> Result<(), Error> {
        let width = Shape::new([self.units, self.directions])?.len();
        let widest = width.max(self.features);
        Shape::new([self.gates, widest])?;
        Shape::new([self.gates, self.units, self.directions, self.layers])?;
        // More than a tape has: four such terms a layer, with the directions, and what is shared.
        let most = Shape::new([self.sums.max(self.memory), self.directions])?.len().max(widest);
        Shape::new([self.time, most, self.layers + 1, 8])?;
        Ok(())
    }

    /// Numbers of a step of a layer's output.
    #[inline]
    pub(super) fn width(&self) -> usize {
        self.directions * self.units
    }

    /// Numbers of a step of its input.
    #[inline]
    pub(super) fn inputs(&self, layer: usize) -> usize {
        if layer == 0 { self.features } else { self.width() }
    }

    fn blank(&self) -> usize {
        self.width().max(self.memory)
    }

    fn layer(&self) -> usize {
        self.time * (self.width() + self.directions * (self.sums + self.memory))
    }

    /// Numbers of the tape for a row.
    pub(super) fn per_row(&self) -> usize {
        let shared = self.time * (self.width().max(self.features) + self.features);
        self.blank() + self.carry + shared + self.layers * self.layer()
    }

    /// Numbers of the tape once for all rows: `W_hhᵀ` of every direction of every layer.
    pub(super) fn per_batch(&self) -> usize {
        self.layers * self.directions * self.gates * self.units
    }

    /// `W_hhᵀ`, `[units, gates]`.
    pub(super) fn w_hht<'a, F>(&self, transposed: &'a [F], layer: usize, direction: usize) -> Rows<'a, F> {
        let len = self.gates * self.units;
        Rows::new(&transposed[(layer * self.directions + direction) * len..][..len], self.gates)
    }

    /// Where it is written.
    pub(super) fn w_hht_mut<'a, F>(
        &self,
        transposed: &'a mut [F],
        layer: usize,
        direction: usize,
    ) -> &'a mut [F] {
        let len = self.gates * self.units;
        &mut transposed[(layer * self.directions + direction) * len..][..len]
    }

    /// The parts of the tape of a tile.
    pub(super) fn parts<'a, F>(&self, tape: &'a mut [F]) -> Parts<'a, F> {
        let rows = tape.len() / self.per_row();
        let (blank, tape) = tape.split_at_mut(rows * self.blank());
        let (carry, tape) = tape.split_at_mut(rows * self.carry);
        let (gradient, tape) = tape.split_at_mut(rows * self.time * self.width().max(self.features));
        let (x, layers) = tape.split_at_mut(rows * self.time * self.features);
        Parts { blank, carry, gradient, x, layers }
    }

    /// The part of a layer, and what it reads, `[time * rows, inputs]`.
    pub(super) fn layer_of<'a, F>(
        &self,
        x: &'a [F],
        layers: &'a mut [F],
        layer: usize,
    ) -> (Rows<'a, F>, LayerPart<'a, F>) {
        let len = layers.len() / self.layers;
        let (below, own) = layers.split_at_mut(layer * len);
        let states = len / self.layer() * self.time * self.width();
        let input = if layer == 0 { x } else { &below[(layer - 1) * len..][..states] };
        let (states, directions) = own[..len].split_at_mut(states);
        (Rows::new(input, self.inputs(layer)), LayerPart { states, directions })
    }

    /// What a layer reads, its states, and the sums of a direction, of the tape of a tile.
    pub(super) fn read<'a, F>(&self, tape: &'a [F], layer: usize, direction: usize) -> [&'a [F]; 3] {
        let rows = tape.len() / self.per_row();
        let layers = rows * (self.per_row() - self.layers * self.layer());
        let own = layers + layer * rows * self.layer();
        let states = own..own + rows * self.time * self.width();
        let input = if layer == 0 {
            layers - rows * self.time * self.features..layers
        } else {
            let below = own - rows * self.layer();
            below..below + states.len()
        };
        let sums = states.end + direction * rows * self.time * (self.sums + self.memory);
        [&tape[input], &tape[states], &tape[sums..sums + rows * self.time * self.sums]]
    }

    /// [`Parts::gradient`] after the way back: that of the input.
    pub(super) fn gradient<'a, F>(&self, tape: &'a [F]) -> &'a [F] {
        let rows = tape.len() / self.per_row();
        &tape[rows * (self.blank() + self.carry)..][..rows * self.time * self.features]
    }

    /// The part of one direction within [`LayerPart::directions`]: sums and memory.
    pub(super) fn direction<'a, F>(
        &self,
        directions: &'a mut [F],
        direction: usize,
    ) -> (&'a mut [F], &'a mut [F]) {
        let len = directions.len() / self.directions;
        let own = &mut directions[direction * len..][..len];
        own.split_at_mut(len / (self.sums + self.memory) * self.sums)
    }

    /// The columns of a direction within the states.
    #[inline]
    pub(super) fn columns(&self, direction: usize) -> Range<usize> {
        direction * self.units..(direction + 1) * self.units
    }

    /// Numbers of the parameters of a direction of a layer.
    pub(super) fn parameters(&self, layer: usize, bias: bool) -> usize {
        self.gates * (self.inputs(layer) + self.units + 2 * usize::from(bias))
    }
}
