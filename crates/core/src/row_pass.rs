//! A small network and its loss, ready for one row after the other.

use crate::affine::Row;
use crate::layers::flat::{Flat, RowLoss};
use crate::{Float, OutputLoss, Targets, Total};

/// The loss of one row and its gradient, for an [`Objective`](crate::Objective) whose network is a short chain of small
/// dense layers: what a step does before its first sum is done once for many.
#[derive(Debug)]
pub struct RowPass<'a, F> {
    flat: &'a Flat<F>,
    output: &'a OutputLoss<F>,
    /// How many terms the loss of a row has.
    terms: f64,
    /// The factor of the gradient of their sum.
    scale: F,
    tape: &'a mut [F],
}

impl<'a, F: Float> RowPass<'a, F> {
    /// `flat` judged by `output`, with that many terms a row; `tape` is as long as `flat` needs.
    pub(crate) fn new(
        flat: &'a Flat<F>,
        (output, terms): (&'a OutputLoss<F>, f64),
        tape: &'a mut [F],
    ) -> Self {
        Self { flat, output, terms, scale: F::of(output.weight / terms), tape }
    }

    /// The loss of the row `x`, weighted; writes the gradient of its mean to `dtheta`. Small dense layers need no
    /// [`Ctx`](crate::Ctx): nothing in them is random, kept, or shared out.
    ///
    /// # Panics
    /// If a slice is shorter than the network says, or `targets` are not those of one output and one row.
    #[inline(always)]
    pub fn gradient(&mut self, theta: &[F], x: &[F], targets: Targets<'_, F>, dtheta: &mut [F]) -> Total {
        let own = self.total(theta, x, targets, dtheta);
        self.output.weighted(own)
    }

    /// The loss before it is weighted.
    #[inline(always)]
    pub(crate) fn total(&mut self, theta: &[F], x: &[F], targets: Targets<'_, F>, dtheta: &mut [F]) -> Total {
        let Self { flat, output, terms, scale, tape } = self;
        let loss = RowLoss { loss: output.loss.as_ref(), targets, scale: *scale };
        let sum = flat.gradient(x, &mut Row { theta, tape, dtheta }, &loss);
        Total { sum, terms: *terms }
    }

    /// The gradient by the row that was last gone through, to `dx`.
    pub(crate) fn input_gradient(&mut self, theta: &[F], dx: &mut [F]) {
        self.flat.input_gradient(theta, self.tape, dx);
    }
}
