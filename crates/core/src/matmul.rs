//! The matrix products of layers. Three are those of a dense layer.
//!
//! | product | used for | shapes |
//! |---|---|---|
//! | `y += x wᵀ` | forward | `[n, k] · [m, k]ᵀ -> [n, m]` |
//! | `dx = dz w` | input gradient | `[n, m] · [m, k] -> [n, k]` |
//! | `dw += dzᵀ x` | weight gradient | `[n, m]ᵀ · [n, k] -> [m, k]` |
//!
//! Below a few hundred multiply-adds plain loops beat every kernel; above, `faer`'s does the work, on the calling thread.
//! It chooses its instructions at run time and allocates nothing.

mod kernel;
mod narrow;
mod part;
pub mod tiles;

use std::ops::Range;

use Accumulate::{Add, Replace};
use kernel::Factor::{Plain, Transposed};

use crate::simd::wide;
use crate::{Float, Panel, PanelMut, Rows, RowsMut};

pub use kernel::Accumulate;
pub(crate) use kernel::Kernel;

pub use part::{a_b, at_b, scaled_a_bt};

/// Multiply-adds below which plain loops are faster than the kernel's packing.
pub(crate) const SMALL: usize = 512;

/// `y += x wᵀ`, with `x` `[n, k]`, `w` `[m, k]`, `y` `[n, m]`.
#[inline]
pub fn add_x_wt<F: Float>(x: Rows<'_, F>, w: Rows<'_, F>, mut y: RowsMut<'_, F>) {
    debug_assert!(x.width() == w.width() && y.width() == w.len());
    if x.data().len() * y.width() > SMALL {
        if narrow::is_narrow(x.len(), x.width(), w.len()) {
            return narrow::add_x_wt(x, w, y);
        }
        return F::product(F::one(), Plain(x.into()), Transposed(w.into()), Add, y.into());
    }
    wide(
        #[inline(always)]
        || {
            for (x, y) in x.iter().zip(y.iter_mut()) {
                for (w, y) in w.iter().zip(y) {
                    *y = add_dot(*y, w, x);
                }
            }
        },
    );
}

/// `dx = dz w`, with `dz` `[n, m]`, `w` `[m, k]`, `dx` `[n, k]`.
#[inline]
pub fn dz_w<F: Float>(dz: Rows<'_, F>, w: Rows<'_, F>, dx: RowsMut<'_, F>) {
    debug_assert!(dz.width() == w.len() && dx.width() == w.width());
    if dz.data().len() * w.width() > SMALL {
        if narrow::is_narrow(dz.len(), dz.width(), w.width()) {
            return narrow::dz_w(dz, w, dx);
        }
        return F::product(F::one(), Plain(dz.into()), Plain(w.into()), Replace, dx.into());
    }
    narrow::dz_w_by_rows(dz, w, dx);
}

/// `dw += dzᵀ x` for the outputs in `outputs`, with `dz` `[n, m]`, `x` `[n, k]`, `dw` `[outputs.len(), k]`.
#[inline]
pub fn add_dzt_x<F: Float>(dz: Rows<'_, F>, outputs: Range<usize>, x: Rows<'_, F>, dw: RowsMut<'_, F>) {
    debug_assert!(dz.len() == x.len() && dw.width() == x.width());
    if outputs.len() * x.data().len() > SMALL {
        if narrow::is_narrow(outputs.len(), x.len(), x.width()) {
            return narrow::add_dzt_x(dz, outputs, x, dw);
        }
        let dz = Panel::of_columns(dz, outputs);
        return F::product(F::one(), Transposed(dz), Plain(x.into()), Add, dw.into());
    }
    narrow::add_dzt_x_by_rows(dz, outputs, x, dw);
}

/// `z += w x`, with `w` `[m, k]`, `x` `[k, n]`, `z` `[m, n]`.
#[inline]
pub fn add_w_x<F: Float>(w: Panel<'_, F>, x: Panel<'_, F>, z: PanelMut<'_, F>) {
    F::product(F::one(), Plain(w), Plain(x), Add, z);
}

/// `x = wᵀ z`, with `w` `[m, k]`, `z` `[m, n]`, `x` `[k, n]`.
#[inline]
pub fn wt_z<F: Float>(w: Panel<'_, F>, z: Panel<'_, F>, x: PanelMut<'_, F>) {
    F::product(F::one(), Transposed(w), Plain(z), Replace, x);
}

