//! Network and loss together: a scalar function of the parameters, and its gradient.

use crate::layers::Masked;
use crate::layers::flat::Flat;
use crate::loss::{OutputLoss, Weighted};
use crate::matmul::Accumulate::Replace;
use crate::{
    Buffer, Ctx, Error, Float, Layer, Loss, MAX_INPUTS, Masking, Parameter, Pass, RowPass, Rows, RowsMut,
    Shape, TapeLen, Targets, initial_buffers, initialize, parameter_count,
};

/// A sum of losses and the number of its terms; the loss is their ratio.
///
/// Totals of parts of a data set, in f64 for either precision, add up to the total of the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Total {
    /// The sum of all terms.
    pub sum: f64,
    /// How many terms it has.
    pub terms: f64,
}

impl Total {
    /// No terms yet.
    pub const NONE: Self = Self { sum: 0.0, terms: 0.0 };

    /// The mean of the terms; NaN without any.
    pub fn mean(self) -> f64 {
        self.sum / self.terms
    }
}

impl std::ops::AddAssign for Total {
    fn add_assign(&mut self, other: Self) {
        self.sum += other.sum;
        self.terms += other.terms;
    }
}

/// The memory of one pass over a batch, lent to an [`Objective`]; a thread that works beside others has its own.
#[derive(Debug, Default)]
pub struct Workspace<F> {
    y: Vec<F>,
    dy: Vec<F>,
    tape: Vec<F>,
    /// Of each output, for the batch that was last judged.
    totals: Vec<Total>,
}

impl<F: Float> Workspace<F> {
    /// Room for batches of up to `rows` rows through `network`.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the memory cannot be had.
    pub fn new(network: &dyn Layer<F>, rows: usize) -> Result<Self, Error> {
        let width = network.output_shape().len();
        let tape = network.tape();
        let too_large = || Error::TooLarge { axes: vec![rows, width.saturating_add(tape.per_row)] };
        let outputs = rows.checked_mul(width).ok_or_else(too_large)?;
        let taped = rows.checked_mul(tape.per_row).and_then(|len| len.checked_add(tape.per_batch));
        let of_row = Flat::of(network).map_or(0, |flat| flat.tape());
        let zeros = |len: usize| {
            let mut buffer = Vec::new();
            buffer.try_reserve_exact(len).map_err(|_| too_large())?;
            buffer.resize(len, F::zero());
            Ok(buffer)
        };
        let tape = zeros(taped.ok_or_else(too_large)?.max(of_row))?;
        let totals = Vec::with_capacity(MAX_INPUTS);
        Ok(Self { y: zeros(outputs)?, dy: zeros(outputs)?, tape, totals })
    }

    /// The losses of each output for the batch that was last judged, before they are weighted. A [`RowPass`] leaves
    /// them as they were.
    pub fn totals(&self) -> &[Total] {
        &self.totals
    }

    /// The outputs of `network`, that this memory was made for, for one batch.
    pub fn outputs(
        &mut self,
        network: &dyn Layer<F>,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        ctx: &mut Ctx<'_, F>,
    ) -> Rows<'_, F> {
        let (rows, width) = (inputs[0].len(), network.output_shape().len());
        let y = &mut self.y[..rows * width];
        let tape = &mut self.tape[..network.tape().for_rows(rows)];
        network.forward(theta, inputs, RowsMut::counted(y, rows, width), tape, ctx);
        Rows::counted(y, rows, width)
    }
}

impl<F: Float> Workspace<F> {
    /// Fills all memory with one value: NaN shows what reads before it writes.
    pub fn fill(&mut self, value: F) {
        for buffer in [&mut self.y, &mut self.dy, &mut self.tape] {
            buffer.fill(value);
        }
    }
}

/// A network and the losses of its outputs, as a function of the parameters; all that a trainer sees of either.
#[derive(Debug)]
pub struct Objective<F> {
    network: Box<dyn Layer<F>>,
    loss: Weighted<F>,
    /// Numbers of one row of the network's output, and its tape: asked for once.
    width: usize,
    tape: TapeLen,
    /// The network once more, for one row, if it is small and has one output, and how many terms the loss of that has.
    flat: Option<(Flat<F>, f64)>,
}

