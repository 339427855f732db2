//! One direction of one layer over the rows of a tile: the steps one after the other, and back.

use super::cell::{Cell, Step, StepBack};
use super::tape::Sizes;
use crate::simd::wide;
use crate::{Float, Panel, PanelMut, Rows, RowsMut, matmul};

/// The parameters of a direction; no biases are two empty slices.
#[derive(Debug)]
pub(super) struct Weights<'a, F> {
    pub(super) w_ih: Rows<'a, F>,
    pub(super) w_hh: Rows<'a, F>,
    pub(super) b_ih: &'a [F],
    pub(super) b_hh: &'a [F],
}

impl<'a, F> Weights<'a, F> {
    pub(super) fn split(theta: &'a [F], sizes: &Sizes, layer: usize) -> Self {
        let inputs = sizes.inputs(layer);
        let (w_ih, theta) = theta.split_at(sizes.gates * inputs);
        let (w_hh, biases) = theta.split_at(sizes.gates * sizes.units);
        let (b_ih, b_hh) = biases.split_at(biases.len() / 2);
        Self { w_ih: Rows::new(w_ih, inputs), w_hh: Rows::new(w_hh, sizes.units), b_ih, b_hh }
    }
}

/// What comes back from above a layer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Incoming<'a, F> {
    /// The gradient of every output, `[time, rows, width]`.
    Sequence(&'a [F]),
    /// That of the last states alone, `[rows, width]`.
    Last(Rows<'a, F>),
}

/// A direction of a layer, at the rows of a tile.
#[derive(Debug)]
pub(super) struct Sweep<'a, F, C> {
    pub(super) cell: &'a C,
    pub(super) sizes: &'a Sizes,
    pub(super) rows: usize,
    /// 0 goes forward in time, 1 back.
    pub(super) direction: usize,
    pub(super) weights: Weights<'a, F>,
    /// 0 where a step is padding: `[rows, time]`.
    pub(super) mask: Option<Rows<'a, F>>,
}

