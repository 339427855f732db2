//! How a network is trained: what is given, what comes out.

use std::sync::atomic::AtomicBool;

use chainrule_core::{Float, Objective, Total};

use crate::metrics::Scoring;
use crate::optimizer::{Clip, DecayOn, Tuning};
use crate::run::Run;
use crate::schedule::PlateauState;
use crate::{
    Averaging, Checkpoints, Dataset, EarlyStopping, Error, Every, Monitor, Observer, Optimizer, Order, Part,
    Schedule, State, Threads,
};

/// How a network is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Passes over the training set, at least 1.
    pub epochs: u64,
    /// Samples a batch, at least 1; the last batch of an epoch may be smaller.
    pub batch_size: usize,
    /// Batches whose gradients make one step, at least 1; the last step of an epoch may have fewer.
    pub accumulate: usize,
    /// The order of the samples.
    pub order: Order,
    /// Decides the noise of random layers in every step.
    pub seed: u64,
    /// What the gradient is limited to before a step.
    pub clip: Clip,
    /// What weight decay applies to.
    pub decay_on: DecayOn,
    /// Layers that are trained otherwise than the rest.
    pub tunings: Vec<Tuning>,
    /// The factor of the L1 norm, of what decays, in what is minimised.
    pub l1: f64,
    /// The longest row of a weight, greater than 0.
    pub max_norm: Option<f64>,
    /// A record is made of epoch 1, then every so many epochs, and of the last.
    pub log_every: u64,
    /// Whether a record has the loss and the metrics over the whole training set.
    pub evaluate_train: bool,
    /// What epochs are judged by, where something depends on it.
    pub monitor: Monitor,
    /// Whether and when training ends early.
    pub early_stopping: Option<EarlyStopping>,
    /// Whether and how the parameters are averaged.
    pub averaging: Option<Averaging>,
    /// What happens when a loss or a gradient is not finite.
    pub on_not_finite: OnNotFinite,
    /// How often the state is stored, beside at the end.
    pub checkpoint: Option<Every>,
    /// Whether the best state is stored.
    pub save_best: bool,
    /// The epoch after which the run stores its state and waits to be gone on with.
    pub pause_after: Option<u64>,
}

/// What happens when the loss of a batch or its gradient is not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnNotFinite {
    /// The run ends, before the step is taken.
    #[default]
    Stop,
    /// The step is left out and counted.
    SkipStep,
}

impl Settings {
    /// So many epochs in batches of so many samples, in the order of the data, and nothing else.
    pub fn new(epochs: u64, batch_size: usize) -> Self {
        Self {
            epochs,
            batch_size,
            accumulate: 1,
            order: Order::Fixed,
            seed: 0,
            clip: Clip::default(),
            decay_on: DecayOn::All,
            tunings: Vec::new(),
            l1: 0.0,
            max_norm: None,
            log_every: 1,
            evaluate_train: false,
            monitor: Monitor::loss(Part::Running),
            early_stopping: None,
            averaging: None,
            on_not_finite: OnNotFinite::Stop,
            checkpoint: None,
            save_best: false,
            pause_after: None,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let patience = self.early_stopping.map_or(1, |stopping| stopping.patience);
        let every = match self.checkpoint {
            Some(Every::Epochs(every) | Every::Steps(every)) => every,
            None => 1,
        };
        let counts = [
            ("epochs", self.epochs),
            ("batch_size", self.batch_size as u64),
            ("accumulate", self.accumulate as u64),
            ("log_every", self.log_every),
            ("patience", patience),
            ("checkpoint", every),
        ];
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((what, _)) => Err(Error::Zero { what }),
            None => Ok(()),
        }
    }
}

/// Everything that training needs and leaves as it is.
#[derive(Debug)]
pub struct Trainer<'a, F> {
    /// What is minimised.
    pub objective: &'a Objective<F>,
    /// The samples it is minimised over.
    pub train: &'a Dataset<F>,
    /// Samples that are only evaluated.
    pub validation: Option<&'a Dataset<F>>,
    /// What is measured of a logged epoch beside the loss.
    pub scoring: Option<Scoring<'a, F>>,
    /// How steps are taken.
    pub optimizer: &'a dyn Optimizer<F>,
    /// How long each step is.
    pub schedule: &'a dyn Schedule,
    /// How long, how many at a time, in which order.
    pub settings: Settings,
    /// Who computes.
    pub threads: &'a Threads,
    /// Set from outside to end the run after the step that is under way, or, of nets so small that a step is of microseconds, after
    /// at most 64.
    pub interrupt: Option<&'a AtomicBool>,
}

/// What is left of a run beside its state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Why it ended.
    pub end: End,
    /// Seconds spent training, without evaluation and logging, before an interruption too.
    pub train_seconds: f64,
    /// Steps taken.
    pub steps: u64,
    /// Epochs trained.
    pub epochs: u64,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All epochs are trained.
    Finished,
    /// The monitored quantity did not get better any more.
    StoppedEarly,
    /// It was asked to; the state is stored.
    Interrupted,
    /// Its epoch to wait after has come; the state is stored.
    Paused,
}

