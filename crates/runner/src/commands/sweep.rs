//! `runner sweep`: all trials of a sweep, side by side, and which is the best.

use std::path::{Path, PathBuf};

use super::print;
use crate::cli::SweepArgs;
use crate::console::Console;
use crate::diagnostic::Diagnostic;
use crate::error::Failure;
use crate::experiment::{Experiment, Schemas};
use crate::registry::Registry;
use crate::signals::Interrupt;
use crate::spec::Sweep;
use crate::storage::{self, Disk};
use crate::sweep::{Ranking, Score, Sweeper, Trial, halve, train_all, trials};

/// The ranking, in the directory of the sweep.
const RANKING: &str = "ranking.csv";

/// Trains every trial that is not finished, and ranks all.
///
/// # Errors
/// [`Failure::Usage`] without a `[sweep]`; [`Failure::Experiment`] if it is wrong, or a trial is; else as `train`.
pub fn run(arguments: &SweepArgs, registry: &Registry, console: Console) -> Result<(), Failure> {
    let (path, overrides) = (&arguments.experiment.experiment, &arguments.experiment.overrides);
    let experiment = Experiment::load(path, overrides, registry)?;
    let Some(sweep) = &experiment.sweep else {
        let message = format!("{} has no [sweep]", path.display());
        let help = "add one, such as sweep = { type = \"grid\", vary = [{ key = \"optimizer.learning_rate\", values = [0.1, 0.01] }] }";
        return Err(Failure::Usage { message, help: help.into() });
    };
    let score = score(&experiment, sweep)?;
    let all = trials(sweep, experiment.seed).map_err(|error| {
        let entry = error.entry.to_string();
        let place = experiment.place(&["sweep", "vary", &entry, error.key]);
        experiment.mistake(Diagnostic::new(format!("sweep.vary[{entry}]: {}", error.message)).at(place))
    })?;
    let mine = share(&all, arguments, sweep)?;
    let out =
        arguments.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("{}-sweep", experiment.name)));
    let available = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.map_or(experiment.runtime.threads, usize::from);
    let interrupt = Interrupt::listen().map_err(Failure::io("listen to", "signals"))?;
    let sweeper = Sweeper {
        experiment: path,
        overrides,
        name: &experiment.name,
        registry,
        schemas: &Schemas::new(registry),
        interrupt: &interrupt,
        console,
        out: &out,
        threads: if threads == 0 { available() } else { threads },
        digits: all.len().saturating_sub(1).to_string().len(),
        score: score.clone(),
    };
    // A trial that cannot be is a mistake of the file; none is trained before all are known to be right.
    for trial in &mine {
        sweeper.experiment(trial)?;
    }
    console.detail(&format!("{} trial(s) on {} thread(s)", mine.len(), sweeper.threads));
    let tried = match sweep {
        Sweep::Halving(spec) => halve(&sweeper, spec, &mine, experiment.train.epochs),
        _ => train_all(&sweeper, &mine, None),
    };
    let tried = tried.map_err(|failure| in_words_of_sweep(failure, path, &out))?;
    let keys = sweep.vary().iter().map(|vary| vary.key.clone()).collect();
    let ranking = Ranking::new(score, keys, tried);
    finish(&ranking, &ranking_path(&out, arguments), console)
}

/// The table on stdout, the same as CSV in the directory, and the best on stderr.
fn finish(ranking: &Ranking, path: &Path, console: Console) -> Result<(), Failure> {
    let csv = ranking.csv().map_err(|error| Failure::io("write", path)(std::io::Error::other(error)))?;
    storage::write_atomically(&Disk, path, &csv)?;
    print(console, &ranking.table())?;
    match ranking.best() {
        Some(best) => console.note(&format!("the best run is {}; ranking in {}", best.run, path.display())),
        None => console.note(&format!("ranking in {}", path.display())),
    }
    match ranking.all_diverged() {
        true => Err(Failure::AllDiverged {
            help: "vary over smaller learning rates, scale the inputs (`scale` in [data]), or limit the gradient (`clip_grad_norm` in [optimizer])",
        }),
        false => Ok(()),
    }
}

fn score(experiment: &Experiment, sweep: &Sweep) -> Result<Score, Failure> {
    Score::of(sweep.monitor(), &experiment.metrics).ok_or_else(|| {
        let message = format!("sweep.monitor: there is no `{}`", sweep.monitor().unwrap_or_default());
        let help = "there are `train_loss`, `validation_loss`, and `train_` or `validation_` before a metric of [metrics] report";
        let place = experiment.place(&["sweep", "monitor"]);
        experiment.mistake(Diagnostic::new(message).at(place).help(help))
    })
}

/// The trials that this process trains: with `--index I --of N` every N-th.
fn share(all: &[Trial], arguments: &SweepArgs, sweep: &Sweep) -> Result<Vec<Trial>, Failure> {
    let (Some(index), Some(of)) = (arguments.index, arguments.of) else { return Ok(all.to_vec()) };
    let usage = |message: &str, help: &str| Failure::Usage { message: message.into(), help: help.into() };
    if index >= of {
        return Err(usage("--index must be less than --of", "count from 0: --index 0 --of 4"));
    }
    if matches!(sweep, Sweep::Halving(_)) {
        return Err(usage(
            "a halving compares all of its trials, so that they cannot be shared out",
            "use `random` or `grid`, or leave out --index and --of",
        ));
    }
    Ok(all.iter().filter(|trial| trial.index % of == index).cloned().collect())
}

/// Every process of an array has a ranking of its own.
fn ranking_path(out: &Path, arguments: &SweepArgs) -> PathBuf {
    match (arguments.index, arguments.of) {
        (Some(index), Some(of)) => out.join(format!("ranking-{index}-of-{of}.csv")),
        _ => out.join(RANKING),
    }
}

/// An interrupted sweep is gone on with by the same command.
fn in_words_of_sweep(failure: Failure, experiment: &Path, out: &Path) -> Failure {
    match failure {
        Failure::Interrupted { signal, step, .. } => Failure::Interrupted {
            signal,
            step,
            resume: format!("runner sweep {} --out {}", experiment.display(), out.display()),
        },
        other => other,
    }
}
