//! What an experiment may name, read from its schema: so whatever is registered is listed, with its keys.

use clap::ValueEnum;
use serde_json::Value as Json;

/// Above this number the choices of a key are not spelt out; `list` has them.
const FEW: usize = 4;

/// A kind of things with names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// `type` in `[[model.layers]]`.
    Layers,
    /// `activation` of a layer.
    Activations,
    /// `type` in `[loss]`.
    Losses,
    /// `type` in `[optimizer]`.
    Optimizers,
    /// `type` in `[lr_schedule]`.
    Schedules,
    /// `weight_init` and `bias_init`.
    Initializers,
    /// `type` in `[data]`.
    Data,
    /// `report` in `[metrics]`.
    Metrics,
    /// `--template` of `runner new`.
    Templates,
}

impl Kind {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Where the schema of an experiment has the types.
    fn pointer(self) -> Option<&'static str> {
        Some(match self {
            Self::Layers => "/properties/model/properties/layers/items",
            Self::Activations => "/$defs/activation",
            Self::Losses => "/properties/loss",
            Self::Optimizers => "/properties/optimizer",
            Self::Schedules => "/properties/lr_schedule",
            Self::Initializers => "/$defs/initializer",
            Self::Data => "/properties/data",
            Self::Metrics => "/properties/metrics/properties/report/items",
            Self::Templates => return None,
        })
    }
}

/// A type that an experiment may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Type {
    pub(crate) name: String,
    pub(crate) description: String,
    /// Those that must be given first.
    pub(crate) keys: Vec<Key>,
}

/// A key of a type, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) range: String,
    pub(crate) default: String,
    pub(crate) description: String,
}

/// The types of a kind, in the order in which they were registered.
pub(crate) fn types(schema: &Json, kind: Kind) -> Vec<Type> {
    let Some(pointer) = kind.pointer() else { return templates() };
    let mut found: Vec<Type> = Vec::new();
    for leaf in schema.pointer(pointer).map(|kind| leaves(schema, kind)).unwrap_or_default() {
        for name in names(leaf) {
            let new = Type {
                name: name.to_owned(),
                description: text(&leaf["description"]),
                keys: keys(schema, leaf),
            };
            // A name that may stand alone or as a table's `type`: the table knows more.
            match found.iter_mut().find(|other| other.name == new.name) {
                Some(other) => *other = new,
                None => found.push(new),
            }
        }
    }
    found
}

fn templates() -> Vec<Type> {
    let values =
        crate::commands::new::Template::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let as_type = |value: clap::builder::PossibleValue| Type {
        name: value.get_name().to_owned(),
        description: value.get_help().map(ToString::to_string).unwrap_or_default(),
        keys: Vec::new(),
    };
    values.map(as_type).collect()
}

/// The schemas without branches that a schema leaves the choice of.
fn leaves<'a>(root: &'a Json, schema: &'a Json) -> Vec<&'a Json> {
    let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    if let Some(target) = pointer.and_then(|pointer| root.pointer(pointer)) {
        return leaves(root, target);
    }
    let branches = ["oneOf", "anyOf"].map(|key| schema[key].as_array()).into_iter().flatten();
    let leaves: Vec<&Json> = branches.flatten().flat_map(|branch| leaves(root, branch)).collect();
    if leaves.is_empty() { vec![schema] } else { leaves }
}

/// The names that lead to a leaf: a choice of strings, or the `type` of a table.
fn names(leaf: &Json) -> impl Iterator<Item = &str> {
    let choice = if leaf["properties"]["type"].is_null() { leaf } else { &leaf["properties"]["type"] };
    let several = choice["enum"].as_array().into_iter().flatten();
    choice["const"].as_str().into_iter().chain(several.filter_map(Json::as_str))
}

fn keys(root: &Json, leaf: &Json) -> Vec<Key> {
    let is_required = |key: &str| {
        leaf["required"].as_array().is_some_and(|required| required.iter().any(|other| other == key))
    };
    let properties = leaf["properties"].as_object().into_iter().flatten();
    let mut keys: Vec<(bool, Key)> = properties
        .filter(|(name, _)| *name != "type")
        .map(|(name, schema)| {
            let default = match &schema["default"] {
                _ if is_required(name) => "required".into(),
                Json::Null => String::new(),
                default => default.to_string(),
            };
            let description = text(&schema["description"]);
            let (value, range) = (value(root, schema), range(schema));
            (!is_required(name), Key { name: name.clone(), value, range, default, description })
        })
        .collect();
    keys.sort_by_key(|(optional, _)| *optional);
    keys.into_iter().map(|(_, key)| key).collect()
}

