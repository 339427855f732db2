//! A sigmoid without an exponential.

use crate::{Elementwise, Float, Formula};

/// `y = x / (1 + |x|)`, in (-1, 1) (Bergstra, Desjardins, Lamblin & Bengio, 2009).
///
/// # Derivation
/// With `s = sign(x)`, so that `d|x|/dx = s` and `x s = |x|`:
/// ```text
/// dy/dx = (1 + |x| - x s) / (1 + |x|)²      quotient rule
///       = 1 / (1 + |x|)²
///       = (1 - |y|)²                        as 1 - |y| = 1 / (1 + |x|)
/// ```
/// The derivative needs `y` alone, so `x` need not be kept. It is smooth at 0. Where `|x|` nears the inverse of the
/// precision (10⁷ for `f32`), `1 - |y|` has few digits left; the derivative is then below 10⁻¹³.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Softsign;

impl Elementwise for Softsign {
    const NEEDS_INPUT: bool = false;

    #[inline(always)]
    fn f<F: Float>(&self, x: F) -> F {
        // Infinity over infinity would be NaN.
        let x = x.clamp(F::min_value(), F::max_value());
        x / (F::one() + x.abs())
    }

    #[inline(always)]
    fn df<F: Float>(&self, _x: F, y: F) -> F {
        let rest = F::one() - y.abs();
        rest * rest
    }

    fn formula(&self, x: &str) -> Formula {
        Formula::new(format!("{x} / (1 + |{x}|)"), format!("1 / (1 + |{x}|)² = (1 - |y|)²"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::check;

    #[test]
    fn gives_known_values_and_slopes() {
        let known: [(f64, f64, f64); 3] =
            [(-2.0, -2.0 / 3.0, 1.0 / 9.0), (-0.5, -1.0 / 3.0, 4.0 / 9.0), (1.5, 0.6, 0.16)];
        for (x, y, slope) in known {
            assert!((Softsign.f(x) - y).abs() < 1e-15);
            assert!((Softsign.df(x, y) - slope).abs() < 1e-15);
        }
    }

    #[test]
    fn is_one_at_infinity() {
        assert_eq!([f64::NEG_INFINITY, f64::INFINITY].map(|x| Softsign.f(x)), [-1.0, 1.0]);
    }

    #[test]
    fn derivative_is_the_slope() {
        check::derivative(&Softsign);
    }

    #[test]
    fn extremes_are_finite() {
        check::extremes(&Softsign);
    }
}
