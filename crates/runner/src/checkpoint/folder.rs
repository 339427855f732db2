//! The folder of checkpoints: how one takes the place of the other, and which one is read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::storage::{FileSystem, again, folder_of, remove_unfinished, write_unfinished};

/// The name of the folder in a run.
pub(crate) const FOLDER: &str = "checkpoints";

/// The newest checkpoint.
const LAST: &str = "last";

/// Where a run has its first checkpoint.
pub(crate) const FIRST: &str = "checkpoints/last";

/// The best.
const BEST: &str = "best";

/// What the names of the older ones begin with.
const OLDER: &str = "step-";

/// The folder of checkpoints of a run that is under way.
#[derive(Debug)]
pub(crate) struct Folder<'a> {
    system: &'a dyn FileSystem,
    path: PathBuf,
    /// How many are kept, `last` among them.
    keep: usize,
    /// The step of the one that is `last`, if there is one.
    last: Option<u64>,
}

impl<'a> Folder<'a> {
    /// The folder of a run of which `last` is of this step.
    pub(crate) fn new(system: &'a dyn FileSystem, run: &Path, keep: usize, last: Option<u64>) -> Self {
        Self { system, path: run.join(FOLDER), keep, last }
    }

    /// The file that is `last`.
    pub(crate) fn last(&self) -> PathBuf {
        self.path.join(LAST)
    }

    /// The file that is `best`.
    pub(crate) fn best(&self) -> PathBuf {
        self.path.join(BEST)
    }

    /// Puts a new checkpoint in the place of `last`, which stays beside it under its step's name, and removes what is
    /// too old. Whatever fails, every checkpoint that was there is there still.
    pub(crate) fn save(&mut self, bytes: &[u8], step: u64) -> io::Result<()> {
        let (system, last) = (self.system, self.last());
        let new = write_unfinished(system, &last, bytes)?;
        let discard = |_: &io::Error| drop(fs::remove_file(&new));
        if let Some(old) = self.last.filter(|_| last.exists()) {
            let older = self.path.join(format!("{OLDER}{old:012}"));
            again(|| system.rename(&last, &older)).inspect_err(discard)?;
        }
        again(|| system.rename(&new, &last)).inspect_err(discard)?;
        again(|| system.sync_folder(&self.path))?;
        self.last = Some(step);
        self.remove_old()
    }

    /// Puts a new checkpoint in the place of `best`.
    pub(crate) fn save_best(&self, bytes: &[u8]) -> io::Result<()> {
        let best = self.best();
        let new = write_unfinished(self.system, &best, bytes)?;
        again(|| self.system.rename(&new, &best)).inspect_err(|_| drop(fs::remove_file(&new)))?;
        again(|| self.system.sync_folder(folder_of(&best)))
    }

    /// Removes `best`.
    pub(crate) fn remove_best(&self) -> io::Result<()> {
        again(|| self.system.remove(&self.best()))?;
        again(|| self.system.sync_folder(&self.path))
    }

    /// Removes what is too old; a process that was killed may not have come to it.
    pub(crate) fn remove_old(&self) -> io::Result<()> {
        for (_, path) in older(&self.path).into_iter().skip(self.keep - 1) {
            again(|| self.system.remove(&path))?;
        }
        Ok(())
    }
}

/// A file that may be a checkpoint to go on from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) path: PathBuf,
    /// Whether it is the one called `last`.
    pub(crate) is_last: bool,
}

/// The checkpoints of a run, the newest first, and the best at the end. What a killed process left unfinished is removed.
pub(crate) fn candidates(run: &Path) -> Vec<Candidate> {
    let folder = run.join(FOLDER);
    remove_unfinished(&folder);
    let (last, best) = (folder.join(LAST), folder.join(BEST));
    let is_there = |path: &PathBuf| path.exists();
    let newest = Some(last).filter(is_there).map(|path| Candidate { path, is_last: true });
    let older = older(&folder).into_iter().map(|(_, path)| path).chain(Some(best).filter(is_there));
    newest.into_iter().chain(older.map(|path| Candidate { path, is_last: false })).collect()
}

