//! How layers are wired: names, `inputs`, an order in which each comes after those it reads.

use chainrule_core::MAX_INPUTS;

use super::{COMMON_KEYS, INPUT, LayerPlan, label_of, type_of};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Node, Value};
use crate::suggest;

pub(super) fn check_names(path: &str, layers: &[Node], names: &[String], mistakes: &mut Diagnostics) {
    for (index, (layer, name)) in layers.iter().zip(names).enumerate() {
        let place = layer.at(&["name"]).map_or(layer.place, |node| node.place);
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(allowed) {
            let message =
                format!("the name \"{name}\" of {} is not allowed", label_of(path, index, layer, name));
            let help = "names are made of letters, digits, `_` and `-`";
            mistakes.push(Diagnostic::new(message).at(place).help(help));
        } else if name == INPUT {
            let message = format!("no layer can be named \"{INPUT}\": it is the name of the network's input");
            mistakes.push(Diagnostic::new(message).at(place));
        } else if let Some(first) = names[..index].iter().position(|other| other == name) {
            let message = format!("{path}[{first}] and {path}[{index}] are both named \"{name}\"");
            mistakes.push(Diagnostic::new(message).at(place).help("give one of them another name"));
        }
    }
}

pub(super) fn plan_layer(
    path: &str,
    index: usize,
    layer: &Node,
    names: &[String],
    mistakes: &mut Diagnostics,
) -> LayerPlan {
    let label = label_of(path, index, layer, &names[index]);
    let mut keys = layer.clone();
    if let Some(table) = keys.as_table_mut() {
        COMMON_KEYS.iter().for_each(|key| drop(table.remove(key)));
    }
    let listed = layer.at(&["inputs"]).and_then(Node::as_array);
    let mut inputs = Vec::new();
    let mut input_places = Vec::new();
    for node in listed.unwrap_or_default() {
        let name = node.as_str().unwrap_or_default();
        input_places.push(node.place);
        match names.iter().position(|other| other == name) {
            Some(source) if source == index => {
                mistakes.push(Diagnostic::new(format!("{label} reads its own output")).at(node.place));
            }
            Some(source) => inputs.push(Some(source)),
            None if name == INPUT => inputs.push(None),
            None => {
                let known = names.iter().map(String::as_str).chain([INPUT]);
                let near = suggest::nearest(name, known).map(|near| format!("did you mean \"{near}\"?"));
                let message = format!("{label} reads \"{name}\", but no layer has that name");
                mistakes.push(Diagnostic::new(message).at(node.place).maybe_help(near));
            }
        }
    }
    if listed.is_none() {
        inputs.push(index.checked_sub(1));
    }
    if inputs.len() > MAX_INPUTS {
        let message = format!("{label} reads {} layers; at most {MAX_INPUTS} are possible", inputs.len());
        let help = "nest it: join the outputs of smaller groups";
        mistakes.push(Diagnostic::new(message).at(layer.place).help(help));
    }
    LayerPlan {
        type_name: type_of(layer).to_owned(),
        name: names[index].clone(),
        inputs,
        activation: layer.at(&["activation"]).map(activation_of),
        is_activated_within: false,
        trainable: !matches!(layer.at(&["trainable"]), Some(Node { value: Value::Boolean(false), .. })),
        rate: layer.at(&["lr_mult"]).and_then(number).unwrap_or(1.0),
        keys,
        within: None,
        label,
        place: layer.place,
        input_places,
    }
}

fn number(node: &Node) -> Option<f64> {
    match node.value {
        Value::Float(value) => Some(value),
        Value::Integer(value) => Some(value as f64),
        _ => None,
    }
}

/// The type of an activation and its keys, from either form.
fn activation_of(node: &Node) -> (String, Node) {
    match node.as_str() {
        Some(name) => (name.to_owned(), Node::new(Value::Table(crate::document::Table::new()), node.place)),
        None => {
            let mut keys = node.clone();
            let name = type_of(node).to_owned();
            if let Some(table) = keys.as_table_mut() {
                table.remove("type");
            }
            (name, keys)
        }
    }
}

pub(super) fn check_all_used(plans: &[LayerPlan], mistakes: &mut Diagnostics) {
    let used = |index: usize| plans.iter().any(|plan| plan.inputs.contains(&Some(index)));
    for (index, plan) in plans.iter().enumerate().take(plans.len() - 1) {
        if !used(index) {
            let message = format!("nothing uses the output of {}", plan.label);
            let help = "name it in the `inputs` of another layer, or remove it; the last layer is the output";
            mistakes.push(Diagnostic::new(message).at(plan.place).help(help));
        }
    }
    if let Some(last) = plans.last().filter(|_| used(plans.len() - 1)) {
        let message = format!("{} is the output, but another layer reads it", last.label);
        mistakes.push(Diagnostic::new(message).at(last.place).help("put the output last"));
    }
}

/// The layers so that each comes after those it reads, else in the order of the file (Kahn, 1962).
pub(super) fn in_order(plans: Vec<LayerPlan>) -> Result<Vec<LayerPlan>, Diagnostics> {
    let mut new_index: Vec<Option<usize>> = vec![None; plans.len()];
    let mut order: Vec<usize> = Vec::with_capacity(plans.len());
    while order.len() < plans.len() {
        let is_ready = |&index: &usize| {
            let known = |source: &Option<usize>| source.is_none_or(|source| new_index[source].is_some());
            new_index[index].is_none() && plans[index].inputs.iter().all(known)
        };
        let Some(next) = (0..plans.len()).find(is_ready) else {
            return Err(cycle(&plans, &new_index));
        };
        new_index[next] = Some(order.len());
        order.push(next);
    }
    let mut plans: Vec<Option<LayerPlan>> = plans.into_iter().map(Some).collect();
    let moved = order.iter().filter_map(|&index| plans[index].take()).map(|mut plan| {
        for source in plan.inputs.iter_mut().flatten() {
            *source = new_index[*source].unwrap_or(*source);
        }
        plan
    });
    Ok(moved.collect())
}

/// Names the layers of one cycle: from any layer that cannot run, always on to an input that cannot run.
fn cycle(plans: &[LayerPlan], new_index: &[Option<usize>]) -> Diagnostics {
    let blocked = |source: &&Option<usize>| source.is_some_and(|source| new_index[source].is_none());
    let start = new_index.iter().position(Option::is_none).unwrap_or_default();
    let mut path = vec![start];
    let mut at = start;
    while let Some(&Some(next)) = plans[at].inputs.iter().find(blocked) {
        if let Some(first) = path.iter().position(|&seen| seen == next) {
            path.drain(..first);
            break;
        }
        path.push(next);
        at = next;
    }
    let circle = path.iter().chain(path.first());
    let names: Vec<String> = circle.map(|&index| format!("\"{}\"", plans[index].name)).collect();
    let message = format!("layers read each other in a circle: {}", names.join(" reads "));
    Diagnostic::new(message).at(plans[path[0]].place).into()
}
