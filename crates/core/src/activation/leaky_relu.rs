//! The rectified linear unit with a leak.

use crate::{Elementwise, Float, Formula};

/// `y = x` for `x > 0` and `y = slope · x` else, so that a unit that is off still learns (Maas, Hannun & Ng, 2013).
///
/// # Derivation
/// ```text
/// dy/dx = 1 for x > 0,   slope for x < 0
/// ```
/// For `slope ≥ 0` and `x ≤ 0` also `y ≤ 0`, so `y > 0` exactly where `x > 0` and `x` need not be kept. A slope of 0
/// loses nothing either: it makes `y = 0`, where the derivative is the slope. A negative slope would give the same `y`
/// for two `x`, with two derivatives. As it makes a unit that is not monotone, which nobody asks of a leak, it is
/// refused rather than `x` kept for everyone. At the kink the derivative is the slope, as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeakyRelu {
    slope: f64,
}

impl LeakyRelu {
    /// A leak of the given slope, finite and at least 0.
    ///
    /// # Panics
    /// For any other slope.
    pub fn new(slope: f64) -> Self {
        assert!(slope >= 0.0 && slope.is_finite(), "a leak of slope {slope}");
        // No negative zero, which equals zero.
        Self { slope: slope + 0.0 }
    }
}

impl Default for LeakyRelu {
    fn default() -> Self {
        Self::new(0.01)
    }
}

impl Elementwise for LeakyRelu {
    const NEEDS_INPUT: bool = false;

    #[inline(always)]
    fn f<F: Float>(&self, x: F) -> F {
        // Minus infinity times a slope of 0 would be NaN.
        let x = x.clamp(F::min_value(), F::infinity());
        let leak = x * F::of(self.slope);
        if x > F::zero() { x } else { leak }
    }

    #[inline(always)]
    fn df<F: Float>(&self, _x: F, y: F) -> F {
        let slope = F::of(self.slope);
        if y > F::zero() { F::one() } else { slope }
    }

    fn formula(&self, x: &str) -> Formula {
        let slope = self.slope;
        Formula::new(format!("{x} if {x} > 0, else {slope} {x}"), format!("1 if {x} > 0, else {slope}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::check;

    #[test]
    fn leaks_what_is_negative() {
        let leaky = LeakyRelu::default();
        assert_eq!([-2.0, -0.5, 0.0, 1.5].map(|x| leaky.f(x)), [-0.02, -0.005, 0.0, 1.5]);
    }

    #[test]
    fn slope_at_the_kink_is_the_leak() {
        let leaky = LeakyRelu::new(0.25);
        assert_eq!([-0.0, 0.0].map(|x| leaky.df(f64::NAN, leaky.f(x))), [0.25, 0.25]);
    }

    #[test]
    fn is_a_number_at_infinity() {
        assert_eq!(
            [f64::NEG_INFINITY, f64::INFINITY].map(|x| LeakyRelu::new(0.0).f(x)),
            [0.0, f64::INFINITY]
        );
    }

    #[test]
    fn derivative_is_the_slope() {
        for slope in [0.0, 0.01, 0.3, 1.0, 2.5] {
            check::derivative(&LeakyRelu::new(slope));
        }
    }

    #[test]
    fn extremes_are_finite() {
        check::extremes(&LeakyRelu::default());
        check::extremes(&LeakyRelu::new(0.0));
    }

    #[test]
    #[should_panic(expected = "a leak of slope -0.1")]
    fn refuses_a_negative_slope() {
        let _ = LeakyRelu::new(-0.1);
    }
}
