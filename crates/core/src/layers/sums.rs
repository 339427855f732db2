//! Sums in an order that their length alone decides, with rounding errors that hardly grow with it.
//!
//! A sum of `n` numbers one by one can be wrong by `n` roundings; here blocks of a few hundred are summed in lanes, as a
//! vector unit does, and the blocks in f64 (the idea of pairwise summation; Higham, 1993).

use std::ops::Range;

use crate::Float;

/// Partial sums that run side by side.
const LANES: usize = 16;

/// Numbers that are summed before f64 takes over.
const BLOCK: usize = 16 * LANES;

/// Columns that are summed together: whole cache lines of either number type.
pub(super) const COLUMNS: usize = 32;

/// Rows of a column that are summed before f64 takes over.
const ROWS: usize = 16;

/// `Σ term(a_i)`.
#[inline]
pub(super) fn sum<F: Float>(a: &[F], term: impl Fn(F) -> F) -> f64 {
    sum_of_pairs(a, a, |a, _| term(a))
}

/// `Σ term(a_i, b_i)`.
#[inline]
pub(super) fn sum_of_pairs<F: Float>(a: &[F], b: &[F], term: impl Fn(F, F) -> F) -> f64 {
    debug_assert_eq!(a.len(), b.len());
    let mut total = 0.0;
    for (a, b) in a.chunks(BLOCK).zip(b.chunks(BLOCK)) {
        let ((a_lanes, a_rest), (b_lanes, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        let rest = a_rest.iter().zip(b_rest).fold(F::zero(), |sum, (&a, &b)| sum + term(a, b));
        total += rest.as_f64();
        if a_lanes.is_empty() {
            continue;
        }
        let mut sums = [F::zero(); LANES];
        for (a, b) in a_lanes.iter().zip(b_lanes) {
            for lane in 0..LANES {
                sums[lane] += term(a[lane], b[lane]);
            }
        }
        total += sum_of_lanes(sums).as_f64();
    }
    total
}

#[inline]
fn sum_of_lanes<F: Float>(mut sums: [F; LANES]) -> F {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            let other = sums[lane + half];
            sums[lane] += other;
        }
        half /= 2;
    }
    sums[0]
}

/// Sums over `rows` rows for each of `columns`: `add_row(row, some_columns, sums)` adds the terms of a row, and
/// `take(column, sum)` is called with every sum, in order.
#[inline]
pub(super) fn column_sums<F: Float>(
    rows: usize,
    columns: Range<usize>,
    add_row: impl Fn(usize, Range<usize>, &mut [F]),
    mut take: impl FnMut(usize, f64),
) {
    for start in columns.clone().step_by(COLUMNS) {
        let block = start..columns.end.min(start + COLUMNS);
        let mut totals = [0.0; COLUMNS];
        for first in (0..rows).step_by(ROWS) {
            let mut sums = [F::zero(); COLUMNS];
            for row in first..rows.min(first + ROWS) {
                add_row(row, block.clone(), &mut sums[..block.len()]);
            }
            totals.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum.as_f64());
        }
        block.zip(totals).for_each(|(column, total)| take(column, total));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_every_number_once() {
        for len in [0, 1, 15, 16, 17, 255, 256, 257, 1000] {
            let numbers: Vec<f64> = (0..len).map(f64::from).collect();
            let expected = f64::from(len) * (f64::from(len) - 1.0) / 2.0;
            assert_eq!(sum(&numbers, |x| x), expected, "{len}");
            assert_eq!(sum_of_pairs(&numbers, &numbers, |a, b| a + b), 2.0 * expected, "{len}");
        }
    }

    #[test]
    fn adds_every_row_of_every_column() {
        for (rows, width, columns) in [(1, 1, 0..1), (7, 3, 1..3), (33, 40, 0..40), (16, 70, 5..69)] {
            let x: Vec<f64> = (0..rows * width).map(|at| at as f64).collect();
            let mut sums = vec![f64::NAN; width];
            let add = |row: usize, columns: Range<usize>, sums: &mut [f64]| {
                sums.iter_mut().zip(&x[row * width..][columns]).for_each(|(sum, x)| *sum += x);
            };
            column_sums(rows, columns.clone(), add, |column, sum| sums[column] = sum);
            for column in columns {
                assert_eq!(sums[column], (0..rows).map(|row| x[row * width + column]).sum::<f64>());
            }
        }
    }

    #[test]
    fn a_million_small_numbers_do_not_drift() {
        let numbers = vec![0.1f32; 1 << 20];
        let exact = f64::from(0.1f32) * f64::from(1 << 20);
        assert!((sum(&numbers, |x| x) - exact).abs() < 1e-6 * exact);
        let mut total = f64::NAN;
        let add = |row: usize, _: Range<usize>, sums: &mut [f32]| sums[0] += numbers[row];
        column_sums(numbers.len(), 0..1, add, |_, sum| total = sum);
        assert!((total - exact).abs() < 1e-6 * exact);
    }
}
