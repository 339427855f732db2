//! What a window sees, as a matrix, and the way back.

use std::ops::Range;

use super::window::Window;
use crate::Float;

/// The runs of a row of the unfolded matrix that lie within the input: calls `run(places, first)`, with `places` counted
/// from the first of the block, and `first` the number of `x` that the first of them reads; each next one is the
/// columns' stride further.
#[inline]
pub(super) fn for_each_run(
    window: &Window,
    tap: usize,
    places: &Range<usize>,
    mut run: impl FnMut(Range<usize>, usize),
) {
    let (width, channel) = (window.columns.output, tap / window.cells());
    let (row, column) = (tap % window.cells() / window.columns.kernel, tap % window.columns.kernel);
    let (rows, columns) = (window.rows.valid(row), window.columns.valid(column));
    let (first, last) = (places.start / width, (places.end - 1) / width);
    for i in rows.start.max(first)..rows.end.min(last + 1) {
        let start = (i * width + columns.start).max(places.start);
        let end = (i * width + columns.end).min(places.end);
        if start < end {
            let line = channel * window.inputs() + window.rows.position(i, row) * window.columns.input;
            let at = line + window.columns.position(start - i * width, column);
            run(start - places.start..end - places.start, at);
        }
    }
}

/// Writes `X_tp` for the taps and places asked for: `[taps, places]`.
pub(super) fn unfold<F: Float>(
    window: &Window,
    x: &[F],
    taps: Range<usize>,
    places: &Range<usize>,
    unfolded: &mut [F],
) {
    let stride = window.columns.stride;
    for (row, tap) in unfolded.chunks_exact_mut(places.len()).zip(taps) {
        if window.is_padded() {
            row.fill(F::zero());
        }
        for_each_run(window, tap, places, |run, at| {
            let row = &mut row[run];
            if stride == 1 {
                copy(&x[at..at + row.len()], row);
            } else {
                row.iter_mut().zip(x[at..].iter().step_by(stride)).for_each(|(row, &x)| *row = x);
            }
        });
    }
}

/// Adds every number of the matrix, all taps at these places, to the number of `x` that it was read from.
pub(super) fn fold<F: Float>(window: &Window, unfolded: &[F], places: &Range<usize>, x: &mut [F]) {
    let stride = window.columns.stride;
    for (tap, row) in unfolded.chunks_exact(places.len()).enumerate() {
        for_each_run(window, tap, places, |run, at| {
            let row = &row[run];
            if stride == 1 {
                x[at..at + row.len()].iter_mut().zip(row).for_each(|(x, &row)| *x += row);
            } else {
                x[at..].iter_mut().step_by(stride).zip(row).for_each(|(x, &row)| *x += row);
            }
        });
    }
}

/// `to = from`, for runs that are often shorter than a call of the system's copy takes.
#[inline]
fn copy<F: Float>(from: &[F], to: &mut [F]) {
    const CHUNK: usize = 4;
    if to.len() >= 16 * CHUNK {
        return to.copy_from_slice(from);
    }
    let ((from, from_rest), (to, to_rest)) = (from.as_chunks::<CHUNK>(), to.as_chunks_mut::<CHUNK>());
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    to_rest.iter_mut().zip(from_rest).for_each(|(to, &from)| *to = from);
}
