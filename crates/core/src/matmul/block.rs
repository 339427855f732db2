//! Products of parts of matrices: the columns of one head, a triangle's rectangles.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};

use super::{SMALL, add_scaled, dot};
use crate::Float;

/// A part `[rows, columns]` of a row-major matrix whose rows start `stride` numbers apart.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a, F> {
    data: &'a [F],
    rows: usize,
    columns: usize,
    stride: usize,
}

/// A [`Block`] that is written.
#[derive(Debug)]
pub struct BlockMut<'a, F> {
    data: &'a mut [F],
    rows: usize,
    columns: usize,
    stride: usize,
}

/// Numbers from the first to the last of a part.
fn extent([rows, columns]: [usize; 2], stride: usize) -> usize {
    assert!(rows > 0 && columns > 0 && columns <= stride, "a part [{rows}, {columns}] of rows of {stride}");
    (rows - 1) * stride + columns
}

impl<'a, F: Float> Block<'a, F> {
    /// The part of the shape `[rows, columns]` that starts at `data[0]`.
    ///
    /// # Panics
    /// If `data` is too short, or rows are longer than `stride`.
    #[inline]
    pub fn new(data: &'a [F], [rows, columns]: [usize; 2], stride: usize) -> Self {
        Self { data: &data[..extent([rows, columns], stride)], rows, columns, stride }
    }

    #[inline]
    fn iter(self) -> impl Iterator<Item = &'a [F]> {
        self.data.chunks(self.stride).map(move |row| &row[..self.columns])
    }

    fn view(self) -> ArrayView2<'a, F> {
        let shape = (self.rows, self.columns).strides((self.stride, 1));
        ArrayView2::from_shape(shape, self.data).expect("the data are as long as new says")
    }
}

impl<'a, F: Float> BlockMut<'a, F> {
    /// The part of the shape `[rows, columns]` that starts at `data[0]`.
    ///
    /// # Panics
    /// As [`Block::new`].
    #[inline]
    pub fn new(data: &'a mut [F], [rows, columns]: [usize; 2], stride: usize) -> Self {
        Self { data: &mut data[..extent([rows, columns], stride)], rows, columns, stride }
    }

    #[inline]
    fn iter_mut(&mut self) -> impl Iterator<Item = &mut [F]> {
        let columns = self.columns;
        self.data.chunks_mut(self.stride).map(move |row| &mut row[..columns])
    }

    fn view_mut(&mut self) -> ArrayViewMut2<'_, F> {
        let shape = (self.rows, self.columns).strides((self.stride, 1));
        ArrayViewMut2::from_shape(shape, &mut *self.data).expect("the data are as long as new says")
    }
}

/// `c = scale · a bᵀ`, with `a` `[n, k]`, `b` `[m, k]`, `c` `[n, m]`.
#[inline]
pub fn scaled_a_bt<F: Float>(scale: F, a: Block<'_, F>, b: Block<'_, F>, mut c: BlockMut<'_, F>) {
    debug_assert!(a.columns == b.columns && [c.rows, c.columns] == [a.rows, b.rows]);
    if a.rows * a.columns * b.rows > SMALL {
        return general_mat_mul(scale, &a.view(), &b.view().reversed_axes(), F::zero(), &mut c.view_mut());
    }
    for (a, c) in a.iter().zip(c.iter_mut()) {
        for (b, c) in b.iter().zip(c) {
            *c = scale * dot(a, b);
        }
    }
}

/// `c = a b`, with `a` `[n, k]`, `b` `[k, m]`, `c` `[n, m]`.
#[inline]
pub fn a_b<F: Float>(a: Block<'_, F>, b: Block<'_, F>, mut c: BlockMut<'_, F>) {
    debug_assert!(a.columns == b.rows && [c.rows, c.columns] == [a.rows, b.columns]);
    if a.rows * a.columns * b.columns > SMALL {
        return general_mat_mul(F::one(), &a.view(), &b.view(), F::zero(), &mut c.view_mut());
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
pub fn at_b<F: Float>(a: Block<'_, F>, b: Block<'_, F>, mut c: BlockMut<'_, F>) {
    debug_assert!(a.rows == b.rows && [c.rows, c.columns] == [a.columns, b.columns]);
    if a.rows * a.columns * b.columns > SMALL {
        return general_mat_mul(F::one(), &a.view().reversed_axes(), &b.view(), F::zero(), &mut c.view_mut());
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
            let (rows_a, rows_b) = (Block::new(&a, [n, k], k_stride), Block::new(&b, [m, k], k_stride));
            scaled_a_bt(0.5, rows_a, rows_b, BlockMut::new(&mut c, [n, m], m_stride));
            check("a bᵀ", &c, &|i, j| {
                (0..k).map(|l| 0.5 * a[i * k_stride + l] * b[j * k_stride + l]).sum()
            });

            let mut c = fresh();
            let (rows_a, rows_b) = (Block::new(&a, [n, k], k_stride), Block::new(&b, [k, m], m_stride));
            a_b(rows_a, rows_b, BlockMut::new(&mut c, [n, m], m_stride));
            check("a b", &c, &|i, j| (0..k).map(|l| a[i * k_stride + l] * b[l * m_stride + j]).sum());

            let mut c = fresh();
            let (rows_a, rows_b) = (Block::new(&a, [k, n], n_stride), Block::new(&b, [k, m], m_stride));
            at_b(rows_a, rows_b, BlockMut::new(&mut c, [n, m], m_stride));
            check("aᵀ b", &c, &|i, j| (0..k).map(|l| a[l * n_stride + i] * b[l * m_stride + j]).sum());
        }
    }
}
