//! A line, or a power of it.

use super::{Schedule, line, progress};

/// Falls as a power of the way that is left, then stays.
///
/// # Formula
/// From `η` to `η φ` over `n` steps:
/// ```text
/// η(t) = η φ + η (1 - φ) (1 - t/n)^p     t <= n
/// ```
/// PyTorch's `PolynomialLR` for `φ = 0`, its `LinearLR` for `p = 1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Polynomial {
    rate: f64,
    last: f64,
    length: u64,
    power: f64,
}

impl Polynomial {
    /// From `rate` to `final_factor` of it over `length` steps, at least 1; a `power` of 1 is a line.
    pub fn new(rate: f64, final_factor: f64, length: u64, power: f64) -> Self {
        Self { rate, last: rate * final_factor, length: length.max(1), power }
    }
}

impl Schedule for Polynomial {
    fn rate(&self, step: u64) -> f64 {
        line(self.last, self.rate, (1.0 - progress(step, self.length)).powf(self.power))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::assert_rates;
    use super::*;

    #[test]
    fn falls_as_a_power_and_stays() {
        assert_rates(&Polynomial::new(1.0, 0.5, 2, 1.0), &[1.0, 0.75, 0.5, 0.5]);
        assert_rates(&Polynomial::new(1.0, 0.0, 2, 2.0), &[1.0, 0.25, 0.0, 0.0]);
    }
}
