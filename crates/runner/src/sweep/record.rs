//! What the trials of a halving had reached when they were compared: a file of the sweep's directory.
//!
//! A trial that goes on no longer knows what it had reached before. With the record, the sweep that is called again decides
//! as it did the first time, however far its trials have been trained since.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::checkpoint::fingerprint;
use crate::error::Failure;
use crate::experiment::Experiment;
use crate::storage::{self, Disk, read_bounded};

/// The file.
const FILE: &str = "halving.json";

/// The version of its format.
const FORMAT: u32 = 1;

/// A longer file is none of ours: a trial and rung are a few hundred bytes.
const MOST_BYTES: u64 = 1 << 30;

/// What trials had reached.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    /// By trial and epoch.
    reached: BTreeMap<(usize, u64), Reached>,
}

#[derive(Clone, Debug, PartialEq)]
struct Reached {
    experiment: String,
    metrics: Json,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    reached: Vec<StoredTrial>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredTrial {
    trial: usize,
    epochs: u64,
    /// A digest of the trial's experiment.
    experiment: String,
    /// Loss and metrics of each part of the data.
    metrics: Json,
}

impl Record {
    /// That of a sweep's directory; empty, if it has none.
    ///
    /// # Errors
    /// [`Failure::Run`] if there is one that cannot be read.
    pub(super) fn open(out: &Path) -> Result<Self, Failure> {
        let path = out.join(FILE);
        let failed = |message: String| Failure::Run {
            path: path.clone(),
            message: format!("{message}\n  = help: choose another --out"),
        };
        let bytes = match read_bounded(&path, MOST_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, reached: BTreeMap::new() });
            }
            read => read.map_err(|error| failed(error.to_string()))?,
        };
        let stored: Stored = serde_json::from_slice(&bytes)
            .map_err(|error| failed(format!("this is not the record of a halving: {error}")))?;
        if stored.format != FORMAT {
            return Err(failed(format!(
                "it has the format {}, and this version reads {FORMAT}",
                stored.format
            )));
        }
        let entry = |StoredTrial { trial, epochs, experiment, metrics }| {
            ((trial, epochs), Reached { experiment, metrics })
        };
        Ok(Self { reached: stored.reached.into_iter().map(entry).collect(), path })
    }

    /// What this trial had reached after so many epochs.
    pub(super) fn find(&self, trial: usize, epochs: u64, experiment: &Experiment) -> Option<&Json> {
        let reached = self.reached.get(&(trial, epochs))?;
        (reached.experiment == digest(experiment)).then_some(&reached.metrics)
    }

    /// Notes it.
    pub(super) fn add(&mut self, trial: usize, epochs: u64, experiment: &Experiment, metrics: Json) {
        let reached = Reached { experiment: digest(experiment), metrics };
        self.reached.insert((trial, epochs), reached);
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`Failure::Io`].
    pub(super) fn save(&self) -> Result<(), Failure> {
        let entry = |(&(trial, epochs), reached): (&(usize, u64), &Reached)| StoredTrial {
            trial,
            epochs,
            experiment: reached.experiment.clone(),
            metrics: reached.metrics.clone(),
        };
        let stored = Stored { format: FORMAT, reached: self.reached.iter().map(entry).collect() };
        let mut text = serde_json::to_string_pretty(&stored)
            .map_err(|error| Failure::io("write", &self.path)(error.into()))?;
        text.push('\n');
        storage::write_atomically(&Disk, &self.path, text.as_bytes())
    }
}

/// A digest of all keys that change results.
fn digest(experiment: &Experiment) -> String {
    let mut hasher = blake3::Hasher::new();
    for (key, value) in fingerprint(&experiment.resolved) {
        hasher.update(&(key.len() as u64).to_le_bytes()).update(key.as_bytes()).update(value.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::document::load;
    use crate::experiment::Schemas;
    use crate::registry::Registry;

    fn experiment(seed: u64) -> Experiment {
        let registry = Registry::standard();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/xor.toml");
        let loaded = load(&path, &[format!("seed={seed}")]).unwrap();
        Experiment::of_loaded(loaded, &path, &Schemas::new(&registry), &registry).unwrap()
    }

    #[test]
    fn finds_what_was_noted_of_the_same_trial_and_experiment() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::open(folder.path()).unwrap();
        let metrics = json!({ "train": { "loss": 0.1 + 0.2 } });
        record.add(3, 9, &experiment(1), metrics.clone());
        record.save().unwrap();
        let read = Record::open(folder.path()).unwrap();
        assert_eq!(read.find(3, 9, &experiment(1)), Some(&metrics));
        assert_eq!(read.find(3, 9, &experiment(2)), None);
        assert_eq!((read.find(3, 3, &experiment(1)), read.find(2, 9, &experiment(1))), (None, None));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "[]", "{\"format\": 2, \"reached\": []}", "{\"format\": 1}"] {
            std::fs::write(folder.path().join(FILE), text).unwrap();
            assert!(matches!(Record::open(folder.path()), Err(Failure::Run { .. })), "{text}");
        }
    }
}
