//! The hyperbolic tangent in three straight lines.

use crate::{Elementwise, Float, Formula};

/// `y = x`, cut off at -1 and 1 (Collobert, 2004).
///
/// # Derivation
/// ```text
/// dy/dx = 1 for -1 < x < 1,   0 beyond
/// ```
/// and `|y| < 1` exactly where `|x| < 1`, so `x` need not be kept. At the kinks the derivative is 0, as in PyTorch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HardTanh;

impl Elementwise for HardTanh {
    const NEEDS_INPUT: bool = false;

    #[inline(always)]
    fn f<F: Float>(&self, x: F) -> F {
        x.clamp(-F::one(), F::one())
    }

    #[inline(always)]
    fn df<F: Float>(&self, _x: F, y: F) -> F {
        if y.abs() < F::one() { F::one() } else { F::zero() }
    }

    fn formula(&self, x: &str) -> Formula {
        Formula::new(format!("{x} cut off at -1 and 1"), format!("1 if -1 < {x} < 1, else 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::check;

    #[test]
    fn cuts_at_one() {
        assert_eq!([-2.0, -0.5, 0.25, 1.5].map(|x| HardTanh.f(x)), [-1.0, -0.5, 0.25, 1.0]);
    }

    #[test]
    fn slope_at_the_kinks_is_zero() {
        assert_eq!([-1.0, 0.0, 1.0].map(|x| HardTanh.df(f64::NAN, HardTanh.f(x))), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn keeps_nan_visible() {
        assert!(HardTanh.f(f64::NAN).is_nan());
    }

    #[test]
    fn derivative_is_the_slope() {
        check::derivative(&HardTanh);
    }

    #[test]
    fn extremes_are_finite() {
        check::extremes(&HardTanh);
    }
}
