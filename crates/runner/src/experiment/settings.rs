//! How an experiment is trained, in the words of the trainer.

use chainrule_trainer::metrics::{Metric, ScoredOutput};
use chainrule_trainer::{Averaging, Monitor, Order, Part, Settings};

use super::Experiment;
use crate::diagnostic::Diagnostic;
use crate::document::Place;
use crate::error::Failure;
use crate::registry::Registry;
use crate::suggest;

/// What a key names.
struct Asked<'a> {
    key: &'static str,
    name: &'a str,
    place: Place,
}

impl Asked<'_> {
    /// The number of this name, if there is one.
    fn among(&self, known: Vec<(String, Monitor)>, has_validation: bool) -> Result<Monitor, Diagnostic> {
        let Self { key, name, place } = self;
        let Some((_, monitor)) = known.iter().find(|(other, _)| other == name) else {
            let known: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
            let near = suggest::nearest(name, known.iter().copied());
            let near = near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
            let help = format!("there are {}; metrics are those of [metrics] report", known.join(", "));
            let message = format!("{key}: there is no `{name}`{near}");
            return Err(Diagnostic::new(message).at(*place).help(help));
        };
        if monitor.part == Part::Validation && !has_validation {
            let losses = known
                .iter()
                .filter(|(_, other)| other.part != Part::Validation && other.metric.is_none())
                .map(|(name, _)| format!("`{name}`"));
            let losses = losses.collect::<Vec<_>>().join(" or ");
            let help = format!("give [data] a `validation` share, or monitor {losses}");
            let message = format!("{key}: `{name}` needs a validation part");
            return Err(Diagnostic::new(message).at(*place).help(help));
        }
        Ok(monitor.clone())
    }
}

impl Experiment {
    /// The settings of a run whose epochs are judged by `monitor`.
    ///
    /// # Errors
    /// [`Failure::Experiment`] if `[weight_averaging]` cannot be built.
    pub fn settings(&self, registry: &Registry, monitor: Monitor) -> Result<Settings, Failure> {
        let train = &self.train;
        Ok(Settings {
            accumulate: train.accumulate,
            order: if train.shuffle { Order::Shuffled { seed: self.seed } } else { Order::Fixed },
            seed: self.seed,
            clip: self.optimizer.clip(),
            decay_on: self.optimizer.weight_decay_on.into(),
            tunings: self.tunings.clone(),
            l1: self.optimizer.l1,
            max_norm: self.optimizer.max_norm,
            log_every: train.log_every,
            evaluate_train: train.evaluate_train,
            monitor,
            early_stopping: self.early_stopping.map(Into::into),
            averaging: self.averaging(registry)?,
            on_not_finite: train.on_nonfinite.into(),
            checkpoint: self.checkpoint.every(),
            save_best: self.checkpoint.save_best,
            ..Settings::new(train.epochs, train.batch_size)
        })
    }

    /// `[weight_averaging]`.
    fn averaging(&self, registry: &Registry) -> Result<Option<Averaging>, Failure> {
        if self.resolved.at(&["weight_averaging"]).is_none() {
            return Ok(None);
        }
        let (entry, keys) = self.variant(registry.averagings(), "weight_averaging")?;
        (entry.build)(&keys).map(Some).map_err(|error| self.key_mistake("weight_averaging", &error))
    }

    /// Copies of the parameters that a run keeps beside those that it moves, and their gradient.
    pub(crate) fn copies(&self) -> usize {
        let kept = [
            self.resolved.at(&["weight_averaging"]).is_some(),
            self.early_stopping.is_some_and(|table| table.restore_best),
            self.train.accumulate > 1,
        ];
        kept.into_iter().filter(|&kept| kept).count()
    }

    /// What epochs are judged by: `[train] monitor`, or the loss of what is not trained on.
    ///
    /// # Errors
    /// [`Failure::Experiment`] if there is no such number, or nothing that looks at it.
    pub(crate) fn monitor(
        &self,
        outputs: &[ScoredOutput],
        has_validation: bool,
        has_plateau: bool,
    ) -> Result<Monitor, Failure> {
        let Some(name) = &self.train.monitor else {
            return Ok(Monitor::loss(if has_validation { Part::Validation } else { Part::Running }));
        };
        let place = self.place(&["train", "monitor"]);
        let known = self.monitors(outputs);
        let asked = Asked { key: "train.monitor", name, place };
        let monitor = asked.among(known, has_validation).map_err(|mistake| self.mistake(mistake))?;
        if self.early_stopping.is_none() && !self.checkpoint.save_best && !has_plateau {
            let help = "it is for [early_stopping], [checkpoint] save_best and `reduce_on_plateau`";
            let mistake = Diagnostic::new("train.monitor: nothing looks at it").at(place).help(help);
            return Err(self.mistake(mistake));
        }
        Ok(monitor)
    }

    /// What a finished run is judged by among others of its sweep: `name`, which stands at `place`.
    ///
    /// # Errors
    /// [`Failure::Experiment`] if a result has no such number.
    pub(crate) fn score(
        &self,
        (name, place): (&str, Place),
        outputs: &[ScoredOutput],
        has_validation: bool,
    ) -> Result<Monitor, Failure> {
        // The batches of an epoch are trained on while they are measured: that says nothing of a finished run.
        let mut known = self.monitors(outputs);
        known.retain(|(_, monitor)| monitor.part != Part::Running);
        let asked = Asked { key: "sweep.monitor", name, place };
        asked.among(known, has_validation).map_err(|mistake| self.mistake(mistake))
    }

    /// All that epochs can be judged by, with its name.
    fn monitors(&self, outputs: &[ScoredOutput]) -> Vec<(String, Monitor)> {
        let mut found = vec![("running_loss".to_owned(), Monitor::loss(Part::Running))];
        for (part, name) in [(Part::Train, "train"), (Part::Validation, "validation")] {
            found.push((format!("{name}_loss"), Monitor::loss(part)));
            for &metric in self.metrics.iter().filter(|&&metric| metric != Metric::ConfusionMatrix) {
                for output in outputs.iter().filter(|output| metric.fits(output.task)) {
                    let of = if output.name.is_empty() { String::new() } else { format!("_{}", output.name) };
                    let key = format!("{name}_{}{of}", metric.name());
                    found.push((key, Monitor::metric(part, metric, output.name.clone())));
                }
            }
        }
        found
    }
}
