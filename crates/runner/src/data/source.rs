//! Data files as bytes, compressed or not.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::DataError;

/// Deflate makes a text at most so many times smaller (zlib's technical notes: 1032 to 1).
const MOST_COMPRESSED: u64 = 1032;

/// The bytes of a data file.
pub(super) struct Source {
    /// Them, decompressed.
    pub(super) reader: Box<dyn Read>,
    /// How many there are, or can be at most in a compressed file of this length.
    pub(super) length: Length,
}

/// What the length of a file says of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// It is the content's.
    Exactly(u64),
    /// The content is compressed, and no longer than this.
    AtMost(u64),
}

/// Opens a file; gzip is recognised by its first bytes.
///
/// # Errors
/// [`DataError`] if it is no file or cannot be read.
pub(super) fn open(path: &Path) -> Result<Source, DataError> {
    let failed = |source| DataError::Io { path: path.to_owned(), source };
    let metadata = path.metadata().map_err(failed)?;
    // A pipe without a writer would be waited for.
    if !metadata.is_file() {
        return Err(DataError::Content { path: path.to_owned(), message: "this is not a file".into() });
    }
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?);
    if file.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]) {
        // A few bytes may be enough for an end without content.
        let most = metadata.len().saturating_mul(MOST_COMPRESSED);
        return Ok(Source { reader: Box::new(MultiGzDecoder::new(file)), length: Length::AtMost(most) });
    }
    Ok(Source { reader: Box::new(file), length: Length::Exactly(metadata.len()) })
}
