//! Adadelta: a step in the units of the parameters.

use chainrule_core::Float;
use chainrule_core::simd::wide;

use super::{Optimizer, Step};

/// `θ <- θ - η g √(u + ε) / √(s + ε)`, with PyTorch's formulas and defaults.
///
/// # Update
/// With the gradient `dθ` of the mean loss of the batch, learning rate `η` (1 in the paper), weight decay `λ` (Zeiler,
/// 2012):
/// ```text
/// g = dθ + λ θ                       the gradient of L + λ/2 |θ|²
/// s <- ρ s + (1 - ρ) g²              mean of the square, zero at first
/// δ = g √(u + ε) / √(s + ε)
/// u <- ρ u + (1 - ρ) δ²              mean of the steps' square, zero at first
/// θ <- θ - η δ
/// ```
/// Why: `g / √s` has no unit, but a step should have the parameter's. The root mean square of the steps before has it:
/// so does Newton's step `g / H`, whose unit is that of `θ`. `ε` stands within both roots; it lets the first step be more
/// than nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adadelta {
    rho: f64,
    epsilon: f64,
    weight_decay: f64,
}

impl Adadelta {
    /// Adadelta with ρ = 0.9, ε = 1e-6 and no weight decay.
    pub fn new() -> Self {
        Self { rho: 0.9, epsilon: 1e-6, weight_decay: 0.0 }
    }

    /// With another share of the old means, at least 0 and less than 1.
    pub fn with_rho(self, rho: f64) -> Self {
        Self { rho, ..self }
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

impl Default for Adadelta {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Float> Optimizer<F> for Adadelta {
    fn slots(&self) -> &'static [&'static str] {
        &["square_mean", "step_square_mean"]
    }

    #[inline]
    fn update(&self, step: Step<'_>, theta: &mut [F], gradient: &[F], slots: &mut [&mut [F]]) {
        let [squares, steps] = slots else { unreachable!("as many vectors as `slots` names") };
        let decay = F::of(step.weight_decay(self.weight_decay));
        let rate = F::of(step.learning_rate);
        let (rho, new, epsilon) = (F::of(self.rho), F::of(1.0 - self.rho), F::of(self.epsilon));

        let means = squares.iter_mut().zip(steps.iter_mut());
        wide(
            #[inline(always)]
            || {
                for ((theta, &gradient), (s, u)) in theta.iter_mut().zip(gradient).zip(means) {
                    let g = gradient + decay * *theta;
                    *s = rho * *s + new * g * g;
                    let delta = g * (*u + epsilon).sqrt() / (*s + epsilon).sqrt();
                    *u = rho * *u + new * delta * delta;
                    *theta -= rate * delta;
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
        // s = 0.25, u = 0, ε = 0.75: δ = √0.75 / 1; u = 0.25 · 0.75.
        let coarse = Adadelta::new().with_rho(0.75).with_epsilon(0.75);
        let first = 1.0 - 0.1 * 0.75f64.sqrt();
        assert!((descend(&coarse, 1) - first).abs() < 1e-15);
        let s: f64 = 0.75 * 0.25 + 0.25 * first * first;
        let second = first - 0.1 * first * (0.1875f64 + 0.75).sqrt() / (s + 0.75).sqrt();
        assert!((descend(&coarse, 2) - second).abs() < 1e-15);
    }
}
