//! How far predicted probabilities are from target probabilities.

use crate::loss::{Loss, TargetKind, Targets};
use crate::{Float, Rows, RowsMut, Rule};

/// The least logarithm of a predicted probability, as in [`BinaryCrossEntropy`](super::BinaryCrossEntropy).
const MIN_LOG: f64 = -100.0;

/// The least probability that the derivative divides by.
const MIN_PROBABILITY: f64 = 1e-12;

/// `Σ_j t_j (log t_j - log y_j)` over the classes, for probabilities `y` of the classes and target probabilities `t`
/// (Kullback & Leibler, 1951), summed over samples and positions. Groups of `classes` consecutive numbers (the last
/// axis) are one term each.
///
/// It is 0 where `y = t` and positive elsewhere; `0 log 0` is 0, its limit.
///
/// # Derivation
/// The targets' own part is a constant, so only `-t_j log y_j` has a slope:
/// ```text
/// dl/dy_j = -t_j / y_j
/// ```
/// Below a softmax this becomes `dx = y - t` (its `dx_i = y_i (dy_i - Σ_j dy_j y_j)` with `Σ_j t_j = 1`), the
/// gradient of a cross-entropy.
///
/// A predicted 0 where the target is not 0 is infinitely far. The logarithm is at least -100 and the denominator at
/// least 10⁻¹², so that both stay numbers; with the softmax below, such a class learns no more.
#[derive(Clone, Copy, Debug)]
pub struct KlDivergence {
    classes: usize,
}

impl KlDivergence {
    /// The divergence over groups of `classes` probabilities, at least 1.
    pub fn new(classes: usize) -> Self {
        assert!(classes > 0, "a divergence over nothing");
        Self { classes }
    }
}

/// `t (log t - log y)`.
#[inline]
fn part<F: Float>(y: F, t: F) -> F {
    if t == F::zero() && !y.is_nan() {
        return F::zero();
    }
    let (log, min) = (y.ln(), F::of(MIN_LOG));
    // Not `max`, which would turn NaN into a bound.
    t * (t.ln() - if log < min { min } else { log })
}

impl<F: Float> Loss<F> for KlDivergence {
    fn target_kind(&self) -> TargetKind {
        TargetKind::Values
    }

    fn terms(&self, y: Rows<'_, F>) -> f64 {
        (y.data().len() / self.classes) as f64
    }

    fn value(&self, y: Rows<'_, F>, targets: Targets<'_, F>) -> f64 {
        y.data().iter().zip(targets.values().data()).map(|(&y, &t)| part(y, t).as_f64()).sum()
    }

    fn gradient(&self, y: Rows<'_, F>, targets: Targets<'_, F>, scale: F, mut dy: RowsMut<'_, F>) -> f64 {
        let targets = targets.values();
        let mut sum = 0.0;
        for ((dy, &y), &t) in dy.data().iter_mut().zip(y.data()).zip(targets.data()) {
            *dy = -scale * t / y.max(F::of(MIN_PROBABILITY));
            sum += part(y, t).as_f64();
        }
        sum
    }

    fn rule(&self) -> Rule {
        Rule {
            function: "L = 1/P Σ l,  l = Σ_j t_j (log t_j - log y_j)".into(),
            derivative: "∂l/∂y_j = -t_j / y_j".into(),
            gradient: "dy = 1/P ∂l/∂y,  P the number of positions".into(),
            slope: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Activation, Softmax};

    const Y: [f64; 6] = [0.25, 0.25, 0.5, 0.25, 0.25, 0.5];
    const T: [f64; 6] = [0.5, 0.25, 0.25, 1.0, 0.0, 0.0];

    fn value(y: &[f64], t: &[f64]) -> f64 {
        KlDivergence::new(3).value(Rows::new(y, 3), Targets::Values(Rows::new(t, 3)))
    }

    fn gradient<F: Float>(y: &[F], t: &[F], scale: F, dy: &mut [F]) -> f64 {
        let targets = Targets::Values(Rows::new(t, 3));
        KlDivergence::new(3).gradient(Rows::new(y, 3), targets, scale, RowsMut::new(dy, 3))
    }

    #[test]
    fn gives_known_values() {
        assert!((value(&Y[..3], &T[..3]) - 0.17328679513998632).abs() < 1e-15);
        assert!((value(&Y[3..], &T[3..]) - 1.3862943611198906).abs() < 1e-15);
        assert_eq!(value(&T, &T), 0.0);
    }

    #[test]
    fn gradient_is_the_slope_and_returns_the_value() {
        let mut dy = [f64::NAN; 6];
        assert_eq!(gradient(&Y, &T, 0.5, &mut dy), value(&Y, &T));
        for i in 0..6 {
            let h = 1e-5;
            let moved = |step: f64| {
                let mut y = Y;
                y[i] += step;
                value(&y, &T)
            };
            let slope = 0.5 * (moved(h) - moved(-h)) / (2.0 * h);
            assert!((dy[i] - slope).abs() < 1e-8, "{i}: {} against {slope}", dy[i]);
        }
    }

    #[test]
    fn below_it_a_softmax_gets_the_difference() {
        let mut y = [0.3, -1.2, 2.0];
        Softmax::new(3).forward(3, &mut y);
        let mut dx = [f64::NAN; 3];
        gradient(&y, &T[..3], 1.0, &mut dx);
        Softmax::new(3).backward(3, &[], &y, &mut dx);
        for ((dx, y), t) in dx.iter().zip(y).zip(T) {
            assert!((dx - (y - t)).abs() < 1e-15);
        }
    }

    #[test]
    fn sure_and_wrong_gives_numbers() {
        let mut dy = [f32::NAN; 3];
        assert_eq!(gradient(&[0.0f32, 1.0, 0.0], &[1.0, 0.0, 0.0], 1.0, &mut dy), 100.0);
        assert!(dy.iter().all(|dy| dy.is_finite()));
        assert_eq!(dy[1..], [0.0, 0.0]);
        assert_eq!(value(&[0.0, 1.0, 0.0], &[1.0, 0.0, 0.0]), 100.0);
    }

    #[test]
    fn keeps_nan_visible() {
        assert!(value(&[f64::NAN, 0.5, 0.5], &[0.0, 0.5, 0.5]).is_nan());
    }

    #[test]
    fn every_group_is_a_term() {
        let y = Rows::new(&Y, 6);
        assert_eq!(Loss::<f64>::terms(&KlDivergence::new(3), y), 2.0);
        assert_eq!(KlDivergence::new(3).value(y, Targets::Values(Rows::new(&T, 6))), value(&Y, &T));
    }
}
