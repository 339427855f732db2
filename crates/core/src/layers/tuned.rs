//! A layer that is trained otherwise than the rest of its network: frozen, or at a rate of its own.

use super::Neurons;
use crate::matmul::Accumulate::{self, Add};
use crate::{
    Buffer, Ctx, Derivation, Error, Float, Layer, Masking, Parameter, Pass, Rows, RowsMut, Shape, TapeLen,
};

/// The same function as the layer within; only what [`parameters`](Layer::parameters) says of training differs.
///
/// # Derivation
/// That of the layer within. The gradients of a frozen layer are still computed: `dx` is needed below it, and `dtheta`
/// is left unused by the optimiser. Buffers, such as running means, go on as they do.
#[derive(Debug)]
pub struct Tuned<F> {
    layer: Box<dyn Layer<F>>,
    trainable: bool,
    rate: f64,
}

impl<F: Float> Tuned<F> {
    /// `layer`, trained at `rate` times the learning rate; not at all, unless `trainable`. Layers that are nested in it
    /// and tuned themselves multiply their rates by this one, and stay frozen where they are.
    ///
    /// # Errors
    /// [`Error::RateFactor`] unless `rate` is a finite number greater than 0.
    pub fn new(layer: Box<dyn Layer<F>>, trainable: bool, rate: f64) -> Result<Self, Error> {
        let is_rate = rate.is_finite() && rate > 0.0;
        is_rate.then_some(Self { layer, trainable, rate }).ok_or(Error::RateFactor)
    }
}

impl<F: Float> Layer<F> for Tuned<F> {
    fn input_shapes(&self) -> Vec<Shape> {
        self.layer.input_shapes()
    }

    fn output_shape(&self) -> &Shape {
        self.layer.output_shape()
    }

    fn parameters(&self) -> Vec<Parameter> {
        let mut parameters = self.layer.parameters();
        for parameter in &mut parameters {
            parameter.trainable &= self.trainable;
            parameter.rate *= self.rate;
        }
        parameters
    }

    fn buffers(&self) -> Vec<Buffer> {
        self.layer.buffers()
    }

    fn least_rows(&self) -> usize {
        self.layer.least_rows()
    }

    fn index_limit(&self) -> Option<usize> {
        self.layer.index_limit()
    }

    fn masking(&self) -> Option<Masking> {
        self.layer.masking()
    }

    fn masked_positions(&self) -> Vec<usize> {
        self.layer.masked_positions()
    }

    fn neurons(&self) -> Option<Vec<Neurons<F>>> {
        self.layer.neurons()
    }

    fn tape(&self) -> TapeLen {
        self.layer.tape()
    }

    fn multiply_adds(&self) -> usize {
        self.layer.multiply_adds()
    }

    fn derivation(&self) -> Derivation {
        self.layer.derivation()
    }

    fn forward(
        &self,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        y: RowsMut<'_, F>,
        tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        self.layer.forward(theta, inputs, y, tape, ctx);
    }

    fn first_not_finite(&self, y: Rows<'_, F>, tape: &mut [F]) -> Option<String> {
        self.layer.first_not_finite(y, tape)
    }

    fn backward(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        ctx: &mut Ctx<'_, F>,
    ) {
        self.layer.backward(theta, pass, dy, dx, ctx);
    }

    fn accumulate(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: Rows<'_, F>,
        dtheta: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        self.parameter_gradient(Add, theta, pass, dy, dtheta, ctx);
    }

    fn parameter_gradient(
        &self,
        into: Accumulate,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: Rows<'_, F>,
        dtheta: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        self.layer.parameter_gradient(into, theta, pass, dy, dtheta, ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Tanh;
    use crate::layers::{Dense, check};

    fn dense() -> Box<dyn Layer<f64>> {
        Box::new(Dense::new(&Shape::vector(3).unwrap(), 2, Box::new(Tanh)).unwrap())
    }

    #[test]
    fn is_the_layer_within() {
        let theta = [0.5, -0.2, 0.1, 0.3, 0.8, -0.6, 0.05, -0.05];
        let x: &[f64] = &[1.0, -2.0, 0.5];
        let tuned = Tuned::new(dense(), false, 0.5).unwrap();
        assert_eq!(check::forward(&tuned, &theta, &[x]), check::forward(dense().as_ref(), &theta, &[x]));
        check::gradients(&tuned, 3);
    }

    #[test]
    fn tunes_every_tensor_and_what_is_tuned_already() {
        let inner = Tuned::new(dense(), true, 0.5).unwrap();
        let outer = Tuned::new(Box::new(inner), false, 0.5).unwrap();
        for parameter in outer.parameters() {
            assert_eq!((parameter.trainable, parameter.rate), (false, 0.25));
        }
    }

    #[test]
    fn refuses_a_rate_that_trains_nothing() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Tuned::new(dense(), true, rate).unwrap_err(), Error::RateFactor);
        }
    }
}
