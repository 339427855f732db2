//! The parametric rectifier: a learned slope for negative numbers.

use super::standardise::add_column_sums;
use super::sums::sum_of_pairs;
use crate::executor::for_each_tile;
use crate::{
    Ctx, Derivation, Fans, Float, Initializer, Layer, Parameter, Pass, Role, Rows, RowsMut, Shape, TapeLen,
};

/// What reading two numbers and writing one costs, in multiply-adds of a matrix product.
const WORK: usize = 4;

/// `y = x` where `x > 0`, else `y = w x` (He, Zhang, Ren & Sun, 2015), with one `w`, or one for every channel, the first axis.
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x`, `y` | `[n, c, s]` | inputs and outputs; `s` positions, the axes after the channels, 1 if there are none |
/// | `w` | `[1]` or `[c]` | slopes |
///
/// # Derivation
/// For one number of channel `c`, `y = max(0, x) + w_c min(0, x)`, so
/// ```text
/// dy/dx   = 1 where x > 0, else w_c        at the kink the left slope, as in PyTorch
/// dy/dw_c = min(0, x)
///
/// dx   = dy ⊙ (1 where x > 0, else w_c)
/// dw_c = Σ dy min(0, x)                    over samples and positions
/// ```
/// The tape takes the sums of each sample by itself, which are then added up in the order of the samples.
#[derive(Debug)]
pub struct Prelu {
    shape: Shape,
    /// Numbers of a sample that share a slope.
    run: usize,
    slope: f64,
}

impl Prelu {
    /// One slope for all numbers of samples of shape `input`; it starts at `slope`.
    pub fn new(input: &Shape, slope: f64) -> Self {
        Self { shape: input.clone(), run: input.len(), slope }
    }

    /// A slope for each channel.
    pub fn of_channels(input: &Shape, slope: f64) -> Self {
        Self { run: input.len() / input.axes()[0], ..Self::new(input, slope) }
    }

    fn slopes(&self) -> usize {
        self.shape.len() / self.run
    }

    /// `to = number(w, x, from)` for every number, with its own slope; `from` may be `x`.
    fn each_run<F: Float>(
        &self,
        w: &[F],
        (x, from): (&[F], &[F]),
        to: &mut [F],
        number: impl Fn(F, F, F) -> F + Copy,
    ) {
        let width = self.shape.len();
        for ((to, x), from) in to.chunks_exact_mut(width).zip(x.chunks(width)).zip(from.chunks(width)) {
            if self.run == 1 {
                let numbers = to.iter_mut().zip(x).zip(from).zip(w);
                numbers.for_each(|(((to, &x), &from), &w)| *to = number(w, x, from));
                continue;
            }
            let runs = to.chunks_exact_mut(self.run).zip(x.chunks(self.run)).zip(from.chunks(self.run));
            for (((to, x), from), &w) in runs.zip(w) {
                to.iter_mut().zip(x).zip(from).for_each(|((to, &x), &from)| *to = number(w, x, from));
            }
        }
    }
}

