//! The order in which an epoch visits the samples.

use chainrule_core::random::{self, Purpose};
use ndarray_rand::rand::seq::SliceRandom;

/// How the samples of an epoch are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they stand in the data set.
    Fixed,
    /// A permutation that is a function of this seed and the epoch: nothing is carried from epoch to epoch, so any
    /// epoch can be repeated or resumed.
    Shuffled {
        /// The seed of the run.
        seed: u64,
    },
}

impl Order {
    /// Writes the order of `epoch` into `order`; the indices it holds before do not matter.
    pub(crate) fn fill(self, epoch: u64, order: &mut [u32]) {
        for (index, place) in (0..).zip(order.iter_mut()) {
            *place = index;
        }
        if let Self::Shuffled { seed } = self {
            order.shuffle(&mut random::generator(seed, Purpose::Shuffle, epoch, 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(seed: u64, epoch: u64) -> Vec<u32> {
        let mut order = vec![7; 100];
        Order::Shuffled { seed }.fill(epoch, &mut order);
        order
    }

    #[test]
    fn is_a_permutation_of_seed_and_epoch_alone() {
        let mut sorted = order(1, 5);
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..100));
        assert_eq!(order(1, 5), order(1, 5));
        assert_ne!(order(1, 5), order(1, 6));
        assert_ne!(order(1, 5), order(2, 5));
    }
}
