//! Softmax along any axis: scores to shares.

use crate::activation::{self, WORK};
use crate::elementary::exp;
use crate::executor::for_each_tile;
use crate::simd::wide;
use crate::{Activation, Ctx, Derivation, Error, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape};

/// Columns that are worked on side by side where the axis is not the last.
const LANES: usize = 16;

/// `y_i = exp(x_i) / Σ_j exp(x_j)` along an axis, computed as the [activation](activation::Softmax) is; `x` and `y` have one shape.
///
/// # Derivation
/// As there: `∂y_j/∂x_i = y_j ([i = j] - y_i)` along the axis, and `dx_i = y_i (dy_i - Σ_j dy_j y_j)`. The way back reads `y`, so the
/// tape holds nothing.
#[derive(Debug)]
pub struct Softmax {
    shape: Shape,
    /// Numbers along the axis.
    len: usize,
    /// Numbers from one to the next: those of the axes behind.
    inner: usize,
}

impl Softmax {
    /// A softmax along `axis` of samples of shape `input`: 0 is the outermost, without the batch, -1 the last.
    ///
    /// # Errors
    /// [`Error::Layer`] if there is no such axis.
    pub fn new(input: &Shape, axis: isize) -> Result<Self, Error> {
        let rank = input.axes().len();
        let index = if axis < 0 { rank.checked_sub(axis.unsigned_abs()) } else { Some(axis.unsigned_abs()) };
        match index.filter(|&index| index < rank) {
            Some(index) => {
                let inner = input.axes()[index + 1..].iter().product();
                Ok(Self { shape: input.clone(), len: input.axes()[index], inner })
            }
            None => {
                let message = format!(
                    "its input {input} has no axis {axis}; the axes are 0 to {}, or -1 for the last",
                    rank - 1
                );
                Err(Error::Layer { layer: "softmax", message })
            }
        }
    }

    /// Numbers that belong to one place of the axes before.
    fn block(&self) -> usize {
        self.len * self.inner
    }
}

/// Calls `work(first, count)` for pieces of `inner` columns.
#[inline]
fn each_lanes(inner: usize, mut work: impl FnMut(usize, usize)) {
    wide(
        #[inline(always)]
        || {
            for first in (0..inner).step_by(LANES) {
                work(first, LANES.min(inner - first));
            }
        },
    );
}

/// Softmax down `count` neighbouring columns of `block`, rows of `inner` numbers, from column `first` on.
#[inline(always)]
fn columns_forward<F: Float>(block: &mut [F], inner: usize, first: usize, count: usize) {
    let mut max = [F::neg_infinity(); LANES];
    for row in block.chunks_exact(inner) {
        max.iter_mut()
            .zip(&row[first..][..count])
            .for_each(|(max, &x)| *max = if *max > x { *max } else { x });
    }
    let mut sum = [F::zero(); LANES];
    for row in block.chunks_exact_mut(inner) {
        for ((value, sum), &max) in row[first..][..count].iter_mut().zip(&mut sum).zip(&max) {
            *value = exp(*value - max);
            *sum += *value;
        }
    }
    for row in block.chunks_exact_mut(inner) {
        row[first..][..count].iter_mut().zip(&sum).for_each(|(value, &sum)| *value /= sum);
    }
}

/// `dx = y ⊙ (dx - Σ dx y)` in place, down the same columns.
#[inline(always)]
fn columns_backward<F: Float>(y: &[F], dx: &mut [F], inner: usize, first: usize, count: usize) {
    let mut sum = [F::zero(); LANES];
    for (y, dx) in y.chunks_exact(inner).zip(dx.chunks_exact(inner)) {
        let numbers = sum.iter_mut().zip(&y[first..][..count]).zip(&dx[first..][..count]);
        numbers.for_each(|((sum, &y), &dx)| *sum += y * dx);
    }
    for (y, dx) in y.chunks_exact(inner).zip(dx.chunks_exact_mut(inner)) {
        let numbers = dx[first..][..count].iter_mut().zip(&y[first..][..count]).zip(&sum);
        numbers.for_each(|((dx, &y), &sum)| *dx = y * (*dx - sum));
    }
}

impl<F: Float> Layer<F> for Softmax {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.shape.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.shape
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    fn multiply_adds(&self) -> usize {
        0
    }

