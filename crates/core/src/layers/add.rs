//! The sum of several inputs.

use crate::derivation::for_each_input;
use crate::layers::equal_inputs;
use crate::{Ctx, Derivation, Error, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape};

/// `y = x_1 + ... + x_k`, all of one shape.
///
/// # Derivation
/// `dy/dx_i = 1`, so `dx_i = dy` for every `i`.
#[derive(Debug)]
pub struct Add {
    shape: Shape,
    count: usize,
}

impl Add {
    /// The sum of inputs of the given shapes.
    ///
    /// # Errors
    /// [`Error::InputCount`] unless there are 2 to 16 inputs, [`Error::InputShapes`] if they differ.
    pub fn new(inputs: &[Shape]) -> Result<Self, Error> {
        Ok(Self { shape: equal_inputs("add", inputs)?, count: inputs.len() })
    }
}

impl<F: Float> Layer<F> for Add {
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
        0
    }

    fn derivation(&self) -> Derivation {
        let terms: Vec<String> = for_each_input(self.count, |i| format!("x_{i}"));
        Derivation {
            forward: vec![format!("y = {}", terms.join(" + "))],
            local: vec!["∂y/∂x_i = 1".into()],
            inputs: for_each_input(self.count, |i| format!("dx_{i} = dy")),
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
            y.data().iter_mut().zip(x.data()).for_each(|(y, &x)| *y += x);
        }
    }

    fn backward(
        &self,
        _theta: &[F],
        _pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        _ctx: &mut Ctx<'_, F>,
    ) {
        for dx in dx.iter_mut().flatten() {
            dx.data().copy_from_slice(dy.as_rows().data());
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
    fn adds_and_passes_the_gradient_to_all() {
        let shape = Shape::new([2, 2]).unwrap();
        let layer = Add::new(&[shape.clone(), shape.clone(), shape]).unwrap();
        let y = check::forward(&layer, &[], &[&[1.0, 2.0, 3.0, 4.0], &[10.0; 4], &[100.0; 4]]);
        assert_eq!(y, [111.0, 112.0, 113.0, 114.0]);
        check::gradients(&layer, 3);
    }

    #[test]
    fn refuses_one_input_and_unequal_shapes() {
        let shape = |len| Shape::vector(len).unwrap();
        assert!(matches!(Add::new(&[shape(2)]), Err(Error::InputCount { found: 1, .. })));
        assert!(matches!(Add::new(&[shape(2), shape(3)]), Err(Error::InputShapes { .. })));
    }
}
