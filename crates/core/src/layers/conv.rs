//! Convolutions over one axis and over two.

use super::correlation::{Correlation, add_bias_gradient, check_groups};
use super::window::{Kernel, Planes, Window};
use crate::executor::for_each_tile;
use crate::{
    Activation, Ctx, Derivation, Error, Fans, Float, Initializer, Layer, Parameter, Pass, Role, Rows,
    RowsMut, Shape, TapeLen, activation,
};

/// `y = f(w ⋆ x + b)`: the same weights at every place.
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x` | `[in, h, w]` | a sample; without `h` in one dimension, as all below without `h` and `u` |
/// | `w`, `b` | `[out, in/groups, kh, kw]`, `[out]` | weights and biases, as in PyTorch |
/// | `z`, `y = f(z)` | `[out, oh, ow]` | sums and outputs; `oh = (h + 2 padding - dilation (kh - 1) - 1) / stride + 1`, rounded down |
///
/// With `groups`, output channels are cut into as many equal parts, and each sees its part of the input channels alone;
/// `groups = in = out` is a depthwise convolution.
///
/// # Derivation
/// In stride `s`, dilation `d` and padding `q`, with `x` zero over the edges (LeCun et al., 1989; like all who train nets
/// we do not mirror the kernel, so this is a correlation):
/// ```text
/// z_oij = Σ_cuv w_ocuv x_c,is+ud-q,js+vd-q + b_o            y = f(z)
/// ```
/// The scalar chain rule, as in a dense layer, but with a sum over every place where a weight is used:
/// ```text
/// dL/dz_oij  = dL/dy_oij · f'(z_oij)
/// dL/dw_ocuv = Σ_ij dL/dz_oij · ∂z_oij/∂w_ocuv = Σ_ij dL/dz_oij · x_c,is+ud-q,js+vd-q
/// dL/db_o    = Σ_ij dL/dz_oij
/// dL/dx_cpr  = Σ_ouv Σ_ij [is+ud-q = p] [js+vd-q = r] dL/dz_oij · w_ocuv
/// ```
/// With `X_tp`, `t = (c, u, v)`, `p = (i, j)`, for the `x` that is read there (`correlation.rs`), the sums are products:
/// ```text
/// z = w X + b        dz = dy ⊙ f'(z)        dw = Σ_rows dz Xᵀ        db = Σ_rows,p dz        dx = fold(wᵀ dz)
/// ```
/// The tape holds `z` if `f'` needs it, and room for a few blocks of `X`.
#[derive(Debug)]
pub struct Conv<F> {
    input: Shape,
    output: Shape,
    weight: Shape,
    correlation: Correlation,
    activation: Box<dyn Activation<F>>,
    bias: bool,
    weight_init: Initializer,
    bias_init: Initializer,
}

impl<F: Float> Conv<F> {
    /// A convolution over the last axis of `[channels, length]`; the height of `kernel` is 1.
    ///
    /// # Errors
    /// As [`Conv::two`].
    pub fn one(input: &Shape, filters: usize, kernel: &Kernel, groups: usize) -> Result<Self, Error> {
        Self::new("conv1d", (input, Planes::line("conv1d", input)?), filters, kernel, groups)
    }

    /// A convolution over the last two axes of `[channels, height, width]`. Weights start `xavier_uniform`, biases at
    /// zero.
    ///
    /// # Errors
    /// [`Error::Layer`] if the input has another rank, the window is larger than the padded input, or `groups` does not
    /// divide the channels and the filters; [`Error::EmptyShape`] without filters; [`Error::TooLarge`].
    pub fn two(input: &Shape, filters: usize, kernel: &Kernel, groups: usize) -> Result<Self, Error> {
        Self::new("conv2d", (input, Planes::plane("conv2d", input)?), filters, kernel, groups)
    }

    fn new(
        layer: &'static str,
        (input, planes): (&Shape, Planes),
        filters: usize,
        kernel: &Kernel,
        groups: usize,
    ) -> Result<Self, Error> {
        check_groups(layer, planes.channels, filters, groups)?;
        let window = Window::over(layer, kernel, planes.size)?;
        let output = planes.shape(&[filters], [window.rows.output, window.columns.output])?;
        let correlation = Correlation::new(window, planes.channels, filters, groups)?;
        let weight = planes.shape(&[filters, planes.channels / groups], kernel.size)?;
        Ok(Self {
            input: input.clone(),
            output,
            weight,
            correlation,
            activation: Box::new(activation::Linear),
            bias: true,
            weight_init: Initializer::XavierUniform { gain: 1.0 },
            bias_init: Initializer::Zeros,
        })
    }

