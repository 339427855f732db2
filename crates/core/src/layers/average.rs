//! The mean of several inputs.

use crate::derivation::for_each_input;
use crate::layers::equal_inputs;
use crate::{Ctx, Derivation, Error, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape};

/// `y = (x_1 + ... + x_k) / k`, all of one shape.
///
/// # Derivation
/// `dy/dx_i = 1/k`, so `dx_i = dy / k` for every `i`.
#[derive(Debug)]
pub struct Average {
    shape: Shape,
    count: usize,
}

impl Average {
    /// The mean of inputs of the given shapes.
    ///
    /// # Errors
    /// [`Error::InputCount`] unless there are 2 to 16 inputs, [`Error::InputShapes`] if they differ.
    pub fn new(inputs: &[Shape]) -> Result<Self, Error> {
        Ok(Self { shape: equal_inputs("average", inputs)?, count: inputs.len() })
    }
}

impl<F: Float> Layer<F> for Average {
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
            forward: vec![format!("y = ({}) / {}", terms.join(" + "), self.count)],
            local: vec![format!("∂y/∂x_i = 1/{}", self.count)],
            inputs: for_each_input(self.count, |i| format!("dx_{i} = dy / {}", self.count)),
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
        let count = F::of(self.count as f64);
        y.data().iter_mut().for_each(|y| *y /= count);
    }

    fn backward(
        &self,
        _theta: &[F],
        _pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        _ctx: &mut Ctx<'_, F>,
    ) {
        let count = F::of(self.count as f64);
        for dx in dx.iter_mut().flatten() {
            dx.data().iter_mut().zip(dy.as_rows().data()).for_each(|(dx, &dy)| *dx = dy / count);
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
    fn is_the_mean_and_shares_the_gradient() {
        let shape = Shape::new([2, 2]).unwrap();
        let layer = Average::new(&[shape.clone(), shape.clone(), shape]).unwrap();
        let y = check::forward(&layer, &[], &[&[1.0, 2.0, 3.0, 4.0], &[10.0; 4], &[100.0; 4]]);
        assert_eq!(y, [37.0, 112.0 / 3.0, 113.0 / 3.0, 38.0]);
        check::gradients(&layer, 3);
    }

    #[test]
    fn refuses_one_input_and_unequal_shapes() {
        let shape = |len| Shape::vector(len).unwrap();
        assert!(matches!(Average::new(&[shape(2)]), Err(Error::InputCount { found: 1, .. })));
        assert!(matches!(Average::new(&[shape(2), shape(3)]), Err(Error::InputShapes { .. })));
    }
}
