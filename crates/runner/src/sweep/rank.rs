//! Which trial is the best.

use std::cmp::Ordering;

use chainrule_trainer::metrics::Metric;
use serde_json::Value as Json;

use super::Trial;
use crate::progress::short;
use crate::table::Table;

/// What trials are ranked by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Score {
    /// Its name, as the file has it; none for the loss of the validation part or, without one, of the training part.
    name: Option<String>,
    larger_is_better: bool,
}

impl Score {
    /// The score of this name, if there is one among losses and `metrics`.
    pub(crate) fn of(name: Option<&str>, metrics: &[Metric]) -> Option<Self> {
        let Some(name) = name else { return Some(Self { name: None, larger_is_better: false }) };
        let key = ["train_", "validation_"].iter().find_map(|part| name.strip_prefix(part))?;
        let of =
            |word: &str| key.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
        let metric = metrics.iter().find(|metric| **metric != Metric::ConfusionMatrix && of(metric.name()));
        let larger_is_better = match metric {
            Some(metric) => metric.larger_is_better(),
            None if of("loss") => false,
            None => return None,
        };
        Some(Self { name: Some(name.to_owned()), larger_is_better })
    }

    /// The number that `metrics` of a result has of it.
    pub(crate) fn read(&self, metrics: &Json) -> Option<f64> {
        let number = |part: &str, key: &str| metrics.get(part)?.get(key)?.as_f64();
        match self.name.as_deref().map(|name| name.split_once('_')) {
            Some(Some((part, key))) => number(part, key),
            _ => number("validation", "loss").or_else(|| number("train", "loss")),
        }
    }

    /// The name for people.
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("loss")
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
        let values = tried.trial.values.iter().cloned();
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
    use serde_json::json;

    use super::*;

    fn tried(index: usize, score: Option<f64>, epochs: u64) -> Tried {
        let trial = Trial { index, sets: Vec::new(), values: vec![format!("v{index}")] };
        let status = if score.is_some() { Status::Done } else { Status::Diverged };
        Tried { trial, score, epochs, status, run: format!("s/{index}") }
    }

    fn order(name: Option<&str>, tried: Vec<Tried>) -> Vec<usize> {
        let score = Score::of(name, &[Metric::Accuracy, Metric::Rmse]).unwrap();
        let ranking = Ranking::new(score, vec!["k".into()], tried);
        ranking.tried.iter().map(|tried| tried.trial.index).collect()
    }

    #[test]
    fn the_best_comes_first_and_what_diverged_last() {
        let found = || {
            vec![tried(0, Some(0.5), 9), tried(1, None, 3), tried(2, Some(0.25), 9), tried(3, Some(0.1), 3)]
        };
        // One that stopped early has had fewer epochs, and may still be the best.
        assert_eq!(order(None, found()), [3, 2, 0, 1]);
        assert_eq!(order(Some("validation_accuracy"), found()), [0, 2, 3, 1]);
        assert_eq!(order(Some("train_rmse"), found()), [3, 2, 0, 1]);
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
        assert_eq!(order(None, found), [4, 5, 3, 2, 1, 0]);
    }

    #[test]
    fn all_have_diverged_only_if_there_are_some() {
        let all_diverged =
            |tried| Ranking::new(Score::of(None, &[]).unwrap(), Vec::new(), tried).all_diverged();
        assert!(all_diverged(vec![tried(0, None, 0), tried(1, None, 0)]));
        assert!(!all_diverged(vec![tried(0, None, 0), tried(1, Some(1.0), 2)]));
        assert!(!all_diverged(Vec::new()));
        assert!(!all_diverged(vec![Tried { status: Status::Done, ..tried(0, None, 9) }]));
    }

    #[test]
    fn reads_its_number_of_a_result() {
        let metrics = json!({ "train": { "loss": 1.0, "rmse": 2.0 }, "validation": { "loss": 3.0 } });
        let read = |name: Option<&str>| Score::of(name, &[Metric::Rmse]).unwrap().read(&metrics);
        assert_eq!(
            [read(None), read(Some("train_loss")), read(Some("train_rmse"))],
            [Some(3.0), Some(1.0), Some(2.0)]
        );
        assert_eq!(read(Some("validation_rmse")), None);
        for name in ["loss", "test_loss", "train_accuracy", "train_", "validation_lossy"] {
            assert_eq!(Score::of(Some(name), &[Metric::Rmse]), None, "{name}");
        }
    }

    #[test]
    fn the_csv_has_every_digit() {
        let ranking = Ranking::new(
            Score::of(None, &[]).unwrap(),
            vec!["a,b".into()],
            vec![tried(4, Some(0.1 + 0.2), 2)],
        );
        let text = String::from_utf8(ranking.csv().unwrap()).unwrap();
        assert_eq!(
            text,
            "rank,trial,loss,epochs,status,\"a,b\",run\n1,4,0.30000000000000004,2,done,v4,s/4\n"
        );
    }
}
