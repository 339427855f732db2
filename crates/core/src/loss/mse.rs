//! Squared error, the notebook's loss.

use crate::{Float, Formula, Pointwise};

/// `(y - t)²`, meaned over samples and outputs: `L = 1/(N K) Σ (y - t)²`. No factor 1/2.
///
/// # Derivation
/// `d/dy (y - t)² = 2 (y - t)`: the notebook's `-2 (y_true - y_pred)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mse;

impl Pointwise for Mse {
    #[inline(always)]
    fn value<F: Float>(&self, y: F, t: F) -> F {
        let error = y - t;
        error * error
    }

    #[inline(always)]
    fn derivative<F: Float>(&self, y: F, t: F) -> F {
        (y - t) + (y - t)
    }

    /// The scale doubled in place of the derivative: the same number, and the doubled scale is known before `y` is.
    #[inline(always)]
    fn scaled_derivative<F: Float>(&self, scale: F, y: F, t: F) -> F {
        (scale + scale) * (y - t)
    }

    fn formula(&self) -> Formula {
        Formula::new("(y - t)²", "2 (y - t)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::check;

    #[test]
    fn is_the_squared_distance() {
        assert_eq!(Pointwise::value(&Mse, 3.0, 1.0), 4.0);
        assert_eq!(Pointwise::derivative(&Mse, 3.0, 1.0), 4.0);
    }

    #[test]
    fn derivative_is_the_slope() {
        check::derivative(&Mse, &[-2.0, -0.4, 0.3, 1.7], &[-1.0, 0.0, 0.5, 2.0]);
    }
}
