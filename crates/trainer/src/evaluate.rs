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
}

/// One thread's memory, and the losses of the parts that it has taken: part `i` of the set is taken by lane
/// `i % lanes`.
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
        let lanes = (0..threads.min(parts).max(1)).map(|_| {
            let workspace = Workspace::new(objective.network(), ROWS.min(samples))?;
            Ok(Lane { workspace, totals: Vec::with_capacity(parts) })
        });
        Ok(Self { lanes: lanes.collect::<Result<_, Error>>()? })
    }

    /// The sum of the losses of all samples and its number of terms. Losses of parts are added in the order of the
    /// samples, whichever thread computed them. Runs on the rayon pool that it is called in, unless one thread does.
    pub fn total(&mut self, objective: &Objective<F>, values: Values<'_, F>, data: &Dataset<F>) -> Total {
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
                lane.totals.push(objective.value(theta, &[inputs], targets, &mut lane.workspace, ctx));
            }
        };
        if count == 1 {
            run((0, &mut self.lanes[0]));
        } else {
            self.lanes.par_iter_mut().enumerate().for_each(run);
        }
        let mut total = Total::default();
        for part in 0..parts {
            total += self.lanes[part % count].totals[part / count];
        }
        total
    }
}
