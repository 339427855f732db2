//! What must fit together for an experiment to be trained, each mistake at its place.

use chainrule_core::{Layer, Masking, Objective, Parameter, Rows, Shape, TargetKind};
use chainrule_trainer::metrics::{Metric, ScoredOutput, Task};
use chainrule_trainer::optimizer::{Rates, Tuning};
use chainrule_trainer::{Error, Optimizer, Schedule, SplitError, check_indices};

use super::ANY_STEPS;
use crate::data::{Mask, OutputTargets, PrepareError, Preprocessing};
use crate::diagnostic::{Diagnostic, Diagnostics, counted};
use crate::document::{Node, Place};
use crate::error::Failure;
use crate::experiment::Experiment;
use crate::registry::{Number, Outputs, Registry};

/// Every metric can be had of what the network predicts, of one of its outputs at least.
pub(super) fn check_metrics(experiment: &Experiment, tasks: &[Task]) -> Result<(), Failure> {
    let mut mistakes = Diagnostics::new();
    let unfit = |metric: &Metric| !tasks.iter().any(|&task| metric.fits(task));
    for (index, metric) in experiment.metrics.iter().enumerate().filter(|(_, metric)| unfit(metric)) {
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
        let losses = if tasks.len() > 1 { "all losses compare" } else { "the loss compares" };
        let message = format!("the metric `{}` does not fit: {losses} {compares}", metric.name());
        let place = experiment.place(&["metrics", "report", &index.to_string()]);
        mistakes.push(Diagnostic::new(message).at(place).help(help));
    }
    if mistakes.is_empty() { Ok(()) } else { Err(experiment.mistake(mistakes)) }
}

/// A loss that takes scores must not be given probabilities.
pub(super) fn check_head(experiment: &Experiment, outputs: &[Outputs]) -> Result<(), Failure> {
    let mut mistakes = Diagnostics::new();
    for (index, (outputs, goal)) in outputs.iter().zip(&experiment.goals).enumerate() {
        let doubled = match outputs {
            Outputs::Values => continue,
            Outputs::ClassLogits => "softmax",
            Outputs::BinaryLogits => "sigmoid",
        };
        let Some((_, place)) = experiment.model.head(index).filter(|(activation, _)| *activation == doubled)
        else {
            continue;
        };
        let (whose, layer) = match goal.name.as_str() {
            "" => ("the loss".to_owned(), "the last layer".to_owned()),
            name => (format!("the loss of \"{name}\""), "the layer".to_owned()),
        };
        let message =
            format!("{whose} takes scores (logits), but {layer} makes them probabilities by {doubled}");
        let help =
            format!("remove `activation = \"{doubled}\"`: the loss applies it itself, and so does `predict`");
        mistakes.push(Diagnostic::new(message).at(place).help(help));
    }
    if mistakes.is_empty() { Ok(()) } else { Err(experiment.mistake(mistakes)) }
}

/// What `[data] mask_value` marks in samples of this shape.
pub(super) fn check_mask(experiment: &Experiment, input: &Shape) -> Result<Option<Mask>, Failure> {
    let Some(value) = experiment.data.mask_value else { return Ok(None) };
    match input.axes() {
        [positions, features @ ..] if !features.is_empty() && experiment.model.inputs().count() == 1 => {
            Ok(Some(Mask { positions: *positions, width: input.len() / positions, value }))
        }
        _ => {
            let message = format!("data.mask_value marks positions, but a sample has the shape {input}");
            let help = "give it [model] input_shape = [positions, features]; named inputs have no padding";
            let place = experiment.place(&["data", "mask_value"]);
            Err(experiment.mistake(Diagnostic::new(message).at(place).help(help)))
        }
    }
}

