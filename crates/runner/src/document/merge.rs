//! `extends` and `--set`: a file, what it inherits, and what the command line changes.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::parse::{parse_value, string_length};
use super::{Entry, MAX_DEPTH, Node, Place, ReadError, SourceId, Sources, Table, Value, parse, read_source};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// A chain of `extends` may be this long.
const MAX_CHAIN: usize = 16;

/// An experiment as it was written, with all that it is made of.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The tree; with mistakes, as much of it as could be read.
    pub root: Node,
    /// Where its places point to.
    pub sources: Sources,
    /// Mistakes of syntax, of `extends` and of the overrides. Those of meaning come later.
    pub diagnostics: Diagnostics,
}

/// Reads an experiment file, merges it into the files that it extends, and applies `--set` arguments.
///
/// # Errors
/// When the file itself cannot be read. One that it extends is a mistake in the file, at its `extends`.
pub fn load(path: &Path, overrides: &[String]) -> Result<Loaded, ReadError> {
    let mut sources = Sources::new();
    let mut diagnostics = Diagnostics::new();
    let mut chain = Chain { files: Vec::new(), sources: &mut sources, diagnostics: &mut diagnostics };
    let mut root = chain.read(path, read_source(path)?);
    let mut next = chain.take_extends(&mut root, path);
    while let Some((base_path, text)) = next {
        let mut base = chain.read(&base_path, text);
        next = chain.take_extends(&mut base, &base_path);
        root = merge(base, root);
    }
    for argument in overrides {
        diagnostics.append(apply_override(&mut root, &mut sources, argument));
    }
    Ok(Loaded { root, sources, diagnostics })
}

struct Chain<'a> {
    files: Vec<PathBuf>,
    sources: &'a mut Sources,
    diagnostics: &'a mut Diagnostics,
}

impl Chain<'_> {
    fn read(&mut self, path: &Path, text: String) -> Node {
        self.files.push(identity(path));
        let source = self.sources.add_file(path.to_owned(), text);
        let (root, errors) = parse(self.sources, source);
        self.diagnostics.append(errors);
        root
    }

    /// Takes `extends` out of a file and reads the file that it names.
    fn take_extends(&mut self, root: &mut Node, path: &Path) -> Option<(PathBuf, String)> {
        let table = root.as_table_mut()?;
        let key_place = table.entry("extends")?.key_place;
        let node = table.remove("extends")?;
        let read = self.read_base(&node, path);
        let report = |message: String| self.diagnostics.push(Diagnostic::new(message).at(key_place));
        read.map_err(report).ok()
    }

    fn read_base(&self, extends: &Node, path: &Path) -> Result<(PathBuf, String), String> {
        let Some(name) = extends.as_str() else {
            return Err(format!("extends must be a string, found {}", extends.kind()));
        };
        let base = path.parent().unwrap_or(Path::new("")).join(name);
        if self.files.contains(&identity(&base)) {
            return Err(format!("this file extends itself through `{name}`"));
        }
        if self.files.len() >= MAX_CHAIN {
            return Err(format!("more than {MAX_CHAIN} files extend each other"));
        }
        let text = read_source(&base).map_err(|error| error.to_string())?;
        Ok((base, text))
    }
}

/// One file has many paths; this one is the same for all.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The child laid over the base: tables merge key by key, anything else of the child replaces the base's.
///
/// Where both tables have a `type` and it differs, the child's table replaces the base's as a whole: the keys
/// of another variant (`beta1` of adam under `type = "sgd"`) would only be unknown keys. Every node keeps the
/// place in its own file.
pub fn merge(base: Node, child: Node) -> Node {
    match (base.value, child.value) {
        (Value::Table(base), Value::Table(child_table)) if !type_differs(&base, &child_table) => {
            Node::new(Value::Table(merge_tables(base, child_table)), child.place)
        }
        (_, value) => Node::new(value, child.place),
    }
}

fn type_differs(base: &Table, child: &Table) -> bool {
    match (base.get("type"), child.get("type")) {
        (Some(base), Some(child)) => base != child,
        _ => false,
    }
}

fn merge_tables(base: Table, child: Table) -> Table {
    let mut entries: Vec<Entry> = base.entries;
    let index: HashMap<String, usize> =
        entries.iter().enumerate().map(|(rank, entry)| (entry.key.clone(), rank)).collect();
    for mut entry in child {
        match index.get(&entry.key) {
            Some(&rank) => {
                let nothing = Node::new(Value::Boolean(false), Place::none());
                let base_node = std::mem::replace(&mut entries[rank].node, nothing);
                entry.node = merge(base_node, entry.node);
                entries[rank] = entry;
            }
            None => entries.push(entry),
        }
    }
    Table { entries }
}

