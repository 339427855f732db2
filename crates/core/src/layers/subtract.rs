//! The difference of two inputs.

use crate::layers::equal_inputs;
use crate::{Ctx, Derivation, Error, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape};

/// `y = x_1 - x_2`, both of one shape.
///
/// # Derivation
/// `dy/dx_1 = 1` and `dy/dx_2 = -1`, so `dx_1 = dy` and `dx_2 = -dy`.
#[derive(Debug)]
pub struct Subtract {
    shape: Shape,
}

impl Subtract {
    /// The difference of two inputs of the given shapes, the first minus the second.
    ///
    /// # Errors
    /// [`Error::InputCount`] unless there are two inputs, [`Error::InputShapes`] if they differ.
    pub fn new(inputs: &[Shape]) -> Result<Self, Error> {
        if inputs.len() != 2 {
            return Err(Error::InputCount { layer: "subtract", expected: "two inputs", found: inputs.len() });
        }
        Ok(Self { shape: equal_inputs("subtract", inputs)? })
    }
}

impl<F: Float> Layer<F> for Subtract {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.shape.clone(); 2]
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
        Derivation {
            forward: vec!["y = x_1 - x_2".into()],
            local: vec!["∂y/∂x_1 = 1   ∂y/∂x_2 = -1".into()],
            inputs: vec!["dx_1 = dy".into(), "dx_2 = -dy".into()],
            ..Derivation::new([("x_1", &self.shape), ("x_2", &self.shape), ("y", &self.shape)])
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
        let numbers = y.data().iter_mut().zip(inputs[0].data()).zip(inputs[1].data());
        numbers.for_each(|((y, &first), &second)| *y = first - second);
    }

    fn backward(
        &self,
        _theta: &[F],
        _pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        _ctx: &mut Ctx<'_, F>,
    ) {
        let dy = dy.as_rows().data();
        if let Some(dx) = &mut dx[0] {
            dx.data().copy_from_slice(dy);
        }
        if let Some(dx) = &mut dx[1] {
            dx.data().iter_mut().zip(dy).for_each(|(dx, &dy)| *dx = -dy);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn subtracts_the_second_from_the_first() {
        let shape = Shape::new([2, 2]).unwrap();
        let layer = Subtract::new(&[shape.clone(), shape]).unwrap();
        let y = check::forward(&layer, &[], &[&[1.0, 2.0, 3.0, 4.0], &[10.0; 4]]);
        assert_eq!(y, [-9.0, -8.0, -7.0, -6.0]);
        check::gradients(&layer, 3);
    }

    #[test]
    fn refuses_other_than_two_inputs_and_unequal_shapes() {
        let shape = |len| Shape::vector(len).unwrap();
        assert!(matches!(Subtract::new(&[shape(2)]), Err(Error::InputCount { found: 1, .. })));
        assert!(matches!(Subtract::new(&vec![shape(2); 3]), Err(Error::InputCount { found: 3, .. })));
        assert!(matches!(Subtract::new(&[shape(2), shape(3)]), Err(Error::InputShapes { .. })));
    }
}
