//! How the directory of a run appears: whole, by one rename, and in the place of another run only on request.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{CONFIG, METRICS, MetricsFile, RunDir, is_run};
use crate::checkpoint;
use crate::error::Failure;
use crate::storage::{self, FileSystem, again, folder_of};

/// Where runs go without `--out`.
const RUNS: &str = "runs";

/// What to do with a run that is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it.
    Keep,
    /// Replace it: `--force`.
    Replace,
}

/// Where a run is to go.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The directory; without one it is `runs/NAME`, with a number added while the name is taken.
    pub out: Option<&'a Path>,
    /// The name of the experiment.
    pub name: &'a str,
    /// What to do with a run that is there.
    pub existing: Existing,
}

impl Place<'_> {
    /// The directory as it would be chosen now, before anything is computed or written.
    ///
    /// # Errors
    /// [`Failure::Usage`] if it exists and may not be replaced, or is not a run.
    pub fn choose(&self) -> Result<PathBuf, Failure> {
        let path = self.out.map_or_else(|| self.numbered(), Path::to_owned);
        check_replaceable(&path, self.existing).map(|()| path)
    }

    fn numbered(&self) -> PathBuf {
        let base = Path::new(RUNS).join(self.name);
        let numbered = (2u32..).map(|number| Path::new(RUNS).join(format!("{}-{number}", self.name)));
        let free = |path: &PathBuf| path.symlink_metadata().is_err();
        let chosen = match self.existing {
            Existing::Replace => Some(base),
            Existing::Keep => std::iter::once(base).chain(numbered).find(free),
        };
        chosen.unwrap_or_else(|| unreachable!("a directory has fewer entries than 2^32"))
    }
}

impl RunDir {
    /// Makes the directory appear by one rename, with the experiment and a first checkpoint, so that it can be resumed from
    /// its first moment. It is ours from that moment on: the log that comes with it is its lock.
    ///
    /// # Errors
    /// [`Failure::Io`] naming what could not be written, then nothing is left behind; as [`Place::choose`].
    pub fn create<'a>(
        system: &'a dyn FileSystem,
        place: Place<'_>,
        config: &str,
        checkpoint: &[u8],
    ) -> Result<(Self, MetricsFile<'a>), Failure> {
        loop {
            let path = place.choose()?;
            match create_at(system, &path, place.existing, (config, checkpoint)) {
                Ok(metrics) => return Ok((Self { path }, metrics)),
                // Somebody took the name meanwhile; there are more.
                Err(Failure::Usage { .. }) if place.out.is_none() && place.existing == Existing::Keep => {}
                Err(failure) => return Err(failure),
            }
        }
    }
}

fn create_at<'a>(
    system: &'a dyn FileSystem,
    path: &Path,
    existing: Existing,
    (config, checkpoint): (&str, &[u8]),
) -> Result<MetricsFile<'a>, Failure> {
    let parent = folder_of(path);
    // What the system calls "exists" is a file where a folder should be.
    let not_a_folder = |error: io::Error| match error.kind() {
        ErrorKind::AlreadyExists => ErrorKind::NotADirectory.into(),
        _ => error,
    };
    let failed = |action| Failure::io(action, path);
    create_folders(system, parent).map_err(not_a_folder).map_err(failed("create"))?;
    let mut staging = Staging::new(system, parent).map_err(failed("create"))?;
    fill(system, &staging.path, config, checkpoint).map_err(failed("create"))?;
    // Opened before it has its name: nobody else can hold its lock.
    let opened = MetricsFile::open(system, &staging.path);
    let opened = opened.and_then(|metrics| metrics.ok_or_else(|| ErrorKind::WouldBlock.into()));
    let metrics = opened.map_err(failed("create"))?;
    put(system, &staging.path, path, existing)?;
    staging.is_gone = true;
    again(|| system.sync_folder(parent)).map_err(failed("create"))?;
    Ok(metrics.moved_to(path))
}

