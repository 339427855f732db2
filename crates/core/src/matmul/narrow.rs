//! Products with a short side, as loops over the long one: the kernel works on squares, and copies what it reads first.

use std::ops::Range;

use super::{add_scaled, dot};
use crate::simd::{FusedWork, MAX_LANES, Vectors, wide};
use crate::{Float, Rows, RowsMut};

/// Rows, columns or terms up to which these loops are faster than the kernel.
const NARROW: usize = 4;

/// Multiply-adds above which the kernel is worth its copies even then.
const NARROW_WORK: usize = 1 << 14;

/// Whether a product `[n, k] · [k, m]` is one for these loops. One row is, whatever its length: the kernel would copy
/// the whole weight for it.
#[inline]
pub(super) fn is_narrow(n: usize, k: usize, m: usize) -> bool {
    n == 1 || n.min(k).min(m) <= NARROW && n * k * m <= NARROW_WORK
}

/// `y += x wᵀ` as [`add_x_wt`](super::add_x_wt).
pub(super) fn add_x_wt<F: Float>(x: Rows<'_, F>, w: Rows<'_, F>, y: RowsMut<'_, F>) {
    F::fused(Sums { x, w, y });
}

struct Sums<'a, F> {
    x: Rows<'a, F>,
    w: Rows<'a, F>,
    y: RowsMut<'a, F>,
}

impl<F: Float> FusedWork<F> for Sums<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vectors<F>>(self, vectors: V) {
        let Self { x, w, mut y } = self;
        for (x, y) in x.iter().zip(y.iter_mut()) {
            let (y, w) = add_sums::<F, V, 8>(vectors, w.data(), x, y);
            let (y, w) = add_sums::<F, V, 2>(vectors, w, x, y);
            add_sums::<F, V, 1>(vectors, w, x, y);
        }
    }
}

/// Adds the sums of `N` rows of `w` at a time, which do not wait for each other; gives what is left of both.
#[inline(always)]
fn add_sums<'a, F: Float, V: Vectors<F>, const N: usize>(
    vectors: V,
    w: &'a [F],
    x: &[F],
    y: &'a mut [F],
) -> (&'a mut [F], &'a [F]) {
    let (blocks, rest) = y.as_chunks_mut::<N>();
    let (own, rest_w) = w.split_at(blocks.len() * N * x.len());
    for (y, w) in blocks.iter_mut().zip(own.chunks_exact(N * x.len())) {
        let rows = std::array::from_fn(|row| &w[row * x.len()..][..x.len()]);
        let sums: [F; N] = dots(vectors, rows, x);
        y.iter_mut().zip(sums).for_each(|(y, sum)| *y += sum);
    }
    (rest, rest_w)
}

/// `Σ w_i x_i` of several `w`, in an order that the length and the machine decide.
#[inline(always)]
fn dots<F: Float, V: Vectors<F>, const N: usize>(vectors: V, w: [&[F]; N], x: &[F]) -> [F; N] {
    let whole = vectors.split(x);
    let rows = w.map(|w| &vectors.split(w)[..whole.len()]);
    let mut sums = [vectors.splat(F::zero()); N];
    for (at, &x) in whole.iter().enumerate() {
        for (sum, row) in sums.iter_mut().zip(&rows) {
            *sum = vectors.mul_add(row[at], x, *sum);
        }
    }
    let start = whole.len() * V::LANES;
    std::array::from_fn(|row| {
        let mut lanes = [F::zero(); MAX_LANES];
        vectors.split_mut(&mut lanes)[0] = sums[row];
        lanes.into_iter().sum::<F>() + dot(&w[row][start..], &x[start..])
    })
}

/// `dx = dz w` as [`dz_w`](super::dz_w).
pub(super) fn dz_w<F: Float>(dz: Rows<'_, F>, w: Rows<'_, F>, dx: RowsMut<'_, F>) {
    wide(
        #[inline(always)]
        || dz_w_by_rows(dz, w, dx),
    );
}

/// The same without a choice of instructions, for products of a few numbers.
#[inline(always)]
pub(super) fn dz_w_by_rows<F: Float>(dz: Rows<'_, F>, w: Rows<'_, F>, mut dx: RowsMut<'_, F>) {
    for (dz, dx) in dz.iter().zip(dx.iter_mut()) {
        dx.fill(F::zero());
        for (&dz, w) in dz.iter().zip(w.iter()) {
            add_scaled(dz, w, dx);
        }
    }
}

/// `dw += dzᵀ x` as [`add_dzt_x`](super::add_dzt_x).
pub(super) fn add_dzt_x<F: Float>(
    dz: Rows<'_, F>,
    outputs: Range<usize>,
    x: Rows<'_, F>,
    dw: RowsMut<'_, F>,
) {
    wide(
        #[inline(always)]
        || add_dzt_x_by_rows(dz, outputs, x, dw),
    );
}

/// The same without a choice of instructions.
#[inline(always)]
pub(super) fn add_dzt_x_by_rows<F: Float>(
    dz: Rows<'_, F>,
    outputs: Range<usize>,
    x: Rows<'_, F>,
    mut dw: RowsMut<'_, F>,
) {
    for (dz, x) in dz.iter().zip(x.iter()) {
        for (&dz, dw) in dz[outputs.clone()].iter().zip(dw.iter_mut()) {
            add_scaled(dz, x, dw);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Separate;

    /// All blocks of rows, and lengths with and without what is left of a vector, on both paths.
    #[test]
    fn sums_of_every_block_equal_their_definition() {
        for (m, k) in [(1, 1), (3, 5), (8, 8), (11, 16), (21, 39)] {
            let numbers = |len: usize, seed: usize| -> Vec<f64> {
                (0..len).map(|i| ((i * 7 + seed * 13) % 23) as f64 / 7.0 - 1.5).collect()
            };
            let (x, w) = (numbers(2 * k, 1), numbers(m * k, 2));
            let (mut fused, mut separate) = (vec![0.5; 2 * m], vec![0.5; 2 * m]);
            let (x_rows, w_rows) = (Rows::new(&x, k), Rows::new(&w, k));
            add_x_wt(x_rows, w_rows, RowsMut::new(&mut fused, m));
            Sums { x: x_rows, w: w_rows, y: RowsMut::new(&mut separate, m) }.run(Separate);
            for at in 0..2 * m {
                let (i, j) = (at / m, at % m);
                let expected = 0.5 + (0..k).map(|l| x[i * k + l] * w[j * k + l]).sum::<f64>();
                assert!((fused[at] - expected).abs() < 1e-12, "{m} {k}: y[{i}, {j}]");
                assert!((separate[at] - expected).abs() < 1e-12, "{m} {k}: y[{i}, {j}]");
            }
        }
    }
}
