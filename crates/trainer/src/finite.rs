//! Whether all numbers of a vector are finite.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use chainrule_core::simd::wide;
use chainrule_core::{Executor, Float};

/// Numbers of a piece: some microseconds' work.
const PIECE: usize = 1 << 15;

/// Numbers below which no instructions are chosen.
const FEW: usize = 64;

/// Sums side by side.
const LANES: usize = 32;

/// Whether none of `numbers` is NaN or an infinity: then their sum is finite, unless they are so large that they have to be
/// looked at one by one.
#[inline(always)]
pub(crate) fn all<F: Float>(executor: &dyn Executor<F>, numbers: &[F]) -> bool {
    all_with(executor, 0.0, numbers)
}

/// Whether that is so, and `total` is finite too, which comes first in the sum.
#[inline(always)]
pub(crate) fn all_with<F: Float>(executor: &dyn Executor<F>, total: f64, numbers: &[F]) -> bool {
    if numbers.len() < FEW && sum(F::of(total), numbers).is_finite() {
        return true;
    }
    total.is_finite() && all_of_many(executor, numbers)
}

/// Of which only whether it is finite counts, so the order does not matter.
#[inline(always)]
fn sum<F: Float>(start: F, numbers: &[F]) -> F {
    let (pairs, rest) = numbers.as_chunks::<2>();
    let mut sums = [start, F::zero()];
    for pair in pairs {
        sums = [sums[0] + pair[0], sums[1] + pair[1]];
    }
    rest.iter().fold(sums[0] + sums[1], |sum, &number| sum + number)
}

#[inline(never)]
fn all_of_many<F: Float>(executor: &dyn Executor<F>, numbers: &[F]) -> bool {
    if numbers.len() < 2 * PIECE {
        return piece(numbers);
    }
    let finite = AtomicBool::new(true);
    executor.for_each(numbers.len().div_ceil(PIECE), &|index| {
        let end = numbers.len().min((index + 1) * PIECE);
        if !piece(&numbers[index * PIECE..end]) {
            finite.store(false, Relaxed);
        }
    });
    finite.into_inner()
}

fn piece<F: Float>(numbers: &[F]) -> bool {
    wide(
        #[inline(always)]
        || {
            // Products with zero are zero, or NaN; and there is no way out of the loop, so that it becomes vector instructions.
            let (chunks, rest) = numbers.as_chunks::<LANES>();
            let mut lanes = [F::zero(); LANES];
            for chunk in chunks {
                for (lane, &number) in lanes.iter_mut().zip(chunk) {
                    *lane += number * F::zero();
                }
            }
            lanes.iter().chain(rest).all(|number| number.is_finite())
        },
    )
}

#[cfg(test)]
mod tests {
    use chainrule_core::Inline;

    use super::*;

    #[test]
    fn a_total_counts_and_what_is_large_is_finite() {
        for bad in [f64::NAN, f64::INFINITY] {
            assert!(!all_with(&Inline, bad, &[1.0f64]) && !all_with(&Inline, bad, &[1.0f32; 100]));
        }
        // Neither is a single, nor is the sum finite.
        assert!(all_with(&Inline, 1e300, &[1.0f32]));
        assert!(all_with(&Inline, f64::MAX, &[f64::MAX; 3]));
        assert!(!all_with(&Inline, f64::MAX, &[f64::MAX, f64::NAN]));
    }

    #[test]
    fn one_number_among_many_is_found() {
        for len in [1, 9, 100, 3 * PIECE + 7] {
            let mut numbers = vec![f32::MAX; len];
            assert!(all(&Inline, &numbers));
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for at in [0, len / 2, len - 1] {
                    let good = std::mem::replace(&mut numbers[at], bad);
                    assert!(!all(&Inline, &numbers), "{bad} at {at} of {len}");
                    numbers[at] = good;
                }
            }
        }
    }
}
