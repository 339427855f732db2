//! Images enlarged by repetition.

use super::row_map::RowMap;
use super::window::Planes;
use crate::{Error, Float, Shape};

/// Every cell of `x`, `[c, h, w]`, becomes a block of `[fh, fw]` equal cells of `y`, `[c, h fh, w fw]`: the nearest
/// neighbour.
///
/// # Derivation
/// ```text
/// y_cij = x_c,⌊i/fh⌋,⌊j/fw⌋         ∂y_cij/∂x_cpr = [⌊i/fh⌋ = p] [⌊j/fw⌋ = r]
/// dL/dx_cpr = Σ_ij dL/dy_cij · ∂y_cij/∂x_cpr = the sum of dL/dy over the block
/// ```
#[derive(Debug)]
pub struct Upsample {
    input: Shape,
    output: Shape,
    factors: [usize; 2],
}

impl Upsample {
    /// Enlarges `[channels, height, width]` by whole `factors` of height and width.
    ///
    /// # Errors
    /// [`Error::Layer`] if the input has another rank, [`Error::EmptyShape`] if a factor is 0, [`Error::TooLarge`].
    pub fn new(input: &Shape, factors: [usize; 2]) -> Result<Self, Error> {
        let Planes { channels, size, .. } = Planes::plane("upsample2d", input)?;
        let size = |axis: usize| {
            let larger = size[axis].checked_mul(factors[axis]);
            larger.ok_or_else(|| Error::TooLarge { axes: vec![size[axis], factors[axis]] })
        };
        Ok(Self { input: input.clone(), output: Shape::new([channels, size(0)?, size(1)?])?, factors })
    }

    fn width(&self) -> usize {
        self.input.last()
    }
}

impl RowMap for Upsample {
    fn input(&self) -> &Shape {
        &self.input
    }

    fn output(&self) -> &Shape {
        &self.output
    }

    fn equations(&self) -> [String; 3] {
        [
            "y_cij = x_c,⌊i/fh⌋,⌊j/fw⌋, every cell a block of fh by fw",
            "∂y_cij/∂x_cpr = [⌊i/fh⌋ = p] [⌊j/fw⌋ = r]",
            "dx_cpr = Σ_ij dy_cij over the block of p, r",
        ]
        .map(Into::into)
    }

    fn forward_row<F: Float>(&self, x: &[F], y: &mut [F]) {
        let [height, width] = self.factors;
        let line = self.width() * width;
        for (x, y) in x.chunks_exact(self.width()).zip(y.chunks_exact_mut(line * height)) {
            let (first, others) = y.split_at_mut(line);
            first.chunks_exact_mut(width).zip(x).for_each(|(y, &x)| y.fill(x));
            others.chunks_exact_mut(line).for_each(|y| y.copy_from_slice(first));
        }
    }

    fn backward_row<F: Float>(&self, dy: &[F], dx: &mut [F]) {
        let [height, width] = self.factors;
        let line = self.width() * width;
        dx.fill(F::zero());
        for (dx, dy) in dx.chunks_exact_mut(self.width()).zip(dy.chunks_exact(line * height)) {
            for dy in dy.chunks_exact(line) {
                for (dx, dy) in dx.iter_mut().zip(dy.chunks_exact(width)) {
                    *dx += dy.iter().copied().sum::<F>();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn repeats_every_cell() {
        let layer = Upsample::new(&Shape::new([1, 2, 2]).unwrap(), [2, 3]).unwrap();
        let y = check::forward(&layer, &[], &[&[1.0, 2.0, 3.0, 4.0]]);
        let (above, below) = ([1.0, 1.0, 1.0, 2.0, 2.0, 2.0], [3.0, 3.0, 3.0, 4.0, 4.0, 4.0]);
        assert_eq!(y, [above, above, below, below].concat());
    }

    #[test]
    fn gradients_equal_central_differences() {
        for (axes, factors) in [([1, 1, 1], [1, 1]), ([2, 3, 1], [2, 3]), ([3, 2, 5], [3, 1])] {
            check::gradients(&Upsample::new(&Shape::new(axes).unwrap(), factors).unwrap(), 3);
        }
    }

    #[test]
    fn refuses_factors_that_no_memory_holds() {
        let shape = Shape::new([1, 4, 4]).unwrap();
        assert!(matches!(Upsample::new(&shape, [usize::MAX, 1]), Err(Error::TooLarge { .. })));
        assert!(matches!(Upsample::new(&shape, [1, 0]), Err(Error::EmptyShape { .. })));
    }
}