impl<F: Float, C: Cell> Sweep<'_, F, C> {
    /// The time of the `step`-th step.
    #[inline]
    fn time(&self, step: usize) -> usize {
        if self.direction == 0 { step } else { self.sizes.time - 1 - step }
    }

    /// The time of the step before it.
    #[inline]
    fn time_before(&self, step: usize) -> Option<usize> {
        step.checked_sub(1).map(|step| self.time(step))
    }

    #[inline(always)]
    fn is_padding(&self, row: usize, time: usize) -> bool {
        self.mask.is_some_and(|mask| mask.data()[row * mask.width() + time] == F::zero())
    }

    /// The state of a row within those of a step.
    #[inline(always)]
    fn state<'s>(&self, states: &'s [F], row: usize) -> &'s [F] {
        let columns = self.sizes.columns(self.direction);
        &states[row * self.sizes.width()..][columns]
    }

    /// `x W_ihᵀ + b` of all steps in one product, then step by step `+ h W_hhᵀ` and the cell. `w_hht` is `W_hhᵀ`, which
    /// every step reads, as it reads fastest.
    pub(super) fn forward(
        &self,
        x: Rows<'_, F>,
        states: &mut [F],
        (sums, memory): (&mut [F], &mut [F]),
        blank: &[F],
        w_hht: Rows<'_, F>,
    ) {
        let Sizes { units, sums: sums_width, memory: memory_width, .. } = *self.sizes;
        let width = self.sizes.width();
        self.input_sums(x, sums);
        for step in 0..self.sizes.time {
            let (time, before) = (self.time(step), self.time_before(step));
            let sums = slot_mut(sums, self.rows * sums_width, time);
            let (states_before, states) = slots(states, self.rows * width, before, time, blank);
            let (memory_before, memory) = slots(memory, self.rows * memory_width, before, time, blank);
            if before.is_some() {
                let h =
                    Panel::of_columns(Rows::new(states_before, width), self.sizes.columns(self.direction));
                let sums = PanelMut::of_columns(RowsMut::new(sums, sums_width), 0..self.sizes.gates);
                matmul::add_columns_w(h, w_hht, sums);
            }
            wide(
                #[inline(always)]
                || {
                    for row in 0..self.rows {
                        let h_before = self.state(states_before, row);
                        let h = &mut states[row * width + self.direction * units..][..units];
                        let memory_before = slot(memory_before, memory_width, row);
                        let memory = slot_mut(memory, memory_width, row);
                        if self.is_padding(row, time) {
                            h.copy_from_slice(h_before);
                            memory.copy_from_slice(memory_before);
                        } else {
                            let sums = slot_mut(sums, sums_width, row);
                            self.cell.forward(Step { sums, h_before, memory_before, memory, h });
                        }
                    }
                },
            );
        }
    }

    fn input_sums(&self, x: Rows<'_, F>, sums: &mut [F]) {
        let Sizes { units, sums: width, .. } = *self.sizes;
        let Weights { w_ih, b_ih, b_hh, .. } = self.weights;
        let (first, rest) = sums.split_at_mut(width);
        first.fill(F::zero());
        first.iter_mut().zip(b_hh).for_each(|(sum, &b)| *sum += b);
        if !b_ih.is_empty() {
            for block in C::INPUT {
                let b = &b_ih[block.rows(units)];
                first[block.columns(units)].iter_mut().zip(b).for_each(|(sum, &b)| *sum += b);
            }
        }
        rest.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(first));
        for block in C::INPUT {
            let rows = block.rows(units);
            let w = w_ih.slice(rows.start, rows.len());
            let sums = PanelMut::of_columns(RowsMut::new(sums, width), block.columns(units));
            matmul::add_columns_wt(x.into(), w, sums);
        }
    }

    /// From the last step to the first, makes the gradients of the sums of `sums`.
    pub(super) fn backward(
        &self,
        incoming: Incoming<'_, F>,
        states: &[F],
        (sums, memory): (&mut [F], &[F]),
        carry: &mut [F],
        blank: &[F],
    ) {
        let Sizes { units, sums: sums_width, memory: memory_width, .. } = *self.sizes;
        let width = self.sizes.width();
        let carried = self.sizes.carry - units;
        let (dh, dmemory) = carry.split_at_mut(self.rows * units);
        dh.fill(F::zero());
        dmemory.fill(F::zero());
        if let Incoming::Last(dy) = incoming {
            for (row, dh) in dh.chunks_exact_mut(units).enumerate() {
                dh.copy_from_slice(self.state(dy.data(), row));
            }
        }
        for step in (0..self.sizes.time).rev() {
            let (time, before) = (self.time(step), self.time_before(step));
            let states_before = before.map_or(blank, |time| slot(states, self.rows * width, time));
            let memory_before = before.map_or(blank, |time| slot(memory, self.rows * memory_width, time));
            let states = slot(states, self.rows * width, time);
            let memory = slot(memory, self.rows * memory_width, time);
            let sums = slot_mut(sums, self.rows * sums_width, time);
            wide(
                #[inline(always)]
                || {
                    for row in 0..self.rows {
                        let dh = slot_mut(dh, units, row);
                        let sums = slot_mut(sums, sums_width, row);
                        if self.is_padding(row, time) {
                            sums.fill(F::zero());
                            continue;
                        }
                        if let Incoming::Sequence(dy) = incoming {
                            let dy = self.state(slot(dy, self.rows * width, time), row);
                            dh.iter_mut().zip(dy).for_each(|(dh, &dy)| *dh += dy);
                        }
                        self.cell.backward(StepBack {
                            sums,
                            h_before: self.state(states_before, row),
                            h: self.state(states, row),
                            memory_before: slot(memory_before, memory_width, row),
                            memory: slot(memory, memory_width, row),
                            dh,
                            dmemory: slot_mut(dmemory, carried, row),
                        });
                    }
                },
            );
            if before.is_some() {
                let dsums = Panel::of_columns(Rows::new(sums, sums_width), 0..self.sizes.gates);
                matmul::add_columns_w(dsums, self.weights.w_hh, RowsMut::new(dh, units).into());
            }
        }
    }

    /// Adds to `dx`, `[time * rows, inputs]`, what `backward` made of the sums.
    pub(super) fn add_input_gradient(&self, dsums: &[F], dx: &mut [F]) {
        let w_ih = self.weights.w_ih;
        for block in C::INPUT {
            let rows = block.rows(self.sizes.units);
            let dsums = Panel::of_columns(Rows::new(dsums, self.sizes.sums), block.columns(self.sizes.units));
            let w = w_ih.slice(rows.start, rows.len());
            matmul::add_columns_w(dsums, w, RowsMut::new(dx, w_ih.width()).into());
        }
    }
}

/// Writes `wᵀ`. Some rows at a time: neither read nor write jumps over more lines of the cache than it holds.
pub(super) fn transpose<F: Float>(w: Rows<'_, F>, transposed: &mut [F]) {
    const ROWS: usize = 16;
    for first in (0..w.len()).step_by(ROWS) {
        let block = w.slice(first, ROWS.min(w.len() - first));
        for (column, to) in transposed.chunks_exact_mut(w.len()).enumerate() {
            let to = to[first..].iter_mut();
            to.zip(block.iter()).for_each(|(to, row)| *to = row[column]);
        }
    }
}

/// The `index`-th of consecutive slices of `len` numbers.
#[inline(always)]
fn slot<F>(data: &[F], len: usize, index: usize) -> &[F] {
    &data[index * len..][..len]
}

#[inline(always)]
fn slot_mut<F>(data: &mut [F], len: usize, index: usize) -> &mut [F] {
    &mut data[index * len..][..len]
}

/// The slice of `before`, or `blank` if there is none, and that of `at`, its neighbour.
#[inline(always)]
fn slots<'a, F>(
    data: &'a mut [F],
    len: usize,
    before: Option<usize>,
    at: usize,
    blank: &'a [F],
) -> (&'a [F], &'a mut [F]) {
    match before {
        None => (blank, slot_mut(data, len, at)),
        Some(before) if before < at => {
            let (earlier, later) = data.split_at_mut(at * len);
            (slot(earlier, len, before), &mut later[..len])
        }
        Some(before) => {
            let (earlier, later) = data.split_at_mut(before * len);
            (&later[..len], slot_mut(earlier, len, at))
        }
    }
}
