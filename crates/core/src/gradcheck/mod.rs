//! A gradient checker that cannot be fooled: every derivative against central differences.
//!
//! A layer is checked through a random projection of its output, a network through its loss. The function is
//! evaluated forward only, in f64, so the numbers it is held against owe nothing to the code that is checked.
//!
//! # What keeps a check from passing for nothing
//! - Written buffers start as NaN and what is added to as ones: reading before writing shows, writing instead of adding,
//!   adding instead of writing.
//! - Where a layer's two ways to a gradient by its parameters differ, no number of that tensor passes.
//! - The error is relative to the norm of the tensor's own gradient, never to 1: small gradients are checked as
//!   sharply as large ones.
//! - A gradient that is zero everywhere proves nothing and is reported as such, unless it is declared to be zero, with a
//!   reason, and then it is checked absolutely.
//! - A difference that crosses a kink is found from the function's values alone, so a wrong gradient cannot be taken
//!   for a kink; it is left out and counted.
//!
//! # Differences
//! With `D(h) = (f(x+h) - f(x-h)) / 2h = f' + h² f'''/6 + O(h⁴)`, Richardson's extrapolation of two steps,
//! `(4 D(h/2) - D(h)) / 3 = f' + O(h⁴)`, removes the second-order term, so `h` may be large enough that rounding does not
//! matter (Richardson, 1911).

mod difference;
mod laws;
mod layer;
mod objective;
mod report;

pub use laws::{batch_additivity, transpose_identity};
pub use layer::{LayerCase, Phase, check_layer};
pub use objective::{check_objective, samples_crossing};
pub use report::{Report, TensorReport, Verdict};

/// How a check is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The norm-relative error up to which a tensor passes.
    pub tolerance: Tolerance,
    /// The step of the differences.
    pub step: f64,
    /// Entries of a tensor that are checked at most; which ones is decided by the seed.
    pub entries: usize,
    /// Decides every random number of the check.
    pub seed: u64,
}

/// The norm-relative error up to which a tensor passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// This error, for numbers that a test chooses.
    Fixed(f64),
    /// This error, or what rounding of the differences alone can make if that is more, for numbers as a user has them:
    /// of a huge loss with small slopes, the differences know no better.
    OrRounding(f64),
}

impl Default for Options {
    fn default() -> Self {
        Self { tolerance: Tolerance::Fixed(1e-7), step: 1e-3, entries: usize::MAX, seed: 0 }
    }
}

/// Numbers of either sign between 0.1 and 1 in magnitude: away from zero, where kinks often are.
pub(crate) fn numbers(len: usize, seed: u64, stream: u64) -> Vec<f64> {
    use ndarray_rand::rand::Rng;
    let mut rng = crate::random::generator(seed, crate::random::Purpose::Gradcheck, stream, 0);
    (0..len)
        .map(|_| {
            let magnitude = rng.random_range(0.1..1.0);
            if rng.random::<bool>() { magnitude } else { -magnitude }
        })
        .collect()
}

/// At most `count` of the entries of a tensor of `len`, in order.
pub(crate) fn chosen(len: usize, count: usize, seed: u64, stream: u64) -> Vec<usize> {
    use ndarray_rand::rand::seq::index;
    if len <= count {
        return (0..len).collect();
    }
    let mut rng = crate::random::generator(seed, crate::random::Purpose::Gradcheck, stream, 1);
    let mut entries = index::sample(&mut rng, len, count).into_vec();
    entries.sort_unstable();
    entries
}

#[cfg(test)]
mod planted;
