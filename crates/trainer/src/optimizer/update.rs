//! One step over all parameters, in pieces that threads share.

use std::array::from_fn;
use std::sync::{Mutex, PoisonError};

use chainrule_core::{Executor, Float};

use super::{Group, MAX_SLOTS, Memory, Optimizer, Step};

/// Parameters of a piece at least: some microseconds' work.
const MIN_PIECE: usize = 1 << 14;

/// Parameters that are cut into pieces.
const MANY: usize = 2 * MIN_PIECE;

/// Pieces at most: so many lie on the stack.
const MAX_PIECES: usize = 16;

/// What one thread works on.
struct Piece<'a, F> {
    theta: &'a mut [F],
    gradient: &'a [F],
    slots: [&'a mut [F]; MAX_SLOTS],
}

/// Moves the parameters of every group by step `number`. Groups are in order and share no parameter.
///
/// Each number is moved alone, so that the cut into pieces changes nothing; a [`Joint`](super::Joint) step is not cut.
///
/// # Panics
/// If a group reaches beyond `theta`, or a vector is not as long.
pub fn update<F: Float>(
    executor: &dyn Executor<F>,
    optimizer: &dyn Optimizer<F>,
    groups: &[Group],
    (number, learning_rate): (u64, f64),
    (theta, gradient): (&mut [F], &[F]),
    memory: &mut Memory<F>,
) {
    debug_assert!(groups.is_sorted_by(|before, after| before.range.end <= after.range.start));
    if let Some(joint) = optimizer.joint() {
        return joint.update(groups, (number, learning_rate), (theta, gradient), memory);
    }
    update_groups(executor, optimizer, groups, (number, learning_rate), (theta, gradient), memory);
}

/// The same for an optimiser whose steps are not joint.
#[inline(always)]
pub(crate) fn update_groups<F: Float>(
    executor: &dyn Executor<F>,
    optimizer: &dyn Optimizer<F>,
    groups: &[Group],
    (number, learning_rate): (u64, f64),
    (theta, gradient): (&mut [F], &[F]),
    memory: &mut Memory<F>,
) {
    let Memory { slots, numbers } = memory;
    if !numbers.is_empty() {
        optimizer.begin(number, numbers);
    }
    for group in groups {
        let range = group.range.clone();
        let (theta, gradient) = (&mut theta[range.clone()], &gradient[range]);
        if theta.len() < MANY && slots.is_empty() {
            optimizer.update(group.step(number, learning_rate, numbers), theta, gradient, &mut []);
        } else {
            let step = (number, learning_rate, &numbers[..]);
            update_group(executor, optimizer, (group, step), (theta, gradient), slots);
        }
    }
}

/// Moves the parameters of one group, in pieces if they are many.
#[inline(never)] // Or a step of few parameters pays for its frame.
fn update_group<F: Float>(
    executor: &dyn Executor<F>,
    optimizer: &dyn Optimizer<F>,
    (group, (number, learning_rate, numbers)): (&Group, (u64, f64, &[f64])),
    (theta, gradient): (&mut [F], &[F]),
    slots: &mut [Vec<F>],
) {
    let count = slots.len();
    let step = group.step(number, learning_rate, numbers);
    let mut views: [&mut [F]; MAX_SLOTS] = from_fn(|_| Default::default());
    for (view, slot) in views.iter_mut().zip(slots) {
        *view = &mut slot[group.range.clone()];
    }
    let whole = Piece { theta, gradient, slots: views };
    if whole.theta.len() < MANY {
        whole.update(optimizer, step, count);
    } else {
        in_pieces(executor, optimizer, step, whole, count);
    }
}

fn in_pieces<F: Float>(
    executor: &dyn Executor<F>,
    optimizer: &dyn Optimizer<F>,
    step: Step<'_>,
    mut whole: Piece<'_, F>,
    slots: usize,
) {
    let len = whole.theta.len();
    let count = even_pieces(len);
    let piece = len.div_ceil(count);
    // The compiler cannot know that a piece is asked for once; a lock that nobody waits for tells it.
    let pieces: [Mutex<Option<Piece<'_, F>>>; MAX_PIECES] =
        from_fn(|_| Mutex::new(Some(whole.take(piece.min(whole.theta.len())))));
    executor.for_each(count, &|index| {
        let piece = pieces[index].lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(piece) = piece {
            piece.update(optimizer, step, slots);
        }
    });
}

/// A power of two, so that cutting the pieces in half again and again gives every thread as many.
fn even_pieces(len: usize) -> usize {
    let most = (len / MIN_PIECE).clamp(1, MAX_PIECES);
    1 << most.ilog2()
}

impl<'a, F: Float> Piece<'a, F> {
    /// Moves its parameters.
    fn update(mut self, optimizer: &dyn Optimizer<F>, step: Step<'_>, slots: usize) {
        optimizer.update(step, self.theta, self.gradient, &mut self.slots[..slots]);
    }

    /// Takes the first `at` parameters off.
    fn take(&mut self, at: usize) -> Piece<'a, F> {
        Piece {
            theta: self.theta.split_off_mut(..at).unwrap_or_default(),
            gradient: self.gradient.split_off(..at).unwrap_or_default(),
            slots: self
                .slots
                .each_mut()
                .map(|slot| slot.split_off_mut(..at.min(slot.len())).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use chainrule_core::Inline;

    use super::*;
    use crate::optimizer::Adam;

    #[test]
    fn pieces_change_no_bit() {
        let len = 3 * MIN_PIECE + 5;
        let numbers =
            |seed: usize| -> Vec<f64> { (0..len).map(|i| ((i * 7 + seed) % 23) as f64 - 11.0).collect() };
        let (mut theta, gradient) = (numbers(1), numbers(2));
        let slots = vec![numbers(3), (0..len).map(|i| (i % 5) as f64).collect()];
        let mut memory = Memory { slots, numbers: Vec::new() };
        let (mut expected, mut expected_memory) = (theta.clone(), memory.clone());
        let group = |range| Group { rate: 0.5, ..Group::new(range) };
        // What lies between the groups is frozen.
        let groups = [group(2..2 * MIN_PIECE + 30), group(2 * MIN_PIECE + 40..len)];
        let adam = Adam::new().with_weight_decay(0.1);
        update(&Inline, &adam, &groups, (3, 0.1), (&mut theta, &gradient), &mut memory);
        for at in 0..len {
            if groups.iter().any(|group| group.range.contains(&at)) {
                let [m, v] = &mut expected_memory.slots[..] else { unreachable!("two moments") };
                let slots = &mut [&mut m[at..=at], &mut v[at..=at]];
                adam.update(groups[0].step(3, 0.1, &[]), &mut expected[at..=at], &gradient[at..=at], slots);
            }
        }
        assert!(theta == expected && memory == expected_memory);
    }
}
