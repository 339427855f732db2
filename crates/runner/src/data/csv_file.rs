//! A CSV file that is read row by row, compressed or not, in bounded memory.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};
use flate2::bufread::MultiGzDecoder;

use super::DataError;
use crate::memory;

/// A longer record is refused: mostly it is a quote that is never closed.
const LONGEST_RECORD: u64 = 16 << 20;

/// A longer text is refused. A compressed file may be a thousand times smaller than its text.
const LONGEST_TEXT: u64 = 16 << 30;

/// More columns are refused: a name takes some dozen bytes beside its letters, and may have none.
const MOST_COLUMNS: usize = 1 << 20;

/// So much of a cell is shown in a message.
const SHOWN_CELL: usize = 40;

/// What people write where a number is missing.
const MISSING: [&str; 8] = ["", "na", "n/a", "nan", "null", "none", "?", "-"];

/// A CSV file at some row.
pub(crate) struct CsvFile {
    path: PathBuf,
    reader: Reader<Bounded>,
    /// Bytes read since the last record ended.
    since: Rc<Cell<u64>>,
    record: ByteRecord,
    header: Option<Vec<String>>,
    columns: usize,
    row: u64,
    numbers: u64,
    most_numbers: u64,
}

/// What stands in the first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstLine {
    /// The names of the columns.
    Names,
    /// A row as any other.
    Row,
}

