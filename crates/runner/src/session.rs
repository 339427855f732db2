//! An experiment with its data: everything that training, evaluation and prediction compute with.

mod checks;
mod samples;

use std::path::Path;
use std::sync::Arc;

use chainrule_core::layers::Masked;
use chainrule_core::{
    Buffer, Layer, Masking, Objective, OutputLoss, Parameter, Shape, TargetData, parameter_count,
};
use chainrule_trainer::metrics::{Metric, ScoredOutput, Scoring};
use chainrule_trainer::{Dataset, Optimizer, Schedule, Settings};

use crate::checkpoint::data_digest;
use crate::data::{Mask, OutputTargets, Plan, Prepared, Preprocessing};
use crate::diagnostic::{Diagnostic, Diagnostics, counted};
use crate::document::{Node, Place, Value};
use crate::error::Failure;
use crate::experiment::{Experiment, Goal};
use crate::memory;
use crate::model::{Head, Network};
use crate::registry::{Number, Outputs, Registry};
use crate::storage;
use crate::weights::{self, Tensors, Weights};
use checks::{
    check_batches, check_free, check_groups, check_head, check_labels, check_mask, check_metrics,
    check_metrics_of_padding, check_predict, check_predict_indices, check_rates, check_whole, data_mistake,
    mask_mistake,
};
use samples::{prepare, read_data};

/// More steps an epoch than anything that is given in steps, to check all that does not depend on their number.
const ANY_STEPS: u64 = 1 << 40;

/// A network ready to be trained on its data.
#[derive(Debug)]
pub struct Session<F> {
    /// What is minimised.
    pub objective: Objective<F>,
    /// The network as it predicts: its final activation applied, scores as probabilities.
    pub inference: Box<dyn Layer<F>>,
    /// The tensors of the parameters, in order.
    pub parameters: Vec<Parameter>,
    /// How many numbers they hold.
    pub parameter_count: usize,
    /// The buffers, in order.
    pub buffers: Vec<Buffer>,
    /// The training samples.
    pub train: Dataset<F>,
    /// The samples that are evaluated while training.
    pub validation: Option<Dataset<F>>,
    /// The samples that are evaluated at the end.
    pub test: Option<Dataset<F>>,
    /// What was fitted on them.
    pub preprocessing: Preprocessing,
    /// What the samples are shared with.
    prepared: Arc<Prepared<F>>,
    /// How steps are taken.
    pub optimizer: Box<dyn Optimizer<F>>,
    /// The learning rate of each step.
    pub schedule: Box<dyn Schedule>,
    /// The shape of one sample.
    pub input_shape: Shape,
    /// What the losses take the outputs for, one by one.
    pub outputs: Vec<Outputs>,
    /// Whether each loss is computed together with the activation of its output.
    pub heads: Vec<Head>,
    /// The outputs, as they are measured.
    pub scored: Vec<ScoredOutput>,
    /// Which positions of a sample are padding.
    pub masking: Option<Masking>,
    /// What is reported beside the loss.
    pub metrics: Vec<Metric>,
    /// How it is trained.
    pub settings: Settings,
}

