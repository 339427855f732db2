//! The samples of an experiment, which the trials of a sweep may share.

use std::sync::Arc;

use chainrule_trainer::metrics::Task;

use super::checks::prepare_mistake;
use crate::checkpoint::fingerprint;
use crate::data::{self, DataError, Plan, Prepared, Preprocessing, Raw};
use crate::error::Failure;
use crate::experiment::Experiment;
use crate::registry::{Number, Registry};

/// The raw samples of `[data]`.
pub(super) fn read_data<F: Number>(
    experiment: &Experiment,
    registry: &Registry,
    tasks: &[Task],
) -> Result<Arc<Raw>, Failure> {
    let (entry, keys) = experiment.variant(registry.data_types(), "data")?;
    let context = data::Context {
        task: if let [task] = tasks { *task } else { Task::Numbers },
        several: tasks.len() > 1,
        common: experiment.data,
        table: experiment.resolved.at(&["data"]).unwrap_or(&keys),
        seed: experiment.seed,
        bytes: F::BYTES,
    };
    let read = || match (entry.build)(&keys, &context) {
        Err(DataError::File(mistakes)) => Err(experiment.mistake(mistakes)),
        read => Ok(Arc::new(read?)),
    };
    match &experiment.shared {
        Some(shared) => shared.raw(&data_key::<F>(experiment, tasks), read),
        None => read(),
    }
}

/// The data sets that are made of them; with `stored` preprocessing they are of a run that is there, and shared with none.
pub(super) fn prepare<F: Number>(
    experiment: &Experiment,
    tasks: &[Task],
    raw: &Raw,
    plan: Plan<'_>,
    stored: Option<Preprocessing>,
) -> Result<Arc<Prepared<F>>, Failure> {
    let make = |stored| match Prepared::new(raw, plan, stored) {
        Ok(prepared) => Ok(Arc::new(prepared)),
        Err(error) => Err(prepare_mistake(experiment, &error)),
    };
    match (&experiment.shared, stored) {
        (Some(shared), None) => {
            shared.prepared(&format!("{} {plan:?}", data_key::<F>(experiment, tasks)), || make(None))
        }
        (_, stored) => make(stored),
    }
}

/// All that the raw samples depend on, as text.
fn data_key<F: Number>(experiment: &Experiment, tasks: &[Task]) -> String {
    let mut keys = fingerprint(&experiment.resolved);
    keys.retain(|key, _| key.starts_with("data."));
    format!("{keys:?} {tasks:?} {} {}", experiment.seed, F::NAME)
}
