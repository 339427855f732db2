//! `type = "text"`: a text as a row of tokens, each to be foretold from those before it.

use std::io::Read;
use std::path::Path;

use chainrule_trainer::metrics::Task;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::characters::Characters;
use super::windows::{InOrder, in_order};
use super::{Context, DataError, Kept, Numbers, Parts, Raw, RawTargets, Samples, keys, source};
use crate::diagnostic::Diagnostics;
use crate::document::Node;
use crate::memory;
use crate::registry::Spec;

/// A longer text is refused.
const LONGEST_TEXT: u64 = 1 << 30;

/// A text, also gzipped. A sample is some consecutive characters or bytes as token indices, its targets are those one
/// further. `validation` and `test` are cut from the end of the text, in order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TextData {
    /// The file, relative to this one.
    #[schemars(length(min = 1))]
    path: Option<String>,
    /// Several files, read as one text; in place of path.
    #[schemars(length(min = 1))]
    paths: Option<Vec<String>>,
    /// What a token is. Characters are numbered in the order of their code points, as many as the text has.
    #[serde(default)]
    level: Level,
    /// Tokens of a sample.
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    context: usize,
    /// Tokens from the begin of a sample to that of the next; as many as a sample has, if absent.
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    stride: Option<usize>,
    /// Use so many tokens, from the start; the vocabulary is that of the whole text.
    #[schemars(range(min = 1))]
    limit: Option<usize>,
}

impl Spec for TextData {
    const TYPE: &'static str = "text";
}

/// What a token of a text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Level {
    /// A character.
    #[default]
    Char,
    /// A byte: there are 256.
    Byte,
}

/// The tokens of a text; a token is a position here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vocabulary {
    /// Characters in the order of their code points.
    Chars(String),
    /// All bytes.
    Bytes,
}

impl Vocabulary {
    /// The characters of a text.
    fn of(text: &str) -> Self {
        Self::Chars(Characters::of(text).in_order())
    }

    /// Whether its characters are in order, each once, as those of a text are: numbers of tokens are ranks.
    pub(super) fn is_in_order(&self) -> bool {
        match self {
            Self::Chars(chars) => chars.chars().zip(chars.chars().skip(1)).all(|(one, next)| one < next),
            Self::Bytes => true,
        }
    }

    /// How many tokens there are.
    #[allow(clippy::len_without_is_empty)] // A text has a character.
    pub fn len(&self) -> usize {
        match self {
            Self::Chars(chars) => chars.chars().count(),
            Self::Bytes => 256,
        }
    }

    /// What the tokens are called: themselves, or the numbers of the bytes.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Chars(chars) => chars.chars().map(String::from).collect(),
            Self::Bytes => (0..256).map(|byte: u32| byte.to_string()).collect(),
        }
    }

    /// The tokens of a short text; or the first character that is none.
    pub(crate) fn tokens(&self, text: &str) -> Result<Vec<usize>, char> {
        match self {
            Self::Bytes => Ok(text.bytes().map(usize::from).collect()),
            Self::Chars(chars) => {
                text.chars().map(|c| chars.chars().position(|known| known == c).ok_or(c)).collect()
            }
        }
    }

    /// The text of tokens, fit for a terminal: what would steer it is shown instead.
    pub(crate) fn text(&self, tokens: &[usize]) -> String {
        let text = match self {
            Self::Bytes => {
                let bytes: Vec<u8> = tokens.iter().map(|&token| token as u8).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Self::Chars(chars) => {
                let chars: Vec<char> = chars.chars().collect();
                tokens.iter().filter_map(|&token| chars.get(token)).collect()
            }
        };
        let harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
        text.chars().map(|c| if harmless(c) { c } else { '\u{fffd}' }).collect()
    }

    /// The tokens of a text, in the smallest type that holds them.
    fn encode(&self, bytes: &[u8], path: &Path) -> Result<Numbers, DataError> {
        let Self::Chars(chars) = self else { return Ok(Numbers::U8(bytes.to_vec())) };
        let text = utf8(bytes, path)?;
        let known = Characters::of(chars);
        if let Some((position, c)) = text.chars().enumerate().find(|&(_, c)| known.rank(c).is_none()) {
            let message = format!(
                "character {} is {c:?}, which is none of the {} characters that the model was trained on",
                position + 1,
                self.len()
            );
            return Err(DataError::Content { path: path.to_owned(), message });
        }
        let tokens = text.chars().filter_map(|c| known.rank(c));
        Ok(match self.len() <= 256 {
            true => Numbers::U8(tokens.map(|token| token as u8).collect()),
            false => Numbers::U32(tokens.collect()),
        })
    }
}

