//! The sigmoid linear unit, also known as swish.

use crate::elementary::sigmoid;
use crate::{Elementwise, Float, Formula};

/// Beyond ±1000 the sigmoid is 0 or 1 to the last bit, in either precision. Clamping there keeps infinity from meeting
/// 0 in a product.
const SATURATED: f64 = 1000.0;

/// `y = x σ(x)`, with `σ(x) = 1 / (1 + exp(-x))` (Elfwing, Uchibe & Doya, 2018).
///
/// # Derivation
/// As `dσ/dx = σ (1 - σ)` (see [`Sigmoid`](super::Sigmoid)):
/// ```text
/// dy/dx = σ + x σ (1 - σ)                   product rule
///       = σ (1 + x (1 - σ))
/// ```
/// `y` falls to -0.28 near `x = -1.28` and rises again below: two `x` share a `y`, so `x` is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Silu;

impl Elementwise for Silu {
    const NEEDS_INPUT: bool = true;

    #[inline(always)]
    fn f<F: Float>(&self, x: F) -> F {
        let x = x.clamp(F::of(-SATURATED), F::infinity());
        x * sigmoid(x)
    }

    #[inline(always)]
    fn df<F: Float>(&self, x: F, _y: F) -> F {
        let x = x.clamp(F::of(-SATURATED), F::of(SATURATED));
        let sigma = sigmoid(x);
        sigma * (F::one() + x * (F::one() - sigma))
    }

    fn formula(&self, x: &str) -> Formula {
        Formula::new(
            format!("{x} σ({x}),  σ(v) = 1 / (1 + exp(-v))"),
            format!("σ({x}) (1 + {x} (1 - σ({x})))"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::check;

    #[test]
    fn gives_known_values_and_slopes() {
        let known: [(f64, f64, f64); 3] = [
            (-2.0, -0.23840584404423512, -0.09078424878489548),
            (-0.5, -0.18877033439907273, 0.2600388126973482),
            (1.5, 1.2263617142904655, 1.041294154299143),
        ];
        for (x, y, slope) in known {
            assert!((Silu.f(x) - y).abs() < 1e-15);
            assert!((Silu.df(x, y) - slope).abs() < 1e-15);
        }
    }

    #[test]
    fn is_zero_and_one_at_infinity() {
        assert_eq!([f64::NEG_INFINITY, f64::INFINITY].map(|x| Silu.f(x)), [0.0, f64::INFINITY]);
        assert_eq!([f32::NEG_INFINITY, f32::INFINITY].map(|x| Silu.df(x, f32::NAN)), [0.0, 1.0]);
    }

    #[test]
    fn derivative_is_the_slope() {
        check::derivative(&Silu);
    }

    #[test]
    fn extremes_are_finite() {
        check::extremes(&Silu);
    }
}
