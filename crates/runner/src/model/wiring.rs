//! How layers are wired: names, `inputs`, an order in which each comes after those it reads.

use chainrule_core::{MAX_INPUTS, Shape};

use super::{COMMON_KEYS, INPUT, InputPlan, LayerPlan, Reads, label_of, type_of};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Node, Place, Value};
use crate::suggest;

/// Letters, digits, `_` and `-`.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

const NAMES_HELP: &str = "names are made of letters, digits, `_` and `-`";

/// The inputs in the order in which they lie in a sample; without any, the one that needs no name.
pub(super) fn plan_inputs(inputs: &[Node], mistakes: &mut Diagnostics) -> Vec<InputPlan> {
    if inputs.is_empty() {
        return vec![InputPlan { name: INPUT.to_owned(), shape: None, place: Place::none() }];
    }
    let mut plans: Vec<InputPlan> = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.iter().enumerate() {
        let named = input.at(&["name"]).unwrap_or(input);
        let name = named.as_str().unwrap_or_default();
        if !is_name(name) {
            let message = format!("inputs[{index}]: the name \"{name}\" is not allowed");
            mistakes.push(Diagnostic::new(message).at(named.place).help(NAMES_HELP));
        } else if let Some(first) = plans.iter().position(|other| other.name == name) {
            let message = format!("inputs[{first}] and inputs[{index}] are both named \"{name}\"");
            mistakes.push(Diagnostic::new(message).at(named.place).help("give one of them another name"));
        }
        let axis = |node: &Node| match node.value {
            Value::Integer(axis) => usize::try_from(axis).ok(),
            _ => None,
        };
        let shaped = input.at(&["shape"]).unwrap_or(input);
        let axes: Option<Vec<usize>> = shaped.as_array().unwrap_or_default().iter().map(axis).collect();
        let shape = match Shape::new(axes.unwrap_or_default()) {
            Ok(shape) => Some(shape),
            Err(error) => {
                mistakes.push(Diagnostic::new(format!("inputs[{index}]: {error}")).at(shaped.place));
                None
            }
        };
        plans.push(InputPlan { name: name.to_owned(), shape, place: input.place });
    }
    plans
}

/// The layers that are outputs; none, if the file does not list them.
pub(super) fn plan_outputs(
    outputs: &[Node],
    names: &[String],
    mistakes: &mut Diagnostics,
) -> Option<Vec<usize>> {
    if outputs.is_empty() {
        return None;
    }
    if outputs.len() > MAX_INPUTS {
        let message = format!("there are {} outputs; at most {MAX_INPUTS} are possible", outputs.len());
        mistakes.push(Diagnostic::new(message).at(outputs[MAX_INPUTS].place));
    }
    let mut plans: Vec<Option<usize>> = Vec::with_capacity(outputs.len());
    for (index, output) in outputs.iter().enumerate() {
        let node = output.at(&["layer"]).unwrap_or(output);
        let name = node.as_str().unwrap_or_default();
        let found = names.iter().position(|other| other == name);
        match found {
            None => {
                let near = suggest::nearest(name, names.iter().map(String::as_str));
                let help = near.map(|near| format!("did you mean \"{near}\"?"));
                let message = format!("outputs[{index}]: no layer is named \"{name}\"");
                mistakes.push(Diagnostic::new(message).at(node.place).maybe_help(help));
            }
            Some(_) => {
                if let Some(first) = plans.iter().position(|other| *other == found) {
                    let message =
                        format!("outputs[{first}] and outputs[{index}] are both the layer \"{name}\"");
                    let help = "a layer is one output, with one loss";
                    mistakes.push(Diagnostic::new(message).at(node.place).help(help));
                }
            }
        }
        plans.push(found);
    }
    plans.into_iter().collect()
}

