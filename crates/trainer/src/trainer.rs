//! The loop: order, gradient, step; and what is measured on the way.

use std::time::{Duration, Instant};

use chainrule_core::{Ctx, Draw, Executor, Float, Objective, Total, Workspace};

use crate::dataset::Gathered;
use crate::metrics::{Scored, Scorer, Scoring};
use crate::optimizer::{Clip, DecayOn, Group, groups, update};
use crate::{
    Dataset, Error, Evaluator, Observer, Optimizer, Order, Progress, Record, Schedule, Threads, Values,
};

/// Multiply-adds between two calls of [`Observer::progressed`]: about a millisecond.
const PROGRESS_WORK: usize = 1 << 23;

/// How a network is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Passes over the training set, at least 1.
    pub epochs: u64,
    /// Samples a step, at least 1; the last batch of an epoch may be smaller.
    pub batch_size: usize,
    /// The order of the samples.
    pub order: Order,
    /// Decides the noise of random layers in every step.
    pub seed: u64,
    /// What the gradient is limited to before a step.
    pub clip: Clip,
    /// What weight decay applies to.
    pub decay_on: DecayOn,
    /// A record is made of epoch 1, then every so many epochs, and of the last.
    pub log_every: u64,
    /// Whether a record has the loss and the metrics over the whole training set.
    pub evaluate_train: bool,
}

impl Settings {
    fn check(&self) -> Result<(), Error> {
        let counts =
            [("epochs", self.epochs), ("batch_size", self.batch_size as u64), ("log_every", self.log_every)];
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
}

/// What is left of a run beside the parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Seconds spent training, without evaluation and logging.
    pub train_seconds: f64,
    /// Steps taken.
    pub steps: u64,
    /// The record of the last epoch.
    pub last: Record,
}

impl<F: Float> Trainer<'_, F> {
    /// Trains `theta` in place; `buffers`, which start as [`Objective::start_buffers`], follow.
    ///
    /// # Errors
    /// [`Error::DataShape`], [`Error::TargetKind`] or [`Error::ClassRange`] if the data do not fit the objective, before
    /// anything is done, [`Error::Zero`] likewise; [`Error::Diverged`] at the first loss that is not finite, or if the
    /// parameters are not after the last step; [`Error::Observer`] if the observer fails.
    ///
    /// # Panics
    /// If `theta` is not as long as the parameters, or `buffers` as the buffers.
    pub fn fit(
        &self,
        theta: &mut [F],
        buffers: &mut [F],
        observer: &mut (dyn Observer + Send),
    ) -> Result<Outcome, Error> {
        self.settings.check()?;
        check_batches(self.objective, self.train.len(), self.settings.batch_size)?;
        self.train.check(self.objective)?;
        if let Some(validation) = self.validation {
            validation.check(self.objective)?;
        }
        let network = &mut Network { theta, buffers };
        self.threads.run(|executor| Run::new(self, executor)?.epochs(network, observer))
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

/// What a run changes.
struct Network<'a, F> {
    theta: &'a mut [F],
    buffers: &'a mut [F],
}

impl<F> Network<'_, F> {
    fn values(&self) -> Values<'_, F> {
        Values { theta: self.theta, buffers: self.buffers }
    }
}

/// The buffers of a run; nothing is allocated after they are made.
struct Run<'a, F> {
    trainer: &'a Trainer<'a, F>,
    executor: &'a dyn Executor<F>,
    groups: Vec<Group>,
    workspace: Workspace<F>,
    gathered: Gathered<F>,
    order: Vec<u32>,
    gradient: Vec<F>,
    slots: Vec<Vec<F>>,
    evaluator: Evaluator<F>,
    scorer: Option<Scorer<'a, F>>,
    step: u64,
    /// Steps between two reports of progress, and the next step that reports.
    report_every: u64,
    next_report: u64,
}

