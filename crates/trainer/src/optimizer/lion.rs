//! Lion: the sign of a momentum.

use chainrule_core::Float;
use chainrule_core::simd::wide;

use super::{Optimizer, Step, sign};

/// `θ <- θ - η (sign c + λ θ)`, with the paper's formulas and defaults.
///
/// # Update
/// With the gradient `g` of the mean loss of the batch, learning rate `η` and weight decay `λ` (Chen et al., 2023,
/// "Symbolic discovery of optimization algorithms", algorithm 2):
/// ```text
/// c = β₁ m + (1 - β₁) g              what decides the direction
/// θ <- θ - η (sign c + λ θ)          the decay past the sign, as in AdamW
/// m <- β₂ m + (1 - β₂) g             mean of the gradient, zero at first
/// ```
/// Why two shares: the gradient at hand counts `1 - β₁ = 0.1` for the direction, but only `1 - β₂ = 0.01` for the memory,
/// which therefore reaches farther back. Every number moves by `η` whatever its gradient (`sign 0 = 0`), so the learning
/// rate is chosen three to ten times smaller than Adam's, and the decay as many times larger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lion {
    beta1: f64,
    beta2: f64,
    weight_decay: f64,
}

impl Lion {
    /// Lion with β₁ = 0.9, β₂ = 0.99 and no weight decay.
    pub fn new() -> Self {
        Self { beta1: 0.9, beta2: 0.99, weight_decay: 0.0 }
    }

    /// With other shares of the old mean, both at least 0 and less than 1.
    pub fn with_betas(self, beta1: f64, beta2: f64) -> Self {
        Self { beta1, beta2, ..self }
    }

    /// With weight decay beside the gradient.
    pub fn with_weight_decay(self, weight_decay: f64) -> Self {
        Self { weight_decay, ..self }
    }
}

impl Default for Lion {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Float> Optimizer<F> for Lion {
    fn slots(&self) -> &'static [&'static str] {
        &["momentum"]
    }

    #[inline]
    fn update(&self, step: Step<'_>, theta: &mut [F], gradient: &[F], slots: &mut [&mut [F]]) {
        let [momentum] = slots else { unreachable!("as many vectors as `slots` names") };
        let rate = F::of(step.learning_rate);
        let keep = F::of(1.0 - step.learning_rate * step.weight_decay(self.weight_decay));
        let (new1, new2) = (F::of(1.0 - self.beta1), F::of(1.0 - self.beta2));
        wide(
            #[inline(always)]
            || {
                for ((theta, &g), m) in theta.iter_mut().zip(gradient).zip(momentum.iter_mut()) {
                    let along = g - *m;
                    *theta = keep * *theta - rate * sign(*m + new1 * along);
                    *m += new2 * along;
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{descend, follow};
    use super::*;

    #[test]
    fn moves_by_the_learning_rate_whatever_the_gradient() {
        assert!((descend(&Lion::new(), 3) - 0.7).abs() < 1e-15);
        assert!((follow(&Lion::new(), 2, |_| -1e-30) - 1.2).abs() < 1e-15);
        assert_eq!(follow(&Lion::new(), 2, |_| 0.0), 1.0);
    }

    #[test]
    fn decays_past_the_sign() {
        // 1 - 0.1 (1 + 0.5).
        assert!((descend(&Lion::new().with_weight_decay(0.5), 1) - 0.85).abs() < 1e-15);
    }

    #[test]
    fn follows_the_momentum_while_it_outweighs_the_gradient() {
        // m = 0.5 after a gradient of 1; then -0.4: c = 0.45 - 0.04 > 0, still down.
        let slope = |theta: f64| if theta > 0.95 { 1.0 } else { -0.4 };
        let lion = Lion::new().with_betas(0.9, 0.5);
        assert!((follow(&lion, 2, slope) - 0.8).abs() < 1e-15);
    }
}
