//! What is filled in that no schema's default can say: names, what layers inherit, absolute paths.

use std::path::Path;

use crate::data;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Node, Place, Sources, Table, Value};
use crate::model::made_up_name;
use crate::registry::{Registry, find};

/// Gives the experiment the name of its file and every layer without a name `TYPE_N`.
pub(super) fn name_everything(root: &mut Node, path: &Path) {
    let Some(table) = root.as_table_mut() else { return };
    if !table.contains_key("name") {
        let stem =
            path.file_stem().map_or_else(|| "experiment".into(), |stem| stem.to_string_lossy().into_owned());
        table.insert("name", Place::none(), Node::new(Value::String(stem), Place::none()));
    }
    for_each_layer(layers_mut(root), &mut |index, layer| {
        let name = made_up_name(index, type_of(layer));
        if !layer.contains_key("name") {
            layer.insert("name", Place::none(), Node::new(Value::String(name), Place::none()));
        }
    });
}

/// Gives every layer that takes `weight_init` or `bias_init` and has none that of `[model]`.
pub(super) fn inherit_initializers(root: &mut Node, registry: &Registry) {
    for key in ["weight_init", "bias_init"] {
        let Some(default) = root.at(&["model", key]).cloned() else { continue };
        for_each_layer(layers_mut(root), &mut |_, layer| {
            let takes = find(registry.layers(), type_of(layer))
                .is_some_and(|entry| entry.schema["properties"].get(key).is_some());
            if takes && !layer.contains_key(key) {
                layer.insert(key, default.place, default.clone());
            }
        });
    }
}

/// A tied layer has no parameters of its own: keys that say how they start or are trained would say nothing.
pub(super) fn keys_of_ties(root: &mut Node) -> Diagnostics {
    let mut mistakes = Diagnostics::new();
    for_each_layer(layers_mut(root), &mut |_, layer| {
        let Some(tie) = layer.get("tie").and_then(Node::as_str) else { return };
        let unused = |key: &str, value: &Value| match value {
            Value::Boolean(trainable) => key == "trainable" && !trainable,
            Value::Float(rate) => key == "lr_mult" && *rate != 1.0,
            Value::Integer(rate) => key == "lr_mult" && *rate != 1,
            _ => is_initializer(key),
        };
        for entry in layer.iter().filter(|entry| unused(&entry.key, &entry.node.value)) {
            let message = format!(
                "`{}` of a tied layer would say nothing: its parameters are those of \"{tie}\"",
                entry.key
            );
            let help = format!("set it in \"{tie}\"");
            mistakes.push(Diagnostic::new(message).at(entry.key_place).help(help));
        }
    });
    mistakes
}

/// Takes what tied layers inherited, so that the resolved file says only what is so.
pub(super) fn forget_initializers_of_ties(root: &mut Node) {
    for_each_layer(layers_mut(root), &mut |_, layer| {
        if layer.contains_key("tie") {
            let keys: Vec<String> = layer.iter().map(|entry| entry.key.clone()).collect();
            keys.iter().filter(|key| is_initializer(key)).for_each(|key| drop(layer.remove(key)));
        }
    });
}

/// `weight_init`, `recurrent_init`, `bias_init`.
fn is_initializer(key: &str) -> bool {
    key.ends_with("_init")
}

fn type_of(layer: &Table) -> &str {
    layer.get("type").and_then(Node::as_str).unwrap_or_default()
}

/// Visits every layer with its index in its list, those within others too; the tree is no deeper than a document.
fn for_each_layer(layers: &mut [Node], visit: &mut dyn FnMut(usize, &mut Table)) {
    for (index, layer) in layers.iter_mut().enumerate() {
        let Some(layer) = layer.as_table_mut() else { continue };
        visit(index, layer);
        if let Some(Node { value: Value::Array(within), .. }) = layer.get_mut("layers") {
            for_each_layer(within, visit);
        }
    }
}

fn layers_mut(root: &mut Node) -> &mut [Node] {
    let layers = root
        .as_table_mut()
        .and_then(|root| root.get_mut("model"))
        .and_then(Node::as_table_mut)
        .and_then(|model| model.get_mut("layers"));
    match layers {
        Some(Node { value: Value::Array(layers), .. }) => layers,
        _ => &mut [],
    }
}

/// Paths are relative to the file that they stand in; those of `--set` to the working directory.
pub(super) fn make_paths_absolute(root: &mut Node, sources: &Sources) {
    let of_data = data::PATHS.iter().map(|&key| ("data", key));
    for (table, key) in std::iter::once(("model", "initial_weights")).chain(of_data) {
        let table = root.as_table_mut().and_then(|root| root.get_mut(table)).and_then(Node::as_table_mut);
        match table.and_then(|table| table.get_mut(key)) {
            Some(Node { value: Value::Array(paths), .. }) => {
                paths.iter_mut().for_each(|path| make_absolute(path, sources));
            }
            Some(path) => make_absolute(path, sources),
            None => {}
        }
    }
}

fn make_absolute(node: &mut Node, sources: &Sources) {
    let Some(path) = node.as_str() else { return };
    let path = sources.directory(node.place).unwrap_or(Path::new("")).join(path);
    let absolute = std::path::absolute(&path).unwrap_or(path);
    node.value = Value::String(absolute.to_string_lossy().into_owned());
}