impl<F: Number> Session<F> {
    /// Loads the data and builds the network; nothing is trained or written. The preprocessing is fitted on the
    /// training samples, unless `stored` has it from a run.
    ///
    /// # Errors
    /// [`Failure::Experiment`] with the place of what does not fit, [`Failure::Data`] if a data file is at fault.
    pub fn new(
        experiment: &Experiment,
        registry: &Registry,
        stored: Option<Preprocessing>,
    ) -> Result<Self, Failure> {
        let outputs = experiment.outputs(registry)?;
        let mut mistakes = Diagnostics::new();
        keep(check_head(experiment, &outputs), &mut mistakes)?;
        let optimizer = keep(experiment.optimizer::<F>(registry), &mut mistakes)?;
        // Only the keys: how many steps an epoch has is not known yet.
        let schedule = keep(experiment.schedule(registry, ANY_STEPS), &mut mistakes)?;
        let tasks = experiment.tasks(registry)?;
        keep(check_metrics(experiment, &tasks), &mut mistakes)?;
        let raw = match read_data::<F>(experiment, registry, &tasks) {
            // Mistakes of the experiment come first; they may be why the data do not fit.
            Err(Failure::Data { .. }) if !mistakes.is_empty() => None,
            read => keep(read, &mut mistakes)?,
        };
        let mut network = None;
        // The network is checked even if the data are not right, where they say how wide they are.
        if let Some(shape) =
            raw.as_ref().map(|raw| raw.shape()).or_else(|| written_shape(&experiment.resolved))
        {
            let width = shape.iter().try_fold(1, |width: usize, &axis| width.checked_mul(axis));
            keep(check_predict(experiment, width.unwrap_or(usize::MAX)), &mut mistakes)?;
            let shape = keep(input_shape(experiment, shape), &mut mistakes)?;
            if let Some(shape) = shape.filter(|_| !experiment.model.is_empty()) {
                let mask = keep(check_mask(experiment, &shape), &mut mistakes)?;
                let objective = keep(objective::<F>(experiment, registry, &shape), &mut mistakes)?;
                let objective = match (objective, mask) {
                    (Some((objective, heads)), Some(mask)) => {
                        let masked = masked(experiment, registry, &shape, objective, mask);
                        keep(masked, &mut mistakes)?.map(|(objective, masking)| (objective, heads, masking))
                    }
                    _ => None,
                };
                network = objective.map(|objective| (shape, mask.flatten(), objective));
            }
        }
        let (Some(optimizer), Some(raw), Some((input_shape, mask, (objective, heads, masking)))) =
            (optimizer, raw, network)
        else {
            return Err(experiment.mistake(mistakes));
        };
        let inference = inference::<F>(experiment, registry, &input_shape, &outputs, masking)?;
        let judged = objective.loss().outputs().iter().zip(&tasks);
        let targets: Vec<OutputTargets> = judged
            .clone()
            .map(|(output, &task)| OutputTargets {
                name: output.name.clone(),
                task,
                columns: output.targets_per_sample(),
            })
            .collect();
        let scored: Vec<ScoredOutput> = judged
            .map(|(output, &task)| ScoredOutput {
                name: output.name.clone(),
                shape: output.shape.clone(),
                task,
            })
            .collect();
        keep(check_metrics_of_padding(experiment, &scored, masking), &mut mistakes)?;
        let whole_model = experiment.place(&["model", "layers"]);
        let mistake = |message: String, place: Place| experiment.mistake(Diagnostic::new(message).at(place));

        let parameters = objective.parameters();
        keep(check_groups(experiment, &parameters), &mut mistakes)?;
        let parameter_count = parameter_count(&parameters)
            .map_err(|error| mistake(format!("the network: {error}"), whole_model))?;
        let rows = experiment.train.batch_size.min(raw.x.len());
        let copies = copies(experiment, optimizer.as_ref());
        // Nothing is allocated before this is known, so that mistakes found up to here are all.
        if let Err(message) = memory::check::<F>(objective.network(), parameter_count, copies, rows) {
            let heaviest = experiment.model.heaviest::<F>(registry, &input_shape);
            let (layer, own, place) = heaviest.map_err(|found| experiment.mistake(found))?;
            let help = format!("{layer} has {own} of the parameters");
            mistakes.push(Diagnostic::new(message).at(place).help(help));
            return Err(experiment.mistake(mistakes));
        }

        // Shares that leave nothing are a mistake already.
        if experiment.data.validation + experiment.data.test >= 1.0 {
            return Err(experiment.mistake(mistakes));
        }
        let (seed, scale) = (experiment.seed, experiment.data.scale);
        let fractions = experiment.data.fractions();
        let plan = Plan { fractions, seed, scale, outputs: &targets, mask };
        let Some(prepared) = keep(prepare::<F>(experiment, &tasks, &raw, plan, stored), &mut mistakes)?
        else {
            return Err(experiment.mistake(mistakes));
        };
        let Prepared { train, validation, test, split, preprocessing, .. } = prepared.as_ref();
        // A label too many is of a class too many.
        if keep(check_labels(experiment, preprocessing, &objective), &mut mistakes)?.is_some() {
            let parts = [
                (Some(train), &split.train),
                (validation.as_ref(), &split.validation),
                (test.as_ref(), &split.test),
            ];
            for (part, samples) in parts {
                let checked = part.map_or(Ok(()), |part: &Dataset<F>| part.check(&objective));
                keep(
                    checked.map_err(|error| data_mistake(experiment, &error, samples, &targets)),
                    &mut mistakes,
                )?;
            }
        }
        keep(check_batches(experiment, &objective, train.len()), &mut mistakes)?;
        keep(check_free(experiment, optimizer.as_ref()), &mut mistakes)?;
        keep(check_whole(experiment, optimizer.as_ref(), train.len()), &mut mistakes)?;
        keep(check_predict_indices(experiment, preprocessing, inference.as_ref()), &mut mistakes)?;
        let step = experiment.train.batch_size.saturating_mul(experiment.train.accumulate);
        let steps_per_epoch = train.len().div_ceil(step) as u64;
        let schedule = match schedule {
            Some(_) => keep(experiment.schedule(registry, steps_per_epoch), &mut mistakes)?,
            None => None,
        };
        if let Some(schedule) = &schedule {
            keep(check_rates(experiment, optimizer.as_ref(), schedule.as_ref()), &mut mistakes)?;
        }
        let has_plateau = schedule.as_ref().is_some_and(|schedule| schedule.plateau().is_some());
        let monitor = keep(experiment.monitor(&scored, validation.is_some(), has_plateau), &mut mistakes)?;
        let settings = match monitor {
            Some(monitor) => keep(experiment.settings(registry, monitor), &mut mistakes)?,
            None => None,
        };
        let (Some(schedule), Some(settings), true) = (schedule, settings, mistakes.is_empty()) else {
            return Err(experiment.mistake(mistakes));
        };
        let session = Self {
            buffers: objective.buffers(),
            objective,
            inference,
            parameters,
            parameter_count,
            train: train.clone(),
            validation: validation.clone(),
            test: test.clone(),
            preprocessing: preprocessing.clone(),
            prepared,
            optimizer,
            schedule,
            input_shape,
            outputs,
            heads,
            scored,
            masking,
            metrics: experiment.metrics.clone(),
            settings,
        };
        Ok(session)
    }

