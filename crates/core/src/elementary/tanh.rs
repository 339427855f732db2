//! The hyperbolic tangent.

use super::exp_m1;
use crate::Float;

/// From here on `tanh` is taken from a growing exponential, below from a falling one.
const SWITCH: f64 = 0.25;

/// `tanh(x)`, within 2 ulp of the true number, with the sign of `x` also at 0.
///
/// # Derivation
/// With `u = exp(±2|x|) - 1`, of either sign:
/// ```text
/// tanh|x| = (exp(2|x|) - 1) / (exp(2|x|) + 1) = |u| / (2 + u)
/// ```
/// Nothing cancels. Near 0 the falling exponential is better, as `2 + u` is below 2, where numbers lie half as far apart
/// as above. Far out it is the growing one, as the error of a large `u` cancels in the quotient; `|x|` is cut where that
/// has become 1, so `u` does not overflow.
#[inline(always)]
pub fn tanh<F: Float>(x: F) -> F {
    let a = x.abs();
    let a = if a > F::TANH_MAX { F::TANH_MAX } else { a };
    let u = exp_m1(if a > F::of(SWITCH) { a + a } else { F::of(-2.0) * a });
    (u / (F::of(2.0) + u)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elementary::reference::{Double, worst_f32, worst_f64};

    fn truth(x: f64) -> Double {
        let u = Double::exp_m1(2.0 * x.abs());
        let y = u.div(u.add(Double(2.0, 0.0)));
        if x < 0.0 { Double(-y.0, -y.1) } else { y }
    }

    #[test]
    fn is_within_two_ulp() {
        let (worst, at) = worst_f32(tanh, f64::tanh, |_| true);
        assert!(worst <= 2.0, "{worst} ulp at {at}");
        let (worst, at) = worst_f64(tanh, truth, [-25.0, 25.0]);
        assert!(worst <= 2.0, "{worst} ulp at {at}");
    }

    #[test]
    fn is_right_at_both_ends_and_keeps_signs() {
        fn one<F: Float>() {
            let y = [F::neg_infinity(), F::min_value(), F::max_value(), F::infinity()].map(tanh);
            assert_eq!(y, [-1.0, -1.0, 1.0, 1.0].map(F::of));
            assert!(tanh(-F::zero()).is_sign_negative() && tanh(F::zero()).is_sign_positive());
            assert!(tanh(F::nan()).is_nan());
        }
        one::<f32>();
        one::<f64>();
        for x in [5e-324, -1e-310, 1e-20] {
            assert_eq!(tanh(x), x);
        }
    }
}
