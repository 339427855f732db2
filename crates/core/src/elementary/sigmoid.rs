//! The logistic function.

use super::exp::exp_of_negative;
use crate::Float;

/// `1 / (1 + exp(-x))`, within 2 ulp of the true number.
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
/// `e` comes as a product with a power of two, which is 1 unless `e` is so small that `1 + e` is 1 with and without it.
#[inline(always)]
pub fn sigmoid<F: Float>(x: F) -> F {
    let (e, power) = exp_of_negative(-x.abs());
    let is_negative = x < F::zero();
    let select = |negative: F, positive: F| if is_negative { negative } else { positive };
    let quotient = select(e, F::one()) / (F::one() + e);
    let e = e * power;
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
    fn is_within_two_ulp() {
        let (worst, at) = worst_f32(sigmoid, truth_f64, |_| true);
        assert!(worst <= 2.0, "{worst} ulp at {at}");
        let (worst, at) = worst_f64(sigmoid, truth, [-700.0, 100.0]);
        assert!(worst <= 2.0, "{worst} ulp at {at}");
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
