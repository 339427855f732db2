//! Tree to structs, by serde.

use serde::de::value::{Error, MapAccessDeserializer, MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, Error as _, IntoDeserializer, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};

use super::{Entry, Node, Value};

/// A tree that does not fit the type, in serde's words. After [`crate::conform`] has passed a tree by the
/// schema of the same type, this is a bug of the program and not of the file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct ReadValueError(String);

/// Reads a type from a tree: an integer also into a float, but no float into an integer.
///
/// # Errors
/// When the tree does not fit the type.
pub fn deserialize<T: DeserializeOwned>(node: &Node) -> Result<T, ReadValueError> {
    T::deserialize(Borrowed(node)).map_err(|error| ReadValueError(error.to_string()))
}

/// A node that serde reads from, without a copy of its (perhaps millions of) numbers.
#[derive(Clone, Copy)]
struct Borrowed<'a>(&'a Node);

impl<'de> IntoDeserializer<'de, Error> for Borrowed<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

fn entry_pair(entry: &Entry) -> (&str, Borrowed<'_>) {
    (&entry.key, Borrowed(&entry.node))
}

impl<'de> Deserializer<'de> for Borrowed<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::String(text) | Value::Datetime(text) => visitor.visit_borrowed_str(text),
            Value::Integer(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Array(items) => {
                let mut access = SeqDeserializer::new(items.iter().map(Borrowed));
                let value = visitor.visit_seq(&mut access)?;
                access.end()?;
                Ok(value)
            }
            Value::Table(table) => {
                let mut access = MapDeserializer::new(table.iter().map(entry_pair));
                let value = visitor.visit_map(&mut access)?;
                access.end()?;
                Ok(value)
            }
        }
    }

    /// TOML has no null: what is there is some.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::String(text) => visitor.visit_enum(StrDeserializer::new(text)),
            Value::Table(table) => {
                let entries = MapDeserializer::new(table.iter().map(entry_pair));
                visitor.visit_enum(MapAccessDeserializer::new(entries))
            }
            _ => Err(Error::custom(format_args!("expected a name, found {}", self.0.kind()))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::document::{Sources, parse};

    fn read<T: DeserializeOwned>(text: &str) -> Result<T, ReadValueError> {
        let mut sources = Sources::new();
        let source = sources.add_file("a.toml".into(), text.into());
        let (root, errors) = parse(&sources, source);
        assert!(errors.is_empty(), "{errors:?}");
        deserialize(&root)
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Sgd,
        Adam { beta: f64 },
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(tag = "type", rename_all = "snake_case")]
    enum Tagged {
        Dense { units: u32 },
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct File {
        rate: f64,
        small: f32,
        seed: u64,
        width: usize,
        name: Option<String>,
        absent: Option<String>,
        rows: Vec<Vec<f64>>,
        pair: (u8, bool),
        kind: Kind,
        other: Kind,
        layers: Vec<Tagged>,
    }

    #[test]
    fn reads_every_kind_of_field() {
        let file: File = read(
            "rate = 1\nsmall = 0.5\nseed = 7\nwidth = 3\nname = 'n'\nrows = [[1, 2.5], []]\npair = [1, true]\n\
             kind = 'sgd'\nother = { adam = { beta = 1 } }\nlayers = [{ type = 'dense', units = 2 }]",
        )
        .unwrap();
        assert_eq!((file.rate, file.small, file.seed, file.width), (1.0, 0.5, 7, 3));
        assert_eq!((file.name.as_deref(), file.absent), (Some("n"), None));
        assert_eq!(file.rows, [vec![1.0, 2.5], vec![]]);
        assert_eq!((file.pair, file.kind, file.other), ((1, true), Kind::Sgd, Kind::Adam { beta: 1.0 }));
        assert_eq!(file.layers, [Tagged::Dense { units: 2 }]);
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Epochs {
        #[serde(rename = "epochs")]
        _epochs: usize,
    }

    #[test]
    fn reads_no_float_and_no_negative_into_an_integer() {
        assert!(read::<Epochs>("epochs = 10").is_ok());
        for text in ["epochs = 10.0", "epochs = -1", "epochs = '1'", "epochs = 1\nepoch = 1", ""] {
            assert!(read::<Epochs>(text).is_err(), "{text}");
        }
    }
}