/// What is to be written: a kind of value, or one of a few names.
fn value(root: &Json, schema: &Json) -> String {
    let leaves = leaves(root, schema);
    let mut words: Vec<String> = Vec::new();
    let choices: Vec<&str> =
        leaves.iter().filter(|leaf| leaf["properties"].is_null()).flat_map(|leaf| names(leaf)).collect();
    match choices.len() {
        0 => {}
        1..=FEW => words.extend(choices.iter().map(|choice| format!("\"{choice}\""))),
        _ => words.push("name".into()),
    }
    for leaf in leaves.iter().filter(|leaf| names(leaf).next().is_none() || !leaf["properties"].is_null()) {
        let word = match leaf["type"].as_str() {
            Some("object") => "table".into(),
            Some("array") => format!("[{}, ...]", value(root, &leaf["items"])),
            Some(kind) => kind.to_owned(),
            None => "any".into(),
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(" | ")
}

fn range(schema: &Json) -> String {
    let bounds = [("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<")];
    let bound = |(key, relation): (&str, &str)| {
        let value = schema[key].as_f64()?;
        Some(format!("{relation} {value}"))
    };
    bounds.into_iter().filter_map(bound).collect::<Vec<_>>().join(", ")
}

/// The first paragraph of a description, in a line: a user's own type may say more.
fn text(description: &Json) -> String {
    let text = description.as_str().unwrap_or_default();
    text.split("\n\n").next().unwrap_or_default().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use crate::schema;

    fn all(kind: Kind) -> Vec<Type> {
        types(&schema::experiment(&Registry::standard()), kind)
    }

    #[test]
    fn lists_what_is_registered_in_its_order() {
        let registry = Registry::standard();
        let names = |kind| all(kind).into_iter().map(|found| found.name).collect::<Vec<_>>();
        let registered: Vec<&str> = registry.layers().iter().map(|entry| entry.name).collect();
        assert_eq!(names(Kind::Layers), registered);
        let registered: Vec<&str> = registry.losses().iter().map(|entry| entry.name).collect();
        assert_eq!(names(Kind::Losses), registered);
        let registered: Vec<&str> = registry.activations().iter().map(|entry| entry.name).collect();
        assert_eq!(names(Kind::Activations), registered);
        let registered: Vec<&str> = registry.optimizers().iter().map(|entry| entry.name).collect();
        assert_eq!(names(Kind::Optimizers), registered);
        let registered: Vec<&str> = registry.schedules().iter().map(|entry| entry.name).collect();
        assert_eq!(names(Kind::Schedules), registered);
        let registered: Vec<&str> = registry.data_types().iter().map(|entry| entry.name).collect();
        assert_eq!(names(Kind::Data), registered);
        assert_eq!(names(Kind::Initializers).len(), 11);
    }

    #[test]
    fn describes_every_type_in_a_line() {
        for kind in Kind::value_variants() {
            for found in all(*kind) {
                assert!(!found.description.is_empty(), "{kind:?} {}", found.name);
                assert!(!found.description.contains('\n'), "{kind:?} {}", found.name);
            }
        }
    }

    #[test]
    fn puts_a_key_in_words() {
        let dense = all(Kind::Layers).remove(0);
        let words = |name: &str| {
            let key =
                dense.keys.iter().find(|key| key.name == name).unwrap_or_else(|| panic!("no key {name}"));
            [key.value.clone(), key.range.clone(), key.default.clone()]
        };
        assert_eq!(dense.keys[0].name, "units");
        assert_eq!(words("units"), ["integer", ">= 1", "required"]);
        assert_eq!(words("bias"), ["boolean", "", "true"]);
        assert_eq!(words("activation"), ["name | table", "", ""]);
        assert_eq!(words("inputs"), ["[string, ...]", "", ""]);
        assert_eq!(words("weight_init"), ["name | table", "", "\"xavier_uniform\""]);
    }

    #[test]
    fn shortens_a_description_to_its_first_paragraph() {
        assert_eq!(text(&"A line\nand another.\n\nMore.".into()), "A line and another.");
    }

    #[test]
    fn spells_out_few_choices_and_both_bounds() {
        let sgd = all(Kind::Optimizers).remove(0);
        let key = |name: &str| sgd.keys.iter().find(|key| key.name == name).cloned().expect("a key of sgd");
        assert_eq!(key("weight_decay_on").value, "\"all\" | \"weights\"");
        assert_eq!(key("momentum").range, ">= 0, < 1");
        assert_eq!(key("learning_rate").default, "required");
    }
}
