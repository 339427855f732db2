//! Cross-entropy of yes-or-no targets, against probabilities and against logits.

use crate::elementary::{exp, log_1p_unit, sigmoid};
use crate::{Float, Formula, Pointwise};

/// The least logarithm of a probability: PyTorch's.
const MIN_LOG: f64 = -100.0;

/// The least `y (1 - y)` that the derivative divides by: PyTorch's.
const MIN_VARIANCE: f64 = 1e-12;

/// `-(t log y + (1 - t) log(1 - y))` for a probability `y` and a target `t` from 0 to 1, meaned over samples and
/// outputs: minus the log-likelihood of `t` under a coin that shows 1 with probability `y` (Cox, 1958).
///
/// # Derivation
/// ```text
/// dl/dy = -t/y + (1 - t)/(1 - y)
///       = (-t (1 - y) + (1 - t) y) / (y (1 - y))
///       = (y - t) / (y (1 - y))
/// ```
/// A sigmoid rounds to exactly 0 or 1, where both are infinite. As in PyTorch the logarithms are at least -100 and the
/// denominator at least 10⁻¹². There the derivative is no longer that of the value, and the `y (1 - y)` of the sigmoid
/// below cancels it: such an output learns no more. [`BinaryCrossEntropyWithLogits`] has neither bound.
///
/// Numbers outside of 0 to 1 are no probabilities: the value is NaN.
#[derive(Clone, Copy, Debug, Default)]
pub struct BinaryCrossEntropy;

/// `log`, at least [`MIN_LOG`]. Not `max`, which would turn NaN into a bound.
#[inline(always)]
fn bounded<F: Float>(log: F) -> F {
    let min = F::of(MIN_LOG);
    if log < min { min } else { log }
}

impl Pointwise for BinaryCrossEntropy {
    #[inline(always)]
    fn value<F: Float>(&self, y: F, t: F) -> F {
        -(t * bounded(y.ln()) + (F::one() - t) * bounded((-y).ln_1p()))
    }

    #[inline(always)]
    fn derivative<F: Float>(&self, y: F, t: F) -> F {
        (y - t) / (y * (F::one() - y)).max(F::of(MIN_VARIANCE))
    }

    fn formula(&self) -> Formula {
        Formula::new("-(t log y + (1 - t) log(1 - y))", "(y - t) / (y (1 - y))")
    }
}

/// [`BinaryCrossEntropy`] of `y = σ(z) = 1 / (1 + exp(-z))` for a logit `z`, in one.
///
/// # Derivation
/// As `-log σ(z) = log(1 + exp(-z))` and `-log(1 - σ(z)) = log(1 + exp(z)) = z + log(1 + exp(-z))`,
/// ```text
/// l = t log(1 + exp(-z)) + (1 - t) (z + log(1 + exp(-z)))
///   = z - z t + log(1 + exp(-z))
///   = max(z, 0) - z t + log(1 + exp(-|z|))
/// ```
/// where the last step, for `z < 0`, is `log(1 + exp(-z)) = -z + log(1 + exp(z))`: no exponential exceeds 1. By the
/// chain rule the two derivatives cancel to what no rounding can spoil:
/// ```text
/// dl/dz = dl/dy · dy/dz = (y - t) / (y (1 - y)) · y (1 - y) = σ(z) - t
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct BinaryCrossEntropyWithLogits;

impl Pointwise for BinaryCrossEntropyWithLogits {
    #[inline(always)]
    fn value<F: Float>(&self, z: F, t: F) -> F {
        z.max(F::zero()) - z * t + log_1p_unit(exp(-z.abs()))
    }

    #[inline(always)]
    fn derivative<F: Float>(&self, z: F, t: F) -> F {
        sigmoid(z) - t
    }

