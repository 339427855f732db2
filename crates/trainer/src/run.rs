//! The loop: order, gradient, step; and what is measured on the way.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use chainrule_core::{Executor, Float, Total, Workspace};

use crate::accumulated::Accumulated;
use crate::dataset::Gathered;
use crate::divergence::{self, Divergence, NotFinite};
use crate::finite;
use crate::huge_pages;
use crate::metrics::{Scored, Scorer};
use crate::optimizer::{Clip, Group, MaxNorm, groups};
use crate::state::{Counts, Snapshot};
use crate::trainer::{End, by_output};
use crate::{
    Checkpoints, Dataset, Error, Evaluator, Every, Observer, Order, Outcome, Part, Progress, Record, State,
    Trainer, Values,
};

mod single;
mod step;

/// Multiply-adds between two calls of [`Observer::progressed`]: about a millisecond.
const PROGRESS_WORK: usize = 1 << 23;

/// The buffers of a run; a step allocates nothing after they are made.
pub(crate) struct Run<'a, F> {
    trainer: &'a Trainer<'a, F>,
    executor: &'a dyn Executor<F>,
    groups: Vec<Group>,
    max_norm: Option<MaxNorm>,
    /// Whether the gradient is clipped or added to before a step.
    adjusts: bool,
    /// Whether anything is done after a step.
    follows_up: bool,
    /// Whether steps may be [`single_steps`](Self::single_steps).
    is_plain: bool,
    workspace: Workspace<F>,
    gathered: Gathered<F>,
    order: Vec<u32>,
    gradient: Vec<F>,
    accumulated: Option<Accumulated<F>>,
    /// The running statistics before a step that may not be taken.
    buffers_before: Vec<F>,
    evaluator: Evaluator<F>,
    scorer: Option<Scorer<'a, F>>,
    clock: Clock,
    /// Whether something depends on the monitored quantity.
    judges: bool,
    /// The step of the newest checkpoint.
    saved: u64,
    /// Batches between two reports of progress, and the next batch that reports.
    report_every: u64,
    next_report: u64,
}

/// Counts the seconds of training into a state.
#[derive(Default)]
struct Clock {
    since: Option<Instant>,
}

impl Clock {
    fn start(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    fn stop(&mut self, counts: &mut Counts) {
        if let Some(since) = self.since.take() {
            counts.seconds += since.elapsed().as_secs_f64();
        }
    }
}

/// Who hears of a run.
pub(crate) struct Listeners<'a, F> {
    observer: &'a mut dyn Observer,
    checkpoints: &'a mut dyn Checkpoints<F>,
}

/// What a record has.
#[derive(Clone, Copy)]
struct Measured {
    train: bool,
    validation: bool,
    scores: bool,
}

impl<'a, F: Float> Run<'a, F> {
    pub(crate) fn new(trainer: &'a Trainer<'a, F>, executor: &'a dyn Executor<F>) -> Result<Self, Error> {
        let (objective, settings) = (trainer.objective, &trainer.settings);
        let parameters = objective.parameters();
        let len = chainrule_core::parameter_count(&parameters)?;
        let rows = settings.batch_size.min(trainer.train.len());
        let evaluated = trainer.train.len().max(trainer.validation.map_or(0, Dataset::len));
        let scorer = trainer.scoring.filter(|scoring| !scoring.metrics.is_empty());
        let scorer = scorer.map(|scoring| Scorer::new(scoring, evaluated, trainer.threads.count()));
        let batch_work = objective.network().multiply_adds().saturating_mul(3 * rows).max(1);
        let report_every = (PROGRESS_WORK / batch_work).max(1) as u64;
        let groups = groups(&parameters, settings.decay_on, &settings.tunings);
        let adjusts = settings.clip != Clip::default() || settings.l1 != 0.0;
        let follows_up = settings.max_norm.is_some() || settings.averaging.is_some();
        let is_plain = !adjusts && !follows_up && single::is_of_one(trainer);
        Ok(Self {
            trainer,
            executor,
            groups,
            max_norm: settings.max_norm.map(|limit| MaxNorm::new(limit, &parameters)),
            adjusts,
            follows_up,
            is_plain,
            workspace: Workspace::new(objective.network(), rows)?,
            gathered: Gathered::new(trainer.train, rows),
            order: vec![0; trainer.train.len()],
            gradient: vec![F::zero(); len],
            accumulated: (settings.accumulate > 1).then(|| Accumulated::new(len)),
            buffers_before: objective.start_buffers(),
            evaluator: Evaluator::new(objective, evaluated, trainer.threads.count())?,
            scorer: scorer.transpose()?,
            clock: Clock::default(),
            judges: settings.early_stopping.is_some()
                || settings.save_best
                || trainer.schedule.plateau().is_some(),
            saved: 0,
            report_every,
            next_report: report_every,
        })
    }

