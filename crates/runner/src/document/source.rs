//! The texts that an experiment is made of, and places in them.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A longer experiment file is refused: data of that size belong into a data file.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// Which of the [`Sources`] a place is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub usize);

/// A range of bytes in one of the [`Sources`], or nowhere.
///
/// Kept in three words of 32 bits, as inline data may have millions of them: no source is longer than
/// [`MAX_FILE_BYTES`], and the number of sources is bounded by the files and arguments that a user gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    source: u32,
    start: u32,
    end: u32,
}

impl Place {
    /// A range of bytes in a source.
    pub fn new(source: SourceId, span: Range<usize>) -> Self {
        // A value that does not fit cannot occur (see the type); if it did, a wrong caret is the worst of it.
        let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX - 1);
        Self { source: narrow(source.0), start: narrow(span.start), end: narrow(span.end) }
    }

    /// The place of what no user wrote: a default that the program filled in.
    pub const fn none() -> Self {
        Self { source: u32::MAX, start: 0, end: 0 }
    }

    /// A source as a whole, for a mistake that is not on any line (such as a missing table).
    pub fn whole(source: SourceId) -> Self {
        // No text is that long, so that this cannot be the place of anything else.
        Self { end: u32::MAX, ..Self::new(source, 0..0) }
    }

    /// Whether this is [`Place::none`].
    pub fn is_none(&self) -> bool {
        self.source == u32::MAX
    }

    /// Whether this is [`Place::whole`].
    pub fn is_whole(&self) -> bool {
        !self.is_none() && self.end == u32::MAX
    }

    /// The source, unless this is [`Place::none`].
    pub fn source(&self) -> Option<SourceId> {
        (!self.is_none()).then_some(SourceId(self.source as usize))
    }

    /// The bytes within the source; none for [`Place::none`] and [`Place::whole`].
    pub fn span(&self) -> Range<usize> {
        if self.is_whole() {
            return 0..0;
        }
        self.start as usize..self.end as usize
    }
}

/// All texts that an experiment is made of: its file, the files it extends, the `--set` arguments.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    texts: Vec<Source>,
}

#[derive(Debug, Clone)]
struct Source {
    path: Option<PathBuf>,
    text: String,
}

impl Sources {
    /// No text yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the text of a file.
    pub fn add_file(&mut self, path: PathBuf, text: String) -> SourceId {
        self.add(Source { path: Some(path), text })
    }

    /// Adds the text of a `--set` argument.
    pub fn add_argument(&mut self, text: String) -> SourceId {
        self.add(Source { path: None, text })
    }

    fn add(&mut self, source: Source) -> SourceId {
        self.texts.push(source);
        SourceId(self.texts.len() - 1)
    }

    /// The text of a source; nothing for an id of other [`Sources`].
    pub fn text(&self, id: SourceId) -> &str {
        self.texts.get(id.0).map_or("", |source| &source.text)
    }

    /// The file of a source; none for a `--set` argument.
    pub fn path(&self, id: SourceId) -> Option<&Path> {
        self.texts.get(id.0)?.path.as_deref()
    }

    /// The folder that relative paths written at `place` start from: that of the file; none for `--set` and
    /// for defaults, which belong to no file.
    pub fn directory(&self, place: Place) -> Option<&Path> {
        self.path(place.source()?)?.parent()
    }

    /// How a message names the source: its path, or `--set`.
    pub fn origin(&self, id: SourceId) -> String {
        self.path(id).map_or_else(|| "--set".to_owned(), |path| path.display().to_string())
    }
}

/// Why a file could not be read. Each names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such file.
    #[error("there is no file {}", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is a folder or a device.
    #[error("{} is not a file", .path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// It is longer than [`MAX_FILE_BYTES`].
    #[error("{} is longer than {} MiB; put the data into a data file", .path.display(), MAX_FILE_BYTES >> 20)]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It is not text.
    #[error("{} is not UTF-8 text: line {line} has a byte that cannot be read", .path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line of the first bad byte, counted from 1.
        line: usize,
    },
    /// The system says no.
    #[error("cannot read {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Reads an experiment file.
///
/// # Errors
/// When it is missing, not a file, too long, unreadable or not UTF-8.
pub fn read_source(path: &Path) -> Result<String, ReadError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => ReadError::Missing { path: path.to_owned() },
        _ => ReadError::Io { path: path.to_owned(), source },
    };
    // Asked before opening: opening a named pipe would wait for a writer.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(ReadError::NotAFile { path: path.to_owned() });
    }
    let too_long = || ReadError::TooLong { path: path.to_owned() };
    if metadata.len() > MAX_FILE_BYTES {
        return Err(too_long());
    }
    // The file may grow while it is read, and files of /proc have no length: the read is bounded too.
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_long());
    }
    String::from_utf8(bytes).map_err(|error| not_utf8(path, &error))
}

fn not_utf8(path: &Path, error: &std::string::FromUtf8Error) -> ReadError {
    let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
    ReadError::NotUtf8 { path: path.to_owned(), line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_missing_file_from_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no.toml");
        assert!(matches!(read_source(&missing), Err(ReadError::Missing { path }) if path == missing));
        assert!(matches!(read_source(folder.path()), Err(ReadError::NotAFile { .. })));
    }

    #[test]
    fn names_the_line_that_is_not_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, b"a = 1\nb = \"\xff\"\n").unwrap();
        assert!(matches!(read_source(&path), Err(ReadError::NotUtf8 { line: 2, .. })));
    }

    #[test]
    fn refuses_a_file_that_is_too_long_without_reading_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        File::create(&path).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(matches!(read_source(&path), Err(ReadError::TooLong { .. })));
    }

    #[test]
    fn gives_relative_paths_the_folder_of_their_own_file() {
        let mut sources = Sources::new();
        let file = sources.add_file("configs/a.toml".into(), String::new());
        let argument = sources.add_argument("a=1".into());
        assert_eq!(sources.directory(Place::whole(file)), Some(Path::new("configs")));
        assert_eq!(sources.directory(Place::whole(argument)), None);
        assert_eq!(sources.directory(Place::none()), None);
        assert_eq!(sources.origin(argument), "--set");
    }
}
