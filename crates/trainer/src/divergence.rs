//! Where a run stopped being finite: which layer or tensor, in which step, by which samples.

use std::fmt;

use chainrule_core::{Ctx, Draw, Executor, Float, Parameter, Workspace};

use crate::dataset::Gathered;
use crate::{Error, State, Trainer, finite};

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
    /// A running statistic, though loss and gradient were finite.
    Statistic {
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
            NotFinite::Parameter { tensor, value } | NotFinite::Statistic { tensor, value } => {
                write!(f, "`{tensor}` became {value} {place}")
            }
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
            ([], batch) => write!(f, "; by none of the {batch} sample(s) of the step alone"),
            (samples, batch) => {
                let names: Vec<String> = samples.iter().map(u32::to_string).collect();
                write!(
                    f,
                    "; by sample(s) {} of the data, counted from 0, of {batch} in the step",
                    names.join(", ")
                )
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

/// Repeats the step, which has not been taken, and looks at everything in it. `state` is as it was before.
pub(crate) fn find<F: Float>(
    trainer: &Trainer<'_, F>,
    executor: &dyn Executor<F>,
    state: &State<F>,
    batch: Batch<'_>,
) -> Result<Divergence, Error> {
    let parameters = trainer.objective.parameters();
    let (epoch, step) = (state.counts.epochs + 1, state.counts.steps);
    if let Some(found) = first_tensor(&parameters, &state.theta) {
        // The step before did that, not these samples; it was of the epoch before, if none of this one is taken.
        let epoch = if state.counts.samples == 0 { state.counts.epochs.max(1) } else { epoch };
        let what = NotFinite::parameter(found);
        return Ok(Divergence { what, epoch, step, batch: 0, samples: Vec::new() });
    }
    let rows = trainer.settings.batch_size.min(batch.samples.len());
    let mut search = Search {
        trainer,
        executor,
        state,
        gradient: vec![F::zero(); state.theta.len()],
        buffers: state.buffers.clone(),
        gathered: Gathered::new(trainer.train, rows),
        workspace: Workspace::new(trainer.objective.network(), rows)?,
    };
    let what = search.in_batches(&parameters, &batch);
    let mut samples = Vec::new();
    for chunk in batch.samples.chunks(rows) {
        search.bad_among(chunk, &mut samples);
    }
    Ok(Divergence { what, epoch, step: step + 1, batch: batch.samples.len(), samples })
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
            let (inputs, targets) = self.gathered.gather(self.executor, trainer.train, samples);
            let draw = Draw::new(trainer.settings.seed, number);
            let ctx = &mut Ctx::train(self.executor, &mut self.buffers, draw);
            let workspace = &mut self.workspace;
            if let Some(layer) = trainer.objective.first_not_finite(theta, &[inputs], workspace, ctx) {
                return NotFinite::Output { layer, loss: batch.loss };
            }
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
            let mut buffers = self.buffers.as_slice();
            for buffer in trainer.objective.buffers() {
                let own = buffers.split_off(..buffer.shape.len()).unwrap_or_default();
                if let Some(bad) = own.iter().find(|number| !number.is_finite()) {
                    return NotFinite::Statistic { tensor: buffer.name, value: bad.as_f64() };
                }
            }
        }
        // Only their sum is not.
        NotFinite::Loss { loss: batch.loss }
    }

    /// Adds the samples that are not finite alone, up to as many as are named: without noise and with statistics that
    /// are given, each sample counts for itself, so only a half that is not finite has to be looked at closer.
    fn bad_among(&mut self, samples: &[u32], found: &mut Vec<u32>) {
        if found.len() == NAMED || samples.is_empty() || self.is_finite(samples) {
            return;
        }
        if let [sample] = samples {
            return found.push(*sample);
        }
        let (first, second) = samples.split_at(samples.len() / 2);
        self.bad_among(first, found);
        self.bad_among(second, found);
    }

    /// Whether the loss and the gradient of samples are finite, without noise.
    fn is_finite(&mut self, samples: &[u32]) -> bool {
        let trainer = self.trainer;
        let (inputs, targets) = self.gathered.gather(self.executor, trainer.train, samples);
        let ctx = &mut Ctx::evaluate(self.executor, &self.state.buffers);
        let (gradient, workspace, inputs) = (&mut self.gradient, &mut self.workspace, &[inputs]);
        let theta = &self.state.theta;
        let total = trainer.objective.gradient(theta, inputs, targets, gradient, &mut [None], workspace, ctx);
        total.sum.is_finite() && finite::all(self.executor, &self.gradient)
    }
}
