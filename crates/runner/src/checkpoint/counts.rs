//! The plain numbers of a state, as a checkpoint has them. A file format is a promise, a struct of the trainer is not.

use chainrule_core::Total;
use chainrule_trainer::schedule::PlateauState;
use chainrule_trainer::{Counts, Judged};
use serde::{Deserialize, Serialize};

/// [`Counts`] in a file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredCounts {
    epochs: u64,
    samples: u64,
    pub(super) steps: u64,
    batches: u64,
    skipped: u64,
    running_sum: f64,
    running_terms: f64,
    logged: u64,
    seconds: f64,
    seconds_before: f64,
    averaged: u64,
    best: Option<f64>,
    best_epoch: u64,
    waited: u64,
    plateau_best: Option<f64>,
    plateau_bad: u64,
    plateau_cooldown: u64,
    plateau_share: f64,
    stopped: bool,
}

impl From<Counts> for StoredCounts {
    fn from(counts: Counts) -> Self {
        Self {
            epochs: counts.epochs,
            samples: counts.samples,
            steps: counts.steps,
            batches: counts.batches,
            skipped: counts.skipped,
            running_sum: counts.running.sum,
            running_terms: counts.running.terms,
            logged: counts.logged,
            seconds: counts.seconds,
            seconds_before: counts.seconds_before,
            averaged: counts.averaged,
            best: counts.judged.best,
            best_epoch: counts.judged.best_epoch,
            waited: counts.judged.waited,
            plateau_best: counts.plateau.best,
            plateau_bad: counts.plateau.bad,
            plateau_cooldown: counts.plateau.cooldown,
            plateau_share: counts.plateau.share,
            stopped: counts.stopped,
        }
    }
}

impl From<StoredCounts> for Counts {
    fn from(stored: StoredCounts) -> Self {
        Self {
            epochs: stored.epochs,
            samples: stored.samples,
            steps: stored.steps,
            batches: stored.batches,
            skipped: stored.skipped,
            running: Total { sum: stored.running_sum, terms: stored.running_terms },
            logged: stored.logged,
            seconds: stored.seconds,
            seconds_before: stored.seconds_before,
            averaged: stored.averaged,
            judged: Judged { best: stored.best, best_epoch: stored.best_epoch, waited: stored.waited },
            plateau: PlateauState {
                best: stored.plateau_best,
                bad: stored.plateau_bad,
                cooldown: stored.plateau_cooldown,
                share: stored.plateau_share,
            },
            stopped: stored.stopped,
        }
    }
}
