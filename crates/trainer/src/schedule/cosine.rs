//! Half a cosine wave, once or again and again.

use super::{Schedule, cosine, progress};

/// Falls along half a cosine wave; with restarts, jumps back and falls again.
///
/// # Formula
/// From `η` to `η φ` over `n` steps (Loshchilov & Hutter, 2017):
/// ```text
/// η(t) = η φ + η (1 - φ) (1 + cos(π t/n)) / 2
/// ```
/// PyTorch's `CosineAnnealingLR` up to step `n`; then the rate stays at `η φ`, where PyTorch's rises again. With restarts
/// `t` counts from the last one and each cycle is `growth` times as long as the one before: `CosineAnnealingWarmRestarts`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cosine {
    rate: f64,
    last: f64,
    length: u64,
    growth: Option<u64>,
}

impl Cosine {
    /// From `rate` to `final_factor` of it over `length` steps, at least 1.
    pub fn new(rate: f64, final_factor: f64, length: u64) -> Self {
        Self { rate, last: rate * final_factor, length: length.max(1), growth: None }
    }

    /// Starts again after each cycle, the next being `growth` times as long, at least 1.
    pub fn with_restarts(self, growth: u64) -> Self {
        Self { growth: Some(growth.max(1)), ..self }
    }

    /// The step within the cycle that holds `step`, and the length of that cycle.
    fn within_cycle(&self, step: u64) -> (u64, u64) {
        let Some(growth) = self.growth else { return (step, self.length) };
        if growth == 1 {
            return (step % self.length, self.length);
        }
        // The lengths double at least: there are at most 64 cycles.
        let (mut step, mut length) = (step, self.length);
        while step >= length {
            step -= length;
            length = length.saturating_mul(growth);
        }
        (step, length)
    }
}

impl Schedule for Cosine {
    fn rate(&self, step: u64) -> f64 {
        let (step, length) = self.within_cycle(step);
        cosine(self.rate, self.last, progress(step, length))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::assert_rates;
    use super::*;

    #[test]
    fn falls_along_a_cosine_and_stays() {
        let high = 0.5 + 0.5f64.sqrt() / 2.0;
        assert_rates(&Cosine::new(1.0, 0.0, 4), &[1.0, high, 0.5, 1.0 - high, 0.0, 0.0]);
        assert_rates(&Cosine::new(2.0, 0.5, 2), &[2.0, 1.5, 1.0, 1.0]);
    }

    #[test]
    fn starts_again_with_longer_cycles() {
        let cosine = Cosine::new(1.0, 0.0, 2);
        assert_rates(&cosine.with_restarts(1), &[1.0, 0.5, 1.0, 0.5, 1.0]);
        let high = 0.5 + 0.5f64.sqrt() / 2.0;
        assert_rates(&cosine.with_restarts(2), &[1.0, 0.5, 1.0, high, 0.5, 1.0 - high, 1.0]);
    }
}
