//! The gradient of several batches as that of one.

use chainrule_core::Float;

/// A weighted sum of the gradients of several batches.
///
/// # Formula
/// With `gᵢ` the gradient of the mean over the `nᵢ` terms of batch `i`, the gradient of the mean over all terms is
/// ```text
/// g = Σᵢ nᵢ gᵢ / Σᵢ nᵢ
/// ```
/// the same as that of one large batch, except for statistics over a batch, which stay those of each small one, and for
/// several outputs that skip different padding, whose terms are counted together.
#[derive(Debug)]
pub(crate) struct Accumulated<F> {
    sum: Vec<F>,
}

impl<F: Float> Accumulated<F> {
    /// An empty sum for so many parameters.
    pub(crate) fn new(parameters: usize) -> Self {
        Self { sum: vec![F::zero(); parameters] }
    }

    /// Takes the gradient of the mean over `terms` terms.
    pub(crate) fn add(&mut self, gradient: &[F], terms: f64) {
        let terms = F::of(terms);
        for (sum, &gradient) in self.sum.iter_mut().zip(gradient) {
            *sum += terms * gradient;
        }
    }

    /// Writes the gradient of the mean over all `terms` terms and empties the sum.
    pub(crate) fn take_mean(&mut self, gradient: &mut [F], terms: f64) {
        // Nothing but padding has no terms, and no gradient.
        let share = F::of(if terms > 0.0 { 1.0 / terms } else { 0.0 });
        for (sum, gradient) in self.sum.iter_mut().zip(gradient) {
            *gradient = share * *sum;
            *sum = F::zero();
        }
    }
}
