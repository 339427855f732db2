//! The product of several inputs, number by number.

use crate::derivation::for_each_input;
use crate::layers::equal_inputs;
use crate::{Ctx, Derivation, Error, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape};

/// `y = x_1 ⊙ ... ⊙ x_k`, all of one shape.
///
/// # Derivation
/// `dy/dx_i = Π_{j ≠ i} x_j`, so `dx_i = dy ⊙ Π_{j ≠ i} x_j`. The product over the others is formed anew for each
/// input, not as `y / x_i`: an `x_i` may be zero.
#[derive(Debug)]
pub struct Multiply {
    shape: Shape,
    count: usize,
}

impl Multiply {
    /// The product of inputs of the given shapes.
    ///
    /// # Errors
    /// [`Error::InputCount`] unless there are 2 to 16 inputs, [`Error::InputShapes`] if they differ.
    pub fn new(inputs: &[Shape]) -> Result<Self, Error> {
        Ok(Self { shape: equal_inputs("multiply", inputs)?, count: inputs.len() })
    }
}

impl<F: Float> Layer<F> for Multiply {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.shape.clone(); self.count]
    }

    fn output_shape(&self) -> &Shape {
        &self.shape
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    fn multiply_adds(&self) -> usize {
        self.shape.len().saturating_mul(self.count - 1)
    }

    fn derivation(&self) -> Derivation {
        // `x_0` does not exist: without it, all.
        let without = |i: usize| {
            let names = (1..=self.count).filter(|&j| j != i).map(|j| format!("x_{j}"));
            names.collect::<Vec<_>>().join(" ⊙ ")
        };
        Derivation {
            forward: vec![format!("y = {}", without(0))],
            local: vec!["∂y/∂x_i = Π_{j ≠ i} x_j".into()],
            inputs: for_each_input(self.count, |i| format!("dx_{i} = dy ⊙ {}", without(i))),
            ..Derivation::new([("x_i", &self.shape), ("y", &self.shape)])
        }
    }

    fn forward(
        &self,
        _theta: &[F],
        inputs: &[Rows<'_, F>],
        mut y: RowsMut<'_, F>,
        _tape: &mut [F],
        _ctx: &mut Ctx<'_, F>,
    ) {
        y.data().copy_from_slice(inputs[0].data());
        for x in &inputs[1..] {
            multiply_by(y.data(), x.data());
        }
    }

    fn backward(
        &self,
        _theta: &[F],
        pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        _ctx: &mut Ctx<'_, F>,
    ) {
        for (i, dx) in dx.iter_mut().enumerate() {
            let Some(dx) = dx else { continue };
            dx.data().copy_from_slice(dy.as_rows().data());
            for (j, x) in pass.inputs.iter().enumerate() {
                if j != i {
                    multiply_by(dx.data(), x.data());
                }
            }
        }
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

fn multiply_by<F: Float>(values: &mut [F], factors: &[F]) {
    values.iter_mut().zip(factors).for_each(|(value, &factor)| *value *= factor);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn multiplies_and_differentiates_even_at_zero() {
        let shape = Shape::vector(3).unwrap();
        let layer = Multiply::new(&[shape.clone(), shape.clone(), shape]).unwrap();
        assert_eq!(
            check::forward(&layer, &[], &[&[1.0, 2.0, 0.0], &[3.0, 4.0, 5.0], &[2.0; 3]]),
            [6.0, 16.0, 0.0]
        );
        check::gradients(&layer, 4);
    }
}