/// A folder beside the run, of a name that nobody else has; removed when dropped, unless it is gone.
#[derive(Debug)]
struct Staging {
    path: PathBuf,
    is_gone: bool,
}

impl Staging {
    fn new(system: &dyn FileSystem, parent: &Path) -> io::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!(".run-{}-{number}", std::process::id()));
            match again(|| system.create_folder(&path)) {
                // Of another process of this number, long ago.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                created => return created.map(|()| Self { path, is_gone: false }),
            }
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.is_gone {
            // What cannot be removed does no harm.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Creates a folder and those that it is in.
fn create_folders(system: &dyn FileSystem, folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_folders(system, parent)?;
    }
    match again(|| system.create_folder(folder)) {
        // Another process was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        created => created,
    }
}

/// The files of a run that has not begun.
fn fill(system: &dyn FileSystem, folder: &Path, config: &str, checkpoint: &[u8]) -> io::Result<()> {
    let checkpoints = folder.join(checkpoint::FOLDER);
    again(|| system.create_folder(&checkpoints))?;
    let files = [(CONFIG, config.as_bytes()), (METRICS, b""), (checkpoint::FIRST, checkpoint)];
    for (name, bytes) in files {
        let file = folder.join(name);
        let unfinished = storage::write_unfinished(system, &file, bytes)?;
        again(|| system.rename(&unfinished, &file))?;
    }
    again(|| system.sync_folder(&checkpoints))?;
    again(|| system.sync_folder(folder))
}

