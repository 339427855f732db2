//! Pools of maxima over one axis and over two.

use super::quads;
use super::window::{Axis, Kernel, Planes, Window};
use crate::executor::for_each_item;
use crate::{Ctx, Derivation, Error, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape};

/// Multiply-adds that take as long as a comparison, of which one follows the other.
const WORK: usize = 16;

/// `y`: the largest number that a window sees, at every place, channel by channel.
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x` | `[c, h, w]` | a sample; without `h` in one dimension |
/// | `y` | `[c, oh, ow]` | maxima; `oh = (h + 2 padding - pool_size) / stride + 1`, rounded down |
///
/// Padding is never the largest. NaN is larger than every number, so that it stays visible.
///
/// # Derivation
/// With `m(p)` the cell of the largest number seen at place `p`, the first of equals in reading order, as in PyTorch,
/// ```text
/// y_p = x_m(p)         ∂y_p/∂x_q = [q = m(p)]
/// dL/dx_q = Σ_p [q = m(p)] dL/dy_p
/// ```
/// as long as no other cell is about to overtake, which is so almost everywhere. `m(p)` is found again as the first cell
/// that equals `y_p`: that costs a comparison a cell and saves a tape.
#[derive(Debug)]
pub struct MaxPool {
    input: Shape,
    output: Shape,
    window: Window,
}

impl MaxPool {
    /// A pool over the last axis of `[channels, length]`; the height of `kernel` is 1.
    ///
    /// # Errors
    /// As [`MaxPool::two`].
    pub fn one(input: &Shape, kernel: &Kernel) -> Result<Self, Error> {
        Self::new("max_pool1d", input, Planes::line("max_pool1d", input)?, kernel)
    }

    /// A pool over the last two axes of `[channels, height, width]`.
    ///
    /// # Errors
    /// [`Error::Layer`] if the input has another rank, the window is larger than the padded input or has gaps, or the
    /// padding is more than half of the window.
    pub fn two(input: &Shape, kernel: &Kernel) -> Result<Self, Error> {
        Self::new("max_pool2d", input, Planes::plane("max_pool2d", input)?, kernel)
    }

    fn new(layer: &'static str, input: &Shape, planes: Planes, kernel: &Kernel) -> Result<Self, Error> {
        let window = planes.pool(layer, kernel)?;
        let output = planes.shape(&[planes.channels], [window.rows.output, window.columns.output])?;
        Ok(Self { input: input.clone(), output, window })
    }

    /// What a sample takes.
    fn work(&self) -> usize {
        self.output.len().saturating_mul(self.window.cells()).saturating_mul(WORK)
    }

    /// Whether the window is 2 by 2 without overlap, as almost always.
    fn is_two_by_two(&self) -> bool {
        let Window { rows, columns } = self.window;
        [rows, columns].into_iter().all(|axis| axis.kernel == 2 && axis.stride == 2 && axis.before == 0)
    }

    fn forward_plane<F: Float>(&self, x: &[F], y: &mut [F]) {
        let Window { rows, columns } = self.window;
        for (i, y) in y.chunks_exact_mut(columns.output).enumerate() {
            for (j, y) in y.iter_mut().enumerate() {
                *y = F::neg_infinity();
                for row in rows.reads(i) {
                    for &x in &x[row * columns.input..][columns.reads(j)] {
                        *y = larger(*y, x);
                    }
                }
            }
        }
    }

    fn backward_plane<F: Float>(&self, x: &[F], y: &[F], dy: &[F], dx: &mut [F]) {
        let Window { rows, columns } = self.window;
        dx.fill(F::zero());
        for (i, (y, dy)) in y.chunks_exact(columns.output).zip(dy.chunks_exact(columns.output)).enumerate() {
            for (j, (&y, &dy)) in y.iter().zip(dy).enumerate() {
                'window: for row in rows.reads(i) {
                    for column in columns.reads(j) {
                        let at = row * columns.input + column;
                        if x[at] == y || x[at].is_nan() {
                            dx[at] += dy;
                            break 'window;
                        }
                    }
                }
            }
        }
    }
}

/// The larger; NaN, once there, stays.
#[inline]
pub(super) fn larger<F: Float>(a: F, b: F) -> F {
    if b > a || b.is_nan() { b } else { a }
}

impl<F: Float> Layer<F> for MaxPool {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.input.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.output
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    fn multiply_adds(&self) -> usize {
        0
    }

