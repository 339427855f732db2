//! Exponentials of groups of numbers, each beside the largest of its group.

use super::{Lanes, dot, exp, max, sum};
use crate::Float;

/// Numbers that are worked on at once, so that they stay in the nearest cache from step to step.
const BLOCK: usize = 1024;

/// Numbers of a group whose exponentials are held at once where there is no room for all.
const PIECE: usize = 64;

/// Replaces every number by the exponential of its difference to the largest of its group of `len`, and calls
/// `each(index, group)` for every group.
///
/// Differences first, then all exponentials in one loop over several groups: a loop over a short group alone would
/// leave most lanes of a vector empty.
#[inline(always)]
pub(crate) fn exp_of_differences<F: Float>(
    values: &mut [F],
    len: usize,
    mut each: impl FnMut(usize, &mut [F]),
) {
    let groups = (BLOCK / len).max(1);
    for (block, values) in values.chunks_mut(groups * len).enumerate() {
        for group in values.chunks_exact_mut(len) {
            let max = max(group);
            group.iter_mut().for_each(|value| *value -= max);
        }
        values.iter_mut().for_each(|value| *value = exp(*value));
        for (at, group) in values.chunks_exact_mut(len).enumerate() {
            each(block * groups + at, group);
        }
    }
}

/// The softmax of every group of `len` numbers.
#[inline(always)]
pub(crate) fn softmax<F: Float>(values: &mut [F], len: usize) {
    exp_of_differences(values, len, |_, group| {
        let sum = sum(group);
        group.iter_mut().for_each(|value| *value /= sum);
    });
}

/// Makes `dx_i = y_i (dy_i - Σ_j dy_j y_j)` of `dy`, group by group.
#[inline(always)]
pub(crate) fn softmax_backward<F: Float>(y: &[F], dy: &mut [F], len: usize) {
    for (dy, y) in dy.chunks_exact_mut(len).zip(y.chunks_exact(len)) {
        let inner = dot(dy, y);
        for (dy, &y) in dy.iter_mut().zip(y) {
            *dy = y * (*dy - inner);
        }
    }
}

/// `Σ exp(x_j - max)`, the same bits as the sum of what [`exp_of_differences`] leaves.
#[inline(always)]
pub(crate) fn sum_of_exp<F: Float>(values: &[F], max: F) -> F {
    let mut lanes = Lanes::new(F::zero());
    let mut exponentials = [F::zero(); PIECE];
    for piece in values.chunks(PIECE) {
        let exponentials = &mut exponentials[..piece.len()];
        for (exponential, &value) in exponentials.iter_mut().zip(piece) {
            *exponential = exp(value - max);
        }
        lanes.join(exponentials, |a, b| a + b);
    }
    lanes.total(|a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_both_ways_have_the_same_bits() {
        for len in [1, 3, 8, 10, 64, 65, 200, 1500] {
            let values: Vec<f32> = (0..3 * len).map(|i| ((i * 37) % 101) as f32 / 10.0).collect();
            let mut exponentials = values.clone();
            let mut seen = 0;
            exp_of_differences(&mut exponentials, len, |index, group| {
                assert_eq!(index, seen);
                seen += 1;
                let values = &values[index * len..][..len];
                assert_eq!(sum(group).to_bits(), sum_of_exp(values, max(values)).to_bits(), "{len}");
            });
            assert_eq!(seen, 3);
        }
    }

    #[test]
    fn nan_spreads_over_its_group_alone() {
        let mut values = [1.0, f64::NAN, 2.0, 0.0, 0.0, 0.0];
        softmax(&mut values, 3);
        assert!(values[..3].iter().all(|value| value.is_nan()));
        assert_eq!(values[3..], [1.0 / 3.0; 3]);
    }
}
