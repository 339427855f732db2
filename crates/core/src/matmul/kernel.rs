//! The kernel itself: the one file that names `faer`.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use crate::{Panel, PanelMut};

/// A factor of a product: a matrix, or its transpose.
#[derive(Debug)]
pub enum Factor<'a, F> {
    /// As it lies in memory.
    Plain(Panel<'a, F>),
    /// Rows for columns.
    Transposed(Panel<'a, F>),
}

/// What becomes of the numbers that were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Into {
    /// The product is added to them.
    Add,
    /// It takes their place; they are not read.
    Replace,
}

/// The product for one number type.
pub trait Kernel: Sized {
    /// `c += scale a b`, or `c = scale a b`, on the calling thread, in an order of sums that the shapes alone decide.
    ///
    /// # Panics
    /// If the shapes do not fit.
    fn product(scale: Self, a: Factor<'_, Self>, b: Factor<'_, Self>, into: Into, c: PanelMut<'_, Self>);
}

macro_rules! impl_kernel {
    ($($type:ty)*) => { $(
        impl Kernel for $type {
            fn product(scale: $type, a: Factor<'_, $type>, b: Factor<'_, $type>, into: Into, mut c: PanelMut<'_, $type>) {
                let (rows, columns, pitch) = (c.rows(), c.columns(), c.pitch());
                // Not the constructor for rows: that of faer 0.24.4 takes the stride for one between columns.
                let c = MatMut::from_column_major_slice_with_stride_mut(c.data(), columns, rows, pitch).transpose_mut();
                let accum = match into {
                    Into::Add => Accum::Add,
                    Into::Replace => Accum::Replace,
                };
                matmul(c, accum, view(a), view(b), scale, Par::Seq);
            }
        }
    )* };
}

impl_kernel!(f32 f64);

fn view<F>(factor: Factor<'_, F>) -> MatRef<'_, F> {
    let rows = |panel: Panel<'_, F>| (panel.rows(), panel.columns(), panel.pitch());
    match factor {
        Factor::Plain(panel) => {
            let (rows, columns, pitch) = rows(panel);
            MatRef::from_row_major_slice_with_stride(panel.data(), rows, columns, pitch)
        }
        Factor::Transposed(panel) => {
            let (rows, columns, pitch) = rows(panel);
            MatRef::from_column_major_slice_with_stride(panel.data(), columns, rows, pitch)
        }
    }
}
