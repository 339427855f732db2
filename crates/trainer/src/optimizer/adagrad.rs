//! Adagrad: a step divided by the root of the sum of all squares.

use chainrule_core::Float;
use chainrule_core::simd::wide;

use super::{Optimizer, Step};

/// `θ <- θ - η g / (√s + ε)`, with PyTorch's formulas and defaults.
///
/// # Update
/// With the gradient `dθ` of the mean loss of the batch, learning rate `η`, its decay `κ`, weight decay `λ`, and the
/// step `t` counted from 1 (Duchi, Hazan & Singer, 2011):
/// ```text
/// g = dθ + λ θ                       the gradient of L + λ/2 |θ|²
/// s <- s + g²                        the sum of all squares; the initial accumulator value at first
/// θ <- θ - η / (1 + (t - 1) κ) g / (√s + ε)
/// ```
/// Why: a parameter whose gradient is mostly zero, as of a rare word, keeps long steps for when it is not. Of equal
/// gradients `√s` grows as `√t`, so steps shrink as `1/√t`, which the bound on the regret of convex problems asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adagrad {
    epsilon: f64,
    weight_decay: f64,
    rate_decay: f64,
    initial: f64,
}

impl Adagrad {
    /// Adagrad with ε = 1e-10, no decays and an accumulator that starts at zero.
    pub fn new() -> Self {
        Self { epsilon: 1e-10, weight_decay: 0.0, rate_decay: 0.0, initial: 0.0 }
    }

    /// With another `ε`.
    pub fn with_epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    /// With weight decay.
    pub fn with_weight_decay(self, weight_decay: f64) -> Self {
        Self { weight_decay, ..self }
    }

    /// With a learning rate that decays by itself: `κ`, at least 0.
    pub fn with_rate_decay(self, rate_decay: f64) -> Self {
        Self { rate_decay, ..self }
    }

    /// With a sum that starts at this, at least 0.
    pub fn with_initial_accumulator(self, initial: f64) -> Self {
        Self { initial, ..self }
    }
}

impl Default for Adagrad {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Float> Optimizer<F> for Adagrad {
    fn slots(&self) -> &'static [&'static str] {
        &["square_sum"]
    }

    #[inline]
    fn update(&self, step: Step<'_>, theta: &mut [F], gradient: &[F], slots: &mut [&mut [F]]) {
        let [sum] = slots else { unreachable!("as many vectors as `slots` names") };
        if step.is_first() {
            sum.fill(F::of(self.initial));
        }
        let decay = F::of(step.weight_decay(self.weight_decay));
        let before = (step.number - 1) as f64;
        let rate = F::of(step.learning_rate / (1.0 + before * self.rate_decay));
        let epsilon = F::of(self.epsilon);
        wide(
            #[inline(always)]
            || {
                for ((theta, &gradient), s) in theta.iter_mut().zip(gradient).zip(sum.iter_mut()) {
                    let g = gradient + decay * *theta;
                    *s += g * g;
                    *theta -= rate * g / (s.sqrt() + epsilon);
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
        // s = 1, θ = 0.9; s = 1.81, θ = 0.9 - 0.1 · 0.9 / √1.81, half as far with κ = 1.
        let second = 0.09 / 1.81f64.sqrt();
        assert!((descend(&Adagrad::new(), 2) - (0.9 - second)).abs() < 1e-9);
        let decaying = Adagrad::new().with_rate_decay(1.0);
        assert!((descend(&decaying, 2) - (0.9 - second / 2.0)).abs() < 1e-9);
    }

    #[test]
    fn starts_from_the_initial_accumulator() {
        // s = 3 + 1, √s = 2.
        let started = Adagrad::new().with_initial_accumulator(3.0);
        assert!((descend(&started, 1) - 0.95).abs() < 1e-9);
    }
}