pub(super) fn check_names(
    path: &str,
    layers: &[Node],
    names: &[String],
    inputs: &[InputPlan],
    mistakes: &mut Diagnostics,
) {
    for (index, (layer, name)) in layers.iter().zip(names).enumerate() {
        let place = layer.at(&["name"]).map_or(layer.place, |node| node.place);
        if !is_name(name) {
            let message =
                format!("the name \"{name}\" of {} is not allowed", label_of(path, index, layer, name));
            mistakes.push(Diagnostic::new(message).at(place).help(NAMES_HELP));
        } else if let Some(input) = inputs.iter().find(|input| input.name == *name) {
            let which = if input.place.is_none() { "the network's input" } else { "an input of the network" };
            let message = format!("no layer can be named \"{name}\": it is the name of {which}");
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
    layers: &[Node],
    names: &[String],
    network_inputs: &[InputPlan],
    mistakes: &mut Diagnostics,
) -> LayerPlan {
    let layer = &layers[index];
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
            Some(source) => inputs.push(Reads::Layer(source)),
            None => {
                if let Some(input) = network_inputs.iter().position(|input| input.name == name) {
                    inputs.push(Reads::Input(input));
                    continue;
                }
                let inputs = network_inputs.iter().map(|input| input.name.as_str());
                let known = names.iter().map(String::as_str).chain(inputs);
                let near = suggest::nearest(name, known).map(|near| format!("did you mean \"{near}\"?"));
                let message = format!("{label} reads \"{name}\", but no layer has that name");
                mistakes.push(Diagnostic::new(message).at(node.place).maybe_help(near));
            }
        }
    }
    match (listed, index.checked_sub(1)) {
        (Some(_), _) => {}
        (None, Some(before)) => inputs.push(Reads::Layer(before)),
        (None, None) => {
            if let [_, other, ..] = network_inputs {
                let message = format!("{label} comes first, and the network has several inputs");
                let help = format!("say which it reads, such as inputs = [\"{}\"]", other.name);
                mistakes.push(Diagnostic::new(message).at(layer.place).help(help));
            }
            inputs.push(Reads::Input(0));
        }
    }
    if inputs.len() > MAX_INPUTS {
        let message = format!("{label} reads {} layers; at most {MAX_INPUTS} are possible", inputs.len());
        let help = "nest it: join the outputs of smaller groups";
        mistakes.push(Diagnostic::new(message).at(layer.place).help(help));
    }
    let tie = layer.at(&["tie"]);
    LayerPlan {
        type_name: type_of(layer).to_owned(),
        name: names[index].clone(),
        inputs,
        tie: tie.and_then(|tie| plan_tie(index, tie, (layers, names), &label, mistakes)),
        tie_place: tie.map_or(layer.place, |tie| tie.place),
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

/// The layer whose parameters another uses: it stands before it and has some of its own.
fn plan_tie(
    index: usize,
    tie: &Node,
    (layers, names): (&[Node], &[String]),
    label: &str,
    mistakes: &mut Diagnostics,
) -> Option<usize> {
    let name = tie.as_str().unwrap_or_default();
    let mut refuse = |message: String, help: Option<String>| {
        mistakes.push(Diagnostic::new(message).at(tie.place).maybe_help(help));
        None
    };
    match names.iter().position(|other| other == name) {
        None => {
            let near = suggest::nearest(name, names.iter().map(String::as_str));
            let help = near.map(|near| format!("did you mean \"{near}\"?"));
            refuse(format!("{label} is tied to \"{name}\", but no layer has that name"), help)
        }
        Some(other) if other == index => refuse(format!("{label} is tied to itself"), None),
        Some(other) if other > index => {
            let help = format!("tie \"{name}\" to \"{}\" instead", names[index]);
            refuse(format!("{label} is tied to \"{name}\", which comes after it"), Some(help))
        }
        Some(other) => match layers[other].at(&["tie"]).and_then(Node::as_str) {
            Some(first) => {
                let help = format!("tie both to \"{first}\"");
                refuse(format!("{label} is tied to \"{name}\", which is tied itself"), Some(help))
            }
            None => Some(other),
        },
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

/// Every layer is read or an output, every input is read; the last layer is the output where none is listed.
pub(super) fn check_all_used(
    plans: &[LayerPlan],
    inputs: &[InputPlan],
    outputs: Option<&[usize]>,
    mistakes: &mut Diagnostics,
) {
    let used = |read: Reads| plans.iter().any(|plan| plan.inputs.contains(&read));
    let last = plans.len() - 1;
    let is_output = |index: usize| outputs.map_or(index == last, |outputs| outputs.contains(&index));
    for (index, plan) in plans.iter().enumerate() {
        if !used(Reads::Layer(index)) && !is_output(index) {
            let message = format!("nothing uses the output of {}", plan.label);
            let help = match outputs {
                None => {
                    "name it in the `inputs` of another layer, or remove it; the last layer is the output"
                }
                Some(_) => "name it in the `inputs` of another layer or in [[outputs]], or remove it",
            };
            mistakes.push(Diagnostic::new(message).at(plan.place).help(help));
        }
    }
    if outputs.is_none() && used(Reads::Layer(last)) {
        let message = format!("{} is the output, but another layer reads it", plans[last].label);
        mistakes.push(Diagnostic::new(message).at(plans[last].place).help("put the output last"));
    }
    for (index, input) in inputs.iter().enumerate().filter(|(_, input)| !input.place.is_none()) {
        if !used(Reads::Input(index)) {
            let message = format!("no layer reads the input \"{}\"", input.name);
            let help = "name it in the `inputs` of a layer";
            mistakes.push(Diagnostic::new(message).at(input.place).help(help));
        }
    }
}

/// The layers that must come before another.
fn needs(plan: &LayerPlan) -> impl Iterator<Item = usize> {
    let reads = plan.inputs.iter().filter_map(|read| match *read {
        Reads::Layer(source) => Some(source),
        Reads::Input(_) => None,
    });
    reads.chain(plan.tie)
}

/// The layers so that each comes after those it needs, else in the order of the file (Kahn, 1962); and where each has
/// gone.
pub(super) fn in_order(plans: Vec<LayerPlan>) -> Result<(Vec<LayerPlan>, Vec<usize>), Diagnostics> {
    let mut new_index: Vec<Option<usize>> = vec![None; plans.len()];
    let mut order: Vec<usize> = Vec::with_capacity(plans.len());
    while order.len() < plans.len() {
        let is_ready = |&index: &usize| {
            new_index[index].is_none() && needs(&plans[index]).all(|source| new_index[source].is_some())
        };
        let Some(next) = (0..plans.len()).find(is_ready) else {
            return Err(cycle(&plans, &new_index));
        };
        new_index[next] = Some(order.len());
        order.push(next);
    }
    let new_index: Vec<usize> = new_index.into_iter().flatten().collect();
    let mut plans: Vec<Option<LayerPlan>> = plans.into_iter().map(Some).collect();
    let moved = order.iter().filter_map(|&index| plans[index].take()).map(|mut plan| {
        for read in &mut plan.inputs {
            if let Reads::Layer(source) = read {
                *source = new_index[*source];
            }
        }
        plan.tie = plan.tie.map(|tie| new_index[tie]);
        plan
    });
    Ok((moved.collect(), new_index))
}

/// Names the layers of one cycle: from any layer that cannot run, always on to one that it needs and that cannot run.
fn cycle(plans: &[LayerPlan], new_index: &[Option<usize>]) -> Diagnostics {
    let start = new_index.iter().position(Option::is_none).unwrap_or_default();
    let mut path = vec![start];
    let mut at = start;
    while let Some(next) = needs(&plans[at]).find(|&source| new_index[source].is_none()) {
        if let Some(first) = path.iter().position(|&seen| seen == next) {
            path.drain(..first);
            break;
        }
        path.push(next);
        at = next;
    }
    let verb = if path.iter().any(|&index| plans[index].tie.is_some()) { "needs" } else { "reads" };
    let circle = path.iter().chain(path.first());
    let names: Vec<String> = circle.map(|&index| format!("\"{}\"", plans[index].name)).collect();
    let message = format!(
        "layers {} each other in a circle: {}",
        verb.trim_end_matches('s'),
        names.join(&format!(" {verb} "))
    );
    Diagnostic::new(message).at(plans[path[0]].place).into()
}
