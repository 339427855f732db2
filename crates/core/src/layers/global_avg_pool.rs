//! The mean over all places, or over the positions of a sequence.

use crate::elementary::sum;
use crate::executor::for_each_tile;
use crate::{Ctx, Derivation, Error, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape, matmul};

/// What a global pool goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// All axes but the first: of `[channels, ...]` the channels stay.
    Space,
    /// The first axis: of `[positions, ...]` all else stays, and padding is skipped.
    Positions,
}

/// The shapes of a global pool: `[outer, positions, inner]` of which `outer` or `inner` is 1.
#[derive(Debug)]
pub(super) struct Global {
    pub(super) input: Shape,
    pub(super) output: Shape,
    pub(super) over: Over,
    /// How many numbers go into one.
    pub(super) places: usize,
}

impl Global {
    pub(super) fn new(layer: &'static str, input: &Shape, over: Over) -> Result<Self, Error> {
        let [first, rest @ ..] = input.axes() else { unreachable!("a shape has an axis") };
        if rest.is_empty() {
            let message = format!(
                "takes samples of at least two axes, [channels, ...] or [positions, ...], found {input}"
            );
            return Err(Error::Layer { layer, message });
        }
        let (output, places) = match over {
            Over::Space => (Shape::vector(*first)?, input.len() / first),
            Over::Positions => (Shape::new(rest)?, *first),
        };
        Ok(Self { input: input.clone(), output, over, places })
    }

    /// Over how many positions it skips padding.
    pub(super) fn masked_positions(&self) -> Vec<usize> {
        match self.over {
            Over::Space => Vec::new(),
            Over::Positions => vec![self.places],
        }
    }

    /// The mask, if it goes over positions and there is one.
    pub(super) fn mask<'a, F: Float>(&self, ctx: &Ctx<'a, F>) -> Option<Rows<'a, F>> {
        match self.over {
            Over::Space => None,
            Over::Positions => ctx.mask_of(self.places),
        }
    }

    /// Calls `work(x, mask, y)` for every row.
    pub(super) fn forward<F: Float>(
        &self,
        ctx: &Ctx<'_, F>,
        x: Rows<'_, F>,
        y: RowsMut<'_, F>,
        work: impl Fn(&[F], Option<&[F]>, &mut [F]) + Sync,
    ) {
        let (width, mask) = (self.output.len(), self.mask(ctx));
        for_each_tile(ctx.executor, y.into_data(), width, self.input.len(), |first, y| {
            for (row, y) in (first..).zip(y.chunks_exact_mut(width)) {
                work(x.slice(row, 1).data(), mask.map(|mask| mask.slice(row, 1).data()), y);
            }
        });
    }

    /// Calls `work([x, y, dy], mask, dx)` for every row, if `dx` is asked for.
    pub(super) fn backward<F: Float>(
        &self,
        ctx: &Ctx<'_, F>,
        read: [Rows<'_, F>; 3],
        dx: &mut Option<RowsMut<'_, F>>,
        work: impl Fn([&[F]; 3], Option<&[F]>, &mut [F]) + Sync,
    ) {
        let Some(dx) = dx else { return };
        let (width, mask) = (self.input.len(), self.mask(ctx));
        for_each_tile(ctx.executor, dx.data(), width, width, |first, dx| {
            for (row, dx) in (first..).zip(dx.chunks_exact_mut(width)) {
                let read = read.map(|rows| rows.slice(row, 1).data());
                work(read, mask.map(|mask| mask.slice(row, 1).data()), dx);
            }
        });
    }

    /// The positions of a row that count, as numbers of `width`: those whose mask is not zero; all without a mask.
    pub(super) fn counted<'m, F: Float>(
        &self,
        mask: Option<&'m [F]>,
    ) -> impl Iterator<Item = usize> + use<'m, F> {
        (0..self.places).filter(move |&position| mask.is_none_or(|mask| mask[position] != F::zero()))
    }
}