    /// The metrics of the network as it predicts.
    pub fn scoring(&self) -> Scoring<'_, F> {
        Scoring { network: self.inference.as_ref(), outputs: &self.scored, metrics: &self.metrics }
    }

    /// The parts of the data that there are, by name.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &Dataset<F>)> {
        let held_out = [("validation", self.validation.as_ref()), ("test", self.test.as_ref())];
        let held_out = held_out.into_iter().filter_map(|(name, part)| Some((name, part?)));
        std::iter::once(("train", &self.train)).chain(held_out)
    }

    /// A digest of all samples.
    pub(crate) fn data_digest(&self) -> &str {
        self.prepared.digest.get_or_init(|| data_digest(self.parts()))
    }

    /// Bytes that training takes beside the data.
    pub(crate) fn memory(&self, experiment: &Experiment) -> u128 {
        let rows = experiment.train.batch_size.min(self.most_samples());
        let copies = copies(experiment, self.optimizer.as_ref());
        memory::needed::<F>(self.objective.network(), self.parameter_count, copies, rows)
    }

    /// Bytes of the data. A class takes no more than a number.
    pub(crate) fn data_memory(&self) -> u128 {
        let targets: usize = self.train.targets().iter().map(TargetData::per_sample).sum();
        let numbers = (self.train.width() + targets) as u128;
        let samples: usize = self.parts().map(|(_, part)| part.len()).sum();
        samples as u128 * numbers * F::BYTES as u128
    }

    /// Which samples of the data are trained on, as they are counted before the data are split.
    pub(crate) fn train_samples(&self) -> &[u32] {
        &self.prepared.split.train
    }

    /// The samples of the largest part.
    pub(crate) fn most_samples(&self) -> usize {
        self.parts().map(|(_, part)| part.len()).max().unwrap_or(0)
    }

    /// The parameters that training starts from: those of `initial_weights`, or drawn from the seed.
    ///
    /// # Errors
    /// [`Failure::Data`] if the weights cannot be read or do not fit.
    pub fn start(&self, experiment: &Experiment) -> Result<Weights<F>, Failure> {
        let place = experiment.place(&["model", "layers"]);
        let mistake =
            |error: chainrule_core::Error| experiment.mistake(Diagnostic::new(error.to_string()).at(place));
        let theta = self.objective.start_values(experiment.seed).map_err(mistake)?;
        let mut start = Weights { theta, buffers: self.objective.start_buffers() };
        if let Some(path) = &experiment.initial_weights {
            let bytes = read_weights(path, self.parameter_count)?;
            let failed = |error: weights::WeightsError| Failure::Data {
                path: path.clone(),
                message: error.to_string(),
            };
            weights::decode(&bytes, self.tensors(), &mut start).map_err(failed)?;
        }
        Ok(start)
    }

    /// The tensors of the network.
    pub fn tensors(&self) -> Tensors<'_> {
        Tensors { parameters: &self.parameters, buffers: &self.buffers }
    }
}

