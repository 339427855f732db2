//! The experiments of the trials: the document of the sweep, read once, with other values of some keys.

use std::path::Path;
use std::sync::Arc;

use super::plan::{Choice, Trial};
use super::rank::Score;
use crate::data::SharedData;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{KeyPath, Loaded, Node, Place, Value};
use crate::error::Failure;
use crate::experiment::{Experiment, Schemas};
use crate::registry::{Number, Registry};
use crate::session::{self, Session};
use crate::spec::{Dtype, Sweep};

/// After so many different mistakes no other trial is looked at.
const MOST_MISTAKES: usize = 100;

/// Digits of a trial's number, however many trials there are: with another number of trials they keep their names, and
/// names sort as numbers do.
const DIGITS: usize = 5;

/// A key that is varied.
struct Varied {
    /// As the file has it.
    name: String,
    path: KeyPath,
    /// The entry of `vary`.
    entry: Node,
}

impl Varied {
    fn place(&self, path: &[&str]) -> Place {
        self.entry.at(path).map_or(self.entry.place, |node| node.place)
    }

    /// Where a value is written: by itself, or the range that it was drawn from.
    fn place_of(&self, choice: &Choice) -> Place {
        match choice.item {
            Some(item) => self.place(&["values", &item.to_string()]),
            None => self.place(&["range"]),
        }
    }
}

/// The experiments of all trials.
pub(crate) struct Experiments<'a> {
    /// The document without `[sweep]`.
    loaded: Loaded,
    varied: Vec<Varied>,
    /// `sweep.monitor`, and where it stands.
    monitor: (Option<String>, Place),
    path: &'a Path,
    /// The sweep's name and its place.
    name: (String, Place),
    registry: &'a Registry,
    schemas: &'a Schemas,
    /// Without its trials, to tell its own mistakes from theirs.
    base: &'a Experiment,
    shared: Arc<SharedData>,
}

/// What is known of trials that have no mistakes.
pub(crate) struct Checked {
    pub(crate) score: Score,
    /// Bytes that each trial takes, beside what they share.
    pub(crate) memory: Vec<u128>,
    /// Parameters and training samples of the first.
    pub(crate) sizes: (usize, usize),
}

/// What is known of one.
struct CheckedTrial {
    score: Score,
    memory: u128,
    data_memory: u128,
    sizes: (usize, usize),
}

impl<'a> Experiments<'a> {
    /// Those of a file that was read for `base` and has no mistakes as far as it can be seen without its trials.
    pub(crate) fn new(
        mut loaded: Loaded,
        (base, sweep): (&'a Experiment, &Sweep),
        path: &'a Path,
        schemas: &'a Schemas,
        registry: &'a Registry,
    ) -> Self {
        let table = loaded.root.as_table_mut().and_then(|root| root.remove("sweep"));
        let entries = table.as_ref().and_then(|table| table.at(&["vary"])).and_then(Node::as_array);
        let varied = sweep.vary().iter().zip(entries.unwrap_or_default());
        let varied = varied.filter_map(|(vary, entry)| {
            let path = KeyPath::parse(&vary.key).ok()?;
            Some(Varied { name: vary.key.clone(), path, entry: entry.clone() })
        });
        let monitor = table.as_ref().and_then(|table| table.at(&["monitor"]).or(Some(table)));
        Self {
            varied: varied.collect(),
            monitor: (sweep.monitor().map(str::to_owned), monitor.map_or(Place::none(), |node| node.place)),
            path,
            name: (base.name.clone(), base.place(&["name"])),
            registry,
            schemas,
            base,
            loaded,
            shared: Arc::default(),
        }
    }

    /// The names of the keys, as the file has them.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.varied.iter().map(|varied| varied.name.clone()).collect()
    }

    /// The number of a trial, as directories are called.
    pub(crate) fn number(trial: &Trial) -> String {
        format!("{:0DIGITS$}", trial.index)
    }

    /// What a trial sets, for people.
    pub(crate) fn sets(&self, trial: &Trial) -> String {
        let set = |(varied, choice): (&Varied, &Choice)| format!("{}={}", varied.name, choice.text());
        self.varied.iter().zip(&trial.choices).map(set).collect::<Vec<_>>().join(", ")
    }