impl<F: Float> Objective<F> {
    /// The objective `loss(network(x), target)`.
    ///
    /// # Errors
    /// [`Error::LossShape`] if the loss needs groups of classes that the output is not made of.
    pub fn new(network: Box<dyn Layer<F>>, loss: Box<dyn Loss<F>>) -> Result<Self, Error> {
        let shape = network.output_shape().clone();
        Self::several(network, vec![OutputLoss { name: String::new(), shape, loss, weight: 1.0 }])
    }

    /// The weighted sum of the losses of several outputs, of which the network gives one block each, as a
    /// [`Bundle`](crate::layers::Bundle) does. With one output, any network will do.
    ///
    /// # Errors
    /// As [`Weighted::new`].
    pub fn several(network: Box<dyn Layer<F>>, outputs: Vec<OutputLoss<F>>) -> Result<Self, Error> {
        let loss = Weighted::new(outputs, network.output_shape())?;
        Ok(Self::of(network, loss))
    }

    /// The same objective of samples that are padded: layers that go over positions skip padding, and so do the losses
    /// of outputs with a row for each position.
    ///
    /// # Errors
    /// [`Error::Positions`] if a layer that skips padding goes over another number of positions than the input has.
    pub fn with_masking(self, masking: Masking) -> Result<Self, Error> {
        let network: Box<dyn Layer<F>> = Box::new(Masked::new(self.network, masking)?);
        Ok(Self::of(network, self.loss.with_masking(masking)))
    }

    fn of(network: Box<dyn Layer<F>>, loss: Weighted<F>) -> Self {
        let (width, tape) = (network.output_shape().len(), network.tape());
        let flat = Flat::of(network.as_ref()).zip(loss.only()).map(|(flat, only)| {
            let row = vec![F::zero(); width];
            (flat, only.loss.terms(Rows::new(&row, width)))
        });
        Self { network, loss, width, tape, flat }
    }

    /// The same objective without the loop for one row.
    #[cfg(test)]
    pub(crate) fn layer_by_layer(self) -> Self {
        Self { flat: None, ..self }
    }

    /// Whether there is a loop for one row.
    #[cfg(test)]
    pub(crate) fn is_flat(&self) -> bool {
        self.flat.is_some()
    }

    /// Whether padding is left out of a loss.
    pub fn loss_is_masked(&self) -> bool {
        self.loss.is_masked()
    }

    /// The network.
    pub fn network(&self) -> &dyn Layer<F> {
        self.network.as_ref()
    }

    /// The losses of the outputs and how they are added up.
    pub fn loss(&self) -> &Weighted<F> {
        &self.loss
    }