/// Keeps the mistakes of an experiment, to report all of them at once; any other failure ends here.
fn keep<T>(result: Result<T, Failure>, mistakes: &mut Diagnostics) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Experiment(found, _)) => {
            mistakes.append(found);
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

/// A weights file holds no more than the parameters in f64, and a header.
pub(crate) fn read_weights(path: &Path, parameters: usize) -> Result<Vec<u8>, Failure> {
    const HEADER: u64 = 64 << 20;
    let limit = (parameters as u64).saturating_mul(8).saturating_add(HEADER);
    storage::read_bounded(path, limit)
        .map_err(|error| Failure::Data { path: path.to_owned(), message: format!("cannot be read: {error}") })
}

/// Vectors as long as the parameters that a run keeps: they and their gradient too.
fn copies<F: Number>(experiment: &Experiment, optimizer: &dyn Optimizer<F>) -> usize {
    2 + optimizer.slots().len() + experiment.copies()
}

/// The shape of a sample, as far as a file that may have mistakes tells.
pub(crate) fn written_shape(root: &Node) -> Option<Vec<usize>> {
    let length = |path: &[&str]| root.at(path).and_then(Node::as_array).map(<[Node]>::len);
    let whole = |node: &Node| match node.value {
        Value::Integer(value) => usize::try_from(value).ok(),
        _ => None,
    };
    let number = |path: &[&str]| root.at(path).and_then(whole);
    if let Some(axes) = root.at(&["data", "input_shape"]).and_then(Node::as_array) {
        return axes.iter().map(whole).collect();
    }
    let width = length(&["data", "x", "0"]).or_else(|| length(&["data", "features"]));
    let width = width.or_else(|| number(&["data", "context"])).filter(|&width| width > 0)?;
    Some(number(&["data", "window", "length"]).into_iter().chain([width]).collect())
}

/// What can be found out about an experiment without training, to the end: [`Failure::Experiment`] has it all, other
/// failures are left for when they matter.
pub(crate) fn mistakes(experiment: &Experiment, registry: &Registry) -> Diagnostics {
    match Session::<f64>::new(experiment, registry, None) {
        Err(Failure::Experiment(found, _)) => found,
        _ => Diagnostics::new(),
    }
}

/// `[model] input_shape`, which must hold what the data have, or the data's shape.
fn input_shape(experiment: &Experiment, of_data: Vec<usize>) -> Result<Shape, Failure> {
    let place = experiment.place(&["model", "input_shape"]);
    let mistake = |message: String| experiment.mistake(Diagnostic::new(message).at(place));
    let checked =
        |axes: Vec<usize>| Shape::new(axes).map_err(|error| mistake(format!("model.input_shape: {error}")));
    let of_data = checked(of_data)?;
    if let Some(shape) = experiment.model.row_shape() {
        if shape.len() == of_data.len() {
            return Ok(shape);
        }
        let each =
            |(name, shape): (&str, Option<&Shape>)| format!("{} (\"{name}\")", shape.map_or(0, Shape::len));
        let each: Vec<String> = experiment.model.inputs().map(each).collect();
        let total = match each.len() {
            1 => each[0].clone(),
            _ => format!("{} = {}", each.join(" + "), shape.len()),
        };
        let message =
            format!("[[inputs]] hold {total} numbers, but the data have {} a sample", of_data.len());
        let place = experiment.place(&["inputs"]);
        return Err(experiment.mistake(Diagnostic::new(message).at(place)));
    }
    let Some(axes) = experiment.input_shape.clone() else { return Ok(of_data) };
    let (shape, width) = (checked(axes)?, of_data.len());
    if shape.len() == width {
        return Ok(shape);
    }
    Err(mistake(format!(
        "model.input_shape {shape} holds {}, but the data have {width} a sample",
        counted(shape.len(), "number")
    )))
}

/// The network under its losses; each computed together with the activation of its output where it knows a better way.
fn objective<F: Number>(
    experiment: &Experiment,
    registry: &Registry,
    input: &Shape,
) -> Result<(Objective<F>, Vec<Head>), Failure> {
    let build = |heads: &[Head]| {
        experiment.model.build::<F>(registry, input, heads).map_err(|found| experiment.mistake(found))
    };
    let network = build(&experiment.model.plain_heads())?;
    let mut heads = experiment.model.plain_heads();
    let mut losses = Vec::with_capacity(heads.len());
    for (index, (goal, shape)) in experiment.goals.iter().zip(network.outputs).enumerate() {
        let (entry, keys) = experiment.loss(registry, goal)?;
        let build_loss = |fused: Option<&str>| {
            F::loss(entry, &keys, fused, &shape).map_err(|error| experiment.loss_mistake(goal, &error))
        };
        let fused = match experiment.model.head(index) {
            Some((activation, _)) => build_loss(Some(activation))?,
            None => None,
        };
        let loss = match fused {
            Some(loss) => {
                heads[index] = Head::Fused;
                Some(loss)
            }
            None => build_loss(None)?,
        };
        let loss = loss.ok_or_else(|| loss_mistake(experiment, goal, "the loss cannot be built"))?;
        losses.push(OutputLoss { name: goal.name.clone(), shape, loss, weight: goal.weight });
    }
    let network = if heads.contains(&Head::Fused) { build(&heads)?.layer } else { network.layer };
    let objective = Objective::several(network, losses)
        .map_err(|error| loss_mistake(experiment, &experiment.goals[0], &error.to_string()))?;
    Ok((objective, heads))
}

fn loss_mistake(experiment: &Experiment, goal: &Goal, message: &str) -> Failure {
    let place = experiment.place(&goal.path());
    experiment.mistake(Diagnostic::new(format!("{}: {message}", goal.table())).at(place))
}

/// The objective of samples that are padded: as `[data] mask_value` says, or a layer that reads the input.
fn masked<F: Number>(
    experiment: &Experiment,
    registry: &Registry,
    input: &Shape,
    objective: Objective<F>,
    mask: Option<Mask>,
) -> Result<(Objective<F>, Option<Masking>), Failure> {
    let by_layer = objective.network().masking();
    let Some(masking) = mask.map(Mask::masking).or(by_layer) else { return Ok((objective, None)) };
    let has_layers = !objective.network().masked_positions().is_empty();
    let masked = objective
        .with_masking(masking)
        .map_err(|_| mask_mistake::<F>(experiment, registry, input, masking))?;
    if mask.is_some() && !has_layers && !masked.loss_is_masked() {
        let message = "data.mask_value marks padding, but nothing in this network would skip it";
        let help =
            "layers that go over positions skip it, and the loss of an output with a row for each position";
        let place = experiment.place(&["data", "mask_value"]);
        return Err(experiment.mistake(Diagnostic::new(message).at(place).help(help)));
    }
    Ok((masked, Some(masking)))
}

/// The network as it predicts: scores are probabilities.
pub(crate) fn inference<F: Number>(
    experiment: &Experiment,
    registry: &Registry,
    input: &Shape,
    outputs: &[Outputs],
    masking: Option<Masking>,
) -> Result<Box<dyn Layer<F>>, Failure> {
    let heads: Vec<Head> = outputs.iter().copied().map(Head::Probabilities).collect();
    let Network { layer, .. } =
        experiment.model.build::<F>(registry, input, &heads).map_err(|found| experiment.mistake(found))?;
    with_masking(layer, masking).map_err(|error| {
        let place = experiment.place(&["model", "layers"]);
        experiment.mistake(Diagnostic::new(error.to_string()).at(place))
    })
}

/// A network that knows which positions are padding.
pub(crate) fn with_masking<F: Number>(
    network: Box<dyn Layer<F>>,
    masking: Option<Masking>,
) -> Result<Box<dyn Layer<F>>, chainrule_core::Error> {
    match masking {
        Some(masking) => Ok(Box::new(Masked::new(network, masking)?)),
        None => Ok(network),
    }
}
