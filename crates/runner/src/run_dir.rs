//! The directory of a run: where it is, how it appears, what is in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use chainrule_trainer::Record;
use chainrule_trainer::metrics::Scored;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::checkpoint;
use crate::error::Failure;
use crate::evaluation;
use crate::storage::{self, FileSystem, again};

/// The resolved experiment.
pub const CONFIG: &str = "config.toml";
/// A line a logged epoch.
pub const METRICS: &str = "metrics.jsonl";
/// The trained model.
pub const MODEL: &str = "model.safetensors";
/// What came out.
pub const RESULT: &str = "result.json";

/// Where runs go without `--out`.
const RUNS: &str = "runs";

/// A run directory.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
}

/// What to do with a run that is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it.
    Keep,
    /// Replace it: `--force`.
    Replace,
}

impl RunDir {
    /// Finds where a run will go, before anything is computed or written: `out`, or `runs/NAME` with a number added while
    /// the name is taken.
    ///
    /// # Errors
    /// [`Failure::Usage`] if `out` exists and may not be replaced, or is not a run.
    pub fn choose(out: Option<&Path>, name: &str, existing: Existing) -> Result<PathBuf, Failure> {
        let Some(out) = out else {
            let base = Path::new(RUNS).join(name);
            let numbered = (2u32..).map(|number| Path::new(RUNS).join(format!("{name}-{number}")));
            let free = |path: &PathBuf| path.symlink_metadata().is_err();
            let chosen = match existing {
                Existing::Replace => Some(base),
                Existing::Keep => std::iter::once(base).chain(numbered).find(free),
            };
            let path = chosen.unwrap_or_else(|| unreachable!("a directory has fewer entries than 2^32"));
            return check_replaceable(&path, existing).map(|()| path);
        };
        check_replaceable(out, existing)?;
        Ok(out.to_owned())
    }

    /// Makes the directory appear by one rename, with the experiment and a first checkpoint, so that it can be resumed from
    /// its first moment.
    ///
    /// # Errors
    /// [`Failure::Io`] naming what could not be written; then nothing is left behind.
    pub fn create(
        system: &dyn FileSystem,
        path: &Path,
        config: &str,
        checkpoint: &[u8],
        existing: Existing,
    ) -> Result<Self, Failure> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // What the system calls "exists" is a file where a folder should be.
        let not_a_folder = |error: std::io::Error| match error.kind() {
            ErrorKind::AlreadyExists => ErrorKind::NotADirectory.into(),
            _ => error,
        };
        fs::create_dir_all(parent).map_err(not_a_folder).map_err(Failure::io("create", path))?;
        let failed = |action| Failure::io(action, path);
        let staging = staging_folder(parent).map_err(failed("create"))?;
        fill(system, staging.path(), config, checkpoint).map_err(failed("create"))?;
        check_replaceable(path, existing)?;
        replace(system, staging.path(), path, parent)?;
        // The staging directory is no longer at its path: there is nothing to remove.
        let _ = staging.keep();
        again(|| system.sync_folder(parent)).map_err(failed("create"))?;
        Ok(Self { path: path.to_owned() })
    }

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
    /// [`Failure::Io`]; [`Failure::Run`] if another process trains it.
    pub fn metrics(&self) -> Result<MetricsFile, Failure> {
        let path = self.file(METRICS);
        let file = OpenOptions::new().append(true).open(&path).map_err(Failure::io("open", &path))?;
        if is_locked(&file) {
            let message = "another process is training this run".to_owned();
            return Err(Failure::Run { path: self.path.clone(), message });
        }
        Ok(MetricsFile { file, path })
    }
}

/// `metrics.jsonl`, open at its end.
#[derive(Debug)]
pub struct MetricsFile {
    file: File,
    path: PathBuf,
}

/// Whether somebody else holds the lock; if not, it is ours from now on. A file system without locks has none held.
fn is_locked(file: &File) -> bool {
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

impl MetricsFile {
    /// Appends a line.
    ///
    /// # Errors
    /// What the system says.
    pub fn append(&mut self, record: &Record) -> std::io::Result<()> {
        let mut line = metrics_line(record);
        line.push('\n');
        self.file.write_all(line.as_bytes())
    }

    /// The length of what is on the disk by now.
    ///
    /// # Errors
    /// [`Failure::Io`].
    pub fn sync(&self) -> Result<u64, Failure> {
        let length = || {
            self.file.sync_data()?;
            Ok(self.file.metadata()?.len())
        };
        length().map_err(Failure::io("write", &self.path))
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
        self.file.set_len(length).map_err(Failure::io("write", &self.path))
    }

    /// Another handle of the same file.
    ///
    /// # Errors
    /// [`Failure::Io`].
    pub fn again(&self) -> Result<Self, Failure> {
        let file = self.file.try_clone().map_err(Failure::io("open", &self.path))?;
        Ok(Self { file, path: self.path.clone() })
    }
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

fn staging_builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".run-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o777));
    }
    builder
}

/// The files of a run that has not begun.
fn fill(system: &dyn FileSystem, folder: &Path, config: &str, checkpoint: &[u8]) -> std::io::Result<()> {
    fs::create_dir(folder.join(checkpoint::FOLDER))?;
    let files = [(CONFIG, config.as_bytes()), (METRICS, b""), (checkpoint::FIRST, checkpoint)];
    for (name, bytes) in files {
        let file = folder.join(name);
        let unfinished = storage::write_unfinished(system, &file, bytes)?;
        again(|| system.rename(&unfinished, &file))?;
    }
    again(|| system.sync_folder(&folder.join(checkpoint::FOLDER)))?;
    again(|| system.sync_folder(folder))
}

