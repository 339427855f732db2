//! The tests that every elementwise activation shares.

use crate::{Elementwise, Float};

/// Points on both sides of every kink of the built-in functions, none on one.
const POINTS: [f64; 17] =
    [-8.0, -4.5, -3.2, -2.9, -2.0, -1.3, -1.01, -0.9, -0.3, 0.2, 0.7, 0.99, 1.1, 2.2, 2.8, 3.3, 6.0];

/// The derivative equals the central difference, at points away from kinks.
pub(crate) fn derivative<A: Elementwise>(activation: &A) {
    for x in POINTS {
        let h = 1e-5;
        let slope = (activation.f(x + h) - activation.f(x - h)) / (2.0 * h);
        let given = if A::NEEDS_INPUT { x } else { f64::NAN };
        let df = activation.df(given, activation.f(x));
        assert!(
            (df - slope).abs() <= 1e-9 * (1.0 + slope.abs()),
            "{activation:?} at {x}: {df} against {slope}"
        );
    }
}

/// Neither the function nor its derivative is NaN at huge inputs, in either precision.
pub(crate) fn extremes<A: Elementwise>(activation: &A) {
    fn one<F: Float, A: Elementwise>(activation: &A) {
        for x in [-3e38, -1e4, -750.0, -89.0, -0.0, 0.0, 89.0, 750.0, 1e4, 3e38] {
            let x = F::of(x);
            let y = activation.f(x);
            let df = activation.df(if A::NEEDS_INPUT { x } else { F::nan() }, y);
            assert!(y.is_finite() && df.is_finite(), "{activation:?} at {x}: {y}, slope {df}");
        }
    }
    one::<f32, A>(activation);
    one::<f64, A>(activation);
}
