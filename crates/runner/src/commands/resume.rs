//! `runner resume`: a run that was interrupted, from its newest checkpoint on.

use chainrule_trainer::State;

use super::of_run;
use crate::checkpoint::{
    Candidate, Fingerprint, Stored, candidates, changed, data_digest, decode, fingerprint,
};
use crate::cli::ResumeArgs;
use crate::console::Console;
use crate::diagnostic::visible;
use crate::error::Failure;
use crate::experiment::Experiment;
use crate::memory;
use crate::registry::{Number, Registry};
use crate::run_dir::{CONFIG, MODEL, MetricsFile, RESULT, RunDir};
use crate::session::Session;
use crate::signals::Interrupt;
use crate::spec::Dtype;
use crate::storage::{self, Disk, read_bounded};
use crate::training::Training;

/// Goes on with a run. What comes out is what would have come out without the interruption.
///
/// # Errors
/// [`Failure::Run`] if the directory is not a run, none of its checkpoints is whole, or experiment and data are not those
/// that they belong to; else as `train`.
pub fn run(arguments: &ResumeArgs, registry: &Registry, console: Console) -> Result<(), Failure> {
    let run = RunDir::open(&arguments.run)?;
    let config = run.file(CONFIG);
    let loaded = Experiment::load(&config, &arguments.overrides, registry);
    let experiment = match arguments.overrides.is_empty() {
        true => loaded.map_err(|failure| of_run(failure, &config)),
        false => loaded,
    }?;
    match experiment.dtype {
        Dtype::F32 => resume::<f32>(&experiment, &run, arguments, registry, console),
        Dtype::F64 => resume::<f64>(&experiment, &run, arguments, registry, console),
    }
}

fn resume<F: Number>(
    experiment: &Experiment,
    run: &RunDir,
    arguments: &ResumeArgs,
    registry: &Registry,
    console: Console,
) -> Result<(), Failure> {
    let metrics = run.metrics()?;
    let (Stored { state, mut belongs, metrics_bytes }, last) = newest::<F>(run, &metrics, console)?;
    let now = fingerprint(&experiment.resolved);
    let has_changed = check_changes(run, &belongs.experiment, &now, &arguments.allow)?;
    belongs.experiment = now;
    let session = Session::<F>::new(experiment, registry, Some(belongs.preprocessing.clone()))?;
    if data_digest(session.parts()) != belongs.data {
        let message = "the data are not those that this run was started with".to_owned();
        return Err(Failure::Run { path: run.path().to_owned(), message });
    }
    if is_done(run, &state, experiment) && !has_changed {
        console.note(&format!("{} has finished already", run.path().display()));
        return Ok(());
    }
    storage::remove_unfinished(run.path());
    metrics.cut(metrics_bytes)?;
    let interrupt = Interrupt::listen().map_err(Failure::io("listen to", "signals"))?;
    let training = Training {
        experiment,
        registry,
        session: &session,
        run,
        belongs: &belongs,
        system: &Disk,
        arguments: &arguments.training,
        interrupt: &interrupt,
        console,
    };
    let mut last = last;
    if has_changed {
        // The state first: if only one of the two is written, the keys have to be allowed once more.
        training.saver(metrics.again()?, last).store(&state)?;
        last = Some(state.counts.steps);
        storage::write_atomically(&Disk, &run.file(CONFIG), experiment.resolved_toml().as_bytes())?;
    }
    training.go_on(state, metrics, last)
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
                let text = format!("warning: {} is passed over: {reason}", path.display());
                console.note(&visible(&text));
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
