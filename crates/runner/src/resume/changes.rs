//! What changed of an experiment between a run and its continuation, and what follows from it.

use chainrule_core::Float;
use chainrule_trainer::State;

use crate::checkpoint::{Fingerprint, changed};
use crate::error::Failure;
use crate::run_dir::{CONFIG, RunDir};

/// What nobody can allow: the state is of the other precision.
const FIXED: &str = "dtype";

/// What epochs are judged by, and how.
const JUDGES: [&str; 4] = ["train.monitor", "early_stopping.restore_best", "loss", "outputs"];

/// The keys that changed, each of them allowed.
#[derive(Debug)]
pub(super) struct Changes(Vec<String>);

impl Changes {
    /// Compares two experiments.
    ///
    /// # Errors
    /// [`Failure::Run`] if keys changed that are not allowed by name.
    pub(super) fn find(
        run: &RunDir,
        before: &Fingerprint,
        now: &Fingerprint,
        allowed: &[String],
    ) -> Result<Self, Failure> {
        let changes = Self(changed(before, now));
        let refused = |message: String| Failure::Run { path: run.file(CONFIG), message };
        if changes.concern(FIXED) {
            let help = "undo it, or start another run with --out";
            let message = format!(
                "`{FIXED}` changed, but the checkpoints hold numbers of the other kind\n  = help: {help}"
            );
            return Err(refused(message));
        }
        let is_allowed = |path: &str| allowed.iter().any(|key| is_within(path, key));
        let others: Vec<&String> = changes.0.iter().filter(|path| !is_allowed(path)).collect();
        if others.is_empty() {
            return Ok(changes);
        }
        let names: Vec<String> = others.iter().map(|path| format!("`{path}`")).collect();
        let flags: Vec<String> = others.iter().map(|path| format!("--allow {path}")).collect();
        Err(refused(format!(
            "the experiment is not the one that this run was started with: {} changed\n  = help: undo it, or allow it by name: {}",
            names.join(", "),
            flags.join(" ")
        )))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether epochs are judged otherwise than before: then what was the best so far is not comparable.
    pub(super) fn judge_otherwise(&self) -> bool {
        JUDGES.into_iter().any(|key| self.concern(key))
    }

    /// Makes the state forget what was computed under other keys and would go on to act.
    pub(super) fn adopt<F: Float>(&self, state: &mut State<F>) {
        if self.judge_otherwise() {
            state.forget_judgements();
        }
        if self.concern("weight_averaging") {
            state.forget_average();
        }
    }

    fn concern(&self, key: &str) -> bool {
        self.0.iter().any(|path| is_within(path, key))
    }
}

/// Whether a path is that of a key, or leads on from it.
fn is_within(path: &str, key: &str) -> bool {
    path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_losses_are_made_of_judges() {
        let judges = |path: &str| Changes(vec![path.to_owned()]).judge_otherwise();
        for path in ["loss.type", "outputs.0.loss.type", "outputs.1.weight", "train.monitor"] {
            assert!(judges(path), "{path}");
        }
        for path in ["train.epochs", "losses", "early_stopping.patience", "optimizer.type"] {
            assert!(!judges(path), "{path}");
        }
    }
}
