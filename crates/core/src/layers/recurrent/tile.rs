//! All layers and directions of a recurrent layer over the rows of a tile.

use super::Recurrent;
use super::cell::Cell;
use super::sweep::{Incoming, Sweep, Weights};
use super::tape::{LayerPart, Parts, Sizes};
use crate::{Float, Rows, RowsMut};

/// Whether the gradient of the input is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DxIs {
    /// It is.
    Asked,
    /// It is not, and costs nothing.
    NotAsked,
}

impl<C: Cell> Recurrent<C> {
    /// Computes the states of all layers.
    pub(super) fn forward_tile<F: Float>(
        &self,
        theta: &[F],
        transposed: &[F],
        x: Rows<'_, F>,
        mask: Option<Rows<'_, F>>,
        tape: &mut [F],
    ) {
        let sizes = &self.sizes;
        let rows = x.len();
        let Parts { blank, x: x_by_time, layers, .. } = sizes.parts(tape);
        blank.fill(F::zero());
        to_time_major(x, sizes.features, mask, x_by_time);
        for layer in 0..sizes.layers {
            let (x, LayerPart { states, directions }) = sizes.layer_of(x_by_time, layers, layer);
            for direction in 0..sizes.directions {
                let own = sizes.direction(directions, direction);
                let w_hht = sizes.w_hht(transposed, layer, direction);
                self.sweep(theta, layer, direction, rows, mask).forward(x, states, own, blank, w_hht);
            }
        }
    }

    fn sweep<'a, F: Float>(
        &'a self,
        theta: &'a [F],
        layer: usize,
        direction: usize,
        rows: usize,
        mask: Option<Rows<'a, F>>,
    ) -> Sweep<'a, F, C> {
        let weights = Weights::split(self.own(theta, layer, direction), &self.sizes, layer);
        Sweep { cell: &self.cell, sizes: &self.sizes, rows, direction, weights, mask }
    }

    /// Makes gradients of the sums of all layers; those of the input are left in the tape if `dx_is_asked`.
    pub(super) fn backward_tile<F: Float>(
        &self,
        theta: &[F],
        dy: Rows<'_, F>,
        mask: Option<Rows<'_, F>>,
        tape: &mut [F],
        dx_is_asked: DxIs,
    ) {
        let sizes = &self.sizes;
        let rows = dy.len();
        let Parts { blank, carry, gradient, x, layers } = sizes.parts(tape);
        let states_len = rows * sizes.time * sizes.width();
        if self.config.return_sequences {
            to_time_major(dy, sizes.width(), None, &mut gradient[..states_len]);
        }
        for layer in (0..sizes.layers).rev() {
            let (_, LayerPart { states, directions }) = sizes.layer_of(x, layers, layer);
            let is_last = layer + 1 == sizes.layers && !self.config.return_sequences;
            for direction in 0..sizes.directions {
                let (sums, memory) = sizes.direction(directions, direction);
                let incoming =
                    if is_last { Incoming::Last(dy) } else { Incoming::Sequence(&gradient[..states_len]) };
                let sweep = self.sweep(theta, layer, direction, rows, mask);
                sweep.backward(incoming, states, (sums, memory), carry, blank);
            }
            if layer == 0 && dx_is_asked == DxIs::NotAsked {
                return;
            }
            let dx = &mut gradient[..rows * sizes.time * sizes.inputs(layer)];
            dx.fill(F::zero());
            for direction in 0..sizes.directions {
                let (dsums, _) = sizes.direction(directions, direction);
                self.sweep(theta, layer, direction, rows, mask).add_input_gradient(dsums, dx);
            }
        }
    }

    /// Copies the states that are the output of a tile.
    pub(super) fn write_output<F: Float>(&self, tape: &[F], mask: Option<Rows<'_, F>>, y: RowsMut<'_, F>) {
        let Sizes { time, units, layers, .. } = self.sizes;
        let width = self.sizes.width();
        let [_, states, _] = self.sizes.read(tape, layers - 1, 0);
        let mut y = y;
        if self.config.return_sequences {
            return from_time_major(states, width, mask, y);
        }
        let rows = states.len() / time / width;
        for (row, y) in y.iter_mut().enumerate() {
            for (direction, y) in y.chunks_exact_mut(units).enumerate() {
                let last = if direction == 0 { time - 1 } else { 0 };
                y.copy_from_slice(&states[(last * rows + row) * width + direction * units..][..units]);
            }
        }
    }
}

/// Whether the mask says that a step of a row is padding.
#[inline]
fn is_padding<F: Float>(mask: Option<Rows<'_, F>>, row: usize, time: usize) -> bool {
    mask.is_some_and(|mask| mask.data()[row * mask.width() + time] == F::zero())
}

/// Copies `[rows, time, width]` to `[time, rows, width]`; padding becomes zeros.
fn to_time_major<F: Float>(from: Rows<'_, F>, width: usize, mask: Option<Rows<'_, F>>, to: &mut [F]) {
    let (rows, len) = (from.len(), from.width());
    for (index, to) in to.chunks_exact_mut(width).enumerate() {
        let (time, row) = (index / rows, index % rows);
        if is_padding(mask, row, time) {
            to.fill(F::zero());
        } else {
            to.copy_from_slice(&from.data()[row * len + time * width..][..width]);
        }
    }
}

/// Copies `[time, rows, width]` to `[rows, time, width]`; padding becomes zeros.
pub(super) fn from_time_major<F: Float>(
    from: &[F],
    width: usize,
    mask: Option<Rows<'_, F>>,
    mut to: RowsMut<'_, F>,
) {
    let rows = to.as_rows().len();
    for (row, to) in to.iter_mut().enumerate() {
        for (time, to) in to.chunks_exact_mut(width).enumerate() {
            if is_padding(mask, row, time) {
                to.fill(F::zero());
            } else {
                to.copy_from_slice(&from[(time * rows + row) * width..][..width]);
            }
        }
    }
}
