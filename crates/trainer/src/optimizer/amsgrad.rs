//! AMSGrad: Adam whose steps never grow again.

use chainrule_core::Float;
use chainrule_core::simd::wide;

use super::{Moments, Optimizer, Step};

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
    moments: Moments,
}

impl AmsGrad {
    /// AMSGrad with these settings.
    pub fn new(moments: Moments) -> Self {
        Self { moments }
    }
}

impl<F: Float> Optimizer<F> for AmsGrad {
    fn slots(&self) -> &'static [&'static str] {
        &["first_moment", "second_moment", "largest_second_moment"]
    }

    #[inline]
    fn update(&self, step: Step<'_>, theta: &mut [F], gradient: &[F], slots: &mut [&mut [F]]) {
        let [first, second, largest] = slots else { unreachable!("as many vectors as `slots` names") };
        let decay = F::of(step.weight_decay(self.moments.weight_decay));
        let (new1, beta2, new2) =
            (F::of(1.0 - self.moments.beta1), F::of(self.moments.beta2), F::of(1.0 - self.moments.beta2));
        let number = step.number as f64;
        let rate = F::of(step.learning_rate / (1.0 - self.moments.beta1.powf(number)));
        let correction = F::of(1.0 / (1.0 - self.moments.beta2.powf(number)).sqrt());
        let epsilon = F::of(self.moments.epsilon);

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
        assert_eq!(follow(&AmsGrad::new(Moments::default()), 9, rising), follow(&Adam::new(), 9, rising));
        assert!((descend(&AmsGrad::new(Moments::default()), 1) - 0.9).abs() < 1e-8);
    }

    #[test]
    fn does_not_forget_the_largest_gradient() {
        // Without betas m = g: the first step is 0.1 long, and the second 0.1 times 0.9 / 1, where Adam's is 0.1 again.
        let forgetful = AmsGrad::new(Moments { beta1: 0.0, beta2: 0.0, ..Moments::default() });
        assert!((descend(&forgetful, 2) - 0.81).abs() < 1e-7);
    }
}