impl<'a, F: Float> Run<'a, F> {
    fn new(trainer: &'a Trainer<'a, F>, executor: &'a dyn Executor<F>) -> Result<Self, Error> {
        let parameters = trainer.objective.parameters();
        let len = chainrule_core::parameter_count(&parameters)?;
        let rows = trainer.settings.batch_size.min(trainer.train.len());
        let evaluated = trainer.train.len().max(trainer.validation.map_or(0, Dataset::len));
        let scorer = trainer.scoring.filter(|scoring| !scoring.metrics.is_empty());
        let scorer = scorer.map(|scoring| Scorer::new(scoring, evaluated, trainer.threads.count()));
        let step_work = trainer.objective.network().multiply_adds().saturating_mul(3 * rows).max(1);
        let report_every = (PROGRESS_WORK / step_work).max(1) as u64;
        Ok(Self {
            trainer,
            executor,
            groups: groups(&parameters, trainer.settings.decay_on),
            workspace: Workspace::new(trainer.objective.network(), rows)?,
            gathered: Gathered::new(trainer.train, rows),
            order: vec![0; trainer.train.len()],
            gradient: vec![F::zero(); len],
            slots: trainer.optimizer.slots().iter().map(|_| vec![F::zero(); len]).collect(),
            evaluator: Evaluator::new(trainer.objective, evaluated, trainer.threads.count())?,
            scorer: scorer.transpose()?,
            step: 0,
            report_every,
            next_report: report_every,
        })
    }

    fn epochs(
        &mut self,
        network: &mut Network<'_, F>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, Error> {
        let settings = &self.trainer.settings;
        let mut total_time = Duration::ZERO;
        let mut last_logged = 0;
        let mut start = Instant::now();
        let mut last = None;
        for epoch in 1..=settings.epochs {
            let running = self.epoch(epoch, network, observer)?;
            if !(epoch - 1).is_multiple_of(settings.log_every) && epoch != settings.epochs {
                continue;
            }
            let time = start.elapsed();
            total_time += time;
            let record = Record {
                train_seconds: time.as_secs_f64(),
                epochs_since: epoch - last_logged,
                ..self.record(epoch, running, network.values())?
            };
            observer.logged(&record).map_err(Error::Observer)?;
            last = Some(record);
            last_logged = epoch;
            start = Instant::now();
        }
        // The last epoch makes a record, and there is a last epoch: see `Settings::check`.
        let last = last.ok_or(Error::Zero { what: "epochs" })?;
        // No loss has been computed since the last step.
        if let Some(bad) = network.theta.iter().find(|value| !value.is_finite()) {
            return Err(Error::Diverged { loss: bad.as_f64(), epoch: settings.epochs, step: self.step });
        }
        Ok(Outcome { train_seconds: total_time.as_secs_f64(), steps: self.step, last })
    }

    /// One pass over the training set; the sum of the losses of its batches.
    fn epoch(
        &mut self,
        epoch: u64,
        network: &mut Network<'_, F>,
        observer: &mut dyn Observer,
    ) -> Result<Total, Error> {
        let trainer = self.trainer;
        let (samples, batch_size) = (trainer.train.len(), trainer.settings.batch_size);
        let shuffled = trainer.settings.order != Order::Fixed;
        if shuffled {
            trainer.settings.order.fill(epoch, &mut self.order);
        }
        let mut running = Total::default();
        let mut start = 0;
        while start < samples {
            let end = samples.min(start.saturating_add(batch_size));
            let total = self.step(network, start..end, shuffled);
            self.step += 1;
            if !total.sum.is_finite() {
                return Err(Error::Diverged { loss: total.mean(), epoch, step: self.step });
            }
            running += total;
            start = end;
            if self.step >= self.next_report {
                self.next_report = self.step + self.report_every;
                let samples = (epoch - 1) * samples as u64 + end as u64;
                observer.progressed(Progress { epoch, samples, loss: total.mean() });
            }
        }
        Ok(running)
    }

    /// One step on the samples at `range` of the order.
    #[inline]
    fn step(&mut self, network: &mut Network<'_, F>, range: std::ops::Range<usize>, shuffled: bool) -> Total {
        let Network { theta, buffers } = network;
        let trainer = self.trainer;
        let (inputs, targets) = if shuffled {
            self.gathered.gather(trainer.train, &self.order[range])
        } else {
            trainer.train.batch(range)
        };
        self.gradient.fill(F::zero());
        let (workspace, gradient) = (&mut self.workspace, &mut self.gradient);
        let draw = Draw::new(trainer.settings.seed, self.step);
        let ctx = &mut Ctx::train(self.executor, buffers, draw);
        let total =
            trainer.objective.gradient(theta, &[inputs], targets, gradient, &mut [None], workspace, ctx);
        trainer.settings.clip.apply(&self.groups, &mut self.gradient);
        let step = (self.step + 1, trainer.schedule.rate(self.step));
        let moved = (&mut **theta, &self.gradient[..]);
        update(self.executor, trainer.optimizer, &self.groups, step, moved, &mut self.slots);
        total
    }