/// Reads the files of a `[data]` table that conforms to the schema.
pub(super) fn read(node: &Node, context: &Context<'_>) -> Result<Raw, DataError> {
    let data: TextData = keys(node)?;
    let paths = check(&data, context)?;
    let mut text = Vec::new();
    for path in &paths {
        read_text(Path::new(path), data.level, &mut text)?;
    }
    let path = Path::new(&paths[0]);
    if text.is_empty() {
        return Err(DataError::Content { path: path.to_owned(), message: "there is no text".into() });
    }
    let vocabulary = match data.level {
        Level::Char => Vocabulary::of(utf8(&text, path)?),
        Level::Byte => Vocabulary::Bytes,
    };
    let tokens = vocabulary.encode(&text, path)?;
    drop(text);
    let total = tokens.len().min(data.limit.unwrap_or(usize::MAX));
    let windows = (data.context.saturating_add(1), data.stride.unwrap_or(data.context));
    let InOrder { starts, split, .. } = in_order(total, windows, context, ("context", "tokens"))?;
    let x = Samples::windows(tokens, data.context, starts);
    let kept = Kept { vocabulary: Some(vocabulary), ..Kept::default() };
    let raw = Raw::of_rows(Vec::new(), data.context, RawTargets::NextTokens);
    Ok(Raw { x, parts: Parts::Given(split), kept, ..raw })
}

/// The paths, if the keys fit together.
fn check(data: &TextData, context: &Context<'_>) -> Result<Vec<String>, DataError> {
    let mut mistakes = Diagnostics::new();
    let mut keep = |error| {
        if let DataError::File(found) = error {
            mistakes.append(found);
        }
    };
    if context.task != Task::Classes {
        let message = "the targets of a text are tokens, which are classes, but the loss compares numbers";
        keep(context.mistake("type", message, "use the loss `cross_entropy`"));
    }
    if context.common.scale.is_some() {
        let message = "the inputs of a text are the numbers of tokens, which cannot be scaled";
        keep(context.mistake("scale", message, "remove `scale`"));
    }
    let paths = match (&data.path, &data.paths) {
        (Some(path), None) => vec![path.clone()],
        (None, Some(paths)) => paths.clone(),
        (Some(_), Some(_)) => {
            keep(context.mistake("paths", "data.path and data.paths are both there", "remove one"));
            Vec::new()
        }
        (None, None) => {
            keep(context.mistake("type", "missing key `path` in [data]", "such as path = \"text.txt\""));
            Vec::new()
        }
    };
    if mistakes.is_empty() { Ok(paths) } else { Err(DataError::File(mistakes)) }
}

/// Adds the content of a file to `text`, which stays below the limit.
fn read_text(path: &Path, level: Level, text: &mut Vec<u8>) -> Result<(), DataError> {
    // Once as text, up to four times as tokens, and as much again while vectors grow.
    let most = LONGEST_TEXT.min(memory::available() / 8);
    let begin = text.len();
    let left = most.saturating_sub(begin as u64);
    source::open(path)?.reader.take(left + 1).read_to_end(text).map_err(|error| {
        let message = format!("cannot be read after byte {}: {error}", text.len() - begin);
        DataError::Content { path: path.to_owned(), message }
    })?;
    if text.len() as u64 > most {
        let message = format!("the text is longer than {}; use a part of it", memory::in_words(most.into()));
        return Err(DataError::Content { path: path.to_owned(), message });
    }
    if level == Level::Char {
        // What editors on Windows put before a text is none of its characters.
        if text[begin..].starts_with("\u{feff}".as_bytes()) {
            text.drain(begin..begin + '\u{feff}'.len_utf8());
        }
        utf8(&text[begin..], path)?;
    }
    Ok(())
}

