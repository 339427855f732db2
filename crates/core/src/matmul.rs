//! The three matrix products of a dense layer, and with `matmul/block.rs` the only file that names a matrix kernel.
//!
//! | product | used for | shapes |
//! |---|---|---|
//! | `y += x wᵀ` | forward | `[n, k] · [m, k]ᵀ -> [n, m]` |
//! | `dx = dz w` | input gradient | `[n, m] · [m, k] -> [n, k]` |
//! | `dw += dzᵀ x` | weight gradient | `[n, m]ᵀ · [n, k] -> [m, k]` |
//!
//! Below a few hundred multiply-adds plain loops beat every kernel; above, ndarray's (matrixmultiply) does the work. It
//! allocates a packing buffer in every call: the one allocation of a warm training step.

mod block;

use std::ops::Range;

use ndarray::linalg::general_mat_mul;

use crate::{Float, Rows, RowsMut};

pub use block::{Block, BlockMut, a_b, at_b, scaled_a_bt};

/// Multiply-adds below which plain loops are faster than the kernel's packing.
const SMALL: usize = 512;

/// `y += x wᵀ`, with `x` `[n, k]`, `w` `[m, k]`, `y` `[n, m]`.
#[inline]
pub fn add_x_wt<F: Float>(x: Rows<'_, F>, w: Rows<'_, F>, mut y: RowsMut<'_, F>) {
    debug_assert!(x.width() == w.width() && y.width() == w.len());
    if x.data().len() * y.width() > SMALL {
        return general_mat_mul(F::one(), &x.view(), &w.view().reversed_axes(), F::one(), &mut y.view_mut());
    }
    for (x, y) in x.iter().zip(y.iter_mut()) {
        for (w, y) in w.iter().zip(y) {
            *y += dot(w, x);
        }
    }
}

/// `dx = dz w`, with `dz` `[n, m]`, `w` `[m, k]`, `dx` `[n, k]`.
#[inline]
pub fn dz_w<F: Float>(dz: Rows<'_, F>, w: Rows<'_, F>, mut dx: RowsMut<'_, F>) {
    debug_assert!(dz.width() == w.len() && dx.width() == w.width());
    if dz.data().len() * w.width() > SMALL {
        return general_mat_mul(F::one(), &dz.view(), &w.view(), F::zero(), &mut dx.view_mut());
    }
    for (dz, dx) in dz.iter().zip(dx.iter_mut()) {
        dx.fill(F::zero());
        for (&dz, w) in dz.iter().zip(w.iter()) {
            add_scaled(dz, w, dx);
        }
    }
}

/// `dw += dzᵀ x` for the outputs in `outputs`, with `dz` `[n, m]`, `x` `[n, k]`, `dw` `[outputs.len(), k]`.
#[inline]
pub fn add_dzt_x<F: Float>(dz: Rows<'_, F>, outputs: Range<usize>, x: Rows<'_, F>, mut dw: RowsMut<'_, F>) {
    debug_assert!(dz.len() == x.len() && dw.width() == x.width());
    if outputs.len() * x.data().len() > SMALL {
        let columns = dz.view().slice_move(ndarray::s![.., outputs]);
        return general_mat_mul(F::one(), &columns.reversed_axes(), &x.view(), F::one(), &mut dw.view_mut());
    }
    for (dz, x) in dz.iter().zip(x.iter()) {
        for (&dz, dw) in dz[outputs.clone()].iter().zip(dw.iter_mut()) {
            add_scaled(dz, x, dw);
        }
    }
}

#[inline]
fn dot<F: Float>(a: &[F], b: &[F]) -> F {
    a.iter().zip(b).fold(F::zero(), |sum, (&a, &b)| sum + a * b)
}

#[inline]
fn add_scaled<F: Float>(factor: F, a: &[F], b: &mut [F]) {
    for (b, &a) in b.iter_mut().zip(a) {
        *b += factor * a;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize, seed: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 7 + seed * 13) % 23) as f64 / 7.0 - 1.5).collect()
    }

    /// Each product by its definition, one number at a time, on both sides of `SMALL`.
    #[test]
    fn products_equal_their_definitions() {
        for (n, m, k) in [(1, 1, 1), (1, 2, 2), (3, 5, 2), (7, 8, 9), (13, 11, 17), (64, 33, 40)] {
            let (x, w, dz) = (numbers(n * k, 1), numbers(m * k, 2), numbers(n * m, 3));
            let (x_rows, w_rows, dz_rows) = (Rows::new(&x, k), Rows::new(&w, k), Rows::new(&dz, m));

            let mut y = vec![0.5; n * m];
            add_x_wt(x_rows, w_rows, RowsMut::new(&mut y, m));
            for (at, y) in y.iter().enumerate() {
                let (i, j) = (at / m, at % m);
                let expected = 0.5 + (0..k).map(|l| x[i * k + l] * w[j * k + l]).sum::<f64>();
                assert!((y - expected).abs() < 1e-12, "y[{i}, {j}]");
            }

            let mut dx = vec![f64::NAN; n * k];
            dz_w(dz_rows, w_rows, RowsMut::new(&mut dx, k));
            for (at, dx) in dx.iter().enumerate() {
                let (i, l) = (at / k, at % k);
                let expected = (0..m).map(|j| dz[i * m + j] * w[j * k + l]).sum::<f64>();
                assert!((dx - expected).abs() < 1e-12, "dx[{i}, {l}]");
            }

            let outputs = m / 2..m;
            let mut dw = vec![0.5; outputs.len() * k];
            add_dzt_x(dz_rows, outputs.clone(), x_rows, RowsMut::new(&mut dw, k));
            for (at, dw) in dw.iter().enumerate() {
                let (j, l) = (outputs.start + at / k, at % k);
                let expected = 0.5 + (0..n).map(|i| dz[i * m + j] * x[i * k + l]).sum::<f64>();
                assert!((dw - expected).abs() < 1e-12, "dw[{j}, {l}]");
            }
        }
    }
}
