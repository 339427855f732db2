//! TOML text to tree.

use toml::de::{DeArray, DeFloat, DeInteger, DeTable, DeValue};
use toml::{Spanned, de};

use super::{Entry, Node, Place, SourceId, Sources, Table, Value};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Tables and arrays may be nested this deep. It bounds the recursion of everything that walks the tree.
pub const MAX_DEPTH: usize = 64;

/// In a longer text only the first mistake of syntax is told. Every one takes some hundred bytes, and every character of a
/// text may be one: 16 MiB of `=` would take gigabytes. A mistake of meaning takes a key, which bounds their number.
const LONGEST_WITH_ALL: usize = 256 << 10;

/// Reads the text of a source. The root is a table in any case; with errors, it holds what could be read.
pub fn parse(sources: &Sources, source: SourceId) -> (Node, Diagnostics) {
    let text = sources.text(source);
    let mut reader = Reader::new(source, 0);
    if let Some(offset) = too_many_dots(text) {
        reader.report("nested too deeply", offset..offset + 1);
        return (Node::new(Value::Table(Table::new()), Place::whole(source)), reader.errors);
    }
    let (root, errors) = match DeTable::parse(text) {
        Ok(root) => (root, Vec::new()),
        Err(first) if text.len() > LONGEST_WITH_ALL => {
            reader.report_first(&first, text);
            return (Node::new(Value::Table(Table::new()), Place::whole(source)), reader.errors);
        }
        Err(_) => DeTable::parse_recoverable(text),
    };
    reader.report_all(&errors, text);
    let table = reader.table(root.into_inner(), 0);
    (Node::new(Value::Table(table), Place::whole(source)), reader.errors)
}

/// Reads a single value, which starts at byte `offset` of its source (the right side of a `--set`).
pub(super) fn parse_value(text: &str, source: SourceId, offset: usize) -> (Node, Diagnostics) {
    let mut reader = Reader::new(source, offset);
    if let Some(dot) = too_many_dots(text) {
        reader.report("nested too deeply", dot..dot + 1);
        return (Node::new(Value::Boolean(false), Place::none()), reader.errors);
    }
    let (value, errors) = DeValue::parse_recoverable(text);
    reader.report_all(&errors, text);
    let node = reader.node(value, 0);
    (node, reader.errors)
}

struct Reader {
    source: SourceId,
    offset: usize,
    errors: Diagnostics,
}

impl Reader {
    fn new(source: SourceId, offset: usize) -> Self {
        Self { source, offset, errors: Diagnostics::new() }
    }

    fn place(&self, span: std::ops::Range<usize>) -> Place {
        Place::new(self.source, span.start + self.offset..span.end + self.offset)
    }

    fn report(&mut self, message: &str, span: std::ops::Range<usize>) {
        let place = self.place(span);
        self.errors.push(Diagnostic::new(message).at(place));
    }

    fn report_all(&mut self, errors: &[de::Error], text: &str) {
        for error in without_consequences(errors, text) {
            let span = error.span().unwrap_or(text.len()..text.len());
            self.report(&syntax_words(error.message(), text.get(span.clone()).unwrap_or("")), span);
        }
    }

    fn report_first(&mut self, error: &de::Error, text: &str) {
        let span = error.span().unwrap_or(text.len()..text.len());
        let message = syntax_words(error.message(), text.get(span.clone()).unwrap_or(""));
        let help = "in a file this long other mistakes are looked for once this one is mended";
        self.errors.push(Diagnostic::new(message).at(self.place(span)).help(help));
    }

    fn node(&mut self, value: Spanned<DeValue<'_>>, depth: usize) -> Node {
        let span = value.span();
        let place = self.place(span.clone());
        let value = match value.into_inner() {
            DeValue::String(text) => Value::String(text.into_owned()),
            DeValue::Integer(integer) => self.integer(&integer, span),
            DeValue::Float(float) => self.float(&float, span),
            DeValue::Boolean(boolean) => Value::Boolean(boolean),
            DeValue::Datetime(datetime) => Value::Datetime(datetime.to_string()),
            DeValue::Array(_) | DeValue::Table(_) if depth >= MAX_DEPTH => {
                self.report("nested too deeply", span);
                Value::Boolean(false)
            }
            DeValue::Array(items) => Value::Array(self.array(items, depth + 1)),
            DeValue::Table(table) => Value::Table(self.table(table, depth + 1)),
        };
        Node::new(value, place)
    }

