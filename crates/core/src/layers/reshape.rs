//! The same numbers in another shape.

use super::row_map::RowMap;
use crate::{Error, Float, Shape};

/// `y = x`, read as another shape: flattening, and its way back.
///
/// # Derivation
/// Numbers keep their order, last axis fastest, so `y_p = x_p`, `∂y_p/∂x_q = [p = q]` and `dx = dy`.
#[derive(Debug)]
pub struct Reshape {
    input: Shape,
    output: Shape,
}

impl Reshape {
    /// All numbers along one axis.
    ///
    /// # Errors
    /// None that a valid `input` could lead to.
    pub fn flat(input: &Shape) -> Result<Self, Error> {
        Ok(Self { input: input.clone(), output: Shape::vector(input.len())? })
    }

    /// Along `axes`, of which one may be `None`: as long as is needed.
    ///
    /// # Errors
    /// [`Error::Layer`] if the shape holds another number of numbers, or several axes are left open;
    /// [`Error::EmptyShape`], [`Error::TooLarge`].
    pub fn new(input: &Shape, axes: &[Option<usize>]) -> Result<Self, Error> {
        let error = |message| Error::Layer { layer: "reshape", message };
        let given = Shape::new(axes.iter().map(|axis| axis.unwrap_or(1)).collect::<Vec<_>>())?;
        let open = axes.iter().filter(|axis| axis.is_none()).count();
        if open > 1 {
            return Err(error(format!("one axis may be left open, found {open}")));
        }
        let len = input.len();
        let fits = if open == 1 { len.is_multiple_of(given.len()) } else { len == given.len() };
        if !fits {
            let found = given.len();
            let need = if open == 1 { "a divisor of" } else { "exactly" };
            return Err(error(format!(
                "the input {input} has {len} numbers, so the axes must multiply to {need} {len}, found {found}"
            )));
        }
        let axes: Vec<usize> = axes.iter().map(|axis| axis.unwrap_or(len / given.len())).collect();
        Ok(Self { input: input.clone(), output: Shape::new(axes)? })
    }
}

impl RowMap for Reshape {
    fn input(&self) -> &Shape {
        &self.input
    }

    fn output(&self) -> &Shape {
        &self.output
    }

    fn equations(&self) -> [String; 3] {
        ["y_p = x_p, the same numbers in another shape", "∂y_p/∂x_q = [p = q]", "dx = dy"].map(Into::into)
    }

    fn forward_row<F: Float>(&self, x: &[F], y: &mut [F]) {
        y.copy_from_slice(x);
    }

    fn backward_row<F: Float>(&self, dy: &[F], dx: &mut [F]) {
        dx.copy_from_slice(dy);
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
    fn keeps_numbers_and_gradients_in_order() {
        let flat = Reshape::flat(&shape(&[2, 3])).unwrap();
        assert_eq!(flat.output().axes(), [6]);
        assert_eq!(
            check::forward(&flat, &[], &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]),
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        );
        check::gradients(&flat, 3);
        check::gradients(&Reshape::new(&shape(&[2, 6]), &[Some(3), Some(4)]).unwrap(), 2);
    }

    #[test]
    fn finds_the_axis_that_is_left_open() {
        let layer = Reshape::new(&shape(&[2, 6]), &[Some(3), None, Some(2)]).unwrap();
        assert_eq!(layer.output().axes(), [3, 2, 2]);
    }

    #[test]
    fn refuses_another_number_of_numbers() {
        let message = |axes: &[Option<usize>]| Reshape::new(&shape(&[2, 6]), axes).unwrap_err().to_string();
        assert_eq!(
            message(&[Some(5), Some(2)]),
            "reshape: the input [2, 6] has 12 numbers, so the axes must multiply to exactly 12, found 10"
        );
        assert_eq!(
            message(&[Some(5), None]),
            "reshape: the input [2, 6] has 12 numbers, so the axes must multiply to a divisor of 12, found 5"
        );
        assert_eq!(message(&[None, None]), "reshape: one axis may be left open, found 2");
    }
}
