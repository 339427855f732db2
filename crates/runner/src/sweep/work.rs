//! Training the trials of a sweep side by side.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde_json::Value as Json;

use super::rank::{Status, Tried};
use super::{Score, Trial};
use crate::cli::TrainingArgs;
use crate::console::{Console, Verbosity};
use crate::error::Failure;
use crate::experiment::{Experiment, Schemas};
use crate::progress::{Style, short};
use crate::registry::{Number, Registry};
use crate::resume::{Resumed, resume};
use crate::run_dir::{CONFIG, Existing, MODEL, RESULT, RunDir};
use crate::session::Session;
use crate::signals::Interrupt;
use crate::spec::{Dtype, HalvingSpec};
use crate::storage::Disk;
use crate::training::{Context, Reached, start};

/// What all trials have in common.
pub(crate) struct Sweeper<'a> {
    pub(crate) experiment: &'a Path,
    /// `--set` of the whole sweep.
    pub(crate) overrides: &'a [String],
    pub(crate) name: &'a str,
    pub(crate) registry: &'a Registry,
    /// Made once for all trials.
    pub(crate) schemas: &'a Schemas,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) console: Console,
    /// The directory of the runs.
    pub(crate) out: &'a Path,
    pub(crate) threads: usize,
    /// Digits of a trial's number.
    pub(crate) digits: usize,
    pub(crate) score: Score,
}

impl Sweeper<'_> {
    /// The experiment of a trial.
    pub(crate) fn experiment(&self, trial: &Trial) -> Result<Experiment, Failure> {
        let name = format!("name={}", toml::Value::String(format!("{}-{}", self.name, self.number(trial))));
        let overrides = [self.overrides, &trial.sets, &[name]].concat();
        Experiment::load_without_sweep(self.experiment, &overrides, self.schemas, self.registry)
    }

    fn number(&self, trial: &Trial) -> String {
        format!("{:0digits$}", trial.index, digits = self.digits)
    }

    /// The run directory of a trial.
    fn path(&self, trial: &Trial) -> PathBuf {
        self.out.join(self.number(trial))
    }

    /// What is there of a trial, if it has finished.
    fn finished(&self, trial: &Trial, experiment: &Experiment) -> Result<Option<Tried>, Failure> {
        let path = self.path(trial);
        if !path.join(RESULT).is_file() || !path.join(MODEL).is_file() {
            return Ok(None);
        }
        let failed = |message: String| Failure::Run { path: path.clone(), message };
        let read =
            |name: &str| fs::read_to_string(path.join(name)).map_err(|error| failed(error.to_string()));
        if read(CONFIG)? != experiment.resolved_toml() {
            let message = "this run is of another experiment than this trial; choose another --out";
            return Err(failed(message.into()));
        }
        let result: Json = serde_json::from_str(&read(RESULT)?).map_err(|error| failed(error.to_string()))?;
        let epochs = result["epochs"].as_u64().unwrap_or_default();
        Ok(Some(self.tried(trial, self.score.read(&result["metrics"]), epochs, Status::Done)))
    }

    fn tried(&self, trial: &Trial, score: Option<f64>, epochs: u64, status: Status) -> Tried {
        Tried { trial: trial.clone(), score, epochs, status, run: self.path(trial).display().to_string() }
    }

    /// Trains a trial, up to the end of epoch `pause_after` if there is one.
    fn train(&self, trial: &Trial, threads: usize, pause_after: Option<u64>) -> Result<Tried, Failure> {
        let experiment = self.experiment(trial)?;
        if let Some(tried) = self.finished(trial, &experiment)? {
            return Ok(tried);
        }
        let threads = u16::try_from(threads).unwrap_or(u16::MAX);
        let arguments = TrainingArgs { threads: Some(threads), progress: Style::None };
        let context = Context {
            registry: self.registry,
            arguments: &arguments,
            interrupt: self.interrupt,
            console: Console::new(Verbosity::Quiet),
            system: &Disk,
            pause_after,
        };
        let path = self.path(trial);
        let reached = match experiment.dtype {
            Dtype::F32 => go::<f32>(context, &experiment, &path),
            Dtype::F64 => go::<f64>(context, &experiment, &path),
        };
        let tried = match reached {
            Ok(Some(reached)) => {
                let status = if path.join(RESULT).is_file() { Status::Done } else { Status::Waiting };
                self.tried(trial, self.score.read(&reached.metrics), reached.epochs, status)
            }
            // It finished in the moment since we looked.
            Ok(None) => {
                self.finished(trial, &experiment)?.unwrap_or_else(|| self.tried(trial, None, 0, Status::Done))
            }
            Err(Failure::Diverged { .. }) => self.tried(trial, None, 0, Status::Diverged),
            Err(failure) => return Err(failure),
        };
        let score = tried.score.map_or_else(|| tried.status.name().to_owned(), short);
        let sets = trial.sets.join(", ");
        self.console.note(&format!(
            "trial {}: {} {score} after epoch {}  ({sets})",
            self.number(trial),
            self.score.name(),
            tried.epochs
        ));
        Ok(tried)
    }
}

