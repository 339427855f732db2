//! Files in the IDX format of the MNIST database (LeCun, Cortes & Burges, 1998): a header that says type and axes, then
//! the numbers. The header is compared with the length of the file before anything of the size that it claims is
//! done.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::source::{self, Length, Source};
use super::{DataError, Numbers};

/// Bytes read at once: a multiple of every number's.
const CHUNK: usize = 1 << 16;

/// The most axes of a file.
const MOST_AXES: usize = 4;

/// The type of the numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    I16,
    I32,
    F32,
    F64,
}

impl Kind {
    fn of(code: u8) -> Option<Self> {
        Some(match code {
            0x08 => Self::U8,
            0x09 => Self::I8,
            0x0b => Self::I16,
            0x0c => Self::I32,
            0x0d => Self::F32,
            0x0e => Self::F64,
            _ => return None,
        })
    }

    /// The bytes of a number in the file.
    fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The bytes of a number in memory.
    pub(super) fn bytes_read(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I8 | Self::I16 | Self::F32 => 4,
            Self::I32 | Self::F64 => 8,
        }
    }

    /// No numbers, in the smallest type that holds those of this one.
    pub(super) fn none(self) -> Numbers {
        match self.bytes_read() {
            1 => Numbers::U8(Vec::new()),
            4 => Numbers::F32(Vec::new()),
            _ => Numbers::F64(Vec::new()),
        }
    }
}

/// A file of which the header has been read.
pub(super) struct IdxFile {
    path: PathBuf,
    reader: Box<dyn Read>,
    kind: Kind,
    axes: Vec<usize>,
}

impl IdxFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// [`DataError`] if it cannot be read, is none of this format, or is not as long as it says.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let Source { reader, length } = source::open(path)?;
        let mut file = Self { path: path.to_owned(), reader, kind: Kind::U8, axes: Vec::new() };
        let mut magic = [0; 4];
        file.read_exact(&mut magic, "its header")?;
        let kind = Kind::of(magic[2]).filter(|_| magic[..2] == [0, 0]);
        file.kind = kind.ok_or_else(|| {
            file.wrong(format!(
                "this is not an IDX file: its first bytes are {:02x} {:02x} {:02x} {:02x}, not 00 00, a type and the number of axes",
                magic[0], magic[1], magic[2], magic[3]
            ))
        })?;
        let axes = usize::from(magic[3]);
        if !(1..=MOST_AXES).contains(&axes) {
            return Err(file.wrong(format!("its header says {axes} axes; 1 to {MOST_AXES} can be read")));
        }
        for _ in 0..axes {
            let mut axis = [0; 4];
            file.read_exact(&mut axis, "its header")?;
            file.axes.push(u32::from_be_bytes(axis) as usize);
        }
        if file.axes.contains(&0) {
            return Err(file.wrong(format!("its axes are {:?}: it holds no number", file.axes)));
        }
        file.check_length(length)?;
        Ok(file)
    }

    /// The header's word against the file's length.
    fn check_length(&self, length: Length) -> Result<(), DataError> {
        // Four factors below 2^32 do not overflow; with the bytes of a number, the exponent is 131 at most.
        let product = self
            .axes
            .iter()
            .try_fold(self.kind.bytes() as u128, |product, &axis| product.checked_mul(axis as u128));
        let promised = product.and_then(|product| product.checked_add(4 + 4 * self.axes.len() as u128));
        let axes = &self.axes;
        let Some(promised) = promised else {
            return Err(self.wrong(format!("its axes {axes:?} are more numbers than any file holds")));
        };
        match length {
            Length::Exactly(found) if u128::from(found) < promised => Err(self.wrong(format!(
                "its axes {axes:?} need {promised} bytes, but the file has {found}: it is cut off; copy it again"
            ))),
            Length::Exactly(found) if u128::from(found) > promised => Err(self.wrong(format!(
                "its axes {axes:?} need {promised} bytes, but the file has {found}: its header or the file is damaged; copy it again"
            ))),
            Length::AtMost(most) if u128::from(most) < promised => Err(self.wrong(format!(
                "its axes {axes:?} need {promised} bytes, more than a compressed file of this size can hold; copy it again"
            ))),
            _ => Ok(()),
        }
    }

    /// The type of the numbers.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The length of the first axis.
    pub(super) fn samples(&self) -> usize {
        self.axes[0]
    }

    /// The axes after the first.
    pub(super) fn shape(&self) -> &[usize] {
        &self.axes[1..]
    }

    /// Adds the numbers of the first `samples` samples to `numbers`, which are of this kind. Whoever calls has compared
    /// their number with the free memory.
    ///
    /// # Errors
    /// [`DataError::Content`] if there are fewer, or more than the header says, or one is not finite.
    pub(super) fn read(&mut self, samples: usize, numbers: &mut Numbers) -> Result<(), DataError> {
        let width: usize = self.shape().iter().product();
        let mut left = samples * width * self.kind.bytes();
        let mut chunk = vec![0; CHUNK.min(left)];
        while left > 0 {
            let chunk = &mut chunk[..CHUNK.min(left)];
            self.read_exact(chunk, "the numbers that its header promises")?;
            left -= chunk.len();
            append(self.kind, chunk, numbers);
        }
        let finite = match numbers {
            Numbers::F32(numbers) => numbers.iter().all(|number| number.is_finite()),
            Numbers::F64(numbers) => numbers.iter().all(|number| number.is_finite()),
            _ => true,
        };
        if !finite {
            return Err(self.wrong("it holds NaN or an infinity, which nothing can be learned from"));
        }
        // The end of a compressed file has its checksum.
        if samples == self.samples()
            && self.reader.read(&mut [0]).map_err(|error| self.unreadable(&error))? > 0
        {
            return Err(self.wrong(format!("it is longer than its axes {:?} say; copy it again", self.axes)));
        }
        Ok(())
    }

    fn read_exact(&mut self, bytes: &mut [u8], what: &str) -> Result<(), DataError> {
        self.reader.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                self.wrong(format!("the file ends before {what}: it is cut off; copy it again"))
            }
            _ => self.unreadable(&error),
        })
    }

    fn unreadable(&self, error: &std::io::Error) -> DataError {
        self.wrong(format!("cannot be read: {error}; copy it again"))
    }

    /// Something wrong with the content of this file.
    pub(super) fn wrong(&self, message: impl Into<String>) -> DataError {
        DataError::Content { path: self.path.clone(), message: message.into() }
    }
}

