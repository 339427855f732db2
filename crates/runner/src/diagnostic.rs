//! Mistakes of the user, shown where they were made, in the manner of rustc.
//!
//! ```text
//! error: unknown key `lr` in [optimizer]
//!  --> experiment.toml:12:1
//!    |
//! 12 | lr = 0.1
//!    | ^^
//!    |
//!    = help: did you mean `learning_rate`?
//! ```

use std::borrow::Cow;
use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::document::{Place, SourceId, Sources};
use crate::terminal::drives_terminal;

/// So many mistakes are shown; nobody reads more, and the first are often the cause of the others.
const SHOWN: usize = 100;

/// So many mistakes are kept. A file of millions of wrong numbers must not fill the memory.
const KEPT: usize = 10_000;

/// A longer line is not shown, only its number: inline data may be all on one line.
const LONGEST_LINE: usize = 500;

/// A longer message is cut: a file may hold a string of megabytes where a name belongs.
const LONGEST_MESSAGE: usize = 4_000;

/// One mistake.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// What is wrong, in one line.
    pub message: String,
    /// Where.
    pub place: Option<Place>,
    /// What to write beside the caret.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A mistake without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, label: None, help: None }
    }

    /// The same at a place; [`Place::none`] changes nothing.
    pub fn at(mut self, place: Place) -> Self {
        if !place.is_none() {
            self.place = Some(place);
        }
        self
    }

    /// The same with words beside the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The same with advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with advice, if there is any.
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
}

/// All mistakes that were found.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    found: usize,
}

impl Diagnostics {
    /// No mistake yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a mistake. Beyond ten thousand they are only counted.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.found += 1;
        if self.kept.len() < KEPT {
            self.kept.push(diagnostic);
        }
    }

    /// Adds the mistakes of another collection.
    pub fn append(&mut self, other: Diagnostics) {
        self.found += other.found;
        let room = KEPT - self.kept.len();
        self.kept.extend(other.kept.into_iter().take(room));
    }

    /// Adds several mistakes.
    pub fn extend(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        diagnostics.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }

    /// Whether there is no mistake.
    pub fn is_empty(&self) -> bool {
        self.found == 0
    }

    /// How many mistakes were found.
    pub fn len(&self) -> usize {
        self.found
    }

    /// The mistakes in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.kept.iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        let mut diagnostics = Self::new();
        diagnostics.push(diagnostic);
        diagnostics
    }
}

/// `1 number`, `2 numbers`
pub(crate) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The mistakes as a user reads them, in the order of the text, with colours for a terminal if `colour`.
///
/// What comes from a file or an argument is shown with its control characters escaped, so that it cannot
/// drive the terminal.
pub fn render(diagnostics: &Diagnostics, sources: &Sources, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut sorted: Vec<_> = diagnostics.kept.iter().collect();
    // Those without a place go first, as `None` is the least; the sort is stable.
    sorted.sort_by_key(|diagnostic| diagnostic.place);
    sorted.truncate(SHOWN);
    let mut lines = LineFinder::new(sources);
    let mut text = String::new();
    for diagnostic in &sorted {
        text += &render_one(diagnostic, &mut lines, &renderer);
        text += "\n\n";
    }
    let more = diagnostics.found - sorted.len();
    if more > 0 {
        // Infallible: writing to a string.
        let _ = writeln!(text, "... and {more} more");
    } else {
        text.pop();
    }
    text
}

fn render_one(diagnostic: &Diagnostic, lines: &mut LineFinder<'_>, renderer: &Renderer) -> String {
    let title = Level::ERROR.primary_title(shown(&diagnostic.message));
    let mut group = Group::with_title(title);
    if let Some((place, source)) = diagnostic.place.and_then(|place| Some((place, place.source()?))) {
        group = show_place(group, place, source, diagnostic.label.as_deref(), lines);
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(shown(help)));
    }
    renderer.render(&[group])
}

