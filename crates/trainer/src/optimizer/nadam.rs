//! NAdam: Adam with Nesterov's look ahead.

use chainrule_core::Float;
use chainrule_core::simd::wide;

use super::{Moments, Optimizer, Step};

/// `θ <- θ - η (µ' m̂' + (1 - µ) ĝ) / (√v̂ + ε)`, with PyTorch's formulas and defaults.
///
/// # Update
/// With the gradient `dθ` of the mean loss of the batch, learning rate `η`, weight decay `λ`, momentum decay `ψ`, and
/// the step `t` counted from 1 (Dozat, 2016):
/// ```text
/// g = dθ + λ θ                       the gradient of L + λ/2 |θ|²
/// µₜ = β₁ (1 - 0.96^(t ψ) / 2)       a momentum that rises from about β₁/2 to β₁
/// P <- P µₜ                          the product of all of them, 1 at first: one number of memory
/// m <- β₁ m + (1 - β₁) g             mean of the gradient, zero at first
/// v <- β₂ v + (1 - β₂) g²            mean of its square, zero at first
/// θ <- θ - η (µₜ₊₁ m / (1 - P µₜ₊₁) + (1 - µₜ) g / (1 - P)) / (√v̂ + ε),    v̂ = v / (1 - β₂ᵗ)
/// ```
/// Why: Adam's step is `µₜ` parts of the old mean and `1 - µₜ` of the gradient. Nesterov's momentum applies the momentum
/// of the *next* step already in this one, hence `µₜ₊₁` before `m`. The corrections are Adam's: the weights of the
/// gradients in a mean with changing momentum add up to 1 less the product of all `µ`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nadam {
    moments: Moments,
    momentum_decay: f64,
}

impl Nadam {
    /// NAdam with these settings and `ψ`, the momentum decay, at least 0; PyTorch's is 0.004.
    pub fn new(moments: Moments, momentum_decay: f64) -> Self {
        Self { moments, momentum_decay }
    }

    /// `µₜ`.
    fn momentum(&self, number: f64) -> f64 {
        self.moments.beta1 * (1.0 - 0.5 * 0.96f64.powf(number * self.momentum_decay))
    }
}

impl<F: Float> Optimizer<F> for Nadam {
    fn slots(&self) -> &'static [&'static str] {
        &["first_moment", "second_moment"]
    }

    fn numbers(&self) -> &'static [&'static str] {
        &["momentum_product"]
    }

    fn begin(&self, number: u64, numbers: &mut [f64]) {
        let [product] = numbers else { unreachable!("as many numbers as `numbers` names") };
        let before = if number == 1 { 1.0 } else { *product };
        *product = before * self.momentum(number as f64);
    }

    #[inline]
    fn update(&self, step: Step<'_>, theta: &mut [F], gradient: &[F], slots: &mut [&mut [F]]) {
        let ([first, second], &[product]) = (slots, step.numbers) else {
            unreachable!("as much memory as is named")
        };
        let decay = F::of(step.weight_decay(self.moments.weight_decay));
        let (new1, beta2, new2) =
            (F::of(1.0 - self.moments.beta1), F::of(self.moments.beta2), F::of(1.0 - self.moments.beta2));
        let number = step.number as f64;
        let (now, next) = (self.momentum(number), self.momentum(number + 1.0));
        let of_gradient = F::of(step.learning_rate * (1.0 - now) / (1.0 - product));
        let of_mean = F::of(step.learning_rate * next / (1.0 - product * next));
        let correction = F::of(1.0 / (1.0 - self.moments.beta2.powf(number)).sqrt());
        let epsilon = F::of(self.moments.epsilon);

        let moments = first.iter_mut().zip(second.iter_mut());
        wide(
            #[inline(always)]
            || {
                for ((theta, &gradient), (m, v)) in theta.iter_mut().zip(gradient).zip(moments) {
                    let g = gradient + decay * *theta;
                    *m += new1 * (g - *m);
                    *v = beta2 * *v + new2 * g * g;
                    *theta -= (of_gradient * g + of_mean * *m) / (v.sqrt() * correction + epsilon);
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
        // ψ = 0: µ = 0.45 always. m = 0.1, √v̂ = 1: 0.45 · 0.1 / (1 - 0.45²) + 0.55 / (1 - 0.45).
        let constant = Nadam::new(Moments::default(), 0.0);
        let expected = 1.0 - 0.1 * (0.045 / (1.0 - 0.2025) + 1.0);
        assert!((descend(&constant, 1) - expected).abs() < 1e-8);
    }

    #[test]
    fn multiplies_the_momentum_of_every_step() {
        let nadam = Nadam::new(Moments::default(), 4e-3);
        let mut numbers = [0.0];
        for number in 1..=3 {
            Optimizer::<f64>::begin(&nadam, number, &mut numbers);
        }
        let expected = nadam.momentum(1.0) * nadam.momentum(2.0) * nadam.momentum(3.0);
        assert_eq!(numbers, [expected]);
    }
}
