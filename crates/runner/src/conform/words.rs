//! How a message names a place in the tree, a value, a list of choices.

use crate::document::{Node, Value};

/// More names than this are not listed.
const LISTED: usize = 40;

/// A longer name is cut.
const LONGEST_NAME: usize = 60;

/// A step from the root to a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// `model.layers[0].units`
pub(super) fn path_words(path: &[Step<'_>]) -> String {
    let mut words = String::new();
    for step in path {
        match step {
            Step::Index(index) => words += &format!("[{index}]"),
            Step::Key(key) => {
                let dot = if words.is_empty() { "" } else { "." };
                words += &format!("{dot}{}", key_words(key));
            }
        }
    }
    words
}

fn key_words(key: &str) -> String {
    let is_bare = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    if !key.is_empty() && key.chars().all(is_bare) { short(key) } else { format!("\"{}\"", short(key)) }
}

/// ` in [optimizer]`, ` in model.layers[1] (dense "output")`, or nothing for the root.
pub(super) fn in_table(path: &[Step<'_>], table: &Node) -> String {
    let words = path_words(path);
    if path.is_empty() {
        return String::new();
    }
    if path.iter().all(|step| matches!(step, Step::Key(_))) {
        return format!(" in [{words}]");
    }
    let text = |key| table.at(&[key]).and_then(Node::as_str).map(short);
    let name = text("name").map(|name| format!("\"{name}\""));
    let known: Vec<String> = text("type").into_iter().chain(name).collect();
    match known.is_empty() {
        true => format!(" in {words}"),
        false => format!(" in {words} ({})", known.join(" ")),
    }
}

/// A number as it is, anything else by its kind.
pub(super) fn found(node: &Node) -> String {
    match &node.value {
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        _ => node.kind().to_owned(),
    }
}

/// A name that is not too long for a message.
pub(super) fn short(name: &str) -> String {
    match name.char_indices().nth(LONGEST_NAME) {
        None => name.to_owned(),
        Some((end, _)) => format!("{}...", &name[..end]),
    }
}

/// `` `a`, `b` `` and so on.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.len() > LISTED {
        names.truncate(LISTED);
        names.push("...".into());
    }
    names.join(", ")
}

/// `a, b or c`
pub(super) fn alternatives(words: &[&str]) -> String {
    match words {
        [] => "something else".to_owned(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// How a table that is missing may be written, in a line.
pub(super) fn table_example(name: &str) -> Option<&'static str> {
    Some(match name {
        "data" => "such as `data = { type = \"inline\", x = [[0], [1]], y = [[1], [0]] }`",
        "model" => "such as `model = { layers = [{ type = \"dense\", units = 1 }] }`",
        "loss" => "such as `loss = { type = \"mse\" }`",
        "optimizer" => "such as `optimizer = { type = \"sgd\", learning_rate = 0.1 }`",
        "train" => "such as `train = { epochs = 10 }`",
        _ => return None,
    })
}
