//! Absolute error.

use crate::{Float, Formula, Pointwise};

/// `|y - t|`, meaned over samples and outputs: the distance whose best constant is the median (Laplace, 1774), so that
/// outliers weigh as much as anything.
///
/// # Derivation
/// ```text
/// d/dy |y - t| = sign(y - t)
/// ```
/// At the kink, `y = t`, every number from -1 to 1 is a subgradient; as in PyTorch it is 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mae;

impl Pointwise for Mae {
    #[inline(always)]
    fn value<F: Float>(&self, y: F, t: F) -> F {
        (y - t).abs()
    }

    #[inline(always)]
    fn derivative<F: Float>(&self, y: F, t: F) -> F {
        let error = y - t;
        // The sign of a floating-point zero is ±1.
        if error == F::zero() { F::zero() } else { error.signum() }
    }

    fn formula(&self) -> Formula {
        Formula::new("|y - t|", "sign(y - t)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::check;

    #[test]
    fn is_the_distance() {
        assert_eq!([3.0, 1.0, -0.5].map(|y| Mae.value(y, 1.0)), [2.0, 0.0, 1.5]);
        assert_eq!([3.0, 1.0, -0.5].map(|y| Mae.derivative(y, 1.0)), [1.0, 0.0, -1.0]);
    }

    #[test]
    fn derivative_is_the_slope() {
        check::derivative(&Mae, &[-2.0, -0.4, 0.3, 1.7], &[-1.0, 0.0, 0.5, 2.0]);
    }

    #[test]
    fn huge_errors_give_numbers() {
        for y in [-1e38f32, 1e38] {
            assert_eq!((Mae.value(y, -y), Mae.derivative(y, -y)), (2e38, y.signum()));
        }
    }
}
