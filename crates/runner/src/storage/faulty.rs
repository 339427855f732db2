//! A file system of which one call fails.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::{Disk, FileSystem};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// With this error.
    Error(io::ErrorKind),
    /// A write takes only one byte; whatever is no write succeeds.
    Short,
    /// A signal comes in between; the next try succeeds.
    Signal,
    /// From this call on, nothing succeeds: the disk is full, or gone.
    Gone,
}

/// The system, but for call number `at`.
#[derive(Debug)]
pub(crate) struct Faulty {
    at: usize,
    fault: Fault,
    calls: AtomicUsize,
}

impl Faulty {
    pub(crate) fn new(at: usize, fault: Fault) -> Self {
        Self { at, fault, calls: AtomicUsize::new(0) }
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Relaxed)
    }

    fn call(&self) -> io::Result<bool> {
        let number = self.calls.fetch_add(1, Relaxed);
        match self.fault {
            Fault::Gone if number >= self.at => Err(io::ErrorKind::StorageFull.into()),
            _ if number != self.at => Ok(false),
            Fault::Error(kind) => Err(kind.into()),
            Fault::Signal => Err(io::ErrorKind::Interrupted.into()),
            Fault::Short => Ok(true),
            Fault::Gone => Ok(false),
        }
    }
}

impl FileSystem for Faulty {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.call().and_then(|_| Disk.create(path))
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        let short = self.call()?;
        Disk.write(file, if short { &bytes[..1] } else { bytes })
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.call().and_then(|_| Disk.sync(file))
    }

    fn set_length(&self, file: &File, length: u64) -> io::Result<()> {
        self.call().and_then(|_| Disk.set_length(file, length))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|_| Disk.create_folder(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call().and_then(|_| Disk.rename(from, to))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.call().and_then(|_| Disk.sync_folder(folder))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|_| Disk.remove(path))
    }
}