    /// The experiment of a trial.
    ///
    /// # Errors
    /// [`Failure::Experiment`] with the mistakes that its values make, at their places in the file.
    pub(crate) fn of(&self, trial: &Trial) -> Result<Experiment, Failure> {
        let Loaded { mut root, sources, mut diagnostics } = self.loaded.clone();
        for (varied, choice) in self.varied.iter().zip(&trial.choices) {
            let key_place = varied.place(&["key"]);
            let value = Node::new(choice.value(), varied.place_of(choice));
            if let Err(reason) = varied.path.set(&mut root, value, key_place) {
                let message = format!("`{}` cannot be varied: {reason}", varied.name);
                diagnostics.push(Diagnostic::new(message).at(key_place));
            }
        }
        if let Some(table) = root.as_table_mut() {
            let (name, place) = &self.name;
            let name = Value::String(format!("{name}-{}", Self::number(trial)));
            table.insert("name", *place, Node::new(name, *place));
        }
        let loaded = Loaded { root, sources, diagnostics };
        let mut experiment = Experiment::of_loaded(loaded, self.path, self.schemas, self.registry)?;
        experiment.shared = Some(Arc::clone(&self.shared));
        Ok(experiment)
    }

    /// Builds every trial, to find what training would refuse: all mistakes of all trials at once.
    ///
    /// # Errors
    /// [`Failure::Experiment`]; [`Failure::Data`] if the data of a trial cannot be read.
    pub(crate) fn check(&self, trials: &[Trial]) -> Result<Checked, Failure> {
        let mut mistakes = Vec::new();
        let mut checked: Vec<CheckedTrial> = Vec::with_capacity(trials.len());
        for trial in trials {
            // A sweep that names no number is ranked by what its first trial has, so that all have the same.
            let score = checked.first().map(|first| &first.score);
            match self.check_one(trial, score) {
                Ok(one) => checked.push(one),
                Err(Failure::Experiment(found, _)) => add(&mut mistakes, &found, trial),
                Err(other) => return Err(other),
            }
            if mistakes.len() >= MOST_MISTAKES {
                break;
            }
        }
        match checked.first() {
            Some(first) if mistakes.is_empty() => {
                let own_data = !self.shared.are_the_same();
                let memory = |one: &CheckedTrial| one.memory + if own_data { one.data_memory } else { 0 };
                let memory = checked.iter().map(memory).collect();
                Ok(Checked { score: first.score.clone(), memory, sizes: first.sizes })
            }
            _ => Err(self.base.mistake(self.in_words_of_trials(mistakes))),
        }
    }

    fn check_one(&self, trial: &Trial, score: Option<&Score>) -> Result<CheckedTrial, Failure> {
        let experiment = self.of(trial)?;
        match experiment.dtype {
            Dtype::F32 => self.check_session::<f32>(&experiment, score),
            Dtype::F64 => self.check_session::<f64>(&experiment, score),
        }
    }

    fn check_session<F: Number>(
        &self,
        experiment: &Experiment,
        score: Option<&Score>,
    ) -> Result<CheckedTrial, Failure> {
        let session = Session::<F>::new(experiment, self.registry, None)?;
        if experiment.initial_weights.is_some() {
            session.start(experiment)?;
        }
        let has_validation = session.validation.is_some();
        let (monitor, place) = &self.monitor;
        let by_default = match score {
            Some(score) => score.full_name(),
            None if has_validation => "validation_loss".to_owned(),
            None => "train_loss".to_owned(),
        };
        let name = monitor.as_deref().unwrap_or(&by_default);
        let found = experiment.score((name, *place), &session.scored, has_validation)?;
        let label = if monitor.is_some() { name } else { "loss" };
        Ok(CheckedTrial {
            score: Score::new(name, label, &found),
            memory: session.memory(experiment),
            data_memory: session.data_memory(),
            sizes: (session.parameter_count, session.train.len()),
        })
    }

