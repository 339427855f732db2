//! The fully connected layer: the notebook's neurons, all at once.

use std::sync::Arc;

use super::Neurons;
use crate::executor::for_each_tile;
use crate::matmul::Accumulate::{self, Add, Replace};
use crate::simd::wide;
use crate::{
    Activation, Ctx, Derivation, Error, Executor, Fans, Float, Initializer, Layer, Parameter, Pass, Role,
    Rows, RowsMut, Shape, TapeLen, activation, matmul,
};

/// `y = f(x Wᵀ + b)`, on the last axis of its input.
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x` | `[n, in]` | inputs; `n` samples, times the positions before the last axis |
/// | `W`, `b` | `[out, in]`, `[out]` | weights and biases, as in PyTorch |
/// | `z = x Wᵀ + b` | `[n, out]` | sums |
/// | `y = f(z)` | `[n, out]` | outputs |
///
/// # Derivation
/// For one sample, as in the notebook, `z_j = Σ_k w_jk x_k + b_j` and `y_j = f(z_j)`. The chain rule gives
/// ```text
/// dL/dz_j  = dL/dy_j · f'(z_j)
/// dL/dw_jk = dL/dz_j · dz_j/dw_jk = dL/dz_j · x_k          the notebook's  x[0] * deriv_sigmoid(sum_h1)
/// dL/db_j  = dL/dz_j · 1
/// dL/dx_k  = Σ_j dL/dz_j · dz_j/dx_k = Σ_j dL/dz_j · w_jk   the notebook's  self.w5 * deriv_sigmoid(sum_o1)
/// ```
/// and over all samples, whose gradients add up, the nine scalar lines become four of matrices:
/// ```text
/// dz = dy ⊙ f'(z)        dx = dz W        dW = dzᵀ x        db = Σ_rows dz
/// ```
/// The tape holds `z` only if `f'` needs it; `f' = y (1 - y)` of the sigmoid does not.
#[derive(Debug)]
pub struct Dense<F> {
    input: Shape,
    output: Shape,
    activation: Arc<dyn Activation<F>>,
    bias: bool,
    weight_init: Initializer,
    bias_init: Initializer,
}

impl<F: Float> Dense<F> {
    /// A layer from `input`, of which the last axis is transformed, to `units` outputs. Weights start
    /// `xavier_uniform`, biases at zero.
    ///
    /// # Errors
    /// [`Error::EmptyShape`] without units, [`Error::TooLarge`] if the weight exceeds the address space.
    pub fn new(input: &Shape, units: usize, activation: Box<dyn Activation<F>>) -> Result<Self, Error> {
        let layer = Self {
            input: input.clone(),
            output: input.with_last(units)?,
            activation: activation.into(),
            bias: true,
            weight_init: Initializer::XavierUniform { gain: 1.0 },
            bias_init: Initializer::Zeros,
        };
        Shape::new([units, layer.inputs()])?;
        Ok(layer)
    }

    /// The same layer without `b`.
    pub fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// The same layer with other start values.
    pub fn with_init(self, weight_init: Initializer, bias_init: Initializer) -> Self {
        Self { weight_init, bias_init, ..self }
    }

    fn inputs(&self) -> usize {
        self.input.last()
    }

    fn units(&self) -> usize {
        self.output.last()
    }

    /// `W` as rows of `in`, and `b`, which is empty without bias.
    #[inline]
    fn split<'a>(&self, theta: &'a [F]) -> (Rows<'a, F>, &'a [F]) {
        let (w, b) = theta.split_at(self.units() * self.inputs());
        (Rows::counted(w, self.units(), self.inputs()), b)
    }

    /// `z = x Wᵀ + b` for the rows of one tile.
    #[inline]
    fn sums(&self, theta: &[F], x: Rows<'_, F>, z: &mut [F]) {
        let (w, b) = self.split(theta);
        start_sums(b, z);
        matmul::add_x_wt(x, w, RowsMut::counted(z, x.len(), self.units()));
    }

    /// `z = x Wᵀ + b` for all rows, `then` over the rows of each tile.
    fn for_each_sums(
        &self,
        executor: &dyn Executor<F>,
        theta: &[F],
        x: Rows<'_, F>,
        z: &mut [F],
        then: impl Fn(&mut [F]) + Sync,
    ) {
        let width = self.units();
        if matmul::tiles::is_large(x.len(), x.width(), width) {
            let (w, b) = self.split(theta);
            matmul::tiles::x_wt(executor, x, w, RowsMut::counted(z, x.len(), width));
            return for_each_tile(executor, z, width, width * activation::WORK, |_, z| {
                for z in z.chunks_mut(NEAR.div_ceil(width) * width) {
                    add_bias(b, z);
                    then(z);
                }
            });
        }
        for_each_tile(executor, z, width, width * x.width(), |first, z| {
            self.sums(theta, rows_of(x, first, z, width), z);
            then(z);
        });
    }
}

/// Rows of `b`, which is empty without bias.
#[inline]
fn start_sums<F: Float>(b: &[F], z: &mut [F]) {
    if b.is_empty() {
        return z.fill(F::zero());
    }
    z.chunks_exact_mut(b.len()).for_each(|z| z.copy_from_slice(b));
}

