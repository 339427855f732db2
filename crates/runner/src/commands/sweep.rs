//! `runner sweep`: all trials of a sweep, side by side, and which is the best.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use super::print;
use crate::cli::SweepArgs;
use crate::console::Console;
use crate::document;
use crate::error::Failure;
use crate::experiment::{Experiment, Schemas};
use crate::memory;
use crate::registry::Registry;
use crate::shell;
use crate::signals::Interrupt;
use crate::spec::Sweep;
use crate::storage::{self, Disk};
use crate::sweep::{Checked, Experiments, Ranking, Sweeper, Trial, fitting, halve, train_all, trials};

/// The ranking, in the directory of the sweep.
const RANKING: &str = "ranking.csv";

/// Trains every trial that is not finished, and ranks all.
///
/// # Errors
/// [`Failure::Usage`] without a `[sweep]`; [`Failure::Experiment`] if it is wrong, or a trial is;
/// [`Failure::AllDiverged`]; else as `train`.
pub fn run(arguments: &SweepArgs, registry: &Registry, console: Console) -> Result<(), Failure> {
    let path = &arguments.experiment.experiment;
    let schemas = Schemas::new(registry);
    let loaded = document::load(path, &arguments.experiment.overrides)?;
    let base = Experiment::of_loaded(loaded.clone(), path, &schemas, registry)?;
    let sweep = base.sweep.as_ref().ok_or_else(|| no_sweep(path))?;
    let all = trials(sweep, base.seed);
    let mine = share(&all, arguments, sweep)?;
    let experiments = Experiments::new(loaded, (&base, sweep), path, &schemas, registry);
    // A trial that cannot be is a mistake of the file; none is trained before all are known to be right.
    let Checked { score, memory, .. } = experiments.check(&all)?;

    let out = arguments.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("{}-sweep", base.name)));
    fs::create_dir_all(&out).map_err(Failure::io("create", &out))?;
    let interrupt = Interrupt::listen().map_err(Failure::io("listen to", "signals"))?;
    let sweeper = Sweeper {
        experiments: &experiments,
        registry,
        interrupt: &interrupt,
        console,
        out: &out,
        threads: threads(arguments, &base),
        fitting: fitting(memory, memory::available()),
        score: &score,
    };
    console.detail(&format!("{} trial(s) on {} thread(s)", mine.len(), sweeper.threads));
    let tried = match sweep {
        Sweep::Halving(spec) => halve(&sweeper, spec, &mine, base.train.epochs),
        _ => train_all(&sweeper, &mine, None),
    };
    let tried = tried.map_err(|failure| in_words_of_sweep(failure, arguments))?;
    let ranking = Ranking::new(score, experiments.keys(), tried);
    finish(&ranking, &ranking_path(&out, arguments), console)
}

fn no_sweep(path: &Path) -> Failure {
    let message = format!("{} has no [sweep]", path.display());
    let help = "add one, such as sweep = { type = \"grid\", vary = [{ key = \"optimizer.learning_rate\", values = [0.1, 0.01] }] }";
    Failure::Usage { message, help: help.into() }
}

/// Threads of all trials together.
fn threads(arguments: &SweepArgs, base: &Experiment) -> usize {
    match arguments.threads.map_or(base.runtime.threads, usize::from) {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
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
        true => Err(Failure::AllDiverged),
        false => Ok(()),
    }
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
fn in_words_of_sweep(failure: Failure, arguments: &SweepArgs) -> Failure {
    match failure {
        Failure::Interrupted { signal, step, .. } => {
            Failure::Interrupted { signal, step, resume: same_command(arguments) }
        }
        other => other,
    }
}

/// The command that was given, without what only says how much is said.
fn same_command(arguments: &SweepArgs) -> String {
    let SweepArgs { experiment, out, threads, index, of } = arguments;
    let mut words: Vec<Cow<'_, str>> = vec!["runner".into(), "sweep".into()];
    words.push(experiment.experiment.to_string_lossy());
    for set in &experiment.overrides {
        words.extend(["--set".into(), set.as_str().into()]);
    }
    if let Some(out) = out {
        words.extend(["--out".into(), out.to_string_lossy()]);
    }
    let numbers = [("--threads", threads.map(usize::from)), ("--index", *index), ("--of", *of)];
    for (flag, number) in numbers {
        if let Some(number) = number {
            words.extend([flag.into(), number.to_string().into()]);
        }
    }
    shell::line(words)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn goes_on_with_all_that_was_given_quoted_for_a_shell() {
        let given = |words: &[&str]| {
            let cli = Cli::try_parse_from(["runner", "sweep"].iter().chain(words)).unwrap();
            match cli.command {
                Command::Sweep(arguments) => same_command(&arguments),
                _ => unreachable!("the verb is `sweep`"),
            }
        };
        assert_eq!(given(&["x.toml", "-q"]), "runner sweep x.toml");
        let set = "sweep.monitor=\"train_loss\"";
        let all = ["my x.toml", "--set", set, "--set", "seed=1", "--out", "it's", "--threads", "2"];
        assert_eq!(
            given(&[&all[..], &["--index", "1", "--of", "3"]].concat()),
            "runner sweep 'my x.toml' --set 'sweep.monitor=\"train_loss\"' --set seed=1 --out 'it'\\''s' --threads 2 --index 1 --of 3"
        );
    }
}
