//! Input numbers as a reader leaves them: in the type of the file, so that a byte costs a byte, and samples as rows in
//! them that may overlap.

use chainrule_core::random::{self, Purpose};
use ndarray_rand::rand::RngCore;

/// Numbers in the type in which they were read; they become the network's type when data sets are made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    /// Of text and of inline data.
    F64(Vec<f64>),
    /// Of files that hold no more digits.
    F32(Vec<f32>),
    /// Grey values, and the tokens of a small vocabulary.
    U8(Vec<u8>),
    /// The tokens of a large vocabulary.
    U32(Vec<u32>),
    /// Numbers in [0, 1) that are drawn when they are asked for.
    Uniform {
        /// What they are drawn from.
        seed: u64,
        /// How many there are.
        len: usize,
    },
}

impl Numbers {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F64(numbers) => numbers.len(),
            Self::F32(numbers) => numbers.len(),
            Self::U8(numbers) => numbers.len(),
            Self::U32(numbers) => numbers.len(),
            Self::Uniform { len, .. } => *len,
        }
    }

    /// Writes the numbers from `start` on into `row`. Of uniform numbers, a row is drawn as a whole.
    fn copy_to(&self, start: usize, row: &mut [f64]) {
        let range = start..start + row.len();
        match self {
            Self::F64(numbers) => row.copy_from_slice(&numbers[range]),
            Self::F32(numbers) => convert(&numbers[range], row),
            Self::U8(numbers) => convert(&numbers[range], row),
            Self::U32(numbers) => convert(&numbers[range], row),
            Self::Uniform { seed, .. } => {
                let sample = (start / row.len()) as u64;
                let mut generator = random::generator(*seed, Purpose::Synthetic, sample, 0);
                // Multiples of 2^-24 are the same numbers in either precision, and none rounds to 1.
                row.fill_with(|| f64::from(generator.next_u32() >> 8) / f64::from(1 << 24));
            }
        }
    }

    /// The token at a position.
    fn token(&self, at: usize) -> u32 {
        match self {
            Self::U8(numbers) => numbers[at].into(),
            Self::U32(numbers) => numbers[at],
            _ => unreachable!("tokens are whole numbers: `text` makes them"),
        }
    }
}

fn convert<T: Copy + Into<f64>>(from: &[T], to: &mut [f64]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from.into();
    }
}

/// The inputs of samples, each a row of consecutive numbers.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    numbers: Numbers,
    width: usize,
    /// Where the row of each sample begins; none, if one follows the other.
    starts: Option<Vec<usize>>,
}

impl Samples {
    /// Rows of `width` numbers, at least 1, one after the other.
    pub(crate) fn rows(numbers: Numbers, width: usize) -> Self {
        Self { numbers, width, starts: None }
    }

    /// Rows that begin at `starts` and may overlap.
    pub(crate) fn windows(numbers: Numbers, width: usize, starts: Vec<usize>) -> Self {
        Self { numbers, width, starts: Some(starts) }
    }

    /// The same numbers in rows of another width that begin at `starts`.
    pub(crate) fn into_windows(self, width: usize, starts: Vec<usize>) -> Self {
        Self::windows(self.numbers, width, starts)
    }

    /// How many samples there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.as_ref().map_or(self.numbers.len() / self.width, Vec::len)
    }

    /// Numbers in a row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    fn start(&self, sample: u32) -> usize {
        let sample = sample as usize;
        self.starts.as_ref().map_or(sample * self.width, |starts| starts[sample])
    }

    /// Shows the rows of some samples to `visit`, which may change the copy that it sees.
    pub(crate) fn for_each(&self, samples: &[u32], mut visit: impl FnMut(&mut [f64])) {
        let mut row = vec![0.0; self.width];
        for &sample in samples {
            self.numbers.copy_to(self.start(sample), &mut row);
            visit(&mut row);
        }
    }

    /// Shows the first `count` rows of `width` numbers, in their order, whatever the samples are.
    pub(crate) fn for_each_of_first(&self, count: usize, width: usize, mut visit: impl FnMut(&mut [f64])) {
        let mut row = vec![0.0; width];
        for index in 0..count {
            self.numbers.copy_to(index * width, &mut row);
            visit(&mut row);
        }
    }

    /// For every token of some samples the one that follows it in the text.
    pub(crate) fn next_tokens(&self, samples: &[u32]) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(samples.len() * self.width);
        for &sample in samples {
            let next = self.start(sample) + 1;
            tokens.extend((next..next + self.width).map(|at| self.numbers.token(at)));
        }
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(samples: &Samples, which: &[u32]) -> Vec<f64> {
        let mut seen = Vec::new();
        samples.for_each(which, |row| seen.extend_from_slice(row));
        seen
    }

    #[test]
    fn rows_follow_each_other_and_windows_may_overlap() {
        let rows = Samples::rows(Numbers::U8(vec![0, 1, 2, 3, 4, 5]), 2);
        assert_eq!((rows.len(), seen(&rows, &[2, 0])), (3, vec![4.0, 5.0, 0.0, 1.0]));
        let windows = Samples::windows(Numbers::U8(vec![0, 1, 2, 3, 4, 5]), 3, vec![0, 1, 2]);
        assert_eq!((windows.len(), seen(&windows, &[1])), (3, vec![1.0, 2.0, 3.0]));
        assert_eq!(windows.next_tokens(&[2]), [3, 4, 5]);
    }

    #[test]
    fn uniform_numbers_are_a_function_of_seed_and_sample() {
        let samples = |seed| Samples::rows(Numbers::Uniform { seed, len: 60 }, 20);
        let all = seen(&samples(1), &[0, 1, 2]);
        assert_eq!(seen(&samples(1), &[1]), all[20..40]);
        assert_ne!(all[..20], all[20..40]);
        assert_ne!(seen(&samples(2), &[1]), all[20..40]);
        assert!(all.iter().all(|number| (0.0..1.0).contains(number) && f64::from(*number as f32) == *number));
    }
}
