//! The logistic function, the notebook's only activation.

use crate::elementary::sigmoid;
use crate::{Elementwise, Float, Formula};

/// `y = 1 / (1 + exp(-x))`, which packs the real line into (0, 1).
///
/// # Derivation
/// ```text
/// dy/dx = exp(-x) / (1 + exp(-x))²                  quotient rule
///       = 1/(1 + exp(-x)) · exp(-x)/(1 + exp(-x))
///       = y · (1 - y)                               as exp(-x)/(1 + exp(-x)) = 1 - y
/// ```
/// The derivative needs `y` alone, so `x` need not be kept. Far below 0, `y` is
/// `exp(x)` down to the smallest numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sigmoid;

impl Elementwise for Sigmoid {
    const NEEDS_INPUT: bool = false;

    #[inline(always)]
    fn f<F: Float>(&self, x: F) -> F {
        sigmoid(x)
    }

    #[inline(always)]
    fn df<F: Float>(&self, _x: F, y: F) -> F {
        y * (F::one() - y)
    }

    fn formula(&self, x: &str) -> Formula {
        Formula::new(format!("1 / (1 + exp(-{x}))"), "y (1 - y)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::check;

    #[test]
    fn gives_the_notebooks_numbers() {
        assert_eq!(Sigmoid.f(9.0), 0.9998766054240137);
        assert_eq!(Sigmoid.f(7.0), 0.9990889488055994);
    }

    #[test]
    fn derivative_is_the_slope() {
        check::derivative(&Sigmoid);
    }

    #[test]
    fn extremes_are_finite() {
        check::extremes(&Sigmoid);
    }
}
