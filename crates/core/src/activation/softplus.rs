//! The smooth rectifier.

use crate::elementary::{exp, exp_m1, log_1p_unit};
use crate::{Elementwise, Float, Formula};

/// `y = log(1 + exp(x))`, a smooth `max(x, 0)` (Dugas, Bengio, Bélisle, Nadeau & Garcia, 2001).
///
/// # Derivation
/// Taking `exp(x)` out of the sum where `x > 0` gives a form whose exponential is at most 1:
/// ```text
/// y = max(x, 0) + log(1 + exp(-|x|))
/// ```
/// and for the derivative, as `exp(y) = 1 + exp(x)`,
/// ```text
/// dy/dx = exp(x) / (1 + exp(x)) = (exp(y) - 1) / exp(y) = 1 - exp(-y)
/// ```
/// which needs `y` alone. `exp_m1` keeps its precision where `y` is small.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Softplus;

impl Elementwise for Softplus {
    const NEEDS_INPUT: bool = false;

    #[inline(always)]
    fn f<F: Float>(&self, x: F) -> F {
        x.max(F::zero()) + log_1p_unit(exp(-x.abs()))
    }

    #[inline(always)]
    fn df<F: Float>(&self, _x: F, y: F) -> F {
        -exp_m1(-y)
    }

    fn formula(&self, x: &str) -> Formula {
        Formula::new(format!("log(1 + exp({x}))"), "1 - exp(-y)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::check;

    #[test]
    fn gives_known_values_and_slopes() {
        let known: [(f64, f64, f64); 3] = [
            (-2.0, 0.1269280110429725, 0.11920292202211756),
            (-0.5, 0.4740769841801067, 0.37754066879814546),
            (1.5, 1.7014132779827524, 0.8175744761936437),
        ];
        for (x, y, slope) in known {
            assert!((Softplus.f(x) - y).abs() < 1e-15);
            assert!((Softplus.df(x, y) - slope).abs() < 1e-15);
        }
    }

    #[test]
    fn keeps_its_precision_far_below_zero() {
        // y = exp(x) and dy/dx = exp(x) to 13 digits.
        let y: f64 = Softplus.f(-30.0);
        let expected = (-30f64).exp();
        assert!((y / expected - 1.0).abs() < 1e-12);
        assert!((Softplus.df(f64::NAN, y) / expected - 1.0).abs() < 1e-12);
    }

    #[test]
    fn keeps_nan_visible() {
        assert!(Softplus.f(f64::NAN).is_nan());
    }

    #[test]
    fn derivative_is_the_slope() {
        check::derivative(&Softplus);
    }

    #[test]
    fn extremes_are_finite() {
        check::extremes(&Softplus);
    }
}
