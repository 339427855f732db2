//! Pools of two by two cells without overlap, in vectors.
//!
//! A row is gone over in blocks of `N` quads, of which the last goes over some for the second time: rows are short, and
//! what is left over behind the blocks of a loop would be computed number by number.

use std::array::from_fn;

use super::max_pool::larger;
use crate::Float;
use crate::simd::wide;

/// `y`, rows of `width` numbers: the maxima of the quads of `x`, rows of `columns` numbers of which the last may be nobody's.
pub(super) fn maxima<F: Float>(x: (&[F], usize), (y, width): (&mut [F], usize)) {
    wide(
        #[inline(always)]
        || match width {
            0..4 => maxima_in_blocks::<F, 1>(x, (y, width)),
            4..8 => maxima_in_blocks::<F, 4>(x, (y, width)),
            _ => maxima_in_blocks::<F, 8>(x, (y, width)),
        },
    );
}

/// `dx`: the number of `dy` at the first of the four cells that equals `y`, the first NaN if `y` is, and zero elsewhere.
pub(super) fn backward<F: Float>(x: (&[F], usize), y_dy: ([&[F]; 2], usize), dx: &mut [F]) {
    wide(
        #[inline(always)]
        || match y_dy.1 {
            0..4 => backward_in_blocks::<F, 1>(x, y_dy, dx),
            4..8 => backward_in_blocks::<F, 4>(x, y_dy, dx),
            _ => backward_in_blocks::<F, 8>(x, y_dy, dx),
        },
    );
}

/// Where the blocks of a row begin.
#[inline(always)]
fn blocks<const N: usize>(width: usize) -> impl Iterator<Item = usize> {
    (0..width).step_by(N).map(move |start| start.min(width - N))
}

#[inline(always)]
fn maxima_in_blocks<F: Float, const N: usize>((x, columns): (&[F], usize), (y, width): (&mut [F], usize)) {
    for (x, y) in x.chunks_exact(2 * columns).zip(y.chunks_exact_mut(width)) {
        let (above, below) = x.split_at(columns);
        for start in blocks::<N>(width) {
            let ([a, b], [c, d]) = (halves::<F, N>(above, start), halves::<F, N>(below, start));
            let maxima =
                from_fn::<_, N, _>(|quad| larger(larger(a[quad], b[quad]), larger(c[quad], d[quad])));
            y[start..][..N].copy_from_slice(&maxima);
        }
    }
}

#[inline(always)]
fn backward_in_blocks<F: Float, const N: usize>(
    (x, columns): (&[F], usize),
    ([y, dy], width): ([&[F]; 2], usize),
    dx: &mut [F],
) {
    if 2 * width < columns || y.len() / width * 2 * columns < dx.len() {
        // What no quad sees.
        dx.fill(F::zero());
    }
    let places = y.chunks_exact(width).zip(dy.chunks_exact(width));
    let cells = x.chunks_exact(2 * columns).zip(dx.chunks_exact_mut(2 * columns));
    for ((x, dx), (y, dy)) in cells.zip(places) {
        let (above, below) = x.split_at(columns);
        let (dx_above, dx_below) = dx.split_at_mut(columns);
        for start in blocks::<N>(width) {
            let ([a, b], [c, _]) = (halves::<F, N>(above, start), halves::<F, N>(below, start));
            let (y, dy) = (from_fn(|quad| y[start + quad]), from_fn(|quad| dy[start + quad]));
            let [da, rest] = give(a, y, dy);
            let [db, rest] = give(b, y, rest);
            let [dc, dd] = give(c, y, rest);
            put(da, db, dx_above, start);
            put(dc, dd, dx_below, start);
        }
    }
}

/// What cells get of `dy`, and what is left for the next ones. Whether a cell is the one cannot be foretold, so nothing
/// branches.
#[inline(always)]
fn give<F: Float, const N: usize>(x: [F; N], y: [F; N], dy: [F; N]) -> [[F; N]; 2] {
    let is: [bool; N] = from_fn(|quad| (x[quad] == y[quad]) | x[quad].is_nan());
    let given = from_fn(|quad| if is[quad] { dy[quad] } else { F::zero() });
    [given, from_fn(|quad| if is[quad] { F::zero() } else { dy[quad] })]
}

/// The left and the right cells of a row of `N` quads from `start` on.
#[inline(always)]
fn halves<F: Float, const N: usize>(row: &[F], start: usize) -> [[F; N]; 2] {
    let cells = &row.as_chunks::<2>().0[start..][..N];
    [from_fn(|quad| cells[quad][0]), from_fn(|quad| cells[quad][1])]
}

/// The inverse of [`halves`].
#[inline(always)]
fn put<F: Float, const N: usize>(left: [F; N], right: [F; N], row: &mut [F], start: usize) {
    let cells = &mut row.as_chunks_mut::<2>().0[start..][..N];
    cells.copy_from_slice(&from_fn::<_, N, _>(|quad| [left[quad], right[quad]]));
}