    /// The same layer with `f`; the identity, if not called.
    pub fn with_activation(self, activation: Box<dyn Activation<F>>) -> Self {
        Self { activation, ..self }
    }

    /// The same layer without `b`.
    pub fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// The same layer with other start values.
    pub fn with_init(self, weight_init: Initializer, bias_init: Initializer) -> Self {
        Self { weight_init, bias_init, ..self }
    }

    fn filters(&self) -> usize {
        self.output.axes()[0]
    }

    /// `z`, if it is kept, and scratch.
    fn split<'a>(&self, tape: &'a mut [F], rows: usize) -> (&'a mut [F], &'a mut [F]) {
        tape.split_at_mut(if self.activation.needs_input() { rows * self.output.len() } else { 0 })
    }
}

/// Replaces `dy` by `dz = dy ⊙ f'(z)`; `z` is empty if `f'` does not need it.
pub(super) fn through_activation<F: Float>(
    activation: &dyn Activation<F>,
    z: &[F],
    y: Rows<'_, F>,
    dy: &mut [F],
    ctx: &mut Ctx<'_, F>,
) {
    let width = y.width();
    for_each_tile(ctx.executor, dy, width, width * activation::WORK, |first, dy| {
        let z = if z.is_empty() { z } else { &z[first * width..][..dy.len()] };
        activation.backward(width, z, y.slice(first, dy.len() / width).data(), dy);
    });
}

/// The tensors of a convolution.
pub(super) fn tensors(
    weight: &Shape,
    bias: Option<usize>,
    fans: Fans,
    (weight_init, bias_init): (Initializer, Initializer),
) -> Vec<Parameter> {
    let weight = Parameter::new("weight", weight.clone(), Role::Weight, weight_init, fans);
    let bias = bias.map(|filters| {
        let shape = Shape::vector(filters).expect("a layer has filters");
        Parameter::new("bias", shape, Role::Bias, bias_init, fans)
    });
    std::iter::once(weight).chain(bias).collect()
}