impl<F: Float> Trainer<'_, F> {
    /// Trains from `state` on, whether that is a start or was stored by an earlier run; [`State::result`] is what comes
    /// out.
    ///
    /// # Errors
    /// Before anything is done, as [`check`](Self::check), and [`Error::Metric`] or [`Error::Core`] if a metric does not fit
    /// or the memory cannot be had. Then [`Error::Diverged`] at the first loss or gradient that is not finite, or if the
    /// parameters are not after the last step; [`Error::Observer`] if the observer or the checkpoints fail.
    pub fn fit(
        &self,
        state: &mut State<F>,
        observer: &mut (dyn Observer + Send),
        checkpoints: &mut (dyn Checkpoints<F> + Send),
    ) -> Result<Outcome, Error> {
        self.check(state)?;
        self.adopt(state);
        self.threads.run(|executor| Run::new(self, executor)?.epochs(state, observer, checkpoints))
    }

    /// Checks that everything fits together, and `state` to it.
    ///
    /// # Errors
    /// [`Error::DataShape`], [`Error::TargetKind`], [`Error::ClassRange`], [`Error::IndexRange`], of one of several outputs
    /// [`Error::Output`], if the data do not fit the objective; [`Error::SmallBatch`], [`Error::Zero`],
    /// [`Error::NotWhole`], [`Error::Optimizer`] if the settings do not fit; [`Error::State`] if the state does not.
    pub fn check(&self, state: &State<F>) -> Result<(), Error> {
        self.settings.check()?;
        check_batches(self.objective, self.train.len(), self.settings.batch_size)?;
        let step = self.settings.batch_size.saturating_mul(self.settings.accumulate);
        check_whole(self.optimizer, self.train.len(), step)?;
        check_free(self.optimizer, self.settings.max_norm, self.settings.clip)?;
        self.train.check(self.objective)?;
        if let Some(validation) = self.validation {
            validation.check(self.objective)?;
        }
        let parameters = chainrule_core::parameter_count(&self.objective.parameters())?;
        state.check(parameters, self.objective.start_buffers().len(), self.optimizer)?;
        self.check_rest(state)
    }

    /// Checks that what is left of the epoch makes whole batches too.
    fn check_rest(&self, state: &State<F>) -> Result<(), Error> {
        let samples = usize::try_from(state.counts.samples).unwrap_or(usize::MAX);
        match self.train.len().checked_sub(samples) {
            None => Err(Error::State),
            Some(0) => Ok(()),
            Some(rest) => check_batches(self.objective, rest, self.settings.batch_size),
        }
    }

    /// Takes a state for one of these settings: whoever goes on from it may have changed them, and what they no longer
    /// ask for would go on to act.
    fn adopt(&self, state: &mut State<F>) {
        let stopping = self.settings.early_stopping;
        state.counts.stopped =
            stopping.is_some_and(|stopping| state.counts.judged.waited >= stopping.patience);
        if !stopping.is_some_and(|stopping| stopping.restore_best) {
            state.best = None;
        }
        if self.settings.averaging.is_none() {
            state.forget_average();
        }
        if self.schedule.plateau().is_none() {
            state.counts.plateau = PlateauState::default();
        }
    }

    /// The largest piece of work that is done at once, in multiply-adds: what decides whether threads are worth it.
    pub fn largest_work(objective: &Objective<F>, batch_size: usize, evaluated_samples: usize) -> usize {
        objective.network().multiply_adds().saturating_mul(batch_size.max(evaluated_samples))
    }
}

/// Checks that every batch of an epoch, the last too, has as many rows as `objective` needs in training: statistics over
/// a batch need two.
///
/// # Errors
/// [`Error::SmallBatch`].
pub fn check_batches<F: Float>(
    objective: &Objective<F>,
    samples: usize,
    batch_size: usize,
) -> Result<(), Error> {
    let smallest = match samples % batch_size {
        0 => batch_size,
        rest => rest,
    };
    let needed = objective.network().least_rows();
    if smallest < needed {
        return Err(Error::SmallBatch { smallest, needed, samples, batch_size });
    }
    Ok(())
}

/// Checks that every step, of at most so many samples, is of all of them, if the optimiser needs it.
///
/// # Errors
/// [`Error::NotWhole`].
pub fn check_whole<F: Float>(optimizer: &dyn Optimizer<F>, samples: usize, step: usize) -> Result<(), Error> {
    if optimizer.joint().is_some() && step < samples {
        return Err(Error::NotWhole { samples, step });
    }
    Ok(())
}

/// Checks that nothing moves the parameters beside an optimiser that reckons with its own last step.
///
/// # Errors
/// [`Error::Optimizer`].
pub fn check_free<F: Float>(
    optimizer: &dyn Optimizer<F>,
    max_norm: Option<f64>,
    clip: Clip,
) -> Result<(), Error> {
    if optimizer.joint().is_none() {
        return Ok(());
    }
    if max_norm.is_some() {
        return Err(Error::Optimizer(
            "the optimizer learns from its own steps, which a largest norm of rows would change",
        ));
    }
    if clip != Clip::default() {
        return Err(Error::Optimizer(
            "the optimizer learns from differences of gradients, which clipping each by its own factor would change",
        ));
    }
    Ok(())
}

/// Of several outputs the mean loss of each by its name, before it is weighted.
pub fn by_output<F: Float>(objective: &Objective<F>, totals: &[Total]) -> Vec<(String, f64)> {
    let named = objective.loss().outputs().iter().filter(|output| !output.name.is_empty());
    named.zip(totals).map(|(output, total)| (output.name.clone(), total.mean())).collect()
}

#[cfg(test)]
mod tests;
