//! Images with a margin of zeros.

use super::row_map::RowMap;
use super::window::Planes;
use crate::{Error, Float, Shape};

/// `x`, `[c, h, w]`, with rows of zeros above and below, and columns of zeros to the left and right.
///
/// # Derivation
/// With `t` rows above and `l` columns to the left,
/// ```text
/// y_c,i+t,j+l = x_cij, and 0 in the margin         ∂y_cpr/∂x_cij = [p = i + t] [r = j + l]
/// dL/dx_cij = dL/dy_c,i+t,j+l
/// ```
#[derive(Debug)]
pub struct ZeroPad {
    input: Shape,
    output: Shape,
    /// Rows above, columns to the left.
    before: [usize; 2],
}

impl ZeroPad {
    /// Adds `[above, below]` rows and `[left, right]` columns to `[channels, height, width]`.
    ///
    /// # Errors
    /// [`Error::Layer`] if the input has another rank, [`Error::TooLarge`].
    pub fn new(input: &Shape, rows: [usize; 2], columns: [usize; 2]) -> Result<Self, Error> {
        let Planes { channels, size, .. } = Planes::plane("zero_pad2d", input)?;
        let padded = |size: usize, [before, after]: [usize; 2]| {
            let larger = size.checked_add(before).and_then(|size| size.checked_add(after));
            larger.ok_or_else(|| Error::TooLarge { axes: vec![size, before, after] })
        };
        let output = Shape::new([channels, padded(size[0], rows)?, padded(size[1], columns)?])?;
        Ok(Self { input: input.clone(), output, before: [rows[0], columns[0]] })
    }

    /// For every line of `x`, its place there and in `y`.
    fn lines(&self) -> impl Iterator<Item = (usize, usize)> {
        let [from, to] = [&self.input, &self.output].map(|shape| [shape.axes()[1], shape.axes()[2]]);
        let [above, left] = self.before;
        (0..self.input.len() / from[1]).map(move |line| {
            let (channel, row) = (line / from[0], line % from[0]);
            (line * from[1], (channel * to[0] + row + above) * to[1] + left)
        })
    }
}

impl RowMap for ZeroPad {
    fn input(&self) -> &Shape {
        &self.input
    }

    fn output(&self) -> &Shape {
        &self.output
    }

    fn equations(&self) -> [String; 3] {
        [
            "y_c,i+t,j+l = x_cij, t rows below the top and l columns from the left; 0 in the margin",
            "∂y_cpr/∂x_cij = [p = i + t] [r = j + l]",
            "dx_cij = dy_c,i+t,j+l",
        ]
        .map(Into::into)
    }

    fn forward_row<F: Float>(&self, x: &[F], y: &mut [F]) {
        let width = self.input.last();
        y.fill(F::zero());
        self.lines().for_each(|(from, to)| y[to..to + width].copy_from_slice(&x[from..from + width]));
    }

    fn backward_row<F: Float>(&self, dy: &[F], dx: &mut [F]) {
        let width = self.input.last();
        self.lines().for_each(|(from, to)| dx[from..from + width].copy_from_slice(&dy[to..to + width]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn surrounds_with_zeros() {
        let layer = ZeroPad::new(&Shape::new([2, 1, 2]).unwrap(), [1, 0], [0, 1]).unwrap();
        let y = check::forward(&layer, &[], &[&[1.0, 2.0, 3.0, 4.0]]);
        assert_eq!(y, [0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 3.0, 4.0, 0.0]);
    }

    #[test]
    fn gradients_equal_central_differences() {
        for (rows, columns) in [([0, 0], [0, 0]), ([1, 2], [3, 0]), ([0, 1], [2, 2])] {
            check::gradients(&ZeroPad::new(&Shape::new([2, 3, 2]).unwrap(), rows, columns).unwrap(), 3);
        }
    }

    #[test]
    fn refuses_margins_that_no_memory_holds() {
        let shape = Shape::new([1, 4, 4]).unwrap();
        assert!(matches!(ZeroPad::new(&shape, [usize::MAX, 1], [0, 0]), Err(Error::TooLarge { .. })));
    }
}
