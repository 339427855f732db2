//! Which trial is the best.

use std::cmp::Ordering;

use chainrule_trainer::Monitor;
use serde_json::Value as Json;

use super::plan::{Choice, Trial};
use crate::progress::short;
use crate::table::Table;

/// What trials are ranked by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Score {
    /// What people read: the name that the file has, or that it is the loss.
    label: String,
    /// Where a result has it: the part of the data, and the key.
    path: (String, String),
    larger_is_better: bool,
}

impl Score {
    /// The number of this name, `PART_KEY`, which is judged as `monitor` is.
    pub(crate) fn new(name: &str, label: &str, monitor: &Monitor) -> Self {
        let (part, key) = name.split_once('_').unwrap_or((name, "loss"));
        Self {
            label: label.to_owned(),
            path: (part.to_owned(), key.to_owned()),
            larger_is_better: monitor.larger_is_better(),
        }
    }

    /// The number that `metrics` of a result has of it; none, where it is not defined.
    pub(crate) fn read(&self, metrics: &Json) -> Option<f64> {
        let (part, key) = &self.path;
        metrics.get(part)?.get(key)?.as_f64()
    }

    /// The name that `sweep.monitor` would give it.
    pub(crate) fn full_name(&self) -> String {
        format!("{}_{}", self.path.0, self.path.1)
    }

    /// The name for people.
    pub(crate) fn name(&self) -> &str {
        &self.label
    }

    /// The better of two first; what has none comes last.
    pub(crate) fn compare(&self, a: Option<f64>, b: Option<f64>) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) if self.larger_is_better => b.total_cmp(&a),
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        }
    }
}

/// How far a trial came; in the order of the ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// Trained to its end, or stopped early.
    Done,
    /// Of a halving: others were better when it had trained so far.
    Waiting,
    /// A loss or a gradient was no longer finite.
    Diverged,
}

impl Status {
    /// As tables have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Waiting => "waiting",
            Self::Diverged => "diverged",
        }
    }
}

/// What became of a trial.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tried {
    pub(crate) trial: Trial,
    /// None of a trial that diverged, nor where the score is not defined.
    pub(crate) score: Option<f64>,
    /// Loss and metrics of each part of the data, which the score is one of.
    pub(crate) metrics: Json,
    pub(crate) epochs: u64,
    pub(crate) status: Status,
    /// Its run directory.
    pub(crate) run: String,
}

/// The trials, the best first.
#[derive(Clone, Debug)]
pub(crate) struct Ranking {
    score: Score,
    keys: Vec<String>,
    tried: Vec<Tried>,
}

impl Ranking {
    /// Those done by their score; then those that wait, trained longer before trained better, as only those trained equally
    /// long can be compared; then those that diverged.
    pub(crate) fn new(score: Score, keys: Vec<String>, mut tried: Vec<Tried>) -> Self {
        let waited = |tried: &Tried| if tried.status == Status::Waiting { tried.epochs } else { 0 };
        tried.sort_by(|a, b| {
            a.status
                .cmp(&b.status)
                .then(waited(b).cmp(&waited(a)))
                .then_with(|| score.compare(a.score, b.score))
                .then(a.trial.index.cmp(&b.trial.index))
        });
        Self { score, keys, tried }
    }

    /// The best trial, if one has a score.
    pub(crate) fn best(&self) -> Option<&Tried> {
        self.tried.first().filter(|tried| tried.score.is_some())
    }

    /// Whether there are trials, and all of them diverged.
    pub(crate) fn all_diverged(&self) -> bool {
        self.tried.first().is_some_and(|tried| tried.status == Status::Diverged)
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::of(self.headings());
        for (rank, tried) in self.tried.iter().enumerate() {
            let score = tried.score.map_or_else(|| "-".to_owned(), short);
            table.push(Self::cells(rank, tried, score));
        }
        table.render()
    }

