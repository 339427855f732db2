//! The gradients of the weights: sums over all rows and all steps, as products.

use std::ops::Range;

use super::cell::Cell;
use super::tape::Sizes;
use crate::executor::for_each_tile;
use crate::{Executor, Float, Panel, Rows, RowsMut, matmul};

/// A direction of a layer, at the tapes of all tiles after the way back.
#[derive(Debug)]
pub(super) struct Accumulate<'a, F> {
    pub(super) sizes: &'a Sizes,
    pub(super) layer: usize,
    pub(super) direction: usize,
    pub(super) tape: &'a [F],
    /// Numbers of a tile's tape; the last may have fewer.
    pub(super) tile: usize,
}

impl<'a, F: Float> Accumulate<'a, F> {
    /// Adds to the gradients of the direction's parameters.
    pub(super) fn run<C: Cell>(&self, executor: &dyn Executor<F>, dtheta: &mut [F]) {
        let Sizes { gates, units, .. } = *self.sizes;
        let inputs = self.sizes.inputs(self.layer);
        let (dw_ih, dtheta) = dtheta.split_at_mut(gates * inputs);
        let (dw_hh, biases) = dtheta.split_at_mut(gates * units);
        let rows = self.tape.len() / self.sizes.per_row() * self.sizes.time;
        for_each_tile(executor, dw_ih, inputs, rows.saturating_mul(inputs), |first, dw| {
            self.add_dw_ih::<C>(first, RowsMut::new(dw, inputs));
        });
        for_each_tile(executor, dw_hh, units, rows.saturating_mul(units), |first, dw| {
            self.add_dw_hh(first..first + dw.len() / units, dw);
        });
        if !biases.is_empty() {
            let (db_ih, db_hh) = biases.split_at_mut(gates);
            self.add_db::<C>(db_ih, db_hh);
        }
    }

    /// What the layer reads, its states and the gradients of its sums, tile by tile.
    fn tiles(&self) -> impl Iterator<Item = [&'a [F]; 3]> + '_ {
        self.tape.chunks(self.tile).map(|tape| self.sizes.read(tape, self.layer, self.direction))
    }

    /// Rows of `dW_ih` from `first` on: `Σ dsumsᵀ x` over all rows and steps.
    fn add_dw_ih<C: Cell>(&self, first: usize, mut dw: RowsMut<'_, F>) {
        let Sizes { units, sums, .. } = *self.sizes;
        let inputs = dw.width();
        let asked = first..first + dw.data().len() / inputs;
        for [x, _, dsums] in self.tiles() {
            for block in C::INPUT {
                let rows = block.rows(units);
                let own = asked.start.max(rows.start)..asked.end.min(rows.end);
                if own.is_empty() {
                    continue;
                }
                let at = block.columns(units).start + own.start - rows.start;
                let dsums = Panel::of_columns(Rows::new(dsums, sums), at..at + own.len());
                let dw = &mut dw.data()[(own.start - first) * inputs..(own.end - first) * inputs];
                matmul::add_columnst_x(dsums, Rows::new(x, inputs).into(), RowsMut::new(dw, inputs));
            }
        }
    }

    /// The rows `gates` of `dW_hh`: `Σ dsumsᵀ h` with the states before, which are zero at the first step.
    fn add_dw_hh(&self, gates: Range<usize>, dw: &mut [F]) {
        let Sizes { units, sums, time, .. } = *self.sizes;
        let width = self.sizes.width();
        for [_, states, dsums] in self.tiles() {
            let (states, dsums) = (Rows::new(states, width), Rows::new(dsums, sums));
            let (step, others) = (states.len() / time, states.len() / time * (time - 1));
            let (h, dsums) = if self.direction == 0 {
                (states.slice(0, others), dsums.slice(step, others))
            } else {
                (states.slice(step, others), dsums.slice(0, others))
            };
            if !h.is_empty() {
                let h = Panel::of_columns(h, self.sizes.columns(self.direction));
                matmul::add_columnst_x(Panel::of_columns(dsums, gates.clone()), h, RowsMut::new(dw, units));
            }
        }
    }

    fn add_db<C: Cell>(&self, db_ih: &mut [F], db_hh: &mut [F]) {
        let units = self.sizes.units;
        for [_, _, dsums] in self.tiles() {
            for dsums in dsums.chunks_exact(self.sizes.sums) {
                for block in C::INPUT {
                    add(&dsums[block.columns(units)], &mut db_ih[block.rows(units)]);
                }
                add(&dsums[..db_hh.len()], db_hh);
            }
        }
    }
}

#[inline]
fn add<F: Float>(terms: &[F], sums: &mut [F]) {
    sums.iter_mut().zip(terms).for_each(|(sum, &term)| *sum += term);
}
