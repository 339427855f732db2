//! The kernel itself: the one file that names `faer`.

use std::sync::{Mutex, PoisonError};

use faer::linalg::matmul::matmul;
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};

use crate::{Executor, Panel, PanelMut};

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
pub enum Accumulate {
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
    fn product(
        scale: Self,
        a: Factor<'_, Self>,
        b: Factor<'_, Self>,
        into: Accumulate,
        c: PanelMut<'_, Self>,
    );

    /// The same with `c` cut into tiles of `tile` rows and columns at most, each the work of one thread; the tiles are
    /// larger if there were more than [`MAX_TILES`].
    fn product_in_tiles(
        executor: &dyn Executor<Self>,
        tile: [usize; 2],
        a: Factor<'_, Self>,
        b: Factor<'_, Self>,
        into: Accumulate,
        c: PanelMut<'_, Self>,
    );
}

macro_rules! impl_kernel {
    ($($type:ty)*) => { $(
        impl Kernel for $type {
            fn product(scale: $type, a: Factor<'_, $type>, b: Factor<'_, $type>, into: Accumulate, c: PanelMut<'_, $type>) {
                matmul(view_mut(c), accum(into), view(a), view(b), scale, Par::Seq);
            }

            fn product_in_tiles(
                executor: &dyn Executor<$type>,
                tile: [usize; 2],
                a: Factor<'_, $type>,
                b: Factor<'_, $type>,
                into: Accumulate,
                c: PanelMut<'_, $type>,
            ) {
                in_tiles(executor, tile, (view(a), view(b)), into, view_mut(c));
            }
        }
    )* };
}

impl_kernel!(f32 f64);

/// The most tiles of a product, a square: so many locks and views lie on the stack.
const MAX_TILES: usize = SIDE * SIDE;
const SIDE: usize = 16;

fn in_tiles<F: ComplexField + Sync + Send>(
    executor: &dyn Executor<F>,
    tile: [usize; 2],
    (a, b): (MatRef<'_, F>, MatRef<'_, F>),
    into: Accumulate,
    c: MatMut<'_, F>,
) {
    let (rows, columns) = (c.nrows(), c.ncols());
    let [tile_rows, tile_columns] =
        [tile[0].max(rows.div_ceil(SIDE)).max(1), tile[1].max(columns.div_ceil(SIDE)).max(1)];
    let (down, across) = (rows.div_ceil(tile_rows), columns.div_ceil(tile_columns));
    // The compiler cannot know that a tile is asked for once; a lock that nobody waits for tells it.
    let mut below = c;
    let mut right: Option<MatMut<'_, F>> = None;
    let tiles: [Mutex<Option<MatMut<'_, F>>>; MAX_TILES] = std::array::from_fn(|index| {
        if index >= down * across {
            return Mutex::new(None);
        }
        let row = right.take().unwrap_or_else(|| {
            let whole = std::mem::replace(&mut below, MatMut::from_column_major_slice_mut(&mut [], 0, 0));
            let at = tile_rows.min(whole.nrows());
            let (row, rest) = whole.split_at_row_mut(at);
            below = rest;
            row
        });
        let at = tile_columns.min(row.ncols());
        let (tile, rest) = row.split_at_col_mut(at);
        right = (rest.ncols() > 0).then_some(rest);
        Mutex::new(Some(tile))
    });
    executor.for_each(down * across, &|index| {
        let tile = tiles[index].lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(tile) = tile else { return };
        let (i, j) = (index / across * tile_rows, index % across * tile_columns);
        let a = a.subrows(i, tile.nrows());
        let b = b.subcols(j, tile.ncols());
        matmul(tile, accum(into), a, b, F::one_impl(), Par::Seq);
    });
}

fn accum(into: Accumulate) -> Accum {
    match into {
        Accumulate::Add => Accum::Add,
        Accumulate::Replace => Accum::Replace,
    }
}

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

fn view_mut<F>(panel: PanelMut<'_, F>) -> MatMut<'_, F> {
    let (rows, columns, pitch) = (panel.rows(), panel.columns(), panel.pitch());
    // Not the constructor for rows: that of faer 0.24.4 takes the stride for one between columns.
    MatMut::from_column_major_slice_with_stride_mut(panel.into_data(), columns, rows, pitch).transpose_mut()
}