    fn derivation(&self) -> Derivation {
        Derivation {
            forward: vec!["y_p = x_m(p), the largest that the window sees at place p".into()],
            local: vec!["∂y_p/∂x_q = [q = m(p)]".into()],
            inputs: vec!["dx_q = Σ_p [q = m(p)] dy_p".into()],
            ..Derivation::new([("x", &self.input), ("y", &self.output)])
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
        let (width, places, cells) = (self.output.len(), self.window.outputs(), self.window.inputs());
        for_each_item(ctx.executor, y.into_data(), width, self.work(), |first, y| {
            let x = inputs[0].slice(first, y.len() / width).data();
            let planes = x.chunks_exact(cells).zip(y.chunks_exact_mut(places));
            if self.is_two_by_two() {
                let Axis { input, output, .. } = self.window.columns;
                return planes.for_each(|(x, y)| quads::maxima((x, input), (y, output)));
            }
            planes.for_each(|(x, y)| self.forward_plane(x, y));
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
        let (width, places, cells) = (self.input.len(), self.window.outputs(), self.window.inputs());
        for_each_item(ctx.executor, dx.data(), width, self.work(), |first, dx| {
            let rows = dx.len() / width;
            let y = pass.y.slice(first, rows).data().chunks_exact(places);
            let dy = dy.as_rows().slice(first, rows).data().chunks_exact(places);
            let x = pass.inputs[0].slice(first, rows).data().chunks_exact(cells);
            let planes = x.zip(dx.chunks_exact_mut(cells)).zip(y.zip(dy));
            if self.is_two_by_two() {
                let Axis { input, output, .. } = self.window.columns;
                return planes
                    .for_each(|((x, dx), (y, dy))| quads::backward((x, input), ([y, dy], output), dx));
            }
            planes.for_each(|((x, dx), (y, dy))| self.backward_plane(x, y, dy, dx));
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
    use proptest::prelude::*;

    use super::super::Padding;
    use super::*;
    use crate::Inline;
    use crate::layers::check;

    fn shape(axes: &[usize]) -> Shape {
        Shape::new(axes).unwrap()
    }

    fn kernel() -> Kernel {
        Kernel::new([3, 2]).with_stride([2, 1]).with_padding(Padding::Cells([1, 1]))
    }

    fn count_up(len: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 7) % 11) as f64 - 5.0).collect()
    }

    fn input_gradient(layer: &MaxPool, x: &[f64], dy: &[f64]) -> Vec<f64> {
        let y = check::forward(layer, &[], &[x]);
        let (mut dy, mut dx) = (dy.to_vec(), vec![f64::NAN; x.len()]);
        let pass = Pass { inputs: &[Rows::new(x, x.len())], y: Rows::new(&y, y.len()), tape: &mut [] };
        let width = dy.len();
        let mut asked = [Some(RowsMut::new(&mut dx, x.len()))];
        let ctx = &mut Ctx::evaluate(&Inline, &[]);
        layer.backward(&[], pass, RowsMut::new(&mut dy, width), &mut asked, ctx);
        dx
    }

    #[test]
    fn gives_pytorchs_numbers_and_the_first_of_equals_the_gradient() {
        let layer = MaxPool::two(&shape(&[1, 4, 3]), &kernel()).unwrap();
        let y = check::forward(&layer, &[], &[&count_up(12)]);
        assert_eq!(y, [5.0, 5.0, 2.0, -2.0, 5.0, 5.0, 1.0, -3.0]);
        let dx = input_gradient(&layer, &count_up(12), &count_up(8));
        assert_eq!(dx, [0.0, -2.0, 5.0, -5.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);

        let two = MaxPool::two(&shape(&[1, 3, 5]), &Kernel::new([2, 2]).with_stride([2, 2])).unwrap();
        let x = [1.0, 1.0, 0.0, 7.0, 9.0, 1.0, 1.0, 7.0, 7.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0];
        assert_eq!(check::forward(&two, &[], &[&x]), [1.0, 7.0]);
        let dx = input_gradient(&two, &x, &[2.0, 3.0]);
        assert_eq!(dx, [2.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    proptest! {
        /// Ties and NaN too, of rows of any length.
        #[test]
        fn two_by_two_is_as_any_window(
            [rows, columns] in [2usize..7, 2usize..40],
            cells in prop::collection::vec(prop_oneof![9 => (-2i8..3).prop_map(f32::from), 1 => Just(f32::NAN)], 240),
        ) {
            let axes = shape(&[1, rows, columns]);
            let pool = MaxPool::two(&axes, &Kernel::new([2, 2]).with_stride([2, 2])).unwrap();
            let (x, width) = (&cells[..rows * columns], columns / 2);
            let places = rows / 2 * width;
            let [mut y, mut expected] = [vec![9.0; places], vec![9.0; places]];
            quads::maxima((x, columns), (&mut y, width));
            pool.forward_plane(x, &mut expected);
            let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&y), bits(&expected));
            let dy: Vec<f32> = (1..=places).map(|place| place as f32).collect();
            let [mut dx, mut expected] = [vec![9.0; x.len()], vec![9.0; x.len()]];
            quads::backward((x, columns), ([&y, &dy], width), &mut dx);
            pool.backward_plane(x, &y, &dy, &mut expected);
            prop_assert_eq!(dx, expected);
        }
    }

    #[test]
    fn keeps_nan_visible() {
        for layer in [
            MaxPool::two(&shape(&[1, 2, 2]), &Kernel::new([2, 2])).unwrap(),
            MaxPool::two(&shape(&[1, 2, 2]), &Kernel::new([2, 2]).with_stride([2, 2])).unwrap(),
        ] {
            for at in 0..4 {
                let mut x = [1.0, 2.0, 3.0, 0.0];
                x[at] = f64::NAN;
                assert!(check::forward(&layer, &[], &[&x])[0].is_nan());
                assert_eq!(input_gradient(&layer, &x, &[1.0])[at], 1.0);
            }
        }
    }

    #[test]
    fn gradients_equal_central_differences() {
        check::gradients(&MaxPool::two(&shape(&[2, 5, 4]), &kernel()).unwrap(), 3);
        check::gradients(
            &MaxPool::two(&shape(&[2, 5, 7]), &Kernel::new([2, 2]).with_stride([2, 2])).unwrap(),
            2,
        );
        check::gradients(
            &MaxPool::two(&shape(&[1, 7, 4]), &Kernel::new([2, 1]).with_stride([3, 2])).unwrap(),
            7,
        );
        check::gradients(
            &MaxPool::one(&shape(&[3, 7]), &Kernel::new([1, 3]).with_stride([1, 2])).unwrap(),
            2,
        );
    }

    #[test]
    fn refuses_a_window_that_may_see_nothing() {
        let kernel = Kernel::new([2, 2]).with_padding(Padding::Cells([0, 2]));
        let error = MaxPool::two(&shape(&[1, 4, 4]), &kernel).unwrap_err();
        assert_eq!(error.to_string(), "max_pool2d: padding may be at most half of pool_size, 1, found 2");
    }
}
