//! The logarithm near 1.

use std::f64::consts::LN_2;

use super::polynomial;
use crate::Float;

/// `log(1 + x)` for `0 ≤ x ≤ 1`, such as `exp(-|z|)`, within 2 ulp of the true number.
///
/// # Derivation
/// ```text
/// log(1 + x) = 2 artanh(f) = 2 (f + f³/3 + f⁵/5 + …),     f = x / (2 + x)
/// ```
/// as `artanh(f) = log((1 + f) / (1 - f)) / 2`. Above 1/2 the same is done to `v = (x - 1) / 2`, as
/// `log(1 + x) = log 2 + log(1 + v)`; the difference is exact. So `f²` is at most 0.04, and the first term left out is, beside the
/// first, `f^14/15 = 1.1·10⁻¹¹` (f32) or `f^26/27 = 2.5·10⁻²⁰` (f64).
///
/// As `2 f = v - f v`, the sum is `v - f (v - 2 f² (1/3 + f²/5 + …))`, in which the rounded quotient stands in a small
/// term alone.
#[inline(always)]
pub fn log_1p_unit<F: Float>(x: F) -> F {
    let is_large = x > F::of(0.5);
    let v = if is_large { F::of(0.5) * (x - F::one()) } else { x };
    let f = v / (F::of(2.0) + v);
    let f2 = f * f;
    let log = (-f).mul_add((-(f2 + f2)).mul_add(polynomial(f2, F::ARTANH_SERIES), v), v);
    if is_large { F::of(LN_2) + log } else { log }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elementary::reference::{Double, worst_f32, worst_f64};

    #[test]
    fn is_within_two_ulp() {
        let (worst, at) = worst_f32(log_1p_unit, f64::ln_1p, |x| (0.0..=1.0).contains(&x));
        assert!(worst <= 2.0, "{worst} ulp at {at}");
        // The standard library's own error is below one ulp on every platform that it takes from a C library.
        let (worst, at) = worst_f64(log_1p_unit, |x| Double(x.ln_1p(), 0.0), [0.0, 1.0]);
        assert!(worst <= 1.5, "{worst} ulp at {at}");
        assert_eq!([0.0, 1.0, 5e-324].map(log_1p_unit), [0.0, LN_2, 5e-324]);
        assert!(log_1p_unit(f64::NAN).is_nan());
    }
}
