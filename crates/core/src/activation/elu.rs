//! The exponential linear unit.

use crate::elementary::exp_m1;
use crate::{Elementwise, Float, Formula};

/// `y = x` for `x > 0` and `y = slope · (exp(x) - 1)` else (Clevert, Unterthiner & Hochreiter, 2016), with `slope`
/// their α: the derivative just below 0, and minus the limit for large negative `x`.
///
/// # Derivation
/// ```text
/// dy/dx = 1                                 for x > 0
///       = slope · exp(x) = y + slope        for x < 0
/// ```
/// For `slope ≥ 0` and `x ≤ 0` also `y ≤ 0`, so `y` says which side it is and `x` need not be kept. A negative slope
/// would give the same `y` for two `x`, with two derivatives, and is refused. At 0 the derivative is the slope, as in
/// PyTorch; with a slope of 1 there is no kink.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elu {
    slope: f64,
}

impl Elu {
    /// A unit of the given slope, finite and at least 0.
    ///
    /// # Panics
    /// For any other slope.
    pub fn new(slope: f64) -> Self {
        assert!(slope >= 0.0 && slope.is_finite(), "an exponential unit of slope {slope}");
        // No negative zero, which equals zero.
        Self { slope: slope + 0.0 }
    }
}

impl Default for Elu {
    fn default() -> Self {
        Self::new(1.0)
    }
}

impl Elementwise for Elu {
    const NEEDS_INPUT: bool = false;

    #[inline(always)]
    fn f<F: Float>(&self, x: F) -> F {
        let falling = F::of(self.slope) * exp_m1(x);
        if x > F::zero() { x } else { falling }
    }

    #[inline(always)]
    fn df<F: Float>(&self, _x: F, y: F) -> F {
        let falling = y + F::of(self.slope);
        if y > F::zero() { F::one() } else { falling }
    }

    fn formula(&self, x: &str) -> Formula {
        let slope = self.slope;
        Formula::new(
            format!("{x} if {x} > 0, else {slope} (exp({x}) - 1)"),
            format!("1 if {x} > 0, else y + {slope}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::check;

    #[test]
    fn gives_known_values_and_slopes() {
        let known: [(f64, f64, f64); 3] = [
            (-2.0, -0.8646647167633873, 0.1353352832366127),
            (-0.5, -0.3934693402873666, 0.6065306597126334),
            (1.5, 1.5, 1.0),
        ];
        for (x, y, slope) in known {
            assert!((Elu::default().f(x) - y).abs() < 1e-15);
            assert!((Elu::default().df(x, y) - slope).abs() < 1e-15);
        }
    }

    #[test]
    fn slope_at_the_kink_is_that_below() {
        let elu = Elu::new(0.3);
        assert_eq!([-0.0, 0.0].map(|x| elu.df(f64::NAN, elu.f(x))), [0.3, 0.3]);
    }

    #[test]
    fn derivative_is_the_slope() {
        for slope in [0.0, 0.3, 1.0, 2.5] {
            check::derivative(&Elu::new(slope));
        }
    }

    #[test]
    fn extremes_are_finite() {
        check::extremes(&Elu::default());
        check::extremes(&Elu::new(0.0));
    }

    #[test]
    #[should_panic(expected = "slope -1")]
    fn refuses_a_negative_slope() {
        let _ = Elu::new(-1.0);
    }
}
