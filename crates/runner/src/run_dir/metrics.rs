//! `metrics.jsonl`: a line a logged epoch, and the lock of a run.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use chainrule_trainer::Record;
use chainrule_trainer::metrics::Scored;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::METRICS;
use crate::error::Failure;
use crate::evaluation;
use crate::storage::{FileSystem, again, write_all};

/// `metrics.jsonl`, open at its end. While it is open, no other process can train the run.
#[derive(Debug)]
pub struct MetricsFile<'a> {
    system: &'a dyn FileSystem,
    file: File,
    path: PathBuf,
}

impl<'a> MetricsFile<'a> {
    /// Opens that of the run in this folder; none, if another process has it open.
    pub(super) fn open(system: &'a dyn FileSystem, run: &Path) -> std::io::Result<Option<Self>> {
        let path = run.join(METRICS);
        let file = OpenOptions::new().append(true).open(&path)?;
        Ok((!is_locked(&file)).then_some(Self { system, file, path }))
    }

    /// The same file after its folder got another name.
    pub(super) fn moved_to(self, run: &Path) -> Self {
        Self { path: run.join(METRICS), ..self }
    }

    /// Whether it is the file that has its name in this folder still.
    #[cfg(unix)]
    pub(super) fn is_of(&self, run: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let same = |found: std::fs::Metadata| {
            self.file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (found.dev(), found.ino()))
        };
        run.join(METRICS).metadata().is_ok_and(same)
    }

    /// Whether it is the file that has its name in this folder still: here a folder with an open file keeps its name.
    #[cfg(not(unix))]
    pub(super) fn is_of(&self, _run: &Path) -> bool {
        true
    }

    /// Appends a line.
    ///
    /// # Errors
    /// What the system says.
    pub fn append(&mut self, record: &Record) -> std::io::Result<()> {
        let mut line = metrics_line(record);
        line.push('\n');
        write_all(self.system, &mut self.file, line.as_bytes())
    }

    /// The length of what is on the disk by now.
    ///
    /// # Errors
    /// [`Failure::Io`].
    pub fn sync(&self) -> Result<u64, Failure> {
        again(|| self.system.sync(&self.file)).map_err(Failure::io("write", &self.path))?;
        self.length()
    }

    /// The length.
    ///
    /// # Errors
    /// [`Failure::Io`].
    pub fn length(&self) -> Result<u64, Failure> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(Failure::io("read", &self.path))
    }

    /// Forgets what was written after it had this length.
    ///
    /// # Errors
    /// [`Failure::Io`].
    pub fn cut(&self, length: u64) -> Result<(), Failure> {
        again(|| self.system.set_length(&self.file, length)).map_err(Failure::io("write", &self.path))
    }

    /// Another handle of the same file.
    ///
    /// # Errors
    /// [`Failure::Io`].
    pub fn again(&self) -> Result<Self, Failure> {
        let file = self.file.try_clone().map_err(Failure::io("open", &self.path))?;
        Ok(Self { system: self.system, file, path: self.path.clone() })
    }
}

/// Whether somebody else holds the lock; if not, it is ours from now on. A file system without locks has none held.
fn is_locked(file: &File) -> bool {
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// A record as `metrics.jsonl` has it.
pub fn metrics_line(record: &Record) -> String {
    #[derive(Serialize)]
    struct Line {
        epoch: u64,
        step: u64,
        running_loss: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        train_loss: Option<f64>,
        #[serde(flatten)]
        train: Map<String, Json>,
        #[serde(skip_serializing_if = "Option::is_none")]
        validation_loss: Option<f64>,
        #[serde(flatten)]
        validation: Map<String, Json>,
        learning_rate: f64,
        train_seconds: f64,
        epochs_since: u64,
    }
    let more = |part: &str, losses: &[(String, f64)], scores: &[Scored]| {
        let loss = |(output, loss): &(String, f64)| (format!("{part}_loss_{output}"), Json::from(*loss));
        let score =
            |scored: &Scored| (format!("{part}_{}", scored.key()), evaluation::score_json(&scored.score));
        losses.iter().map(loss).chain(scores.iter().map(score)).collect()
    };
    let line = Line {
        epoch: record.epoch,
        step: record.step,
        running_loss: record.running_loss,
        train_loss: record.train_loss,
        train: more("train", &record.train_losses, &record.train_scores),
        validation_loss: record.validation_loss,
        validation: more("validation", &record.validation_losses, &record.validation_scores),
        learning_rate: record.learning_rate,
        train_seconds: record.train_seconds,
        epochs_since: record.epochs_since,
    };
    serde_json::to_string(&line).expect("numbers and fixed keys are always JSON")
}
