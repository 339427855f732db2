//! The exponential function, and what it lacks to 1.

use super::{four, polynomial_of};
use crate::Float;

/// `x` as `k log 2 + high - low`, of which `r = high - low` is at most `log 2 / 2` or hardly more.
struct Reduced<F> {
    /// `k`, a whole number.
    k: F,
    /// `x - k log 2` but for what the number for log 2 lacks: exact.
    high: F,
    /// `k` times that.
    low: F,
}

impl<F: Float> Reduced<F> {
    /// `x - k log 2`, rounded.
    #[inline(always)]
    fn r(&self) -> F {
        self.high - self.low
    }
}

/// The reduction that all functions share, for an `x` within the range of `exp`.
#[inline(always)]
fn reduce<F: Float>(x: F) -> Reduced<F> {
    let k = x.mul_add(F::INVERSE_LN_2, F::ROUNDER) - F::ROUNDER;
    Reduced { k, high: (-k).mul_add(F::LN_2_HIGH, x), low: k * F::LN_2_LOW }
}

/// `start + r² (1/2! + r/3! + r²/4! + …)`, which is `exp(r) - 1` if it starts with `r`.
///
/// The first four terms (Estrin, 1960) are added while the rest is still computed, which comes in by one more step: a number
/// that waits for this one waits for a third less than by Horner's rule in `r⁴`.
#[inline(always)]
fn small_terms<F: Float>(r: F, start: F) -> F {
    let r2 = r * r;
    let r4 = r2 * r2;
    let (first, rest) = F::EXP_SERIES.split_at(4);
    let sum = r2.mul_add(four(r, r2, first), start);
    (r2 * r4).mul_add(polynomial_of((r, r2, r4), rest), sum)
}

/// `2^k`, for the exponent of a normal number.
#[inline(always)]
fn power_of_two<F: Float>(k: F) -> F {
    F::power_of_two(k + F::ROUNDER)
}

/// `x`, or `min` if it is below; NaN stays NaN.
#[inline(always)]
fn at_least<F: Float>(x: F, min: F) -> F {
    if x < min { min } else { x }
}

/// `x`, or `max` if it is above; NaN stays NaN.
#[inline(always)]
fn at_most<F: Float>(x: F, max: F) -> F {
    if x > max { max } else { x }
}

/// `exp(x)`, within 1 ulp of the true number in either precision: 0 below the range of the type, infinity above, with
/// the numbers between 0 and the smallest normal one.
///
/// # Derivation
/// With `k` the whole number nearest to `x / log 2`, and `r = x - k log 2`, which is at most `log 2 / 2 = 0.347`:
/// ```text
/// exp(x) = 2^k exp(r),     exp(r) = 1 + r + r² (1/2! + r/3! + r²/4! + …)
/// ```
/// The series is cut after `r^7/7!` (f32; the next term is 5·10⁻⁹) or `r^13/13!` (f64; 4·10⁻¹⁸), 1/12 and 1/27 of half
/// an ulp.
///
/// `log 2` is the sum of two constants (Cody & Waite, 1980), the number nearest to it and the rest, and `r = high - low`:
/// `high = x - k · first` is one fused step, and exact: for `k = 0` it is `x`; else `|x| > 1/4`, so `x` and the product are
/// multiples of half an ulp of the first, and their difference is below 1/2: it has no more bits than a number has.
/// `s = 1 + high` loses the low bits of `high`; they are `high - (s - 1)`, exactly, as `1 > |high|` (Dekker, 1971). These and
/// `-low` are what the small terms are added to. So the sum is rounded once beside errors of a smaller order.
///
/// `2^k` overflows where `2^k exp(r)` does not yet, and the result may lie below the normal numbers. So it is
/// multiplied by two halves of the power, of which only the second can round: the first is multiplied into both terms of
/// the sum, without any error.
#[inline(always)]
pub fn exp<F: Float>(x: F) -> F {
    let (min, max) = F::EXP_RANGE;
    let reduced = reduce(at_most(at_least(x, min), max));
    let half = reduced.k.mul_add(F::of(0.5), F::ROUNDER) - F::ROUNDER;
    scaled_exp(&reduced, power_of_two(half)) * power_of_two(reduced.k - half)
}

/// What `exp(x)` for an `x` not above 0 is made of: `2^k (1 + near) exp(-low)`.
pub(super) struct Falling<F> {
    /// `exp(high) - 1`, rounded twice, and not waiting for `low`.
    pub(super) near: F,
    /// `k` times what the number for log 2 lacks: at most 3·10⁻⁷ (f32) or 3·10⁻¹⁴ (f64).
    pub(super) low: F,
    /// `2^k`, or the least of the normal powers that there is room below.
    pub(super) power: F,
    /// What `power` lacks to `2^k`: 1 but where the product lies below the normal numbers, or nearly. Whoever adds 1 need not
    /// wait for it.
    pub(super) rest: F,
}

