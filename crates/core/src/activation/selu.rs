//! The self-normalising exponential linear unit.

use crate::elementary::exp_m1;
use crate::{Elementwise, Float, Formula};

/// λ: the slope above 0.
const SCALE: f64 = 1.0507009873554805;

/// λ α: the slope just below 0.
const SLOPE: f64 = SCALE * 1.6732632423543772;

/// `y = λ x` for `x > 0` and `y = λ α (exp(x) - 1)` else (Klambauer, Unterthiner, Mayr & Hochreiter, 2017).
///
/// λ = 1.0507… and α = 1.6732… are the one pair that maps a standard normal `x` to a `y` of mean 0 and variance 1, so
/// that deep stacks of dense layers (with LeCun's start values) keep both without a normalisation layer.
///
/// # Derivation
/// ```text
/// dy/dx = λ                                 for x > 0
///       = λ α exp(x) = y + λ α              for x < 0
/// ```
/// `y > 0` exactly where `x > 0`, so `x` need not be kept. At the kink the derivative is λ α, as in PyTorch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Selu;

impl Elementwise for Selu {
    const NEEDS_INPUT: bool = false;

    #[inline(always)]
    fn f<F: Float>(&self, x: F) -> F {
        if x > F::zero() { F::of(SCALE) * x } else { F::of(SLOPE) * exp_m1(x) }
    }

    #[inline(always)]
    fn df<F: Float>(&self, _x: F, y: F) -> F {
        if y > F::zero() { F::of(SCALE) } else { y + F::of(SLOPE) }
    }

    fn formula(&self, x: &str) -> Formula {
        let value = format!("λ {x} if {x} > 0, else λα (exp({x}) - 1),  λ = {SCALE}, λα = {SLOPE}");
        Formula::new(value, format!("λ if {x} > 0, else y + λα"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::check;

    #[test]
    fn gives_known_values_and_slopes() {
        let known: [(f64, f64, f64); 3] = [
            (-2.0, -1.520166468595695, 0.23793287225168183),
            (-0.5, -0.6917581878028713, 1.0663411530445055),
            (1.5, 1.5760514810332207, 1.0507009873554805),
        ];
        for (x, y, slope) in known {
            assert!((Selu.f(x) - y).abs() < 1e-15);
            assert!((Selu.df(x, y) - slope).abs() < 1e-15);
        }
    }

    #[test]
    fn keeps_mean_zero_and_variance_one() {
        // The integrals of y φ(x) and y² φ(x), by the trapezoidal rule from -12 to 12.
        let (mut mean, mut square) = (0.0, 0.0);
        let h = 1e-4;
        for i in -120_000..=120_000 {
            let x = f64::from(i) * h;
            let density = (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
            let y: f64 = Selu.f(x);
            mean += h * density * y;
            square += h * density * y * y;
        }
        assert!(mean.abs() < 1e-8, "mean {mean}");
        assert!((square - 1.0).abs() < 1e-8, "variance {square}");
    }

    #[test]
    fn slope_at_the_kink_is_that_below() {
        assert_eq!([-0.0, 0.0].map(|x| Selu.df(f64::NAN, Selu.f(x))), [SLOPE, SLOPE]);
    }

    #[test]
    fn derivative_is_the_slope() {
        check::derivative(&Selu);
    }

    #[test]
    fn extremes_are_finite() {
        check::extremes(&Selu);
    }
}
