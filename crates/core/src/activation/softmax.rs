//! Softmax over groups of numbers: scores to probabilities.

use crate::elementary::{softmax, softmax_backward};
use crate::simd::wide;
use crate::{Activation, Float, Rule};

/// `y_i = exp(x_i) / sum_j exp(x_j)` within consecutive groups of `classes` numbers of a row (its last axis).
///
/// Computed as `exp(x_i - m) / sum_j exp(x_j - m)` with `m = max_j x_j`, which is the same number, cannot overflow, and
/// has a denominator of at least 1.
///
/// # Derivation
/// By the quotient rule, with `s = sum_k exp(x_k)`:
/// ```text
/// dy_j/dx_i = ([i = j] exp(x_j) s - exp(x_j) exp(x_i)) / s² = y_j ([i = j] - y_i)
///
/// dx_i = Σ_j dy_j · y_j ([i = j] - y_i)
///      = y_i (dy_i - Σ_j dy_j y_j)
/// ```
/// The inner sum is one number a group, so the Jacobian is never formed.
#[derive(Clone, Copy, Debug)]
pub struct Softmax {
    classes: usize,
}

impl Softmax {
    /// A softmax over groups of `classes` numbers, at least 1.
    pub fn new(classes: usize) -> Self {
        assert!(classes > 0, "a softmax over nothing");
        Self { classes }
    }
}

impl<F: Float> Activation<F> for Softmax {
    fn needs_input(&self) -> bool {
        false
    }

    fn forward(&self, _width: usize, values: &mut [F]) {
        wide(
            #[inline(always)]
            || softmax(values, self.classes),
        );
    }

    fn backward(&self, _width: usize, _x: &[F], y: &[F], dy: &mut [F]) {
        wide(
            #[inline(always)]
            || softmax_backward(y, dy, self.classes),
        );
    }

    fn rule(&self, x: &str) -> Rule {
        Rule {
            function: format!("y_i = exp({x}_i) / Σ_j exp({x}_j)"),
            derivative: format!("∂y_j/∂{x}_i = y_j ([i = j] - y_i)"),
            gradient: format!("d{x}_i = y_i (dy_i - Σ_j dy_j y_j)"),
            slope: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn softmax(x: &[f64]) -> Vec<f64> {
        let mut values = x.to_vec();
        Softmax::new(x.len()).forward(x.len(), &mut values);
        values
    }

    #[test]
    fn equals_the_formula_and_sums_to_one() {
        let y = softmax(&[0.0, 1.0, -2.0]);
        let s = 1.0 + 1f64.exp() + (-2f64).exp();
        for (y, expected) in y.iter().zip([1.0 / s, 1f64.exp() / s, (-2f64).exp() / s]) {
            assert!((y - expected).abs() < 1e-15);
        }
    }

    #[test]
    fn is_finite_for_huge_scores() {
        assert_eq!(softmax(&[1e4, -1e4, 0.0]), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn backward_is_the_slope_of_every_output() {
        let x = [0.3, -1.2, 0.8, 2.0];
        let dy = [0.7, -0.4, 1.3, 0.2];
        let y = softmax(&x);
        let mut dx = dy;
        Softmax::new(4).backward(4, &[], &y, &mut dx);
        for i in 0..4 {
            let h = 1e-6;
            let moved = |step: f64| {
                let mut x = x;
                x[i] += step;
                softmax(&x).iter().zip(dy).map(|(y, dy)| y * dy).sum::<f64>()
            };
            let slope = (moved(h) - moved(-h)) / (2.0 * h);
            assert!((dx[i] - slope).abs() < 1e-9, "{} against {slope}", dx[i]);
        }
    }
}
