//! Where a run stopped being finite: which layer or tensor, in which step, by which samples.

use std::fmt;

use chainrule_core::{Ctx, Draw, Executor, Float, Inline, Parameter, Workspace};

use crate::dataset::Gathered;
use crate::{Error, State, Trainer};

/// Samples that are named at most.
const NAMED: usize = 5;

/// A loss or a gradient that is not finite, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Divergence {
    /// What was not finite.
    pub what: NotFinite,
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// The step over all epochs that it happened in, counted from 1; the last that was taken, between steps.
    pub step: u64,
    /// Samples of the step; none, between steps.
    pub batch: usize,
    /// The first of these samples that do it alone, by their number in the training set from 0.
    pub samples: Vec<u32>,
}

/// What was not finite.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum NotFinite {
    /// A parameter, after the step before.
    Parameter {
        /// Its tensor.
        tensor: String,
        /// NaN or an infinity.
        value: f64,
    },
    /// What a layer gave, though all that it read was finite.
    Output {
        /// The layer.
        layer: String,
        /// The loss that followed.
        loss: f64,
    },
    /// The loss, though what the network gave was finite.
    Loss {
        /// NaN or an infinity.
        loss: f64,
    },
    /// A number of the gradient, though the loss was finite.
    Gradient {
        /// Its tensor.
        tensor: String,
        /// NaN or an infinity.
        value: f64,
    },
    /// The loss over a part of the data after an epoch.
    Evaluation {
        /// Which part.
        part: &'static str,
        /// NaN or an infinity.
        loss: f64,
    },
    /// Every step of an epoch was left out.
    EveryStep,
}

impl NotFinite {
    pub(crate) fn parameter((tensor, value): (String, f64)) -> Self {
        Self::Parameter { tensor, value }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = format!("in epoch {}, step {}", self.epoch, self.step);
        match &self.what {
            NotFinite::Parameter { tensor, value } => write!(f, "`{tensor}` became {value} {place}"),
            NotFinite::Output { layer, loss } => {
                write!(f, "the loss became {loss} {place}: the output of layer \"{layer}\" is not finite")
            }
            NotFinite::Loss { loss } => {
                write!(f, "the loss became {loss} {place}: all that the network gave is finite")
            }
            NotFinite::Gradient { tensor, value } => {
                write!(f, "the gradient of `{tensor}` became {value} {place}")
            }
            NotFinite::Evaluation { part, loss } => {
                write!(f, "the loss over the {part} set became {loss} {place}")
            }
            NotFinite::EveryStep => write!(f, "no step of epoch {} had a finite gradient", self.epoch),
        }?;
        match (&self.samples[..], self.batch) {
            (_, 0) => Ok(()),
            ([], batch) => write!(f, "; by none of its {batch} sample(s) alone"),
            (samples, batch) => {
                let names: Vec<String> = samples.iter().map(u32::to_string).collect();
                write!(f, "; by sample(s) {} of its {batch}, counted from 0", names.join(", "))
            }
        }
    }
}

/// The step that is looked at.
pub(crate) struct Batch<'a> {
    /// Its samples, by their number in the training set.
    pub(crate) samples: &'a [u32],
    /// The number of its first batch.
    pub(crate) first: u64,
    /// Its mean loss.
    pub(crate) loss: f64,
}

/// The first tensor of a flat vector that has a number which is not finite, and that number.
pub(crate) fn first_tensor<F: Float>(parameters: &[Parameter], vector: &[F]) -> Option<(String, f64)> {
    let mut rest = vector;
    for parameter in parameters {
        let (own, after) = rest.split_at(parameter.shape.len());
        if let Some(bad) = own.iter().find(|number| !number.is_finite()) {
            return Some((parameter.name.clone(), bad.as_f64()));
        }
        rest = after;
    }
    None
}

/// Repeats the step, whose parameters have not been changed, and looks at everything in it.
pub(crate) fn find<F: Float>(
    trainer: &Trainer<'_, F>,
    executor: &dyn Executor<F>,
    state: &State<F>,
    batch: Batch<'_>,
) -> Result<Divergence, Error> {
    let parameters = trainer.objective.parameters();
    let mut search = Search {
        trainer,
        executor,
        state,
        gradient: vec![F::zero(); state.theta.len()],
        buffers: state.buffers.clone(),
        gathered: Gathered::new(trainer.train, trainer.settings.batch_size.min(batch.samples.len())),
        workspace: Workspace::new(
            trainer.objective.network(),
            trainer.settings.batch_size.min(batch.samples.len()),
        )?,
    };
    let what = match first_tensor(&parameters, &state.theta) {
        Some(found) => NotFinite::parameter(found),
        None => search.in_batches(&parameters, &batch),
    };
    let alone = |&&sample: &&u32| search.is_bad_alone(sample);
    let samples = batch.samples.iter().filter(alone).take(NAMED).copied().collect();
    let (epoch, step) = (state.counts.epochs + 1, state.counts.steps + 1);
    Ok(Divergence { what, epoch, step, batch: batch.samples.len(), samples })
}

struct Search<'a, F> {
    trainer: &'a Trainer<'a, F>,
    executor: &'a dyn Executor<F>,
    state: &'a State<F>,
    gradient: Vec<F>,
    buffers: Vec<F>,
    gathered: Gathered<F>,
    workspace: Workspace<F>,
}

impl<F: Float> Search<'_, F> {
    /// What was not finite first in the batches of the step, each with the noise that it had.
    fn in_batches(&mut self, parameters: &[Parameter], batch: &Batch<'_>) -> NotFinite {
        let (trainer, theta) = (self.trainer, &self.state.theta);
        for (samples, number) in batch.samples.chunks(trainer.settings.batch_size).zip(batch.first..) {
            let (inputs, targets) = self.gathered.gather(trainer.train, samples);
            let draw = Draw::new(trainer.settings.seed, number);
            let ctx = &mut Ctx::train(self.executor, &mut self.buffers, draw);
            let workspace = &mut self.workspace;
            if let Some(layer) = trainer.objective.first_not_finite(theta, &[inputs], workspace, ctx) {
                return NotFinite::Output { layer, loss: batch.loss };
            }
            self.gradient.fill(F::zero());
            let ctx = &mut Ctx::train(self.executor, &mut self.buffers, draw);
            let (gradient, inputs) = (&mut self.gradient, &[inputs]);
            let total =
                trainer.objective.gradient(theta, inputs, targets, gradient, &mut [None], workspace, ctx);
            if !total.sum.is_finite() {
                return NotFinite::Loss { loss: batch.loss };
            }
            if let Some((tensor, value)) = first_tensor(parameters, &self.gradient) {
                return NotFinite::Gradient { tensor, value };
            }
        }
        // Only their sum is not.
        NotFinite::Loss { loss: batch.loss }
    }

    /// Whether a sample has a loss or a gradient that is not finite without the others and without noise.
    fn is_bad_alone(&mut self, sample: u32) -> bool {
        let trainer = self.trainer;
        let (inputs, targets) = self.gathered.gather(trainer.train, &[sample]);
        self.gradient.fill(F::zero());
        let ctx = &mut Ctx::evaluate(&Inline, &self.state.buffers);
        let (gradient, workspace, inputs) = (&mut self.gradient, &mut self.workspace, &[inputs]);
        let theta = &self.state.theta;
        let total = trainer.objective.gradient(theta, inputs, targets, gradient, &mut [None], workspace, ctx);
        !total.sum.is_finite() || self.gradient.iter().any(|number| !number.is_finite())
    }
}
