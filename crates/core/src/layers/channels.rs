//! Sums over the channels of a batch: `[rows, channels, positions]`, positions the axes after the channels.

use std::ops::Range;

use super::standardise;
use super::sums::{COLUMNS, column_sums, sum};
use crate::{Float, Rows};

/// The parts of the samples of `x` that are channel `channel`.
#[inline]
fn channel<F>(x: Rows<'_, F>, positions: usize, channel: usize) -> impl Iterator<Item = &[F]> {
    x.iter().map(move |x| &x[channel * positions..(channel + 1) * positions])
}

/// Mean and biased variance of the channels from `first` on, as pairs.
pub(super) fn statistics<F: Float>(x: Rows<'_, F>, positions: usize, first: usize, pairs: &mut [F]) {
    if positions == 1 {
        return column_statistics(x, first, pairs);
    }
    let m = (x.len() * positions) as f64;
    for (index, pair) in (first..).zip(pairs.chunks_exact_mut(2)) {
        let mean = F::of(channel(x, positions, index).map(|x| sum(x, |x| x)).sum::<f64>() / m);
        let squares = |x| sum(x, |x| (x - mean) * (x - mean));
        pair[0] = mean;
        pair[1] = F::of(channel(x, positions, index).map(squares).sum::<f64>() / m);
    }
}

/// `Σ dy` and `Σ dy (x - mean)` of the channels from `first` on, as pairs.
pub(super) fn gradient_sums<F: Float>(
    x: Rows<'_, F>,
    dy: Rows<'_, F>,
    positions: usize,
    mean: &[F],
    first: usize,
    pairs: &mut [F],
) {
    if positions == 1 {
        return column_gradient_sums(x, dy, mean, first, pairs);
    }
    for (index, pair) in (first..).zip(pairs.chunks_exact_mut(2)) {
        let samples = channel(x, positions, index).zip(channel(dy, positions, index));
        let (level, moment) = samples.fold((0.0, 0.0), |(level, moment), (x, dy)| {
            let sums = standardise::gradient_sums(x, dy, mean[index]);
            (level + sums.0, moment + sums.1)
        });
        (pair[0], pair[1]) = (F::of(level), F::of(moment));
    }
}

/// [`statistics`] where every column of `x` is a channel: neighbouring columns together, row by row.
fn column_statistics<F: Float>(x: Rows<'_, F>, first: usize, pairs: &mut [F]) {
    let (rows, width) = (x.len(), x.width());
    for (block, pairs) in pairs.chunks_mut(2 * COLUMNS).enumerate() {
        let start = first + block * COLUMNS;
        let columns = start..start + pairs.len() / 2;
        let mut means = [F::zero(); COLUMNS];
        let add_row = |row: usize, columns: Range<usize>, sums: &mut [F]| {
            sums.iter_mut().zip(&x.data()[row * width..][columns]).for_each(|(sum, &x)| *sum += x);
        };
        column_sums(rows, columns.clone(), add_row, |column, sum| {
            means[column - start] = F::of(sum / rows as f64);
        });
        let add_row = |row: usize, columns: Range<usize>, sums: &mut [F]| {
            let numbers = sums.iter_mut().zip(&x.data()[row * width..][columns]).zip(&means);
            numbers.for_each(|((sum, &x), &mean)| *sum += (x - mean) * (x - mean));
        };
        column_sums(rows, columns, add_row, |column, sum| {
            let at = column - start;
            (pairs[2 * at], pairs[2 * at + 1]) = (means[at], F::of(sum / rows as f64));
        });
    }
}

/// [`gradient_sums`] where every column is a channel.
fn column_gradient_sums<F: Float>(
    x: Rows<'_, F>,
    dy: Rows<'_, F>,
    mean: &[F],
    first: usize,
    pairs: &mut [F],
) {
    let (rows, width) = (x.len(), x.width());
    let columns = first..first + pairs.len() / 2;
    let add_row = |row: usize, columns: Range<usize>, sums: &mut [F]| {
        sums.iter_mut().zip(&dy.data()[row * width..][columns]).for_each(|(sum, &dy)| *sum += dy);
    };
    column_sums(rows, columns.clone(), add_row, |column, sum| pairs[2 * (column - first)] = F::of(sum));
    let add_row = |row: usize, columns: Range<usize>, sums: &mut [F]| {
        let x = &x.data()[row * width..][columns.clone()];
        let dy = &dy.data()[row * width..][columns.clone()];
        let numbers = sums.iter_mut().zip(x).zip(dy).zip(&mean[columns]);
        numbers.for_each(|(((sum, &x), &dy), &mean)| *sum += dy * (x - mean));
    };
    column_sums(rows, columns, add_row, |column, sum| pairs[2 * (column - first) + 1] = F::of(sum));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some of the channels, as a tile has them, where a channel is a column and where it has positions.
    #[test]
    fn sums_of_some_channels_equal_their_definitions() {
        let (rows, channels) = (5, 40);
        for positions in [1, 3] {
            let width = channels * positions;
            let numbers = |seed: usize| -> Vec<f64> {
                (0..rows * width).map(|i| ((i * 7 + seed * 13) % 23) as f64 / 7.0 - 1.5).collect()
            };
            let (x, dy) = (numbers(1), numbers(2));
            let of = |data: &[f64], channel: usize| -> Vec<f64> {
                let own = |row: &[f64]| row[channel * positions..][..positions].to_vec();
                data.chunks(width).flat_map(own).collect()
            };
            let means: Vec<f64> = (0..channels)
                .map(|channel| of(&x, channel).iter().sum::<f64>() / (rows * positions) as f64)
                .collect();
            let (first, count) = (3, 35);
            let (mut pairs, mut sums) = (vec![f64::NAN; 2 * count], vec![f64::NAN; 2 * count]);
            let (x_rows, dy_rows) = (Rows::new(&x, width), Rows::new(&dy, width));
            statistics(x_rows, positions, first, &mut pairs);
            gradient_sums(x_rows, dy_rows, positions, &means, first, &mut sums);
            for at in 0..count {
                let (mean, x, dy) = (means[first + at], of(&x, first + at), of(&dy, first + at));
                let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
                let moment = x.iter().zip(&dy).map(|(x, dy)| dy * (x - mean)).sum::<f64>();
                let found = [pairs[2 * at], pairs[2 * at + 1], sums[2 * at], sums[2 * at + 1]];
                let expected = [mean, variance, dy.iter().sum(), moment];
                for (found, expected) in found.iter().zip(expected) {
                    assert!(
                        (found - expected).abs() < 1e-12,
                        "channel {}: {found} for {expected}",
                        first + at
                    );
                }
            }
        }
    }
}