    fn integer(&mut self, integer: &DeInteger<'_>, span: std::ops::Range<usize>) -> Value {
        match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(value) => Value::Integer(value),
            // The parser has complained about anything but the size.
            Err(error) => {
                if matches!(
                    error.kind(),
                    std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow
                ) {
                    self.report("this integer does not fit into 64 bits", span);
                }
                Value::Integer(0)
            }
        }
    }

    fn float(&mut self, float: &DeFloat<'_>, span: std::ops::Range<usize>) -> Value {
        let text = float.as_str();
        let value = text.parse::<f64>().unwrap_or(0.0);
        // Rust reads 1e400 as infinity.
        if value.is_infinite() && !text.contains("inf") {
            self.report("this number is too large for a 64-bit float", span);
        }
        Value::Float(value)
    }

    fn array(&mut self, items: DeArray<'_>, depth: usize) -> Vec<Node> {
        items.into_iter().map(|item| self.node(item, depth)).collect()
    }

    fn table(&mut self, entries: DeTable<'_>, depth: usize) -> Table {
        let mut table = Table::new();
        for (key, value) in entries {
            let key_place = self.place(key.span());
            let node = self.node(value, depth);
            table.push_new(Entry { key: key.into_inner().into_owned(), key_place, node });
        }
        table
    }
}

/// A list whose `]` is missing takes in the rest of the file, where every word is a mistake then: what comes after the
/// first `=` in a list is left out, and so is what is wrong before it in its line.
fn without_consequences<'a>(errors: &'a [de::Error], text: &str) -> Vec<&'a de::Error> {
    let start = |error: &de::Error| error.span().map_or(text.len(), |span| span.start);
    let Some(equals) = errors.iter().position(|error| error.message().starts_with(EQUALS_IN_LIST)) else {
        return errors.iter().collect();
    };
    let line = text.get(..start(&errors[equals])).and_then(|before| before.rfind('\n')).unwrap_or(0);
    errors[..=equals]
        .iter()
        .enumerate()
        .filter(|(index, error)| *index == equals || start(error) < line)
        .map(|(_, error)| error)
        .collect()
}

/// What toml's parser says of it.
const EQUALS_IN_LIST: &str = "unexpected `=` in array";

/// The message of toml's parser about a piece of the text, made clearer where it needs to be.
fn syntax_words(message: &str, piece: &str) -> String {
    match message {
        "duplicate key" => format!("duplicate key `{piece}`"),
        "string values must be quoted, expected literal string" if piece.is_empty() => {
            "a value is missing".into()
        }
        _ if message.starts_with(EQUALS_IN_LIST) => {
            "a list cannot hold a `=`: is the `]` of the list above missing?".into()
        }
        _ => message
            .trim_end_matches(", expected nothing")
            .trim_end_matches(", expected literal string")
            .into(),
    }
}

/// Where the keys of a text have more dots within each other than [`MAX_DEPTH`], if they do.
///
/// toml bounds the nesting of brackets but not that of dotted keys (`a.a.a.a = 1`), and a tree of a million
/// levels overflows the stack when it is dropped. So they are counted beforehand, by a scanner that cuts the
/// text exactly as toml's lexer does.
fn too_many_dots(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut outer: Vec<usize> = Vec::new();
    let (mut outer_dots, mut dots, mut at) = (0, 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'.' => {
                dots += 1;
                if outer_dots + dots > MAX_DEPTH {
                    return Some(at);
                }
            }
            b'[' | b'{' => {
                outer.push(dots);
                outer_dots += dots;
                dots = 0;
            }
            b']' | b'}' => {
                dots = outer.pop().unwrap_or(0);
                outer_dots -= dots;
            }
            b',' | b'\n' | b'\r' => dots = 0,
            _ => {}
        }
        at += token_length(&bytes[at..]);
    }
    None
}

/// The length of the token that starts the text, which is not empty.
fn token_length(text: &[u8]) -> usize {
    match text[0] {
        b'#' => find(text, |byte| matches!(byte, b'\r' | b'\n')),
        quote @ (b'"' | b'\'') if text.starts_with(&[quote; 3]) => long_string_length(text, quote),
        quote @ (b'"' | b'\'') => string_length(text, quote),
        b'.' | b'=' | b',' | b'[' | b']' | b'{' | b'}' | b' ' | b'\t' | b'\r' | b'\n' => 1,
        _ => find(text, |byte| b".=,[]{} \t#\r\n".contains(&byte)),
    }
}

fn find(text: &[u8], stop: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|&byte| stop(byte)).unwrap_or(text.len())
}