/// `x += wᵀ z`, with shapes as in [`wt_z`].
#[inline]
pub fn add_wt_z<F: Float>(w: Panel<'_, F>, z: Panel<'_, F>, x: PanelMut<'_, F>) {
    F::product(F::one(), Transposed(w), Plain(z), Add, x);
}

/// `dwᵀ += x dzᵀ`, with `x` `[k, n]`, `dz` `[m, n]`, `dwᵀ` `[k, m]`.
#[inline]
pub fn add_x_dzt<F: Float>(x: Panel<'_, F>, dz: Panel<'_, F>, dwt: PanelMut<'_, F>) {
    F::product(F::one(), Plain(x), Transposed(dz), Add, dwt);
}

/// `y += x wᵀ` as [`add_x_wt`], between columns of larger matrices.
#[inline]
pub fn add_columns_wt<F: Float>(x: Panel<'_, F>, w: Rows<'_, F>, mut y: PanelMut<'_, F>) {
    debug_assert!(x.columns() == w.width() && y.columns() == w.len());
    if x.rows() * w.data().len() > SMALL {
        return F::product(F::one(), Plain(x), Transposed(w.into()), Add, y);
    }
    wide(
        #[inline(always)]
        || {
            for (x, y) in x.iter().zip(y.iter_mut()) {
                for (w, y) in w.iter().zip(y) {
                    *y = add_dot(*y, w, x);
                }
            }
        },
    );
}

/// `dx += dz w` between columns of larger matrices: [`dz_w`], but added. A `w` that is used again and again is read
/// faster by this product than its transpose by [`add_columns_wt`].
#[inline]
pub fn add_columns_w<F: Float>(dz: Panel<'_, F>, w: Rows<'_, F>, mut dx: PanelMut<'_, F>) {
    debug_assert!(dz.columns() == w.len() && dx.columns() == w.width());
    if dz.rows() * w.data().len() > SMALL {
        return F::product(F::one(), Plain(dz), Plain(w.into()), Add, dx);
    }
    for (dz, dx) in dz.iter().zip(dx.iter_mut()) {
        for (&dz, w) in dz.iter().zip(w.iter()) {
            add_scaled(dz, w, dx);
        }
    }
}

/// `dw += dzᵀ x` as [`add_dzt_x`], of columns of larger matrices; those of `dz` are the outputs.
#[inline]
pub fn add_columnst_x<F: Float>(dz: Panel<'_, F>, x: Panel<'_, F>, mut dw: RowsMut<'_, F>) {
    debug_assert!(dz.rows() == x.rows() && dw.width() == x.columns());
    if dz.rows() * dz.columns() * x.columns() > SMALL {
        return F::product(F::one(), Transposed(dz), Plain(x), Add, dw.into());
    }
    for (dz, x) in dz.iter().zip(x.iter()) {
        for (&dz, dw) in dz.iter().zip(dw.iter_mut()) {
            add_scaled(dz, x, dw);
        }
    }
}

#[inline(always)]
pub(crate) fn dot<F: Float>(a: &[F], b: &[F]) -> F {
    a.iter().zip(b).fold(F::zero(), |sum, (&a, &b)| sum + a * b)
}

/// `start + Σ a_i b_i`, every product fused with the sum so far, for callers that run within [`wide`].
#[inline(always)]
pub(crate) fn add_dot<F: Float>(start: F, a: &[F], b: &[F]) -> F {
    let mut sum = start;
    // Not by `fold`, which would not be inlined.
    for (&a, &b) in a.iter().zip(b) {
        sum = a.mul_add(b, sum);
    }
    sum
}

