//! Adamax: Adam with the largest gradient in place of the mean square.

use chainrule_core::Float;
use chainrule_core::simd::wide;

use super::{Moments, Optimizer, Step};

/// `θ <- θ - η m̂ / u`, with PyTorch's formulas and defaults.
///
/// # Update
/// With the gradient `dθ` of the mean loss of the batch, learning rate `η`, weight decay `λ`, and the step `t` counted
/// from 1 (Kingma & Ba, 2015, section 7.1):
/// ```text
/// g = dθ + λ θ                       the gradient of L + λ/2 |θ|²
/// m <- β₁ m + (1 - β₁) g             mean of the gradient, zero at first
/// u <- max(β₂ u, |g| + ε)            the largest gradient, older ones shrunk; zero at first
/// θ <- θ - η m̂ / u                   m̂ = m / (1 - β₁ᵗ)
/// ```
/// Why: Adam's `√v` is an L2 norm of the past gradients with weights that fall as `β₂ᵏ`. The same norm of order `p` with
/// weights `β₂ᵖᵏ` becomes, for `p` without bound, `u`. A maximum starts with the first gradient whole, so it needs no
/// correction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adamax {
    moments: Moments,
}

impl Adamax {
    /// Adamax with these settings.
    pub fn new(moments: Moments) -> Self {
        Self { moments }
    }
}

impl<F: Float> Optimizer<F> for Adamax {
    fn slots(&self) -> &'static [&'static str] {
        &["first_moment", "largest"]
    }

    #[inline]
    fn update(&self, step: Step<'_>, theta: &mut [F], gradient: &[F], slots: &mut [&mut [F]]) {
        let [first, largest] = slots else { unreachable!("as many vectors as `slots` names") };
        let decay = F::of(step.weight_decay(self.moments.weight_decay));
        let (new1, beta2, epsilon) =
            (F::of(1.0 - self.moments.beta1), F::of(self.moments.beta2), F::of(self.moments.epsilon));
        let rate = F::of(step.learning_rate / (1.0 - self.moments.beta1.powf(step.number as f64)));

        let memory = first.iter_mut().zip(largest.iter_mut());
        wide(
            #[inline(always)]
            || {
                for ((theta, &gradient), (m, u)) in theta.iter_mut().zip(gradient).zip(memory) {
                    let g = gradient + decay * *theta;
                    *m += new1 * (g - *m);
                    *u = (beta2 * *u).max(g.abs() + epsilon);
                    *theta -= rate * *m / *u;
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
    fn follows_the_formulas_by_hand() {
        // m̂ = u = 1 at first. Then g = 0.9, m = 0.18, m̂ = 0.18 / 0.19, u = 0.999.
        assert!((descend(&Adamax::new(Moments::default()), 1) - 0.9).abs() < 1e-8);
        assert!(
            (descend(&Adamax::new(Moments::default()), 2) - (0.9 - 0.1 * 0.18 / 0.19 / 0.999)).abs() < 1e-8
        );
    }

    #[test]
    fn stands_still_without_a_gradient() {
        let (mut theta, mut m, mut u) = ([1.0], [0.0], [0.0]);
        let step = Step { number: 1, learning_rate: 0.1, decays: true, weight_decay: None, numbers: &[] };
        Adamax::new(Moments::default()).update(step, &mut theta, &[0.0], &mut [&mut m, &mut u]);
        assert_eq!(theta, [1.0]);
    }
}