impl CsvFile {
    /// Opens a file; gzip is recognised by its first bytes.
    ///
    /// # Errors
    /// [`DataError`] if it cannot be read, is empty, or its header is not text.
    pub(crate) fn open(path: &Path, first: FirstLine) -> Result<Self, DataError> {
        let failed = |source| DataError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let mut file = BufReader::new(file);
        let compressed = file.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
        let source: Box<dyn Read> =
            if compressed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let since = Rc::new(Cell::new(0));
        let bounded = Bounded { source, total: 0, since: since.clone() };
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bounded);
        // A number is held up to four times: as read, as the vector grows, as its split, in the network's precision.
        let most_numbers = memory::available() / 32;
        let mut file = Self {
            path: path.to_owned(),
            reader,
            since,
            record: ByteRecord::new(),
            header: None,
            columns: 0,
            row: 0,
            numbers: 0,
            most_numbers,
        };
        if first == FirstLine::Names {
            file.read_header()?;
        }
        Ok(file)
    }

    fn read_header(&mut self) -> Result<(), DataError> {
        if !self.read_record()? {
            return Err(self.wrong("the file is empty; its first line must hold the names of the columns"));
        }
        if self.record.len() > MOST_COLUMNS {
            let message = format!("it has {} columns; at most {MOST_COLUMNS} can be read", self.record.len());
            return Err(self.wrong(message));
        }
        let mut header = Vec::with_capacity(self.record.len());
        for (column, cell) in self.record.iter().enumerate() {
            let name = str::from_utf8(cell).ok().filter(|name| !name.contains('\0'));
            let name = name
                .ok_or_else(|| self.wrong(format!("the name of column {} is not UTF-8 text", column + 1)))?;
            header.push(name.trim().to_owned());
        }
        self.columns = header.len();
        self.header = Some(header);
        Ok(())
    }

    /// The names of the columns; none without a header.
    pub(crate) fn header(&self) -> &[String] {
        self.header.as_deref().unwrap_or_default()
    }

    /// The number of cells in a row; 0 before the first row of a file without header.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Goes to the next row; false at the end.
    ///
    /// # Errors
    /// [`DataError::Content`] if it cannot be read or does not have as many cells as the rows before.
    pub(crate) fn next_row(&mut self) -> Result<bool, DataError> {
        self.row += 1;
        if !self.read_record()? {
            return Ok(false);
        }
        let cells = self.record.len();
        if self.columns == 0 {
            self.columns = cells;
        }
        if cells != self.columns {
            let first = if self.header.is_some() { "the header" } else { "the first row" };
            let message = format!("{}: {cells} cells, but {first} has {}", self.place(), self.columns);
            return Err(self.wrong(message));
        }
        Ok(true)
    }

    fn read_record(&mut self) -> Result<bool, DataError> {
        self.since.set(0);
        self.reader.read_byte_record(&mut self.record).map_err(|error| match error.into_kind() {
            ErrorKind::Io(source) if source.kind() == io::ErrorKind::Other => {
                self.wrong(format!("row {}: {source}", self.row))
            }
            ErrorKind::Io(source) if self.row > 0 => {
                self.wrong(format!("cannot be read after row {}: {source}", self.row - 1))
            }
            ErrorKind::Io(source) => DataError::Io { path: self.path.clone(), source },
            // The reader takes rows of any length as bytes, so nothing else can be wrong.
            other => self.wrong(format!("row {}: {other:?}", self.row)),
        })
    }

    /// The cell of a column as a finite number.
    ///
    /// # Errors
    /// [`DataError::Content`] naming row and column.
    pub(crate) fn number(&mut self, column: usize) -> Result<f64, DataError> {
        self.numbers += 1;
        if self.numbers > self.most_numbers {
            return Err(self.wrong(format!(
                "{}: the numbers up to here need more memory than this machine has free",
                self.place()
            )));
        }
        let cell = self.text(column)?;
        let problem = match cell.parse::<f64>() {
            Ok(number) if number.is_finite() => return Ok(number),
            _ if is_missing(cell) => format!("there is no number (\"{}\")", shown(cell)),
            Ok(_) if cell.bytes().any(|byte| byte.is_ascii_digit()) => {
                format!("{} is too large for a number", shown(cell))
            }
            _ => format!("\"{}\" is not a finite number", shown(cell)),
        };
        Err(self.wrong_cell(column, &problem))
    }

    /// The cell of a column as a label.
    ///
    /// # Errors
    /// [`DataError::Content`] naming row and column.
    pub(crate) fn label(&self, column: usize) -> Result<&str, DataError> {
        match self.text(column)? {
            "" => Err(self.wrong_cell(column, "there is no label")),
            label if label.contains(['\n', '\r']) => Err(self.wrong_cell(
                column,
                "the label goes over several lines; is there a quote (\") that is not closed?",
            )),
            label => Ok(label),
        }
    }

    fn text(&self, column: usize) -> Result<&str, DataError> {
        // Every row has a cell in every column: see `next_row`.
        let cell = self.record.get(column).unwrap_or_default();
        match str::from_utf8(cell) {
            Ok(text) if text.contains('\0') => Err(self.wrong_cell(column, "the cell holds a zero byte")),
            Ok(text) => Ok(text.trim()),
            Err(_) => Err(self.wrong_cell(column, "the cell is not UTF-8 text")),
        }
    }

    /// Rows are counted from 1, without the header and without empty lines. The line would be of more use, but the
    /// reader's own is wrong after empty lines and after `\r\n`.
    fn place(&self) -> String {
        format!("row {}", self.row)
    }

    fn wrong_cell(&self, column: usize, problem: &str) -> DataError {
        let name = self.header().get(column).map(|name| format!(" \"{}\"", shown(name)));
        let message =
            format!("{}, column {}{}: {problem}", self.place(), column + 1, name.unwrap_or_default());
        self.wrong(message)
    }

    /// Something wrong with the content of this file.
    pub(crate) fn wrong(&self, message: impl Into<String>) -> DataError {
        DataError::Content { path: self.path.clone(), message: message.into() }
    }
}

