//! Network and loss together: a scalar function of the parameters, and its gradient.

mod masked;

use crate::layers::Masked;
use crate::{
    Buffer, Ctx, Error, Float, Layer, Loss, Masking, Parameter, Pass, Rows, RowsMut, Shape, TargetKind,
    Targets, initial_buffers, initialize, parameter_count,
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
        let zeros = |len: usize| {
            let mut buffer = Vec::new();
            buffer.try_reserve_exact(len).map_err(|_| too_large())?;
            buffer.resize(len, F::zero());
            Ok(buffer)
        };
        Ok(Self { y: zeros(outputs)?, dy: zeros(outputs)?, tape: zeros(taped.ok_or_else(too_large)?)? })
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
        network.forward(theta, inputs, RowsMut::new(y, width), tape, ctx);
        Rows::new(y, width)
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

/// A network and the loss of its output, as a function of the parameters; all that a trainer sees of either.
#[derive(Debug)]
pub struct Objective<F> {
    network: Box<dyn Layer<F>>,
    loss: Box<dyn Loss<F>>,
    /// Which positions the loss leaves out: of an output with a row for each position of the input.
    masking: Option<Masking>,
}

impl<F: Float> Objective<F> {
    /// The objective `loss(network(x), target)`.
    ///
    /// # Errors
    /// [`Error::LossShape`] if the loss needs groups of classes that the output is not made of.
    pub fn new(network: Box<dyn Layer<F>>, loss: Box<dyn Loss<F>>) -> Result<Self, Error> {
        let found = network.output_shape();
        match loss.target_kind() {
            TargetKind::Classes(classes) if found.last() != classes => Err(Error::LossShape {
                loss: "the loss",
                need: "a score for every class",
                found: found.clone(),
            }),
            _ => Ok(Self { network, loss, masking: None }),
        }
    }

    /// The same objective of samples that are padded: layers that go over positions skip padding, and so does the loss
    /// if the output has a row for each position.
    ///
    /// # Errors
    /// [`Error::Positions`] if a layer that skips padding goes over another number of positions than the input has.
    pub fn with_masking(self, masking: Masking) -> Result<Self, Error> {
        let network: Box<dyn Layer<F>> = Box::new(Masked::new(self.network, masking)?);
        let axes = network.output_shape().axes();
        let has_rows = axes.len() > 1 && axes[0] == masking.positions;
        Ok(Self { network, loss: self.loss, masking: has_rows.then_some(masking) })
    }

    /// The network.
    pub fn network(&self) -> &dyn Layer<F> {
        self.network.as_ref()
    }

    /// The loss.
    pub fn loss(&self) -> &dyn Loss<F> {
        self.loss.as_ref()
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

    /// What the outputs are compared with.
    pub fn target_kind(&self) -> TargetKind {
        self.loss.target_kind()
    }

    /// How many targets one sample has.
    pub fn targets_per_sample(&self) -> usize {
        match self.loss.target_kind() {
            TargetKind::Values => self.network.output_shape().len(),
            TargetKind::Classes(classes) => self.network.output_shape().len() / classes,
        }
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
        let y = self.outputs(theta, inputs, workspace, ctx);
        match self.masking {
            None => Total { sum: self.loss.value(y, targets), terms: self.loss.terms(y) },
            Some(masking) => masked::value(self.loss.as_ref(), masking, inputs[0], y, targets),
        }
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

    /// The loss of one batch; adds the gradient of its **mean** to `dtheta`, and writes that by the inputs to `dx`,
    /// where asked.
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
        let (rows, width) = (inputs[0].len(), self.network.output_shape().len());
        let y = &mut workspace.y[..rows * width];
        let dy = &mut workspace.dy[..rows * width];
        let tape = &mut workspace.tape[..self.network.tape().for_rows(rows)];
        self.network.forward(theta, inputs, RowsMut::new(y, width), tape, ctx);

        let y = Rows::new(y, width);
        let loss = self.loss.as_ref();
        let total = match self.masking {
            None => {
                let terms = loss.terms(y);
                Total { sum: loss.gradient(y, targets, F::of(terms.recip()), RowsMut::new(dy, width)), terms }
            }
            Some(masking) => masked::gradient(loss, masking, inputs[0], y, targets, RowsMut::new(dy, width)),
        };
        let pass = Pass { inputs, y, tape };
        self.network.backward(theta, pass, RowsMut::new(dy, width), dx, ctx);
        let pass = Pass { inputs, y, tape };
        self.network.accumulate(theta, pass, Rows::new(dy, width), dtheta, ctx);
        total
    }
}
