//! Schedules that fall by a rule without an end: in steps, exponentially, as an inverse root.

use super::Schedule;

/// Multiplies the rate by a factor at equal distances.
///
/// # Formula
/// `η(t) = η γ^⌊t/n⌋` (PyTorch's `StepLR`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepDecay {
    rate: f64,
    factor: f64,
    every: u64,
}

impl StepDecay {
    /// From `rate`, times `factor` every so many steps, at least 1.
    pub fn new(rate: f64, factor: f64, every: u64) -> Self {
        Self { rate, factor, every: every.max(1) }
    }
}

impl Schedule for StepDecay {
    fn rate(&self, step: u64) -> f64 {
        self.rate * self.factor.powf((step / self.every) as f64)
    }
}

/// Multiplies the rate by a factor at given steps.
///
/// # Formula
/// `η(t) = η γ^k` with `k` the number of milestones `m <= t` (PyTorch's `MultiStepLR`).
#[derive(Clone, Debug, PartialEq)]
pub struct MultiStep {
    rate: f64,
    factor: f64,
    milestones: Vec<u64>,
}

impl MultiStep {
    /// From `rate`, times `factor` from each of the milestones on.
    pub fn new(rate: f64, factor: f64, milestones: Vec<u64>) -> Self {
        Self { rate, factor, milestones }
    }
}

impl Schedule for MultiStep {
    fn rate(&self, step: u64) -> f64 {
        let passed = self.milestones.iter().filter(|&&milestone| milestone <= step).count();
        self.rate * self.factor.powf(passed as f64)
    }
}

/// Falls by the same factor over every stretch of one length, a little with each step.
///
/// # Formula
/// `η(t) = η γ^(t/n)` (PyTorch's `ExponentialLR` for `n = 1`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponential {
    rate: f64,
    factor: f64,
    over: u64,
}

impl Exponential {
    /// From `rate`, times `factor` over so many steps, at least 1.
    pub fn new(rate: f64, factor: f64, over: u64) -> Self {
        Self { rate, factor, over: over.max(1) }
    }
}

impl Schedule for Exponential {
    fn rate(&self, step: u64) -> f64 {
        self.rate * self.factor.powf(step as f64 / self.over as f64)
    }
}

/// Falls with the inverse root of the step.
///
/// # Formula
/// `η(t) = η √(n / (n + t))`. After a warm-up of `n` steps, `n + t` is the step of the run: the schedule of Vaswani et al.
/// (2017), `η ∝ 1/√step`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InverseSqrt {
    rate: f64,
    timescale: f64,
}

impl InverseSqrt {
    /// From `rate`; after three times `timescale` steps, at least 1, it has halved.
    pub fn new(rate: f64, timescale: u64) -> Self {
        Self { rate, timescale: timescale.max(1) as f64 }
    }
}

impl Schedule for InverseSqrt {
    fn rate(&self, step: u64) -> f64 {
        self.rate * (self.timescale / (self.timescale + step as f64)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::assert_rates;
    use super::*;

    #[test]
    fn falls_in_steps() {
        assert_rates(&StepDecay::new(1.0, 0.5, 2), &[1.0, 1.0, 0.5, 0.5, 0.25]);
        assert_rates(&MultiStep::new(1.0, 0.5, vec![1, 4]), &[1.0, 0.5, 0.5, 0.5, 0.25, 0.25]);
    }

    #[test]
    fn falls_smoothly() {
        assert_rates(&Exponential::new(1.0, 0.25, 2), &[1.0, 0.5, 0.25]);
        assert_eq!(InverseSqrt::new(1.0, 100).rate(300), 0.5);
    }
}
