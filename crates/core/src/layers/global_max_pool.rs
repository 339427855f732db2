//! The largest number of all places, or of the positions of a sequence.

use super::global_avg_pool::{Global, Over};
use super::max_pool::larger;
use crate::{Ctx, Derivation, Error, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape};

/// `y`, the largest of `x`.
///
/// | over | `x` | `y` |
/// |---|---|---|
/// | space | `[c, ...]` | `[c]`: the largest of each channel |
/// | positions | `[t, ...]` | `[...]`: the largest over the positions that are not padding; 0 if there are none |
///
/// # Derivation
/// With `m(c)` the place of the largest number that counts, the first of equals,
/// ```text
/// y_c = x_c,m(c)         ∂y_c/∂x_cp = [p = m(c)]
/// dL/dx_cp = [p = m(c)] dL/dy_c
/// ```
/// As in a windowed pool, `m(c)` is found again as the first place that equals `y_c`.
#[derive(Debug)]
pub struct GlobalMaxPool {
    global: Global,
}

impl GlobalMaxPool {
    /// The largest numbers of samples of shape `input`.
    ///
    /// # Errors
    /// [`Error::Layer`] if the input has only one axis.
    pub fn new(input: &Shape, over: Over) -> Result<Self, Error> {
        Ok(Self { global: Global::new("global_max_pool", input, over)? })
    }

    fn forward_row<F: Float>(&self, x: &[F], mask: Option<&[F]>, y: &mut [F]) {
        match self.global.over {
            Over::Space => {
                let planes = y.iter_mut().zip(x.chunks_exact(self.global.places));
                planes.for_each(|(y, x)| *y = x.iter().copied().fold(F::neg_infinity(), larger));
            }
            Over::Positions => {
                let width = y.len();
                if self.global.counted(mask).next().is_none() {
                    return y.fill(F::zero());
                }
                y.fill(F::neg_infinity());
                for position in self.global.counted(mask) {
                    let x = &x[position * width..][..width];
                    y.iter_mut().zip(x).for_each(|(y, &x)| *y = larger(*y, x));
                }
            }
        }
    }

    fn backward_row<F: Float>(&self, [x, y, dy]: [&[F]; 3], mask: Option<&[F]>, dx: &mut [F]) {
        dx.fill(F::zero());
        let (places, width) = (self.global.places, dy.len());
        for (c, (&y, &dy)) in y.iter().zip(dy).enumerate() {
            let at = |place: usize| match self.global.over {
                Over::Space => c * places + place,
                Over::Positions => place * width + c,
            };
            let largest = |&place: &usize| x[at(place)] == y || x[at(place)].is_nan();
            if let Some(place) = self.global.counted(mask).find(largest) {
                dx[at(place)] = dy;
            }
        }
    }
}

impl<F: Float> Layer<F> for GlobalMaxPool {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.global.input.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.global.output
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    fn masked_positions(&self) -> Vec<usize> {
        self.global.masked_positions()
    }

    fn multiply_adds(&self) -> usize {
        0
    }

    fn derivation(&self) -> Derivation {
        Derivation {
            forward: vec!["y_c = x_c,m(c), the largest of the places that count".into()],
            local: vec!["∂y_c/∂x_cp = [p = m(c)]".into()],
            inputs: vec!["dx_cp = [p = m(c)] dy_c".into()],
            ..Derivation::new([("x", &self.global.input), ("y", &self.global.output)])
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
        self.global.forward(ctx, inputs[0], y, |x, mask, y| self.forward_row(x, mask, y));
    }

    fn backward(
        &self,
        _theta: &[F],
        pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        ctx: &mut Ctx<'_, F>,
    ) {
        let read = [pass.inputs[0], pass.y, dy.as_rows()];
        self.global.backward(ctx, read, &mut dx[0], |read, mask, dx| self.backward_row(read, mask, dx));
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
    use crate::Inline;
    use crate::layers::check;

    fn shape(axes: &[usize]) -> Shape {
        Shape::new(axes).unwrap()
    }

    #[test]
    fn is_the_largest_over_space_or_over_positions() {
        let x = [1.0, 2.0, 3.0, 10.0, 20.0, 30.0];
        let over = |over| check::forward(&GlobalMaxPool::new(&shape(&[2, 3]), over).unwrap(), &[], &[&x]);
        assert_eq!(over(Over::Space), [3.0, 30.0]);
        assert_eq!(over(Over::Positions), [10.0, 20.0, 30.0]);
    }

    #[test]
    fn skips_padding_and_is_zero_where_nothing_counts() {
        let layer = GlobalMaxPool::new(&shape(&[2, 2]), Over::Positions).unwrap();
        let (x, mask) = ([1.0, 2.0, f64::NAN, 4.0, 5.0, 6.0, 7.0, 8.0], [1.0, 0.0, 0.0, 0.0]);
        let (mut y, mut dy, mut dx) = ([f64::NAN; 4], [1.0, 2.0, 3.0, 4.0], [f64::NAN; 8]);
        let inputs = [Rows::new(&x, 4)];
        let ctx = &mut Ctx { mask: Some(Rows::new(&mask, 2)), ..Ctx::evaluate(&Inline, &[]) };
        layer.forward(&[], &inputs, RowsMut::new(&mut y, 2), &mut [], ctx);
        assert_eq!(y, [1.0, 2.0, 0.0, 0.0]);
        let pass = Pass { inputs: &inputs, y: Rows::new(&y, 2), tape: &mut [] };
        layer.backward(&[], pass, RowsMut::new(&mut dy, 2), &mut [Some(RowsMut::new(&mut dx, 4))], ctx);
        assert_eq!(dx, [1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn gradients_equal_central_differences() {
        for over in [Over::Space, Over::Positions] {
            for axes in [&[1, 1][..], &[3, 4], &[2, 3, 5]] {
                check::gradients(&GlobalMaxPool::new(&shape(axes), over).unwrap(), 3);
            }
        }
    }

    #[test]
    fn refuses_a_vector() {
        let message = GlobalMaxPool::new(&shape(&[4]), Over::Space).unwrap_err().to_string();
        assert_eq!(
            message,
            "global_max_pool: takes samples of at least two axes, [channels, ...] or [positions, ...], found [4]"
        );
    }
}
