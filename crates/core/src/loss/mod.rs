//! Losses: how far outputs are from targets, as a sum and its number of terms.
//!
//! A loss never divides by the batch: it gives a sum, and whoever knows the batch divides once by the number of terms.
//! So losses and gradients of parts of a data set add up to those of the whole.

use std::fmt;

use crate::simd::{WORTH_WIDE, wide};
use crate::{Float, Formula, Rows, RowsMut, Rule};

/// A distance between outputs `y` and targets, summed over its terms.
///
/// Implement [`Pointwise`] instead if every term compares one output with one target: it is two scalar functions, and
/// this trait comes for free.
pub trait Loss<F: Float>: fmt::Debug + Send + Sync {
    /// What it compares outputs with.
    fn target_kind(&self) -> TargetKind;

    /// The number of terms that the sum over outputs `y` has, which depends on how many they are and not on what they are.
    fn terms(&self, y: Rows<'_, F>) -> f64;

    /// The sum of the terms.
    fn value(&self, y: Rows<'_, F>, targets: Targets<'_, F>) -> f64;

    /// Writes `dy = scale * d(sum)/dy` and returns the sum.
    fn gradient(&self, y: Rows<'_, F>, targets: Targets<'_, F>, scale: F, dy: RowsMut<'_, F>) -> f64;

    /// The same for one row of one output `y` and its target, a number: the sum, and `dy`. The default is right for every
    /// loss that compares numbers; another has to give the same bits.
    fn gradient_of_one(&self, y: F, target: F, scale: F) -> (f64, F) {
        let mut dy = [F::zero()];
        let targets = Targets::Values(Rows::one(std::slice::from_ref(&target)));
        let sum = self.gradient(Rows::one(&[y]), targets, scale, RowsMut::one(&mut dy));
        (sum, dy[0])
    }

    /// One term `l`, its derivative, and how both make the loss `L` and `dy`, as text.
    fn rule(&self) -> Rule;
}

/// One term of a loss that compares number with number.
pub trait Pointwise: fmt::Debug + Send + Sync {
    /// The term for output `y` and target `t`.
    fn value<F: Float>(&self, y: F, t: F) -> F;

    /// Its derivative by `y`. At a kink, a value between the one-sided derivatives.
    fn derivative<F: Float>(&self, y: F, t: F) -> F;

    /// `scale` times the derivative. The default is right for every loss; another has to give the same bits.
    #[inline(always)]
    fn scaled_derivative<F: Float>(&self, scale: F, y: F, t: F) -> F {
        scale * self.derivative(y, t)
    }

    /// Both as text, in `y` and `t`.
    fn formula(&self) -> Formula;
}

/// Terms that are computed before they are added.
const PIECE: usize = 64;

/// The sum of all terms in their order. A sum in an order keeps the loop that it stands in from running in vectors, so
/// the terms have a loop of their own.
#[inline(always)]
fn sum_of_terms<F: Float, P: Pointwise>(loss: &P, y: &[F], t: &[F]) -> f64 {
    let (mut terms, mut sum) = ([F::zero(); PIECE], 0.0);
    for (y, t) in y.chunks(PIECE).zip(t.chunks(PIECE)) {
        let terms = &mut terms[..y.len()];
        for ((term, &y), &t) in terms.iter_mut().zip(y).zip(t) {
            *term = loss.value(y, t);
        }
        for term in terms {
            sum += term.as_f64();
        }
    }
    sum
}

/// The sum of one term, and `dy`.
#[inline(always)]
fn term<F: Float, P: Pointwise>(loss: &P, y: F, t: F, scale: F) -> (f64, F) {
    // From 0 on, as every sum: a term may be a negative zero.
    (0.0 + loss.value(y, t).as_f64(), loss.scaled_derivative(scale, y, t))
}

/// What [`Loss::gradient`] does, with the same bits, for terms of which no vector is made.
#[inline(always)]
fn gradient_of_few<F: Float, P: Pointwise>(loss: &P, y: &[F], t: &[F], scale: F, dy: &mut [F]) -> f64 {
    let mut sum = 0.0;
    for ((dy, &y), &t) in dy.iter_mut().zip(y).zip(t) {
        let (value, gradient) = term(loss, y, t, scale);
        *dy = gradient;
        sum += value;
    }
    sum
}

/// The same for many.
#[inline(never)] // Or few pay for its frame.
fn gradient_of_many<F: Float, P: Pointwise>(loss: &P, y: &[F], t: &[F], scale: F, dy: &mut [F]) -> f64 {
    wide(
        #[inline(always)]
        || {
            for ((dy, &y), &t) in dy.iter_mut().zip(y).zip(t) {
                *dy = loss.scaled_derivative(scale, y, t);
            }
            sum_of_terms(loss, y, t)
        },
    )
}

impl<F: Float, P: Pointwise> Loss<F> for P {
    fn target_kind(&self) -> TargetKind {
        TargetKind::Values
    }

    fn terms(&self, y: Rows<'_, F>) -> f64 {
        y.data().len() as f64
    }

    fn value(&self, y: Rows<'_, F>, targets: Targets<'_, F>) -> f64 {
        wide(
            #[inline(always)]
            || sum_of_terms(self, y.data(), targets.values().data()),
        )
    }

    fn gradient(&self, y: Rows<'_, F>, targets: Targets<'_, F>, scale: F, dy: RowsMut<'_, F>) -> f64 {
        let (y, t, dy) = (y.data(), targets.values().data(), dy.into_data());
        if y.len() >= WORTH_WIDE {
            return gradient_of_many(self, y, t, scale, dy);
        }
        wide(
            #[inline(always)]
            move || gradient_of_few(self, y, t, scale, dy),
        )
    }

    fn gradient_of_one(&self, y: F, target: F, scale: F) -> (f64, F) {
        wide(
            #[inline(always)]
            move || term(self, y, target, scale),
        )
    }

    fn rule(&self) -> Rule {
        let Formula { value, derivative } = self.formula();
        Rule {
            function: format!("L = 1/K Σ_i l_i,  l = {value}"),
            derivative: format!("dl/dy = {derivative}"),
            gradient: "dy = 1/K dl/dy,  K the number of outputs".into(),
            slope: None,
        }
    }
}

mod binary_cross_entropy;
mod cross_entropy;
mod hinge;
mod huber;
mod kl_divergence;
mod mae;
mod masked;
mod mse;
mod targets;
mod weighted;

pub use binary_cross_entropy::{BinaryCrossEntropy, BinaryCrossEntropyWithLogits};
pub use cross_entropy::CrossEntropy;
pub use hinge::Hinge;
pub use huber::Huber;
pub use kl_divergence::KlDivergence;
pub use mae::Mae;
pub use mse::Mse;
pub use targets::{TargetData, TargetKind, Targets};
pub use weighted::{OutputLoss, Weighted};

#[cfg(test)]
pub(crate) mod check;
