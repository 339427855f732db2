//! Which positions of a sample are padding.

use crate::{Float, Rows};

/// Samples are sequences of `positions`, each of `width` numbers; a position is padding if all its numbers equal `value`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Masking {
    /// Positions of a sample.
    pub positions: usize,
    /// Numbers of a position.
    pub width: usize,
    /// What all of them are where there is nothing.
    pub value: f64,
}

impl Masking {
    /// Writes 1 for every position of `x` that counts and 0 for padding: `[rows, positions]`.
    pub fn fill<F: Float>(&self, x: Rows<'_, F>, mask: &mut [F]) {
        let value = F::of(self.value);
        for (mask, position) in mask.iter_mut().zip(x.data().chunks_exact(self.width)) {
            let is_padding = position.iter().all(|&number| number == value);
            *mask = if is_padding { F::zero() } else { F::one() };
        }
    }
}
