//! One step over all parameters, in pieces that threads share.

use std::array::from_fn;
use std::mem::take;
use std::sync::{Mutex, PoisonError};

use chainrule_core::{Executor, Float};

use super::{Group, MAX_SLOTS, Memory, Optimizer, Step};

/// Parameters of a piece at least: below, waking a thread takes longer.
const MIN_PIECE: usize = 1 << 16;

/// Pieces at most: so many lie on the stack.
const MAX_PIECES: usize = 16;

/// What one thread works on.
struct Piece<'a, F> {
    theta: &'a mut [F],
    gradient: &'a [F],
    slots: [&'a mut [F]; MAX_SLOTS],
}

/// Moves the parameters of every group by step `number`. Each number is moved alone, so that the cut changes nothing;
/// a [`Joint`](super::Joint) step is not cut.
///
/// # Panics
/// If a group reaches beyond `theta`, or the vectors are not as long.
pub fn update<F: Float>(
    executor: &dyn Executor<F>,
    optimizer: &dyn Optimizer<F>,
    groups: &[Group],
    (number, learning_rate): (u64, f64),
    (theta, gradient): (&mut [F], &[F]),
    memory: &mut Memory<F>,
) {
    if let Some(joint) = optimizer.joint() {
        return joint.update(groups, (number, learning_rate), (theta, gradient), memory);
    }
    let Memory { slots, numbers } = memory;
    if !numbers.is_empty() {
        optimizer.begin(number, numbers);
    }
    let count = slots.len();
    for group in groups {
        let (theta, gradient) = (&mut theta[group.range.clone()], &gradient[group.range.clone()]);
        // Made where it is handed over: whoever copies what was just written waits for it.
        let step = || group.step(number, learning_rate, numbers);
        let is_small = theta.len() < 2 * MIN_PIECE;
        if is_small && count == 0 {
            optimizer.update(step(), theta, gradient, &mut []);
            continue;
        }
        let mut views: [&mut [F]; MAX_SLOTS] = from_fn(|_| Default::default());
        for (view, slot) in views.iter_mut().zip(slots.iter_mut()) {
            *view = &mut slot[group.range.clone()];
        }
        if is_small {
            optimizer.update(step(), theta, gradient, &mut views[..count]);
        } else {
            in_pieces(executor, optimizer, step(), Piece { theta, gradient, slots: views }, count);
        }
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
    let piece = len.div_ceil(MAX_PIECES).max(MIN_PIECE);
    // The compiler cannot know that a piece is asked for once; a lock that nobody waits for tells it.
    let pieces: [Mutex<Option<Piece<'_, F>>>; MAX_PIECES] = from_fn(|_| {
        let at = piece.min(whole.theta.len());
        let (gradient, rest) = whole.gradient.split_at(at);
        whole.gradient = rest;
        let theta = cut(&mut whole.theta, at);
        let slots = whole.slots.each_mut().map(|slot| cut(slot, at.min(slot.len())));
        Mutex::new(Some(Piece { theta, gradient, slots }))
    });
    executor.for_each(len.div_ceil(piece), &|index| {
        let piece = pieces[index].lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut piece) = piece {
            optimizer.update(step, piece.theta, piece.gradient, &mut piece.slots[..slots]);
        }
    });
}

/// Takes the first `at` numbers off.
fn cut<'a, F>(rest: &mut &'a mut [F], at: usize) -> &'a mut [F] {
    let (first, after) = take(rest).split_at_mut(at);
    *rest = after;
    first
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