    /// Trains all epochs that are left.
    pub(crate) fn epochs(
        &mut self,
        state: &mut State<F>,
        observer: &mut dyn Observer,
        checkpoints: &mut dyn Checkpoints<F>,
    ) -> Result<Outcome, Error> {
        let listeners = &mut Listeners { observer, checkpoints };
        self.use_huge_pages(state);
        self.next_report = state.counts.batches + self.report_every;
        self.saved = state.counts.steps;
        while !self.is_over(state) && !self.is_paused(state) {
            let whole = self.epoch(state, listeners)?;
            if whole {
                self.finish_epoch(state, listeners)?;
            }
            let interrupted = self.is_interrupted();
            let paused = whole && self.is_paused(state);
            if interrupted || paused || self.is_over(state) || self.is_due(state, whole) {
                self.save(state, listeners)?;
            }
            if interrupted && !self.is_over(state) {
                return Ok(outcome(&state.counts, End::Interrupted));
            }
        }
        if !self.is_over(state) {
            return Ok(outcome(&state.counts, End::Paused));
        }
        let end = if state.counts.stopped { End::StoppedEarly } else { End::Finished };
        Ok(outcome(&state.counts, end))
    }

    /// For what every step reads and writes all of.
    fn use_huge_pages(&self, state: &State<F>) {
        huge_pages::collapse(&self.gradient);
        huge_pages::collapse(&state.theta);
        state.memory.slots.iter().for_each(|slot| huge_pages::collapse(slot));
    }

    fn is_over(&self, state: &State<F>) -> bool {
        state.counts.stopped || state.counts.epochs >= self.trainer.settings.epochs
    }

    fn is_paused(&self, state: &State<F>) -> bool {
        self.trainer.settings.pause_after.is_some_and(|epoch| state.counts.epochs >= epoch)
    }

    fn is_interrupted(&self) -> bool {
        self.trainer.interrupt.is_some_and(|interrupt| interrupt.load(Relaxed))
    }

    fn save(&mut self, state: &mut State<F>, listeners: &mut Listeners<'_, F>) -> Result<(), Error> {
        self.clock.stop(&mut state.counts);
        self.saved = state.counts.steps;
        listeners.checkpoints.save(state).map_err(Error::Observer)
    }

    /// Whether the state is to be stored now, after an epoch or within one.
    fn is_due(&self, state: &State<F>, whole_epoch: bool) -> bool {
        match self.trainer.settings.checkpoint {
            Some(Every::Epochs(every)) => whole_epoch && state.counts.epochs.is_multiple_of(every),
            // A step that is left out makes no new state to store.
            Some(Every::Steps(every)) => {
                state.counts.steps != self.saved && state.counts.steps.is_multiple_of(every)
            }
            None => false,
        }
    }