fn utf8<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a str, DataError> {
    str::from_utf8(bytes).map_err(|error| {
        let message = format!(
            "the byte after the first {} is not UTF-8 text; save the file as UTF-8, or use level = \"byte\"",
            error.valid_up_to()
        );
        DataError::Content { path: path.to_owned(), message }
    })
}

/// The tokens of a text that a model is asked about.
///
/// # Errors
/// [`DataError`] if it cannot be read or has a character that the model does not know.
pub(crate) fn read_tokens(path: &Path, vocabulary: &Vocabulary) -> Result<Vec<f64>, DataError> {
    let level = if *vocabulary == Vocabulary::Bytes { Level::Byte } else { Level::Char };
    let mut text = Vec::new();
    read_text(path, level, &mut text)?;
    Ok(match vocabulary.encode(&text, path)? {
        Numbers::U8(tokens) => tokens.into_iter().map(f64::from).collect(),
        Numbers::U32(tokens) => tokens.into_iter().map(f64::from).collect(),
        _ => unreachable!("tokens are whole numbers"),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn wrong<T: std::fmt::Debug>(read: Result<T, DataError>) -> String {
        match read.unwrap_err() {
            DataError::Content { message, .. } => message,
            other => panic!("{other}"),
        }
    }

    fn text(content: &[u8], level: Level) -> Result<Vec<u8>, DataError> {
        let mut text = Vec::new();
        read_text(file(content).path(), level, &mut text).map(|()| text)
    }

    #[test]
    fn characters_are_sorted_by_code_point() {
        let vocabulary = Vocabulary::of("bé\na→a");
        assert_eq!(vocabulary, Vocabulary::Chars("\nabé→".into()));
        assert_eq!(vocabulary.encode("→ab".as_bytes(), Path::new("")).unwrap(), Numbers::U8(vec![4, 1, 2]));
        assert_eq!(vocabulary.names()[3], "é");
    }

    #[test]
    fn many_characters_need_wider_tokens() {
        let all: String = ('\u{4e00}'..='\u{4fff}').collect();
        let tokens = Vocabulary::of(&all).encode("\u{4fff}\u{4e00}".as_bytes(), Path::new(""));
        assert_eq!(tokens.unwrap(), Numbers::U32(vec![511, 0]));
    }

    #[test]
    fn an_unknown_character_is_named() {
        let vocabulary = Vocabulary::of("abc");
        let message = wrong(read_tokens(file("ab\ncx".as_bytes()).path(), &vocabulary));
        assert!(message.starts_with("character 3 is '\\n', which is none of the 3"), "{message}");
        assert_eq!(read_tokens(file(b"ca").path(), &vocabulary).unwrap(), [2.0, 0.0]);
    }

    #[test]
    fn text_must_be_utf8_and_bytes_may_be_anything() {
        let message = wrong(text(b"ab\xff", Level::Char));
        assert!(message.starts_with("the byte after the first 2 is not UTF-8"), "{message}");
        assert_eq!(text(b"ab\xff", Level::Byte).unwrap(), b"ab\xff");
        assert_eq!(text(b"\xef\xbb\xbfab", Level::Char).unwrap(), b"ab");
    }

    #[test]
    fn gzip_is_read_and_a_damaged_archive_named() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(b"a text of some length").unwrap();
        let bytes = gzip.finish().unwrap();
        assert_eq!(text(&bytes, Level::Char).unwrap(), b"a text of some length");
        let message = wrong(text(&bytes[..bytes.len() - 4], Level::Char));
        assert!(message.starts_with("cannot be read after byte "), "{message}");
    }

    #[test]
    fn a_vocabulary_survives_being_stored() {
        for vocabulary in [Vocabulary::Bytes, Vocabulary::Chars("\"\\é".into())] {
            assert!(vocabulary.is_in_order());
            let text = serde_json::to_string(&vocabulary).unwrap();
            assert_eq!(serde_json::from_str::<Vocabulary>(&text).unwrap(), vocabulary, "{text}");
        }
    }
}
