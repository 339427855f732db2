//! Cross-entropy of class indices against scores: log-softmax and negative log-likelihood in one.

use crate::elementary::{Lanes, exp_of_differences, max, sum, sum_of_exp};
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
///
/// # Smoothed targets
/// With a smoothing `ε` the target is no longer the class alone but the distribution `q = (1 - ε) [i = t] + ε/C` over the
/// `C` classes (Szegedy et al., 2016; PyTorch's `label_smoothing`), and the term its cross-entropy. As `Σ q = 1`,
/// ```text
/// l = -Σᵢ qᵢ log pᵢ = log s + m - Σᵢ qᵢ yᵢ = (1 - ε) (log s + m - y_t) + ε (log s + m - mean(y))
///
/// dl/dy_i = p_i - q_i = p_i - (1 - ε) [i = t] - ε/C
/// ```
/// So the scores of a net that is sure have a finite best: the right one `log(C (1 - ε)/ε + 1)` above the others.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy {
    classes: usize,
    smoothing: f64,
}

impl CrossEntropy {
    /// The cross-entropy over groups of `classes` scores, at least 1.
    ///
    /// # Panics
    /// Without classes.
    pub fn new(classes: usize) -> Self {
        assert!(classes > 0, "a cross-entropy over nothing");
        Self { classes, smoothing: 0.0 }
    }

    /// With targets that leave a share, at least 0 and at most 1, to all classes alike.
    ///
    /// # Panics
    /// If the share is not between 0 and 1.
    pub fn with_smoothing(self, smoothing: f64) -> Self {
        assert!((0.0..=1.0).contains(&smoothing), "a share of more than all or less than nothing");
        Self { smoothing, ..self }
    }

    /// The term of a group of scores with the given sum of exponentials.
    #[inline(always)]
    fn term<F: Float>(self, scores: &[F], target: usize, sum: F, max: F) -> f64 {
        let hard = term(sum, max, scores[target]);
        if self.smoothing == 0.0 {
            return hard;
        }
        // Differences first here too.
        let mut below = Lanes::new(F::zero());
        below.join(scores, |sum, score| sum + (max - score));
        let below = below.total(|a, b| a + b).as_f64();
        let uniform = sum.ln().as_f64() + below / scores.len() as f64;
        (1.0 - self.smoothing) * hard + self.smoothing * uniform
    }
}

/// `log s + m - y_t`. Difference first: `m + log s` would lose the small log beside a huge score.
#[inline(always)]
fn term<F: Float>(sum: F, max: F, score: F) -> f64 {
    (sum.ln() + (max - score)).as_f64()
}

impl CrossEntropy {
    /// Makes gradients of the scores that `dy` holds, and returns the sum of the terms.
    #[inline(always)]
    fn write_gradient<F: Float>(self, scores: &[F], targets: &[u32], scale: F, dy: &mut [F]) -> f64 {
        let classes = self.classes;
        let of_target = F::of(scale.as_f64() * (1.0 - self.smoothing));
        let of_each = F::of(scale.as_f64() * self.smoothing / classes as f64);
        let mut total = 0.0;
        exp_of_differences(dy, classes, |index, dy| {
            let (scores, target) = (&scores[index * classes..][..classes], targets[index] as usize);
            let sum = sum(dy);
            total += self.term(scores, target, sum, max(scores));
            let factor = scale / sum;
            dy.iter_mut().for_each(|dy| *dy = *dy * factor - of_each);
            dy[target] -= of_target;
        });
        total
    }
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
                let mut total = 0.0;
                // Not by `sum`, which would not be inlined.
                for (scores, &target) in groups {
                    let max = max(scores);
                    total += self.term(scores, target as usize, sum_of_exp(scores, max), max);
                }
                total
            },
        )
    }

    fn gradient(&self, y: Rows<'_, F>, targets: Targets<'_, F>, scale: F, mut dy: RowsMut<'_, F>) -> f64 {
        let (scores, targets, dy) = (y.data(), targets.classes(), dy.data());
        dy.copy_from_slice(scores);
        wide(
            #[inline(always)]
            || self.write_gradient(scores, targets, scale, dy),
        )
    }

    fn rule(&self) -> Rule {
        if self.smoothing > 0.0 {
            let (smoothing, kept) = (self.smoothing, 1.0 - self.smoothing);
            let each = smoothing / self.classes as f64;
            return Rule {
                function: "L = 1/P Σ l,  l = -Σ_i q_i log softmax(y)_i = log Σ_j exp(y_j) - Σ_i q_i y_i"
                    .into(),
                derivative: format!(
                    "∂l/∂y_i = softmax(y)_i - q_i,  q_i = {kept} [i = t] + {each}, the smoothed target"
                ),
                gradient: "dy = 1/P ∂l/∂y,  P the number of positions, t the class".into(),
                slope: None,
            };
        }
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
    fn smoothed_targets_give_pytorchs_numbers() {
        // `torch.nn.functional.cross_entropy(..., reduction="sum", label_smoothing=...)`, torch 2.15, f64.
        let cases = [
            (
                0.1,
                18.271263610408326,
                [0.5704155628152925, -0.00327444576375931, -0.5671411170515331],
                [0.9666666252672911, -0.9333332919339579, -0.033333333333333326],
            ),
            (
                0.5,
                19.337930277074992,
                [0.4370822294819592, -0.13660777909709262, -0.3004744503848664],
                [0.8333332919339577, -0.6666666252672911, -0.16666666666666666],
            ),
        ];
        for (smoothing, expected, first, second) in cases {
            let loss = CrossEntropy::new(3).with_smoothing(smoothing);
            let (y, classes, mut dy) = (Rows::new(&SCORES, 3), Targets::Classes(&CLASSES), [f64::NAN; 6]);
            let value = loss.gradient(y, classes, 1.0, RowsMut::new(&mut dy, 3));
            assert!((value - expected).abs() < 1e-13, "{value}");
            assert_eq!(value, loss.value(y, classes));
            for (found, expected) in dy.into_iter().zip([first, second].concat()) {
                assert!((found - expected).abs() < 1e-14, "{found} against {expected}");
            }
        }
    }

    #[test]
    fn a_smoothed_target_is_met_where_the_derivation_says() {
        let best = |smoothing: f64| (3.0 * (1.0 - smoothing) / smoothing + 1.0).ln();
        let loss = CrossEntropy::new(3).with_smoothing(0.3);
        let mut dy = [f64::NAN; 3];
        loss.gradient(
            Rows::new(&[0.0, best(0.3), 0.0], 3),
            Targets::Classes(&[1]),
            1.0,
            RowsMut::new(&mut dy, 3),
        );
        assert!(dy.iter().all(|dy| dy.abs() < 1e-15), "{dy:?}");
    }

    #[test]
    fn the_rule_shows_smoothed_targets() {
        let Rule { derivative, .. } = Loss::<f64>::rule(&CrossEntropy::new(3).with_smoothing(0.25));
        assert!(derivative.contains("q_i = 0.75 [i = t] + 0.08333"), "{derivative}");
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
