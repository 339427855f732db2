//! A part of each row: how one of several inputs is read from the one row of a sample.

use std::ops::Range;

use crate::{Ctx, Derivation, Error, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape};

/// `y = x[start..end]`, consecutive numbers of a row as a shape of their own.
///
/// # Derivation
/// `∂y_i/∂x_j = 1` where `j = start + i`, else 0: `dx` is `dy` where the part is, and 0 around it.
#[derive(Debug)]
pub struct Part {
    input: Shape,
    output: Shape,
    start: usize,
}

impl Part {
    /// The part of an input that begins at `start` and has the shape `output`.
    ///
    /// # Errors
    /// [`Error::Layer`] if it ends behind the input.
    pub fn new(input: &Shape, start: usize, output: Shape) -> Result<Self, Error> {
        match start.checked_add(output.len()).filter(|&end| end <= input.len()) {
            Some(_) => Ok(Self { input: input.clone(), output, start }),
            None => {
                let message = format!("{output} from number {start} on does not lie within {input}");
                Err(Error::Layer { layer: "a part of the input", message })
            }
        }
    }

    fn range(&self) -> Range<usize> {
        self.start..self.start + self.output.len()
    }
}

impl<F: Float> Layer<F> for Part {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.input.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.output
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    fn window(&self) -> Option<Range<usize>> {
        Some(self.range())
    }

    fn multiply_adds(&self) -> usize {
        0
    }

    fn derivation(&self) -> Derivation {
        let Range { start, end } = self.range();
        Derivation {
            forward: vec![format!("y = x[{start}..{end}]")],
            local: vec![format!("∂y_i/∂x_j = 1 where j = {start} + i, else 0")],
            inputs: vec![format!("dx[{start}..{end}] = dy, else 0")],
            ..Derivation::new([("x", &self.input), ("y", &self.output)])
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
        for (y, x) in y.iter_mut().zip(inputs[0].iter()) {
            y.copy_from_slice(&x[self.range()]);
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
        let Some(dx) = &mut dx[0] else { return };
        dx.data().fill(F::zero());
        for (dx, dy) in dx.iter_mut().zip(dy.as_rows().iter()) {
            dx[self.range()].copy_from_slice(dy);
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
    fn reads_its_columns_of_every_row() {
        let input = Shape::vector(5).unwrap();
        let part = Part::new(&input, 1, Shape::new([1, 3]).unwrap()).unwrap();
        let x = [0.0, 1.0, 2.0, 3.0, 4.0, 10.0, 11.0, 12.0, 13.0, 14.0];
        assert_eq!(check::forward(&part, &[], &[&x]), [1.0, 2.0, 3.0, 11.0, 12.0, 13.0]);
        check::gradients(&part, 3);
    }

    #[test]
    fn refuses_to_read_behind_the_end() {
        let shape = |len| Shape::vector(len).unwrap();
        assert!(Part::new(&shape(5), 3, shape(2)).is_ok());
        assert!(matches!(Part::new(&shape(5), 4, shape(2)), Err(Error::Layer { .. })));
        assert!(matches!(Part::new(&shape(5), usize::MAX, shape(2)), Err(Error::Layer { .. })));
    }
}