/// Whether a cell says that there is no value.
fn is_missing(cell: &str) -> bool {
    MISSING.iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// The start of a text that may be long.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_CELL).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

/// Ends a reading that goes on for too long.
struct Bounded {
    source: Box<dyn Read>,
    total: u64,
    since: Rc<Cell<u64>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since.get() > LONGEST_RECORD {
            return Err(io::Error::other(format!(
                "the row is longer than {} MiB; is there a quote (\") that is not closed?",
                LONGEST_RECORD >> 20
            )));
        }
        if self.total > LONGEST_TEXT {
            return Err(io::Error::other(format!("the text is longer than {} GiB", LONGEST_TEXT >> 30)));
        }
        let count = self.source.read(buffer)?;
        self.total += count as u64;
        self.since.set(self.since.get() + count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn open(content: &[u8], first: FirstLine) -> Result<CsvFile, DataError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        CsvFile::open(file.path(), first)
    }

    /// Reads all cells as numbers, or what is wrong, without the path.
    fn read(content: &[u8]) -> Result<Vec<f64>, String> {
        let read = || {
            let mut file = open(content, FirstLine::Names)?;
            let mut numbers = Vec::new();
            while file.next_row()? {
                for column in 0..file.columns() {
                    numbers.push(file.number(column)?);
                }
            }
            Ok(numbers)
        };
        read().map_err(|error: DataError| match error {
            DataError::Content { message, .. } => message,
            other => panic!("{other}"),
        })
    }

    #[test]
    fn reads_what_spreadsheets_write() {
        let plain = b"\xef\xbb\xbfa ,\"b, c\"\r\n1,\"2\"\r\n\r\n 3 ,-4e2\r\n";
        assert_eq!(read(plain), Ok(vec![1.0, 2.0, 3.0, -400.0]));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(plain).unwrap();
        assert_eq!(read(&gzip.finish().unwrap()), read(plain));
        assert_eq!(open(b"\xef\xbb\xbfa,\"b, c\"\n", FirstLine::Names).unwrap().header(), ["a", "b, c"]);
    }

    #[test]
    fn names_row_line_and_column() {
        let wrong = |content: &str| read(content.as_bytes()).unwrap_err();
        assert_eq!(wrong("a,b\n1,2\n\n3,x\n"), "row 2, column 2 \"b\": \"x\" is not a finite number");
        assert_eq!(wrong("a,b\n1,\n"), "row 1, column 2 \"b\": there is no number (\"\")");
        assert_eq!(wrong("a\nNA\n"), "row 1, column 1 \"a\": there is no number (\"NA\")");
        assert_eq!(wrong("a\n-inf\n"), "row 1, column 1 \"a\": \"-inf\" is not a finite number");
        assert_eq!(wrong("a\n1e400\n"), "row 1, column 1 \"a\": 1e400 is too large for a number");
        assert_eq!(wrong("a\n1\0\n"), "row 1, column 1 \"a\": the cell holds a zero byte");
        assert_eq!(wrong("a,b\n1,2,3\n"), "row 1: 3 cells, but the header has 2");
        assert_eq!(read(b"a\n\xff\n").unwrap_err(), "row 1, column 1 \"a\": the cell is not UTF-8 text");
        assert!(read(b"\xff\xfea\0").unwrap_err().contains("column 1 is not UTF-8"));
        assert!(read(b"").unwrap_err().contains("empty"));
    }

    #[test]
    fn a_row_without_end_is_refused_before_it_fills_the_memory() {
        let mut content = b"a,b\n1,\"".to_vec();
        content.resize(LONGEST_RECORD as usize + (1 << 17), b'7');
        assert!(read(&content).unwrap_err().starts_with("row 1: the row is longer than 16 MiB"));
    }

    #[test]
    fn a_header_of_more_columns_than_anybody_has_is_refused() {
        assert!(open(&vec![b','; MOST_COLUMNS - 1], FirstLine::Names).is_ok());
        let error = read(&vec![b','; MOST_COLUMNS]).unwrap_err();
        assert_eq!(error, "it has 1048577 columns; at most 1048576 can be read");
    }

    #[test]
    fn a_damaged_archive_is_named() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(b"a\n1\n2\n").unwrap();
        let bytes = gzip.finish().unwrap();
        let error = read(&bytes[..bytes.len() - 6]).unwrap_err();
        assert!(error.contains("cannot be read after row"), "{error}");
    }
}
