//! The logistic function in three straight lines.

use crate::{Elementwise, Float, Formula};

/// `y = x/6 + 1/2`, cut off at 0 and 1: the form with kinks at ±3 (Howard et al., 2019). The first hard sigmoid
/// (Courbariaux, Bengio & David, 2015) and Keras' own before version 3 have other slopes.
///
/// # Derivation
/// ```text
/// dy/dx = 1/6 for -3 < x < 3,   0 beyond
/// ```
/// and `0 < y < 1` exactly where `-3 < x < 3`, up to the rounding of `y`, so `x` need not be kept. At the kinks the
/// derivative is 0, as in PyTorch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HardSigmoid;

impl Elementwise for HardSigmoid {
    const NEEDS_INPUT: bool = false;

    #[inline(always)]
    fn f<F: Float>(&self, x: F) -> F {
        // Divided, as a product with 1/6 would miss the kinks.
        (x / F::of(6.0) + F::of(0.5)).clamp(F::zero(), F::one())
    }

    #[inline(always)]
    fn df<F: Float>(&self, _x: F, y: F) -> F {
        if y > F::zero() && y < F::one() { F::of(1.0 / 6.0) } else { F::zero() }
    }

    fn formula(&self, x: &str) -> Formula {
        Formula::new(format!("{x}/6 + 1/2 cut off at 0 and 1"), format!("1/6 if -3 < {x} < 3, else 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::check;

    #[test]
    fn cuts_at_three() {
        assert_eq!([-4.0, -1.5, 0.0, 1.5, 4.0].map(|x| HardSigmoid.f(x)), [0.0, 0.25, 0.5, 0.75, 1.0]);
    }

    #[test]
    fn slope_at_the_kinks_is_zero() {
        assert_eq!([-3.0, 3.0].map(|x| HardSigmoid.df(f64::NAN, HardSigmoid.f(x))), [0.0, 0.0]);
        assert_eq!([-3.0, 3.0].map(|x| HardSigmoid.df(f32::NAN, HardSigmoid.f(x))), [0.0, 0.0]);
    }

    #[test]
    fn keeps_nan_visible() {
        assert!(HardSigmoid.f(f64::NAN).is_nan());
    }

    #[test]
    fn derivative_is_the_slope() {
        check::derivative(&HardSigmoid);
    }

    #[test]
    fn extremes_are_finite() {
        check::extremes(&HardSigmoid);
    }
}
