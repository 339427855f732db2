//! A file with wrong keys is checked further: a user should not have to mend one kind of mistake to be told of the next.

use std::path::Path;

use chainrule_core::Shape;

use super::{Experiment, inherit_initializers, read_at};
use crate::conform::Schema;
use crate::diagnostic::Diagnostics;
use crate::document::{Node, Place, Sources, Table, Value};
use crate::error::Failure;
use crate::model::{ModelPlan, ModelSource};
use crate::registry::Registry;
use crate::session;

/// What else is wrong with a file of which some keys are: the tables that conform are checked as in a file without
/// mistakes, those that only say how to train being replaced by what is right.
pub(super) fn mistakes_of_the_rest(
    mut root: Node,
    sources: &Sources,
    path: &Path,
    schema: &Schema,
    registry: &Registry,
) -> Diagnostics {
    let is_wrong = |root: &Node, key: &str| !schema.conforms_at(root, &[key]);
    let keys: Vec<String> =
        root.as_table().into_iter().flat_map(Table::iter).map(|entry| entry.key.clone()).collect();
    let wrong: Vec<String> = keys.into_iter().filter(|key| is_wrong(&root, key)).collect();
    let is_there = |key: &str| root.at(&[key]).is_some();
    let unknown = !is_there("data") || !is_there("model") || !(is_there("loss") || is_there("outputs"));
    let broken = |table: &&str| is_there(table) && is_wrong(&root, table);
    if unknown || ["data", "loss", "model", "inputs", "outputs"].iter().any(broken) {
        return mistakes_of_the_network(root, schema, registry);
    }
    let Some(table) = root.as_table_mut() else { return Diagnostics::new() };
    for key in &wrong {
        table.remove(key);
    }
    let (number, text) = (|value| Value::Float(value), |text: &str| Value::String(text.into()));
    let stand_ins = [
        ("optimizer", vec![("type", text("sgd")), ("learning_rate", number(1.0))]),
        ("train", vec![("epochs", Value::Integer(1))]),
    ];
    for (key, entries) in stand_ins {
        if !table.contains_key(key) {
            let mut stand_in = Table::new();
            for (key, value) in entries {
                stand_in.insert(key, Place::none(), Node::new(value, Place::none()));
            }
            table.insert(key, Place::none(), Node::new(Value::Table(stand_in), Place::none()));
        }
    }
    // A registry need not have what stands in.
    if !schema.check(&root).is_empty() {
        return mistakes_of_the_network(root, schema, registry);
    }
    match Experiment::of_conforming(root, sources.clone(), path, schema, registry) {
        Ok(experiment) => session::mistakes(&experiment, registry),
        Err(Failure::Experiment(found, _)) => found,
        Err(_) => Diagnostics::new(),
    }
}

/// The wiring and, if the width of the data is known, the shapes of layers that conform.
fn mistakes_of_the_network(mut root: Node, schema: &Schema, registry: &Registry) -> Diagnostics {
    if !schema.conforms_at(&root, &["model", "layers"]) {
        return Diagnostics::new();
    }
    for key in ["weight_init", "bias_init"] {
        if !schema.conforms_at(&root, &["model", key])
            && let Some(model) = root.as_table_mut().and_then(|root| root.get_mut("model"))
            && let Some(model) = model.as_table_mut()
        {
            model.remove(key);
        }
    }
    inherit_initializers(&mut root, registry);
    // Names that layers may have to refer to.
    let conforms = |key| root.at(&[key]).is_none() || schema.conforms_at(&root, &[key]);
    if !["inputs", "outputs"].into_iter().all(conforms) {
        return Diagnostics::new();
    }
    let plan = match ModelPlan::new(ModelSource::of(&root), registry) {
        Ok(plan) => plan,
        Err(found) => return found,
    };
    let input_shape = match schema.conforms_at(&root, &["model", "input_shape"]) {
        true => read_at(&root, &["model", "input_shape"]).ok().flatten(),
        false => session::written_shape(&root),
    };
    let Some(input) = plan.row_shape().or(input_shape.and_then(|axes: Vec<usize>| Shape::new(axes).ok()))
    else {
        return Diagnostics::new();
    };
    plan.build::<f64>(registry, &input, &plan.plain_heads()).err().unwrap_or_default()
}