/// `y`, the mean of `x`.
///
/// | over | `x` | `y` |
/// |---|---|---|
/// | space | `[c, ...]` | `[c]`: the mean of each channel |
/// | positions | `[t, ...]` | `[...]`: the mean over the positions that are not padding; 0 if there are none |
///
/// # Derivation
/// With `n` places that count (Lin, Chen & Yan, 2014),
/// ```text
/// y_c = 1/n Σ_p x_cp         ∂y_c/∂x_cp = 1/n where p counts, 0 elsewhere
/// dL/dx_cp = 1/n dL/dy_c
/// ```
#[derive(Debug)]
pub struct GlobalAvgPool {
    global: Global,
}

impl GlobalAvgPool {
    /// The mean of samples of shape `input`.
    ///
    /// # Errors
    /// [`Error::Layer`] if the input has only one axis.
    pub fn new(input: &Shape, over: Over) -> Result<Self, Error> {
        Ok(Self { global: Global::new("global_avg_pool", input, over)? })
    }

    fn forward_row<F: Float>(&self, x: &[F], mask: Option<&[F]>, y: &mut [F]) {
        let share = self.share(mask);
        match self.global.over {
            Over::Space => {
                let planes = y.iter_mut().zip(x.chunks_exact(self.global.places));
                planes.for_each(|(y, x)| *y = share * sum(x));
            }
            Over::Positions => {
                let width = y.len();
                y.fill(F::zero());
                for position in self.global.counted(mask) {
                    matmul::add_scaled(share, &x[position * width..][..width], y);
                }
            }
        }
    }

    fn backward_row<F: Float>(&self, dy: &[F], mask: Option<&[F]>, dx: &mut [F]) {
        let share = self.share(mask);
        match self.global.over {
            Over::Space => {
                let planes = dy.iter().zip(dx.chunks_exact_mut(self.global.places));
                planes.for_each(|(&dy, dx)| dx.fill(share * dy));
            }
            Over::Positions => {
                let width = dy.len();
                dx.fill(F::zero());
                for position in self.global.counted(mask) {
                    matmul::add_scaled(share, dy, &mut dx[position * width..][..width]);
                }
            }
        }
    }

    /// `1/n`; if nothing counts, nothing is multiplied by it.
    fn share<F: Float>(&self, mask: Option<&[F]>) -> F {
        let count = mask.map_or(self.global.places, |_| self.global.counted(mask).count());
        F::one() / F::of(count.max(1) as f64)
    }
}

impl<F: Float> Layer<F> for GlobalAvgPool {
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
            forward: vec!["y_c = 1/n Σ_p x_cp over the n places that count".into()],
            local: vec!["∂y_c/∂x_cp = 1/n if p counts, else 0".into()],
            inputs: vec!["dx_cp = 1/n dy_c if p counts, else 0".into()],
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
        self.global.backward(ctx, read, &mut dx[0], |[_, _, dy], mask, dx| self.backward_row(dy, mask, dx));
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
    fn is_the_mean_over_space_or_over_positions() {
        let x = [1.0, 2.0, 3.0, 10.0, 20.0, 30.0];
        let over = |over| check::forward(&GlobalAvgPool::new(&shape(&[2, 3]), over).unwrap(), &[], &[&x]);
        assert_eq!(over(Over::Space), [2.0, 20.0]);
        assert_eq!(over(Over::Positions), [5.5, 11.0, 16.5]);
    }

    #[test]
    fn skips_padding_and_is_zero_where_nothing_counts() {
        let layer = GlobalAvgPool::new(&shape(&[2, 2]), Over::Positions).unwrap();
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
                check::gradients(&GlobalAvgPool::new(&shape(axes), over).unwrap(), 3);
            }
        }
    }

    #[test]
    fn refuses_a_vector() {
        let message = GlobalAvgPool::new(&shape(&[4]), Over::Space).unwrap_err().to_string();
        assert_eq!(
            message,
            "global_avg_pool: takes samples of at least two axes, [channels, ...] or [positions, ...], found [4]"
        );
    }
}
