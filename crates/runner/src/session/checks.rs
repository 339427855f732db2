//! What must fit together for an experiment to be trained, each mistake at its place.

use chainrule_core::{Objective, TargetKind};
use chainrule_trainer::metrics::Task;
use chainrule_trainer::{Error, SplitError};

use crate::data::{PrepareError, Preprocessing};
use crate::diagnostic::{Diagnostic, Diagnostics, counted};
use crate::document::{Node, Place};
use crate::error::Failure;
use crate::experiment::Experiment;
use crate::registry::{Number, Outputs};

/// Every metric can be had of what the network predicts.
pub(super) fn check_metrics(experiment: &Experiment, task: Task) -> Result<(), Failure> {
    let mut mistakes = Diagnostics::new();
    for (index, metric) in experiment.metrics.iter().enumerate().filter(|(_, metric)| !metric.fits(task)) {
        let (compares, help) = match metric.counts() {
            true => (
                "numbers",
                "use the loss `cross_entropy` or `binary_cross_entropy`, or the metrics `rmse`, `mae`, `r2`",
            ),
            false => (
                "classes",
                "the metrics of classes are `accuracy`, `confusion_matrix`, `precision`, `recall`, `f1`",
            ),
        };
        let message = format!("the metric `{}` does not fit: the loss compares {compares}", metric.name());
        let place = experiment.place(&["metrics", "report", &index.to_string()]);
        mistakes.push(Diagnostic::new(message).at(place).help(help));
    }
    if mistakes.is_empty() { Ok(()) } else { Err(experiment.mistake(mistakes)) }
}

/// A loss that takes scores must not be given probabilities.
pub(super) fn check_head(experiment: &Experiment, outputs: Outputs) -> Result<(), Failure> {
    let doubled = match outputs {
        Outputs::Values => return Ok(()),
        Outputs::ClassLogits => "softmax",
        Outputs::BinaryLogits => "sigmoid",
    };
    match experiment.model.head() {
        Some((activation, place)) if activation == doubled => {
            let message = format!(
                "the loss takes scores (logits), but the last layer makes them probabilities by {doubled}"
            );
            let help = format!(
                "remove `activation = \"{doubled}\"`: the loss applies it itself, and so does `predict`"
            );
            Err(experiment.mistake(Diagnostic::new(message).at(place).help(help)))
        }
        _ => Ok(()),
    }
}

/// `[predict]` has rows of the width of the data, and a name for each or none.
pub(super) fn check_predict(experiment: &Experiment, width: usize) -> Result<(), Failure> {
    let Some(predict) = &experiment.predict else { return Ok(()) };
    let rows = experiment.resolved.at(&["predict", "x"]).and_then(Node::as_array).unwrap_or_default();
    let mut mistakes = Diagnostics::new();
    for (index, (row, node)) in predict.x.iter().zip(rows).enumerate() {
        if row.len() != width {
            let message = format!(
                "predict.x[{index}] has {}, but the data have {width} a sample",
                counted(row.len(), "number")
            );
            mistakes.push(Diagnostic::new(message).at(node.place));
        }
    }
    if let Some(names) = predict.names.as_ref().filter(|names| names.len() != predict.x.len()) {
        let message = format!(
            "predict.names has {}, but predict.x has {}",
            counted(names.len(), "name"),
            counted(predict.x.len(), "sample")
        );
        mistakes.push(Diagnostic::new(message).at(experiment.place(&["predict", "names"])));
    }
    if mistakes.is_empty() { Ok(()) } else { Err(experiment.mistake(mistakes)) }
}

/// Every label has an output.
pub(super) fn check_labels<F: Number>(
    experiment: &Experiment,
    preprocessing: &Preprocessing,
    objective: &Objective<F>,
) -> Result<(), Failure> {
    let TargetKind::Classes(classes) = objective.target_kind() else { return Ok(()) };
    if let Some(vocabulary) = &preprocessing.vocabulary {
        return check_vocabulary(experiment, preprocessing.inputs, vocabulary.len(), objective);
    }
    let Some(labels) = &preprocessing.labels else { return Ok(()) };
    let found = labels.len();
    if found == classes {
        return Ok(());
    }
    let message = format!(
        "the data have {}, but the last layer has {}",
        counted(found, "different label"),
        counted(classes, "output")
    );
    let help = format!("give the last layer `units = {found}`");
    Err(experiment.mistake(Diagnostic::new(message).at(targets_place(experiment)).help(help)))
}

/// Every position of a text has a score for every token.
fn check_vocabulary<F: Number>(
    experiment: &Experiment,
    context: usize,
    tokens: usize,
    objective: &Objective<F>,
) -> Result<(), Failure> {
    let output = objective.network().output_shape();
    if output.last() == tokens && objective.targets_per_sample() == context {
        return Ok(());
    }
    let message = format!(
        "the text has {} and samples of {context}, but the output of the network is {output}",
        counted(tokens, "different token"),
    );
    let help = match output.last() == tokens {
        true => format!("its shape must be [{context}, {tokens}]: a score for every token at every position"),
        false => {
            format!("give the last layer `units = {tokens}`, so that its output is [{context}, {tokens}]")
        }
    };
    Err(experiment.mistake(Diagnostic::new(message).at(experiment.place(&["data", "context"])).help(help)))
}

/// Where the targets are written or named.
fn targets_place(experiment: &Experiment) -> Place {
    let node =
        ["y", "target", "labels", "classes"].iter().find_map(|key| experiment.resolved.at(&["data", key]));
    node.map_or_else(|| experiment.place(&["data"]), |node| node.place)
}

/// Data that cannot be split or are of other classes.
pub(super) fn prepare_mistake(experiment: &Experiment, error: &PrepareError) -> Failure {
    let place = match error {
        PrepareError::Split(SplitError::Empty { part, .. }) => experiment.place(&["data", part]),
        PrepareError::Label(_) => targets_place(experiment),
        PrepareError::Vocabulary => experiment.place(&["data", "type"]),
        _ => experiment.place(&["data"]),
    };
    experiment.mistake(Diagnostic::new(format!("[data]: {error}")).at(place))
}

/// Data that do not fit the network, at the place in the file where they stand; `samples` are those of the part.
pub(super) fn data_mistake(experiment: &Experiment, error: &Error, samples: &[u32]) -> Failure {
    // In the file, samples are counted before they are split.
    let error = match *error {
        Error::ClassRange { sample, class, classes } => {
            &Error::ClassRange { sample: samples[sample] as usize, class, classes }
        }
        _ => error,
    };
    let place = match error {
        Error::ClassRange { sample, .. } => {
            let written = experiment.resolved.at(&["data", "y", &sample.to_string()]);
            written.map_or_else(|| targets_place(experiment), |node| node.place)
        }
        Error::DataShape { what: "targets", .. } | Error::TargetKind { .. } => targets_place(experiment),
        _ => experiment.place(&["data"]),
    };
    let has_classes =
        ["labels", "classes"].iter().any(|key| experiment.resolved.at(&["data", key]).is_some());
    let help = match error {
        Error::DataShape { what: "targets", .. } if has_classes => Some(
            "the network must give one row of scores a sample; set `[model] input_shape` to one axis".into(),
        ),
        Error::DataShape { what: "targets", found, .. } => {
            Some(format!("give the last layer `units = {found}`"))
        }
        _ => None,
    };
    let message = match error {
        Error::DataShape { what: "targets", expected, found } => {
            format!("the network takes {} a sample, but the data have {found}", counted(*expected, "target"))
        }
        _ => error.to_string(),
    };
    experiment.mistake(Diagnostic::new(message).at(place).maybe_help(help))
}
