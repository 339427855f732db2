//! Weights whose rows may not grow longer than a limit.

use std::ops::Range;

use chainrule_core::{Float, Parameter, Role};

use super::clip::sum_of_squares;

/// Shortens rows of weights after a step.
///
/// # Update
/// With every row `w` of a weight along its first axis, what one unit or one map weighs its inputs by, and the limit `c`
/// (Srebro & Shraibman, 2005; with dropout: Srivastava et al., 2014), as Keras's constraint `max_norm`:
/// ```text
/// w <- w min(1, c / |w|)             |w| = √Σᵢ wᵢ²
/// ```
/// It is the projection onto the ball of radius `c`, the nearest weights that are allowed, so a step and this make
/// projected gradient descent. Rows that are short enough keep their bits. Frozen weights are left alone, and so are
/// vectors, such as the factors of a normalisation, which weigh no inputs against each other. Of an embedding a row is the
/// vector of a token; of a transposed convolution, whose first axis is the channels it reads, what one of them gives to all maps.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxNorm {
    limit: f64,
    weights: Vec<Rows>,
}

/// A weight and the length of its rows.
#[derive(Clone, Debug, PartialEq)]
struct Rows {
    range: Range<usize>,
    width: usize,
}

impl MaxNorm {
    /// Rows of at most `limit`, greater than 0, in the weights among these tensors.
    pub fn new(limit: f64, parameters: &[Parameter]) -> Self {
        let mut start = 0;
        let mut weights = Vec::new();
        for parameter in parameters {
            let range = start..start + parameter.shape.len();
            start = range.end;
            let axes = parameter.shape.axes();
            if parameter.trainable && parameter.role == Role::Weight && axes.len() > 1 {
                weights.push(Rows { width: range.len() / axes[0], range });
            }
        }
        Self { limit, weights }
    }

    /// Shortens what is too long.
    ///
    /// # Panics
    /// If `theta` does not hold the tensors that it was made for.
    pub fn apply<F: Float>(&self, theta: &mut [F]) {
        for Rows { range, width } in &self.weights {
            for row in theta[range.clone()].chunks_exact_mut(*width) {
                let norm = sum_of_squares(row).sqrt();
                // A norm that overflows would shorten the row to nothing, and hide that a run diverges.
                if norm > self.limit && norm.is_finite() {
                    let factor = F::of(self.limit / norm);
                    row.iter_mut().for_each(|w| *w *= factor);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chainrule_core::{Fans, Initializer, Shape};

    use super::*;

    fn parameter(axes: &[usize], role: Role) -> Parameter {
        let fans = Fans { fan_in: 1, fan_out: 1 };
        Parameter::new("p", Shape::new(axes.to_vec()).unwrap(), role, Initializer::Zeros, fans)
    }

    #[test]
    fn shortens_the_rows_that_are_too_long() {
        let parameters = [parameter(&[2, 2], Role::Weight), parameter(&[2], Role::Bias)];
        let mut theta = [3.0, 4.0, 0.1, 0.2, 9.0, 9.0];
        MaxNorm::new(2.5, &parameters).apply(&mut theta);
        assert_eq!(theta, [1.5, 2.0, 0.1, 0.2, 9.0, 9.0]);
    }

    #[test]
    fn a_filter_is_a_row_and_a_vector_has_none() {
        let parameters = [parameter(&[3], Role::Weight), parameter(&[1, 2, 1, 2], Role::Weight)];
        let mut theta = [9.0, 9.0, 9.0, 1.0, 1.0, 1.0, 1.0];
        MaxNorm::new(1.0, &parameters).apply(&mut theta);
        assert_eq!(theta, [9.0, 9.0, 9.0, 0.5, 0.5, 0.5, 0.5]);
    }

    #[test]
    fn frozen_weights_stay() {
        let frozen = Parameter { trainable: false, ..parameter(&[1, 2], Role::Weight) };
        let mut theta = [3.0, 4.0];
        MaxNorm::new(1.0, &[frozen]).apply(&mut theta);
        assert_eq!(theta, [3.0, 4.0]);
    }
}
