//! Products of parts of matrices, small ones among them: the columns of one head, a triangle's rectangles.

use super::kernel::Accumulate::Replace;
use super::kernel::Factor::{Plain, Transposed};
use super::{SMALL, add_scaled, dot};
use crate::{Float, Panel, PanelMut};

/// `c = scale · a bᵀ`, with `a` `[n, k]`, `b` `[m, k]`, `c` `[n, m]`.
#[inline]
pub fn scaled_a_bt<F: Float>(scale: F, a: Panel<'_, F>, b: Panel<'_, F>, mut c: PanelMut<'_, F>) {
    debug_assert!(a.columns() == b.columns() && [c.rows(), c.columns()] == [a.rows(), b.rows()]);
    if a.rows() * a.columns() * b.rows() > SMALL {
        return F::product(scale, Plain(a), Transposed(b), Replace, c);
    }
    for (a, c) in a.iter().zip(c.iter_mut()) {
        for (b, c) in b.iter().zip(c) {
            *c = scale * dot(a, b);
        }
    }
}

/// `c = a b`, with `a` `[n, k]`, `b` `[k, m]`, `c` `[n, m]`.
#[inline]
pub fn a_b<F: Float>(a: Panel<'_, F>, b: Panel<'_, F>, mut c: PanelMut<'_, F>) {
    debug_assert!(a.columns() == b.rows() && [c.rows(), c.columns()] == [a.rows(), b.columns()]);
    if a.rows() * a.columns() * b.columns() > SMALL {
        return F::product(F::one(), Plain(a), Plain(b), Replace, c);
    }
    for (a, c) in a.iter().zip(c.iter_mut()) {
        c.fill(F::zero());
        for (&a, b) in a.iter().zip(b.iter()) {
            add_scaled(a, b, c);
        }
    }
}

/// `c = aᵀ b`, with `a` `[k, n]`, `b` `[k, m]`, `c` `[n, m]`.
#[inline]
pub fn at_b<F: Float>(a: Panel<'_, F>, b: Panel<'_, F>, mut c: PanelMut<'_, F>) {
    debug_assert!(a.rows() == b.rows() && [c.rows(), c.columns()] == [a.columns(), b.columns()]);
    if a.rows() * a.columns() * b.columns() > SMALL {
        return F::product(F::one(), Transposed(a), Plain(b), Replace, c);
    }
    c.iter_mut().for_each(|c| c.fill(F::zero()));
    for (a, b) in a.iter().zip(b.iter()) {
        for (&a, c) in a.iter().zip(c.iter_mut()) {
            add_scaled(a, b, c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize, seed: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 7 + seed * 13) % 23) as f64 / 7.0 - 1.5).collect()
    }

    /// Each product by its definition, on both sides of `SMALL`, within matrices that are larger.
    #[test]
    fn products_equal_their_definitions_and_touch_nothing_else() {
        for (n, m, k) in [(1, 1, 1), (1, 2, 2), (3, 5, 2), (7, 8, 9), (13, 11, 17), (33, 20, 40)] {
            let gap = 3;
            let strides = [n, m, k].map(|columns| columns + gap);
            let [n_stride, m_stride, k_stride] = strides;
            let size = (n + m + k + gap) * (n + m + k + gap);
            let (a, b) = (numbers(size, 1), numbers(size, 2));
            let check = |what: &str, c: &[f64], expected: &dyn Fn(usize, usize) -> f64| {
                for (at, &c) in c.iter().enumerate() {
                    let (i, j) = (at / m_stride, at % m_stride);
                    if i < n && j < m {
                        assert!((c - expected(i, j)).abs() < 1e-12, "{what}[{i}, {j}]");
                    } else {
                        assert_eq!(c, 7.0, "{what} writes [{i}, {j}]");
                    }
                }
            };
            // NaN where it is written: what was there is not read.
            let fresh = || {
                let mut c = vec![7.0; n * m_stride + gap];
                c.chunks_mut(m_stride).take(n).for_each(|row| row[..m].fill(f64::NAN));
                c
            };

            let mut c = fresh();
            let (rows_a, rows_b) = (Panel::new(&a, n, k, k_stride), Panel::new(&b, m, k, k_stride));
            scaled_a_bt(0.5, rows_a, rows_b, PanelMut::new(&mut c, n, m, m_stride));
            check("a bᵀ", &c, &|i, j| {
                (0..k).map(|l| 0.5 * a[i * k_stride + l] * b[j * k_stride + l]).sum()
            });

            let mut c = fresh();
            let (rows_a, rows_b) = (Panel::new(&a, n, k, k_stride), Panel::new(&b, k, m, m_stride));
            a_b(rows_a, rows_b, PanelMut::new(&mut c, n, m, m_stride));
            check("a b", &c, &|i, j| (0..k).map(|l| a[i * k_stride + l] * b[l * m_stride + j]).sum());

            let mut c = fresh();
            let (rows_a, rows_b) = (Panel::new(&a, k, n, n_stride), Panel::new(&b, k, m, m_stride));
            at_b(rows_a, rows_b, PanelMut::new(&mut c, n, m, m_stride));
            check("aᵀ b", &c, &|i, j| (0..k).map(|l| a[l * n_stride + i] * b[l * m_stride + j]).sum());
        }
    }
}