/// Numbers that are still near when they are read again.
const NEAR: usize = 1 << 12;

/// Adds `b`, which is empty without bias, to rows of sums.
fn add_bias<F: Float>(b: &[F], z: &mut [F]) {
    if b.is_empty() {
        return;
    }
    wide(
        #[inline(always)]
        || {
            for z in z.chunks_exact_mut(b.len()) {
                z.iter_mut().zip(b).for_each(|(z, &b)| *z += b);
            }
        },
    );
}

/// The rows of `x` that belong to a tile of `tile` numbers, rows of `width`, from row `first`.
#[inline]
fn rows_of<'a, F>(x: Rows<'a, F>, first: usize, tile: &[F], width: usize) -> Rows<'a, F> {
    if first == 0 && tile.len() == x.len() * width {
        return x;
    }
    x.slice(first, tile.len() / width)
}

impl<F: Float> Layer<F> for Dense<F> {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.input.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.output
    }

    fn parameters(&self) -> Vec<Parameter> {
        let shape = |axes: &[usize]| Shape::new(axes).expect("checked by new");
        let fans = Fans { fan_in: self.inputs(), fan_out: self.units() };
        let weight = shape(&[self.units(), self.inputs()]);
        let mut parameters = vec![Parameter::new("weight", weight, Role::Weight, self.weight_init, fans)];
        if self.bias {
            parameters.push(Parameter::new("bias", shape(&[self.units()]), Role::Bias, self.bias_init, fans));
        }
        parameters
    }

    fn neurons(&self) -> Option<Vec<Neurons<F>>> {
        let (inputs, units) = (self.inputs(), self.units());
        let neurons = Neurons { inputs, units, bias: self.bias, activation: self.activation.clone() };
        (self.input.len() == inputs).then(|| vec![neurons])
    }

    fn tape(&self) -> TapeLen {
        let per_row = if self.activation.needs_input() { self.output.len() } else { 0 };
        TapeLen { per_row, per_batch: 0 }
    }

    fn multiply_adds(&self) -> usize {
        self.input.len().saturating_mul(self.units())
    }

    fn derivation(&self) -> Derivation {
        let tensors: Vec<Shape> =
            Layer::<F>::parameters(self).into_iter().map(|tensor| tensor.shape).collect();
        let letters = ["W", "b"].into_iter().zip(&tensors);
        let outer = [("z", &self.output), ("y", &self.output)];
        let rule = self.activation.rule("z");
        let mut derivation = Derivation::new([("x", &self.input)].into_iter().chain(letters).chain(outer));
        let (b, bias) = if self.bias { (" + b", "   ∂z_j/∂b_j = 1") } else { ("", "") };
        derivation.forward = vec![format!("z = x Wᵀ{b}"), rule.function];
        derivation.local = vec![rule.derivative, format!("∂z_j/∂x_k = w_jk   ∂z_j/∂w_jk = x_k{bias}")];
        if let Some(slope) = rule.slope {
            let bias = if self.bias { format!("   ∂y_j/∂b_j = {slope}") } else { String::new() };
            let both = format!("∂y_j/∂x_k = {slope} w_jk   ∂y_j/∂w_jk = {slope} x_k{bias}");
            derivation.local.push(both);
        }
        derivation.between = vec![rule.gradient];
        derivation.inputs = vec!["dx = dz W".into()];
        derivation.parameters = vec!["dW = dzᵀ x".into()];
        if self.bias {
            derivation.parameters.push("db = Σ_rows dz".into());
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
        let width = self.units();
        let x = inputs[0].with_width(self.inputs());
        let y = y.into_data();
        if self.activation.needs_input() {
            let z = &mut tape[..y.len()];
            self.for_each_sums(ctx.executor, theta, x, z, |_| {});
            let z = Rows::counted(z, x.len(), width);
            for_each_tile(ctx.executor, y, width, width * activation::WORK, |first, y| {
                y.copy_from_slice(rows_of(z, first, y, width).data());
                self.activation.forward(width, y);
            });
        } else {
            self.for_each_sums(ctx.executor, theta, x, y, |y| self.activation.forward(width, y));
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
        let (width, inputs) = (self.units(), self.inputs());
        let dz = dy.into_data();
        let y = pass.y.with_width(width);
        let z = if self.activation.needs_input() {
            Some(Rows::counted(&pass.tape[..dz.len()], y.len(), width))
        } else {
            None
        };
        for_each_tile(ctx.executor, dz, width, width * activation::WORK, |first, dz| {
            let z = z.map_or(&[][..], |z| rows_of(z, first, dz, width).data());
            self.activation.backward(width, z, rows_of(y, first, dz, width).data(), dz);
        });

        if let Some(dx) = &mut dx[0] {
            let (w, _) = self.split(theta);
            matmul::tiles::dz_w(
                ctx.executor,
                Rows::counted(dz, y.len(), width),
                w,
                RowsMut::counted(dx.data(), y.len(), inputs),
            );
        }
    }

    fn accumulate(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        dz: Rows<'_, F>,
        dtheta: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        self.parameter_gradient(Add, theta, pass, dz, dtheta, ctx);
    }

    fn parameter_gradient(
        &self,
        into: Accumulate,
        _theta: &[F],
        pass: Pass<'_, F>,
        dz: Rows<'_, F>,
        dtheta: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let (width, inputs) = (self.units(), self.inputs());
        let x = pass.inputs[0].with_width(inputs);
        let dz = dz.with_width(width);
        let (dw, db) = dtheta.split_at_mut(width * inputs);
        matmul::tiles::dzt_x(ctx.executor, dz, x, into, RowsMut::counted(dw, width, inputs));
        if into == Replace {
            db.fill(F::zero());
        }
        if self.bias {
            wide(
                #[inline(always)]
                || {
                    for dz in dz.iter() {
                        db.iter_mut().zip(dz).for_each(|(db, &dz)| *db += dz);
                    }
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Gelu, Linear, Sigmoid, Softmax, Tanh};
    use crate::layers::check;
    use crate::{Elementwise, gradcheck};

    fn vector(len: usize) -> Shape {
        Shape::vector(len).unwrap()
    }

    #[test]
    fn is_the_notebooks_neuron() {
        let neuron = Dense::<f64>::new(&vector(3), 1, Box::new(Sigmoid)).unwrap();
        assert_eq!(check::forward(&neuron, &[0.0, 1.0, 0.5, 4.0], &[&[2.0, 3.0, 4.0]]), [0.9998766054240137]);
        let neuron = Dense::<f64>::new(&vector(2), 1, Box::new(Sigmoid)).unwrap();
        assert_eq!(check::forward(&neuron, &[0.0, 1.0, 4.0], &[&[2.0, 3.0]]), [0.9990889488055994]);
    }

    #[test]
    fn gradients_equal_central_differences() {
        for (n, inputs, units) in [(1, 1, 1), (2, 3, 4), (7, 5, 2), (9, 12, 11)] {
            check::gradients(&Dense::new(&vector(inputs), units, Box::new(Tanh)).unwrap(), n);
            check::gradients(&Dense::new(&vector(inputs), units, Box::new(Gelu::exact())).unwrap(), n);
            if units > 1 {
                check::gradients(
                    &Dense::new(&vector(inputs), units, Box::new(Softmax::new(units))).unwrap(),
                    n,
                );
            }
            check::gradients(
                &Dense::new(&vector(inputs), units, Box::new(Linear)).unwrap().without_bias(),
                n,
            );
        }
    }

    /// With many weights and rows the product comes first, and the bias with the activation.
    #[test]
    fn large_sums_equal_their_definition() {
        let (rows, inputs, units) = (64, 520, 130);
        assert!(matmul::tiles::is_large(rows, inputs, units));
        let theta = gradcheck::numbers((inputs + 1) * units, 1, 0);
        let x = gradcheck::numbers(rows * inputs, 2, 0);
        let (w, b) = theta.split_at(inputs * units);
        let sum =
            |at: usize| matmul::dot(&x[at / units * inputs..][..inputs], &w[at % units * inputs..][..inputs]);
        let dense = || Dense::new(&vector(inputs), units, Box::new(Linear)).unwrap();
        let with_bias = check::forward(&dense(), &theta, &[&x]);
        let without = check::forward(&dense().without_bias(), w, &[&x]);
        // The sigmoid needs no sums on its tape, the other keeps them.
        let sigmoid = Dense::new(&vector(inputs), units, Box::new(Sigmoid)).unwrap();
        let gelu = Dense::new(&vector(inputs), units, Box::new(Gelu::exact())).unwrap();
        let (sigmoid, gelu) = (check::forward(&sigmoid, &theta, &[&x]), check::forward(&gelu, &theta, &[&x]));
        for at in 0..rows * units {
            let z = sum(at) + b[at % units];
            assert!((with_bias[at] - z).abs() < 1e-10 && (without[at] - sum(at)).abs() < 1e-10, "{at}");
            assert!((sigmoid[at] - Sigmoid.f(z)).abs() < 1e-10, "{at}");
            assert!((gelu[at] - Gelu::exact().f(z)).abs() < 1e-10, "{at}");
        }
    }

    #[test]
    fn works_on_the_last_axis_of_any_rank() {
        let layer = Dense::<f64>::new(&Shape::new([4, 3]).unwrap(), 2, Box::new(Sigmoid)).unwrap();
        assert_eq!(layer.output_shape().axes(), [4, 2]);
        assert_eq!(layer.parameters()[0].shape.axes(), [2, 3]);
        check::gradients(&layer, 3);
    }

    #[test]
    fn refuses_sizes_that_no_memory_holds() {
        let huge = Dense::<f32>::new(&vector(1 << 40), 1 << 40, Box::new(Linear));
        assert!(matches!(huge, Err(Error::TooLarge { .. })));
        assert!(matches!(Dense::<f32>::new(&vector(3), 0, Box::new(Linear)), Err(Error::EmptyShape { .. })));
    }
}
