//! Metrics over a whole data set, its parts in parallel.

use chainrule_core::{Ctx, Executor, Float, Inline, Layer, Rows, Shape, TargetData, Targets, Workspace};
use rayon::prelude::*;

use super::classes::Counts;
use super::numbers::Sums;
use super::{Metric, Score, Task};
use crate::evaluate::ROWS;
use crate::{Dataset, Error, Values};

/// An output of a network, as it is measured.
#[derive(Clone, Debug)]
pub struct ScoredOutput {
    /// The layer that gives it; nothing, if it is the only one.
    pub name: String,
    /// The shape of one sample of it.
    pub shape: Shape,
    /// What it says.
    pub task: Task,
}

/// What is measured, of which network.
#[derive(Clone, Copy, Debug)]
pub struct Scoring<'a, F> {
    /// The network as it predicts. The one that is trained may lack its last activation, which its loss has.
    pub network: &'a dyn Layer<F>,
    /// Its outputs: one, or the blocks of several as a [`Bundle`](chainrule_core::layers::Bundle) writes them.
    pub outputs: &'a [ScoredOutput],
    /// What is asked, of every output that it fits.
    pub metrics: &'a [Metric],
}

/// A metric of an output with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Which metric.
    pub metric: Metric,
    /// Which output, by its name; nothing, if it is the only one.
    pub output: String,
    /// Its value.
    pub score: Score,
}

impl Scored {
    /// The key in files: `accuracy`, or `accuracy_OUTPUT` of one of several.
    pub fn key(&self) -> String {
        match self.output.as_str() {
            "" => self.metric.name().to_owned(),
            output => format!("{}_{output}", self.metric.name()),
        }
    }
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
    /// Of each output.
    found: Vec<Found>,
}

/// What a thread found of an output.
#[derive(Debug)]
struct Found {
    counts: Counts,
    /// One a part, as they are added in the order of the samples.
    sums: Vec<Sums>,
}

impl<'a, F: Float> Scorer<'a, F> {
    /// A scorer for data sets of up to `samples` samples on up to `threads` threads.
    ///
    /// # Errors
    /// [`Error::Core`] if the memory cannot be had; [`Error::Metric`] if a metric fits no output.
    pub fn new(scoring: Scoring<'a, F>, samples: usize, threads: usize) -> Result<Self, Error> {
        if let Some(metric) = scoring.metrics.iter().find(|&&metric| !scoring.fits(metric)) {
            return Err(Error::Metric { metric: metric.name() });
        }
        let lanes = (0..threads.min(samples.div_ceil(ROWS)).max(1)).map(|_| {
            let workspace = Workspace::new(scoring.network, ROWS.min(samples))?;
            Ok(Lane { workspace, found: scoring.nothing_found() })
        });
        Ok(Self { scoring, lanes: lanes.collect::<Result<_, Error>>()? })
    }

    /// Every metric over all samples, of each output that it fits, in the order in which they are asked for. Runs on the
    /// rayon pool that it is called in, unless one thread does.
    ///
    /// # Panics
    /// If the data do not have the shape that the network takes, or classes that it does not have: see
    /// [`Dataset::check`].
    pub fn scores(&mut self, values: Values<'_, F>, data: &Dataset<F>) -> Vec<Scored> {
        let scoring = self.scoring;
        let count = self.lanes.len();
        let parts = data.len().div_ceil(ROWS);
        let run = |(first, lane): (usize, &mut Lane<F>)| {
            lane.found = scoring.nothing_found();
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
        let mut scores = Vec::new();
        for (index, (output, targets)) in scoring.outputs.iter().zip(data.targets()).enumerate() {
            let mut counts = scoring.no_counts(output);
            self.lanes.iter().for_each(|lane| counts.append(&lane.found[index].counts));
            let mut sums = Sums::new(targets.per_sample());
            if scoring.wants_sums() && matches!(targets, TargetData::Values { .. }) {
                (0..parts)
                    .for_each(|part| sums.append(&self.lanes[part % count].found[index].sums[part / count]));
            }
            for &metric in scoring.metrics.iter().filter(|metric| metric.fits(output.task)) {
                let score = match targets {
                    TargetData::Values { data, width } if !metric.counts() => {
                        sums.score(metric, Rows::new(data, *width))
                    }
                    _ => counts.score(metric),
                };
                let scored = |score| Scored { metric, output: output.name.clone(), score };
                scores.extend(score.map(scored));
            }
        }
        scores
    }
}

impl ScoredOutput {
    fn classes(&self) -> usize {
        match self.task {
            Task::Classes => self.shape.last(),
            Task::Binary { .. } => 2,
            Task::Numbers => 0,
        }
    }
}

impl<F: Float> Scoring<'_, F> {
    /// Whether a metric can be had of an output.
    pub fn fits(&self, metric: Metric) -> bool {
        self.outputs.iter().any(|output| metric.fits(output.task))
    }

    fn no_counts(&self, output: &ScoredOutput) -> Counts {
        Counts::new(output.classes(), self.metrics.contains(&Metric::ConfusionMatrix))
    }

    fn nothing_found(&self) -> Vec<Found> {
        let found = |output| Found { counts: self.no_counts(output), sums: Vec::new() };
        self.outputs.iter().map(found).collect()
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
        let mut rest = y.data();
        for (index, (output, found)) in scoring.outputs.iter().zip(&mut self.found).enumerate() {
            let (own, after) = rest.split_at(output.shape.len() * y.len());
            rest = after;
            found.measure(
                output,
                Rows::new(own, output.shape.len()),
                targets.output(index),
                scoring.wants_sums(),
            );
        }
    }
}

impl Found {
    /// Measures one output of one batch.
    fn measure<F: Float>(
        &mut self,
        output: &ScoredOutput,
        y: Rows<'_, F>,
        targets: Targets<'_, F>,
        wants_sums: bool,
    ) {
        match (output.task, targets) {
            (Task::Classes, Targets::Classes(classes)) => {
                let scores = y.with_width(output.classes());
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
        if let (true, Targets::Values(targets)) = (wants_sums, targets) {
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