    fn record(&mut self, epoch: u64, running: Total, values: Values<'_, F>) -> Result<Record, Error> {
        let trainer = self.trainer;
        let (objective, step) = (trainer.objective, self.step);
        let mut losses = |data: Option<&Dataset<F>>| -> Result<Losses, Error> {
            let Some(data) = data else { return Ok((None, Vec::new())) };
            let totals = self.evaluator.totals(objective, values, data);
            let loss = objective.loss().of(totals);
            match loss.is_finite() {
                true => Ok((Some(loss), by_output(objective, totals))),
                false => Err(Error::Diverged { loss, epoch, step }),
            }
        };
        let train = trainer.settings.evaluate_train.then_some(trainer.train);
        let (train_loss, train_losses) = losses(train)?;
        let (validation_loss, validation_losses) = losses(trainer.validation)?;
        let mut scores = |data: Option<&Dataset<F>>| -> Vec<Scored> {
            self.scorer.as_mut().zip(data).map_or_else(Vec::new, |(scorer, data)| scorer.scores(values, data))
        };
        Ok(Record {
            epoch,
            step: self.step,
            running_loss: running.mean(),
            train_loss,
            validation_loss,
            train_losses,
            validation_losses,
            train_scores: scores(train),
            validation_scores: scores(trainer.validation),
            learning_rate: trainer.schedule.rate(self.step.saturating_sub(1)),
            train_seconds: 0.0,
            epochs_since: 0,
        })
    }
}

/// The loss, and that of each output.
type Losses = (Option<f64>, Vec<(String, f64)>);

/// Of several outputs the mean loss of each by its name, before it is weighted.
pub fn by_output<F: Float>(objective: &Objective<F>, totals: &[Total]) -> Vec<(String, f64)> {
    let named = objective.loss().outputs().iter().filter(|output| !output.name.is_empty());
    named.zip(totals).map(|(output, total)| (output.name.clone(), total.mean())).collect()
}

#[cfg(test)]
mod tests {
    use chainrule_core::Shape;
    use chainrule_core::activation::Linear;
    use chainrule_core::layers::Dense;
    use chainrule_core::loss::Mse;

    use super::*;
    use crate::schedule::Constant;
    use crate::{Sgd, Silent, TargetData};

    fn settings() -> Settings {
        Settings {
            epochs: 1,
            batch_size: 1,
            order: Order::Fixed,
            seed: 0,
            clip: Clip::default(),
            decay_on: DecayOn::All,
            log_every: 1,
            evaluate_train: false,
        }
    }

    /// `y = w x + b` on one sample, from `w = b = 0`.
    fn fit(settings: Settings, rate: f64) -> Result<Outcome, Error> {
        let dense = Dense::new(&Shape::vector(1)?, 1, Box::new(Linear))?;
        let objective = Objective::<f64>::new(Box::new(dense), Box::new(Mse))?;
        let train = Dataset::new(vec![1.0], 1, TargetData::Values { data: vec![1.0], width: 1 })?;
        let optimizer = Sgd::new();
        let threads = Threads::one();
        let trainer = Trainer {
            objective: &objective,
            train: &train,
            validation: None,
            scoring: None,
            optimizer: &optimizer,
            schedule: &Constant(rate),
            settings,
            threads: &threads,
        };
        trainer.fit(&mut [0.0, 0.0], &mut [], &mut Silent)
    }

    #[test]
    fn refuses_settings_of_zero() {
        for (what, settings) in [
            ("epochs", Settings { epochs: 0, ..settings() }),
            ("batch_size", Settings { batch_size: 0, ..settings() }),
            ("log_every", Settings { log_every: 0, ..settings() }),
        ] {
            assert_eq!(fit(settings, 0.1).unwrap_err().to_string(), format!("{what} must be at least 1"));
        }
    }

    #[test]
    fn notices_parameters_that_the_last_step_made_infinite() {
        let outcome = fit(settings(), f64::MAX);
        assert!(matches!(outcome, Err(Error::Diverged { step: 1, .. })), "{outcome:?}");
        assert_eq!(fit(settings(), 0.1).unwrap().last.running_loss, 1.0);
    }
}
