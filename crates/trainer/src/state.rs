//! What a run changes: all that has to be stored so that it can go on exactly.

use chainrule_core::{Float, Total};

use crate::monitor::Judged;
use crate::optimizer::{Memory, Optimizer};
use crate::schedule::PlateauState;
use crate::{Error, Values};

/// Everything that training changes. With the data and the settings it decides the rest of a run, to the bit: random
/// numbers are functions of the counts in it, so there is no generator to store.
#[derive(Clone, Debug, PartialEq)]
pub struct State<F> {
    /// The parameters.
    pub theta: Vec<F>,
    /// The running statistics.
    pub buffers: Vec<F>,
    /// The memory of the optimiser.
    pub memory: Memory<F>,
    /// The running average of the parameters and the statistics, once there is one.
    pub average: Option<Snapshot<F>>,
    /// The parameters and statistics of the best epoch, if they are to be restored.
    pub best: Option<Snapshot<F>>,
    /// Where the run is.
    pub counts: Counts,
}

/// Parameters and statistics at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot<F> {
    /// The parameters.
    pub theta: Vec<F>,
    /// The running statistics.
    pub buffers: Vec<F>,
}

/// The plain numbers of a state.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Whole epochs that are behind.
    pub epochs: u64,
    /// Samples of the next epoch that are behind; none between epochs.
    pub samples: u64,
    /// Steps that the optimiser has taken.
    pub steps: u64,
    /// Batches that have gone forth and back: more than steps, if gradients are accumulated or steps skipped.
    pub batches: u64,
    /// Steps that were left out, as a loss or a gradient was not finite.
    pub skipped: u64,
    /// The loss over the batches of the epoch that is under way.
    pub running: Total,
    /// The last epoch that a record was made of; none yet, if 0.
    pub logged: u64,
    /// Seconds spent training since that record. Timings decide nothing.
    pub seconds: f64,
    /// Seconds spent training up to that record.
    pub seconds_before: f64,
    /// How many times the parameters were averaged.
    pub averaged: u64,
    /// How the monitored quantity went.
    pub judged: Judged,
    /// Where a schedule that waits for a plateau is.
    pub plateau: PlateauState,
    /// Whether early stopping has ended the run.
    pub stopped: bool,
}

impl Counts {
    /// Whether a run can have come to them: then nothing that is computed with them overflows.
    fn are_possible(&self) -> bool {
        const FAR: u64 = 1 << 62;
        let counted = [self.epochs, self.samples, self.steps, self.batches, self.skipped, self.averaged];
        let numbers = [self.running.sum, self.running.terms, self.seconds, self.seconds_before];
        counted.into_iter().all(|count| count < FAR)
            && self.logged <= self.epochs
            && self.judged.waited < FAR
            && self.plateau.bad < FAR
            && numbers.into_iter().all(f64::is_finite)
            && (0.0..=1.0).contains(&self.plateau.share)
    }
}

impl<F: Float> State<F> {
    /// The start of a run from these values.
    pub fn new(theta: Vec<F>, buffers: Vec<F>, optimizer: &dyn Optimizer<F>) -> Self {
        let memory = Memory::new(optimizer, theta.len());
        Self { theta, buffers, memory, average: None, best: None, counts: Counts::default() }
    }

    /// The values as they would be used now: the average, once there is one.
    pub fn current(&self) -> Values<'_, F> {
        self.average.as_ref().map_or(Values { theta: &self.theta, buffers: &self.buffers }, Snapshot::values)
    }

    /// The values that the run gives: those of the best epoch, if they are kept, else the current ones.
    pub fn result(&self) -> Values<'_, F> {
        self.best.as_ref().map_or_else(|| self.current(), Snapshot::values)
    }

    /// Forgets how epochs were judged: by another quantity, or another way, than from now on.
    pub fn forget_judgements(&mut self) {
        self.counts.judged = Judged::default();
        self.counts.plateau = PlateauState { share: self.counts.plateau.share, ..PlateauState::default() };
        self.best = None;
    }

    /// Forgets the average; the next begins with the parameters as they are then.
    pub fn forget_average(&mut self) {
        self.average = None;
        self.counts.averaged = 0;
    }

    /// Checks that the state is one of a run of so many parameters and buffers with `optimizer`.
    ///
    /// # Errors
    /// [`Error::State`] if not.
    pub fn check(
        &self,
        parameters: usize,
        buffers: usize,
        optimizer: &dyn Optimizer<F>,
    ) -> Result<(), Error> {
        let fits = |theta: &[F], own: &[F]| theta.len() == parameters && own.len() == buffers;
        let snapshots = [&self.average, &self.best].into_iter().flatten();
        let whole = fits(&self.theta, &self.buffers)
            && snapshots.into_iter().all(|snapshot| fits(&snapshot.theta, &snapshot.buffers))
            && self.memory.slots.len() == optimizer.slots().len()
            && self.memory.slots.iter().all(|slot| slot.len() == parameters)
            && self.memory.numbers.len() == optimizer.numbers().len();
        if whole && self.counts.are_possible() { Ok(()) } else { Err(Error::State) }
    }
}

impl<F: Float> Snapshot<F> {
    /// A copy.
    pub fn of(values: Values<'_, F>) -> Self {
        Self { theta: values.theta.to_vec(), buffers: values.buffers.to_vec() }
    }

    /// The values, to be read.
    pub fn values(&self) -> Values<'_, F> {
        Values { theta: &self.theta, buffers: &self.buffers }
    }

    /// Copies into memory that is there already.
    pub(crate) fn copy_from(&mut self, values: Values<'_, F>) {
        self.theta.copy_from_slice(values.theta);
        self.buffers.copy_from_slice(values.buffers);
    }
}
