//! Rprop: steps that grow while the gradient keeps its sign.

use chainrule_core::Float;
use chainrule_core::simd::wide;

use super::{Optimizer, Rates, Step, sign};
use crate::Error;

/// `θ <- θ - d sign g`, with PyTorch's formulas and defaults.
///
/// # Update
/// With the gradient `g` of the loss over the whole training set, the one `p` of the step before (zero at first) and a
/// length `d` for every parameter, the learning rate at first (Riedmiller & Braun, 1993; without backtracking, as PyTorch
/// and Igel & Hüsken's iRprop⁻, 2000):
/// ```text
/// g p > 0:  d <- min(d η₊, largest)              the same way: longer
/// g p < 0:  d <- max(d η₋, smallest),  g <- 0    a minimum was passed: shorter, and no step
/// θ <- θ - d sign g
/// p <- g
/// ```
/// Only signs are read, so gradients of very different sizes do no harm; noise does, as it turns signs: the batch should
/// be the whole training set. After the first step the learning rate means nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rprop {
    eta_minus: f64,
    eta_plus: f64,
    smallest: f64,
    largest: f64,
}

impl Rprop {
    /// Rprop with factors 0.5 and 1.2, and steps from 1e-6 to 50.
    pub fn new() -> Self {
        Self { eta_minus: 0.5, eta_plus: 1.2, smallest: 1e-6, largest: 50.0 }
    }

    /// With other factors: of a turn, between 0 and 1, and of none, greater than 1.
    pub fn with_etas(self, eta_minus: f64, eta_plus: f64) -> Self {
        Self { eta_minus, eta_plus, ..self }
    }

    /// With other limits of a step, both greater than 0.
    ///
    /// # Errors
    /// [`Error::Optimizer`] if the smallest is greater than the largest.
    pub fn with_step_sizes(self, smallest: f64, largest: f64) -> Result<Self, Error> {
        if smallest > largest {
            return Err(Error::Optimizer("the smallest step is longer than the largest"));
        }
        Ok(Self { smallest, largest, ..self })
    }
}

impl Default for Rprop {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Float> Optimizer<F> for Rprop {
    fn slots(&self) -> &'static [&'static str] {
        &["step_size", "gradient_before"]
    }

    fn rates(&self) -> Rates {
        Rates::First
    }

    #[inline]
    fn update(&self, step: Step<'_>, theta: &mut [F], gradient: &[F], slots: &mut [&mut [F]]) {
        let [sizes, before] = slots else { unreachable!("as many vectors as `slots` names") };
        if step.is_first() {
            sizes.fill(F::of(step.learning_rate));
        }
        let (zero, one) = (F::zero(), F::one());
        let (shorter, longer) = (F::of(self.eta_minus), F::of(self.eta_plus));
        let (smallest, largest) = (F::of(self.smallest), F::of(self.largest));

        let memory = sizes.iter_mut().zip(before.iter_mut());
        wide(
            #[inline(always)]
            || {
                for ((theta, &g), (d, p)) in theta.iter_mut().zip(gradient).zip(memory) {
                    // The product of the signs: that of small gradients would be zero.
                    let turn = sign(g) * sign(*p);
                    let factor = if turn > zero { longer } else { one };
                    let factor = if turn < zero { shorter } else { factor };
                    let g = if turn < zero { zero } else { g };
                    *d = (*d * factor).max(smallest).min(largest);
                    *theta -= *d * sign(g);
                    *p = g;
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
    fn lengthens_steps_that_go_on_and_waits_after_a_turn() {
        // 0.1, 0.12, 0.144.
        assert!((descend(&Rprop::new(), 3) - (1.0 - 0.364)).abs() < 1e-15);
        // Past 0.95 the slope turns: no step, then half of 0.1 back.
        let slope = |theta: f64| theta - 0.95;
        assert!((follow(&Rprop::new(), 2, slope) - 0.9).abs() < 1e-15);
        assert!((follow(&Rprop::new(), 3, slope) - 0.95).abs() < 1e-15);
    }

    #[test]
    fn keeps_steps_within_their_limits() {
        let limited = Rprop::new().with_step_sizes(1e-6, 0.11).unwrap();
        assert!((descend(&limited, 3) - (1.0 - 0.32)).abs() < 1e-15);
        assert!(Rprop::new().with_step_sizes(2.0, 1.0).is_err());
    }

    #[test]
    fn sees_signs_of_gradients_whose_product_is_zero() {
        assert!((follow(&Rprop::new(), 2, |_| 1e-200) - (1.0 - 0.22)).abs() < 1e-15);
    }
}
