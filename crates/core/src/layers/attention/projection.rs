//! The projections before and behind the heads: where they lie, and their products over the whole batch.

use super::heads::Part;
use crate::executor::for_each_tile;
use crate::{Executor, Float, Rows, RowsMut, matmul};

/// The projections of one input: one, two or all of `Q`, `K`, `V`, side by side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Projection {
    /// Positions of the input.
    pub(super) positions: usize,
    /// The first row of `W`.
    pub(super) first: usize,
    /// Columns of the projection, rows of `W`.
    pub(super) width: usize,
    /// Numbers of the projections of a sample before it.
    pub(super) start: usize,
}

impl Projection {
    /// Numbers a sample.
    pub(super) fn len(&self) -> usize {
        self.positions.saturating_mul(self.width)
    }

    /// Those of the batch, among those of all inputs.
    #[inline]
    pub(super) fn of<'a, F>(&self, projections: &'a [F], rows: usize) -> &'a [F] {
        &projections[self.start * rows..(self.start + self.len()) * rows]
    }

    #[inline]
    pub(super) fn of_mut<'a, F>(&self, projections: &'a mut [F], rows: usize) -> &'a mut [F] {
        &mut projections[self.start * rows..(self.start + self.len()) * rows]
    }

    /// Its rows of the input projection's weight.
    #[inline]
    pub(super) fn weight<'a, F>(&self, in_weight: Rows<'a, F>) -> Rows<'a, F> {
        in_weight.slice(self.first, self.width)
    }
}

/// One of `Q`, `K`, `V` of the sample `sample`.
#[inline]
pub(super) fn part<F>(
    (own, offset): (Projection, usize),
    projections: &[F],
    rows: usize,
    sample: usize,
) -> Part<'_, F> {
    let data = &own.of(projections, rows)[sample * own.len()..(sample + 1) * own.len()];
    Part { data, stride: own.width, offset }
}

/// The numbers of the sample `sample`, of which each has `len`.
#[inline]
pub(super) fn sample_of<F>(data: &[F], len: usize, sample: usize) -> &[F] {
    &data[sample * len..(sample + 1) * len]
}

/// `z = x Wᵀ + b`; no `b` is zero.
pub(super) fn affine_forward<F: Float>(
    executor: &dyn Executor<F>,
    w: Rows<'_, F>,
    b: &[F],
    x: Rows<'_, F>,
    z: &mut [F],
) {
    let width = w.len();
    for_each_tile(executor, z, width, width * w.width(), |first, z| {
        if b.is_empty() {
            z.fill(F::zero());
        } else {
            z.chunks_exact_mut(width).for_each(|z| z.copy_from_slice(b));
        }
        matmul::add_x_wt(x.slice(first, z.len() / width), w, RowsMut::new(z, width));
    });
}

/// `dx = dz W`.
pub(super) fn affine_backward<F: Float>(
    executor: &dyn Executor<F>,
    w: Rows<'_, F>,
    dz: Rows<'_, F>,
    dx: &mut [F],
) {
    let width = w.width();
    for_each_tile(executor, dx, width, width * w.len(), |first, dx| {
        matmul::dz_w(dz.slice(first, dx.len() / width), w, RowsMut::new(dx, width));
    });
}

/// `dW += dzᵀ x` and `db += Σ_rows dz`; an empty `db` is none.
pub(super) fn affine_accumulate<F: Float>(
    executor: &dyn Executor<F>,
    dz: Rows<'_, F>,
    x: Rows<'_, F>,
    dw: &mut [F],
    db: &mut [F],
) {
    let width = x.width();
    for_each_tile(executor, dw, width, x.data().len(), |first, dw| {
        let outputs = first..first + dw.len() / width;
        matmul::add_dzt_x(dz, outputs, x, RowsMut::new(dw, width));
    });
    if !db.is_empty() {
        for dz in dz.iter() {
            db.iter_mut().zip(dz).for_each(|(db, &dz)| *db += dz);
        }
    }
}