/// Metrics of numbers cannot leave padding out.
pub(super) fn check_metrics_of_padding(
    experiment: &Experiment,
    outputs: &[ScoredOutput],
    masking: Option<Masking>,
) -> Result<(), Failure> {
    let Some(masking) = masking else { return Ok(()) };
    let mut mistakes = Diagnostics::new();
    for (index, metric) in experiment.metrics.iter().enumerate().filter(|(_, metric)| !metric.counts()) {
        let is_padded =
            |output: &&ScoredOutput| output.has_rows(masking.positions) && metric.fits(output.task);
        if outputs.iter().any(|output| is_padded(&output)) {
            let message =
                format!("the metric `{}` is not possible of positions that may be padding", metric.name());
            let place = experiment.place(&["metrics", "report", &index.to_string()]);
            mistakes.push(Diagnostic::new(message).at(place).help("the loss leaves padding out"));
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(experiment.mistake(mistakes)) }
}

/// Padding is marked for other positions than layers go over: each of them is named.
pub(super) fn mask_mistake<F: Number>(
    experiment: &Experiment,
    registry: &Registry,
    input: &Shape,
    masking: Masking,
) -> Failure {
    let marked = masking.positions;
    let found = match experiment.model.masked_layers::<F>(registry, input) {
        Ok(found) => found,
        Err(mistakes) => return experiment.mistake(mistakes),
    };
    let mut mistakes = Diagnostics::new();
    for (label, positions, place) in found.into_iter().filter(|(_, positions, _)| *positions != marked) {
        let message = format!(
            "padding is marked for the {marked} positions of the input, but {label}, which skips it, goes over {positions}"
        );
        let help =
            "a layer between them changes the number of positions; padding cannot be followed through it";
        mistakes.push(Diagnostic::new(message).at(place).help(help));
    }
    experiment.mistake(mistakes)
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

/// Every sample of `[predict]` holds indices where the network takes some.
pub(super) fn check_predict_indices<F: Number>(
    experiment: &Experiment,
    preprocessing: &Preprocessing,
    network: &dyn Layer<F>,
) -> Result<(), Failure> {
    let rows = experiment.predict.iter().flat_map(|predict| &predict.x);
    let mut mistakes = Diagnostics::new();
    // Rows of another length are a mistake already.
    for (index, row) in rows.enumerate().filter(|(_, row)| row.len() == preprocessing.inputs) {
        let x: Vec<F> = preprocessing.inputs(row.clone());
        if let Err(Error::IndexRange { value, limit, .. }) = check_indices(network, Rows::new(&x, x.len())) {
            let message = format!("predict.x[{index}] holds {value} where the network takes an index");
            let help = format!("indices are whole numbers from 0 to {}", limit - 1);
            let place = experiment.place(&["predict", "x", &index.to_string()]);
            mistakes.push(Diagnostic::new(message).at(place).help(help));
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(experiment.mistake(mistakes)) }
}

/// No batch of an epoch is too small for the statistics that a layer takes of it.
pub(super) fn check_batches<F: Number>(
    experiment: &Experiment,
    objective: &Objective<F>,
    samples: usize,
) -> Result<(), Failure> {
    let checked = chainrule_trainer::check_batches(objective, samples, experiment.train.batch_size);
    checked.map_err(|error| {
        let place = experiment.place(&["train", "batch_size"]);
        let help =
            "batch norm takes the statistics of a batch: choose a batch size that leaves no single sample";
        experiment.mistake(Diagnostic::new(error.to_string()).at(place).help(help))
    })
}

/// An optimiser that needs the whole training set in every step gets it.
pub(super) fn check_whole<F: Number>(
    experiment: &Experiment,
    optimizer: &dyn Optimizer<F>,
    samples: usize,
) -> Result<(), Failure> {
    let step = experiment.train.batch_size.saturating_mul(experiment.train.accumulate);
    let checked = chainrule_trainer::check_whole(optimizer, samples, step);
    checked.map_err(|error| {
        let written = experiment.place(&["train", "batch_size"]);
        // A default has no place.
        let place = if written.is_none() { experiment.place(&["train"]) } else { written };
        let help = format!("set `batch_size = {samples}` in [train], or choose another optimizer");
        experiment.mistake(Diagnostic::new(error.to_string()).at(place).help(help))
    })
}

/// Nothing moves the parameters beside an optimiser that must do it alone.
pub(super) fn check_free<F: Number>(
    experiment: &Experiment,
    optimizer: &dyn Optimizer<F>,
) -> Result<(), Failure> {
    let (max_norm, clip) = (experiment.optimizer.max_norm, experiment.optimizer.clip());
    chainrule_trainer::check_free(optimizer, max_norm, clip).map_err(|error| {
        let keys = ["max_norm", "clip_grad_norm", "clip_grad_value"];
        let key = keys.into_iter().find(|key| experiment.resolved.at(&["optimizer", key]).is_some());
        let key = key.unwrap_or("type");
        let place = experiment.place(&["optimizer", key]);
        let help = format!("remove `{key}`, or choose another optimizer");
        experiment.mistake(Diagnostic::new(error.to_string()).at(place).help(help))
    })
}

/// The learning rates of a schedule mean something to the optimiser.
pub(super) fn check_rates<F: Number>(
    experiment: &Experiment,
    optimizer: &dyn Optimizer<F>,
    schedule: &dyn Schedule,
) -> Result<(), Failure> {
    let name = experiment.resolved.at(&["optimizer", "type"]).and_then(Node::as_str).unwrap_or_default();
    // More steps than any schedule rests for at its start.
    let changes = || schedule.plateau().is_some() || schedule.rate(0) != schedule.rate(ANY_STEPS);
    let (key, message, help) = match optimizer.rates() {
        Rates::Every => return Ok(()),
        Rates::First if changes() => (
            "type",
            format!("{name} reads the learning rate in its first step only: a schedule changes nothing"),
            "remove [lr_schedule], or choose another optimizer",
        ),
        Rates::ScaledByFirst if schedule.rate(0) == 0.0 => (
            "warmup_factor",
            format!("{name} scales its steps by the first, and the learning rate of that is 0"),
            "set `warmup_factor` to more than 0",
        ),
        Rates::First | Rates::ScaledByFirst => return Ok(()),
    };
    let written = experiment.place(&["lr_schedule", key]);
    let place = if written.is_none() { experiment.place(&["lr_schedule"]) } else { written };
    Err(experiment.mistake(Diagnostic::new(message).at(place).help(help)))
}

/// Every layer of `[[optimizer.groups]]` has parameters that are trained.
pub(super) fn check_groups(experiment: &Experiment, parameters: &[Parameter]) -> Result<(), Failure> {
    let mut mistakes = Diagnostics::new();
    let groups = experiment.optimizer.groups.iter().flatten();
    for (group, (tuning, table)) in experiment.tunings.iter().zip(groups).enumerate() {
        for layer in &tuning.layers {
            let alone = Tuning { layers: vec![layer.clone()], ..tuning.clone() };
            if parameters.iter().any(|parameter| parameter.trainable && alone.has(&parameter.name)) {
                continue;
            }
            let means = |name: &String| layer == name || layer.ends_with(&format!(".{name}"));
            let index = table.layers.iter().position(means).unwrap_or(0).to_string();
            let place = experiment.place(&["optimizer", "groups", &group.to_string(), "layers", &index]);
            let message = format!("the layer `{layer}` has no parameters that are trained");
            mistakes.push(Diagnostic::new(message).at(place).help("take it out of the group"));
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(experiment.mistake(mistakes)) }
}

/// Every label has an output.
pub(super) fn check_labels<F: Number>(
    experiment: &Experiment,
    preprocessing: &Preprocessing,
    objective: &Objective<F>,
) -> Result<(), Failure> {
    let mut mistakes = Diagnostics::new();
    for (index, output) in objective.loss().outputs().iter().enumerate() {
        let TargetKind::Classes(classes) = output.loss.target_kind() else { continue };
        if let Some(vocabulary) = &preprocessing.vocabulary {
            return check_vocabulary(experiment, preprocessing.inputs, vocabulary.len(), objective);
        }
        let Some(labels) = preprocessing.of_output(index).labels else { continue };
        let found = labels.len();
        if found == classes {
            continue;
        }
        let (layer, named) = called(&output.name);
        let message = format!(
            "the data have {}{named}, but {layer} has {}",
            counted(found, "different label"),
            counted(classes, "output")
        );
        let help = format!("give {layer} `units = {found}`");
        mistakes.push(Diagnostic::new(message).at(targets_place(experiment)).help(help));
    }
    if mistakes.is_empty() { Ok(()) } else { Err(experiment.mistake(mistakes)) }
}

/// The layer that gives an output, and what is added where its targets are meant.
fn called(output: &str) -> (String, String) {
    match output {
        "" => ("the last layer".into(), String::new()),
        name => (format!("the layer \"{name}\""), format!(" for the output \"{name}\"")),
    }
}

/// Every position of a text has a score for every token.
fn check_vocabulary<F: Number>(
    experiment: &Experiment,
    context: usize,
    tokens: usize,
    objective: &Objective<F>,
) -> Result<(), Failure> {
    let judged = &objective.loss().outputs()[0];
    let output = &judged.shape;
    if output.last() == tokens && judged.targets_per_sample() == context {
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
    if let PrepareError::Content { path, message } = error {
        return Failure::Data { path: path.clone(), message: message.clone() };
    }
    let place = match error {
        PrepareError::Split(SplitError::Empty { part, .. }) => experiment.place(&["data", part]),
        PrepareError::Label(_) | PrepareError::Columns { .. } => targets_place(experiment),
        PrepareError::ClassIndex { row, column, .. } => {
            experiment.place(&["data", "y", &row.to_string(), &column.to_string()])
        }
        PrepareError::OneOutput => experiment.place(&["data", "type"]),
        PrepareError::Vocabulary => experiment.place(&["data", "type"]),
        _ => experiment.place(&["data"]),
    };
    experiment.mistake(Diagnostic::new(format!("[data]: {error}")).at(place))
}

/// Data that do not fit the network, at the place in the file where they stand; `samples` are those of the part.
pub(super) fn data_mistake(
    experiment: &Experiment,
    error: &Error,
    samples: &[u32],
    outputs: &[OutputTargets],
) -> Failure {
    // Of several outputs, the one whose targets do not fit, and its first column.
    let (output, error) = match error {
        Error::Output { name, source } => (name.as_str(), source.as_ref()),
        error => ("", error),
    };
    let column: usize = match outputs.iter().position(|other| other.name == output) {
        Some(index) if outputs.len() > 1 => outputs[..index].iter().map(|output| output.columns).sum(),
        _ => 0,
    };
    // In the file, samples are counted before they are split.
    let error = match *error {
        Error::ClassRange { sample, class, classes } => {
            &Error::ClassRange { sample: samples[sample] as usize, class, classes }
        }
        Error::IndexRange { sample, value, limit } => {
            &Error::IndexRange { sample: samples[sample] as usize, value, limit }
        }
        _ => error,
    };
    let place = match error {
        Error::ClassRange { sample, .. } => {
            let (sample, column) = (sample.to_string(), column.to_string());
            let path = ["data", "y", &sample, &column];
            let written = experiment.resolved.at(&path).or(experiment.resolved.at(&path[..3]));
            written.map_or_else(|| targets_place(experiment), |node| node.place)
        }
        Error::IndexRange { sample, .. } => {
            let written = experiment.resolved.at(&["data", "x", &sample.to_string()]);
            written.map_or_else(|| experiment.place(&["data"]), |node| node.place)
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
            Some(format!("give {} `units = {found}`", called(output).0))
        }
        _ => None,
    };
    let message = match error {
        Error::DataShape { what: "targets", expected, found } => {
            format!("the network takes {} a sample, but the data have {found}", counted(*expected, "target"))
        }
        _ => error.to_string(),
    };
    let message = match output {
        "" => message,
        name => format!("output \"{name}\": {message}"),
    };
    experiment.mistake(Diagnostic::new(message).at(place).maybe_help(help))
}
