//! Training the trials of a sweep side by side.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde_json::Value as Json;

use super::experiments::Experiments;
use super::plan::Trial;
use super::rank::{Score, Status, Tried};
use crate::checkpoint::{changed, fingerprint};
use crate::cli::TrainingArgs;
use crate::console::{Console, Verbosity};
use crate::document;
use crate::error::Failure;
use crate::experiment::Experiment;
use crate::progress::{Style, short};
use crate::registry::{Number, Registry};
use crate::resume::{Resumed, resume};
use crate::run_dir::{CONFIG, Existing, MODEL, Place, RESULT, RunDir};
use crate::session::Session;
use crate::signals::Interrupt;
use crate::spec::Dtype;
use crate::storage::Disk;
use crate::training::{Context, Reached, start};

/// So many keys of another experiment are named.
const MOST_NAMED: usize = 5;

/// What all trials have in common.
pub(crate) struct Sweeper<'a> {
    pub(crate) experiments: &'a Experiments<'a>,
    pub(crate) registry: &'a Registry,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) console: Console,
    /// The directory of the runs.
    pub(crate) out: &'a Path,
    /// Threads of all trials together.
    pub(crate) threads: usize,
    /// So many trials fit into the memory side by side.
    pub(crate) fitting: usize,
    pub(crate) score: &'a Score,
}

impl Sweeper<'_> {
    /// The run directory of a trial.
    pub(super) fn path(&self, trial: &Trial) -> PathBuf {
        self.out.join(Experiments::number(trial))
    }

    /// What is there of a trial, if it has finished.
    fn finished(&self, trial: &Trial) -> Result<Option<Tried>, Failure> {
        let path = self.path(trial);
        if !path.join(RESULT).is_file() || !path.join(MODEL).is_file() {
            return Ok(None);
        }
        let failed = |message: String| Failure::Run { path: path.join(RESULT), message };
        let text = fs::read_to_string(path.join(RESULT)).map_err(|error| failed(error.to_string()))?;
        let result: Json = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
        let epochs = result["epochs"].as_u64().unwrap_or_default();
        Ok(Some(self.tried(trial, result["metrics"].clone(), epochs, Status::Done)))
    }

    pub(super) fn tried(&self, trial: &Trial, metrics: Json, epochs: u64, status: Status) -> Tried {
        let (score, run) = (self.score.read(&metrics), self.path(trial).display().to_string());
        Tried { trial: trial.clone(), score, metrics, epochs, status, run }
    }

    /// Trains a trial, up to the end of epoch `pause_after` if there is one.
    fn train(&self, trial: &Trial, threads: usize, pause_after: Option<u64>) -> Result<Tried, Failure> {
        let experiment = self.experiments.of(trial)?;
        let path = self.path(trial);
        check_belongs(&path, &experiment)?;
        if let Some(tried) = self.finished(trial)? {
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
        let reached = match experiment.dtype {
            Dtype::F32 => go::<f32>(context, &experiment, &path),
            Dtype::F64 => go::<f64>(context, &experiment, &path),
        };
        let tried = match reached {
            Ok(Some(Reached { metrics, epochs, .. })) => {
                let done = path.join(RESULT).is_file();
                self.tried(trial, metrics, epochs, if done { Status::Done } else { Status::Waiting })
            }
            // It finished in the moment since we looked.
            Ok(None) => {
                let finished = self.finished(trial)?;
                finished.unwrap_or_else(|| self.tried(trial, Json::Null, 0, Status::Done))
            }
            Err(Failure::Diverged { .. }) => self.tried(trial, Json::Null, 0, Status::Diverged),
            Err(failure) => return Err(failure),
        };
        self.say(&tried);
        Ok(tried)
    }

    fn say(&self, tried: &Tried) {
        let score = match (tried.status, tried.score) {
            (Status::Diverged, _) => "diverged".to_owned(),
            (_, None) => format!("{} is not defined after epoch {}", self.score.name(), tried.epochs),
            (_, Some(score)) => {
                format!("{} {} after epoch {}", self.score.name(), short(score), tried.epochs)
            }
        };
        let (number, sets) = (Experiments::number(&tried.trial), self.experiments.sets(&tried.trial));
        self.console.note(&format!("trial {number}: {score}  ({sets})"));
    }
}

/// Whether the run that is at a trial's place, if there is one, is of this trial: as `resume` decides it, by the keys that
/// change results.
fn check_belongs(path: &Path, experiment: &Experiment) -> Result<(), Failure> {
    let config = path.join(CONFIG);
    if !config.is_file() {
        return Ok(());
    }
    let failed = |message: String| Failure::Run { path: path.to_owned(), message };
    let there = document::load(&config, &[]).map_err(|error| failed(error.to_string()))?;
    if !there.diagnostics.is_empty() {
        return Err(failed(format!("its {CONFIG} is not the experiment of a run")));
    }
    let changed = changed(&fingerprint(&there.root), &fingerprint(&experiment.resolved));
    if changed.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = changed.iter().take(MOST_NAMED).map(|key| format!("`{key}`")).collect();
    let more = changed.len() - named.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Err(failed(format!(
        "this run is of another experiment than this trial: it differs in {}{more}\n  = help: choose another --out",
        named.join(", ")
    )))
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
    let place = Place { out: Some(path), name: &experiment.name, existing: Existing::Keep };
    start(context, experiment, &session, place).map(Some)
}

/// How many trials fit side by side into so much memory, whichever they are: at least one, which is checked by itself.
pub(crate) fn fitting(mut memory: Vec<u128>, available: u64) -> usize {
    memory.sort_unstable_by(|a, b| b.cmp(a));
    let mut taken: u128 = 0;
    let fits = |&bytes: &u128| {
        taken = taken.saturating_add(bytes);
        taken <= u128::from(available)
    };
    memory.into_iter().take_while(fits).count().max(1)
}

/// Trains these trials, as many side by side as there are threads and memory, each on its share of the threads; in the
/// order of the trials what became of them.
pub(crate) fn train_all(
    sweeper: &Sweeper<'_>,
    trials: &[Trial],
    pause_after: Option<u64>,
) -> Result<Vec<Tried>, Failure> {
    let workers = sweeper.threads.min(sweeper.fitting).min(trials.len()).max(1);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_fit_that_the_largest_of_them_do() {
        assert_eq!(fitting(vec![10, 40, 30, 20], 100), 4);
        assert_eq!(fitting(vec![10, 40, 30, 20], 99), 3);
        assert_eq!(fitting(vec![10, 40, 30, 20], 69), 1);
        assert_eq!(fitting(vec![200; 3], 100), 1);
        assert_eq!(fitting(vec![u128::MAX, u128::MAX], u64::MAX), 1);
    }
}
