//! The transposed convolution: the adjoint of a convolution, forward.

use super::conv::{tensors, through_activation};
use super::correlation::{Correlation, add_bias_gradient, check_groups};
use super::window::{Kernel, Planes, Window};
use crate::executor::for_each_tile;
use crate::{
    Activation, Ctx, Derivation, Error, Fans, Float, Initializer, Layer, Parameter, Pass, Rows, RowsMut,
    Shape, TapeLen, activation,
};

/// `y = f(wᵀ ⋆ x + b)`: every number of the input is spread over a window of the output, times the weights.
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x` | `[in, h, w]` | a sample |
/// | `w`, `b` | `[in, out/groups, kh, kw]`, `[out]` | weights and biases, as in PyTorch |
/// | `z`, `y = f(z)` | `[out, oh, ow]` | sums and outputs; `oh = (h - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1` |
///
/// Several heights lead a convolution with `stride` to one; `output_padding` says which of them comes back.
///
/// # Derivation
/// A convolution from `[out, oh, ow]` to `[in, h, w]` takes `z` to `w Z`, with `Z_tp` the numbers of `z` that it reads
/// (`correlation.rs`), and `dx` to `fold(wᵀ dx)` on its way back. This layer is that way back (Zeiler, Krishnan, Taylor &
/// Fergus, 2010). In stride `s`, dilation `d` and padding `q`
/// ```text
/// z_opr = Σ_c Σ_uv Σ_ij [is+ud-q = p] [js+vd-q = r] w_couv x_cij + b_o         y = f(z)
/// ```
/// As the map is linear in `x` and in `w`, its way back is the convolution itself, and its weights' gradient that of the
/// convolution with the two sides exchanged:
/// ```text
/// dL/dz      = dL/dy · f'(z)
/// dL/dx_cij  = Σ_ouv dL/dz_o,is+ud-q,js+vd-q · w_couv                           dx = w dZ
/// dL/dw_couv = Σ_ij x_cij · dL/dz_o,is+ud-q,js+vd-q                             dw = Σ_rows x dZᵀ
/// dL/db_o    = Σ_pr dL/dz_opr
/// ```
/// The tape holds `z` if `f'` needs it, and room for a few blocks of `Z`.
#[derive(Debug)]
pub struct ConvTranspose<F> {
    input: Shape,
    output: Shape,
    weight: Shape,
    correlation: Correlation,
    activation: Box<dyn Activation<F>>,
    bias: bool,
    weight_init: Initializer,
    bias_init: Initializer,
}

const NAME: &str = "conv_transpose2d";

impl<F: Float> ConvTranspose<F> {
    /// A transposed convolution over the last two axes of `[channels, height, width]`, with `output_padding` more rows and
    /// columns at the end. Weights start `xavier_uniform`, biases at zero.
    ///
    /// # Errors
    /// [`Error::Layer`] if the input has another rank, the padding leaves nothing, `output_padding` is not below stride or
    /// dilation, or `groups` does not divide the channels and the filters; [`Error::EmptyShape`] without filters;
    /// [`Error::TooLarge`].
    pub fn new(
        input: &Shape,
        filters: usize,
        kernel: &Kernel,
        output_padding: [usize; 2],
        groups: usize,
    ) -> Result<Self, Error> {
        let planes = Planes::plane(NAME, input)?;
        check_groups(NAME, planes.channels, filters, groups)?;
        let window = Window::onto(NAME, kernel, planes.size, output_padding)?;
        let output = Shape::new([filters, window.rows.input, window.columns.input])?;
        let correlation = Correlation::new(window, filters, planes.channels, groups)?;
        let weight = planes.shape(&[planes.channels, filters / groups], kernel.size)?;
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

impl<F: Float> Layer<F> for ConvTranspose<F> {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.input.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.output
    }

    fn parameters(&self) -> Vec<Parameter> {
        let [channels, filters, height, width] = *self.weight.axes() else {
            unreachable!("a weight has four axes: see new")
        };
        let groups = self.filters() / filters;
        let fans = Fans { fan_in: channels / groups * height * width, fan_out: filters * height * width };
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
        let rule = self.activation.rule("z");
        let letters =
            [("x", &self.input), ("w", &self.weight)].into_iter().chain(b.as_ref().map(|b| ("b", b)));
        let mut derivation = Derivation::new(letters.chain([("z", &self.output), ("y", &self.output)]));
        let (plus, by_bias) = if self.bias { (" + b_o", "   ∂z_opr/∂b_o = 1") } else { ("", "") };
        derivation.forward = vec![
            format!(
                "z_opr = Σ w_couv x_cij{plus} over all c, u, v, i, j with p = is+ud-q, r = js+vd-q; stride s, dilation d, padding q, one group"
            ),
            rule.function,
        ];
        derivation.local = vec![
            rule.derivative,
            format!(
                "∂z_opr/∂x_cij = w_couv   ∂z_opr/∂w_couv = x_cij   where p = is+ud-q, r = js+vd-q{by_bias}"
            ),
        ];
        derivation.between = vec![rule.gradient];
        derivation.inputs = vec!["dx_cij = Σ_ouv dz_o,is+ud-q,js+vd-q w_couv".into()];
        derivation.parameters = vec!["dw_couv = Σ_rows Σ_ij x_cij dz_o,is+ud-q,js+vd-q".into()];
        if self.bias {
            derivation.parameters.push("db_o = Σ_rows Σ_pr dz_opr".into());
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
            self.correlation.adjoint(ctx.executor, (w, inputs[0]), y, scratch, (b, activate));
        } else {
            self.correlation.adjoint(ctx.executor, (w, inputs[0]), z, scratch, (b, |_: &mut [F]| {}));
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
            self.correlation.product(ctx.executor, (w, dz), dx.data(), scratch, ends);
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
        self.correlation.add_weight_gradient(ctx.executor, (dz, pass.inputs[0]), dw, scratch);
        if self.bias {
            add_bias_gradient(ctx.executor, dz, db);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Padding;
    use super::*;
    use crate::activation::{Gelu, Tanh};
    use crate::layers::check;

    fn shape(axes: &[usize]) -> Shape {
        Shape::new(axes).unwrap()
    }

    fn build(
        axes: &[usize],
        filters: usize,
        kernel: Kernel,
        extra: [usize; 2],
        groups: usize,
    ) -> ConvTranspose<f64> {
        ConvTranspose::new(&shape(axes), filters, &kernel, extra, groups).unwrap()
    }

    /// Small whole numbers, so that sums are exact.
    fn count_up(len: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 7) % 11) as f64 - 5.0).collect()
    }

    #[test]
    fn gives_pytorchs_numbers() {
        let kernel = Kernel::new([3, 2]).with_stride([2, 1]).with_padding(Padding::Cells([1, 0]));
        let layer = build(&[2, 2, 2], 1, kernel, [1, 0], 1);
        assert_eq!(layer.output_shape().axes(), [1, 4, 3]);
        let y = check::forward(&layer, &[count_up(12), count_up(1)].concat(), &[&count_up(8)]);
        assert_eq!(y, [1.0, -19.0, -4.0, 15.0, -19.0, 14.0, -17.0, -13.0, 20.0, -11.0, -14.0, -20.0]);

        let kernel = Kernel::new([2, 2])
            .with_stride([2, 2])
            .with_padding(Padding::Cells([1, 1]))
            .with_dilation([1, 2]);
        let layer = build(&[2, 2, 2], 4, kernel, [0, 0], 2);
        assert_eq!(layer.weight.axes(), [2, 2, 2, 2]);
        let y = check::forward(&layer, &[count_up(16), count_up(4)].concat(), &[&count_up(8)]);
        let expected = [
            -5.0, -34.0, -5.0, -5.0, -34.0, -5.0, 2.0, 10.0, 2.0, 2.0, 13.0, 2.0, -2.0, -4.0, -2.0, -2.0,
            10.0, -2.0, 5.0, -9.0, 5.0, 5.0, -3.0, 5.0,
        ];
        assert_eq!(y, expected);
    }

    #[test]
    fn gradients_equal_central_differences_at_uneven_sizes() {
        let kernel = Kernel::new([3, 2]);
        let cases = [
            (build(&[1, 1, 1], 1, kernel, [0, 0], 1), 1),
            (build(&[2, 3, 4], 3, kernel.with_stride([2, 1]), [1, 0], 1), 2),
            (
                build(
                    &[3, 2, 3],
                    2,
                    kernel.with_padding(Padding::Cells([2, 1])).with_stride([3, 3]),
                    [2, 1],
                    1,
                ),
                7,
            ),
            (build(&[4, 3, 4], 6, kernel.with_dilation([2, 3]).with_padding(Padding::Same), [0, 0], 2), 2),
            (build(&[3, 3, 2], 3, kernel.with_stride([2, 2]), [0, 1], 3), 3),
            (build(&[5, 3, 2], 4, Kernel::new([1, 1]), [0, 0], 1), 2),
        ];
        for (layer, rows) in cases {
            check::gradients(&layer, rows);
            check::gradients(&layer.without_bias(), rows);
        }
        for activation in [Box::new(Tanh) as Box<dyn Activation<f64>>, Box::new(Gelu::exact())] {
            check::gradients(
                &ConvTranspose::new(&shape(&[2, 3, 2]), 3, &kernel, [0, 0], 1)
                    .unwrap()
                    .with_activation(activation),
                3,
            );
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let kernel = Kernel::new([2, 2]).with_stride([2, 2]);
        let build = |kernel: &Kernel, extra, groups| {
            ConvTranspose::<f32>::new(&shape(&[3, 1, 1]), 4, kernel, extra, groups).unwrap_err().to_string()
        };
        assert_eq!(
            build(&kernel, [2, 0], 1),
            "conv_transpose2d: output_padding must be below the stride 2 or the dilation 1, found 2"
        );
        assert_eq!(
            build(&kernel.with_padding(Padding::Cells([1, 0])), [0, 0], 1),
            "conv_transpose2d: a padding of 1 leaves nothing of an output whose height is 2 without it"
        );
        assert_eq!(
            build(&kernel, [0, 0], 2),
            "conv_transpose2d: groups must divide the 3 channels and the 4 filters, found 2"
        );
    }
}
