//! `[[optimizer.groups]]`: which layers are meant, and what may be asked for.

use chainrule_trainer::optimizer::Tuning;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Node, Place, Value};
use crate::registry::{Registry, find};
use crate::spec::{GroupTable, OptimizerCommon};
use crate::suggest::suggest;

/// A layer by the names that lead to it, `block.inner`: what its tensors' names begin with.
type Path = String;

/// Reads the groups; every mistake is at its place.
pub(super) fn tunings(
    root: &Node,
    optimizer: &OptimizerCommon,
    registry: &Registry,
    mistakes: &mut Diagnostics,
) -> Vec<Tuning> {
    let mut layers = Vec::new();
    collect(root.at(&["model", "layers"]), "", &mut layers);
    let mut taken: Vec<(Path, usize)> = Vec::new();
    let mut tunings = Vec::new();
    for (index, group) in optimizer.groups.iter().flatten().enumerate() {
        let group_index = index.to_string();
        let place = |keys: &[&str]| {
            let path: Vec<&str> = ["optimizer", "groups", &group_index].iter().chain(keys).copied().collect();
            root.at(&path).map_or(root.place, |node| node.place)
        };
        check_keys(root, optimizer, registry, group, &place, mistakes);
        let mut own = Vec::new();
        for (position, name) in group.layers.iter().enumerate() {
            let place = place(&["layers", &position.to_string()]);
            match resolve(name, &layers) {
                Ok(path) => {
                    let is_in =
                        |other: &Path| path == *other || is_within(&path, other) || is_within(other, &path);
                    if let Some((other, of)) = taken.iter().find(|(other, _)| is_in(other)) {
                        mistakes.push(twice(&path, index, (other, *of)).at(place));
                    }
                    taken.push((path.clone(), index));
                    own.push(path);
                }
                Err(mistake) => mistakes.push(mistake.at(place)),
            }
        }
        let rate = group.learning_rate.map_or(1.0, |rate| rate / optimizer.learning_rate);
        tunings.push(Tuning { layers: own, rate, weight_decay: group.weight_decay });
    }
    tunings
}

/// Every layer with the names that lead to it, those within others too; the tree is no deeper than a document.
fn collect(layers: Option<&Node>, outer: &str, found: &mut Vec<Path>) {
    for layer in layers.and_then(Node::as_array).unwrap_or_default() {
        let Some(name) = layer.at(&["name"]).and_then(Node::as_str) else { continue };
        let path = format!("{outer}{name}");
        collect(layer.at(&["layers"]), &format!("{path}."), found);
        found.push(path);
    }
}

fn is_within(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}

/// The layer that a name means: one of the list, or the only one of that name within others.
fn resolve(name: &str, layers: &[Path]) -> Result<Path, Diagnostic> {
    if layers.iter().any(|path| path == name) {
        return Ok(name.to_owned());
    }
    let inner: Vec<&Path> =
        layers.iter().filter(|path| path.rsplit_once('.').is_some_and(|(_, last)| last == name)).collect();
    match inner[..] {
        [path] => Ok(path.clone()),
        [] => {
            let names = layers.iter().flat_map(|path| [path.as_str(), last(path)]);
            let help = suggest(name, names).map(|near| format!("did you mean `{near}`?"));
            Err(Diagnostic::new(format!("there is no layer `{name}`")).maybe_help(help))
        }
        [first, ..] => {
            let message = format!("several layers within others are called `{name}`");
            Err(Diagnostic::new(message).help(format!("write where it is, such as `{first}`")))
        }
    }
}

fn last(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, last)| last)
}

fn twice(path: &str, group: usize, (other, of): (&str, usize)) -> Diagnostic {
    let whole = if path == other { String::new() } else { format!(", as it is with `{other}`") };
    let message = match group == of {
        true => format!("the layer `{path}` is in this group already{whole}"),
        false => format!("the layer `{path}` is in optimizer.groups[{of}] already{whole}"),
    };
    Diagnostic::new(message).help("a layer is trained in one way: name it once")
}

/// A group asks for something, and for nothing that the optimiser does not have.
fn check_keys(
    root: &Node,
    optimizer: &OptimizerCommon,
    registry: &Registry,
    group: &GroupTable,
    place: &dyn Fn(&[&str]) -> Place,
    mistakes: &mut Diagnostics,
) {
    let name = root.at(&["optimizer", "type"]).and_then(Node::as_str).unwrap_or_default();
    let takes_decay = find(registry.optimizers(), name)
        .is_some_and(|entry| !entry.schema["properties"]["weight_decay"].is_null());
    if group.weight_decay.is_some() && !takes_decay {
        let message = format!("the optimizer `{name}` has no weight decay");
        mistakes.push(Diagnostic::new(message).at(place(&["weight_decay"])).help("remove `weight_decay`"));
        return;
    }
    let decay = match root.at(&["optimizer", "weight_decay"]).map(|node| &node.value) {
        Some(Value::Float(decay)) => *decay,
        Some(Value::Integer(decay)) => *decay as f64,
        _ => 0.0,
    };
    let same_rate = group.learning_rate.is_none_or(|rate| rate == optimizer.learning_rate);
    if same_rate && group.weight_decay.is_none_or(|own| own == decay) {
        let message = "this group changes nothing: its layers are trained as all others";
        let help = "give it a `learning_rate` or a `weight_decay` that differs from the optimizer's";
        mistakes.push(Diagnostic::new(message).at(place(&[])).help(help));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers() -> Vec<Path> {
        ["hidden", "a.inner", "a", "b.inner", "b.only", "b"].map(String::from).to_vec()
    }

    #[test]
    fn finds_a_layer_by_its_name_or_its_path() {
        let found = |name| resolve(name, &layers()).ok();
        assert_eq!(found("hidden").as_deref(), Some("hidden"));
        assert_eq!(found("only").as_deref(), Some("b.only"));
        assert_eq!(found("a.inner").as_deref(), Some("a.inner"));
        assert_eq!((found("inner"), found("c")), (None, None));
    }

    #[test]
    fn a_layer_is_within_those_that_lead_to_it() {
        assert!(is_within("a.inner", "a") && !is_within("a", "a") && !is_within("ab.inner", "a"));
    }
}