/// The parts of `exp(x)` for an `x` not above 0.
#[inline(always)]
pub(super) fn exp_of_negative<F: Float>(x: F) -> Falling<F> {
    let Reduced { k, high, low } = reduce(at_least(x, F::EXP_RANGE.0));
    let normal = at_least(k, F::MIN_POWER);
    let near = small_terms(high, high);
    Falling { near, low, power: power_of_two(normal), rest: power_of_two(k - normal) }
}

/// `power · exp(r)`, rounded once.
#[inline(always)]
fn scaled_exp<F: Float>(reduced: &Reduced<F>, power: F) -> F {
    let sum = F::one() + reduced.high;
    let lost = reduced.high - (sum - F::one());
    small_terms(reduced.r(), lost - reduced.low).mul_add(power, sum * power)
}

/// `exp(x) - 1`, within 1.5 ulp of the true number, also near 0 where `exp(x)` is nearly 1.
///
/// # Derivation
/// As [`exp`], with `p = exp(r) - 1 = high + rest`:
/// ```text
/// exp(x) - 1 = 2^k (1 + p) - 1 = 2^k p + (2^k - 1) = 2 (h p + (h - 1/2)),     h = 2^k / 2
/// ```
/// For `k = 0` that is `p`, as precise as `x`. What the sum of `h - 1/2` and `h · high` loses is again added to the small
/// terms; the first is the larger, or 0. Half the power does not overflow where the result does not.
#[inline(always)]
pub fn exp_m1<F: Float>(x: F) -> F {
    let reduced = reduce(at_most(at_least(x, F::EXP_M1_MIN), F::EXP_RANGE.1));
    let h = power_of_two(reduced.k - F::one());
    let (whole, part) = (h - F::of(0.5), h * reduced.high);
    let sum = whole + part;
    let lost = part - (sum - whole);
    let rest = small_terms(reduced.r(), -reduced.low);
    let result = F::of(2.0) * (sum + h.mul_add(rest, lost));
    // Also the sign of zero.
    if x.abs() < F::TINY { x } else { result }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elementary::reference::{Double, worst_f32, worst_f64};

    #[test]
    fn exp_is_within_one_ulp() {
        let (worst, at) = worst_f32(exp, f64::exp, |_| true);
        assert!(worst <= 1.0, "{worst} ulp at {at}");
        let (worst, at) = worst_f64(exp, Double::exp, [-708.0, 709.5]);
        assert!(worst <= 1.0, "{worst} ulp at {at}");
    }

    #[test]
    fn exp_m1_is_within_one_and_a_half_ulp() {
        let (worst, at) = worst_f32(exp_m1, f64::exp_m1, |_| true);
        assert!(worst <= 1.5, "{worst} ulp at {at}");
        let (worst, at) = worst_f64(exp_m1, Double::exp_m1, [-45.0, 700.0]);
        assert!(worst <= 1.5, "{worst} ulp at {at}");
    }

    #[test]
    fn exp_is_right_where_numbers_run_out() {
        assert_eq!(
            [f32::NEG_INFINITY, -1e30, -104.0, 89.0, 1e30].map(exp),
            [0.0, 0.0, 0.0, f32::INFINITY, f32::INFINITY]
        );
        assert_eq!([f64::NEG_INFINITY, -1e300, -745.2, 709.8].map(exp), [0.0, 0.0, 0.0, f64::INFINITY]);
        assert_eq!([-0.0f32, 0.0].map(exp), [1.0; 2]);
        assert_eq!([-0.0f64, 0.0].map(exp), [1.0; 2]);
        // Below the normal numbers there are few bits to differ in.
        for i in 0..3000 {
            let x = -708.0 - f64::from(i) / 80.0;
            assert!(exp(x).to_bits().abs_diff(x.exp().to_bits()) <= 1, "{x}");
        }
        assert!(exp(f32::NAN).is_nan() && exp(f64::NAN).is_nan());
    }

    #[test]
    fn exp_m1_is_right_at_both_ends_and_at_zero() {
        assert_eq!([f64::NEG_INFINITY, -1e300, -50.0, 1e300].map(exp_m1), [-1.0, -1.0, -1.0, f64::INFINITY]);
        assert_eq!([f32::NEG_INFINITY, -1e30, -30.0, 1e30].map(exp_m1), [-1.0, -1.0, -1.0, f32::INFINITY]);
        for x in [-0.0f64, 0.0, 5e-324, -1e-310, 1e-20] {
            assert_eq!(exp_m1(x).to_bits(), x.to_bits());
        }
        assert!(exp_m1(f32::NAN).is_nan() && exp_m1(f64::NAN).is_nan());
    }

    #[test]
    fn exp_does_not_fall_where_k_changes() {
        for k in -140..128 {
            let seam = (k as f32 + 0.5) * std::f32::consts::LN_2;
            let mut last = 0.0;
            for step in -200..200 {
                let y = exp(f32::from_bits(seam.to_bits().wrapping_add_signed(if seam < 0.0 {
                    -step
                } else {
                    step
                })));
                assert!(y >= last, "{k}, {step}: {y} after {last}");
                last = y;
            }
        }
    }
}