    fn derivation(&self) -> Derivation {
        let rule = Activation::<F>::rule(&activation::Softmax::new(self.len), "x");
        Derivation {
            forward: vec![format!("{}, along an axis of {}", rule.function, self.len)],
            local: vec![rule.derivative],
            inputs: vec![rule.gradient],
            ..Derivation::new([("x", &self.shape), ("y", &self.shape)])
        }
    }

    fn forward(
        &self,
        _theta: &[F],
        inputs: &[Rows<'_, F>],
        y: RowsMut<'_, F>,
        _tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let (x, block) = (inputs[0].data(), self.block());
        for_each_tile(ctx.executor, y.into_data(), block, block * WORK, |first, y| {
            y.copy_from_slice(&x[first * block..][..y.len()]);
            if self.inner == 1 {
                return activation::Softmax::new(self.len).forward(block, y);
            }
            for y in y.chunks_exact_mut(block) {
                each_lanes(
                    self.inner,
                    #[inline(always)]
                    |first, count| columns_forward(y, self.inner, first, count),
                );
            }
        });
    }

    fn backward(
        &self,
        _theta: &[F],
        pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        ctx: &mut Ctx<'_, F>,
    ) {
        let Some(dx) = &mut dx[0] else { return };
        let (y, dy, block) = (pass.y.data(), dy.into_data(), self.block());
        for_each_tile(ctx.executor, dx.data(), block, block * WORK, |first, dx| {
            let own = first * block..first * block + dx.len();
            let y = &y[own.clone()];
            dx.copy_from_slice(&dy[own]);
            if self.inner == 1 {
                return activation::Softmax::new(self.len).backward(block, &[], y, dx);
            }
            for (y, dx) in y.chunks_exact(block).zip(dx.chunks_exact_mut(block)) {
                each_lanes(
                    self.inner,
                    #[inline(always)]
                    |first, count| columns_backward(y, dx, self.inner, first, count),
                );
            }
        });
    }

    fn accumulate(
        &self,
        _theta: &[F],
        _pass: Pass<'_, F>,
        _dy: Rows<'_, F>,
        _dtheta: &mut [F],
        _ctx: &mut Ctx<'_, F>,
    ) {
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draw;
    use crate::layers::check;

    fn layer(axes: &[usize], axis: isize) -> Softmax {
        Softmax::new(&Shape::new(axes).unwrap(), axis).unwrap()
    }

    #[test]
    fn along_the_first_axis_is_that_of_pytorch() {
        let (x, dy) = (check::pattern(12, 1), check::pattern(12, 5));
        let step = check::train(&layer(&[3, 4], 0), &[], &[&x], &dy, Draw::new(0, 0));
        let y = [
            0.3126128224,
            0.8113298433,
            0.1385912842,
            0.1385912842,
            0.6385826748,
            0.06200692745,
            0.283104168,
            0.283104168,
            0.04880450277,
            0.1266632292,
            0.5783045477,
            0.5783045477,
        ];
        let dx = [
            0.5416663222,
            -0.182742419,
            -0.1425226501,
            0.1208206798,
            -0.5355932759,
            0.0303243379,
            -0.08891761259,
            0.4490209361,
            -0.00607304629,
            0.1524180811,
            0.2314402627,
            -0.5698416158,
        ];
        check::close(&step.y, &y, 1e-8);
        check::close(&step.dx[0], &dx, 1e-8);
    }

    #[test]
    fn gradients_equal_central_differences() {
        for (axes, axis, rows) in
            [(&[4][..], -1, 1), (&[3, 5], 1, 2), (&[3, 5], 0, 7), (&[2, 3, 17], -2, 2), (&[2, 3, 2], -3, 3)]
        {
            check::gradients(&layer(axes, axis), rows);
        }
    }

    #[test]
    fn is_finite_for_huge_scores_along_any_axis() {
        let x = [1e4, -1e4, 0.0, 1e4];
        assert_eq!(check::forward(&layer(&[2, 2], 0), &[], &[&x]), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(check::forward(&layer(&[2, 2], 1), &[], &[&x]), [1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn refuses_an_axis_that_is_not_there() {
        for axis in [2, -3, isize::MIN, isize::MAX] {
            let error = Softmax::new(&Shape::new([2, 3]).unwrap(), axis).unwrap_err().to_string();
            assert!(error.contains("[2, 3]") && error.contains(&axis.to_string()), "{error}");
        }
    }
}