    /// What is left of one pass over the training set; whether it came to its end, or was interrupted.
    #[inline(never)] // So that a step has all registers to itself.
    fn epoch(&mut self, state: &mut State<F>, listeners: &mut Listeners<'_, F>) -> Result<bool, Error> {
        let trainer = self.trainer;
        let settings = &trainer.settings;
        let samples = trainer.train.len();
        let step_size = settings.batch_size.saturating_mul(settings.accumulate);
        let shuffled = settings.order != Order::Fixed;
        self.clock.start();
        if shuffled {
            settings.order.fill(state.counts.epochs + 1, &mut self.order);
        }
        let mut start = usize::try_from(state.counts.samples).unwrap_or(usize::MAX);
        while start < samples {
            let (end, loss) = match self.single_steps(state, start..samples, shuffled) {
                Some(taken) => taken,
                None => {
                    let end = samples.min(start.saturating_add(step_size));
                    (end, self.step(state, start..end, shuffled)?)
                }
            };
            start = end;
            state.counts.samples = end as u64;
            if state.counts.batches >= self.next_report {
                self.next_report = state.counts.batches + self.report_every;
                let epoch = state.counts.epochs + 1;
                let samples = state.counts.epochs.saturating_mul(samples as u64).saturating_add(end as u64);
                listeners.observer.progressed(Progress { epoch, samples, loss });
            }
            if end == samples {
                break;
            }
            if self.is_interrupted() {
                return Ok(false);
            }
            if self.is_due(state, false) {
                self.save(state, listeners)?;
                self.clock.start();
            }
        }
        Ok(true)
    }

    /// Judges and records an epoch whose last step has been taken, and begins the next.
    fn finish_epoch(&mut self, state: &mut State<F>, listeners: &mut Listeners<'_, F>) -> Result<(), Error> {
        let settings = &self.trainer.settings;
        let epoch = state.counts.epochs + 1;
        if state.counts.running.terms == 0.0 {
            return Err(self.at(state, NotFinite::EveryStep));
        }
        if let Some(averaging) = settings.averaging {
            averaging.after_epoch(state, epoch);
        }
        let is_logged = (epoch - 1).is_multiple_of(settings.log_every) || epoch == settings.epochs;
        let better = match is_logged || self.judges {
            true => self.look(state, listeners, is_logged)?,
            false => false,
        };
        state.counts.epochs = epoch;
        state.counts.samples = 0;
        state.counts.running = Total::NONE;
        if better && settings.save_best {
            self.clock.stop(&mut state.counts);
            listeners.checkpoints.save_best(state).map_err(Error::Observer)?;
        }
        Ok(())
    }

    /// Measures an epoch, judges it, and records it if that is asked for or if it is the last; whether it is the best.
    fn look(
        &mut self,
        state: &mut State<F>,
        listeners: &mut Listeners<'_, F>,
        is_logged: bool,
    ) -> Result<bool, Error> {
        self.clock.stop(&mut state.counts);
        let mut record = self.record(state, self.measured(is_logged))?;
        // The rate of the steps that were taken: what is concluded from the epoch may lower it.
        let learning_rate = record.learning_rate;
        let better = self.judges && self.judge(state, &record, record.epoch);
        let is_last = state.counts.stopped || record.epoch == self.trainer.settings.epochs;
        if is_last || better {
            self.check_parameters(state)?;
        }
        if is_last && !is_logged {
            record = Record { learning_rate, ..self.record(state, self.measured(true))? };
        }
        if is_last || is_logged {
            listeners.observer.logged(&record).map_err(Error::Observer)?;
            state.counts.seconds_before += state.counts.seconds;
            state.counts.seconds = 0.0;
            state.counts.logged = record.epoch;
        }
        Ok(better)
    }

    /// Draws the conclusions from the monitored quantity; whether it is the best so far.
    fn judge(&self, state: &mut State<F>, record: &Record, epoch: u64) -> bool {
        let settings = &self.trainer.settings;
        let (value, larger) = (settings.monitor.of(record), settings.monitor.larger_is_better());
        if let Some(plateau) = self.trainer.schedule.plateau() {
            plateau.observe(&mut state.counts.plateau, value, larger);
        }
        let stopping = settings.early_stopping;
        let min_delta = stopping.map_or(0.0, |stopping| stopping.min_delta);
        let better = state.counts.judged.judge(value, epoch, larger, min_delta);
        let Some(stopping) = stopping else { return better };
        if better && stopping.restore_best {
            keep_best(state);
        }
        state.counts.stopped = state.counts.judged.waited >= stopping.patience;
        better
    }

    /// What is to be measured of an epoch: all that a record has, or only what is monitored.
    fn measured(&self, recorded: bool) -> Measured {
        let settings = &self.trainer.settings;
        let monitors = |part| self.judges && settings.monitor.part == part;
        Measured {
            train: (recorded && settings.evaluate_train) || monitors(Part::Train),
            validation: recorded || monitors(Part::Validation),
            scores: recorded || (self.judges && settings.monitor.metric.is_some()),
        }
    }

