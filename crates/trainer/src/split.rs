//! Which samples are trained on, which are held out: a pure function of seed, fractions and classes.

use chainrule_core::random::{self, Purpose};
use ndarray_rand::rand::seq::SliceRandom;

/// Which shares of a data set are held out, each in [0, 1), together below 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fractions {
    /// The share that is evaluated while training.
    pub validation: f64,
    /// The share that is evaluated once, at the end.
    pub test: f64,
}

/// The samples of each part, in the order of the data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// What is trained on; never empty.
    pub train: Vec<u32>,
    /// What is evaluated while training.
    pub validation: Vec<u32>,
    /// What is evaluated at the end.
    pub test: Vec<u32>,
}

/// Why a data set cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// A fraction above 0 of which no sample is left after rounding.
    #[error("{part} = {fraction} of {samples} samples is no sample")]
    Empty {
        /// `validation` or `test`.
        part: &'static str,
        /// The fraction asked for.
        fraction: f64,
        /// The samples of the whole set.
        samples: usize,
    },
    /// Nothing is left to train on.
    #[error("of {samples} samples, {held_out} are held out and none is left to train on")]
    NothingToTrain {
        /// The samples of the whole set.
        samples: usize,
        /// Those of validation and test.
        held_out: usize,
    },
}

impl Split {
    /// Everything is trained on.
    pub fn all(samples: usize) -> Self {
        Self { train: (0..).take(samples).collect(), validation: Vec::new(), test: Vec::new() }
    }

    /// Splits `samples` samples. Each held-out part has `fraction * samples` of them, rounded to the nearest number. With
    /// `classes`, one a sample, each class has its share in each part, up to the one sample that rounding gives or
    /// takes, and no class leaves the training part while another can give a sample.
    ///
    /// # Errors
    /// [`SplitError`] if a part that is asked for would be empty, or the training part.
    ///
    /// # Panics
    /// If there are `classes`, but not one a sample.
    pub fn new(
        samples: usize,
        classes: Option<&[u32]>,
        fractions: Fractions,
        seed: u64,
    ) -> Result<Self, SplitError> {
        let count = |part, fraction: f64| match (fraction * samples as f64).round() as usize {
            0 if fraction > 0.0 => Err(SplitError::Empty { part, fraction, samples }),
            count => Ok(count),
        };
        let test = count("test", fractions.test)?;
        let validation = count("validation", fractions.validation)?;
        if test + validation >= samples {
            return Err(SplitError::NothingToTrain { samples, held_out: test + validation });
        }
        if test + validation == 0 {
            return Ok(Self::all(samples));
        }
        let mut groups = groups(samples, classes);
        for (index, group) in (0..).zip(&mut groups) {
            group.shuffle(&mut random::generator(seed, Purpose::Split, index, 0));
        }
        Ok(Self {
            test: take(&mut groups, test),
            validation: take(&mut groups, validation),
            train: sorted(groups.concat()),
        })
    }
}

/// The samples of each class, classes in order; without classes, one group.
fn groups(samples: usize, classes: Option<&[u32]>) -> Vec<Vec<u32>> {
    let Some(classes) = classes else { return vec![(0..).take(samples).collect()] };
    assert_eq!(classes.len(), samples, "every sample has a class");
    let mut order: Vec<u32> = (0..).take(samples).collect();
    order.sort_by_key(|&sample| classes[sample as usize]);
    order.chunk_by(|&a, &b| classes[a as usize] == classes[b as usize]).map(<[u32]>::to_vec).collect()
}

/// Takes `count` samples, fewer than there are, from the ends of the groups: from each its share rounded down, then one
/// more from those that the rounding cost most (the method of the largest remainder).
fn take(groups: &mut [Vec<u32>], count: usize) -> Vec<u32> {
    // Products of two numbers of samples do not overflow in 128 bits.
    let total = groups.iter().map(Vec::len).sum::<usize>() as u128;
    let share = |group: &Vec<u32>| group.len() as u128 * count as u128;
    let mut counts: Vec<usize> = groups.iter().map(|group| (share(group) / total) as usize).collect();
    let mut by_remainder: Vec<usize> = (0..groups.len()).collect();
    by_remainder.sort_by_key(|&group| {
        let would_be_empty = counts[group] + 1 >= groups[group].len();
        (would_be_empty, std::cmp::Reverse(share(&groups[group]) % total))
    });
    let missing = count - counts.iter().sum::<usize>();
    by_remainder.into_iter().take(missing).for_each(|group| counts[group] += 1);
    let taken = groups.iter_mut().zip(counts).flat_map(|(group, count)| group.split_off(group.len() - count));
    sorted(taken.collect())
}

fn sorted(mut samples: Vec<u32>) -> Vec<u32> {
    samples.sort_unstable();
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fractions(validation: f64, test: f64) -> Fractions {
        Fractions { validation, test }
    }

    fn counts(part: &[u32], classes: &[u32], of: u32) -> usize {
        part.iter().filter(|&&sample| classes[sample as usize] == of).count()
    }

    #[test]
    fn every_sample_is_in_one_part_and_parts_keep_the_order() {
        let split = Split::new(103, None, fractions(0.2, 0.3), 7).unwrap();
        assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (51, 21, 31));
        let mut all = [split.train.clone(), split.validation.clone(), split.test.clone()].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..103));
        assert!([&split.train, &split.validation, &split.test].into_iter().all(|part| part.is_sorted()));
    }

    #[test]
    fn is_a_function_of_the_seed() {
        let split = |seed| Split::new(100, None, fractions(0.2, 0.2), seed).unwrap();
        assert_eq!(split(1), split(1));
        assert_ne!(split(1).test, split(2).test);
    }

    #[test]
    fn each_class_has_its_share_in_each_part() {
        let classes: Vec<u32> = (0..150).map(|sample| sample / 50).collect();
        let split = Split::new(150, Some(&classes), fractions(0.2, 0.2), 3).unwrap();
        for part in [&split.validation, &split.test] {
            assert_eq!([0, 1, 2].map(|class| counts(part, &classes, class)), [10, 10, 10]);
        }
        let uneven: Vec<u32> = (0..17).map(|sample| u32::from(sample % 3 == 0)).collect();
        let split = Split::new(17, Some(&uneven), fractions(0.3, 0.3), 3).unwrap();
        // 5 of 11 and 6: shares 3.24 and 1.76; then 5 of 8 and 4: shares 3.33 and 1.67.
        for part in [&split.test, &split.validation] {
            assert_eq!([0, 1].map(|class| counts(part, &uneven, class)), [3, 2]);
        }
    }

    #[test]
    fn a_rare_class_stays_in_the_training_part() {
        let mut classes = vec![0; 99];
        classes.push(1);
        for seed in 0..20 {
            let split = Split::new(100, Some(&classes), fractions(0.4, 0.5), seed).unwrap();
            assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (10, 40, 50));
            assert!(split.train.contains(&99), "{seed}");
        }
    }

    #[test]
    fn refuses_a_part_without_samples() {
        let split = |samples, validation, test| Split::new(samples, None, fractions(validation, test), 0);
        assert!(matches!(split(4, 0.1, 0.0), Err(SplitError::Empty { part: "validation", .. })));
        assert!(matches!(split(4, 0.0, 0.1), Err(SplitError::Empty { part: "test", .. })));
        assert!(matches!(split(2, 0.49, 0.49), Err(SplitError::NothingToTrain { samples: 2, held_out: 2 })));
        assert_eq!(split(4, 0.0, 0.0).unwrap(), Split::all(4));
    }
}
