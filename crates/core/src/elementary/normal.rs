//! The normal distribution.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::{exp, polynomial};
use crate::Float;

/// `1/√(2π)`, as `2/√π · 1/√2 · 1/2`.
const HEIGHT: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * 0.5;

/// `Φ(x)`, the share of standard normal numbers below `x`, and `φ(x) = dΦ/dx = exp(-x²/2) / √(2π)`; both within two
/// spacings of the numbers at 1. Below 0 the error of `Φ` is also at most `x² + 4` ulp, so its tail keeps digits that
/// `(1 + erf(x/√2)) / 2` loses.
///
/// # Derivation
/// `Φ(-a) = φ(a) R(a)` for `a ≥ 0` with Mills' ratio `R`, which falls slowly, like `1/a`. With
/// ```text
/// t = 1 / (1 + p a),    Φ(-a) = exp(-a²/2) · t · q(2 t - 1)
/// ```
/// `q` is smooth on the whole half-line, which `t` makes an interval (Shepherd & Laframboise, 1981, who do so for
/// `exp(x²) erfc(x)`). It is the polynomial through `q` at the Chebyshev points of that interval, computed with 45
/// digits from `erfc`: degree 9, relative error 1.3·10⁻⁸, for `p = 1/4` and `a ≤ 14.5` (f32); degree 22,
/// 1.2·10⁻¹⁷, for `p = 1/5` and `a ≤ 39` (f64). Beyond, `Φ(-a)` is 0 to the last bit. Above 0, `Φ(a) = 1 - Φ(-a)`.
#[inline(always)]
pub fn normal<F: Float>(x: F) -> (F, F) {
    let a = x.abs();
    let a = if a > F::NORMAL_MAX { F::NORMAL_MAX } else { a };
    let e = exp(F::of(-0.5) * (a * a));
    let t = F::one() / F::NORMAL_SLOPE.mul_add(a, F::one());
    let tail = e * (t * polynomial(t + t - F::one(), F::NORMAL_TAIL));
    (if x < F::zero() { tail } else { F::one() - tail }, e * F::of(HEIGHT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(x: f64) -> f64 {
        0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
    }

    fn check<F: Float>() {
        let epsilon = F::epsilon().as_f64();
        for i in -400_000..=100_000 {
            let x = F::of(f64::from(i) / 10_000.0);
            let (share, density) = normal(x);
            let x = x.as_f64();
            let expected = truth(x);
            assert!((share.as_f64() - expected).abs() <= 2.0 * epsilon, "{x}: {share} against {expected}");
            // `erfc` of a rounded argument is off by x² half ulp itself.
            let relative = (share.as_f64() - expected).abs() / expected;
            let is_normal = expected > F::min_positive_value().as_f64();
            assert!(
                !is_normal || relative <= (2.0 * x * x + 4.0) * epsilon,
                "{x}: {share} against {expected}"
            );
            let expected = HEIGHT * (-0.5 * x * x).exp();
            assert!((density.as_f64() - expected).abs() <= epsilon, "{x}: {density} against {expected}");
        }
    }

    #[test]
    fn is_near_the_error_function() {
        check::<f32>();
        check::<f64>();
    }

    #[test]
    fn is_zero_and_one_far_out() {
        fn one<F: Float>() {
            assert_eq!(normal(F::neg_infinity()), (F::zero(), F::zero()));
            assert_eq!(normal(F::infinity()), (F::one(), F::zero()));
            assert!(normal(F::nan()).0.is_nan() && normal(F::nan()).1.is_nan());
        }
        one::<f32>();
        one::<f64>();
    }
}
