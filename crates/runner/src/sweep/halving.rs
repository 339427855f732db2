//! Successive halving (Jamieson & Talwalkar, 2016): all trials for a few epochs, then the best of every `factor` for
//! `factor` times as many, until all epochs are trained.

use super::plan::Trial;
use super::rank::{Status, Tried};
use super::record::Record;
use super::work::{Sweeper, train_all};
use crate::error::Failure;
use crate::run_dir::CONFIG;
use crate::spec::HalvingSpec;

/// Trains the trials of a halving. One that waits has not been changed by it: its schedule and its order are those of the
/// whole run.
///
/// What comes out is a function of the experiments alone: who is better after so many epochs is noted before anybody is
/// trained further.
pub(crate) fn halve(
    sweeper: &Sweeper<'_>,
    spec: &HalvingSpec,
    trials: &[Trial],
    epochs: u64,
) -> Result<Vec<Tried>, Failure> {
    let mut record = Record::open(sweeper.out)?;
    let factor = usize::try_from(spec.factor).unwrap_or(usize::MAX);
    let mut dropped = Vec::new();
    let mut left = trials.to_vec();
    let mut until = spec.min_epochs;
    while until < epochs && left.len() > 1 {
        let mut tried = rung(sweeper, &mut record, &left, until)?;
        tried.sort_by(|a, b| {
            let by_score = sweeper.score.compare(a.score, b.score);
            diverged(a).cmp(&diverged(b)).then(by_score).then(a.trial.index.cmp(&b.trial.index))
        });
        let good = tried.iter().filter(|tried| !diverged(tried)).count();
        let keep = tried.len().div_ceil(factor).min(good);
        dropped.extend(tried.split_off(keep));
        left = tried.into_iter().map(|tried| tried.trial).collect();
        left.sort_by_key(|trial| trial.index);
        until = until.saturating_mul(spec.factor);
    }
    dropped.extend(train_all(sweeper, &left, None)?);
    Ok(dropped)
}

fn diverged(tried: &Tried) -> bool {
    tried.status == Status::Diverged
}

/// What the trials have reached after epoch `until`: what is noted, else what training gives, which is noted then.
fn rung(
    sweeper: &Sweeper<'_>,
    record: &mut Record,
    trials: &[Trial],
    until: u64,
) -> Result<Vec<Tried>, Failure> {
    let (mut tried, mut others) = (Vec::new(), Vec::new());
    for trial in trials {
        let experiment = sweeper.experiments.of(trial)?;
        // A run that was removed is trained anew.
        let is_there = sweeper.path(trial).join(CONFIG).is_file();
        match record.find(trial.index, until, &experiment).filter(|_| is_there) {
            Some(metrics) => tried.push(sweeper.tried(trial, metrics.clone(), until, Status::Waiting)),
            None => others.push(trial.clone()),
        }
    }
    let found = train_all(sweeper, &others, Some(until))?;
    for one in &found {
        if one.epochs > until {
            return Err(trained_further(sweeper, one, until));
        }
        if one.status == Status::Waiting {
            let experiment = sweeper.experiments.of(&one.trial)?;
            record.add(one.trial.index, until, &experiment, one.metrics.clone());
        }
    }
    if !found.is_empty() {
        record.save()?;
    }
    tried.extend(found);
    Ok(tried)
}

/// Only `resume` can do that, before the sweep had compared its trials.
fn trained_further(sweeper: &Sweeper<'_>, tried: &Tried, until: u64) -> Failure {
    let message = format!(
        "this trial was trained to epoch {} before it was compared with the others after epoch {until}\n  = help: remove it, to have it trained anew, or choose another --out",
        tried.epochs
    );
    Failure::Run { path: sweeper.path(&tried.trial), message }
}
