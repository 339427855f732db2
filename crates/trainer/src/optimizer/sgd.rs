//! Stochastic gradient descent, the notebook's optimiser.

use chainrule_core::Float;
use chainrule_core::simd::wide;

use super::{Optimizer, Step};
use crate::Error;

/// `θ <- θ - η g`, with PyTorch's momentum and weight decay.
///
/// # Update
/// With the gradient `dθ` of the mean loss of the batch, learning rate `η`, momentum `µ`, weight decay `λ`:
/// ```text
/// g = dθ + λ θ                       the gradient of L + λ/2 |θ|²
/// v <- µ v + g                       velocity, zero at first; the learning rate stays outside
/// θ <- θ - η v                       heavy ball (Polyak, 1964)
/// θ <- θ - η (g + µ v)               with nesterov (Sutskever et al., 2013, as PyTorch writes it)
/// ```
/// Without momentum no velocity is kept: `θ <- θ - η g`, the notebook's `w1 -= learning_rate * ...`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    momentum: f64,
    weight_decay: f64,
    nesterov: bool,
}

impl Sgd {
    /// Plain gradient descent.
    pub fn new() -> Self {
        Self { momentum: 0.0, weight_decay: 0.0, nesterov: false }
    }

    /// With heavy-ball momentum.
    pub fn with_momentum(self, momentum: f64) -> Self {
        Self { momentum, ..self }
    }

    /// With Nesterov's look ahead.
    ///
    /// # Errors
    /// [`Error::Optimizer`] without momentum, as in PyTorch: there is nothing to look along.
    pub fn with_nesterov(self) -> Result<Self, Error> {
        if self.momentum == 0.0 {
            return Err(Error::Optimizer("nesterov needs a momentum greater than 0"));
        }
        Ok(Self { nesterov: true, ..self })
    }

    /// With weight decay.
    pub fn with_weight_decay(self, weight_decay: f64) -> Self {
        Self { weight_decay, ..self }
    }
}

impl Default for Sgd {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Float> Optimizer<F> for Sgd {
    fn slots(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["velocity"] }
    }

    #[inline]
    fn update(&self, step: Step<'_>, theta: &mut [F], gradient: &[F], slots: &mut [&mut [F]]) {
        let rate = F::of(step.learning_rate);
        let decay = F::of(step.weight_decay(self.weight_decay));
        match slots.first_mut() {
            Some(velocity) => self.with_velocity((rate, decay), theta, gradient, velocity),
            None if decay == F::zero() => plain(rate, theta, gradient),
            None => with_decay((rate, decay), theta, gradient),
        }
    }
}

impl Sgd {
    #[inline(never)] // Or the shortest way pays for this one's frame.
    fn with_velocity<F: Float>(
        &self,
        (rate, decay): (F, F),
        theta: &mut [F],
        gradient: &[F],
        velocity: &mut [F],
    ) {
        let momentum = F::of(self.momentum);
        wide(
            #[inline(always)]
            || {
                for ((theta, &gradient), velocity) in theta.iter_mut().zip(gradient).zip(velocity.iter_mut())
                {
                    let g = gradient + decay * *theta;
                    *velocity = momentum * *velocity + g;
                    *theta -= rate * if self.nesterov { g + momentum * *velocity } else { *velocity };
                }
            },
        );
    }
}

#[inline(never)]
fn with_decay<F: Float>((rate, decay): (F, F), theta: &mut [F], gradient: &[F]) {
    for (theta, &gradient) in theta.iter_mut().zip(gradient) {
        *theta -= rate * (gradient + decay * *theta);
    }
}

/// `θ <- θ - η g`.
#[inline(always)]
fn plain<F: Float>(rate: F, theta: &mut [F], gradient: &[F]) {
    for (theta, &gradient) in theta.iter_mut().zip(gradient) {
        *theta -= rate * gradient;
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::descend;
    use super::*;

    #[test]
    fn follows_the_formulas_by_hand() {
        assert_eq!(descend(&Sgd::new(), 2), 0.9 * 0.9);
        // v1 = 1, θ1 = 0.9; v2 = 0.5 + 0.9 = 1.4, θ2 = 0.76.
        assert!((descend(&Sgd::new().with_momentum(0.5), 2) - 0.76).abs() < 1e-15);
        // θ1 = 1 - 0.1 (1 + 0.5) = 0.85; v2 = 0.5 + 0.85 = 1.35, θ2 = 0.85 - 0.1 (0.85 + 0.675) = 0.6975.
        let nesterov = Sgd::new().with_momentum(0.5).with_nesterov().unwrap();
        assert!((descend(&nesterov, 2) - 0.6975).abs() < 1e-15);
        // g = 1 + 0.5, θ1 = 0.85.
        assert!((descend(&Sgd::new().with_weight_decay(0.5), 1) - 0.85).abs() < 1e-15);
    }

    #[test]
    fn refuses_nesterov_without_momentum() {
        assert!(Sgd::new().with_nesterov().is_err());
    }
}