    /// The tensors of the parameters, in order.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.network.parameters()
    }

    /// The buffers of the network, in order.
    pub fn buffers(&self) -> Vec<Buffer> {
        self.network.buffers()
    }

    /// The buffers as they are before training.
    pub fn start_buffers(&self) -> Vec<F> {
        initial_buffers(&self.buffers())
    }

    /// Start values of all parameters, drawn from `seed`.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if there are too many.
    pub fn start_values(&self, seed: u64) -> Result<Vec<F>, Error> {
        let parameters = self.parameters();
        let count = parameter_count(&parameters)?;
        let mut theta = Vec::new();
        theta.try_reserve_exact(count).map_err(|_| Error::TooLarge { axes: vec![count] })?;
        theta.resize(count, F::zero());
        initialize(&parameters, &mut theta, seed);
        Ok(theta)
    }

    /// The shapes of one sample of each input.
    pub fn input_shapes(&self) -> Vec<Shape> {
        self.network.input_shapes()
    }

    /// The loss of one batch.
    pub fn value(
        &self,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        targets: Targets<'_, F>,
        workspace: &mut Workspace<F>,
        ctx: &mut Ctx<'_, F>,
    ) -> Total {
        let (rows, width) = (inputs[0].len(), self.width);
        let y = &mut workspace.y[..rows * width];
        let tape = &mut workspace.tape[..self.tape.for_rows(rows)];
        self.network.forward(theta, inputs, RowsMut::counted(y, rows, width), tape, ctx);
        self.loss.value(inputs[0], Rows::counted(y, rows, width), targets, &mut workspace.totals)
    }

    /// The outputs of one batch.
    pub fn outputs<'a>(
        &self,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        workspace: &'a mut Workspace<F>,
        ctx: &mut Ctx<'_, F>,
    ) -> Rows<'a, F> {
        workspace.outputs(self.network.as_ref(), theta, inputs, ctx)
    }

    /// The name of the first layer whose output for one batch is not finite; none, if all are.
    pub fn first_not_finite(
        &self,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        workspace: &mut Workspace<F>,
        ctx: &mut Ctx<'_, F>,
    ) -> Option<String> {
        let (rows, width) = (inputs[0].len(), self.width);
        let y = &mut workspace.y[..rows * width];
        let tape = &mut workspace.tape[..self.tape.for_rows(rows)];
        self.network.forward(theta, inputs, RowsMut::counted(y, rows, width), tape, ctx);
        self.network.first_not_finite(Rows::counted(y, rows, width), tape)
    }

    /// The loss of one batch, whose parts [`Workspace::totals`] has; writes the gradient of its **mean** to `dtheta`, and that
    /// by the inputs to `dx`, where asked.
    #[allow(clippy::too_many_arguments)] // Every buffer is lent, and each has another owner.
    pub fn gradient(
        &self,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        targets: Targets<'_, F>,
        dtheta: &mut [F],
        dx: &mut [Option<RowsMut<'_, F>>],
        workspace: &mut Workspace<F>,
        ctx: &mut Ctx<'_, F>,
    ) -> Total {
        if inputs[0].len() == 1
            && let Some(mut pass) = self.row_pass(workspace)
        {
            let total = pass.total(theta, inputs[0].data(), targets.output(0), dtheta);
            if let Some(dx) = &mut dx[0] {
                pass.input_gradient(theta, dx.data());
            }
            workspace.totals.clear();
            workspace.totals.push(total);
            return self.loss.together(&workspace.totals, 1);
        }
        self.gradient_by_layers(theta, inputs, targets, dtheta, dx, workspace, ctx)
    }

    /// The gradients of one row after the other, if the network is a chain of small dense layers with one output: what
    /// [`gradient`](Self::gradient) gives for batches of one row, with less on the way.
    ///
    /// # Panics
    /// If `workspace` was made for another network.
    #[inline(always)]
    pub fn row_pass<'a>(&'a self, workspace: &'a mut Workspace<F>) -> Option<RowPass<'a, F>> {
        let (flat, terms) = self.flat.as_ref()?;
        let tape = &mut workspace.tape[..flat.tape()];
        Some(RowPass::new(flat, (self.loss.only()?, *terms), tape))
    }

    /// What [`gradient`](Self::gradient) does for any number of rows and any network.
    #[allow(clippy::too_many_arguments)]
    #[inline(never)] // Or a small net pays for its frame.
    fn gradient_by_layers(
        &self,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        targets: Targets<'_, F>,
        dtheta: &mut [F],
        dx: &mut [Option<RowsMut<'_, F>>],
        workspace: &mut Workspace<F>,
        ctx: &mut Ctx<'_, F>,
    ) -> Total {
        let (rows, width) = (inputs[0].len(), self.width);
        let y = &mut workspace.y[..rows * width];
        let dy = &mut workspace.dy[..rows * width];
        let tape = &mut workspace.tape[..self.tape.for_rows(rows)];
        self.network.forward(theta, inputs, RowsMut::counted(y, rows, width), tape, ctx);

        let y = Rows::counted(y, rows, width);
        let total = self.loss.gradient(
            inputs[0],
            y,
            targets,
            RowsMut::counted(dy, rows, width),
            &mut workspace.totals,
        );
        let pass = Pass { inputs, y, tape };
        self.network.backward(theta, pass, RowsMut::counted(dy, rows, width), dx, ctx);
        let pass = Pass { inputs, y, tape };
        self.network.parameter_gradient(Replace, theta, pass, Rows::counted(dy, rows, width), dtheta, ctx);
        total
    }
}
