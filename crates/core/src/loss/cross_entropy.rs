//! Cross-entropy of class indices against scores: log-softmax and negative log-likelihood in one.

use crate::elementary::{exp_of_differences, max, sum, sum_of_exp};
use crate::loss::{Loss, TargetKind, Targets};
use crate::simd::wide;
use crate::{Float, Rows, RowsMut, Rule};

/// `-log softmax(y)_t` for scores (logits) `y` of the classes and the index `t` of the right one, summed over samples
/// and positions. Groups of `classes` consecutive scores (the last axis) are one term each.
///
/// # Derivation
/// With `m = max_j y_j` and `s = Σ_j exp(y_j - m)` the term is, without ever forming a small probability,
/// ```text
/// l = -log(exp(y_t - m) / s) = log s + m - y_t
///
/// dl/dy_i = exp(y_i - m)/s - [i = t] = p_i - [i = t],     p = softmax(y)
/// ```
/// `s` is at least 1, so nothing overflows for any finite scores. The two-step formula, softmax and then `-log p_t`,
/// gives the same number while `p_t` is representable, and infinity after.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy {
    classes: usize,
}

impl CrossEntropy {
    /// The cross-entropy over groups of `classes` scores, at least 1.
    pub fn new(classes: usize) -> Self {
        assert!(classes > 0, "a cross-entropy over nothing");
        Self { classes }
    }
}

/// `log s + m - y_t`. Difference first: `m + log s` would lose the small log beside a huge score.
#[inline(always)]
fn term<F: Float>(sum: F, max: F, score: F) -> f64 {
    (sum.ln() + (max - score)).as_f64()
}

/// Makes gradients of the scores that `dy` holds, and returns the sum of the terms.
#[inline(always)]
fn write_gradient<F: Float>(scores: &[F], targets: &[u32], scale: F, dy: &mut [F], classes: usize) -> f64 {
    let mut total = 0.0;
    exp_of_differences(dy, classes, |index, dy| {
        let (scores, target) = (&scores[index * classes..][..classes], targets[index] as usize);
        let sum = sum(dy);
        total += term(sum, max(scores), scores[target]);
        let factor = scale / sum;
        dy.iter_mut().for_each(|dy| *dy *= factor);
        dy[target] -= scale;
    });
    total
}

impl<F: Float> Loss<F> for CrossEntropy {
    fn target_kind(&self) -> TargetKind {
        TargetKind::Classes(self.classes)
    }

    fn terms(&self, y: Rows<'_, F>) -> f64 {
        (y.data().len() / self.classes) as f64
    }

    fn value(&self, y: Rows<'_, F>, targets: Targets<'_, F>) -> f64 {
        wide(
            #[inline(always)]
            || {
                let groups = y.data().chunks_exact(self.classes).zip(targets.classes());
                let terms = groups.map(|(scores, &target)| {
                    let max = max(scores);
                    term(sum_of_exp(scores, max), max, scores[target as usize])
                });
                terms.sum()
            },
        )
    }

    fn gradient(&self, y: Rows<'_, F>, targets: Targets<'_, F>, scale: F, mut dy: RowsMut<'_, F>) -> f64 {
        let (scores, targets, dy) = (y.data(), targets.classes(), dy.data());
        dy.copy_from_slice(scores);
        wide(
            #[inline(always)]
            || write_gradient(scores, targets, scale, dy, self.classes),
        )
    }

    fn rule(&self) -> Rule {
        Rule {
            function: "L = 1/P Σ l,  l = -log softmax(y)_t = log Σ_j exp(y_j) - y_t".into(),
            derivative: "∂l/∂y_i = softmax(y)_i - [i = t]".into(),
            gradient: "dy = 1/P ∂l/∂y,  P the number of positions, t the class".into(),
            slope: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Activation, Softmax};

    const SCORES: [f64; 6] = [1.0, -2.0, 0.5, 20.0, 3.0, -20.0];
    const CLASSES: [u32; 2] = [2, 1];

    fn loss(scores: &[f64]) -> f64 {
        CrossEntropy::new(3).value(Rows::new(scores, 3), Targets::Classes(&CLASSES))
    }

    #[test]
    fn equals_softmax_then_minus_log() {
        let mut p = SCORES;
        Softmax::new(3).forward(3, &mut p);
        let composed = -p[2].ln() - p[4].ln();
        assert!((loss(&SCORES) - composed).abs() < 1e-13 * composed);
    }

    #[test]
    fn gradient_is_the_slope_and_returns_the_value() {
        let mut dy = [f64::NAN; 6];
        let y = Rows::new(&SCORES, 3);
        let value =
            CrossEntropy::new(3).gradient(y, Targets::Classes(&CLASSES), 0.5, RowsMut::new(&mut dy, 3));
        assert_eq!(value, loss(&SCORES));
        for i in 0..6 {
            let h = 1e-5;
            let moved = |step: f64| {
                let mut scores = SCORES;
                scores[i] += step;
                loss(&scores)
            };
            let slope = 0.5 * (moved(h) - moved(-h)) / (2.0 * h);
            assert!((dy[i] - slope).abs() < 1e-9, "{i}: {} against {slope}", dy[i]);
        }
    }

    #[test]
    fn huge_scores_give_numbers() {
        for (scores, expected) in [([1e4f32, -1e4, 0.0], 2e4), ([-1e4, 1e4, 0.0], 0.0)] {
            let mut dy = [f32::NAN; 3];
            let (y, classes) = (Rows::new(&scores, 3), Targets::Classes(&[1]));
            let value = CrossEntropy::new(3).gradient(y, classes, 1.0, RowsMut::new(&mut dy, 3));
            assert_eq!(value, expected);
            assert!(dy.iter().all(|dy| dy.is_finite()));
        }
    }

    #[test]
    fn log_softmax_is_within_four_spacings() {
        for classes in [1, 2, 3, 9, 50, 300] {
            for scale in [0.01, 1.0, 30.0, 1000.0] {
                let scores: Vec<f32> =
                    (0..classes).map(|i| ((i * 37) % 101 - 50) as f32 / 50.0 * scale).collect();
                let (score, max) = (f64::from(scores[0]), scores.iter().copied().fold(f32::MIN, f32::max));
                let sum: f64 = scores.iter().map(|&score| (f64::from(score) - f64::from(max)).exp()).sum();
                let truth = sum.ln() + f64::from(max) - score;
                let y = Rows::new(&scores, scores.len());
                let value = CrossEntropy::new(scores.len()).value(y, Targets::Classes(&[0]));
                let bound = 4.0 * f64::from(f32::EPSILON) * f64::from(scale).max(truth.abs()).max(1.0);
                assert!((value - truth).abs() <= bound, "{classes}, {scale}: {value} against {truth}");
            }
        }
    }

    #[test]
    fn every_position_is_a_term() {
        let y = Rows::new(&SCORES, 6);
        assert_eq!(Loss::<f64>::terms(&CrossEntropy::new(3), y), 2.0);
        assert_eq!(CrossEntropy::new(3).value(y, Targets::Classes(&CLASSES)), loss(&SCORES));
    }
}
