//! Random numbers that are a function of where they are used.
//!
//! Each use derives a generator of its own from the seed, what it is for, and up to two counters (a tensor's index,
//! an epoch, a step). Nothing is shared and nothing has to be stored to repeat or resume a run.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The generator: ChaCha with 8 rounds, whose output is portable by contract.
pub type Rng = ChaCha8Rng;

/// What random numbers are drawn for; different purposes never share a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// The start values of a parameter.
    Initialization = 1,
    /// The order of the samples in an epoch.
    Shuffle = 2,
    /// Which samples are held out.
    Split = 3,
    /// The numbers at which gradients are checked.
    Gradcheck = 4,
    /// Dropout and noise in a training step.
    Noise = 5,
    /// Samples that are made up.
    Synthetic = 6,
    /// The tokens of a generated text.
    Generate = 7,
    /// What the trials of a sweep try.
    Sweep = 8,
}

/// The generator for one use: the same arguments always give the same numbers, different ones unrelated numbers.
pub fn generator(seed: u64, purpose: Purpose, major: u64, minor: u64) -> Rng {
    let words = [seed, purpose as u64, major, minor];
    let mut key = [0u8; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::RngCore;

    use super::*;

    #[test]
    fn differs_in_every_argument_and_repeats() {
        let first = |seed, purpose, major, minor| generator(seed, purpose, major, minor).next_u64();
        let base = first(1, Purpose::Shuffle, 2, 3);
        assert_eq!(base, first(1, Purpose::Shuffle, 2, 3));
        assert_ne!(base, first(2, Purpose::Shuffle, 2, 3));
        assert_ne!(base, first(1, Purpose::Initialization, 2, 3));
        assert_ne!(base, first(1, Purpose::Shuffle, 3, 3));
        assert_ne!(base, first(1, Purpose::Shuffle, 2, 4));
    }
}