fn show_place<'a>(
    group: Group<'a>,
    place: Place,
    source: SourceId,
    label: Option<&str>,
    lines: &mut LineFinder<'_>,
) -> Group<'a> {
    let origin = shown(&lines.sources.origin(source));
    if place.is_whole() {
        return group.element(Origin::path(origin));
    }
    let line = lines.find(place, source);
    if line.text.len() > LONGEST_LINE {
        let column = line.text[..line.start].chars().count() + 1;
        return group.element(Origin::path(origin).line(line.number).char_column(column));
    }
    // Escapes change the length of the text before the caret.
    let start = escape_line(&line.text[..line.start]).len();
    let end = start + escape_line(&line.text[line.start..line.end]).len();
    let annotation = AnnotationKind::Primary.span(start..end).label(label.map(shown));
    let text = escape_line(line.text).into_owned();
    group.element(Snippet::source(text).line_start(line.number).path(origin).annotation(annotation))
}

/// A line of a source and the part of it that a place covers.
struct Line<'a> {
    number: usize,
    text: &'a str,
    start: usize,
    end: usize,
}

/// Finds the lines of places that come in ascending order, counting each line of a source only once.
struct LineFinder<'a> {
    sources: &'a Sources,
    source: Option<SourceId>,
    counted: usize,
    number: usize,
}

impl<'a> LineFinder<'a> {
    fn new(sources: &'a Sources) -> Self {
        Self { sources, source: None, counted: 0, number: 1 }
    }

    fn find(&mut self, place: Place, source: SourceId) -> Line<'a> {
        let text = self.sources.text(source);
        let start = clamp(text, place.span().start);
        let end = clamp(text, place.span().end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line = text[line_start..line_end].trim_end_matches('\r');
        let number = self.number_at(text, source, line_start);
        // A place of several lines is shown by its first.
        let within = |at: usize| (at - line_start).min(line.len());
        Line { number, text: line, start: within(start), end: within(end.min(line_end)) }
    }

    fn number_at(&mut self, text: &str, source: SourceId, offset: usize) -> usize {
        if self.source != Some(source) || offset < self.counted {
            (self.source, self.counted, self.number) = (Some(source), 0, 1);
        }
        self.number += text[self.counted..offset].bytes().filter(|&byte| byte == b'\n').count();
        self.counted = offset;
        self.number
    }
}