    fn formula(&self) -> Formula {
        let value = "-(t log σ(y) + (1 - t) log(1 - σ(y))) = max(y, 0) - y t + log(1 + exp(-|y|))";
        Formula::new(value, "σ(y) - t,  σ(y) = 1 / (1 + exp(-y))")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Elementwise;
    use crate::activation::Sigmoid;
    use crate::loss::check;

    const TARGETS: [f64; 4] = [0.0, 0.25, 0.9, 1.0];

    #[test]
    fn gives_known_values_and_slopes() {
        let known = [(1.0f64, 0.22314355131420976, -1.25), (0.25, 1.2628643221541278, 3.4375)];
        for (t, value, slope) in known {
            assert!((BinaryCrossEntropy.value(0.8, t) - value).abs() < 1e-15);
            assert!((BinaryCrossEntropy.derivative(0.8, t) - slope).abs() < 1e-14);
        }
    }

    #[test]
    fn with_logits_gives_known_values_and_slopes() {
        let known = [(0.0f64, 2.1269280110429727), (0.25, 1.6269280110429725), (1.0, 0.1269280110429725)];
        for (t, value) in known {
            assert!((BinaryCrossEntropyWithLogits.value(2.0, t) - value).abs() < 1e-15);
            let slope = 0.8807970779778824 - t;
            assert!((BinaryCrossEntropyWithLogits.derivative(2.0, t) - slope).abs() < 1e-15);
        }
    }

    #[test]
    fn derivatives_are_the_slopes() {
        check::derivative(&BinaryCrossEntropy, &[0.03, 0.2, 0.5, 0.93], &TARGETS);
        check::derivative(&BinaryCrossEntropyWithLogits, &[-7.0, -0.8, 0.1, 3.0], &TARGETS);
    }

    /// A saturated sigmoid with the right target: the term is a negative zero.
    #[test]
    fn one_right_output_has_the_bits_of_many() {
        for y in [0.0, 1.0] {
            check::one_has_the_bits_of_many(&BinaryCrossEntropy, y, y);
        }
    }

    #[test]
    fn with_logits_equals_a_sigmoid_below() {
        for i in -200..=200 {
            let z = f64::from(i) / 10.0;
            let y = Sigmoid.f(z);
            // A sigmoid near 1 is off by up to 2⁻⁵⁴, of which `1 - y ≈ exp(-z)` makes a relative error of 2⁻⁵⁴ exp(z);
            // four times that is 5e-12 for |z| ≤ 10, 7e-10 for 15 and 1.1e-7 for 20.
            let tolerance = 1e-14 + f64::EPSILON * z.abs().exp();
            for t in TARGETS {
                let composed = BinaryCrossEntropy.value(y, t);
                let value = BinaryCrossEntropyWithLogits.value(z, t);
                assert!((value - composed).abs() <= tolerance * value, "at {z}, {t}: {value}, {composed}");
                // The error of `y` is common to both derivatives.
                let composed = BinaryCrossEntropy.derivative(y, t) * Sigmoid.df(f64::NAN, y);
                let slope = BinaryCrossEntropyWithLogits.derivative(z, t);
                assert!((slope - composed).abs() <= 1e-15 * slope.abs(), "at {z}, {t}: {slope}, {composed}");
            }
        }
    }

    #[test]
    fn sure_and_wrong_gives_numbers() {
        assert_eq!([0.0f32, 1.0].map(|y| BinaryCrossEntropy.value(y, 1.0 - y)), [100.0, 100.0]);
        assert_eq!([0.0f64, 1.0].map(|y| BinaryCrossEntropy.value(y, y)), [0.0, 0.0]);
        assert_eq!([0.0f64, 1.0].map(|y| BinaryCrossEntropy.derivative(y, y)), [0.0, 0.0]);
        assert_eq!([0.0f64, 1.0].map(|y| BinaryCrossEntropy.derivative(y, 1.0 - y)), [-1e12, 1e12]);
        assert_eq!([0.0f32, 1.0].map(|y| BinaryCrossEntropy.derivative(y, 1.0 - y)), [-1e12, 1e12]);
    }

    #[test]
    fn huge_logits_give_numbers() {
        fn one<F: Float>() {
            for (z, t, value, slope) in [(1e4, 0.0, 1e4, 1.0), (1e4, 1.0, 0.0, 0.0), (-1e4, 1.0, 1e4, -1.0)] {
                let (z, t) = (F::of(z), F::of(t));
                assert_eq!(BinaryCrossEntropyWithLogits.value(z, t), F::of(value));
                assert_eq!(BinaryCrossEntropyWithLogits.derivative(z, t), F::of(slope));
            }
        }
        one::<f32>();
        one::<f64>();
    }

    #[test]
    fn keeps_nan_visible() {
        for y in [f64::NAN, -0.1, 1.1] {
            assert!(BinaryCrossEntropy.value(y, 0.5).is_nan());
        }
        assert!(BinaryCrossEntropyWithLogits.value(f64::NAN, 0.5).is_nan());
    }
}
