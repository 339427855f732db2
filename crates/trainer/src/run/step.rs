//! One step: the gradient of its batches, a look at it, and the optimiser's move.
//!
//! A step of a tiny net is some 1,300 instructions, so what most runs do not ask for is apart from it, in functions that
//! are not inlined: its registers are not shared with theirs.

use std::ops::Range;

use chainrule_core::{Ctx, Draw, Float, Total};

use super::Run;
use crate::optimizer::{Group, l1, update};
use crate::state::Counts;
use crate::trainer::OnNotFinite;
use crate::{Error, Schedule, State, finite};

impl<F: Float> Run<'_, F> {
    /// One step on the samples at `range` of the order; their loss.
    #[inline(always)]
    pub(super) fn step(
        &mut self,
        state: &mut State<F>,
        range: Range<usize>,
        shuffled: bool,
    ) -> Result<f64, Error> {
        let trainer = self.trainer;
        let settings = &trainer.settings;
        if !state.buffers.is_empty() {
            self.buffers_before.copy_from_slice(&state.buffers);
        }
        let total = match settings.accumulate {
            1 => self.batch(state, range.clone(), shuffled),
            _ => self.batches(state, range.clone(), shuffled),
        };
        if !self.is_finite(state, total) {
            return self.leave_out(state, range, shuffled, total);
        }
        if self.adjusts {
            self.adjust(state);
        }
        let rate = self.rate(&state.counts, state.counts.steps);
        let number = state.counts.steps + 1;
        let moved = (&mut state.theta[..], &self.gradient[..]);
        update(self.executor, trainer.optimizer, &self.groups, (number, rate), moved, &mut state.memory);
        state.counts.steps = number;
        state.counts.running += total;
        if self.follows_up {
            self.follow_up(state);
        }
        Ok(total.mean())
    }

    /// Whether the loss of a step is finite, its gradient, and the running statistics after it.
    #[inline(always)]
    fn is_finite(&self, state: &State<F>, total: Total) -> bool {
        let is_finite = |group: &Group| finite::all(self.executor, &self.gradient[group.range.clone()]);
        total.sum.is_finite()
            && self.groups.iter().all(is_finite)
            && (state.buffers.is_empty() || finite::all(self.executor, &state.buffers))
    }

    /// Takes back what a step that is not finite has changed, and ends the run if that is asked for.
    #[cold]
    fn leave_out(
        &mut self,
        state: &mut State<F>,
        range: Range<usize>,
        shuffled: bool,
        total: Total,
    ) -> Result<f64, Error> {
        state.buffers.copy_from_slice(&self.buffers_before);
        if self.trainer.settings.on_not_finite == OnNotFinite::Stop {
            return Err(self.diverged(state, range, shuffled, total));
        }
        state.counts.skipped += 1;
        Ok(total.mean())
    }

    /// What is done to the gradient before a step.
    #[inline(never)]
    fn adjust(&mut self, state: &State<F>) {
        let settings = &self.trainer.settings;
        settings.clip.apply(&self.groups, &mut self.gradient);
        l1(settings.l1, &self.groups, &state.theta, &mut self.gradient);
    }

    /// What is done after a step.
    #[inline(never)]
    fn follow_up(&self, state: &mut State<F>) {
        if let Some(max_norm) = &self.max_norm {
            max_norm.apply(&mut state.theta);
        }
        if let Some(averaging) = self.trainer.settings.averaging {
            averaging.after_step(state);
        }
    }

    /// The learning rate of a step, counted from 0.
    pub(super) fn rate(&self, counts: &Counts, step: u64) -> f64 {
        rate(self.trainer.schedule, counts, step)
    }

    /// The loss of one batch, its gradient in `self.gradient`.
    #[inline(always)]
    fn batch(&mut self, state: &mut State<F>, range: Range<usize>, shuffled: bool) -> Total {
        let trainer = self.trainer;
        let (workspace, gradient) = (&mut self.workspace, &mut self.gradient);
        let draw = Draw::new(trainer.settings.seed, state.counts.batches);
        let ctx = &mut Ctx::train(self.executor, &mut state.buffers, draw);
        state.counts.batches += 1;
        let (theta, objective, train) = (&state.theta, trainer.objective, trainer.train);
        if shuffled {
            let (inputs, targets) = self.gathered.gather(self.executor, train, &self.order[range]);
            return objective.gradient(theta, &[inputs], targets, gradient, &mut [None], workspace, ctx);
        }
        let (inputs, targets) = train.batch(range);
        objective.gradient(theta, &[inputs], targets, gradient, &mut [None], workspace, ctx)
    }

    /// The loss of several batches, the gradient of its mean in `self.gradient`.
    #[inline(never)]
    fn batches(&mut self, state: &mut State<F>, range: Range<usize>, shuffled: bool) -> Total {
        let size = self.trainer.settings.batch_size;
        // It is taken out and put back, as `batch` borrows all of the run.
        let mut accumulated = self.accumulated.take();
        let mut whole = Total::NONE;
        for start in range.clone().step_by(size) {
            let total = self.batch(state, start..range.end.min(start + size), shuffled);
            whole += total;
            if let Some(accumulated) = &mut accumulated {
                accumulated.add(&self.gradient, total.terms);
            }
        }
        if let Some(accumulated) = &mut accumulated {
            accumulated.take_mean(&mut self.gradient, whole.terms);
        }
        self.accumulated = accumulated;
        whole
    }
}

/// The learning rate of a step, counted from 0.
pub(super) fn rate(schedule: &dyn Schedule, counts: &Counts, step: u64) -> f64 {
    schedule.rate(step) * counts.plateau.share
}
