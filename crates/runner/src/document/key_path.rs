//! A key as `--set` names it, to be set again and again: by the trials of a sweep.

use super::merge::{Segment, read_path, set};
use super::{Node, Place};

/// The path of a key: `optimizer.learning_rate`, `model.layers.0.units`.
#[derive(Debug, Clone)]
pub struct KeyPath {
    segments: Vec<Segment>,
}

impl KeyPath {
    /// Reads a path as it stands before the `=` of `--set`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let argument = format!("{text}=");
        let (segments, end) = read_path(&argument).map_err(|(message, _)| message)?;
        match end == argument.len() {
            true => Ok(Self { segments }),
            false => Err("`=` cannot be in a bare key".into()),
        }
    }

    /// The table or the key of the file that it begins with.
    pub fn first(&self) -> &str {
        self.segments.first().map_or("", |segment| &segment.key)
    }

    /// Whether it is the other path, or leads on from there.
    pub fn is_within(&self, other: &Self) -> bool {
        // Items of lists are numbered, and a number may be written in several ways.
        let plain = |segment: &Segment| match segment.key.parse::<usize>() {
            Ok(number) => number.to_string(),
            Err(_) => segment.key.clone(),
        };
        let (own, others) = (self.segments.iter().map(plain), other.segments.iter().map(plain));
        self.segments.len() >= other.segments.len() && own.zip(others).all(|(own, other)| own == other)
    }

    /// Sets the key. Tables that are missing are made; what is new has its place where the key is written.
    ///
    /// # Errors
    /// Why there cannot be such a key.
    pub fn set(&self, root: &mut Node, value: Node, key_place: Place) -> Result<(), String> {
        set(root, &self.segments, value, &|_| key_place).map_err(|(message, _)| message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{SourceId, Sources, Value, parse};

    #[test]
    fn sets_a_key_at_a_place_of_its_own() {
        let mut sources = Sources::new();
        let source = sources.add_file("a.toml".into(), "layers = [{ units = 1 }]".into());
        let (mut root, _) = parse(&sources, source);
        let place = Place::new(SourceId(7), 3..4);
        for key in ["layers.0.units", "\"new\".key"] {
            let value = Node::new(Value::Integer(8), place);
            KeyPath::parse(key).unwrap().set(&mut root, value, place).unwrap();
        }
        let units = root.at(&["layers", "0", "units"]).unwrap();
        assert_eq!((&units.value, units.place), (&Value::Integer(8), place));
        assert_eq!(root.at(&["new", "key"]).unwrap().value, Value::Integer(8));
        let missing = KeyPath::parse("layers.1.units").unwrap();
        let message = missing.set(&mut root, Node::new(Value::Integer(8), place), place).unwrap_err();
        assert!(message.contains("the list has no item 1"), "{message}");
    }

    #[test]
    fn what_is_no_path_of_keys_is_refused() {
        for text in ["", "a.", "a b", "a=1", ".a", "\"a"] {
            assert!(KeyPath::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_key_is_written_in_several_ways() {
        let within = |a: &str, b: &str| KeyPath::parse(a).unwrap().is_within(&KeyPath::parse(b).unwrap());
        assert!(within("a.'b'.01", "a.b.1") && within("a.b", "a"));
        assert!(!within("a", "a.b") && !within("ab", "a"));
    }
}
