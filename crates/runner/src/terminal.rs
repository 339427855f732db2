//! Text that comes from files, made fit for a terminal.
//!
//! A name, a label or a path may hold the sequences that move a cursor, set a title or answer for the user, and the marks
//! that make a line read backwards. What a person reads is shown with them escaped. What a program reads, such as a
//! table of predictions, is exact, unless it goes to a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Control characters, and those that reverse the direction of text (they make a line read as another).
pub fn drives_terminal(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A text of several lines, with what would drive a terminal escaped as Rust escapes it; tabs stay.
pub fn harmless(text: &str) -> Cow<'_, str> {
    escaped(text, |c| !matches!(c, '\n' | '\t') && drives_terminal(c), |c| c.escape_default().to_string())
}

/// The same as one line, for a cell of a table: a line break or a tab would be taken for the table's own.
pub(crate) fn in_one_line(text: &str) -> Cow<'_, str> {
    escaped(text, drives_terminal, |c| c.escape_default().to_string())
}

/// JSON that says the same without such characters: JSON has them in strings only, where they may be written as escapes.
pub(crate) fn harmless_json(json: &str) -> Cow<'_, str> {
    let escape = |c: char| {
        let mut units = [0; 2];
        c.encode_utf16(&mut units).iter().fold(String::new(), |mut text, unit| {
            // Infallible: writing to a string.
            let _ = write!(text, "\\u{unit:04x}");
            text
        })
    };
    escaped(json, |c| c != '\n' && drives_terminal(c), escape)
}

fn escaped(text: &str, hostile: impl Fn(char) -> bool, escape: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(&hostile) {
        return Cow::Borrowed(text);
    }
    let mut harmless = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match hostile(character) {
            true => harmless += &escape(character),
            false => harmless.push(character),
        }
    }
    Cow::Owned(harmless)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\x1b[2J\x07\u{9b}1m\u{202e}\r\n\tb";

    #[test]
    fn lines_stay_lines_and_sequences_become_words() {
        assert_eq!(harmless(HOSTILE), "a\\u{1b}[2J\\u{7}\\u{9b}1m\\u{202e}\\r\n\tb");
        assert_eq!(in_one_line("a\n\tb"), "a\\n\\tb");
        assert!(matches!(harmless("größe\n→\t"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_says_the_same() {
        let json = serde_json::json!({ "\u{9b}k": [HOSTILE, "\x7f"] });
        let text = json.to_string();
        let harmless = harmless_json(&text);
        assert!(!harmless.contains(drives_terminal), "{harmless:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&harmless).unwrap(), json);
    }
}