/// `b += factor a`.
#[inline(always)]
pub fn add_scaled<F: Float>(factor: F, a: &[F], b: &mut [F]) {
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
        for (n, m, k) in [
            (1, 1, 1),
            (1, 2, 2),
            (3, 5, 2),
            (7, 8, 9),
            (13, 11, 17),
            (64, 33, 40),
            (32, 2, 64),
            (2, 70, 65),
            (33, 90, 3),
            (1, 130, 131),
        ] {
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

    /// The products of panels whose rows do not follow each other, and that leave what is between them alone.
    #[test]
    fn products_of_panels_equal_their_definitions() {
        for (m, k, n) in [(1, 1, 1), (1, 9, 5), (6, 25, 17), (16, 3, 1), (13, 40, 33)] {
            let (w, x, z) = (numbers(m * k, 1), numbers(k * (n + 2), 2), numbers(m * (n + 3), 3));
            let (w_at, x_at) = (|i: usize, l: usize| w[i * k + l], |l: usize, j: usize| x[l * (n + 2) + j]);
            let z_at = |i: usize, j: usize| z[i * (n + 3) + j];
            let (w_panel, x_panel) = (Panel::new(&w, m, k, k), Panel::new(&x, k, n, n + 2));
            let z_panel = Panel::new(&z, m, n, n + 3);

            let mut found = z.clone();
            add_w_x(w_panel, x_panel, PanelMut::new(&mut found, m, n, n + 3));
            for (at, found) in found.iter().enumerate() {
                let (i, j) = (at / (n + 3), at % (n + 3));
                let product: f64 = (0..k).map(|l| w_at(i, l) * x_at(l, j.min(n - 1))).sum();
                let expected = z_at(i, j) + if j < n { product } else { 0.0 };
                assert!((found - expected).abs() < 1e-12, "z[{i}, {j}]");
            }

            let mut found = vec![f64::NAN; k * n];
            wt_z(w_panel, z_panel, PanelMut::new(&mut found, k, n, n));
            for (at, found) in found.iter().enumerate() {
                let expected: f64 = (0..m).map(|i| w_at(i, at / n) * z_at(i, at % n)).sum();
                assert!((found - expected).abs() < 1e-12, "x[{}, {}]", at / n, at % n);
            }

            let before = found.clone();
            add_wt_z(w_panel, z_panel, PanelMut::new(&mut found, k, n, n));
            assert!(found.iter().zip(before).all(|(found, once)| (found - 2.0 * once).abs() < 1e-12));

            let mut found = vec![0.5; k * m];
            add_x_dzt(x_panel, z_panel, PanelMut::new(&mut found, k, m, m));
            for (at, found) in found.iter().enumerate() {
                let expected = 0.5 + (0..n).map(|j| x_at(at / m, j) * z_at(at % m, j)).sum::<f64>();
                assert!((found - expected).abs() < 1e-12, "dwt[{}, {}]", at / m, at % m);
            }
        }
    }

    /// The same between columns: as between copies of them, and the other columns stay.
    #[test]
    fn products_of_columns_equal_those_of_copies() {
        for (n, m, k) in [(1, 1, 1), (2, 3, 2), (9, 8, 7), (20, 16, 12)] {
            let (x, w, z) = (numbers(n * (k + 3), 1), numbers(m * k, 2), numbers(n * (m + 2), 3));
            let part = |data: &[f64], stride: usize, columns: Range<usize>| -> Vec<f64> {
                data.chunks(stride).flat_map(|row| row[columns.clone()].to_vec()).collect()
            };
            let (x_part, z_part) = (part(&x, k + 3, 2..k + 2), part(&z, m + 2, 1..m + 1));
            let x_columns = Panel::of_columns(Rows::new(&x, k + 3), 2..k + 2);
            let z_columns = Panel::of_columns(Rows::new(&z, m + 2), 1..m + 1);
            let w_rows = Rows::new(&w, k);
            let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);

            let (mut y, mut expected) = (z.clone(), z_part.clone());
            let target = PanelMut::of_columns(RowsMut::new(&mut y, m + 2), 1..m + 1);
            add_columns_wt(x_columns, w_rows, target);
            add_x_wt(Rows::new(&x_part, k), w_rows, RowsMut::new(&mut expected, m));
            assert!(close(&part(&y, m + 2, 1..m + 1), &expected));
            assert_eq!(part(&y, m + 2, 0..1), part(&z, m + 2, 0..1));

            let (mut dx, mut expected) = (vec![0.5; n * k], vec![f64::NAN; n * k]);
            add_columns_w(z_columns, w_rows, RowsMut::new(&mut dx, k).into());
            dz_w(Rows::new(&z_part, m), w_rows, RowsMut::new(&mut expected, k));
            expected.iter_mut().for_each(|dx| *dx += 0.5);
            assert!(close(&dx, &expected));

            let (mut dw, mut expected) = (vec![0.5; m * k], vec![0.5; m * k]);
            add_columnst_x(z_columns, x_columns, RowsMut::new(&mut dw, k));
            add_dzt_x(Rows::new(&z_part, m), 0..m, Rows::new(&x_part, k), RowsMut::new(&mut expected, k));
            assert!(close(&dw, &expected));
        }
    }
}
