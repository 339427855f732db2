//! An activation as a layer of its own, for outputs of layers that do not fuse one.

use crate::activation::WORK;
use crate::executor::for_each_tile;
use crate::{Activation, Ctx, Derivation, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape};

/// `y = f(x)`, row by row; `x` and `y` have one shape.
///
/// # Derivation
/// `dx = J' dy` with the Jacobian `J` of `f`: the activation's own file derives it. The input is lent again on the way
/// back, so the tape holds nothing.
#[derive(Debug)]
pub struct Activate<F> {
    shape: Shape,
    activation: Box<dyn Activation<F>>,
}

impl<F: Float> Activate<F> {
    /// Applies `activation` to samples of shape `input`.
    pub fn new(input: &Shape, activation: Box<dyn Activation<F>>) -> Self {
        Self { shape: input.clone(), activation }
    }
}

impl<F: Float> Layer<F> for Activate<F> {
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
        let rule = self.activation.rule("x");
        Derivation {
            forward: vec![rule.function],
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
        let (x, width) = (inputs[0], self.shape.len());
        for_each_tile(ctx.executor, y.into_data(), width, width * WORK, |first, y| {
            y.copy_from_slice(x.slice(first, y.len() / width).data());
            self.activation.forward(width, y);
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
        let (x, width) = (pass.inputs[0], self.shape.len());
        for_each_tile(ctx.executor, dx.data(), width, width * WORK, |first, dx| {
            let rows = dx.len() / width;
            dx.copy_from_slice(dy.as_rows().slice(first, rows).data());
            self.activation.backward(
                width,
                x.slice(first, rows).data(),
                pass.y.slice(first, rows).data(),
                dx,
            );
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
    use crate::activation::{Gelu, Sigmoid, Softmax};
    use crate::layers::check;

    #[test]
    fn gradients_equal_central_differences() {
        let shape = Shape::new([2, 3]).unwrap();
        check::gradients(&Activate::new(&shape, Box::new(Sigmoid)), 3);
        check::gradients(&Activate::new(&shape, Box::new(Gelu::exact())), 3);
        check::gradients(&Activate::new(&shape, Box::new(Softmax::new(3))), 3);
    }
}