/// Applies `key.path=value`. Keys may be quoted, items of lists are chosen by number
/// (`model.layers.0.units=8`), tables that are missing are made. The value is TOML, and a bare word is a string.
pub fn apply_override(root: &mut Node, sources: &mut Sources, argument: &str) -> Diagnostics {
    let source = sources.add_argument(argument.to_owned());
    let failed = |(message, span): Mistake| Diagnostic::new(message).at(Place::new(source, span));
    let (segments, value_at) = match read_path(argument) {
        Ok(path) => path,
        Err(mistake) => return failed(mistake).help("write --set key.path=value").into(),
    };
    // The files are merged by now; to accept it would be to ignore it.
    if segments[0].key == "extends" {
        return failed(("extends can only be set in a file".into(), segments[0].span.clone())).into();
    }
    let value = match read_value(argument, value_at, source) {
        Ok(value) => value,
        Err(mistakes) => return mistakes,
    };
    match set(root, &segments, value, &|segment| Place::new(source, segment.span.clone())) {
        Ok(()) => Diagnostics::new(),
        Err(mistake) => failed(mistake).into(),
    }
}

/// What is wrong with an argument, and the bytes of it that are.
type Mistake = (String, Range<usize>);

/// A key of a path.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) key: String,
    span: Range<usize>,
}

/// The keys before the `=`, and where the text after it starts.
pub(super) fn read_path(argument: &str) -> Result<(Vec<Segment>, usize), Mistake> {
    let mut segments = Vec::new();
    let mut at = 0;
    loop {
        at = skip_spaces(argument, at);
        let segment = read_segment(argument, at)?;
        at = skip_spaces(argument, segment.span.end);
        segments.push(segment);
        if segments.len() > MAX_DEPTH {
            return Err(("nested too deeply".into(), 0..at));
        }
        match argument[at..].chars().next() {
            Some('.') => at += 1,
            Some('=') => return Ok((segments, at + 1)),
            Some(other) => {
                let span = at..at + other.len_utf8();
                return Err((format!("`{other}` cannot be in a bare key"), span));
            }
            None => return Err(("there is no `=`".into(), 0..argument.len())),
        }
    }
}

fn read_segment(argument: &str, at: usize) -> Result<Segment, Mistake> {
    let rest = &argument[at..];
    let Some(quote @ (b'"' | b'\'')) = rest.bytes().next() else {
        let length = rest.find(|character| !is_bare(character)).unwrap_or(rest.len());
        let key = rest[..length].to_owned();
        return match length {
            0 => Err(("a key is missing here".into(), at..argument.len().min(at + 1))),
            _ => Ok(Segment { key, span: at..at + length }),
        };
    };
    let span = at..at + string_length(rest.as_bytes(), quote);
    match DeValue::parse(&argument[span.clone()]).map(|value| value.into_inner()) {
        Ok(DeValue::String(key)) => Ok(Segment { key: key.into_owned(), span }),
        _ => Err(("this quoted key is not valid".into(), span)),
    }
}

fn is_bare(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-')
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') && text.chars().all(is_bare)
}

fn skip_spaces(text: &str, at: usize) -> usize {
    at + text[at..].find(|character| character != ' ').unwrap_or(text.len() - at)
}

fn read_value(argument: &str, at: usize, source: SourceId) -> Result<Node, Diagnostics> {
    let at = skip_spaces(argument, at);
    let text = argument[at..].trim_end();
    let place = Place::new(source, at..at + text.len());
    if text.is_empty() {
        let missing = Diagnostic::new("there is no value after the `=`").at(place);
        return Err(missing.help("write \"\" for an empty string").into());
    }
    let (node, errors) = parse_value(text, source, at);
    if errors.is_empty() {
        return Ok(node);
    }
    if is_word(text) {
        return Ok(Node::new(Value::String(text.to_owned()), place));
    }
    let mut mistakes = Diagnostics::new();
    for error in errors.iter() {
        mistakes
            .push(error.clone().help("the value is read as TOML: a string that is not a word needs quotes"));
    }
    Err(mistakes)
}

/// Sets a key, of which each part has its place.
pub(super) fn set(
    root: &mut Node,
    path: &[Segment],
    value: Node,
    place: &dyn Fn(&Segment) -> Place,
) -> Result<(), Mistake> {
    let mut node = root;
    for (depth, segment) in path.iter().enumerate() {
        let place = place(segment);
        let kind = node.kind();
        node = match &mut node.value {
            Value::Table(table) if depth + 1 == path.len() => {
                table.insert(segment.key.clone(), place, value);
                return Ok(());
            }
            Value::Table(table) => table.get_or_insert_table(&segment.key, place),
            Value::Array(items) => item(items, segment)?,
            _ => return Err(not_a_container(kind, segment)),
        };
    }
    // Only a path that ends in a list item comes here.
    *node = value;
    Ok(())
}

fn item<'a>(items: &'a mut [Node], segment: &Segment) -> Result<&'a mut Node, Mistake> {
    let (key, count) = (&segment.key, items.len());
    let Ok(index) = key.parse::<usize>() else {
        return Err((
            format!("a list has no key `{key}`; its items are numbered from 0"),
            segment.span.clone(),
        ));
    };
    let has = match count {
        0 => "it is empty".to_owned(),
        1 => "it has one item, 0".to_owned(),
        _ => format!("it has {count} items, 0 to {}", count - 1),
    };
    items.get_mut(index).ok_or_else(|| (format!("the list has no item {index}: {has}"), segment.span.clone()))
}

fn not_a_container(kind: &str, segment: &Segment) -> Mistake {
    (format!("`{}` cannot be set within {kind}", segment.key), segment.span.clone())
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
