//! Files that are either whole or not there.

mod disk;
#[cfg(test)]
pub(crate) mod faulty;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub use disk::{Disk, FileSystem};

use crate::error::Failure;

/// How the name of a file ends that is not whole yet.
const UNFINISHED: &str = ".unfinished";

/// Writes a file in one step: a reader sees the old content or the new, never a part. The bytes are on the disk before
/// the name is.
///
/// # Errors
/// [`Failure::Io`] with the path; then the old content is there still.
pub fn write_atomically(system: &dyn FileSystem, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let write = || {
        let unfinished = write_unfinished(system, path, bytes)?;
        again(|| system.rename(&unfinished, path)).inspect_err(|_| discard(&unfinished))?;
        again(|| system.sync_folder(folder_of(path)))
    };
    write().map_err(Failure::io("write", path))
}

/// Writes the bytes to a file beside `path`, to be renamed; if that fails, it is removed.
pub(crate) fn write_unfinished(system: &dyn FileSystem, path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let (unfinished, mut file) = create_beside(system, path)?;
    let written = write_all(system, &mut file, bytes).and_then(|()| again(|| system.sync(&file)));
    written.inspect_err(|_| discard(&unfinished))?;
    Ok(unfinished)
}

/// Removes the files beside whole ones that a process left behind when it was killed.
pub(crate) fn remove_unfinished(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
            discard(&entry.path());
        }
    }
}

/// The folder of a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file that is not wanted; if it cannot be removed, it does no harm.
fn discard(path: &Path) {
    let _ = std::fs::remove_file(path);
}

/// Creates a file of a name that no other has, a dot before it.
fn create_beside(system: &dyn FileSystem, path: &Path) -> io::Result<(PathBuf, File)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    loop {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        name.push(format!(".{}-{number}{UNFINISHED}", std::process::id()));
        let beside = folder_of(path).join(name);
        match again(|| system.create(&beside)) {
            // Of another process of this number, long ago.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => return created.map(|file| (beside, file)),
        }
    }
}

/// Writes all of the bytes.
pub(crate) fn write_all(system: &dyn FileSystem, file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match again(|| system.write(file, bytes))? {
            0 => return Err(ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    Ok(())
}

/// Calls the system until no signal comes in between.
pub(crate) fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// What the system says, or that it is no file or too long.
pub fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // Asked before opening: opening a named pipe would wait for a writer.
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::from(ErrorKind::IsADirectory));
    }
    if !metadata.is_file() {
        return Err(io::Error::other("this is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("the file is longer than {limit} bytes")));
    }
    Ok(bytes)
}
