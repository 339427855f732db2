//! How an experiment is trained, in the words of the trainer.

use chainrule_trainer::metrics::{Metric, ScoredOutput};
use chainrule_trainer::{Averaging, Monitor, Order, Part, Settings};

use super::Experiment;
use crate::diagnostic::Diagnostic;
use crate::error::Failure;
use crate::registry::Registry;
use crate::suggest;

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
        let mistake = |message: String, help: String| {
            let place = self.place(&["train", "monitor"]);
            self.mistake(Diagnostic::new(message).at(place).help(help))
        };
        let found = self.monitors(outputs).into_iter().find(|(known, _)| known == name);
        let Some((_, monitor)) = found else {
            let known: Vec<String> = self.monitors(outputs).into_iter().map(|(name, _)| name).collect();
            let near = suggest::nearest(name, known.iter().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
            let help = format!("there are {}; metrics are those of [metrics] report", known.join(", "));
            return Err(mistake(format!("train.monitor: there is no `{name}`{near}"), help));
        };
        if monitor.part == Part::Validation && !has_validation {
            let help = "give [data] a `validation` share, or monitor `running_loss` or `train_loss`";
            return Err(mistake(format!("train.monitor: `{name}` needs a validation part"), help.into()));
        }
        if self.early_stopping.is_none() && !self.checkpoint.save_best && !has_plateau {
            let help = "it is for [early_stopping], [checkpoint] save_best and `reduce_on_plateau`";
            return Err(mistake("train.monitor: nothing looks at it".into(), help.into()));
        }
        Ok(monitor)
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