    /// For programs: every digit.
    pub(crate) fn csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.headings())?;
        for (rank, tried) in self.tried.iter().enumerate() {
            let score = tried.score.map_or_else(String::new, |score| score.to_string());
            writer.write_record(Self::cells(rank, tried, score))?;
        }
        writer.into_inner().map_err(|error| error.into_error().into())
    }

    fn headings(&self) -> Vec<String> {
        let before = ["rank", "trial", self.score.name(), "epochs", "status"].map(str::to_owned);
        before.into_iter().chain(self.keys.iter().cloned()).chain(["run".to_owned()]).collect()
    }

    fn cells(rank: usize, tried: &Tried, score: String) -> Vec<String> {
        let before = [(rank + 1).to_string(), tried.trial.index.to_string(), score, tried.epochs.to_string()];
        let values = tried.trial.choices.iter().map(Choice::text);
        before
            .into_iter()
            .chain([tried.status.name().to_owned()])
            .chain(values)
            .chain([tried.run.clone()])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use chainrule_trainer::Part;
    use chainrule_trainer::metrics::Metric;
    use serde_json::json;

    use super::*;
    use crate::spec::Scalar;

    fn tried(index: usize, score: Option<f64>, epochs: u64) -> Tried {
        let trial = Trial { index, choices: vec![Choice::of(Scalar::Integer(7))] };
        let status = if score.is_some() { Status::Done } else { Status::Diverged };
        Tried { trial, score, metrics: Json::Null, epochs, status, run: format!("s/{index}") }
    }

    fn loss() -> Score {
        Score::new("validation_loss", "loss", &Monitor::loss(Part::Validation))
    }

    fn accuracy() -> Score {
        let monitor = Monitor::metric(Part::Validation, Metric::Accuracy, "a_b".into());
        Score::new("validation_accuracy_a_b", "validation_accuracy_a_b", &monitor)
    }

    fn order(score: Score, tried: Vec<Tried>) -> Vec<usize> {
        let ranking = Ranking::new(score, vec!["k".into()], tried);
        ranking.tried.iter().map(|tried| tried.trial.index).collect()
    }

    #[test]
    fn the_best_comes_first_and_what_diverged_last() {
        let found = || {
            vec![tried(0, Some(0.5), 9), tried(1, None, 3), tried(2, Some(0.25), 9), tried(3, Some(0.1), 3)]
        };
        // One that stopped early has had fewer epochs, and may still be the best.
        assert_eq!(order(loss(), found()), [3, 2, 0, 1]);
        assert_eq!(order(accuracy(), found()), [0, 2, 3, 1]);
    }

    #[test]
    fn what_waits_comes_after_what_is_done_and_longer_before_better() {
        let waiting = |index, score, epochs| Tried { status: Status::Waiting, ..tried(index, score, epochs) };
        let undefined = Tried { status: Status::Done, ..tried(5, None, 9) };
        let found = vec![
            tried(0, None, 9),
            waiting(1, Some(0.1), 1),
            waiting(2, Some(0.3), 3),
            waiting(3, Some(0.2), 3),
            tried(4, Some(0.9), 2),
            undefined,
        ];
        assert_eq!(order(loss(), found), [4, 5, 3, 2, 1, 0]);
    }

    #[test]
    fn all_have_diverged_only_if_there_are_some() {
        let all_diverged = |tried| Ranking::new(loss(), Vec::new(), tried).all_diverged();
        assert!(all_diverged(vec![tried(0, None, 0), tried(1, None, 0)]));
        assert!(!all_diverged(vec![tried(0, None, 0), tried(1, Some(1.0), 2)]));
        assert!(!all_diverged(Vec::new()));
        assert!(!all_diverged(vec![Tried { status: Status::Done, ..tried(0, None, 9) }]));
    }

    #[test]
    fn reads_its_number_of_a_result() {
        let metrics = json!({ "train": { "loss": 1.0 }, "validation": { "loss": 3.0, "accuracy_a_b": 0.5 } });
        assert_eq!((loss().read(&metrics), accuracy().read(&metrics)), (Some(3.0), Some(0.5)));
        // Not defined, as the loss of what is not finite.
        assert_eq!(loss().read(&json!({ "train": { "loss": 1.0 }, "validation": { "loss": null } })), None);
    }

    #[test]
    fn the_csv_has_every_digit() {
        let ranking = Ranking::new(loss(), vec!["a,b".into()], vec![tried(4, Some(0.1 + 0.2), 2)]);
        let text = String::from_utf8(ranking.csv().unwrap()).unwrap();
        assert_eq!(text, "rank,trial,loss,epochs,status,\"a,b\",run\n1,4,0.30000000000000004,2,done,7,s/4\n");
    }
}
