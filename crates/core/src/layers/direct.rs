//! Correlations of one channel with one map, without unfolding: a sum over the cells of the window for every place, several
//! places at a time.

use std::ops::Range;

use super::window::{Axis, Window};
use crate::Float;

/// Places that are computed at once; their sums stay in registers.
const LANES: usize = 8;

/// One plane of numbers that is read, with how many are over its edges.
#[derive(Clone, Copy)]
struct Plane<'a, F> {
    numbers: &'a [F],
    width: usize,
}

impl<'a, F> Plane<'a, F> {
    #[inline]
    fn line(self, row: usize) -> &'a [F] {
        &self.numbers[row * self.width..][..self.width]
    }
}

/// `z += w ⋆ x`.
pub(super) fn add_product<F: Float>(window: &Window, w: &[F], x: &[F], z: &mut [F]) {
    let x = Plane { numbers: x, width: window.columns.input };
    correlate(window, |row, column| w[row * window.columns.kernel + column], x, z);
}

/// `x += wᵀ ⋆ z`. In stride 1 that is the correlation with the window turned around.
pub(super) fn add_adjoint<F: Float>(window: &Window, w: &[F], z: &[F], x: &mut [F]) {
    if let (Some(rows), Some(columns)) = (window.rows.turned(), window.columns.turned()) {
        let z = Plane { numbers: z, width: window.columns.output };
        return correlate(
            &Window { rows, columns },
            |row, column| w[w.len() - 1 - row * columns.kernel - column],
            z,
            x,
        );
    }
    let (rows, columns) = (window.rows, window.columns);
    for (tap, &w) in w.iter().enumerate() {
        let (_, row, column) = window.split_tap(tap);
        let valid = columns.valid(column);
        if valid.is_empty() {
            continue;
        }
        for i in rows.valid(row) {
            let z = &z[i * columns.output..][valid.clone()];
            let at = rows.position(i, row) * columns.input + columns.position(valid.start, column);
            x[at..].iter_mut().step_by(columns.stride).zip(z).for_each(|(x, &z)| *x += w * z);
        }
    }
}

/// The outputs that read within the input at every tap.
fn inner(axis: &Axis) -> Range<usize> {
    let (first, last) = (axis.valid(0), axis.valid(axis.kernel - 1));
    first.start..last.end.max(first.start)
}

/// `z += w ⋆ x` for one plane, with the weights by row and column.
#[inline]
fn correlate<F: Float>(window: &Window, w: impl Fn(usize, usize) -> F, x: Plane<'_, F>, z: &mut [F]) {
    let (rows, columns) = (window.rows, window.columns);
    let inner = inner(&columns);
    for (i, z) in z.chunks_exact_mut(columns.output).enumerate() {
        let taps = rows.taps(i);
        for j in (0..inner.start).chain(inner.end..columns.output) {
            for row in taps.clone() {
                let line = x.line(rows.position(i, row));
                for column in columns.taps(j) {
                    z[j] += w(row, column) * line[columns.position(j, column)];
                }
            }
        }
        let mut j = inner.start;
        for z in z[inner.clone()].chunks_mut(LANES) {
            let mut sums = [F::zero(); LANES];
            for row in taps.clone() {
                let line = x.line(rows.position(i, row));
                for column in 0..columns.kernel {
                    let (w, seen) = (w(row, column), &line[columns.position(j, column)..]);
                    match seen.first_chunk::<LANES>() {
                        Some(seen) if columns.stride == 1 => {
                            for lane in 0..LANES {
                                sums[lane] += w * seen[lane];
                            }
                        }
                        _ => {
                            let seen = seen.iter().step_by(columns.stride);
                            sums.iter_mut().zip(seen).for_each(|(sum, &x)| *sum += w * x);
                        }
                    }
                }
            }
            z.iter_mut().zip(sums).for_each(|(z, sum)| *z += sum);
            j += LANES;
        }
    }
}

/// `dw_tm += Σ_p X_tp dz_mp` for some taps and all maps: `[taps, maps]`.
pub(super) fn add_to_strips<F: Float>(window: &Window, taps: Range<usize>, x: &[F], dz: &[F], dwt: &mut [F]) {
    let maps = dz.len() / window.outputs();
    for (tap, dwt) in taps.zip(dwt.chunks_exact_mut(maps)) {
        for (dz, dw) in dz.chunks_exact(window.outputs()).zip(dwt) {
            *dw += seen_by(window, tap, x, dz);
        }
    }
}

/// `Σ_p X_tp dz_p` of one tap. The partial sums go on from row to row.
fn seen_by<F: Float>(window: &Window, tap: usize, x: &[F], dz: &[F]) -> F {
    let (rows, columns) = (window.rows, window.columns);
    let (_, row, column) = window.split_tap(tap);
    let valid = columns.valid(column);
    let mut sums = [F::zero(); LANES];
    if valid.is_empty() {
        return F::zero();
    }
    let first = columns.position(valid.start, column);
    for i in rows.valid(row) {
        let dz = &dz[i * columns.output..][valid.clone()];
        let x = &x[rows.position(i, row) * columns.input + first..];
        if columns.stride == 1 {
            let ((dz, dz_rest), (x, x_rest)) = (dz.as_chunks::<LANES>(), x[..dz.len()].as_chunks::<LANES>());
            for (dz, x) in dz.iter().zip(x) {
                for lane in 0..LANES {
                    sums[lane] += dz[lane] * x[lane];
                }
            }
            sums.iter_mut().zip(dz_rest).zip(x_rest).for_each(|((sum, &dz), &x)| *sum += dz * x);
        } else {
            let seen = x.iter().step_by(columns.stride);
            dz.iter().zip(seen).enumerate().for_each(|(at, (&dz, &x))| sums[at % LANES] += dz * x);
        }
    }
    sums.into_iter().sum()
}
