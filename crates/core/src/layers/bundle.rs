//! Several outputs in one buffer.

use crate::derivation::for_each_input;
use crate::{Ctx, Derivation, Error, Float, Layer, MAX_INPUTS, Parameter, Pass, Rows, RowsMut, Shape};

/// `y = (x_1, ..., x_k)`, **block after block**: all rows of the first output, then all rows of the second.
///
/// So every output is a contiguous matrix for its loss, which nothing has to copy. The price is that the rows of `y` are
/// no samples: only who knows the blocks can read it, which is why it is the last layer of a network and nothing else.
///
/// # Derivation
/// Every number of `y` is one number of one input: `dx_i` is the block of `dy` where `x_i` went.
#[derive(Debug)]
pub struct Bundle {
    inputs: Vec<Shape>,
    output: Shape,
}

impl Bundle {
    /// Joins outputs of the given shapes.
    ///
    /// # Errors
    /// [`Error::InputCount`] unless there are 1 to 16; [`Error::TooLarge`].
    pub fn new(inputs: &[Shape]) -> Result<Self, Error> {
        if inputs.is_empty() || inputs.len() > MAX_INPUTS {
            let (layer, expected) = ("a network", "1 to 16 outputs");
            return Err(Error::InputCount { layer, expected, found: inputs.len() });
        }
        let width = inputs.iter().map(Shape::len).fold(0, usize::saturating_add);
        Ok(Self { inputs: inputs.to_vec(), output: Shape::vector(width)? })
    }
}

impl<F: Float> Layer<F> for Bundle {
    fn input_shapes(&self) -> Vec<Shape> {
        self.inputs.clone()
    }

    fn output_shape(&self) -> &Shape {
        &self.output
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    fn multiply_adds(&self) -> usize {
        0
    }

    fn derivation(&self) -> Derivation {
        let count = self.inputs.len();
        let names: Vec<String> = for_each_input(count, |i| format!("x_{i}"));
        Derivation {
            forward: vec![format!("y = ({}), one block after the other", names.join(", "))],
            local: vec!["∂y_j/∂x_ik = 1 where y_j is x_ik, else 0".into()],
            inputs: for_each_input(count, |i| format!("dx_{i} = the block of dy where x_{i} went")),
            ..Derivation::new([("y", &self.output)])
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
        let mut rest = y.data();
        for x in inputs {
            let (own, after) = rest.split_at_mut(x.data().len());
            own.copy_from_slice(x.data());
            rest = after;
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
        let mut rest = dy.as_rows().data();
        for (dx, x) in dx.iter_mut().zip(pass.inputs) {
            let (own, after) = rest.split_at(x.data().len());
            if let Some(dx) = dx {
                dx.data().copy_from_slice(own);
            }
            rest = after;
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
    fn every_output_is_one_block() {
        let shape = |len| Shape::vector(len).unwrap();
        let bundle = Bundle::new(&[shape(2), shape(1)]).unwrap();
        let y = check::forward(&bundle, &[], &[&[1.0, 2.0, 3.0, 4.0], &[10.0, 20.0]]);
        assert_eq!(y, [1.0, 2.0, 3.0, 4.0, 10.0, 20.0]);
        for rows in [1, 2, 7] {
            check::gradients(&bundle, rows);
        }
    }

    #[test]
    fn refuses_no_output_and_too_many() {
        let shape = Shape::vector(1).unwrap();
        assert!(matches!(Bundle::new(&[]), Err(Error::InputCount { found: 0, .. })));
        assert!(matches!(Bundle::new(&vec![shape; 17]), Err(Error::InputCount { found: 17, .. })));
    }
}
