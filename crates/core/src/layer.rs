//! What a layer is: a shape and two directions of mathematics, over memory that is lent to it.

use std::fmt;
use std::ops::Range;

use crate::executor::fill_zero;
use crate::layers::Neurons;
use crate::matmul::Accumulate;
use crate::{Buffer, Ctx, Derivation, Float, Masking, Parameter, Rows, RowsMut, Shape};

/// The most inputs that one layer can take; a longer sum or concatenation nests.
pub const MAX_INPUTS: usize = 16;

/// Scratch that a layer keeps from forward to backward, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapeLen {
    /// For every row of the batch.
    pub per_row: usize,
    /// Once for the whole batch.
    pub per_batch: usize,
}

impl TapeLen {
    /// A layer that remembers nothing.
    pub const NONE: Self = Self { per_row: 0, per_batch: 0 };

    /// The numbers needed for a batch of `rows` rows.
    #[inline]
    pub fn for_rows(self, rows: usize) -> usize {
        self.per_row * rows + self.per_batch
    }
}

/// What one forward pass read and wrote, for the way back.
#[derive(Debug)]
pub struct Pass<'a, F> {
    /// The inputs of [`Layer::forward`].
    pub inputs: &'a [Rows<'a, F>],
    /// Its output.
    pub y: Rows<'a, F>,
    /// What it kept; scratch on the way back.
    pub tape: &'a mut [F],
}

/// A differentiable function of its inputs and its parameters. A layer is a shape, not a state: parameters,
/// activations, scratch and gradients are all lent, so one `&dyn Layer` serves any number of threads and a warm step
/// allocates nothing.
///
/// With `y = f(x, theta)` and a loss `L`, the chain rule splits in two, and so does the way back:
///
/// - [`backward`](Layer::backward) passes on what the layers below need, `dL/dx = dL/dy . dy/dx`;
/// - [`accumulate`](Layer::accumulate) keeps what the optimiser needs, `dL/dtheta += dL/dy . dy/dtheta`, and
///   [`parameter_gradient`](Layer::parameter_gradient) either adds or replaces.
///
/// | buffer | forward | backward | accumulate | parameter_gradient |
/// |---|---|---|---|---|
/// | `theta` | read | read | read | read |
/// | `inputs`, `y` | read, **write** | read | read | read |
/// | `tape` | **write** | read, then scratch | read, then scratch | read, then scratch |
/// | `dy` | | read, then **left as they want it** | read | read |
/// | `dx` | | **write**, where asked | | |
/// | `dtheta` | | | **add** | **add** or **write** |
///
/// `backward` always runs first and hands its `dy` on to one of the two: a layer that fuses its activation, say, leaves
/// `dz = dy * f'(z)` there and does not compute it twice. A written buffer may hold anything before.
///
/// A layer knows neither its position in a network nor its neighbours. Once built it cannot fail: a buffer of a wrong
/// length is a bug of the caller and panics.
pub trait Layer<F: Float>: fmt::Debug + Send + Sync {
    /// The shapes of one sample of each input.
    fn input_shapes(&self) -> Vec<Shape>;

    /// The shape of one sample of the output.
    fn output_shape(&self) -> &Shape;

    /// The tensors of the layer, in the order of `theta`.
    fn parameters(&self) -> Vec<Parameter>;

    /// Its numbers that are neither parameters nor activations, in the order of [`Mode`](crate::Mode)'s `buffers`.
    fn buffers(&self) -> Vec<Buffer> {
        Vec::new()
    }

    /// The smallest batch that it can be trained on: a variance over the batch needs two rows.
    fn least_rows(&self) -> usize {
        1
    }

    /// If its input is indices, whole numbers from 0, the number that they are below. Whoever has the data checks them;
    /// there is no gradient by an index.
    fn index_limit(&self) -> Option<usize> {
        None
    }

    /// If its output is consecutive numbers of its only input, unchanged, which: what is known of them is followed through.
    fn window(&self) -> Option<Range<usize>> {
        None
    }

    /// Which numbers of a row of its first input are indices, and the number that they are below.
    fn index_ranges(&self) -> Vec<(Range<usize>, usize)> {
        let range = |limit| self.input_shapes().first().map(|shape| (0..shape.len(), limit));
        self.index_limit().and_then(range).into_iter().collect()
    }

    /// Which positions of its input it declares to be padding, if it does.
    fn masking(&self) -> Option<Masking> {
        None
    }

    /// For every layer in it that skips padding, over how many positions it goes.
    fn masked_positions(&self) -> Vec<usize> {
        Vec::new()
    }

    /// The dense layers that it consists of, one after the other, if of nothing else, with the parameters that they have in
    /// a chain: an objective trains small ones in one loop.
    fn neurons(&self) -> Option<Vec<Neurons<F>>> {
        None
    }

    /// The scratch that [`forward`](Layer::forward) wants to keep for the way back.
    fn tape(&self) -> TapeLen {
        TapeLen::NONE
    }

    /// Multiply-adds of one row's forward pass, for summaries and for the choice of an executor.
    fn multiply_adds(&self) -> usize;

    /// How the gradients come about, as text: the equations that [`forward`](Layer::forward),
    /// [`backward`](Layer::backward) and [`accumulate`](Layer::accumulate) compute.
    fn derivation(&self) -> Derivation;

    /// Computes `y = f(inputs, theta)` and keeps in `tape` what the way back needs.
    fn forward(
        &self,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        y: RowsMut<'_, F>,
        tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    );

    /// Of the pass that [`forward`](Layer::forward) just made, the name of the first layer in it whose output `y` is not
    /// finite, empty for itself; none, if all are. Only a composite has parts to ask: a run that diverges can then say where.
    fn first_not_finite(&self, y: Rows<'_, F>, _tape: &mut [F]) -> Option<String> {
        y.data().iter().any(|number| !number.is_finite()).then(String::new)
    }

    /// Computes `dx[i] = dL/dinputs[i]` where it is asked for (`None` saves a first layer its largest product), and
    /// turns `dy = dL/dy` into what [`accumulate`](Layer::accumulate) wants.
    fn backward(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        ctx: &mut Ctx<'_, F>,
    );

    /// Adds `dL/dtheta` to `dtheta`; `dy` is what [`backward`](Layer::backward) left. Without parameters there is
    /// nothing to do.
    fn accumulate(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: Rows<'_, F>,
        dtheta: &mut [F],
        ctx: &mut Ctx<'_, F>,
    );

    /// [`accumulate`](Layer::accumulate), or the same for the first part of a sum: with [`Accumulate::Replace`] it writes
    /// `dL/dtheta` to `dtheta`, whatever was there, what would be added to zeros up to rounding. A layer of large weights
    /// does it without having zeros written and read; a composite asks its parts.
    fn parameter_gradient(
        &self,
        into: Accumulate,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: Rows<'_, F>,
        dtheta: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        if into == Accumulate::Replace {
            fill_zero(ctx.executor, dtheta);
        }
        self.accumulate(theta, pass, dy, dtheta, ctx);
    }
}
