//! From a state to the end of a run: what `train`, `resume` and a sweep do alike.

use chainrule_core::Float;
use chainrule_trainer::{Checkpoints, End, Error, Settings, Snapshot, State, Threads, Trainer};
use serde_json::{Value as Json, json};

use crate::checkpoint::{Belongs, Folder, Sealed, encode, fingerprint};
use crate::cli::TrainingArgs;
use crate::console::Console;
use crate::error::Failure;
use crate::evaluation::{self, Evaluation};
use crate::experiment::Experiment;
use crate::memory;
use crate::progress::{Style, Watcher, short};
use crate::registry::{Number, Registry};
use crate::results;
use crate::run_dir::{MetricsFile, Place, RunDir};
use crate::session::Session;
use crate::signals::Interrupt;
use crate::storage::{FileSystem, read_bounded};
use crate::weights::Weights;

/// What every run of a process has in common.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) arguments: &'a TrainingArgs,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) console: Console,
    /// What runs are written by.
    pub(crate) system: &'a dyn FileSystem,
    /// The epoch after which a run waits.
    pub(crate) pause_after: Option<u64>,
}

/// A run that is ready to be trained.
pub(crate) struct Training<'a, F> {
    pub(crate) context: Context<'a>,
    pub(crate) experiment: &'a Experiment,
    pub(crate) session: &'a Session<F>,
    pub(crate) run: &'a RunDir,
    pub(crate) belongs: &'a Belongs,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Reached {
    /// Loss and metrics of each part of the data, as in `result.json`.
    pub(crate) metrics: Json,
    /// Epochs trained.
    pub(crate) epochs: u64,
    /// The predictions of `[predict]` as a table.
    pub(crate) predictions: Option<String>,
}

impl Context<'_> {
    /// Warns of what did no harm: in words, or as an event for who asked for events.
    pub(crate) fn warn(&self, message: &str) {
        if self.arguments.progress == Style::Json {
            return self.console.event(&json!({ "event": "warning", "message": message }));
        }
        self.console.note(&format!("warning: {message}"));
    }
}

/// Starts the run of an experiment in a directory of its own.
pub(crate) fn start<F: Number>(
    context: Context<'_>,
    experiment: &Experiment,
    session: &Session<F>,
    place: Place<'_>,
) -> Result<Reached, Failure> {
    let Weights { theta, buffers } = session.start(experiment)?;
    let state = State::new(theta, buffers, session.optimizer.as_ref());
    let belongs = Belongs {
        experiment: fingerprint(&experiment.resolved),
        data: session.data_digest().to_owned(),
        preprocessing: session.preprocessing.clone(),
    };
    let checkpoint = encoded(session, &state, &belongs, 0)?;
    let (run, metrics) = RunDir::create(context.system, place, &experiment.resolved_toml(), &checkpoint)?;
    let training = Training { context, experiment, session, run: &run, belongs: &belongs };
    training.go_on(state, metrics, Some(0))
}

