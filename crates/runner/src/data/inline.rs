//! `type = "inline"`: the samples stand in the experiment file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use chainrule_trainer::metrics::Task;

use super::{Context, DataError, LabelColumn, Raw, RawTargets, keys};
use crate::diagnostic::{Diagnostic, Diagnostics, counted};
use crate::document::{Node, Value};
use crate::registry::Spec;

/// Samples written into the experiment file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InlineData {
    /// The names of the inputs, one a number of a row of x.
    features: Option<Vec<String>>,
    /// The names of the outputs, one a number of a row of y.
    targets: Option<Vec<String>>,
    /// The inputs, a row a sample.
    #[schemars(length(min = 1))]
    x: Vec<Vec<f64>>,
    /// A row of numbers a sample or, for cross_entropy, a class index or a class label a sample.
    y: Targets,
}

impl Spec for InlineData {
    const TYPE: &'static str = "inline";
}

/// `y`: which of the three it is, is decided by the loss.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Targets {
    Values(Vec<Vec<f64>>),
    Indices(Vec<i64>),
    Labels(Vec<String>),
}

impl JsonSchema for Targets {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Targets".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "minItems": 1,
            "items": {
                "anyOf": [
                    { "type": "array", "items": { "type": "number" }, "minItems": 1 },
                    { "type": "integer", "minimum": 0, "maximum": u32::MAX },
                    { "type": "string" },
                ],
            },
        })
    }
}

/// Reads a `[data]` table that conforms to the schema.
pub(super) fn read(node: &Node, context: &Context<'_>) -> Result<Raw, DataError> {
    let mut mistakes = Diagnostics::new();
    check_rows(node, "x", &mut mistakes);
    check_targets(node, *context, &mut mistakes);
    check_lengths(node, &mut mistakes);
    if !mistakes.is_empty() {
        return Err(DataError::File(mistakes));
    }
    let data: InlineData = keys(node)?;
    let width = data.x[0].len();
    let y = match data.y {
        Targets::Values(rows) if context.task == Task::Classes => RawTargets::PositionIndices {
            width: rows[0].len(),
            data: rows.concat().into_iter().map(|index| index as u32).collect(),
        },
        Targets::Values(rows) => RawTargets::Values { width: rows[0].len(), data: rows.concat() },
        // The schema has bounded them.
        Targets::Indices(indices) => {
            RawTargets::Indices(indices.into_iter().map(|index| index as u32).collect())
        }
        Targets::Labels(labels) => RawTargets::Labels(LabelColumn::of_text(labels)),
    };
    Ok(Raw { features: data.features, targets: data.targets, ..Raw::of_rows(data.x.concat(), width, y) })
}

fn items<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    node.at(&[key]).and_then(Node::as_array).unwrap_or_default()
}

/// All rows have the length of the first, and it is not 0.
fn check_rows(node: &Node, key: &str, mistakes: &mut Diagnostics) {
    let rows = items(node, key);
    let length = |row: &Node| row.as_array().map_or(0, <[Node]>::len);
    let Some(first) = rows.first() else { return };
    if length(first) == 0 {
        mistakes.push(Diagnostic::new(format!("data.{key}[0] holds no number")).at(first.place));
    }
    for (index, row) in rows.iter().enumerate() {
        if length(row) != length(first) {
            let (expected, found) = (length(first), length(row));
            let found = counted(found, "number");
            let message = format!("data.{key}[{index}] has {found}, but data.{key}[0] has {expected}");
            mistakes.push(Diagnostic::new(message).at(row.place).help("every row must have the same length"));
        }
    }
}

/// `y` is of one kind, and of the kind that the loss compares with.
fn check_targets(node: &Node, context: Context<'_>, mistakes: &mut Diagnostics) {
    let targets = items(node, "y");
    let Some(first) = targets.first() else { return };
    let kind = |node: &Node| std::mem::discriminant(&node.value);
    if let Some((index, other)) = targets.iter().enumerate().find(|(_, target)| kind(target) != kind(first)) {
        let message = format!("data.y[{index}] is {}, but data.y[0] is {}", other.kind(), first.kind());
        mistakes.push(Diagnostic::new(message).at(other.place).help("all targets must be of one kind"));
        return;
    }
    if context.task == Task::Classes && targets.iter().all(is_row_of_indices) {
        return check_rows(node, "y", mistakes);
    }
    match (matches!(first.value, Value::Array(_)), context.task == Task::Classes) {
        (true, true) => mistakes.push(
            Diagnostic::new("data.y holds rows of numbers, but the loss compares classes")
                .at(first.place)
                .help("write one class index or class label a sample, such as y = [0, 2, 1], or an index a position"),
        ),
        (false, false) => {
            let (message, help) = match context.several {
                false => (
                    "data.y holds classes, but the loss compares numbers",
                    "write a row of numbers a sample, such as y = [[1], [0]], or use the loss `cross_entropy`",
                ),
                true => (
                    "data.y holds one target a sample, but there are several outputs",
                    "write the targets of all outputs in a row a sample, a class as its index: y = [[0, 1.5], [2, 0.5]]",
                ),
            };
            mistakes.push(Diagnostic::new(message).at(first.place).help(help));
        }
        (true, false) => check_rows(node, "y", mistakes),
        (false, true) => {}
    }
}

/// A class index for each of several positions.
fn is_row_of_indices(row: &Node) -> bool {
    let is_index = |node: &Node| matches!(node.value, Value::Integer(index) if u32::try_from(index).is_ok());
    row.as_array().is_some_and(|row| row.len() > 1 && row.iter().all(is_index))
}

/// As many targets as samples, and as many names as columns.
fn check_lengths(node: &Node, mistakes: &mut Diagnostics) {
    let (x, y) = (items(node, "x"), items(node, "y"));
    if let (Some(place), true) = (node.at(&["y"]).map(|y| y.place), x.len() != y.len()) {
        let message = format!("data.x has {}, but data.y has {}", counted(x.len(), "sample"), y.len());
        mistakes.push(Diagnostic::new(message).at(place));
    }
    for (names, rows) in [("features", x), ("targets", y)] {
        let Some(given) = node.at(&[names]) else { continue };
        let Some(columns) = rows.first().and_then(Node::as_array).map(<[Node]>::len) else { continue };
        let count = items(node, names).len();
        if count != columns {
            let (count, columns) = (counted(count, "name"), counted(columns, "number"));
            let message = format!("data.{names} has {count}, but the rows have {columns}");
            mistakes.push(Diagnostic::new(message).at(given.place));
        }
        check_distinct(node, names, mistakes);
    }
}

/// A column is found by its name: no two can have the same.
fn check_distinct(node: &Node, key: &str, mistakes: &mut Diagnostics) {
    let mut seen = HashMap::new();
    for (index, item) in items(node, key).iter().enumerate() {
        let Some(name) = item.as_str() else { continue };
        match seen.entry(name) {
            Entry::Vacant(entry) => drop(entry.insert(index)),
            Entry::Occupied(entry) => {
                let message =
                    format!("data.{key}[{}] and data.{key}[{index}] are both \"{name}\"", entry.get());
                mistakes.push(Diagnostic::new(message).at(item.place).help("give one of them another name"));
            }
        }
    }
}
