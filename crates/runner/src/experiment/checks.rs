//! What of a file contradicts itself, as far as a schema of single keys cannot say it.

use chainrule_trainer::metrics::Metric;

use crate::data::DataCommon;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::Node;
use crate::spec::MetricsTable;

/// The longest name of an experiment, which becomes a directory's.
const LONGEST_NAME: usize = 100;

/// A loss is given in one of two ways, and so is the shape of the inputs.
pub(super) fn check_exclusive(root: &Node, mistakes: &mut Diagnostics) {
    if let (Some(loss), Some(_)) = (root.at(&["loss"]), root.at(&["outputs"])) {
        let message = "[loss] and [[outputs]] exclude each other: each output has its own loss";
        let help = "remove [loss], or the outputs";
        mistakes.push(Diagnostic::new(message).at(loss.place).help(help));
    }
    if let (Some(_), Some(steps)) =
        (root.at(&["checkpoint", "every_epochs"]), root.at(&["checkpoint", "every_steps"]))
    {
        let message = "checkpoint.every_epochs and checkpoint.every_steps exclude each other";
        mistakes.push(Diagnostic::new(message).at(steps.place).help("remove one of them"));
    }
    if let (Some(shape), Some(_)) = (root.at(&["model", "input_shape"]), root.at(&["inputs"])) {
        let message = "model.input_shape and [[inputs]] exclude each other: each input has its own shape";
        mistakes.push(Diagnostic::new(message).at(shape.place).help("remove `input_shape`"));
    }
}

/// Something is left to train on.
pub(super) fn check_fractions(root: &Node, data: DataCommon, mistakes: &mut Diagnostics) {
    if data.validation + data.test < 1.0 {
        return;
    }
    let place = |key| root.at(&["data", key]).map(|node| node.place).filter(|place| !place.is_none());
    let message = format!(
        "data.validation and data.test must be less than 1 together, found {} and {}",
        data.validation, data.test
    );
    let place = place("test").or(place("validation")).unwrap_or(root.place);
    mistakes.push(Diagnostic::new(message).at(place).help("what they leave is trained on"));
}

/// Each metric is asked for once.
pub(super) fn check_metrics(root: &Node, metrics: &MetricsTable, mistakes: &mut Diagnostics) {
    let names = root.at(&["metrics", "report"]).and_then(Node::as_array).unwrap_or_default();
    for (index, (metric, node)) in metrics.report.iter().zip(names).enumerate() {
        if metrics.report[..index].contains(metric) {
            let message = format!("metrics.report has {} twice", Metric::from(*metric).name());
            mistakes.push(Diagnostic::new(message).at(node.place));
        }
    }
}

/// The name becomes the run directory's.
pub(super) fn check_name(root: &Node, mistakes: &mut Diagnostics) {
    let Some(node) = root.at(&["name"]) else { return };
    let name = node.as_str().unwrap_or_default();
    let bad = |c: char| c == '/' || c == '\\' || c.is_control();
    let message = if name.is_empty() || name == "." || name == ".." || name.contains(bad) {
        "the name of the experiment must be usable as the name of a directory"
    } else if name.len() > LONGEST_NAME {
        "the name of the experiment is too long for a directory"
    } else {
        return;
    };
    mistakes.push(Diagnostic::new(message).at(node.place).help("set `name`, such as name = \"gender\""));
}
