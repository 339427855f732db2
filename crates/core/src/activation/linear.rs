//! The identity.

use crate::{Elementwise, Float, Formula};

/// `y = x`, for layers whose output is used as it is.
///
/// # Derivation
/// `dy/dx = 1`. The compiler removes both loops.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Linear;

impl Elementwise for Linear {
    const NEEDS_INPUT: bool = false;

    #[inline(always)]
    fn f<F: Float>(&self, x: F) -> F {
        x
    }

    #[inline(always)]
    fn df<F: Float>(&self, _x: F, _y: F) -> F {
        F::one()
    }

    fn formula(&self, x: &str) -> Formula {
        Formula::new(x, "1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::check;

    #[test]
    fn derivative_is_the_slope() {
        check::derivative(&Linear);
    }
}
