//! What a window sees, as a matrix, and the way back.

use std::ops::Range;

use super::window::Window;
use crate::Float;

/// The runs of a row of the unfolded matrix that lie within the input: calls `run(places, first)`, with `places` counted
/// from the first of the block, and `first` the number of `x` that the first of them reads; each next one is the
/// columns' stride further.
#[inline]
fn for_each_run(
    window: &Window,
    tap: usize,
    places: &Range<usize>,
    mut run: impl FnMut(Range<usize>, usize),
) {
    let width = window.columns.output;
    let (channel, row, column) = window.split_tap(tap);
    let (rows, columns) = (window.rows.valid(row), window.columns.valid(column));
    let (first, last) = (places.start / width, (places.end - 1) / width);
    let (begin, end) = (rows.start.max(first), rows.end.min(last + 1));
    if begin >= end || columns.is_empty() {
        return;
    }
    // Both places go forward by the same step from run to run, but where a block begins or ends within a row.
    let line = channel * window.inputs() + window.columns.position(columns.start, column);
    let mut at = line + window.rows.position(begin, row) * window.columns.input;
    let step = window.rows.stride * window.columns.input;
    for i in begin..end {
        let (start, stop) = (i * width + columns.start, i * width + columns.end);
        let from = start.max(places.start);
        let to = stop.min(places.end);
        if from < to {
            run(from - places.start..to - places.start, at + (from - start) * window.columns.stride);
        }
        at += step;
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
    let padded = window.is_padded();
    for (row, tap) in unfolded.chunks_exact_mut(places.len()).zip(taps) {
        if padded {
            row.fill(F::zero());
        }
        if stride == 1 {
            for_each_run(window, tap, places, |run, at| {
                let row = &mut row[run];
                copy(&x[at..at + row.len()], row);
            });
        } else {
            for_each_run(window, tap, places, |run, at| {
                row[run].iter_mut().zip(x[at..].iter().step_by(stride)).for_each(|(row, &x)| *row = x);
            });
        }
    }
}

/// Adds every number of the matrix, all taps at these places, to the number of `x` that it was read from.
pub(super) fn fold<F: Float>(window: &Window, unfolded: &[F], places: &Range<usize>, x: &mut [F]) {
    let stride = window.columns.stride;
    for (tap, row) in unfolded.chunks_exact(places.len()).enumerate() {
        if stride == 1 {
            for_each_run(window, tap, places, |run, at| {
                let row = &row[run];
                add(row, &mut x[at..at + row.len()]);
            });
        } else {
            for_each_run(window, tap, places, |run, at| {
                x[at..].iter_mut().step_by(stride).zip(&row[run]).for_each(|(x, &row)| *x += row);
            });
        }
    }
}

/// `to = from`, both of one length, for runs that are often shorter than a call of the system's copy takes.
///
/// Without a loop, which the compiler would recognise as a copy and make that call of: a run is its first numbers and its
/// last, of which some are moved twice.
#[inline]
pub(super) fn copy<F: Float>(from: &[F], to: &mut [F]) {
    match to.len() {
        0 => {}
        1 => to[0] = from[0],
        2..4 => copy_ends::<F, 2>(from, to),
        4..8 => copy_ends::<F, 4>(from, to),
        8..16 => copy_ends::<F, 8>(from, to),
        16..32 => copy_ends::<F, 16>(from, to),
        32..=64 => copy_ends::<F, 32>(from, to),
        _ => to.copy_from_slice(from),
    }
}

/// Copies the first `N` numbers and the last `N`.
#[inline(always)]
fn copy_ends<F: Float, const N: usize>(from: &[F], to: &mut [F]) {
    if let (Some(from), Some(to)) = (from.first_chunk::<N>(), to.first_chunk_mut()) {
        *to = *from;
    }
    if let (Some(from), Some(to)) = (from.last_chunk::<N>(), to.last_chunk_mut()) {
        *to = *from;
    }
}

/// Numbers that are added at once.
const CHUNK: usize = 8;

/// `to += from`, both of one length.
#[inline]
pub(super) fn add<F: Float>(from: &[F], to: &mut [F]) {
    let ((from, from_rest), (to, to_rest)) = (from.as_chunks::<CHUNK>(), to.as_chunks_mut::<CHUNK>());
    for (to, from) in to.iter_mut().zip(from) {
        for lane in 0..CHUNK {
            to[lane] += from[lane];
        }
    }
    to_rest.iter_mut().zip(from_rest).for_each(|(to, &from)| *to += from);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_runs_of_any_length() {
        for len in (0..140).chain([1000]) {
            let from: Vec<f32> = (0..len).map(|at| at as f32).collect();
            let mut to = vec![f32::NAN; len];
            copy(&from, &mut to);
            assert_eq!(to, from);
        }
    }
}