impl<F: Number> Training<'_, F> {
    /// Trains from `state` on and writes what comes out. `last` is the step of the checkpoint of that name, if it is whole.
    pub(crate) fn go_on(
        &self,
        mut state: State<F>,
        metrics: MetricsFile<'_>,
        last: Option<u64>,
    ) -> Result<Reached, Failure> {
        let Self { experiment, session, context: Context { console, .. }, .. } = *self;
        let threads = self.threads()?;
        self.say_start(&state, threads.count());
        let mut saver = Saver { kept: state.counts.steps, ..self.saver(metrics.again()?, last) };
        saver.folder.remove_old().map_err(Failure::io("remove", saver.folder.last()))?;
        let (epochs, samples) = (experiment.train.epochs, session.train.len() as u64);
        let mut watcher =
            Watcher::new(self.context.arguments.progress, console.verbosity(), metrics, epochs, samples);
        let outcome = self.trainer(&threads).fit(&mut state, &mut watcher, &mut saver);
        watcher.finish();
        let outcome = outcome.map_err(|error| self.failure(error, saver.kept))?;
        if outcome.end == End::Interrupted {
            return Err(Failure::Interrupted {
                signal: self.context.interrupt.signal(),
                step: outcome.steps,
                resume: format!("runner resume {}", self.run.path().display()),
            });
        }
        let Snapshot { theta, buffers } = Snapshot::of(state.result());
        let weights = Weights { theta, buffers };
        let evaluations = evaluation::evaluate(session, weights.values(), &threads)?;
        let metrics = evaluation::to_json(&evaluations, session);
        if outcome.end == End::Paused {
            return Ok(Reached { metrics, epochs: outcome.epochs, predictions: None });
        }
        let predictions = results::predictions(experiment, self.context.registry, session, &weights)?;
        results::write_model(self.context.system, self.run.path(), experiment, session, &weights)?;
        let reached = (&outcome, &state.counts);
        let result = results::result_json(experiment, session, &weights, reached, &evaluations, &predictions);
        results::write_result(self.context.system, self.run.path(), &result)?;
        self.say_end(&result, &evaluations);
        let table = || results::prediction_table(experiment, &predictions);
        let predictions = (!predictions.is_empty()).then(table);
        Ok(Reached { metrics, epochs: outcome.epochs, predictions })
    }

    /// Checks that training can go on from `state`, before anything is written.
    pub(crate) fn check(&self, state: &State<F>) -> Result<(), Failure> {
        let threads = self.threads()?;
        self.trainer(&threads).check(state).map_err(|error| self.failure(error, state.counts.steps))
    }

    fn trainer<'t>(&'t self, threads: &'t Threads) -> Trainer<'t, F> {
        let Self { session, context: Context { interrupt, pause_after, .. }, .. } = *self;
        Trainer {
            objective: &session.objective,
            train: &session.train,
            validation: session.validation.as_ref(),
            scoring: Some(session.scoring()),
            optimizer: session.optimizer.as_ref(),
            schedule: session.schedule.as_ref(),
            settings: Settings { pause_after, ..session.settings.clone() },
            threads,
            interrupt: Some(interrupt.requested()),
        }
    }

    /// What stores the states of this run.
    pub(crate) fn saver<'s>(&'s self, metrics: MetricsFile<'s>, last: Option<u64>) -> Saver<'s, F> {
        let keep = self.experiment.checkpoint.keep_last;
        Saver {
            folder: Folder::new(self.context.system, self.run.path(), keep, last),
            session: self.session,
            belongs: self.belongs,
            metrics,
            kept: 0,
        }
    }

    fn threads(&self) -> Result<Threads, Failure> {
        let Self { experiment, session, .. } = *self;
        let count = self.context.arguments.threads.map_or(experiment.runtime.threads, usize::from);
        // The final evaluation runs over the whole set, whatever is logged.
        let work =
            Trainer::largest_work(&session.objective, experiment.train.batch_size, session.most_samples());
        Ok(Threads::for_work(count, work)?)
    }

    /// What the trainer says, in the words of the run.
    fn failure(&self, error: Error, step: u64) -> Failure {
        match error {
            // What a checkpoint or the log could not be written for is a failure of ours already.
            Error::Observer(error) => match error.downcast::<Failure>() {
                Ok(failure) => *failure,
                Err(error) => Failure::Training(Error::Observer(error)),
            },
            Error::Diverged(mut found) => {
                // The trainer knows the training part only.
                let names = self.session.train_samples();
                found.samples.iter_mut().for_each(|sample| *sample = names[*sample as usize]);
                Failure::Diverged { found, run: self.run.path().to_owned(), step }
            }
            error @ Error::State => {
                Failure::Run { path: self.run.path().to_owned(), message: error.to_string() }
            }
            other => other.into(),
        }
    }

    fn say_start(&self, state: &State<F>, threads: usize) {
        let Self { experiment, session, context: Context { console, .. }, .. } = *self;
        let counts = &state.counts;
        if self.context.arguments.progress == Style::Json {
            let mut event = json!({
                "event": "start",
                "name": experiment.name,
                "parameters": session.parameter_count,
                "dtype": F::NAME,
                "samples": session.train.len(),
                "threads": threads,
                "seed": experiment.seed,
            });
            if counts.steps > 0 {
                event["step"] = counts.steps.into();
            }
            return console.event(&event);
        }
        if counts.steps > 0 {
            console.note(&format!("going on after step {}, in epoch {}", counts.steps, counts.epochs + 1));
        }
        console.detail(&format!(
            "{} parameters in {}, {} samples, {threads} thread(s), seed {}",
            session.parameter_count,
            F::NAME,
            session.train.len(),
            experiment.seed
        ));
    }

    /// In words, or as an event that has what the words say.
    fn say_end(&self, result: &Json, evaluations: &[Evaluation]) {
        let (run, console) = (self.run.path(), self.context.console);
        if self.context.arguments.progress == Style::Json {
            let mut event = json!({ "event": "done", "run": run.display().to_string() });
            for key in ["name", "epochs", "steps", "train_seconds", "metrics"] {
                event[key] = result[key].clone();
            }
            return console.event(&event);
        }
        let skipped = result["skipped_steps"].as_u64().unwrap_or_default();
        if skipped > 0 {
            console.note(&format!("{skipped} step(s) were left out: a loss or a gradient was not finite"));
        }
        if let Some(best) = result["best_epoch"].as_u64() {
            let stopped = if result["stopped_early"] == true { "stopped early; " } else { "" };
            console.note(&format!("{stopped}the best epoch was {best}"));
        }
        console.note(&format!(
            "{}: {} epochs, {} steps in {} s, {}",
            result["name"].as_str().unwrap_or_default(),
            result["epochs"],
            result["steps"],
            short(result["train_seconds"].as_f64().unwrap_or_default()),
            evaluation::summary(evaluations)
        ));
        console.note(&format!("wrote {}", run.display()));
    }
}

