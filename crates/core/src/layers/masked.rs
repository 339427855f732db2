//! A network whose input marks padding.

use std::ops::Range;

use crate::matmul::Accumulate::{self, Add};
use crate::{
    Buffer, Ctx, Derivation, Error, Float, Layer, Masking, Parameter, Pass, Rows, RowsMut, Shape, TapeLen,
    buffer_count,
};

/// `y = f(x)`, where the layers inside `f` know which positions of `x` are padding and skip them.
///
/// # Derivation
/// Which positions count is decided by comparing inputs, which has no slope: to the left and right of almost every `x`
/// the mask is the same. So the gradients are those of `f` under a fixed mask.
///
/// The tape holds the mask, then what `f` keeps.
#[derive(Debug)]
pub struct Masked<F> {
    layer: Box<dyn Layer<F>>,
    masking: Masking,
    /// Numbers of the buffers inside.
    buffers: usize,
}

impl<F: Float> Masked<F> {
    /// Marks padding for the layers inside `layer`.
    ///
    /// # Errors
    /// [`Error::Positions`] if a layer that skips padding goes over another number of positions than are marked.
    pub fn new(layer: Box<dyn Layer<F>>, masking: Masking) -> Result<Self, Error> {
        match layer.masked_positions().into_iter().find(|&found| found != masking.positions) {
            Some(found) => Err(Error::Positions { marked: masking.positions, found }),
            None => {
                let buffers = buffer_count(&layer.buffers());
                Ok(Self { layer, masking, buffers })
            }
        }
    }

    /// The mask and the tape of the layer inside.
    fn split<'a>(&self, tape: &'a mut [F], rows: usize) -> (Rows<'a, F>, &'a mut [F]) {
        let (mask, tape) = tape.split_at_mut(self.masking.positions * rows);
        (Rows::new(mask, self.masking.positions), tape)
    }
}

/// The same context with a mask.
fn with_mask<'c, F>(ctx: &'c mut Ctx<'_, F>, buffers: usize, mask: Rows<'c, F>) -> Ctx<'c, F> {
    Ctx { mask: Some(mask), ..ctx.part(0, 0..buffers) }
}

impl<F: Float> Layer<F> for Masked<F> {
    fn input_shapes(&self) -> Vec<Shape> {
        self.layer.input_shapes()
    }

    fn output_shape(&self) -> &Shape {
        self.layer.output_shape()
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.layer.parameters()
    }

    fn buffers(&self) -> Vec<Buffer> {
        self.layer.buffers()
    }

    fn least_rows(&self) -> usize {
        self.layer.least_rows()
    }

    fn index_limit(&self) -> Option<usize> {
        self.layer.index_limit()
    }

    fn index_ranges(&self) -> Vec<(Range<usize>, usize)> {
        self.layer.index_ranges()
    }

    fn masking(&self) -> Option<Masking> {
        Some(self.masking)
    }

    fn tape(&self) -> TapeLen {
        let tape = self.layer.tape();
        TapeLen { per_row: tape.per_row + self.masking.positions, ..tape }
    }

    fn multiply_adds(&self) -> usize {
        self.layer.multiply_adds()
    }

    fn derivation(&self) -> Derivation {
        self.layer.derivation()
    }

    fn forward(
        &self,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        y: RowsMut<'_, F>,
        tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let (mask, tape) = tape.split_at_mut(self.masking.positions * inputs[0].len());
        self.masking.fill(inputs[0], mask);
        let ctx = &mut with_mask(ctx, self.buffers, Rows::new(mask, self.masking.positions));
        self.layer.forward(theta, inputs, y, tape, ctx);
    }

    fn first_not_finite(&self, y: Rows<'_, F>, tape: &mut [F]) -> Option<String> {
        let (_, tape) = self.split(tape, y.len());
        self.layer.first_not_finite(y, tape)
    }

    fn backward(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        ctx: &mut Ctx<'_, F>,
    ) {
        let (mask, tape) = self.split(pass.tape, pass.y.len());
        let ctx = &mut with_mask(ctx, self.buffers, mask);
        self.layer.backward(theta, Pass { tape, ..pass }, dy, dx, ctx);
    }

    fn accumulate(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: Rows<'_, F>,
        dtheta: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        self.parameter_gradient(Add, theta, pass, dy, dtheta, ctx);
    }

    fn parameter_gradient(
        &self,
        into: Accumulate,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: Rows<'_, F>,
        dtheta: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let (mask, tape) = self.split(pass.tape, pass.y.len());
        let ctx = &mut with_mask(ctx, self.buffers, mask);
        self.layer.parameter_gradient(into, theta, Pass { tape, ..pass }, dy, dtheta, ctx);
    }
}