/// The older ones with their steps, the newest first.
fn older(folder: &Path) -> Vec<(u64, PathBuf)> {
    let step = |name: &str| name.strip_prefix(OLDER)?.parse::<u64>().ok();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(u64, PathBuf)> =
        entries.filter_map(|entry| Some((step(entry.file_name().to_str()?)?, entry.path()))).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::storage::Disk;
    use crate::storage::faulty::{Fault, Faulty};

    fn run() -> tempfile::TempDir {
        let run = tempfile::tempdir().unwrap();
        fs::create_dir(run.path().join(FOLDER)).unwrap();
        run
    }

    fn content(step: u64) -> Vec<u8> {
        format!("checkpoint of step {step}").into_bytes()
    }

    fn names(run: &Path) -> Vec<String> {
        let entries = fs::read_dir(run.join(FOLDER)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn keeps_as_many_as_asked_for_and_the_best() {
        let run = run();
        let mut folder = Folder::new(&Disk, run.path(), 3, None);
        for step in [0, 5, 10, 15, 20] {
            folder.save(&content(step), step).unwrap();
            if step == 10 {
                folder.save_best(&content(step)).unwrap();
            }
        }
        assert_eq!(names(run.path()), ["best", "last", "step-000000000010", "step-000000000015"]);
        let found = candidates(run.path()).into_iter().map(|candidate| fs::read(candidate.path).unwrap());
        assert!(found.eq([content(20), content(15), content(10), content(10)]));
        folder.remove_best().unwrap();
        assert_eq!(names(run.path()), ["last", "step-000000000010", "step-000000000015"]);
    }

    /// Saves until a call fails; the last step that was saved, and that at which it failed.
    fn save_until_failure(system: &Faulty, run: &Path) -> (Option<u64>, Option<u64>) {
        let mut folder = Folder::new(system, run, 2, None);
        let mut saved = None;
        for step in [0, 5, 10, 15] {
            match folder.save(&content(step), step) {
                Ok(()) => saved = Some(step),
                Err(_) => return (saved, Some(step)),
            }
        }
        (saved, None)
    }

    #[test]
    fn no_call_that_fails_loses_a_checkpoint() {
        let all = Faulty::new(usize::MAX, Fault::Short);
        save_until_failure(&all, run().path());
        let calls = all.calls();
        assert!(calls > 20, "{calls}");
        let faults = [
            Fault::Error(ErrorKind::Other),
            Fault::Error(ErrorKind::StorageFull),
            Fault::Error(ErrorKind::PermissionDenied),
            Fault::Gone,
            Fault::Short,
            Fault::Signal,
        ];
        for fault in faults {
            for at in 0..calls {
                let run = run();
                let (saved, failed) = save_until_failure(&Faulty::new(at, fault), run.path());
                let harmless = matches!(fault, Fault::Short | Fault::Signal);
                assert_eq!(failed.is_none(), harmless, "{fault:?} at call {at}");
                let found = candidates(run.path());
                let newest = found.first().map(|candidate| fs::read(&candidate.path).unwrap());
                let expected = [saved, failed].map(|step| step.map(content));
                assert!(expected.contains(&newest), "{fault:?} at call {at}: {newest:?}");
                // What is there is whole, and the one before the newest is there too.
                let kept: Vec<Vec<u8>> =
                    found.iter().map(|candidate| fs::read(&candidate.path).unwrap()).collect();
                assert!(kept.iter().all(|bytes| [0, 5, 10, 15].map(content).contains(bytes)));
                assert!(kept.len() >= saved.map_or(0, |step| if step == 0 { 1 } else { 2 }), "{kept:?}");
                assert!(!names(run.path()).iter().any(|name| name.ends_with(".unfinished")));
            }
        }
    }

    #[test]
    fn the_older_one_is_found_between_two_renames() {
        let run = run();
        let mut folder = Folder::new(&Disk, run.path(), 2, None);
        folder.save(&content(0), 0).unwrap();
        folder.save(&content(7), 7).unwrap();
        let names = [LAST, "step-000000000007"].map(|name| run.path().join(FOLDER).join(name));
        fs::rename(&names[0], &names[1]).unwrap();
        fs::write(run.path().join(FOLDER).join(".last.1-1.unfinished"), "half").unwrap();
        let found = candidates(run.path());
        let steps = ["step-000000000007", "step-000000000000"];
        assert!(found.iter().zip(steps).all(|(found, step)| found.path.ends_with(step) && !found.is_last));
        assert_eq!(found.len(), steps.len());
        // A run that goes on from it adds to what is there.
        Folder::new(&Disk, run.path(), 2, None).save(&content(9), 9).unwrap();
        let found = candidates(run.path()).into_iter().map(|candidate| fs::read(candidate.path).unwrap());
        assert!(found.eq([content(9), content(7)]));
    }
}
