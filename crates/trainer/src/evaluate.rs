//! The loss over a whole data set, its parts in parallel.

use chainrule_core::{Ctx, Executor, Float, Inline, Objective, Total, Workspace};
use rayon::prelude::*;

use crate::{Dataset, Error};

/// Rows of one part of a data set. Parts, and so the bits of the sum, do not depend on the number of threads.
pub(crate) const ROWS: usize = 256;

/// The numbers of a network, to be read: what it has learnt and what it has measured.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a, F> {
    /// The parameters.
    pub theta: &'a [F],
    /// The buffers: running statistics.
    pub buffers: &'a [F],
}

/// Evaluates an objective over data sets, with memory of its own for each thread.
#[derive(Debug)]
pub struct Evaluator<F> {
    lanes: Vec<Lane<F>>,
    /// Of each output, over the set that was last evaluated.
    whole: Vec<Total>,
}

/// One thread's memory, and the losses of the parts that it has taken, output by output: part `i` of the set is taken
/// by lane `i % lanes`.
#[derive(Debug)]
struct Lane<F> {
    workspace: Workspace<F>,
    totals: Vec<Total>,
}

impl<F: Float> Evaluator<F> {
    /// An evaluator for data sets of up to `samples` samples on up to `threads` threads.
    ///
    /// # Errors
    /// [`Error::Core`] if the memory cannot be had.
    pub fn new(objective: &Objective<F>, samples: usize, threads: usize) -> Result<Self, Error> {
        let parts = samples.div_ceil(ROWS);
        let outputs = objective.loss().outputs().len();
        let lanes = (0..threads.min(parts).max(1)).map(|_| {
            let workspace = Workspace::new(objective.network(), ROWS.min(samples))?;
            Ok(Lane { workspace, totals: Vec::with_capacity(parts * outputs) })
        });
        let lanes = lanes.collect::<Result<_, Error>>()?;
        Ok(Self { lanes, whole: vec![Total::NONE; outputs] })
    }

    /// For each output the sum of the losses of all samples and its number of terms, before they are weighted:
    /// [`Weighted::of`](chainrule_core::loss::Weighted::of) is the loss. Losses of parts are added in the order of the
    /// samples, whichever thread computed them. Runs on the rayon pool that it is called in, unless one thread does.
    pub fn totals(&mut self, objective: &Objective<F>, values: Values<'_, F>, data: &Dataset<F>) -> &[Total] {
        let Values { theta, buffers } = values;
        let count = self.lanes.len();
        let parts = data.len().div_ceil(ROWS);
        let run = |(first, lane): (usize, &mut Lane<F>)| {
            lane.totals.clear();
            for part in (first..parts).step_by(count) {
                let (inputs, targets) = data.batch(part * ROWS..((part + 1) * ROWS).min(data.len()));
                // The parts are the parallelism; inside one, layers run on this thread.
                let executor: &dyn Executor<F> = &Inline;
                let ctx = &mut Ctx::evaluate(executor, buffers);
                objective.value(theta, &[inputs], targets, &mut lane.workspace, ctx);
                lane.totals.extend_from_slice(lane.workspace.totals());
            }
        };
        if count == 1 {
            run((0, &mut self.lanes[0]));
        } else {
            self.lanes.par_iter_mut().enumerate().for_each(run);
        }
        let outputs = self.whole.len();
        self.whole.fill(Total::NONE);
        for part in 0..parts {
            let totals = self.lanes[part % count].totals.chunks_exact(outputs).nth(part / count);
            for (whole, &total) in self.whole.iter_mut().zip(totals.into_iter().flatten()) {
                *whole += total;
            }
        }
        &self.whole
    }
}
