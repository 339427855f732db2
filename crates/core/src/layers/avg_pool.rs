//! Pools of means over one axis and over two.

use super::row_map::RowMap;
use super::window::{Kernel, Planes, Window};
use crate::{Error, Float, Shape};

/// `y`: the mean of what a window sees, at every place, channel by channel; padding counts as zeros.
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x` | `[c, h, w]` | a sample; without `h` in one dimension |
/// | `y` | `[c, oh, ow]` | means; `oh = (h + 2 padding - pool_size) / stride + 1`, rounded down |
///
/// # Derivation
/// With `k` the cells of the window and `W(p)` those of `x` that it covers at place `p`,
/// ```text
/// y_p = 1/k Σ_{q in W(p)} x_q         ∂y_p/∂x_q = 1/k where q is in W(p), 0 elsewhere
/// dL/dx_q = Σ_p dL/dy_p · ∂y_p/∂x_q = 1/k Σ_{p: q in W(p)} dL/dy_p
/// ```
/// The map is linear, so nothing needs to be kept.
#[derive(Debug)]
pub struct AvgPool {
    input: Shape,
    output: Shape,
    window: Window,
}

impl AvgPool {
    /// A pool over the last axis of `[channels, length]`; the height of `kernel` is 1.
    ///
    /// # Errors
    /// As [`AvgPool::two`].
    pub fn one(input: &Shape, kernel: &Kernel) -> Result<Self, Error> {
        Self::new("avg_pool1d", input, Planes::line("avg_pool1d", input)?, kernel)
    }

    /// A pool over the last two axes of `[channels, height, width]`.
    ///
    /// # Errors
    /// [`Error::Layer`] if the input has another rank, the window is larger than the padded input or has gaps, or the
    /// padding is more than half of the window.
    pub fn two(input: &Shape, kernel: &Kernel) -> Result<Self, Error> {
        Self::new("avg_pool2d", input, Planes::plane("avg_pool2d", input)?, kernel)
    }

    fn new(layer: &'static str, input: &Shape, planes: Planes, kernel: &Kernel) -> Result<Self, Error> {
        let window = planes.pool(layer, kernel)?;
        let output = planes.shape(&[planes.channels], [window.rows.output, window.columns.output])?;
        Ok(Self { input: input.clone(), output, window })
    }

    fn forward_plane<F: Float>(&self, x: &[F], y: &mut [F]) {
        let Window { rows, columns } = self.window;
        let share = F::one() / F::of(self.window.cells() as f64);
        for (i, y) in y.chunks_exact_mut(columns.output).enumerate() {
            for (j, y) in y.iter_mut().enumerate() {
                let mut sum = F::zero();
                for row in rows.reads(i) {
                    sum += x[row * columns.input..][columns.reads(j)].iter().copied().sum::<F>();
                }
                *y = share * sum;
            }
        }
    }

    fn backward_plane<F: Float>(&self, dy: &[F], dx: &mut [F]) {
        let Window { rows, columns } = self.window;
        let share = F::one() / F::of(self.window.cells() as f64);
        dx.fill(F::zero());
        for (i, dy) in dy.chunks_exact(columns.output).enumerate() {
            for (j, &dy) in dy.iter().enumerate() {
                for row in rows.reads(i) {
                    let dx = &mut dx[row * columns.input..][columns.reads(j)];
                    dx.iter_mut().for_each(|dx| *dx += share * dy);
                }
            }
        }
    }
}

impl RowMap for AvgPool {
    fn input(&self) -> &Shape {
        &self.input
    }

    fn output(&self) -> &Shape {
        &self.output
    }

    fn work(&self) -> usize {
        self.output.len().saturating_mul(self.window.cells())
    }

    fn equations(&self) -> [String; 3] {
        [
            "y_p = 1/k Σ_{q in W(p)} x_q, W(p) what the window of k cells covers at place p; padding counts as zeros".into(),
            "∂y_p/∂x_q = 1/k [q in W(p)]".into(),
            "dx_q = 1/k Σ_p [q in W(p)] dy_p".into(),
        ]
    }

    fn forward_row<F: Float>(&self, x: &[F], y: &mut [F]) {
        let (places, cells) = (self.window.outputs(), self.window.inputs());
        let planes = x.chunks_exact(cells).zip(y.chunks_exact_mut(places));
        planes.for_each(|(x, y)| self.forward_plane(x, y));
    }

    fn backward_row<F: Float>(&self, dy: &[F], dx: &mut [F]) {
        let (places, cells) = (self.window.outputs(), self.window.inputs());
        let planes = dy.chunks_exact(places).zip(dx.chunks_exact_mut(cells));
        planes.for_each(|(dy, dx)| self.backward_plane(dy, dx));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Padding;
    use super::*;
    use crate::layers::check;

    fn shape(axes: &[usize]) -> Shape {
        Shape::new(axes).unwrap()
    }

    fn kernel() -> Kernel {
        Kernel::new([3, 2]).with_stride([2, 1]).with_padding(Padding::Cells([1, 1]))
    }

    #[test]
    fn gives_pytorchs_numbers() {
        let layer = AvgPool::two(&shape(&[1, 4, 3]), &kernel()).unwrap();
        let x: Vec<f64> = (0..12).map(|i| ((i * 7) % 11) as f64 - 5.0).collect();
        let expected = [0.0, 0.5, -1.0 / 3.0, -5.0 / 6.0, 2.0, 2.0, -2.0, -2.0];
        for (y, expected) in check::forward(&layer, &[], &[&x]).into_iter().zip(expected) {
            assert!((y - expected).abs() < 1e-15);
        }
    }

    #[test]
    fn gradients_equal_central_differences() {
        check::gradients(&AvgPool::two(&shape(&[2, 5, 4]), &kernel()).unwrap(), 3);
        check::gradients(
            &AvgPool::two(&shape(&[2, 5, 7]), &Kernel::new([2, 2]).with_stride([2, 2])).unwrap(),
            2,
        );
        check::gradients(
            &AvgPool::two(&shape(&[1, 7, 4]), &Kernel::new([2, 1]).with_stride([3, 2])).unwrap(),
            7,
        );
        check::gradients(
            &AvgPool::one(&shape(&[3, 7]), &Kernel::new([1, 3]).with_stride([1, 2])).unwrap(),
            2,
        );
    }
}
