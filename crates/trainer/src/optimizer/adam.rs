//! Adam and AdamW: a step scaled by running moments of the gradient.

use chainrule_core::Float;
use chainrule_core::simd::wide;

use super::{Optimizer, Step};

/// `θ <- θ - η m̂ / (√v̂ + ε)`, with PyTorch's formulas and defaults.
///
/// # Update
/// With the gradient `dθ` of the mean loss of the batch, learning rate `η`, weight decay `λ`, and the step `t` counted
/// from 1 (Kingma & Ba, 2015, algorithm 1):
/// ```text
/// g = dθ + λ θ                       Adam: the gradient of L + λ/2 |θ|²
/// g = dθ,  θ <- θ - η λ θ            AdamW: decay past the moments (Loshchilov & Hutter, 2019)
/// m <- β₁ m + (1 - β₁) g             mean of the gradient, zero at first
/// v <- β₂ v + (1 - β₂) g²            mean of its square, zero at first
/// θ <- θ - η m̂ / (√v̂ + ε)           m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ)
/// ```
/// Why the corrections: unrolled, `m = (1 - β₁) Σᵢ β₁ᵗ⁻ⁱ gᵢ`. For gradients of one mean `E g`, the weights add up to
/// `(1 - β₁)(1 + β₁ + ... + β₁ᵗ⁻¹) = 1 - β₁ᵗ`, so `E m = (1 - β₁ᵗ) E g`: too small by that factor while `t` is small, as
/// `m` starts from zero; the same for `v`. `ε` stands outside the corrected root. In the loop `η / (1 - β₁ᵗ)` and
/// `1 / √(1 - β₂ᵗ)` are two numbers a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    weight_decay: f64,
    decoupled: bool,
}

impl Adam {
    /// Adam with β₁ = 0.9, β₂ = 0.999, ε = 1e-8 and no weight decay.
    pub fn new() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, decoupled: false }
    }

    /// AdamW, with a weight decay of 0.01.
    pub fn decoupled() -> Self {
        Self { weight_decay: 0.01, decoupled: true, ..Self::new() }
    }

    /// With other shares of the old means, both at least 0 and less than 1.
    pub fn with_betas(self, beta1: f64, beta2: f64) -> Self {
        Self { beta1, beta2, ..self }
    }

    /// With another `ε`.
    pub fn with_epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    /// With another weight decay.
    pub fn with_weight_decay(self, weight_decay: f64) -> Self {
        Self { weight_decay, ..self }
    }
}

impl Default for Adam {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Float> Optimizer<F> for Adam {
    fn slots(&self) -> &'static [&'static str] {
        &["first_moment", "second_moment"]
    }

    #[inline]
    fn update(&self, step: Step<'_>, theta: &mut [F], gradient: &[F], slots: &mut [&mut [F]]) {
        let [first, second] = slots else { unreachable!("as many vectors as `slots` names") };
        let weight_decay = step.weight_decay(self.weight_decay);
        let (coupled, shrinks) = if self.decoupled { (0.0, weight_decay) } else { (weight_decay, 0.0) };
        let decay = F::of(coupled);
        let keep = F::of(1.0 - step.learning_rate * shrinks);
        let (new1, beta2, new2) = (F::of(1.0 - self.beta1), F::of(self.beta2), F::of(1.0 - self.beta2));
        let number = step.number as f64;
        let rate = F::of(step.learning_rate / (1.0 - self.beta1.powf(number)));
        let correction = F::of(1.0 / (1.0 - self.beta2.powf(number)).sqrt());
        let epsilon = F::of(self.epsilon);

        let moments = first.iter_mut().zip(second.iter_mut());
        wide(
            #[inline(always)]
            || {
                for ((theta, &gradient), (m, v)) in theta.iter_mut().zip(gradient).zip(moments) {
                    let g = gradient + decay * *theta;
                    *m += new1 * (g - *m);
                    *v = beta2 * *v + new2 * g * g;
                    *theta = keep * *theta - rate * *m / (v.sqrt() * correction + epsilon);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::descend;
    use super::*;

    #[test]
    fn takes_a_first_step_of_the_learning_rate() {
        // m̂ = g and √v̂ = |g| at first.
        assert!((descend(&Adam::new(), 1) - 0.9).abs() < 1e-8);
    }

    #[test]
    fn decays_past_the_moments_if_decoupled() {
        // With λ in the gradient, the first step is as long as without; decoupled, it adds η λ θ = 0.1 · 0.5.
        let coupled = Adam::new().with_weight_decay(0.5);
        assert!((descend(&coupled, 1) - 0.9).abs() < 1e-8);
        let decoupled = Adam::decoupled().with_weight_decay(0.5);
        assert!((descend(&decoupled, 1) - 0.85).abs() < 1e-8);
    }

    #[test]
    fn forgets_at_once_without_betas() {
        // m = g, v = g²: every step is the learning rate.
        assert!((descend(&Adam::new().with_betas(0.0, 0.0), 3) - 0.7).abs() < 1e-7);
    }
}