fn is_empty_folder(path: &Path) -> bool {
    !path.is_symlink() && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// An existing run is replaced only on request, and what is not a run never.
fn check_replaceable(path: &Path, existing: Existing) -> Result<(), Failure> {
    if path.symlink_metadata().is_err() || is_empty_folder(path) {
        return Ok(());
    }
    let (message, help) = match (is_run(path), existing) {
        (true, Existing::Replace) if matches!(MetricsFile::open(&storage::Disk, path), Ok(None)) => {
            return Err(is_trained(path));
        }
        (true, Existing::Replace) => return Ok(()),
        (true, Existing::Keep) => ("already holds a run", "choose another --out, or replace it with --force"),
        (false, _) => {
            ("exists and is not a run directory", "choose another --out; --force replaces only runs")
        }
    };
    Err(Failure::Usage { message: format!("{} {message}", path.display()), help: help.to_owned() })
}

fn is_trained(path: &Path) -> Failure {
    let message = format!("{} is being trained by another process", path.display());
    Failure::Usage { message, help: "wait for it, or choose another --out".into() }
}

/// Gives the folder `new` its name; a run that has it is removed, if that is asked for.
fn put(system: &dyn FileSystem, new: &Path, path: &Path, existing: Existing) -> Result<(), Failure> {
    check_replaceable(path, existing)?;
    // Only an empty folder is removed so, whatever became of it since we looked.
    let _ = fs::remove_dir(path);
    if path.symlink_metadata().is_ok() {
        return replace(system, new, path);
    }
    let renamed = again(|| system.rename(new, path));
    renamed.or_else(|error| {
        // If somebody took the name in this moment, that is the reason.
        check_replaceable(path, existing)?;
        Err(Failure::io("create", path)(error))
    })
}

/// Puts the folder `new` in the place of the run at `path`, which is removed then; if that fails, it is put back.
fn replace(system: &dyn FileSystem, new: &Path, path: &Path) -> Result<(), Failure> {
    let failed = |action| Failure::io(action, path);
    // While it is locked, nobody else can train or replace it.
    let lock = MetricsFile::open(system, path).map_err(failed("replace"))?;
    let _lock = lock.filter(|lock| lock.is_of(path)).ok_or_else(|| is_trained(path))?;
    let mut old = Staging::new(system, folder_of(path)).map_err(failed("replace"))?;
    again(|| system.rename(path, &old.path)).map_err(failed("replace"))?;
    let Err(error) = again(|| system.rename(new, path)) else { return Ok(()) };
    if is_run(path) {
        // Somebody took the name in this moment; the old run was to go in any case.
        return Err(is_trained(path));
    }
    old.is_gone = true;
    if fs::rename(&old.path, path).is_err() {
        // Better a folder of a strange name than a run that is lost.
        return Err(Failure::io("replace the run, which is now", &old.path)(error));
    }
    Err(failed("replace")(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Disk;
    use crate::storage::faulty::{Fault, Faulty};

    fn create<'a>(
        system: &'a dyn FileSystem,
        path: &Path,
        config: &str,
        existing: Existing,
    ) -> Result<(RunDir, MetricsFile<'a>), Failure> {
        RunDir::create(system, Place { out: Some(path), name: "", existing }, config, b"state")
    }

    fn folder_with_run() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        create(&Disk, &path, "first", Existing::Keep).unwrap();
        (folder, path)
    }

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_run_that_cannot_be_replaced_is_put_back() {
        let (folder, path) = folder_with_run();
        let error = replace(&Disk, &folder.path().join("nowhere"), &path).unwrap_err();
        assert!(error.to_string().starts_with("error: cannot replace "), "{error}");
        assert_eq!(fs::read_to_string(path.join(CONFIG)).unwrap(), "first");
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn a_run_is_replaced_and_nothing_of_it_is_left() {
        let (folder, path) = folder_with_run();
        create(&Disk, &path, "second", Existing::Replace).unwrap();
        assert_eq!(fs::read_to_string(path.join(CONFIG)).unwrap(), "second");
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn a_failure_names_the_path_of_the_user() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let path = folder.path().join("file/run");
        let error = create(&Disk, &path, "", Existing::Keep).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()) && !error.contains(".run-"), "{error}");
    }

    #[test]
    fn a_run_appears_whole_or_not_at_all() {
        let all = Faulty::new(usize::MAX, Fault::Short);
        let folder = tempfile::tempdir().unwrap();
        create(&all, &folder.path().join("run"), "config", Existing::Keep).unwrap();
        for at in 0..all.calls() {
            for fault in [Fault::Error(ErrorKind::StorageFull), Fault::Gone] {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("run");
                let system = Faulty::new(at, fault);
                let created = create(&system, &path, "config", Existing::Keep);
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
        let metrics = run.metrics(&Disk).unwrap();
        let error = create(&Disk, &path, "second", Existing::Replace).unwrap_err();
        assert!(error.to_string().contains("is being trained by another process"), "{error}");
        let error = run.metrics(&Disk).unwrap_err();
        assert!(error.to_string().contains("another process is training this run"), "{error}");
        drop(metrics);
        create(&Disk, &path, "second", Existing::Replace).unwrap();
    }

    #[test]
    fn a_run_is_locked_from_its_first_moment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let (run, metrics) = create(&Disk, &path, "first", Existing::Keep).unwrap();
        assert!(run.metrics(&Disk).is_err());
        assert!(create(&Disk, &path, "second", Existing::Replace).is_err());
        drop(metrics);
        run.metrics(&Disk).unwrap();
    }

    #[test]
    fn of_many_that_replace_a_run_at_once_each_leaves_it_whole() {
        let (folder, path) = folder_with_run();
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (path, own) = (&path, format!("own {number}"));
                scope.spawn(move || {
                    for _ in 0..50 {
                        let Ok((run, metrics)) = create(&Disk, path, &own, Existing::Replace) else {
                            continue;
                        };
                        // Nobody takes it away while the log is open.
                        std::thread::yield_now();
                        assert_eq!(fs::read_to_string(run.file(CONFIG)).unwrap(), own);
                        assert!(metrics.is_of(run.path()));
                    }
                });
            }
        });
        assert!(is_run(&path));
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn only_an_empty_folder_gives_its_name_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        fs::create_dir(&path).unwrap();
        create(&Disk, &path, "first", Existing::Keep).unwrap();
        let full = folder.path().join("full");
        fs::create_dir_all(full.join("of")).unwrap();
        assert!(create(&Disk, &full, "first", Existing::Replace).is_err());
        assert!(full.join("of").is_dir());
    }
}