    /// What is wrong without any trial is said as it is; else with the first trial that has it.
    fn in_words_of_trials(&self, mistakes: Vec<(Diagnostic, Trial)>) -> Diagnostics {
        let of_base = session::mistakes(self.base, self.registry);
        let mut all = Diagnostics::new();
        for (mistake, trial) in mistakes {
            if of_base.iter().any(|other| *other == mistake) {
                all.push(mistake);
                continue;
            }
            let of_trial = format!("this is of trial {}: {}", trial.index, self.sets(&trial));
            let help = match &mistake.help {
                Some(help) => format!("{help}; {of_trial}"),
                None => of_trial,
            };
            all.push(mistake.help(help));
        }
        all
    }
}

/// Adds what no trial before had.
fn add(mistakes: &mut Vec<(Diagnostic, Trial)>, found: &Diagnostics, trial: &Trial) {
    for mistake in found.iter() {
        if !mistakes.iter().any(|(known, _)| known == mistake) {
            mistakes.push((mistake.clone(), trial.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::load;
    use crate::sweep::trials;

    const CSV: &str = r#"
[data]
type = "csv"
path = "d.csv"
target = "y"
[model]
layers = [{ type = "dense", units = 1 }]
[loss]
type = "mse"
[optimizer]
type = "sgd"
learning_rate = 0.1
[train]
epochs = 2
[sweep]
type = "grid"
"#;

    /// What `test` finds of a sweep over `vary`, in a folder with its data.
    fn with<T>(vary: &str, test: impl FnOnce(&Experiments<'_>, &[Trial], &Path) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("d.csv"), "x,y\n1,2\n2,4\n3,6\n4,9\n").unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, format!("{CSV}vary = [{vary}]\n")).unwrap();
        let registry = Registry::standard();
        let schemas = Schemas::new(&registry);
        let loaded = load(&path, &[]).unwrap();
        let base = Experiment::of_loaded(loaded.clone(), &path, &schemas, &registry).unwrap();
        let sweep = base.sweep.as_ref().unwrap();
        let experiments = Experiments::new(loaded, (&base, sweep), &path, &schemas, &registry);
        test(&experiments, &trials(sweep, 0), folder.path())
    }

    #[test]
    fn trials_read_their_document_and_their_data_once() {
        let rates = "{ key = \"optimizer.learning_rate\", values = [0.1, 0.2, 0.3] }";
        with(rates, |experiments, trials, folder| {
            let checked = experiments.check(trials).unwrap();
            for name in ["d.csv", "x.toml"] {
                std::fs::remove_file(folder.join(name)).unwrap();
            }
            let session = |trial| {
                let experiment = experiments.of(trial).unwrap();
                Session::<f32>::new(&experiment, experiments.registry, None).unwrap()
            };
            let (first, again) = (session(&trials[0]), session(&trials[2]));
            assert!(std::ptr::eq(first.data_digest(), again.data_digest()));
            assert_eq!(format!("{:?}", experiments.shared), "SharedData((1, 1))");
            assert_eq!(checked.memory, vec![first.memory(&experiments.of(&trials[0]).unwrap()); 3]);
        });
    }

    #[test]
    fn data_of_its_own_is_memory_of_a_trial() {
        let memory =
            |vary: &str| with(vary, |experiments, trials, _| experiments.check(trials).unwrap().memory);
        let shared = memory("{ key = \"optimizer.learning_rate\", values = [0.1, 0.2] }");
        let own = memory("{ key = \"data.scale\", values = [\"center\", \"minmax\"] }");
        // Four samples of two numbers.
        assert_eq!(own, [shared[0] + 32, shared[1] + 32]);
    }

    #[test]
    fn a_path_is_relative_to_the_file_that_varies_it() {
        with("{ key = \"data.path\", values = [\"d.csv\"] }", |experiments, trials, folder| {
            let experiment = experiments.of(&trials[0]).unwrap();
            let path = experiment.resolved.at(&["data", "path"]).unwrap().as_str().unwrap();
            assert_eq!(Path::new(path), std::path::absolute(folder.join("d.csv")).unwrap());
        });
    }
}
