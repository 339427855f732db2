//! AMSGrad: Adam whose steps never grow again.

use chainrule_core::Float;
use chainrule_core::simd::wide;

use super::{Optimizer, Step};

/// `θ <- θ - η m̂ / (√v̂ + ε)` with the largest `v` so far, with PyTorch's formulas and defaults.
///
/// # Update
/// [`Adam`](super::Adam)'s, but for the denominator (Reddi, Kale & Kumar, 2018; the corrections as PyTorch has them):
/// ```text
/// g = dθ + λ θ                       the gradient of L + λ/2 |θ|²
/// m <- β₁ m + (1 - β₁) g             mean of the gradient, zero at first
/// v <- β₂ v + (1 - β₂) g²            mean of its square, zero at first
/// w <- max(w, v)                     the largest so far
/// θ <- θ - η m̂ / (√ŵ + ε)            m̂ = m / (1 - β₁ᵗ), ŵ = w / (1 - β₂ᵗ)
/// ```
/// Why: Adam forgets a rare large gradient after about `1/(1 - β₂)` steps, and then takes long steps where it should
/// not; there are convex problems on which it does not converge. With `w`, which never falls, the length of a step for
/// a gradient never rises, and the proof of convergence holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AmsGrad {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    weight_decay: f64,
}

impl AmsGrad {
    /// AMSGrad with β₁ = 0.9, β₂ = 0.999, ε = 1e-8 and no weight decay.
    pub fn new() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }

    /// With other shares of the old means, both at least 0 and less than 1.
    pub fn with_betas(self, beta1: f64, beta2: f64) -> Self {
        Self { beta1, beta2, ..self }
    }

    /// With another `ε`.
    pub fn with_epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    /// With weight decay.
    pub fn with_weight_decay(self, weight_decay: f64) -> Self {
        Self { weight_decay, ..self }
    }
}

impl Default for AmsGrad {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Float> Optimizer<F> for AmsGrad {
    fn slots(&self) -> &'static [&'static str] {
        &["first_moment", "second_moment", "largest_second_moment"]
    }

    #[inline]
    fn update(&self, step: Step<'_>, theta: &mut [F], gradient: &[F], slots: &mut [&mut [F]]) {
        let [first, second, largest] = slots else { unreachable!("as many vectors as `slots` names") };
        let decay = F::of(step.weight_decay(self.weight_decay));
        let (new1, beta2, new2) = (F::of(1.0 - self.beta1), F::of(self.beta2), F::of(1.0 - self.beta2));
        let number = step.number as f64;
        let rate = F::of(step.learning_rate / (1.0 - self.beta1.powf(number)));
        let correction = F::of(1.0 / (1.0 - self.beta2.powf(number)).sqrt());
        let epsilon = F::of(self.epsilon);

        let moments = first.iter_mut().zip(second.iter_mut()).zip(largest.iter_mut());
        wide(
            #[inline(always)]
            || {
                for ((theta, &gradient), ((m, v), w)) in theta.iter_mut().zip(gradient).zip(moments) {
                    let g = gradient + decay * *theta;
                    *m += new1 * (g - *m);
                    *v = beta2 * *v + new2 * g * g;
                    *w = w.max(*v);
                    *theta -= rate * *m / (w.sqrt() * correction + epsilon);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{descend, follow};
    use super::*;
    use crate::Adam;

    #[test]
    fn is_adam_while_the_gradient_grows() {
        let rising = |theta: f64| 3.0 - theta;
        assert_eq!(follow(&AmsGrad::new(), 9, rising), follow(&Adam::new(), 9, rising));
        assert!((descend(&AmsGrad::new(), 1) - 0.9).abs() < 1e-8);
    }

    #[test]
    fn does_not_forget_the_largest_gradient() {
        // Without betas m = g: the first step is 0.1 long, and the second 0.1 times 0.9 / 1, where Adam's is 0.1 again.
        let forgetful = AmsGrad::new().with_betas(0.0, 0.0);
        assert!((descend(&forgetful, 2) - 0.81).abs() < 1e-7);
    }
}
