//! The directory of a run: where it is, how it appears, what is in it.

mod create;
mod metrics;

use std::path::{Path, PathBuf};

pub use create::{Existing, Place};
pub use metrics::{MetricsFile, metrics_line};

use crate::checkpoint;
use crate::error::Failure;
use crate::storage::FileSystem;

/// The resolved experiment.
pub const CONFIG: &str = "config.toml";
/// A line a logged epoch.
pub const METRICS: &str = "metrics.jsonl";
/// The trained model.
pub const MODEL: &str = "model.safetensors";
/// What came out.
pub const RESULT: &str = "result.json";

/// A run directory.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// A run directory that is there.
    ///
    /// # Errors
    /// [`Failure::Run`] if it is not one.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        if is_run(path) {
            return Ok(Self { path: path.to_owned() });
        }
        let missing = [CONFIG, METRICS].into_iter().find(|name| !path.join(name).is_file());
        let message = match missing.filter(|_| path.exists()) {
            Some(name) => format!("this is not a run directory: it has no {name}"),
            None => "there is no such run directory".to_owned(),
        };
        Err(Failure::Run { path: path.to_owned(), message })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of the directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The file that takes a line a logged epoch. While it is open, no other process can train this run.
    ///
    /// # Errors
    /// [`Failure::Io`]; [`Failure::Run`] if another process trains it, or if what would be written lies elsewhere.
    pub fn metrics<'a>(&self, system: &'a dyn FileSystem) -> Result<MetricsFile<'a>, Failure> {
        self.check_own(METRICS)?;
        self.check_own(checkpoint::FOLDER)?;
        let opened = MetricsFile::open(system, &self.path);
        let metrics = opened.map_err(Failure::io("open", self.file(METRICS)))?;
        metrics.ok_or_else(|| self.mistake("another process is training this run"))
    }

    /// What is written in place belongs to the run alone: through a link it would be another's.
    fn check_own(&self, name: &str) -> Result<(), Failure> {
        let path = self.file(name);
        // What is not there is created.
        let Ok(metadata) = path.symlink_metadata() else { return Ok(()) };
        if metadata.is_symlink() || has_other_names(&metadata) {
            let message =
                format!("its {name} is a link to what may be another's; go on with a copy of the run");
            return Err(self.mistake(&message));
        }
        Ok(())
    }

    fn mistake(&self, message: &str) -> Failure {
        Failure::Run { path: self.path.clone(), message: message.to_owned() }
    }
}

/// Whether a file has more names than one, by hard links.
#[cfg(unix)]
fn has_other_names(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.is_file() && metadata.nlink() > 1
}

/// Whether a file has more names than one: not asked here.
#[cfg(not(unix))]
fn has_other_names(_metadata: &std::fs::Metadata) -> bool {
    false
}

fn is_run(path: &Path) -> bool {
    path.join(CONFIG).is_file() && path.join(METRICS).is_file()
}
