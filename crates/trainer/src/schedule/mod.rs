//! Schedules: the learning rate as a function of the step.
//!
//! A schedule has no state: [`Schedule::rate`] of a step is the same number whenever it is asked, so a run that is
//! resumed or evaluated in between goes on exactly. Steps are those of the optimiser and counted from 0.

use std::fmt;

mod cosine;
mod decay;
mod one_cycle;
mod plateau;
mod polynomial;
mod warmup;

pub use cosine::Cosine;
pub use decay::{Exponential, InverseSqrt, MultiStep, StepDecay};
pub use one_cycle::{Anneal, OneCycle};
pub use plateau::{Plateau, PlateauState, ReduceOnPlateau};
pub use polynomial::Polynomial;
pub use warmup::Warmup;

/// The learning rate of every step.
pub trait Schedule: fmt::Debug + Send + Sync {
    /// The learning rate of the step, counted from 0.
    fn rate(&self, step: u64) -> f64;

    /// If the rate also falls when training no longer gets better, how. That is the one thing about a schedule that
    /// depends on what came out; its state is the run's.
    fn plateau(&self) -> Option<Plateau> {
        None
    }
}

/// The same learning rate always.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant(pub f64);

impl Schedule for Constant {
    fn rate(&self, _step: u64) -> f64 {
        self.0
    }
}

/// How much of the way of `length` steps lies behind at `step`: from 0 to 1, and 1 ever after.
fn progress(step: u64, length: u64) -> f64 {
    step.min(length) as f64 / length.max(1) as f64
}

/// The half wave of a cosine from `start` at `progress` 0 to `end` at 1.
fn cosine(start: f64, end: f64, progress: f64) -> f64 {
    end + (start - end) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
}

/// The straight line from `start` at `progress` 0 to `end` at 1.
fn line(start: f64, end: f64, progress: f64) -> f64 {
    start + (end - start) * progress
}

#[cfg(test)]
mod check {
    use super::Schedule;

    /// The rates of the first steps, near enough to numbers by hand.
    pub(super) fn assert_rates(schedule: &dyn Schedule, expected: &[f64]) {
        for (step, &expected) in (0..).zip(expected) {
            let found = schedule.rate(step);
            assert!(
                (found - expected).abs() < 1e-12,
                "{schedule:?}: step {step} has {found}, not {expected}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check::assert_rates;
    use super::*;

    #[test]
    fn a_constant_stays() {
        assert_rates(&Constant(0.5), &[0.5, 0.5]);
        assert_eq!(Constant(0.5).rate(u64::MAX), 0.5);
    }

    #[test]
    fn every_schedule_has_a_rate_for_every_step() {
        let schedules: Vec<Box<dyn Schedule>> = vec![
            Box::new(StepDecay::new(1.0, 0.1, 0)),
            Box::new(MultiStep::new(1.0, 0.1, vec![])),
            Box::new(Exponential::new(1.0, 0.5, 0)),
            Box::new(InverseSqrt::new(1.0, 0)),
            Box::new(Cosine::new(1.0, 0.0, 0)),
            Box::new(Cosine::new(1.0, 0.0, 0).with_restarts(0)),
            Box::new(Cosine::new(1.0, 0.0, 3).with_restarts(2)),
            Box::new(Polynomial::new(1.0, 0.0, 0, 2.0)),
            Box::new(OneCycle::new(1.0, 0)),
            Box::new(OneCycle::new(1.0, 1)),
            Box::new(OneCycle::new(1.0, 2).with_rise(0.0)),
            Box::new(OneCycle::new(1.0, 5).with_rise(1.0)),
            Box::new(Warmup::new(Box::new(Constant(1.0)), 0, 0.0)),
        ];
        for schedule in schedules {
            for step in (0..20).chain([u64::MAX / 2, u64::MAX]) {
                let rate = schedule.rate(step);
                assert!((0.0..=1.0).contains(&rate), "{schedule:?}: step {step} has {rate}");
            }
        }
    }
}