/// Numbers of the file, whose first byte is the highest, in memory's type.
fn append(kind: Kind, bytes: &[u8], numbers: &mut Numbers) {
    match (kind, numbers) {
        (Kind::U8, Numbers::U8(numbers)) => numbers.extend_from_slice(bytes),
        (Kind::I8, Numbers::F32(numbers)) => {
            numbers.extend(bytes.iter().map(|&byte| f32::from(byte.cast_signed())));
        }
        (Kind::I16, Numbers::F32(numbers)) => {
            numbers.extend(each(bytes, i16::from_be_bytes).map(f32::from));
        }
        (Kind::F32, Numbers::F32(numbers)) => numbers.extend(each(bytes, f32::from_be_bytes)),
        (Kind::I32, Numbers::F64(numbers)) => {
            numbers.extend(each(bytes, i32::from_be_bytes).map(f64::from));
        }
        (Kind::F64, Numbers::F64(numbers)) => numbers.extend(each(bytes, f64::from_be_bytes)),
        _ => unreachable!("numbers are of the kind of `Kind::none`"),
    }
}

fn each<const N: usize, T>(bytes: &[u8], from: fn([u8; N]) -> T) -> impl Iterator<Item = T> {
    bytes.chunks_exact(N).map(move |bytes| from(bytes.try_into().expect("a chunk of N bytes")))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn idx(code: u8, axes: &[u32], content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, code, axes.len() as u8];
        axes.iter().for_each(|axis| bytes.extend(axis.to_be_bytes()));
        bytes.extend(content);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Numbers, DataError> {
        let mut temporary = tempfile::NamedTempFile::new().unwrap();
        temporary.write_all(bytes).unwrap();
        let mut file = IdxFile::open(temporary.path())?;
        let (samples, mut numbers) = (file.samples(), file.kind().none());
        file.read(samples, &mut numbers)?;
        Ok(numbers)
    }

    #[track_caller]
    fn assert_refused(bytes: &[u8], words: &str) {
        match read(bytes).unwrap_err() {
            DataError::Content { message, .. } => assert!(message.contains(words), "{message}"),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn reads_every_type_compressed_or_not() {
        let plain = idx(0x08, &[2, 1, 2], &[0, 1, 128, 255]);
        assert_eq!(read(&plain).unwrap(), Numbers::U8(vec![0, 1, 128, 255]));
        assert_eq!(read(&gzip(&plain)).unwrap(), read(&plain).unwrap());
        assert_eq!(read(&idx(0x09, &[2], &[255, 127])).unwrap(), Numbers::F32(vec![-1.0, 127.0]));
        let bytes = (-300i16).to_be_bytes();
        assert_eq!(read(&idx(0x0b, &[1], &bytes)).unwrap(), Numbers::F32(vec![-300.0]));
        let bytes = i32::MIN.to_be_bytes();
        assert_eq!(read(&idx(0x0c, &[1], &bytes)).unwrap(), Numbers::F64(vec![f64::from(i32::MIN)]));
        assert_eq!(read(&idx(0x0d, &[1], &0.1f32.to_be_bytes())).unwrap(), Numbers::F32(vec![0.1]));
        assert_eq!(read(&idx(0x0e, &[1], &0.1f64.to_be_bytes())).unwrap(), Numbers::F64(vec![0.1]));
    }

    #[test]
    fn reads_the_first_samples_alone() {
        let mut temporary = tempfile::NamedTempFile::new().unwrap();
        temporary.write_all(&gzip(&idx(0x08, &[3, 2], &[1, 2, 3, 4, 5, 6]))).unwrap();
        let mut numbers = Numbers::U8(Vec::new());
        IdxFile::open(temporary.path()).unwrap().read(2, &mut numbers).unwrap();
        assert_eq!(numbers, Numbers::U8(vec![1, 2, 3, 4]));
    }

    #[test]
    fn a_damaged_header_is_named() {
        assert_refused(b"", "ends before its header");
        assert_refused(&[0, 0, 8, 2, 0, 0], "ends before its header");
        assert_refused(b"P5 28", "this is not an IDX file: its first bytes are 50 35 20 32");
        assert_refused(&idx(0x0a, &[1], &[1]), "not an IDX file");
        assert_refused(&idx(0x08, &[], &[]), "says 0 axes");
        assert_refused(&idx(0x08, &[1; 5], &[1]), "says 5 axes");
        assert_refused(&idx(0x08, &[3, 0], &[]), "it holds no number");
    }

    #[test]
    fn the_length_must_be_what_the_header_says() {
        assert_refused(&idx(0x08, &[3], &[1, 2]), "need 11 bytes, but the file has 10: it is cut off");
        assert_refused(&idx(0x08, &[1], &[1, 2]), "need 9 bytes, but the file has 10");
        assert_refused(&gzip(&idx(0x08, &[3], &[1, 2])), "ends before the numbers");
        assert_refused(&gzip(&idx(0x08, &[1], &[1, 2])), "longer than its axes [1] say");
        let bytes = gzip(&idx(0x08, &[3], &[1, 2, 3]));
        assert_refused(&bytes[..bytes.len() - 4], "cannot be read");
        let mut bytes = bytes;
        let checksum = bytes.len() - 5;
        bytes[checksum] ^= 1;
        assert_refused(&bytes, "cannot be read");
    }

    #[test]
    fn huge_counts_are_refused_before_anything_is_allocated() {
        let huge = [u32::MAX; 4];
        assert_refused(&idx(0x08, &huge, &[1]), "it is cut off");
        assert_refused(&idx(0x0e, &huge, &[1]), "more numbers than any file holds");
        assert_refused(
            &gzip(&idx(0x08, &huge[..2], &[1])),
            "more than a compressed file of this size can hold",
        );
    }

    #[test]
    fn numbers_must_be_finite() {
        assert_refused(&idx(0x0d, &[1], &f32::NAN.to_be_bytes()), "NaN");
    }
}