/// Whether another process is training the run.
fn is_trained(path: &Path) -> bool {
    File::open(path.join(METRICS)).is_ok_and(|file| is_locked(&file))
}

fn is_run(path: &Path) -> bool {
    path.join(CONFIG).is_file() && path.join(METRICS).is_file()
}

fn is_empty_folder(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// An existing run is replaced only on request, and what is not a run never.
fn check_replaceable(path: &Path, existing: Existing) -> Result<(), Failure> {
    if path.symlink_metadata().is_err() || is_empty_folder(path) {
        return Ok(());
    }
    let usage = |message: &str, help: &str| {
        Err(Failure::Usage { message: format!("{} {message}", path.display()), help: help.to_owned() })
    };
    match (is_run(path), existing) {
        (true, Existing::Replace) if is_trained(path) => {
            usage("is being trained by another process", "wait for it, or choose another --out")
        }
        (true, Existing::Replace) => Ok(()),
        (true, Existing::Keep) => {
            usage("already holds a run", "choose another --out, or replace it with --force")
        }
        (false, _) => {
            usage("exists and is not a run directory", "choose another --out; --force replaces only runs")
        }
    }
}

/// A folder beside the run, of a name that nobody else has.
fn staging_folder(parent: &Path) -> std::io::Result<tempfile::TempDir> {
    // The library's error names that folder, of which the user knows nothing.
    staging_builder().tempdir_in(parent).map_err(|error| error.kind().into())
}

/// Puts the folder `new` in the place of what is at `path`, which is removed then; if that fails, it is put back.
fn replace(system: &dyn FileSystem, new: &Path, path: &Path, parent: &Path) -> Result<(), Failure> {
    let failed = |action| Failure::io(action, path);
    if path.symlink_metadata().is_err() {
        return again(|| system.rename(new, path)).map_err(failed("create"));
    }
    let old = staging_folder(parent).map_err(failed("replace"))?;
    again(|| system.rename(path, old.path())).map_err(failed("replace"))?;
    let Err(error) = again(|| system.rename(new, path)) else { return Ok(()) };
    if fs::rename(old.path(), path).is_err() {
        // Better a folder of a strange name than a run that is lost.
        return Err(Failure::io("replace the run, which is now", old.keep())(error));
    }
    // It is back at its place: there is nothing to remove.
    let _ = old.keep();
    Err(failed("replace")(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Disk;
    use crate::storage::faulty::{Fault, Faulty};

    fn folder_with_run() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        RunDir::create(&Disk, &path, "first", b"state", Existing::Keep).unwrap();
        (folder, path)
    }

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_run_that_cannot_be_replaced_is_put_back() {
        let (folder, path) = folder_with_run();
        let error = replace(&Disk, &folder.path().join("nowhere"), &path, folder.path()).unwrap_err();
        assert!(error.to_string().starts_with("error: cannot replace "), "{error}");
        assert_eq!(fs::read_to_string(path.join(CONFIG)).unwrap(), "first");
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn a_run_is_replaced_and_nothing_of_it_is_left() {
        let (folder, path) = folder_with_run();
        RunDir::create(&Disk, &path, "second", b"state", Existing::Replace).unwrap();
        assert_eq!(fs::read_to_string(path.join(CONFIG)).unwrap(), "second");
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn a_failure_names_the_path_of_the_user() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let path = folder.path().join("file/run");
        let error = RunDir::create(&Disk, &path, "", b"", Existing::Keep).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()) && !error.contains(".run-"), "{error}");
    }

    #[test]
    fn a_run_appears_whole_or_not_at_all() {
        let all = Faulty::new(usize::MAX, Fault::Short);
        let folder = tempfile::tempdir().unwrap();
        RunDir::create(&all, &folder.path().join("run"), "config", b"state", Existing::Keep).unwrap();
        for at in 0..all.calls() {
            for fault in [Fault::Error(ErrorKind::StorageFull), Fault::Gone] {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("run");
                let system = Faulty::new(at, fault);
                let created = RunDir::create(&system, &path, "config", b"state", Existing::Keep);
                assert!(created.is_err(), "call {at}");
                // Only the very last call, after the rename, can leave something: a whole run.
                assert!(entries(folder.path()) <= usize::from(at + 1 == all.calls()), "call {at}");
                if path.exists() {
                    let files = [CONFIG, METRICS, checkpoint::FIRST];
                    assert!(files.iter().all(|name| path.join(name).is_file()), "call {at}");
                }
            }
        }
    }

    #[test]
    fn a_run_that_is_being_trained_is_not_replaced() {
        let (_folder, path) = folder_with_run();
        let run = RunDir::open(&path).unwrap();
        let metrics = run.metrics().unwrap();
        let error = RunDir::create(&Disk, &path, "second", b"state", Existing::Replace).unwrap_err();
        assert!(error.to_string().contains("is being trained by another process"), "{error}");
        let error = run.metrics().unwrap_err();
        assert!(error.to_string().contains("another process is training this run"), "{error}");
        drop(metrics);
        RunDir::create(&Disk, &path, "second", b"state", Existing::Replace).unwrap();
    }
}
