//! Metrics over a whole data set, its parts in parallel.

use chainrule_core::{Ctx, Executor, Float, Inline, Layer, Rows, Targets, Workspace};
use rayon::prelude::*;

use super::classes::Counts;
use super::numbers::Sums;
use super::{Metric, Score, Task};
use crate::evaluate::ROWS;
use crate::{Dataset, Error, TargetData, Values};

/// What is measured, of which network.
#[derive(Clone, Copy, Debug)]
pub struct Scoring<'a, F> {
    /// The network as it predicts. The one that is trained may lack its last activation, which its loss has.
    pub network: &'a dyn Layer<F>,
    /// What its outputs say.
    pub task: Task,
    /// What is asked.
    pub metrics: &'a [Metric],
}

/// Measures a network over data sets, with memory of its own for each thread.
#[derive(Debug)]
pub struct Scorer<'a, F> {
    scoring: Scoring<'a, F>,
    lanes: Vec<Lane<F>>,
}

/// One thread's memory and what it found: part `i` of the set is taken by lane `i % lanes`.
#[derive(Debug)]
struct Lane<F> {
    workspace: Workspace<F>,
    counts: Counts,
    /// One a part, as they are added in the order of the samples.
    sums: Vec<Sums>,
}

impl<'a, F: Float> Scorer<'a, F> {
    /// A scorer for data sets of up to `samples` samples on up to `threads` threads.
    ///
    /// # Errors
    /// [`Error::Core`] if the memory cannot be had; [`Error::Metric`] if a metric does not fit the task.
    pub fn new(scoring: Scoring<'a, F>, samples: usize, threads: usize) -> Result<Self, Error> {
        if let Some(metric) = scoring.metrics.iter().find(|metric| !metric.fits(scoring.task)) {
            return Err(Error::Metric { metric: metric.name() });
        }
        let lanes = (0..threads.min(samples.div_ceil(ROWS)).max(1)).map(|_| {
            let workspace = Workspace::new(scoring.network, ROWS.min(samples))?;
            Ok(Lane { workspace, counts: scoring.no_counts(), sums: Vec::new() })
        });
        Ok(Self { scoring, lanes: lanes.collect::<Result<_, Error>>()? })
    }

    /// Every metric over all samples, in the order in which they are asked for. Runs on the rayon pool that it is called
    /// in, unless one thread does.
    ///
    /// # Panics
    /// If the data do not have the shape that the network takes, or classes that it does not have: see
    /// [`Dataset::check`].
    pub fn scores(&mut self, values: Values<'_, F>, data: &Dataset<F>) -> Vec<(Metric, Score)> {
        let scoring = self.scoring;
        let count = self.lanes.len();
        let parts = data.len().div_ceil(ROWS);
        let run = |(first, lane): (usize, &mut Lane<F>)| {
            lane.counts = scoring.no_counts();
            lane.sums.clear();
            for part in (first..parts).step_by(count) {
                let (inputs, targets) = data.batch(part * ROWS..((part + 1) * ROWS).min(data.len()));
                lane.measure(&scoring, values, inputs, targets);
            }
        };
        if count == 1 {
            run((0, &mut self.lanes[0]));
        } else {
            self.lanes.par_iter_mut().enumerate().for_each(run);
        }
        let mut counts = scoring.no_counts();
        self.lanes.iter().for_each(|lane| counts.append(&lane.counts));
        let mut sums = Sums::new(data.targets().per_sample());
        if scoring.wants_sums() {
            (0..parts).for_each(|part| sums.append(&self.lanes[part % count].sums[part / count]));
        }
        let score = |&metric: &Metric| {
            let score = match data.targets() {
                TargetData::Values { data, width } if !metric.counts() => {
                    sums.score(metric, Rows::new(data, *width))
                }
                _ => counts.score(metric),
            };
            Some((metric, score?))
        };
        scoring.metrics.iter().filter_map(score).collect()
    }
}

impl<F: Float> Scoring<'_, F> {
    fn classes(&self) -> usize {
        match self.task {
            Task::Classes => self.network.output_shape().last(),
            Task::Binary { .. } => 2,
            Task::Numbers => 0,
        }
    }

    fn no_counts(&self) -> Counts {
        Counts::new(self.classes(), self.metrics.contains(&Metric::ConfusionMatrix))
    }

    fn wants_sums(&self) -> bool {
        self.metrics.iter().any(|metric| !metric.counts())
    }
}

impl<F: Float> Lane<F> {
    /// Measures one batch.
    fn measure(
        &mut self,
        scoring: &Scoring<'_, F>,
        values: Values<'_, F>,
        inputs: Rows<'_, F>,
        targets: Targets<'_, F>,
    ) {
        // The parts are the parallelism; inside one, layers run on this thread.
        let executor: &dyn Executor<F> = &Inline;
        let ctx = &mut Ctx::evaluate(executor, values.buffers);
        let y = self.workspace.outputs(scoring.network, values.theta, &[inputs], ctx);
        match (scoring.task, targets) {
            (Task::Classes, Targets::Classes(classes)) => {
                let scores = y.with_width(scoring.classes());
                for (scores, &class) in scores.iter().zip(classes) {
                    self.counts.add(class as usize, highest(scores));
                }
            }
            (Task::Binary { threshold }, Targets::Values(targets)) => {
                let yes = |value: &F| usize::from(value.as_f64() >= threshold);
                for (y, t) in y.data().iter().zip(targets.data()) {
                    self.counts.add(yes(t), yes(y));
                }
            }
            _ => {}
        }
        if let (true, Targets::Values(targets)) = (scoring.wants_sums(), targets) {
            let mut sums = Sums::new(targets.width());
            sums.add(y, targets);
            self.sums.push(sums);
        }
    }
}

/// The position of the highest score, the first of equal ones.
fn highest<F: Float>(scores: &[F]) -> usize {
    let higher = |best: usize, index: usize| if scores[index] > scores[best] { index } else { best };
    (0..scores.len()).fold(0, higher)
}
