//! RMSprop: a step divided by the running root mean square of the gradient.

use chainrule_core::Float;
use chainrule_core::simd::wide;

use super::{Optimizer, Step};

/// `θ <- θ - η g / (√s + ε)`, with PyTorch's formulas and defaults.
///
/// # Update
/// With the gradient `dθ` of the mean loss of the batch, learning rate `η`, weight decay `λ`, momentum `µ` (Hinton,
/// lecture 6e, 2012; centred: Graves, 2013):
/// ```text
/// g = dθ + λ θ                       the gradient of L + λ/2 |θ|²
/// s <- ρ s + (1 - ρ) g²              mean of the square, zero at first, not corrected
/// a <- ρ a + (1 - ρ) g               with centered: mean of the gradient
/// d = √s + ε                         centered: √(s - a²) + ε, the gradient's standard deviation
/// θ <- θ - η g / d
/// u <- µ u + g / d,  θ <- θ - η u    with momentum
/// ```
/// `s - a²` is a variance and never negative, except by rounding: then it is taken for zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    rho: f64,
    epsilon: f64,
    momentum: f64,
    weight_decay: f64,
    centered: bool,
}

impl RmsProp {
    /// RMSprop with ρ = 0.99, ε = 1e-8, no momentum and no weight decay.
    pub fn new() -> Self {
        Self { rho: 0.99, epsilon: 1e-8, momentum: 0.0, weight_decay: 0.0, centered: false }
    }

    /// With another share of the old mean, at least 0 and less than 1.
    pub fn with_rho(self, rho: f64) -> Self {
        Self { rho, ..self }
    }

    /// With another `ε`.
    pub fn with_epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    /// With momentum.
    pub fn with_momentum(self, momentum: f64) -> Self {
        Self { momentum, ..self }
    }

    /// With weight decay.
    pub fn with_weight_decay(self, weight_decay: f64) -> Self {
        Self { weight_decay, ..self }
    }

    /// Divided by the standard deviation in place of the root mean square.
    pub fn centered(self) -> Self {
        Self { centered: true, ..self }
    }

    /// The loop over numbers, compiled once for each of the four kinds; slices that a kind does not have are empty.
    #[inline(always)]
    fn apply<F: Float, const CENTERED: bool, const MOMENTUM: bool>(
        &self,
        step: Step<'_>,
        numbers: Numbers<'_, F>,
    ) {
        let Numbers { theta, gradient, square, mean, velocity } = numbers;
        let count = theta.len();
        let (gradient, square) = (&gradient[..count], &mut square[..count]);
        let rate = F::of(step.learning_rate);
        let decay = F::of(step.weight_decay(self.weight_decay));
        let (rho, new) = (F::of(self.rho), F::of(1.0 - self.rho));
        let (epsilon, momentum) = (F::of(self.epsilon), F::of(self.momentum));
        let (mean, velocity) = (
            if CENTERED { &mut mean[..count] } else { mean },
            if MOMENTUM { &mut velocity[..count] } else { velocity },
        );
        for i in 0..count {
            let g = gradient[i] + decay * theta[i];
            square[i] = rho * square[i] + new * g * g;
            let mut variance = square[i];
            if CENTERED {
                mean[i] += new * (g - mean[i]);
                variance = (variance - mean[i] * mean[i]).max(F::zero());
            }
            let mut along = g / (variance.sqrt() + epsilon);
            if MOMENTUM {
                along += momentum * velocity[i];
                velocity[i] = along;
            }
            theta[i] -= rate * along;
        }
    }
}

/// The numbers of a range.
struct Numbers<'a, F> {
    theta: &'a mut [F],
    gradient: &'a [F],
    square: &'a mut [F],
    mean: &'a mut [F],
    velocity: &'a mut [F],
}

impl Default for RmsProp {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Float> Optimizer<F> for RmsProp {
    fn slots(&self) -> &'static [&'static str] {
        match (self.centered, self.momentum != 0.0) {
            (false, false) => &["square_mean"],
            (true, false) => &["square_mean", "mean"],
            (false, true) => &["square_mean", "velocity"],
            (true, true) => &["square_mean", "mean", "velocity"],
        }
    }

    #[inline]
    fn update(&self, step: Step<'_>, theta: &mut [F], gradient: &[F], slots: &mut [&mut [F]]) {
        let none = || -> &mut [F] { &mut [] };
        match (self.centered, slots) {
            (false, [square]) => {
                let numbers = Numbers { theta, gradient, square, mean: none(), velocity: none() };
                wide(
                    #[inline(always)]
                    || self.apply::<F, false, false>(step, numbers),
                );
            }
            (true, [square, mean]) => {
                let numbers = Numbers { theta, gradient, square, mean, velocity: none() };
                wide(
                    #[inline(always)]
                    || self.apply::<F, true, false>(step, numbers),
                );
            }
            (false, [square, velocity]) => {
                let numbers = Numbers { theta, gradient, square, mean: none(), velocity };
                wide(
                    #[inline(always)]
                    || self.apply::<F, false, true>(step, numbers),
                );
            }
            (true, [square, mean, velocity]) => {
                let numbers = Numbers { theta, gradient, square, mean, velocity };
                wide(
                    #[inline(always)]
                    || self.apply::<F, true, true>(step, numbers),
                );
            }
            _ => unreachable!("as many vectors as `slots` names"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::descend;
    use super::*;

    #[test]
    fn follows_the_formulas_by_hand() {
        let quick = RmsProp::new().with_rho(0.75);
        // s = 0.25, √s = 0.5: θ = 1 - 0.1 · 1 / 0.5.
        assert!((descend(&quick, 1) - 0.8).abs() < 1e-8);
        // a = 0.25, s - a² = 0.1875.
        assert!((descend(&quick.centered(), 1) - (1.0 - 0.1 / 0.1875f64.sqrt())).abs() < 1e-7);
        // g = 1.5, s = 0.5625, √s = 0.75: the decay cancels in the first step.
        assert!((descend(&quick.with_weight_decay(0.5), 1) - 0.8).abs() < 1e-8);
        // u1 = 2, θ1 = 0.8; s2 = 0.1875 + 0.16 = 0.3475, u2 = 0.5 · 2 + 0.8 / √0.3475.
        let expected = 0.8 - 0.1 * (1.0 + 0.8 / 0.3475f64.sqrt());
        assert!((descend(&quick.with_momentum(0.5), 2) - expected).abs() < 1e-7);
    }

    #[test]
    fn takes_a_variance_that_rounding_made_negative_for_zero() {
        let rms = RmsProp::new().centered().with_rho(0.1);
        let (mut theta, gradient) = ([0.0f32], [1.1f32]);
        let (mut square, mut mean) = ([0.0f32], [0.0f32]);
        for number in 1..=50 {
            let step = Step { number, learning_rate: 1e-9, decays: true, weight_decay: None, numbers: &[] };
            rms.update(step, &mut theta, &gradient, &mut [&mut square, &mut mean]);
            assert!(theta[0].is_finite(), "step {number}");
        }
    }
}