/// A place at the end of the text is shown at the end of its last line that holds anything.
fn clamp(text: &str, offset: usize) -> usize {
    let mut offset = if offset >= text.len() { text.trim_end().len() } else { offset };
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// A text as one line without control characters, shortened when it is very long.
fn shown(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(LONGEST_MESSAGE));
    for character in text.chars() {
        if line.len() > LONGEST_MESSAGE {
            line += "...";
            break;
        }
        match drives_terminal(character) {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}

/// A text of several lines with its control characters escaped.
pub fn visible(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

/// A line of a source without control characters; a tab stays, as annotate-snippets expands it.
fn escape_line(line: &str) -> Cow<'_, str> {
    let hostile = |character| character != '\t' && drives_terminal(character);
    if !line.contains(hostile) {
        return Cow::Borrowed(line);
    }
    let escape = |character| if hostile(character) { '\u{fffd}' } else { character };
    Cow::Owned(line.chars().map(escape).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str, span: std::ops::Range<usize>) -> String {
        let mut sources = Sources::new();
        let source = sources.add_file("a.toml".into(), text.into());
        let place = Place::new(source, span);
        render(&Diagnostic::new("wrong").at(place).label("here").help("do it").into(), &sources, false)
    }

    #[test]
    fn shows_the_line_the_caret_and_the_help() {
        let expected = "\
error: wrong
 --> a.toml:2:3
  |
2 | b lr = 2
  |   ^^ here
  |
  = help: do it
";
        assert_eq!(one("a = 1\nb lr = 2\nc = 3\n", 8..10), expected);
    }

    #[test]
    fn shows_an_argument_under_the_name_of_its_flag() {
        let mut sources = Sources::new();
        let source = sources.add_argument("train.epochs=-1".into());
        let text = render(&Diagnostic::new("wrong").at(Place::new(source, 13..15)).into(), &sources, false);
        assert!(text.contains("--> --set:1:14"), "{text}");
        assert!(text.contains("train.epochs=-1"), "{text}");
    }

    #[test]
    fn shows_what_has_no_place_without_one() {
        let text = render(&Diagnostic::new("wrong").help("do it").into(), &Sources::new(), false);
        assert!(text.starts_with("error: wrong\n") && text.contains("= help: do it"), "{text}");
        assert!(!text.contains("-->"), "{text}");
    }

    #[test]
    fn shows_a_source_as_a_whole_without_a_line() {
        let mut sources = Sources::new();
        let source = sources.add_file("a.toml".into(), "x = 1".into());
        let text = render(&Diagnostic::new("wrong").at(Place::whole(source)).into(), &sources, false);
        assert_eq!(text, "error: wrong\n--> a.toml\n");
    }

    #[test]
    fn shows_the_end_of_the_file_at_its_last_line() {
        assert!(one("a = 1\nb =\n\n", 12..12).contains("--> a.toml:2:4"));
        assert!(one("a = 1\nb =", 9..9).contains("--> a.toml:2:4"));
        assert!(one("", 0..0).contains("--> a.toml:1:1"));
        assert!(one("\n\n", 1..2).contains("--> a.toml:2:1"), "{}", one("\n\n", 1..2));
        assert!(one("a", 70..90).contains("--> a.toml:1:2"));
    }

    #[test]
    fn counts_characters_and_not_bytes() {
        let text = "näme = 'größe'";
        assert!(one(text, 8..text.len()).contains("--> a.toml:1:8"), "{}", one(text, 8..text.len()));
        // Within a character: rounded down.
        assert!(one(text, 2..3).contains("--> a.toml:1:2"));
    }

    #[test]
    fn shows_a_table_of_many_lines_by_its_first() {
        let text = one("a = {\r\n b = 1\r\n}\r\n", 4..17);
        assert!(text.contains("1 | a = {\n") && !text.contains("b = 1"), "{text}");
    }

    #[test]
    fn does_not_print_a_line_of_megabytes() {
        let text = one(&format!("x = [{}]", "1, ".repeat(3_000_000)), 8..9);
        assert!(text.len() < 1000, "{}", text.len());
        assert!(text.contains("--> a.toml:1:9"), "{text}");
        let long = render(&Diagnostic::new("x".repeat(10_000_000)).into(), &Sources::new(), false);
        assert!(long.len() < 5000);
    }

    #[test]
    fn escapes_what_would_drive_the_terminal() {
        let mut sources = Sources::new();
        let source = sources.add_file("\x1b[2J.toml".into(), "\x1b[31m\u{9b}1m\tx\u{202e} = 1".into());
        let mistake = Diagnostic::new("bad \x1b]0;title\x07\nerror: forged").label("\x1b[1m").help("\r\x08");
        let text = render(&mistake.at(Place::new(source, 9..10)).into(), &sources, false);
        let hostile = |character| character != '\n' && drives_terminal(character);
        assert!(!text.contains(hostile), "{text:?}");
        assert!(text.contains(r"bad \u{1b}]0;title\u{7}\nerror: forged"), "{text}");
    }

    #[test]
    fn sorts_by_place_and_stops_after_a_hundred() {
        let mut sources = Sources::new();
        let source = sources.add_file("a.toml".into(), "x\n".repeat(400));
        let mut all = Diagnostics::new();
        for line in (0..150).rev() {
            all.push(Diagnostic::new(format!("m{line}")).at(Place::new(source, 2 * line..2 * line + 1)));
        }
        let text = render(&all, &sources, false);
        assert!(text.find("error: m3\n") < text.find("error: m4\n"));
        assert!(text.contains(":100:1") && !text.contains("m100"));
        assert!(text.ends_with("... and 50 more\n"));
        assert_eq!(all.len(), 150);
    }

    #[test]
    fn keeps_a_bounded_number() {
        let mut all = Diagnostics::new();
        for _ in 0..KEPT + 5 {
            all.push(Diagnostic::new("x"));
        }
        all.append(all.clone());
        assert_eq!((all.len(), all.iter().count()), (2 * (KEPT + 5), KEPT));
    }

    #[test]
    fn colours_only_when_asked() {
        assert!(render(&Diagnostic::new("wrong").into(), &Sources::new(), true).contains("\x1b["));
    }
}