/// Starts the run of a trial, or goes on with it.
fn go<F: Number>(
    context: Context<'_>,
    experiment: &Experiment,
    path: &Path,
) -> Result<Option<Reached>, Failure> {
    if path.join(CONFIG).is_file() {
        return match resume::<F>(context, experiment, &RunDir::open(path)?, &[])? {
            Resumed::Done => Ok(None),
            Resumed::Reached(reached) => Ok(Some(reached)),
        };
    }
    let session = Session::<F>::new(experiment, context.registry, None)?;
    start(context, experiment, &session, (path, Existing::Keep)).map(Some)
}

/// Trains these trials, as many side by side as there are threads, each on its share of them; in the order of the trials
/// what became of them.
pub(crate) fn train_all(
    sweeper: &Sweeper<'_>,
    trials: &[Trial],
    pause_after: Option<u64>,
) -> Result<Vec<Tried>, Failure> {
    let workers = sweeper.threads.min(trials.len()).max(1);
    let threads = (sweeper.threads / workers).max(1);
    let waiting: Mutex<VecDeque<&Trial>> = Mutex::new(trials.iter().collect());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || {
        let mut done = Vec::new();
        while let Some(trial) = next() {
            match sweeper.train(trial, threads, pause_after) {
                Ok(tried) => done.push(tried),
                Err(failure) => {
                    // Nobody takes another.
                    waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    return Err(failure);
                }
            }
        }
        Ok(done)
    };
    let results = thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let join = |handle: thread::ScopedJoinHandle<'_, Result<Vec<Tried>, Failure>>| {
            handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        handles.into_iter().map(join).collect::<Vec<_>>()
    });
    let mut tried: Vec<Tried> = results.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    tried.sort_by_key(|tried| tried.trial.index);
    Ok(tried)
}

/// Successive halving (Jamieson & Talwalkar, 2016): all trials for a few epochs, then the best of every `factor` for
/// `factor` times as many, until all epochs are trained. A trial that waits has not been changed by it: its schedule and
/// its order are those of the whole run.
pub(crate) fn halve(
    sweeper: &Sweeper<'_>,
    spec: &HalvingSpec,
    trials: &[Trial],
    epochs: u64,
) -> Result<Vec<Tried>, Failure> {
    let mut dropped = Vec::new();
    let mut left = trials.to_vec();
    let mut until = spec.min_epochs;
    loop {
        let last = until >= epochs || left.len() == 1;
        let pause_after = (!last).then_some(until);
        let mut tried = train_all(sweeper, &left, pause_after)?;
        if last {
            dropped.append(&mut tried);
            return Ok(dropped);
        }
        tried.sort_by(|a, b| sweeper.score.compare(a.score, b.score).then(a.trial.index.cmp(&b.trial.index)));
        let factor = usize::try_from(spec.factor).unwrap_or(usize::MAX);
        let keep = tried.len().div_ceil(factor);
        dropped.extend(tried.split_off(keep));
        left = tried.into_iter().map(|tried| tried.trial).collect();
        left.sort_by_key(|trial| trial.index);
        until = until.saturating_mul(spec.factor);
    }
}