impl<F: Float> Layer<F> for Conv<F> {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.input.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.output
    }

    fn parameters(&self) -> Vec<Parameter> {
        let taps = self.weight.len() / self.filters();
        // Every cell of an input channel reaches each output channel of its group once for each cell of the window.
        let groups = self.input.axes()[0] / self.weight.axes()[1];
        let cells = taps / self.weight.axes()[1];
        let fans = Fans { fan_in: taps, fan_out: self.filters() / groups * cells };
        let bias = self.bias.then(|| self.filters());
        tensors(&self.weight, bias, fans, (self.weight_init, self.bias_init))
    }

    fn tape(&self) -> TapeLen {
        let per_row = if self.activation.needs_input() { self.output.len() } else { 0 };
        TapeLen { per_row, per_batch: self.correlation.scratch::<F>() }
    }

    fn multiply_adds(&self) -> usize {
        self.correlation.work()
    }

    fn derivation(&self) -> Derivation {
        let b = self.bias.then(|| Shape::vector(self.filters()).expect("a layer has filters"));
        let line = self.input.axes().len() == 2;
        let rule = self.activation.rule("z");
        let letters =
            [("x", &self.input), ("w", &self.weight)].into_iter().chain(b.as_ref().map(|b| ("b", b)));
        let mut derivation = Derivation::new(letters.chain([("z", &self.output), ("y", &self.output)]));
        let plus = if self.bias { " + b_o" } else { "" };
        let (at, tap, read) =
            if line { ("oj", "ocv", "x_c,js+vd-q") } else { ("oij", "ocuv", "x_c,is+ud-q,js+vd-q") };
        let (sum, places) = if line { ("cv", "j") } else { ("cuv", "ij") };
        derivation.forward = vec![
            format!("z_{at} = Σ_{sum} w_{tap} {read}{plus},  stride s, dilation d, padding q; one group"),
            rule.function,
        ];
        let by_bias = if self.bias { format!("   ∂z_{at}/∂b_o = 1") } else { String::new() };
        derivation.local =
            vec![rule.derivative, format!("∂z_{at}/∂w_{tap} = {read}   ∂z_{at}/∂{read} = w_{tap}{by_bias}")];
        derivation.between = vec![rule.gradient];
        derivation.inputs =
            vec![format!("d{read} = Σ dz_{at} w_{tap} over all places and cells that read it")];
        derivation.parameters = vec![format!("dw_{tap} = Σ_rows Σ_{places} dz_{at} {read}")];
        if self.bias {
            derivation.parameters.push(format!("db_o = Σ_rows Σ_{places} dz_{at}"));
        }
        derivation
    }

    fn forward(
        &self,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        y: RowsMut<'_, F>,
        tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let (w, b) = theta.split_at(self.weight.len());
        let width = self.output.len();
        let (z, scratch) = self.split(tape, inputs[0].len());
        let activate = |y: &mut [F]| self.activation.forward(width, y);
        let y = y.into_data();
        if z.is_empty() {
            self.correlation.product(ctx.executor, (w, inputs[0]), y, scratch, (b, activate));
        } else {
            self.correlation.product(ctx.executor, (w, inputs[0]), z, scratch, (b, |_: &mut [F]| {}));
            for_each_tile(ctx.executor, y, width, width * activation::WORK, |first, y| {
                y.copy_from_slice(&z[first * width..][..y.len()]);
                activate(y);
            });
        }
    }

    fn backward(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        ctx: &mut Ctx<'_, F>,
    ) {
        let (z, scratch) = self.split(pass.tape, pass.y.len());
        let dz = dy.into_data();
        through_activation(self.activation.as_ref(), z, pass.y, dz, ctx);
        if let Some(dx) = &mut dx[0] {
            let (w, dz) = (&theta[..self.weight.len()], Rows::new(dz, self.output.len()));
            let ends: (&[F], _) = (&[], |_: &mut [F]| {});
            self.correlation.adjoint(ctx.executor, (w, dz), dx.data(), scratch, ends);
        }
    }

    fn accumulate(
        &self,
        _theta: &[F],
        pass: Pass<'_, F>,
        dz: Rows<'_, F>,
        dtheta: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let (_, scratch) = self.split(pass.tape, pass.y.len());
        let (dw, db) = dtheta.split_at_mut(self.weight.len());
        self.correlation.add_weight_gradient(ctx.executor, (pass.inputs[0], dz), dw, scratch);
        if self.bias {
            add_bias_gradient(ctx.executor, dz, db);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Padding;
    use super::*;
    use crate::activation::{Gelu, Sigmoid, Tanh};
    use crate::gradcheck::{LayerCase, Options, check_layer};
    use crate::layers::check;

    fn shape(axes: &[usize]) -> Shape {
        Shape::new(axes).unwrap()
    }

    /// Small whole numbers, so that sums are exact.
    fn count_up(len: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 7) % 11) as f64 - 5.0).collect()
    }

    #[test]
    fn gives_pytorchs_numbers() {
        let kernel = Kernel::new([2, 2])
            .with_stride([2, 1])
            .with_padding(Padding::Cells([1, 0]))
            .with_dilation([1, 2]);
        let layer = plane(&[2, 3, 4], 2, kernel, 2);
        let theta = [count_up(8), count_up(2)].concat();
        assert_eq!(layer.output_shape().axes(), [2, 2, 2]);
        let y = check::forward(&layer, &theta, &[&count_up(24)]);
        assert_eq!(y, [-5.0, 16.0, 1.0, -21.0, 10.0, -6.0, 11.0, 14.0]);

        let kernel = Kernel::new([1, 3]).with_stride([1, 2]).with_padding(Padding::Cells([0, 1]));
        let layer = Conv::one(&shape(&[2, 5]), 3, &kernel, 1).unwrap();
        let theta = [count_up(18), count_up(3)].concat();
        let y = check::forward(&layer, &theta, &[&count_up(10)]);
        assert_eq!(y, [-34.0, 3.0, -45.0, -23.0, 22.0, 7.0, 43.0, 19.0, -7.0]);
    }

    fn plane(axes: &[usize], filters: usize, kernel: Kernel, groups: usize) -> Conv<f64> {
        Conv::two(&shape(axes), filters, &kernel, groups).unwrap()
    }

    #[test]
    fn gradients_equal_central_differences_at_uneven_sizes() {
        let kernel = Kernel::new([3, 2]);
        let cases = [
            (plane(&[1, 3, 2], 1, kernel, 1), 1),
            (plane(&[2, 5, 4], 3, kernel.with_stride([2, 1]), 1), 2),
            (plane(&[3, 7, 6], 4, kernel.with_padding(Padding::Cells([2, 1])).with_stride([3, 2]), 1), 7),
            (plane(&[4, 7, 9], 6, kernel.with_dilation([2, 3]).with_padding(Padding::Same), 2), 2),
            (plane(&[3, 5, 5], 3, kernel.with_padding(Padding::Same), 3), 3),
            (plane(&[3, 6, 5], 6, kernel.with_stride([2, 3]).with_padding(Padding::Cells([1, 1])), 3), 2),
            (plane(&[5, 4, 3], 7, Kernel::new([1, 1]), 1), 2),
            (plane(&[2, 4, 3], 4, Kernel::new([1, 1]), 2), 2),
            (plane(&[2, 4, 3], 4, Kernel::new([1, 1]).with_stride([2, 2]), 1), 2),
            (plane(&[2, 3, 3], 3, Kernel::new([5, 5]).with_padding(Padding::Cells([4, 4])), 1), 2),
        ];
        for (layer, rows) in cases {
            check::gradients(&layer, rows);
            check::gradients(&layer.without_bias(), rows);
        }
    }

    #[test]
    fn gradients_are_those_of_the_fused_activation() {
        let kernel = Kernel::new([2, 2]);
        for activation in [Box::new(Tanh) as Box<dyn Activation<f64>>, Box::new(Gelu::exact())] {
            check::gradients(
                &Conv::two(&shape(&[2, 3, 4]), 3, &kernel, 1).unwrap().with_activation(activation),
                3,
            );
        }
    }

    #[test]
    fn gradients_equal_central_differences_along_a_line() {
        for (axes, filters, size, stride, padding, dilation, groups) in [
            ([1, 1], 1, 1, 1, 0, 1, 1),
            ([2, 9], 3, 4, 2, 1, 2, 1),
            ([4, 130], 8, 3, 1, 1, 1, 1),
            ([4, 7], 4, 3, 3, 2, 1, 4),
        ] {
            let kernel = Kernel::new([1, size])
                .with_stride([1, stride])
                .with_padding(Padding::Cells([0, padding]))
                .with_dilation([1, dilation]);
            let layer = Conv::one(&shape(&axes), filters, &kernel, groups)
                .unwrap()
                .with_activation(Box::new(Sigmoid));
            check::gradients(&layer, 2);
        }
    }

    #[test]
    fn work_in_several_tiles_and_blocks_gives_the_same_gradients() {
        let kernel = Kernel::new([3, 3]).with_padding(Padding::Cells([1, 1]));
        for (layer, rows) in [(plane(&[8, 21, 22], 8, kernel, 1), 4), (plane(&[8, 30, 30], 8, kernel, 8), 9)]
        {
            let case = LayerCase { rows, ..LayerCase::default() };
            let report = check_layer(&layer, &case, Options { entries: 10, ..Options::default() }).unwrap();
            assert!(report.proves(), "{report:#?}");
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let build = |axes: &[usize], kernel: Kernel, groups: usize| {
            Conv::<f32>::two(&shape(axes), 4, &kernel, groups).unwrap_err().to_string()
        };
        let kernel = Kernel::new([3, 3]);
        assert_eq!(
            build(&[3, 8], kernel, 1),
            "conv2d: takes samples of shape [channels, height, width], found [3, 8]"
        );
        assert_eq!(
            build(&[3, 8, 8], kernel, 2),
            "conv2d: groups must divide the 3 channels and the 4 filters, found 2"
        );
        assert_eq!(
            build(&[3, 2, 8], kernel, 1),
            "conv2d: a window of 3 is larger than its input, whose height is 2; at most 2 fit"
        );
        assert_eq!(
            build(&[3, 8, 8], kernel, 0),
            "conv2d: groups must divide the 3 channels and the 4 filters, found 0"
        );
        let huge = Kernel::new([1 << 40, 1]).with_padding(Padding::Cells([1 << 40, 0]));
        let built = Conv::<f32>::two(&shape(&[1 << 20, 8, 8]), 1 << 20, &huge, 1);
        assert!(matches!(built, Err(Error::TooLarge { .. })));
    }
}
