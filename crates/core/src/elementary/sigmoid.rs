//! The logistic function.

use super::exp::{Falling, exp_of_negative};
use crate::Float;

/// `1 / (1 + exp(-x))`, within 2 ulp of the true number in single precision and 2.2 in double, as measured.
///
/// # Derivation
/// With `e = exp(-|x|)`, which cannot overflow:
/// ```text
/// x ≥ 0:   1 / (1 + e)                                          = 0 + 1 q,   q = 1 / (1 + e)
/// x < 0:   1 / (1 + 1/e) = e / (1 + e) = e - e · e/(1 + e)      = e - e q,   q = e / (1 + e)
/// ```
/// The second keeps its precision down to the smallest numbers, where `exp(-x)` is infinite. Its last form has the rounded
/// quotient in the smaller term. So both are one division and one fused step, between numbers that the sign selects.
///
/// Who waits for a sigmoid waits for the quotient, so what it is made of is known early. `e = 2^k (1 + p) exp(-low)`; without
/// `low`, `e` and `1 + e` are one fused step each, the second rounded once but where `2^k` is half an ulp of 1:
/// ```text
/// e ≈ 2^k p + 2^k        1 + e ≈ 2^k p + (1 + 2^k)
/// ```
/// As `low` grows with `-k`, what that changes in `1 + e` is below 1/8 of an ulp, and `e` counts little where it is far off.
/// Only in front of the quotient `e` is what it should be, `2^k (1 + p - low (1 + p))`, computed meanwhile.
#[inline(always)]
pub fn sigmoid<F: Float>(x: F) -> F {
    let Falling { near, low, power, rest } = exp_of_negative(-x.abs());
    let is_negative = x < F::zero();
    let select = |negative: F, positive: F| if is_negative { negative } else { positive };
    let rough = near.mul_add(power, power);
    let quotient = select(rough, F::one()) / near.mul_add(power, F::one() + power);
    let e = (-low).mul_add(F::one() + near, near).mul_add(power, power) * rest;
    select(-e, F::one()).mul_add(quotient, select(e, F::zero()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elementary::reference::{Double, worst_f32, worst_f64};

    fn truth(x: f64) -> Double {
        let (one, e) = (Double(1.0, 0.0), Double::exp(-x.abs()));
        (if x < 0.0 { e } else { one }).div(one.add(e))
    }

    #[test]
    fn is_within_two_ulp_and_in_double_precision_two_and_a_fifth() {
        let (worst, at) = worst_f32(sigmoid, truth_f64, |_| true);
        assert!(worst <= 2.0, "{worst} ulp at {at}");
        // The second is where the errors are largest.
        for range in [[-700.0, 100.0], [-0.7, -0.34]] {
            let (worst, at) = worst_f64(sigmoid, truth, range);
            assert!(worst <= 2.2, "{worst} ulp at {at}");
        }
    }

    fn truth_f64(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    #[test]
    fn is_right_at_both_ends() {
        fn one<F: Float>() {
            let y =
                [F::neg_infinity(), F::min_value(), F::zero(), F::max_value(), F::infinity()].map(sigmoid);
            assert_eq!(y, [0.0, 0.0, 0.5, 1.0, 1.0].map(F::of));
            assert!(sigmoid(F::nan()).is_nan());
        }
        one::<f32>();
        one::<f64>();
    }
}