    fn record(&mut self, state: &State<F>, measured: Measured) -> Result<Record, Error> {
        let trainer = self.trainer;
        let values = state.current();
        let train = measured.train.then_some(trainer.train);
        let validation = trainer.validation.filter(|_| measured.validation);
        let (train_loss, train_losses) = self.losses(state, values, ("training", train))?;
        let (validation_loss, validation_losses) = self.losses(state, values, ("validation", validation))?;
        let mut scores = |data: Option<&Dataset<F>>| -> Vec<Scored> {
            let scorer = self.scorer.as_mut().filter(|_| measured.scores);
            scorer.zip(data).map_or_else(Vec::new, |(scorer, data)| scorer.scores(values, data))
        };
        Ok(Record {
            epoch: state.counts.epochs + 1,
            step: state.counts.steps,
            running_loss: state.counts.running.mean(),
            train_loss,
            validation_loss,
            train_losses,
            validation_losses,
            train_scores: scores(train),
            validation_scores: scores(validation),
            learning_rate: self.rate(&state.counts, state.counts.steps.saturating_sub(1)),
            train_seconds: state.counts.seconds,
            epochs_since: state.counts.epochs + 1 - state.counts.logged,
        })
    }

    /// The loss over a data set, if there is one, and that of each output.
    fn losses(
        &mut self,
        state: &State<F>,
        values: Values<'_, F>,
        (part, data): (&'static str, Option<&Dataset<F>>),
    ) -> Result<Losses, Error> {
        let Some(data) = data else { return Ok((None, Vec::new())) };
        let objective = self.trainer.objective;
        let totals = self.evaluator.totals(objective, values, data);
        let loss = objective.loss().of(totals);
        if loss.is_finite() {
            return Ok((Some(loss), by_output(objective, totals)));
        }
        Err(self.at(state, NotFinite::Evaluation { part, loss }))
    }

    /// No loss has been computed since the last step.
    fn check_parameters(&self, state: &State<F>) -> Result<(), Error> {
        if finite::all(self.executor, &state.theta) {
            return Ok(());
        }
        let parameters = self.trainer.objective.parameters();
        let what = divergence::first_tensor(&parameters, &state.theta);
        Err(self.at(state, what.map_or(NotFinite::EveryStep, NotFinite::parameter)))
    }

    fn at(&self, state: &State<F>, what: NotFinite) -> Error {
        let (epoch, step) = (state.counts.epochs + 1, state.counts.steps);
        Error::Diverged(Box::new(Divergence { what, epoch, step, batch: 0, samples: Vec::new() }))
    }

    /// Finds out where the loss or the gradient of a step was not finite first.
    #[cold]
    fn diverged(&mut self, state: &State<F>, range: Range<usize>, shuffled: bool, total: Total) -> Error {
        let samples: Vec<u32> = match shuffled {
            true => self.order[range].to_vec(),
            // An order of u32 holds every sample's number.
            false => range.map(|index| index as u32).collect(),
        };
        let at = divergence::Batch {
            samples: &samples,
            first: state.counts.batches - samples.len().div_ceil(self.trainer.settings.batch_size) as u64,
            loss: total.mean(),
        };
        match divergence::find(self.trainer, self.executor, state, at) {
            Ok(found) => Error::Diverged(Box::new(found)),
            Err(error) => error,
        }
    }
}

/// The loss, and that of each output.
type Losses = (Option<f64>, Vec<(String, f64)>);

fn outcome(counts: &Counts, end: End) -> Outcome {
    let train_seconds = counts.seconds_before + counts.seconds;
    Outcome { end, train_seconds, steps: counts.steps, epochs: counts.epochs }
}

/// Copies the current values to where the best are kept.
fn keep_best<F: Float>(state: &mut State<F>) {
    match state.best.take() {
        Some(mut best) => {
            best.copy_from(state.current());
            state.best = Some(best);
        }
        None => state.best = Some(Snapshot::of(state.current())),
    }
}
