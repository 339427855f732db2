//! The margin loss of support vector machines.

use crate::{Float, Formula, Pointwise};

/// `max(0, 1 - t y)` for a score `y` and a target `t` of -1 or +1, meaned over samples and outputs
/// (Cortes & Vapnik, 1995). What is right by a margin of 1 or more costs nothing.
///
/// # Derivation
/// ```text
/// d/dy = -t for t y < 1,   0 for t y > 1
/// ```
/// At the kink, `t y = 1`, every number between is a subgradient; it is 0: the margin is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hinge;

impl Pointwise for Hinge {
    #[inline(always)]
    fn value<F: Float>(&self, y: F, t: F) -> F {
        let lack = F::one() - t * y;
        // Not `max`, which would turn NaN into 0.
        if lack < F::zero() { F::zero() } else { lack }
    }

    #[inline(always)]
    fn derivative<F: Float>(&self, y: F, t: F) -> F {
        if t * y >= F::one() { F::zero() } else { -t }
    }

    fn formula(&self) -> Formula {
        Formula::new("max(0, 1 - t y)", "-t if t y < 1, else 0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::check;

    #[test]
    fn is_what_lacks_of_the_margin() {
        assert_eq!([-0.5, 0.25, 1.0, 3.0].map(|y| Hinge.value(y, 1.0)), [1.5, 0.75, 0.0, 0.0]);
        assert_eq!([-0.5, 0.25, 1.0, 3.0].map(|y| Hinge.derivative(y, 1.0)), [-1.0, -1.0, 0.0, 0.0]);
        assert_eq!((Hinge.value(0.25, -1.0), Hinge.derivative(0.25, -1.0)), (1.25, 1.0));
    }

    #[test]
    fn derivative_is_the_slope() {
        check::derivative(&Hinge, &[-2.0, -0.4, 0.3, 1.7], &[-1.0, 1.0]);
    }

    #[test]
    fn huge_scores_give_numbers() {
        for t in [-1f32, 1.0] {
            assert_eq!((Hinge.value(-t * 3e38, t), Hinge.derivative(-t * 3e38, t)), (3e38, -t));
            assert_eq!((Hinge.value(t * 3e38, t), Hinge.derivative(t * 3e38, t)), (0.0, 0.0));
        }
    }

    #[test]
    fn keeps_nan_visible() {
        assert!(Hinge.value(f64::NAN, 1.0).is_nan());
    }
}
