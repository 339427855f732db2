//! A slow start before another schedule.

use super::{Plateau, Schedule, line, progress};

/// Rises in a line to the first rate of another schedule, which then starts at its step 0.
///
/// # Formula
/// With the other's rates `η'`, `w` steps of warm-up from the share `φ` (Goyal et al., 2017):
/// ```text
/// η(t) = η'(0) (φ + (1 - φ) t/w)     t < w
/// η(t) = η'(t - w)                   t >= w
/// ```
/// PyTorch's `SequentialLR` of a `LinearLR` and the other schedule. With `φ = 0` the first step has a rate of 0.
#[derive(Debug)]
pub struct Warmup {
    then: Box<dyn Schedule>,
    steps: u64,
    factor: f64,
}

impl Warmup {
    /// `steps` steps from `factor` of the first rate, between 0 and 1, up to `then`.
    pub fn new(then: Box<dyn Schedule>, steps: u64, factor: f64) -> Self {
        Self { then, steps, factor }
    }
}

impl Schedule for Warmup {
    fn rate(&self, step: u64) -> f64 {
        match step.checked_sub(self.steps) {
            Some(step) => self.then.rate(step),
            None => self.then.rate(0) * line(self.factor, 1.0, progress(step, self.steps)),
        }
    }

    fn plateau(&self) -> Option<Plateau> {
        self.then.plateau()
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::assert_rates;
    use super::super::{Constant, Polynomial};
    use super::*;

    #[test]
    fn rises_in_a_line_and_hands_over() {
        let linear = Polynomial::new(2.0, 0.0, 2, 1.0);
        assert_rates(&Warmup::new(Box::new(linear), 4, 0.0), &[0.0, 0.5, 1.0, 1.5, 2.0, 1.0, 0.0, 0.0]);
        assert_rates(&Warmup::new(Box::new(Constant(1.0)), 2, 0.5), &[0.5, 0.75, 1.0, 1.0]);
    }
}
