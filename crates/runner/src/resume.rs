//! Going on with a run: which checkpoint, and whether experiment and data are still those that it belongs to.

use chainrule_trainer::State;

use crate::checkpoint::{Candidate, Fingerprint, Stored, candidates, changed, decode, fingerprint};
use crate::console::Console;
use crate::error::Failure;
use crate::experiment::Experiment;
use crate::memory;
use crate::registry::Number;
use crate::run_dir::{CONFIG, MODEL, MetricsFile, RESULT, RunDir};
use crate::session::Session;
use crate::storage::{self, read_bounded};
use crate::training::{Context, Reached, Training};

/// What came of it.
#[derive(Debug)]
pub(crate) enum Resumed {
    /// There was nothing left to do.
    Done,
    /// It was trained.
    Reached(Reached),
}

/// Goes on with a run of `experiment`, of which only the keys that are allowed may have changed.
pub(crate) fn resume<F: Number>(
    context: Context<'_>,
    experiment: &Experiment,
    run: &RunDir,
    allow: &[String],
) -> Result<Resumed, Failure> {
    let metrics = run.metrics()?;
    let (Stored { state, mut belongs, metrics_bytes }, mut last) =
        newest::<F>(run, &metrics, context.console)?;
    let now = fingerprint(&experiment.resolved);
    let has_changed = check_changes(run, &belongs.experiment, &now, allow)?;
    belongs.experiment = now;
    let stored = Some(belongs.preprocessing.clone());
    let session = Session::<F>::new(experiment, context.registry, stored)?;
    if session.data_digest() != belongs.data {
        let message = "the data are not those that this run was started with".to_owned();
        return Err(Failure::Run { path: run.path().to_owned(), message });
    }
    if is_done(run, &state, experiment) && !has_changed {
        return Ok(Resumed::Done);
    }
    storage::remove_unfinished(run.path());
    metrics.cut(metrics_bytes)?;
    let training = Training { context, experiment, session: &session, run, belongs: &belongs };
    if has_changed {
        // The state first: if only one of the two is written, the keys have to be allowed once more.
        training.saver(metrics.again()?, last).store(&state)?;
        last = Some(state.counts.steps);
        storage::write_atomically(context.system, &run.file(CONFIG), experiment.resolved_toml().as_bytes())?;
    }
    training.go_on(state, metrics, last).map(Resumed::Reached)
}

/// The newest checkpoint that is whole, and the step of that called `last`. Others are named and passed over.
fn newest<F: Number>(
    run: &RunDir,
    metrics: &MetricsFile,
    console: Console,
) -> Result<(Stored<F>, Option<u64>), Failure> {
    let logged = metrics.length()?;
    for Candidate { path, step } in candidates(run.path()) {
        let read = || -> Result<Stored<F>, String> {
            let bytes = read_bounded(&path, memory::available()).map_err(|error| error.to_string())?;
            let stored = decode::<F>(&bytes).map_err(|error| error.to_string())?;
            match stored.metrics_bytes <= logged {
                true => Ok(stored),
                false => Err("metrics.jsonl does not reach as far as it".into()),
            }
        };
        match read() {
            Ok(stored) => {
                // An older one stays where it is, and the next takes the place of a `last` that is damaged.
                let last = step.is_none().then_some(stored.state.counts.steps);
                return Ok((stored, last));
            }
            Err(reason) => {
                console.note(&format!("warning: {} is passed over: {reason}", path.display()));
            }
        }
    }
    let message = "none of its checkpoints is whole; the run has to be started anew".to_owned();
    Err(Failure::Run { path: run.path().to_owned(), message })
}

/// Whether keys of the experiment have changed since the checkpoint; each must be allowed by name.
fn check_changes(
    run: &RunDir,
    before: &Fingerprint,
    now: &Fingerprint,
    allowed: &[String],
) -> Result<bool, Failure> {
    let changed = changed(before, now);
    let is_allowed = |path: &&String| {
        allowed
            .iter()
            .any(|key| path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    };
    let refused: Vec<&String> = changed.iter().filter(|path| !is_allowed(path)).collect();
    if refused.is_empty() {
        return Ok(!changed.is_empty());
    }
    let names: Vec<String> = refused.iter().map(|path| format!("`{path}`")).collect();
    let flags: Vec<String> = refused.iter().map(|path| format!("--allow {path}")).collect();
    let message = format!(
        "the experiment is not the one that this run was started with: {} changed\n  = help: undo it, or allow it by name: {}",
        names.join(", "),
        flags.join(" ")
    );
    Err(Failure::Run { path: run.file(CONFIG), message })
}

/// Whether there is nothing left to do.
fn is_done<F>(run: &RunDir, state: &State<F>, experiment: &Experiment) -> bool {
    let is_over = state.counts.stopped || state.counts.epochs >= experiment.train.epochs;
    is_over && run.file(MODEL).is_file() && run.file(RESULT).is_file()
}
