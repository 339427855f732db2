//! Tree to TOML and JSON.

use super::{Node, Place, Table, Value};

/// The tree as TOML text that reads back as an equal tree.
pub fn to_toml_string(table: &Table) -> String {
    // Fails only for what a `toml::Table` cannot hold, such as keys that are no strings.
    toml::to_string(&toml_table(table)).expect("a tree of TOML values is valid TOML")
}

fn toml_table(table: &Table) -> toml::Table {
    table.iter().map(|entry| (entry.key.clone(), toml_value(&entry.node))).collect()
}

fn toml_value(node: &Node) -> toml::Value {
    match &node.value {
        Value::String(text) => toml::Value::String(text.clone()),
        Value::Integer(value) => toml::Value::Integer(*value),
        Value::Float(value) => toml::Value::Float(*value),
        Value::Boolean(value) => toml::Value::Boolean(*value),
        // What the parser took for a date is one; a string is the honest rest.
        Value::Datetime(text) => match text.parse() {
            Ok(datetime) => toml::Value::Datetime(datetime),
            Err(_) => toml::Value::String(text.clone()),
        },
        Value::Array(items) => toml::Value::Array(items.iter().map(toml_value).collect()),
        Value::Table(table) => toml::Value::Table(toml_table(table)),
    }
}

/// The tree as JSON. JSON has no `nan` and no `inf`: they become null.
pub fn to_json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::String(text) | Value::Datetime(text) => text.clone().into(),
        Value::Integer(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Boolean(value) => (*value).into(),
        Value::Array(items) => items.iter().map(to_json).collect(),
        Value::Table(table) => {
            let pairs = table.iter().map(|entry| (entry.key.clone(), to_json(&entry.node)));
            serde_json::Value::Object(pairs.collect())
        }
    }
}

/// A tree without places from JSON, without the keys that are null there, as TOML has no null.
pub fn from_json(json: &serde_json::Value) -> Node {
    let value = match json {
        serde_json::Value::Null => Value::Table(Table::new()),
        serde_json::Value::Bool(value) => Value::Boolean(*value),
        serde_json::Value::Number(number) => from_number(number),
        serde_json::Value::String(text) => Value::String(text.clone()),
        serde_json::Value::Array(items) => Value::Array(items.iter().map(from_json).collect()),
        serde_json::Value::Object(entries) => Value::Table(from_object(entries)),
    };
    Node::new(value, Place::none())
}

fn from_number(number: &serde_json::Number) -> Value {
    match number.as_i64() {
        Some(value) => Value::Integer(value),
        // Without the feature `arbitrary_precision` every number of serde_json is a float in the end.
        None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
    }
}

fn from_object(entries: &serde_json::Map<String, serde_json::Value>) -> Table {
    let mut table = Table::new();
    for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
        let entry = super::Entry { key: key.clone(), key_place: Place::none(), node: from_json(value) };
        table.push_new(entry);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Sources, parse};

    fn read(text: &str) -> Table {
        let mut sources = Sources::new();
        let source = sources.add_file("a.toml".into(), text.into());
        let (root, errors) = parse(&sources, source);
        assert!(errors.is_empty(), "{errors:?}\n{text}");
        root.as_table().unwrap().clone()
    }

    const EVERYTHING: &str = r#"
layers = [1, [2.0, "x"], { a = 1 }]
[sub]
"key with.dots" = { b = { c = 1.5e300 } }
[sub.deeper]
x = [[54, 168], [65, 185]]
[[model.layers]]
type = "dense"
activation = { type = "elu", slope = 1.0 }
[[model.layers]]
type = "dropout"
[empty]
"#;

    #[test]
    fn reads_back_as_an_equal_tree() {
        let mut table = read(EVERYTHING);
        let scalars = "i = -3\nf = 1.0\ng = -0.0\nh = 0.1\nb = true\nd = 1979-05-27T07:32:00Z\nt = 07:32:00\n\
                       s = \"a\\\"b\\\\\\n\\u001b é '''\"\ne = []\n'' = 1";
        // Behind the tables: the writer must bring them to the front.
        for entry in read(scalars) {
            table.insert(entry.key, Place::none(), entry.node);
        }
        let text = to_toml_string(&table);
        assert_eq!(read(&text).iter().count(), table.len(), "{text}");
        for entry in table.iter() {
            assert_eq!(read(&text).get(&entry.key), Some(&entry.node), "{text}");
        }
    }

    #[test]
    fn writes_floats_as_floats_and_long_lists_of_tables_as_sections() {
        let text = to_toml_string(&read("f = 1.0\nlayers = [{ type = 'dense' }, { type = 'dense' }]"));
        assert_eq!(text, "f = 1.0\n\n[[layers]]\ntype = \"dense\"\n\n[[layers]]\ntype = \"dense\"\n");
    }

    #[test]
    fn reads_back_the_deepest_tree() {
        let depth = crate::document::MAX_DEPTH;
        for text in [
            format!("a{} = 1", ".a".repeat(depth - 1)),
            format!("a = {}{}", "[".repeat(depth), "]".repeat(depth)),
            format!("a = {}1{}", "{ a = ".repeat(depth), "}".repeat(depth)),
        ] {
            let table = read(&text);
            assert_eq!(read(&to_toml_string(&table)), table);
        }
    }

    #[test]
    fn turns_into_json_and_back() {
        let table = read("a = 1\nb = [1.5, 'x', true]\nc = { d = {} }");
        let json = to_json(&Node::new(Value::Table(table.clone()), Place::none()));
        assert_eq!(json, serde_json::json!({"a": 1, "b": [1.5, "x", true], "c": {"d": {}}}));
        assert_eq!(from_json(&json).value, Value::Table(table));
        assert_eq!(from_json(&serde_json::json!({"a": null})).value, Value::Table(Table::new()));
    }
}