impl<F: Float> Layer<F> for Prelu {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.shape.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.shape
    }

    fn parameters(&self) -> Vec<Parameter> {
        let shape = Shape::vector(self.slopes()).expect("a part of a shape");
        let fans = Fans { fan_in: 1, fan_out: 1 };
        vec![Parameter::new("weight", shape, Role::Weight, Initializer::Constant { value: self.slope }, fans)]
    }

    fn tape(&self) -> TapeLen {
        TapeLen { per_row: self.slopes(), per_batch: 0 }
    }

    fn multiply_adds(&self) -> usize {
        self.shape.len()
    }

    fn derivation(&self) -> Derivation {
        let w = Shape::vector(self.slopes()).expect("a part of a shape");
        let index = if self.slopes() == 1 { "" } else { "_c" };
        Derivation {
            forward: vec![format!("y = max(0, x) + w{index} min(0, x)")],
            local: vec![format!("∂y/∂x = 1 where x > 0, else w{index}   ∂y/∂w{index} = min(0, x)")],
            inputs: vec![format!("dx = dy ⊙ (1 where x > 0, else w{index})")],
            parameters: vec![format!("dw{index} = Σ dy min(0, x)")],
            ..Derivation::new([("x", &self.shape), ("w", &w), ("y", &self.shape)])
        }
    }

    fn forward(
        &self,
        w: &[F],
        inputs: &[Rows<'_, F>],
        y: RowsMut<'_, F>,
        _tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let (x, width) = (inputs[0].data(), self.shape.len());
        for_each_tile(ctx.executor, y.into_data(), width, width * WORK, |first, y| {
            let x = &x[first * width..];
            self.each_run(w, (x, x), y, |w, x, _| if x > F::zero() { x } else { w * x });
        });
    }

    fn backward(
        &self,
        w: &[F],
        pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        ctx: &mut Ctx<'_, F>,
    ) {
        let Some(dx) = &mut dx[0] else { return };
        let (x, dy, width) = (pass.inputs[0].data(), dy.into_data(), self.shape.len());
        for_each_tile(ctx.executor, dx.data(), width, width * WORK, |first, dx| {
            let numbers = (&x[first * width..], &dy[first * width..]);
            self.each_run(w, numbers, dx, |w, x, dy| if x > F::zero() { dy } else { w * dy });
        });
    }

    fn accumulate(&self, _w: &[F], pass: Pass<'_, F>, dy: Rows<'_, F>, dw: &mut [F], ctx: &mut Ctx<'_, F>) {
        let (x, dy, width, run) = (pass.inputs[0].data(), dy.data(), self.shape.len(), self.run);
        let slopes = self.slopes();
        for_each_tile(ctx.executor, pass.tape, slopes, width * WORK, |first, sums| {
            let runs = x[first * width..].chunks_exact(run).zip(dy[first * width..].chunks_exact(run));
            for (sum, (x, dy)) in sums.iter_mut().zip(runs) {
                *sum = F::of(sum_of_pairs(x, dy, |x, dy| dy * x.min(F::zero())));
            }
        });
        add_column_sums(ctx.executor, Rows::new(pass.tape, slopes), dw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draw;
    use crate::layers::check;

    fn shape(axes: &[usize]) -> Shape {
        Shape::new(axes).unwrap()
    }

    #[test]
    fn with_a_slope_a_channel_is_that_of_pytorch() {
        let layer = Prelu::of_channels(&shape(&[2, 2]), 0.25);
        let (w, x, dy) = (check::pattern(2, 10), check::pattern(8, 1), check::pattern(8, 5));
        let step = check::train(&layer, &w, &[&x], &dy, Draw::new(0, 0));
        let y = [
            0.3571428571,
            1.357142857,
            -1.525510204,
            0.07142857143,
            1.071428571,
            -0.7806122449,
            -0.3520408163,
            0.7857142857,
        ];
        let dx = [
            1.214285714,
            -1.071428571,
            -0.1173469388,
            0.9285714286,
            -1.357142857,
            -0.2295918367,
            1.056122449,
            1.642857143,
        ];
        check::close(&step.y, &y, 1e-8);
        check::close(&step.dx[0], &dx, 1e-8);
        check::close(&step.dtheta, &[0.4336734694, -0.07142857143], 1e-8);
    }

    #[test]
    fn with_one_slope_is_that_of_pytorch() {
        let layer = Prelu::new(&shape(&[2, 2]), 0.25);
        let (w, x, dy) = (check::pattern(1, 10), check::pattern(8, 1), check::pattern(8, 5));
        let step = check::train(&layer, &w, &[&x], &dy, Draw::new(0, 0));
        let y = [
            0.3571428571,
            1.357142857,
            -0.5969387755,
            0.07142857143,
            1.071428571,
            -0.7806122449,
            -0.137755102,
            0.7857142857,
        ];
        check::close(&step.y, &y, 1e-8);
        check::close(&step.dtheta, &[0.362244898], 1e-8);
    }

    #[test]
    fn gradients_equal_central_differences() {
        for (axes, rows) in [(&[4][..], 7), (&[3, 5], 2), (&[2, 3, 17], 3), (&[6], 1)] {
            check::gradients(&Prelu::new(&shape(axes), 0.25), rows);
        }
        for (axes, rows) in [(&[3][..], 7), (&[2, 5], 2), (&[2, 3, 17], 3)] {
            check::gradients(&Prelu::of_channels(&shape(axes), 0.25), rows);
        }
    }

    #[test]
    fn names_its_tensor_as_pytorch_does() {
        let weight = |layer: Prelu| Layer::<f32>::parameters(&layer).remove(0);
        assert_eq!(weight(Prelu::new(&shape(&[3, 4]), 0.25)).shape.axes(), [1]);
        let weight = weight(Prelu::of_channels(&shape(&[3, 4]), 0.25));
        assert_eq!((weight.name.as_str(), weight.shape.axes()), ("weight", &[3][..]));
    }
}
