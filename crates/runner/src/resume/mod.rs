//! Going on with a run: which checkpoint, and whether experiment and data are still those that it belongs to.

mod changes;

use chainrule_trainer::State;

use crate::checkpoint::{Belongs, Candidate, Sealed, candidates, changed, fingerprint};
use crate::document;
use crate::error::Failure;
use crate::experiment::Experiment;
use crate::memory;
use crate::registry::Number;
use crate::run_dir::{CONFIG, MODEL, MetricsFile, RESULT, RunDir};
use crate::session::Session;
use crate::storage::{self, again, folder_of, read_bounded};
use crate::training::{Context, Reached, Training};
use changes::Changes;

/// What came of it.
#[derive(Debug)]
pub(crate) enum Resumed {
    /// There was nothing left to do.
    Done,
    /// It was trained.
    Reached(Reached),
}

/// Where a run goes on.
#[derive(Debug)]
struct Start<F> {
    state: State<F>,
    belongs: Belongs,
    /// The names of what its optimiser remembers.
    slots: Vec<String>,
    /// The length of the log at that moment.
    metrics_bytes: u64,
    /// The step of the checkpoint called `last`, if it is whole.
    last: Option<u64>,
    changes: Changes,
}

/// Goes on with a run of `experiment`, of which only the keys that are allowed may have changed. Nothing is written
/// before it is certain that training can go on.
pub(crate) fn resume<F: Number>(
    context: Context<'_>,
    experiment: &Experiment,
    run: &RunDir,
    allow: &[String],
) -> Result<Resumed, Failure> {
    let metrics = run.metrics(context.system)?;
    let mut start = newest::<F>(context, experiment, run, (&metrics, allow))?;
    let is_adopted = start.changes.is_empty() && is_config(run, experiment);
    if is_adopted && is_done(run, &start.state, experiment) {
        return Ok(Resumed::Done);
    }
    // Fitted anew, so that no key of [data] can change without being noticed.
    let session = Session::<F>::new(experiment, context.registry, None)?;
    check(run, &session, &start)?;
    start.changes.adopt(&mut start.state);
    start.belongs.experiment = fingerprint(&experiment.resolved);
    let training = Training { context, experiment, session: &session, run, belongs: &start.belongs };
    training.check(&start.state)?;
    storage::remove_unfinished(run.path());
    metrics.cut(start.metrics_bytes)?;
    if !is_adopted {
        start.last = Some(adopt(&training, &start, &metrics)?);
    }
    training.go_on(start.state, metrics, start.last).map(Resumed::Reached)
}

/// Makes the changed experiment that of the run; the step of the checkpoint that is `last` then.
fn adopt<F: Number>(
    training: &Training<'_, F>,
    start: &Start<F>,
    metrics: &MetricsFile<'_>,
) -> Result<u64, Failure> {
    let (run, system) = (training.run, training.context.system);
    // What was finished is not any more, even if this process is killed now.
    let result = run.file(RESULT);
    if result.exists() {
        again(|| system.remove(&result)).map_err(Failure::io("remove", &result))?;
        again(|| system.sync_folder(folder_of(&result))).map_err(Failure::io("remove", &result))?;
    }
    let mut saver = training.saver(metrics.again()?, start.last);
    // The state before the keys: if only one of the two is written, the same command writes the other.
    saver.store(&start.state)?;
    saver.drop_best(start.changes.judge_otherwise(), &start.state)?;
    let config = training.experiment.resolved_toml();
    storage::write_atomically(system, &run.file(CONFIG), config.as_bytes())?;
    Ok(start.state.counts.steps)
}

/// Whether the experiment is that in the file of the run. A process that was killed may have stored a state under new keys, and
/// not the keys.
fn is_config(run: &RunDir, experiment: &Experiment) -> bool {
    let there = document::load(&run.file(CONFIG), &[]);
    there.is_ok_and(|there| changed(&fingerprint(&there.root), &fingerprint(&experiment.resolved)).is_empty())
}

/// The newest checkpoint that is whole. Others are named and passed over.
fn newest<F: Number>(
    context: Context<'_>,
    experiment: &Experiment,
    run: &RunDir,
    (metrics, allow): (&MetricsFile<'_>, &[String]),
) -> Result<Start<F>, Failure> {
    let (logged, now) = (metrics.length()?, fingerprint(&experiment.resolved));
    for Candidate { path, is_last } in candidates(run.path()) {
        let pass_over = |reason: &str| context.warn(&format!("{} is passed over: {reason}", path.display()));
        let bytes = match read_bounded(&path, memory::available()) {
            Ok(bytes) => bytes,
            Err(error) => {
                pass_over(&error.to_string());
                continue;
            }
        };
        let sealed = match Sealed::open(&bytes) {
            Ok(sealed) if sealed.metrics_bytes() <= logged => sealed,
            Ok(_) => {
                pass_over("metrics.jsonl does not reach as far as it");
                continue;
            }
            Err(error) => {
                pass_over(&error.to_string());
                continue;
            }
        };
        // Before the vectors are read: of another precision they could not be.
        let changes = Changes::find(run, &sealed.belongs().experiment, &now, allow)?;
        match sealed.state::<F>() {
            Ok(state) => {
                return Ok(Start {
                    // An older one stays where it is, and the next takes the place of a `last` that is damaged.
                    last: is_last.then_some(state.counts.steps),
                    state,
                    belongs: sealed.belongs().clone(),
                    slots: sealed.slots().to_vec(),
                    metrics_bytes: sealed.metrics_bytes(),
                    changes,
                });
            }
            Err(error) => pass_over(&error.to_string()),
        }
    }
    Err(mistake(run, "none of its checkpoints is whole; the run has to be started anew"))
}

/// Checks that the data, and what the optimiser remembers, are those of the checkpoint.
fn check<F: Number>(run: &RunDir, session: &Session<F>, start: &Start<F>) -> Result<(), Failure> {
    let belongs = &start.belongs;
    if session.preprocessing != belongs.preprocessing || session.data_digest() != belongs.data {
        let message = "the data are not those that this run was started with\n  = help: of [data] only where the same samples are found may change; start another run with --out";
        return Err(mistake(run, message));
    }
    let slots = session.optimizer.slots();
    if start.slots != slots {
        let message = format!(
            "its checkpoint holds the memory of another optimizer ({}; this one has {})\n  = help: keep `optimizer.type`, or start another run with --out",
            listed(&start.slots),
            listed(slots)
        );
        return Err(mistake(run, &message));
    }
    Ok(())
}

fn listed(names: &[impl AsRef<str>]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Whether there is nothing left to do.
fn is_done<F>(run: &RunDir, state: &State<F>, experiment: &Experiment) -> bool {
    let is_over = state.counts.stopped || state.counts.epochs >= experiment.train.epochs;
    is_over && run.file(MODEL).is_file() && run.file(RESULT).is_file()
}

fn mistake(run: &RunDir, message: &str) -> Failure {
    Failure::Run { path: run.path().to_owned(), message: message.to_owned() }
}
