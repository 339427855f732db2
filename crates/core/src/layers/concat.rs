//! Inputs side by side.

use crate::derivation::for_each_input;
use crate::layers::several_inputs;
use crate::{Ctx, Derivation, Error, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape};

/// `y = [x_1, ..., x_k]`, joined along an axis; the other axes agree.
///
/// A sample is `outer` blocks, the axes before the joined one; in each block every input lies in one piece.
///
/// # Derivation
/// Every number of `y` is one number of one input: `dx_i` is the part of `dy` where `x_i` went.
#[derive(Debug)]
pub struct Concat {
    inputs: Vec<Shape>,
    output: Shape,
    /// Numbers that each input adds to a block.
    pieces: Vec<usize>,
}

impl Concat {
    /// Joins inputs of the given shapes along `axis`, counted without the batch, 0 outermost.
    ///
    /// # Errors
    /// [`Error::InputCount`] unless there are 2 to 16 inputs, [`Error::InputShapes`] if another axis differs or there is
    /// no such axis.
    pub fn new(inputs: &[Shape], axis: usize) -> Result<Self, Error> {
        let first = several_inputs("concat", inputs)?;
        let others = |shape: &Shape| {
            let mut axes = shape.axes().to_vec();
            (axis < axes.len()).then(|| axes.remove(axis)).map(|length| (axes, length))
        };
        let mut joined = 0usize;
        for shape in inputs {
            let length = match (others(shape), others(first)) {
                (Some((axes, length)), Some((expected, _))) if axes == expected => length,
                _ => {
                    return Err(Error::InputShapes {
                        layer: "concat",
                        need: "equal shapes but for the joined axis",
                        first: first.clone(),
                        other: shape.clone(),
                    });
                }
            };
            joined = joined.saturating_add(length);
        }
        let mut axes = first.axes().to_vec();
        axes[axis] = joined;
        let pieces = inputs.iter().map(|shape| shape.axes()[axis..].iter().product()).collect();
        Ok(Self { inputs: inputs.to_vec(), output: Shape::new(axes)?, pieces })
    }

    /// Numbers of a block of the output.
    fn block(&self) -> usize {
        self.pieces.iter().sum()
    }
}

impl<F: Float> Layer<F> for Concat {
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
        const NAMES: [&str; crate::MAX_INPUTS] = [
            "x_1", "x_2", "x_3", "x_4", "x_5", "x_6", "x_7", "x_8", "x_9", "x_10", "x_11", "x_12", "x_13",
            "x_14", "x_15", "x_16",
        ];
        let count = self.inputs.len();
        let letters = NAMES.into_iter().zip(&self.inputs).chain([("y", &self.output)]);
        Derivation {
            forward: vec![format!("y = [{}]", NAMES[..count].join(", "))],
            local: vec!["∂y_j/∂x_ik = 1 where y_j is x_ik, else 0".into()],
            inputs: for_each_input(count, |i| format!("dx_{i} = the part of dy where x_{i} went")),
            ..Derivation::new(letters)
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
        let mut offset = 0;
        for (x, &piece) in inputs.iter().zip(&self.pieces) {
            let blocks = y.data().chunks_exact_mut(self.block());
            for (y, x) in blocks.zip(x.data().chunks_exact(piece)) {
                y[offset..offset + piece].copy_from_slice(x);
            }
            offset += piece;
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
        let mut offset = 0;
        for (dx, &piece) in dx.iter_mut().zip(&self.pieces) {
            if let Some(dx) = dx {
                let blocks = dy.as_rows().data().chunks_exact(self.block());
                for (dy, dx) in blocks.zip(dx.data().chunks_exact_mut(piece)) {
                    dx.copy_from_slice(&dy[offset..offset + piece]);
                }
            }
            offset += piece;
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

    fn shape(axes: &[usize]) -> Shape {
        Shape::new(axes).unwrap()
    }

    #[test]
    fn joins_along_either_axis() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        let rows = Concat::new(&[shape(&[2, 2]), shape(&[2, 2])], 0).unwrap();
        assert_eq!(check::forward(&rows, &[], &[&a, &b]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        let columns = Concat::new(&[shape(&[2, 2]), shape(&[2, 2])], 1).unwrap();
        assert_eq!(check::forward(&columns, &[], &[&a, &b]), [1.0, 2.0, 5.0, 6.0, 3.0, 4.0, 7.0, 8.0]);
    }

    #[test]
    fn gradients_equal_central_differences() {
        check::gradients(&Concat::new(&[shape(&[3]), shape(&[1]), shape(&[2])], 0).unwrap(), 3);
        check::gradients(&Concat::new(&[shape(&[2, 3, 2]), shape(&[2, 1, 2])], 1).unwrap(), 2);
    }

    #[test]
    fn refuses_axes_that_do_not_fit() {
        assert!(Concat::new(&[shape(&[2, 3]), shape(&[3, 3])], 1).is_err());
        assert!(Concat::new(&[shape(&[2]), shape(&[2])], 1).is_err());
    }
}
