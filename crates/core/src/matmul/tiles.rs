//! The three products of a dense layer, cut into tiles that threads share.
//!
//! The kernel copies factors of a product into an order of its own. A tile of few rows would copy a whole weight for
//! them, so large products are cut in both directions; the sizes were measured (docs/performance.md) and are part of the
//! result, as other cuts may give other bits.

use super::Accumulate::{self, Replace};
use super::kernel::Factor::{Plain, Transposed};
use crate::executor::{Executor, MIN_TILE_WORK, for_each_tile};
use crate::{Float, Rows, RowsMut, matmul};

/// Rows of a tile of `y` and `dx`.
const ROWS: usize = 256;

/// Columns of a tile of a weight at most: twice what the kernel takes at once with AVX-512.
const WEIGHT_COLUMNS: usize = 192;

/// Rows and columns of a tile of `y` and `dx`, `columns` wide.
fn tile(columns: usize) -> [usize; 2] {
    [ROWS, quarter(columns)]
}

/// Rows and columns of a tile of a weight.
///
/// Of few rows: for each of them, a column of `dz`, the kernel reads a number from every row of `dz`, and all over again for
/// every 96 columns of the tile. Where the rows of `dz` are a power of two apart, these numbers may lie in few places of a
/// cache only and displace each other: 256 rows of 4,096 bytes fill theirs in the second cache.
fn weight_tile(rows: usize, columns: usize) -> [usize; 2] {
    [quarter(rows), even(columns, WEIGHT_COLUMNS)]
}

/// About a quarter, so that four threads find work, but thick enough for the kernel.
fn quarter(len: usize) -> usize {
    (len / 4).next_multiple_of(32).clamp(64, 128)
}

/// A length of pieces of `len`, at most `most`: the last is shorter than the others by at most 16 times their number.
fn even(len: usize, most: usize) -> usize {
    len.div_ceil(len.div_ceil(most)).next_multiple_of(16)
}

/// Whether a product `[n, k] · [k, m]` is cut into tiles of both rows and columns.
pub fn is_large(n: usize, k: usize, m: usize) -> bool {
    n >= 32 && m >= 128 && n.saturating_mul(k).saturating_mul(m) >= 8 * MIN_TILE_WORK
}

/// `y = x wᵀ`, with shapes as in [`add_x_wt`](matmul::add_x_wt).
pub fn x_wt<F: Float>(executor: &dyn Executor<F>, x: Rows<'_, F>, w: Rows<'_, F>, y: RowsMut<'_, F>) {
    F::product_in_tiles(executor, tile(y.width()), Plain(x.into()), Transposed(w.into()), Replace, y.into());
}

/// `dx = dz w` as [`dz_w`](matmul::dz_w).
pub fn dz_w<F: Float>(executor: &dyn Executor<F>, dz: Rows<'_, F>, w: Rows<'_, F>, mut dx: RowsMut<'_, F>) {
    if is_large(dz.len(), dz.width(), w.width()) {
        let tile = tile(w.width());
        return F::product_in_tiles(executor, tile, Plain(dz.into()), Plain(w.into()), Replace, dx.into());
    }
    let width = w.width();
    for_each_tile(executor, dx.data(), width, w.data().len(), |first, dx| {
        // A whole product knows its rows without a division.
        let rows = if dx.len() == dz.len() * width { dz.len() } else { dx.len() / width };
        matmul::dz_w(dz.slice(first, rows), w, RowsMut::counted(dx, rows, width));
    });
}

/// `dw += dzᵀ x` as [`add_dzt_x`](matmul::add_dzt_x), or `dw = dzᵀ x`.
pub(crate) fn dzt_x<F: Float>(
    executor: &dyn Executor<F>,
    dz: Rows<'_, F>,
    x: Rows<'_, F>,
    into: Accumulate,
    mut dw: RowsMut<'_, F>,
) {
    if is_large(dz.width(), dz.len(), x.width()) {
        let tile = weight_tile(dz.width(), x.width());
        let (dzt, x) = (Transposed(dz.into()), Plain(x.into()));
        return F::product_in_tiles(executor, tile, dzt, x, into, dw.into());
    }
    let width = x.width();
    for_each_tile(executor, dw.data(), width, x.data().len(), |first, dw| {
        let rows = if dw.len() == dz.width() * width { dz.width() } else { dw.len() / width };
        if into == Replace {
            dw.fill(F::zero());
        }
        matmul::add_dzt_x(dz, first..first + rows, x, RowsMut::counted(dw, rows, width));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Inline;
    use crate::matmul::Accumulate::Add;

    fn numbers(len: usize, seed: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 7 + seed * 13) % 23) as f64 / 7.0 - 1.5).collect()
    }

    /// Tiles of all kinds, the last of a row and of a column shorter, against one product.
    #[test]
    fn tiles_make_up_the_product() {
        for (n, k, m) in [(64, 300, 600), (257, 130, 270), (1030, 64, 1100), (2, 3, 4), (33, 4, 2100)] {
            let (x, w, z) = (numbers(n * k, 1), numbers(m * k, 2), numbers(n * m, 3));
            let (x, w, z) = (Rows::new(&x, k), Rows::new(&w, k), Rows::new(&z, m));
            let close = |found: &[f64], expected: &[f64]| {
                found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-10 * b.abs().max(1.0))
            };
            let (mut found, mut expected) = (vec![f64::NAN; n * m], vec![0.0; n * m]);
            x_wt(&Inline, x, w, RowsMut::new(&mut found, m));
            matmul::add_x_wt(x, w, RowsMut::new(&mut expected, m));
            assert!(close(&found, &expected), "y of {n} {k} {m}");

            let (mut found, mut expected) = (vec![f64::NAN; n * k], vec![f64::NAN; n * k]);
            dz_w(&Inline, z, w, RowsMut::new(&mut found, k));
            matmul::dz_w(z, w, RowsMut::new(&mut expected, k));
            assert!(close(&found, &expected), "dx of {n} {k} {m}");

            for (into, [before, start]) in [(Add, [0.5, 0.5]), (Replace, [f64::NAN, 0.0])] {
                let (mut found, mut expected) = (vec![before; m * k], vec![start; m * k]);
                dzt_x(&Inline, z, x, into, RowsMut::new(&mut found, k));
                matmul::add_dzt_x(z, 0..m, x, RowsMut::new(&mut expected, k));
                assert!(close(&found, &expected), "dw of {n} {k} {m}, {into:?}");
            }
        }
    }
}