/// Stores the states of a run in its folder.
pub(crate) struct Saver<'a, F> {
    folder: Folder<'a>,
    session: &'a Session<F>,
    belongs: &'a Belongs,
    metrics: MetricsFile<'a>,
    /// The step of the newest checkpoint.
    kept: u64,
}

impl<F: Float> Saver<'_, F> {
    fn encode(&self, state: &State<F>) -> Result<Vec<u8>, Failure> {
        // What the log has is on the disk before the state that says how long it is.
        let metrics_bytes = self.metrics.sync()?;
        encoded(self.session, state, self.belongs, metrics_bytes)
    }

    /// Stores a state, with a failure of ours.
    pub(crate) fn store(&mut self, state: &State<F>) -> Result<(), Failure> {
        let bytes = self.encode(state)?;
        let path = self.folder.last();
        self.folder.save(&bytes, state.counts.steps).map_err(Failure::io("write", path))?;
        self.kept = state.counts.steps;
        Ok(())
    }

    /// Removes a checkpoint of the best epoch that is not the best of those up to `state`: it is compared with others from
    /// now on, if `judged_otherwise`, or is of an epoch that is trained anew.
    pub(crate) fn drop_best(&self, judged_otherwise: bool, state: &State<F>) -> Result<(), Failure> {
        let best = self.folder.best();
        if !best.exists() {
            return Ok(());
        }
        if !judged_otherwise {
            let bytes =
                read_bounded(&best, memory::available()).map_err(Failure::io("read", best.clone()))?;
            let is_earlier = |sealed: &Sealed<'_>| sealed.counts().steps <= state.counts.steps;
            if Sealed::open(&bytes).is_ok_and(|sealed| is_earlier(&sealed)) {
                return Ok(());
            }
        }
        self.folder.remove_best().map_err(Failure::io("remove", best))
    }
}

impl<F: Float> Checkpoints<F> for Saver<'_, F> {
    fn save(&mut self, state: &State<F>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.store(state)?)
    }

    fn save_best(&mut self, state: &State<F>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let bytes = self.encode(state)?;
        self.folder.save_best(&bytes).map_err(Failure::io("write", self.folder.best()))?;
        Ok(())
    }
}

/// The bytes of a checkpoint of `session` at this length of the log.
fn encoded<F: Float>(
    session: &Session<F>,
    state: &State<F>,
    belongs: &Belongs,
    metrics_bytes: u64,
) -> Result<Vec<u8>, Failure> {
    let encoded = encode(state, session.optimizer.slots(), belongs, metrics_bytes);
    encoded.map_err(|error| Failure::io("encode", "a checkpoint")(std::io::Error::other(error)))
}

#[cfg(test)]
mod tests;
