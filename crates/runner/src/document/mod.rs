//! The experiment file as a tree in which every key and every value knows its place in the text.
//!
//! serde could read the file straight into structs, but then a mistake found later (a shape that does not
//! fit, a key of another variant) could no longer be shown where it was written, and `extends` and `--set`
//! would have to be resolved before the places are known. So the file is read into this tree first;
//! [`crate::conform`] checks it, and only then it becomes structs, by [`deserialize`].

mod deserialize;
mod key_path;
mod merge;
mod parse;
mod source;
mod write;

pub use deserialize::{ReadValueError, deserialize};
pub use key_path::KeyPath;
pub use merge::{Loaded, apply_override, load, merge};
pub use parse::{MAX_DEPTH, parse};
pub use source::{MAX_FILE_BYTES, Place, ReadError, SourceId, Sources, read_source};
pub use write::{from_json, to_json, to_toml_string};

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// What was written.
    pub value: Value,
    /// Where it was written.
    pub place: Place,
}

/// The kinds of value that TOML has.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text, unescaped.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number with a point, an exponent, `nan` or `inf`.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A date, a time or both, as TOML writes it.
    Datetime(String),
    /// A list, of `[...]` or of `[[name]]` tables.
    Array(Vec<Node>),
    /// A table, of a `[name]` header, of `{...}` or of a dotted key.
    Table(Table),
}

/// The entries of a table in the order of the file.
///
/// A search is linear: tables are short, and the one place that compares two tables of any length
/// ([`merge`]) keeps an index of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    entries: Vec<Entry>,
}

/// One key of a table.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key, unquoted.
    pub key: String,
    /// Where the key stands; for a `[name]` table, inside its header.
    pub key_place: Place,
    /// What the key is set to.
    pub node: Node,
}

/// Two nodes are equal when their values are: the place is where a value comes from, not what it is.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.node == other.node
    }
}

impl Node {
    /// A value at a place.
    pub fn new(value: Value, place: Place) -> Self {
        Self { value, place }
    }

    /// The kind of the value in the words of a user.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::String(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "a boolean",
            Value::Datetime(_) => "a date",
            Value::Array(_) => "an array",
            Value::Table(_) => "a table",
        }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The entries, if this is a table.
    pub fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The entries, if this is a table, to change them.
    pub fn as_table_mut(&mut self) -> Option<&mut Table> {
        match &mut self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The items, if this is an array.
    pub fn as_array(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The node at a path of keys and list indices such as `["model", "layers", "0"]`, if there is one.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        let child = match &self.value {
            Value::Table(table) => table.get(first)?,
            Value::Array(items) => items.get(first.parse::<usize>().ok()?)?,
            _ => return None,
        };
        child.at(rest)
    }
}

impl Table {
    /// A table without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
    }

    /// The entry of a key, with the key's own place.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Whether the key is set.
    pub fn contains_key(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Sets a key. One that is there keeps its rank in the order; a new one goes to the end.
    pub fn insert(&mut self, key: impl Into<String>, key_place: Place, node: Node) -> Option<Node> {
        let key = key.into();
        match self.entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => {
                entry.key_place = key_place;
                Some(std::mem::replace(&mut entry.node, node))
            }
            None => {
                self.entries.push(Entry { key, key_place, node });
                None
            }
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index).node)
    }

    /// The entries in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The entries in the order of the file, to change their values.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    /// The value of a key, which is made an empty table if it is not there.
    fn get_or_insert_table(&mut self, key: &str, place: Place) -> &mut Node {
        let index = self.entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
            let node = Node::new(Value::Table(Table::new()), place);
            self.entries.push(Entry { key: key.to_owned(), key_place: place, node });
            self.entries.len() - 1
        });
        &mut self.entries[index].node
    }

    /// Adds an entry whose key is known to be new; a search for each would take quadratic time.
    fn push_new(&mut self, entry: Entry) {
        self.entries.push(entry);
    }
}

impl IntoIterator for Table {
    type Item = Entry;
    type IntoIter = std::vec::IntoIter<Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(value: i64) -> Node {
        Node::new(Value::Integer(value), Place::none())
    }

    #[test]
    fn keeps_the_order_of_insertion() {
        let mut table = Table::new();
        for key in ["z", "a", "m"] {
            table.insert(key, Place::none(), integer(1));
        }
        assert_eq!(table.insert("z", Place::none(), integer(2)), Some(integer(1)));
        let keys: Vec<_> = table.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["z", "a", "m"]);
        assert_eq!(table.get("z"), Some(&integer(2)));
        assert_eq!(table.remove("a"), Some(integer(1)));
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn is_small_enough_for_millions_of_numbers() {
        assert!(size_of::<Node>() <= 48, "{}", size_of::<Node>());
    }

    #[test]
    fn finds_a_node_by_its_path() {
        let mut sources = Sources::new();
        let source = sources.add_file("a.toml".into(), "a = [{ b = 1 }]".into());
        let (root, _) = parse(&sources, source);
        assert_eq!(root.at(&["a", "0", "b"]), Some(&integer(1)));
        assert_eq!(root.at(&["a", "1", "b"]), None);
        assert_eq!(root.at(&["a", "b"]), None);
    }
}
