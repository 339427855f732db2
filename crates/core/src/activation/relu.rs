//! The rectified linear unit.

use crate::{Elementwise, Float, Formula};

/// `y = max(x, 0)` (Nair & Hinton, 2010; Glorot, Bordes & Bengio, 2011).
///
/// # Derivation
/// ```text
/// dy/dx = 1 for x > 0,   0 for x < 0
/// ```
/// and `y > 0` exactly where `x > 0`, so `x` need not be kept. At the kink every number from 0 to 1 is a subgradient;
/// as in PyTorch it is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Relu;

impl Elementwise for Relu {
    const NEEDS_INPUT: bool = false;

    #[inline(always)]
    fn f<F: Float>(&self, x: F) -> F {
        // Not `max`, which would turn NaN into 0 and hide that a training has diverged.
        if x < F::zero() { F::zero() } else { x }
    }

    #[inline(always)]
    fn df<F: Float>(&self, _x: F, y: F) -> F {
        if y > F::zero() { F::one() } else { F::zero() }
    }

    fn formula(&self, x: &str) -> Formula {
        Formula::new(format!("max({x}, 0)"), format!("1 if {x} > 0, else 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::check;

    #[test]
    fn cuts_what_is_negative() {
        assert_eq!([-2.0, -0.5, 0.0, 1.5].map(|x| Relu.f(x)), [0.0, 0.0, 0.0, 1.5]);
    }

    #[test]
    fn slope_at_the_kink_is_zero() {
        assert_eq!([-0.0, 0.0].map(|x| Relu.df(f64::NAN, Relu.f(x))), [0.0, 0.0]);
    }

    #[test]
    fn keeps_nan_visible() {
        assert!(Relu.f(f64::NAN).is_nan());
    }

    #[test]
    fn derivative_is_the_slope() {
        check::derivative(&Relu);
    }

    #[test]
    fn extremes_are_finite() {
        check::extremes(&Relu);
    }
}
