//! The Gaussian error linear unit, exact and approximate.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use crate::elementary::{normal, sigmoid};
use crate::{Elementwise, Float, Formula};

/// Beyond ±100 the normal distribution and both its approximations are 0 and 1 to the last bit, in either precision.
/// Clamping there keeps infinity from meeting 0 in a product.
const SATURATED: f64 = 100.0;

/// `y = x Φ(x)`, with Φ the distribution function of the standard normal (Hendrycks & Gimpel, 2016): `x` times the
/// share of normal numbers below it.
///
/// # Derivation
/// Exactly, with the density `φ(x) = dΦ/dx = exp(-x²/2) / √(2π)`:
/// ```text
/// Φ(x)  = (1 + erf(x/√2)) / 2
/// dy/dx = Φ(x) + x φ(x)                     product rule
/// ```
/// Approximately, without the error function, with `t = tanh(u)` and `u = √(2/π) (x + 0.044715 x³)`:
/// ```text
/// Φ(x)  ≈ (1 + t) / 2
/// dy/dx = (1 + t) / 2 + x/2 · (1 - t²) · du/dx,     du/dx = √(2/π) (1 + 3 · 0.044715 x²)
/// ```
/// `y` falls to -0.17 near `x = -0.75` and rises again below: two `x` share a `y`, so `x` is kept.
///
/// Both shares of normal numbers are computed from their small side, so they keep their digits far below 0, where `1 +
/// erf` and `1 + t` lose them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gelu;

/// The approximation of [`Gelu`] by a hyperbolic tangent, off by less than 0.0005: what GPT-2 and BERT were trained with.
///
/// A type of its own, as a choice within the loop over a buffer would keep that from running in vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GeluTanh;

impl Gelu {
    /// The function itself.
    pub fn exact() -> Self {
        Self
    }

    /// Its approximation.
    pub fn tanh() -> GeluTanh {
        GeluTanh
    }
}

/// `√(2/π)`, as `2/√π · 1/√2`.
const SQRT_2_PI: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
const CUBIC: f64 = 0.044715;

/// `Φ` of the approximation: `(1 + tanh u) / 2 = 1 / (1 + exp(-2 u))` keeps the digits of small numbers.
#[inline(always)]
fn approximation<F: Float>(x: F) -> F {
    sigmoid(F::of(2.0 * SQRT_2_PI) * (x + F::of(CUBIC) * x * x * x))
}

impl Elementwise for Gelu {
    const NEEDS_INPUT: bool = true;

    #[inline(always)]
    fn f<F: Float>(&self, x: F) -> F {
        let x = x.clamp(F::of(-SATURATED), F::infinity());
        x * normal(x).0
    }

    #[inline(always)]
    fn df<F: Float>(&self, x: F, _y: F) -> F {
        let x = x.clamp(F::of(-SATURATED), F::of(SATURATED));
        let (share, density) = normal(x);
        share + x * density
    }

    fn formula(&self, x: &str) -> Formula {
        Formula::new(
            format!("{x} Φ({x}),  Φ(v) = (1 + erf(v/√2)) / 2"),
            format!("Φ({x}) + {x} exp(-{x}²/2) / √(2π)"),
        )
    }
}

impl Elementwise for GeluTanh {
    const NEEDS_INPUT: bool = true;

    #[inline(always)]
    fn f<F: Float>(&self, x: F) -> F {
        let x = x.clamp(F::of(-SATURATED), F::infinity());
        x * approximation(x)
    }

    #[inline(always)]
    fn df<F: Float>(&self, x: F, _y: F) -> F {
        let x = x.clamp(F::of(-SATURATED), F::of(SATURATED));
        // 1 - t² is four times σ (1 - σ).
        let sigma = approximation(x);
        let du = F::of(SQRT_2_PI) * (F::one() + F::of(3.0 * CUBIC) * x * x);
        sigma + F::of(2.0) * x * (sigma * (F::one() - sigma)) * du
    }

    fn formula(&self, x: &str) -> Formula {
        Formula::new(
            format!("{x} (1 + s) / 2,  s = tanh(√(2/π) ({x} + {CUBIC} {x}³))"),
            format!("(1 + s) / 2 + {x}/2 (1 - s²) √(2/π) (1 + 3 · {CUBIC} {x}²)"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::check;

    fn assert_known(gelu: impl Elementwise, known: [(f64, f64, f64); 3]) {
        for (x, y, slope) in known {
            assert!((gelu.f(x) - y).abs() < 1e-15, "{gelu:?} at {x}");
            assert!((gelu.df(x, y) - slope).abs() < 1e-15, "{gelu:?} at {x}");
        }
    }

    #[test]
    fn exact_gives_known_values_and_slopes() {
        let known = [
            (-2.0, -0.04550026389635842, -0.0852318010781969),
            (-0.5, -0.15426876936299344, 0.13250487534383715),
            (1.5, 1.399789198096713, 1.1274691922299795),
        ];
        assert_known(Gelu::exact(), known);
    }

    #[test]
    fn tanh_gives_known_values_and_slopes() {
        let known = [
            (-2.0, -0.04540230591222498, -0.08609925662361838),
            (-0.5, -0.15428599017485609, 0.1326300964653577),
            (1.5, 1.3995715769802328, 1.1277107931514332),
        ];
        assert_known(Gelu::tanh(), known);
    }

    #[test]
    fn approximation_is_as_near_as_it_says() {
        for i in -8000..=8000 {
            let x = f64::from(i) / 1000.0;
            assert!((Gelu::tanh().f(x) - Gelu::exact().f(x)).abs() < 5e-4, "at {x}");
        }
    }

    #[test]
    fn is_zero_and_one_at_infinity() {
        fn one(gelu: impl Elementwise) {
            assert_eq!([f64::NEG_INFINITY, f64::INFINITY].map(|x| gelu.f(x)), [0.0, f64::INFINITY]);
            assert_eq!([f32::NEG_INFINITY, f32::INFINITY].map(|x| gelu.df(x, f32::NAN)), [0.0, 1.0]);
        }
        one(Gelu::exact());
        one(Gelu::tanh());
    }

    #[test]
    fn both_are_within_four_spacings_of_the_error_function_and_the_tangent() {
        fn one<F: Float>(i: i32) {
            let x = F::of(f64::from(i) / 1000.0);
            let wide = x.as_f64();
            let exact = wide * 0.5 * libm::erfc(-wide * FRAC_1_SQRT_2);
            let t = (SQRT_2_PI * (wide + CUBIC * wide * wide * wide)).tanh();
            let bound = 4.0 * F::epsilon().as_f64() * wide.abs().max(1.0);
            assert!((Gelu::exact().f(x).as_f64() - exact).abs() <= bound, "{x}");
            assert!((Gelu::tanh().f(x).as_f64() - wide * (0.5 * (1.0 + t))).abs() <= bound, "{x}");
        }
        for i in -20_000..=20_000 {
            one::<f32>(i);
            one::<f64>(i);
        }
    }

    #[test]
    fn derivative_is_the_slope() {
        check::derivative(&Gelu::exact());
        check::derivative(&Gelu::tanh());
    }

    #[test]
    fn extremes_are_finite() {
        check::extremes(&Gelu::exact());
        check::extremes(&Gelu::tanh());
    }
}
