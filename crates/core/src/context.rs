//! What a layer is lent beside parameters and activations: who computes, in which phase, with which buffers and mask.

use std::fmt;
use std::ops::Range;

use crate::random::{self, Purpose, Rng};
use crate::{Executor, Rows, Shape};

/// Numbers of a layer that are neither parameters nor activations: batch norm's running statistics.
///
/// They are stored with the parameters, but no gradient moves them: a forward pass in training does.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// `running_mean`; inside a network `LAYER.running_mean`.
    pub name: String,
    /// The axes.
    pub shape: Shape,
    /// What all its numbers are at first.
    pub initial: f64,
}

/// How many numbers the buffers hold together.
pub fn buffer_count(buffers: &[Buffer]) -> usize {
    buffers.iter().map(|buffer| buffer.shape.len()).fold(0, usize::saturating_add)
}

/// The buffers as they are before training.
pub fn initial_buffers<F: crate::Float>(buffers: &[Buffer]) -> Vec<F> {
    let values = |buffer: &Buffer| std::iter::repeat_n(F::of(buffer.initial), buffer.shape.len());
    buffers.iter().flat_map(values).collect()
}

/// Where a layer's random numbers come from: a pure function of the seed, the step, the layer's place in the network
/// and the sample, so that a mask can be repeated, any thread can draw it, and a resumed run stores nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    seed: u64,
    step: u64,
    /// A hash of the positions that lead to the layer through nested composites.
    place: u64,
}

impl Draw {
    /// The random numbers of one batch of a run, counted over all epochs.
    pub fn new(seed: u64, step: u64) -> Self {
        Self { seed, step, place: 0 }
    }

    /// Those of the part `index` of a composite.
    #[inline]
    fn part(self, index: usize) -> Self {
        // SplitMix64 (Steele, Lea & Flood, 2014): neighbouring places are unrelated.
        let mut z = self.place.wrapping_add((index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self { place: z ^ (z >> 31), ..self }
    }

    /// The generator of the numbers from `position` on, counted in 32-bit words: rows can be drawn one by one or
    /// together, with the same result.
    pub fn generator(self, position: u64) -> Rng {
        let mut rng = random::generator(self.seed, Purpose::Noise, self.step, self.place);
        rng.set_word_pos(u128::from(position));
        rng
    }
}

/// Whether a pass is one of training.
#[derive(Debug)]
pub enum Mode<'a, F> {
    /// Prediction and evaluation: nothing is random, running statistics are read.
    Evaluate {
        /// The buffers of the layer.
        buffers: &'a [F],
    },
    /// Training: noise is drawn, statistics are those of the batch, and the running ones follow them.
    Train {
        /// The buffers of the layer.
        buffers: &'a mut [F],
        /// The random numbers of the layer in this step.
        draw: Draw,
    },
}

/// What a layer is lent beside its buffers: nothing that it could keep.
pub struct Ctx<'a, F> {
    /// Who runs the tiles of the work.
    pub executor: &'a dyn Executor<F>,
    /// The phase, with what belongs to it.
    pub mode: Mode<'a, F>,
    /// Which positions of each sample count, 1, and which are padding, 0: `[rows, positions]`. Recurrent layers,
    /// attention and pooling over positions skip padding.
    pub mask: Option<Rows<'a, F>>,
}

impl<'a, F> Ctx<'a, F> {
    /// The context of an evaluation.
    #[inline]
    pub fn evaluate(executor: &'a dyn Executor<F>, buffers: &'a [F]) -> Self {
        Self { executor, mode: Mode::Evaluate { buffers }, mask: None }
    }

    /// The context of a training step.
    #[inline]
    pub fn train(executor: &'a dyn Executor<F>, buffers: &'a mut [F], draw: Draw) -> Self {
        Self { executor, mode: Mode::Train { buffers, draw }, mask: None }
    }

    /// The context of the part `index` of a composite, whose buffers are `buffers` of the composite's.
    #[inline]
    pub fn part(&mut self, index: usize, buffers: Range<usize>) -> Ctx<'_, F> {
        let mode = match &mut self.mode {
            Mode::Evaluate { buffers: own } => Mode::Evaluate { buffers: &own[buffers] },
            Mode::Train { buffers: own, draw } => {
                Mode::Train { buffers: &mut own[buffers], draw: draw.part(index) }
            }
        };
        Ctx { executor: self.executor, mode, mask: self.mask }
    }

    /// The random numbers of the step; none in an evaluation.
    #[inline]
    pub fn draw(&self) -> Option<Draw> {
        match self.mode {
            Mode::Evaluate { .. } => None,
            Mode::Train { draw, .. } => Some(draw),
        }
    }

    /// The mask, if it has a row of `positions` for each sample.
    #[inline]
    pub fn mask_of(&self, positions: usize) -> Option<Rows<'a, F>> {
        self.mask.filter(|mask| mask.width() == positions)
    }
}

impl<F> fmt::Debug for Ctx<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ctx").field("draw", &self.draw()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::RngCore;

    use super::*;
    use crate::Inline;

    #[test]
    fn every_part_and_step_draws_numbers_of_its_own() {
        let first = |draw: Draw| draw.generator(0).next_u32();
        let base = Draw::new(1, 2);
        let others = [base.part(0), base.part(1), base.part(0).part(0), Draw::new(1, 3), Draw::new(2, 2)];
        for (index, &other) in others.iter().enumerate() {
            assert_ne!(first(base), first(other));
            assert!(others[..index].iter().all(|&earlier| first(earlier) != first(other)));
        }
        assert_eq!(first(base.part(1)), first(Draw::new(1, 2).part(1)));
    }

    #[test]
    fn rows_can_be_drawn_one_by_one_or_together() {
        let draw = Draw::new(7, 1);
        let mut all = draw.generator(0);
        let together: Vec<u32> = (0..100).map(|_| all.next_u32()).collect();
        for row in [0, 3, 19] {
            let mut rng = draw.generator(5 * row);
            let own: Vec<u32> = (0..5).map(|_| rng.next_u32()).collect();
            assert_eq!(own, together[5 * row as usize..5 * row as usize + 5]);
        }
    }

    #[test]
    fn a_part_has_its_own_buffers() {
        let mut buffers = [0.0f64, 1.0, 2.0];
        let mut ctx = Ctx::train(&Inline, &mut buffers, Draw::new(0, 0));
        if let Mode::Train { buffers, .. } = ctx.part(0, 1..3).mode {
            assert_eq!(buffers, [1.0, 2.0]);
            buffers[0] = 5.0;
        }
        assert_eq!(buffers, [0.0, 5.0, 2.0]);
    }
}