/// The length of the string that starts the text: to its closing quote, or to the end of the line.
pub(super) fn string_length(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            byte if byte == quote => return at + 1,
            b'\n' => return at,
            b'\\' if quote == b'"' && matches!(text.get(at + 1), Some(b'"' | b'\\')) => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

fn long_string_length(text: &[u8], quote: u8) -> usize {
    let mut at = 3;
    while at < text.len() {
        match text[at] {
            b'\\' if quote == b'"' && matches!(text.get(at + 1), Some(b'"' | b'\\')) => at += 2,
            _ if text[at..].starts_with(&[quote; 3]) => {
                // Two quotes more may belong to the text of the string.
                let more = text[at + 3..].iter().take(2).take_while(|&&byte| byte == quote).count();
                return at + 3 + more;
            }
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::render;

    fn read(text: &str) -> (Node, Sources, Diagnostics) {
        let mut sources = Sources::new();
        let source = sources.add_file("a.toml".into(), text.into());
        let (root, errors) = parse(&sources, source);
        (root, sources, errors)
    }

    fn errors(text: &str) -> String {
        let (_, sources, errors) = read(text);
        render(&errors, &sources, false)
    }

    #[test]
    fn takes_an_empty_file_for_an_empty_table() {
        for text in ["", "\n\n", "# only a comment", "\u{feff}"] {
            let (root, _, errors) = read(text);
            assert!(errors.is_empty() && root.as_table().is_some_and(Table::is_empty), "{text:?}");
        }
    }

    #[test]
    fn gives_keys_and_values_their_places() {
        let text = "[optimizer]\nlr = 0.1\n[[model.layers]]\nunits = [1, 22]\n[[model.layers]]\n";
        let (root, _, _) = read(text);
        let at = |node: &Node| &text[node.place.span()];
        let optimizer = root.at(&["optimizer"]).unwrap();
        let entry = optimizer.as_table().unwrap().entry("lr").unwrap();
        assert_eq!(
            (at(optimizer), &text[entry.key_place.span()], at(&entry.node)),
            ("[optimizer]", "lr", "0.1")
        );
        assert_eq!(at(root.at(&["model", "layers", "0", "units", "1"]).unwrap()), "22");
        let second = root.at(&["model", "layers", "1"]).unwrap();
        assert_eq!((at(second), second.place.span().start), ("[[model.layers]]", text.rfind("[[").unwrap()));
        assert!(root.place.is_whole());
    }

    #[test]
    fn reports_all_errors_of_syntax_at_once() {
        let text = errors("a = \nb = 1\nb = 2\nc = .1\nd = 'x\n");
        for line in [1, 3, 4, 5] {
            assert!(text.contains(&format!("--> a.toml:{line}:")), "{line}: {text}");
        }
        assert!(text.contains("duplicate key `b`") && text.contains("a value is missing"), "{text}");
        assert!(errors("= 1").contains("--> a.toml:1:1"));
        assert!(errors("type = sgd").starts_with("error: string values must be quoted\n"));
    }

    #[test]
    fn reports_numbers_that_do_not_fit() {
        assert!(errors("a = 9223372036854775808").contains("--> a.toml:1:5"));
        assert!(errors("a = 0xffffffffffffffff").contains("does not fit into 64 bits"));
        assert!(errors("a = -1e400").contains("too large for a 64-bit float"));
        let (root, _, found) = read("a = -9223372036854775808\nb = 0x_ff\nc = 1_000\nd = inf\ne = 0o17");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(root.at(&["a"]).unwrap().value, Value::Integer(i64::MIN));
        assert_eq!(root.at(&["c"]).unwrap().value, Value::Integer(1000));
        assert_eq!(root.at(&["d"]).unwrap().value, Value::Float(f64::INFINITY));
        assert_eq!(root.at(&["e"]).unwrap().value, Value::Integer(15));
    }

    #[test]
    fn refuses_what_is_nested_too_deeply() {
        for text in [
            format!("a = {}", "[".repeat(100_000)),
            format!("a = {}{}", "[".repeat(70), "]".repeat(70)),
            format!("a = {}", "{a=".repeat(100_000)),
            format!("a{} = 1", ".a".repeat(1_000_000)),
            format!("[a{}]", ". \"a=\"".repeat(1_000_000)),
            format!("x = 1\nx = {{ a\"{} = 1 }}", ".'a,'".repeat(1_000_000)),
            format!("a = {}1{}", "{ b.c.d.e.f.g = ".repeat(60), "}".repeat(60)),
        ] {
            let found = errors(&text);
            assert!(!found.is_empty(), "{}", &text[..20]);
            assert!(found.len() < 100_000, "{}", found.len());
        }
    }

    #[test]
    fn counts_no_dots_of_numbers_strings_and_comments() {
        let text = format!(
            "x = [[{}], [{}]]\n# {}\ns = \"{}\\\"\"\nt = '''\n{}'''''\nu = 1\n",
            "0.5, ".repeat(100),
            "1.5,\n".repeat(100),
            "..".repeat(100),
            ".".repeat(100),
            ".a.".repeat(100),
        );
        assert_eq!(errors(&text), "");
    }

    #[test]
    fn a_long_text_is_read_to_its_first_mistake_of_syntax() {
        let long = format!("a = 1\n{}", "=\n".repeat(LONGEST_WITH_ALL / 2));
        let mut sources = Sources::new();
        let source = sources.add_file("a.toml".into(), long);
        let (_, errors) = parse(&sources, source);
        assert_eq!(errors.len(), 1);
        let only = errors.iter().next().unwrap();
        assert_eq!(only.place, Some(Place::new(source, 6..6)));
        assert!(only.help.as_ref().unwrap().starts_with("in a file this long"), "{only:?}");
    }
}
