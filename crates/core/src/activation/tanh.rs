//! The hyperbolic tangent.

use crate::elementary::tanh;
use crate::{Elementwise, Float, Formula};

/// `y = tanh(x) = (exp(x) - exp(-x)) / (exp(x) + exp(-x))`, a sigmoid with outputs in (-1, 1) around 0
/// (LeCun, Bottou, Orr & Müller, 1998).
///
/// # Derivation
/// With `s = exp(x) - exp(-x)` and `c = exp(x) + exp(-x)`, so that `ds/dx = c` and `dc/dx = s`:
/// ```text
/// dy/dx = (c c - s s) / c²                  quotient rule
///       = 1 - y²                            as y = s/c
/// ```
/// The derivative needs `y` alone, so `x` need not be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tanh;

impl Elementwise for Tanh {
    const NEEDS_INPUT: bool = false;

    #[inline(always)]
    fn f<F: Float>(&self, x: F) -> F {
        tanh(x)
    }

    #[inline(always)]
    fn df<F: Float>(&self, _x: F, y: F) -> F {
        F::one() - y * y
    }

    fn formula(&self, x: &str) -> Formula {
        Formula::new(format!("tanh({x})"), "1 - y²")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::check;

    #[test]
    fn gives_known_values_and_slopes() {
        let known: [(f64, f64, f64); 3] = [
            (-2.0, -0.9640275800758169, 0.07065082485316447),
            (-0.5, -0.46211715726000974, 0.7864477329659274),
            (1.5, 0.9051482536448664, 0.18070663892364852),
        ];
        for (x, y, slope) in known {
            assert!((Tanh.f(x) - y).abs() < 1e-15);
            assert!((Tanh.df(x, y) - slope).abs() < 1e-15);
        }
    }

    #[test]
    fn derivative_is_the_slope() {
        check::derivative(&Tanh);
    }

    #[test]
    fn extremes_are_finite() {
        check::extremes(&Tanh);
    }
}
