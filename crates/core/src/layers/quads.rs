//! Pools of two by two cells without overlap, in vectors.

use super::max_pool::larger;
use super::unfold::copy;
use crate::Float;
use crate::simd::wide;

/// Cells of a row from which on it is long enough to be gone over alone; shorter rows are put together.
const LONG: usize = 128;

/// Upper and lower cells of some rows of quads, one row after the other: a row alone would mostly be a loop's end, which
/// is computed number by number.
#[derive(Debug)]
pub(super) struct Quads<F> {
    x: [[F; LONG]; 2],
    dx: [[F; LONG]; 2],
}

impl<F: Float> Quads<F> {
    pub(super) fn new() -> Self {
        let zeros = [[F::zero(); LONG]; 2];
        Self { x: zeros, dx: zeros }
    }

    /// `y`, rows of `width` numbers: the maxima of `x`, rows of `columns` numbers of which the last may be nobody's.
    pub(super) fn maxima(&mut self, (x, columns): (&[F], usize), (y, width): (&mut [F], usize)) {
        let rows = (LONG / (2 * width)).max(1);
        for (x, y) in x.chunks(2 * columns * rows).zip(y.chunks_mut(width * rows)) {
            if rows == 1 {
                let (above, below) = x.split_at(columns);
                maxima([&above[..2 * width], &below[..2 * width]], y);
                continue;
            }
            self.put_together((x, columns), y.len() / width, width);
            maxima(self.x.each_ref().map(|x| &x[..2 * y.len()]), y);
        }
    }

    /// `dx`, where the number of `dy` is at the first of the four cells that equals `y`, and zero elsewhere.
    pub(super) fn back(
        &mut self,
        (x, columns): (&[F], usize),
        [y, dy]: [&[F]; 2],
        width: usize,
        dx: &mut [F],
    ) {
        let rows = (LONG / (2 * width)).max(1);
        let places = y.chunks(width * rows).zip(dy.chunks(width * rows));
        let cells = x.chunks(2 * columns * rows).zip(dx.chunks_mut(2 * columns * rows));
        for ((x, dx), (y, dy)) in cells.zip(places) {
            if rows == 1 {
                let (above, below) = x.split_at(columns);
                let (dx_above, dx_below) = dx.split_at_mut(columns);
                let dx = [&mut dx_above[..2 * width], &mut dx_below[..2 * width]];
                back([&above[..2 * width], &below[..2 * width]], [y, dy], dx);
                continue;
            }
            self.put_together((x, columns), y.len() / width, width);
            let x = self.x.each_ref().map(|x| &x[..2 * y.len()]);
            back(x, [y, dy], self.dx.each_mut().map(|dx| &mut dx[..2 * y.len()]));
            for (row, dx) in dx.chunks_exact_mut(2 * columns).enumerate() {
                for (dx, from) in dx.chunks_exact_mut(columns).zip(&self.dx) {
                    copy(&from[2 * row * width..][..2 * width], &mut dx[..2 * width]);
                }
            }
        }
        // What no quad sees.
        if columns > 2 * width {
            dx.chunks_exact_mut(columns).for_each(|dx| dx[2 * width..].fill(F::zero()));
        }
        let seen = y.len() / width * 2 * columns;
        dx[seen..].fill(F::zero());
    }

    /// Copies `rows` rows of quads of `x`.
    fn put_together(&mut self, (x, columns): (&[F], usize), rows: usize, width: usize) {
        for (row, x) in x.chunks_exact(2 * columns).take(rows).enumerate() {
            for (x, to) in x.chunks_exact(columns).zip(&mut self.x) {
                copy(&x[..2 * width], &mut to[2 * row * width..][..2 * width]);
            }
        }
    }
}

/// `y = max` of two neighbours of the first row and two of the second.
fn maxima<F: Float>([above, below]: [&[F]; 2], y: &mut [F]) {
    wide(
        #[inline(always)]
        || {
            let (above, below) = (above.as_chunks::<2>().0, below.as_chunks::<2>().0);
            for ((y, above), below) in y.iter_mut().zip(above).zip(below) {
                *y = larger(larger(above[0], above[1]), larger(below[0], below[1]));
            }
        },
    );
}

/// Puts `dy` where the first cell is that equals `y`, the first NaN if `y` is, and zero elsewhere.
fn back<F: Float>([above, below]: [&[F]; 2], [y, dy]: [&[F]; 2], [dx_above, dx_below]: [&mut [F]; 2]) {
    wide(
        #[inline(always)]
        || {
            let (above, below) = (above.as_chunks::<2>().0, below.as_chunks::<2>().0);
            let dx = dx_above.as_chunks_mut::<2>().0.iter_mut().zip(dx_below.as_chunks_mut::<2>().0);
            let cells = above.iter().zip(below).zip(dx);
            for (((&[a, b], &[c, _]), (dx_above, dx_below)), (&y, &dy)) in cells.zip(y.iter().zip(dy)) {
                // Which it is cannot be foretold, so all four are computed, without a branch.
                let is = |cell: F| (cell == y) | cell.is_nan();
                let (a, b, c) = (is(a), is(b), is(c));
                let given = |to: bool| if to { dy } else { F::zero() };
                *dx_above = [given(a), given(!a & b)];
                *dx_below = [given(!a & !b & c), given(!a & !b & !c)];
            }
        },
    );
}
