//! Squared error for small errors, absolute error for large ones.

use crate::{Float, Formula, Pointwise};

/// With `e = y - t`: `e²/2` for `|e| < 1` and `|e| - 1/2` else, meaned over samples and outputs (Huber, 1964, with his
/// threshold, PyTorch's `delta`, at 1). Here the factor 1/2 stays: it makes the two pieces meet with slope 1.
///
/// # Derivation
/// ```text
/// d/dy = e                                  for |e| < 1
///      = sign(e)                            else
/// ```
/// which is `e` cut off at -1 and 1, without a jump: no outlier pulls harder than an error of 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Huber;

impl Pointwise for Huber {
    #[inline(always)]
    fn value<F: Float>(&self, y: F, t: F) -> F {
        let error = (y - t).abs();
        let half = F::of(0.5);
        if error < F::one() { half * error * error } else { error - half }
    }

    #[inline(always)]
    fn derivative<F: Float>(&self, y: F, t: F) -> F {
        (y - t).clamp(-F::one(), F::one())
    }

    fn formula(&self) -> Formula {
        Formula::new("(y - t)²/2 if |y - t| < 1, else |y - t| - 1/2", "y - t cut off at -1 and 1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::check;

    #[test]
    fn is_square_then_straight() {
        assert_eq!([1.5, 0.0, 1.0, -2.0].map(|y| Huber.value(y, 1.0)), [0.125, 0.5, 0.0, 2.5]);
        assert_eq!([1.5, 0.0, 1.0, -2.0].map(|y| Huber.derivative(y, 1.0)), [0.5, -1.0, 0.0, -1.0]);
    }

    #[test]
    fn pieces_meet_in_value_and_slope() {
        let (inside, outside) = (1.0 - 1e-9f64, 1.0 + 1e-9);
        assert!((Huber.value(inside, 0.0) - Huber.value(outside, 0.0)).abs() < 3e-9);
        assert!((Huber.derivative(inside, 0.0) - Huber.derivative(outside, 0.0)).abs() < 2e-9);
    }

    #[test]
    fn derivative_is_the_slope() {
        check::derivative(&Huber, &[-2.0, -0.4, 0.3, 1.7], &[-1.1, 0.0, 0.5, 2.0]);
    }

    #[test]
    fn huge_errors_give_numbers() {
        for y in [-1e38f32, 1e38] {
            assert_eq!((Huber.value(y, -y), Huber.derivative(y, -y)), (2e38, y.signum()));
        }
    }
}
