//! What the layers share that give runs of numbers mean 0 and variance 1.

use std::ops::Range;

use super::sums::{column_sums, sum, sum_of_pairs};
use crate::executor::for_each_tile;
use crate::{Executor, Fans, Float, Initializer, Parameter, Role, Rows, Shape};

/// What reading a number twice and writing it costs, in multiply-adds of a matrix product: memory is slower.
pub(super) const WORK: usize = 4;

/// The factors of standardised numbers, which start at one.
pub(super) fn weight(len: usize) -> Parameter {
    vector("weight", len, Role::Weight, Initializer::Ones)
}

/// What is added to them, at first nothing.
pub(super) fn bias(len: usize) -> Parameter {
    vector("bias", len, Role::Bias, Initializer::Zeros)
}

fn vector(name: &str, len: usize, role: Role, initializer: Initializer) -> Parameter {
    let shape = Shape::vector(len).expect("an axis of a shape");
    let fans = Fans { fan_in: 1, fan_out: 1 };
    Parameter::new(name, shape, role, initializer, fans)
}

/// Mean `μ` and `ρ = 1 / √(σ² + ε)` of each run of `len` numbers of `x`, written as pairs; `σ²` is the biased variance,
/// about the mean that was found, in a second pass: no cancellation.
pub(super) fn statistics<F: Float>(
    executor: &dyn Executor<F>,
    x: &[F],
    len: usize,
    epsilon: f64,
    pairs: &mut [F],
) {
    for_each_tile(executor, pairs, 2, len * WORK, |first, pairs| {
        let runs = x[first * len..].chunks_exact(len);
        for (pair, x) in pairs.chunks_exact_mut(2).zip(runs) {
            let mean = F::of(sum(x, |x| x) / len as f64);
            let variance = sum(x, |x| (x - mean) * (x - mean)) / len as f64;
            pair[0] = mean;
            pair[1] = F::of(1.0 / (variance + epsilon).sqrt());
        }
    });
}

/// Mean and `ρ` of each run, as [`statistics`] wrote them.
#[inline]
pub(super) fn pairs<F: Float>(pairs: &[F]) -> impl Iterator<Item = (F, F)> {
    pairs.chunks_exact(2).map(|pair| (pair[0], pair[1]))
}

/// `db += Σ dy` over all rows.
pub(super) fn add_column_sums<F: Float>(executor: &dyn Executor<F>, dy: Rows<'_, F>, db: &mut [F]) {
    let (rows, width) = (dy.len(), dy.width());
    for_each_tile(executor, db, 1, rows, |first, db| {
        let add_row = |row: usize, columns: Range<usize>, sums: &mut [F]| {
            let dy = &dy.data()[row * width..][columns];
            sums.iter_mut().zip(dy).for_each(|(sum, &dy)| *sum += dy);
        };
        column_sums(rows, first..first + db.len(), add_row, |column, sum| db[column - first] += F::of(sum));
    });
}

/// `dw += Σ dy ⊙ (x - μ) ρ` over all rows, each with its `μ` and `ρ` in `stats(row)`.
pub(super) fn add_weight_gradient<F: Float>(
    executor: &dyn Executor<F>,
    x: Rows<'_, F>,
    dy: Rows<'_, F>,
    stats: impl Fn(usize) -> (F, F) + Sync,
    dw: &mut [F],
) {
    let (rows, width) = (dy.len(), dy.width());
    for_each_tile(executor, dw, 1, 2 * rows, |first, dw| {
        let add_row = |row: usize, columns: Range<usize>, sums: &mut [F]| {
            let (mean, rho) = stats(row);
            let (x, dy) = (&x.data()[row * width..][columns.clone()], &dy.data()[row * width..][columns]);
            for ((sum, &x), &dy) in sums.iter_mut().zip(x).zip(dy) {
                *sum += dy * ((x - mean) * rho);
            }
        };
        column_sums(rows, first..first + dw.len(), add_row, |column, sum| dw[column - first] += F::of(sum));
    });
}

/// The sums over a run that the gradient of standardised numbers needs: `Σ dy` and `Σ dy (x - μ)`.
#[inline]
pub(super) fn gradient_sums<F: Float>(x: &[F], dy: &[F], mean: F) -> (f64, f64) {
    (sum(dy, |dy| dy), sum_of_pairs(x, dy, |x, dy| dy * (x - mean)))
}
