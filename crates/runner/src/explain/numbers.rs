//! The numbers of one sample at the start weights.

use chainrule_core::layers::Source;
use chainrule_core::{Ctx, Inline, Objective, Parameter, Rows, Targets, Workspace};
use chainrule_trainer::optimizer::{MaxNorm, Memory, groups, l1, update};
use serde::Serialize;

use super::Stage;
use super::names::Names;
use super::product::{Chains, Derivative, MAX_UNITS};
use super::trace::Trace;
use crate::error::Failure;
use crate::experiment::Experiment;
use crate::session::Session;
use crate::spec::Dtype;
use crate::weights::Weights;

/// Up to this many parameters of a layer, all are written out.
const MAX_PARAMETERS: usize = 32;

/// So many of a tensor are written out in larger layers: those with the largest derivatives.
const PER_TENSOR: usize = 3;

/// Numbers of a vector that are written out.
const MAX_NUMBERS: usize = 8;

/// A vector, all of it or its first numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Vector {
    /// How many numbers it has.
    pub len: usize,
    /// The numbers, or the first of them.
    pub values: Vec<f64>,
    /// The root of the sum of all squares.
    pub norm: f64,
}

impl Vector {
    fn new(values: &[f64]) -> Self {
        let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
        Self { len: values.len(), values: values.iter().copied().take(MAX_NUMBERS).collect(), norm }
    }
}

/// What a sample's output should be.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Numbers.
    Values(Vector),
    /// Class indices, and their labels if they have any.
    Classes {
        /// The first of them.
        indices: Vec<u32>,
        /// Their labels.
        labels: Vec<String>,
    },
}

/// The numbers of a sample.
#[derive(Clone, Debug, Serialize)]
pub struct SampleNumbers {
    /// Which sample.
    pub index: usize,
    /// Of how many.
    pub of: usize,
    /// Its inputs, scaled.
    pub x: Vector,
    /// What it should give, output by output.
    pub targets: Vec<Target>,
    /// The network's output, as the loss takes it.
    pub y: Vector,
    /// The loss of this sample.
    pub loss: f64,
    /// Every layer, in the order of the formulas.
    pub layers: Vec<LayerNumbers>,
    /// Every tensor, in order.
    pub tensors: Vec<TensorNumbers>,
    /// The learning rate of the update.
    pub learning_rate: f64,
}

/// The numbers of a layer.
#[derive(Clone, Debug, Serialize)]
pub struct LayerNumbers {
    /// The layer's name.
    pub name: String,
    /// Its inputs.
    pub inputs: Vec<Vector>,
    /// Its output.
    pub y: Vector,
    /// The derivative of the loss by its output.
    pub dy: Vector,
    /// The same by the network's input, where the layer is the only one that reads it.
    pub dx: Option<Vector>,
    /// The same, output by output, by the chain rule.
    pub units: Vec<Derivative>,
    /// Outputs that are not written out.
    pub left_out: usize,
}

/// The numbers of a tensor of parameters.
#[derive(Clone, Debug, Serialize)]
pub struct TensorNumbers {
    /// Its name.
    pub name: String,
    /// Its axes.
    pub shape: Vec<usize>,
    /// The root of the sum of the squares of all its derivatives.
    pub norm: f64,
    /// All parameters, or those with the largest derivatives.
    pub parameters: Vec<ParameterNumbers>,
    /// Parameters that are not written out.
    pub left_out: usize,
}

/// The numbers of one parameter.
#[derive(Clone, Debug, Serialize)]
pub struct ParameterNumbers {
    /// `w1`, or its full name.
    pub symbol: String,
    /// `hidden.weight[0,0]`.
    pub name: String,
    /// Its start value.
    pub value: f64,
    /// The derivative of the loss by it, as products of factors; none if its layer has too many for that.
    pub derivative: Option<Derivative>,
    /// The same from the backward pass over the whole network.
    pub backward: f64,
    /// The same as a central difference of the loss.
    pub difference: f64,
    /// The parameter after a plain step, `value - learning_rate · dL/dparameter`.
    pub updated: f64,
    /// The parameter after the optimiser's first step, where that is another.
    pub optimizer: Option<f64>,
}

impl ParameterNumbers {
    /// The number that the update uses: the product of the factors where there is one.
    pub(super) fn slope(&self) -> f64 {
        self.derivative.as_ref().map_or(self.backward, |derivative| derivative.value)
    }
}

/// The network, the sample and the whole backward pass.
struct Whole<'a> {
    objective: &'a Objective<f64>,
    x: Rows<'a, f64>,
    targets: Targets<'a, f64>,
    theta: Vec<f64>,
    buffers: Vec<f64>,
    workspace: Workspace<f64>,
    gradient: Vec<f64>,
    learning_rate: f64,
    /// The parameters after the optimiser's first step.
    stepped: Vec<f64>,
}

impl Whole<'_> {
    /// The numbers of parameter `flat`, whose derivative by the chain rule is `derivative`.
    fn parameter(
        &mut self,
        flat: usize,
        symbol: String,
        name: String,
        derivative: Option<Derivative>,
    ) -> ParameterNumbers {
        let (value, backward) = (self.theta[flat], self.gradient[flat]);
        let slope = derivative.as_ref().map_or(backward, |derivative| derivative.value);
        let updated = value - self.learning_rate * slope;
        let stepped = self.stepped[flat];
        let differs = (stepped - updated).abs() > 1e-12 * value.abs().max(1e-3);
        ParameterNumbers {
            symbol,
            name,
            value,
            derivative,
            backward,
            difference: self.difference(flat),
            updated,
            optimizer: differs.then_some(stepped),
        }
    }

    /// The central difference of the loss by one parameter: the error of a step `h` is of the order `h²`, that of the
    /// rounding `ε/h`, so `h` is about the cube root of `ε`.
    fn difference(&mut self, parameter: usize) -> f64 {
        let start = self.theta[parameter];
        let h = f64::EPSILON.cbrt() * start.abs().max(1.0);
        let mut moved = |step: f64| {
            self.theta[parameter] = start + step;
            let (x, mut ctx) = ([self.x], Ctx::evaluate(&Inline, &self.buffers));
            let total = self.objective.value(&self.theta, &x, self.targets, &mut self.workspace, &mut ctx);
            (self.theta[parameter], total.mean())
        };
        // What was moved is what the sum was rounded to.
        let ((above, high), (below, low)) = (moved(h), moved(-h));
        self.theta[parameter] = start;
        (high - low) / (above - below)
    }
}

pub(super) fn of_sample(
    experiment: &Experiment,
    session: &Session<f64>,
    stages: &[Stage],
    names: &Names,
    index: usize,
) -> Result<SampleNumbers, Failure> {
    let Weights { mut theta, .. } = session.start(experiment)?;
    if experiment.dtype == Dtype::F32 {
        // Those that the training starts from.
        theta.iter_mut().for_each(|value| *value = f64::from(*value as f32));
    }
    let (x, targets) = session.train.batch(index..index + 1);
    let mut whole = whole(experiment, session, x, targets, theta)?;
    let theta = whole.theta.clone();
    let trace = Trace::new(stages, &theta, x.data(), (session.objective.loss(), session.masking), targets);
    let mut chains = Chains::new(stages, names, &trace);

    let mut tensors: Vec<Vec<TensorNumbers>> = vec![Vec::new(); stages.len()];
    let mut at = session.parameters.len();
    let is_shared = |stage: &Stage| {
        !stage.theta.is_empty() && stages.iter().filter(|other| other.theta == stage.theta).count() > 1
    };
    for (number, stage) in stages.iter().enumerate().rev() {
        // Those of a tied layer are written out where they belong.
        let count = if stage.is_tied { 0 } else { stage.layer.parameters().len() };
        let own = at - count..at;
        at -= count;
        let shown = shown_parameters(&session.parameters[own.clone()], &whole.gradient[stage.theta.clone()]);
        let flat: Vec<usize> = shown.iter().flatten().copied().collect();
        let partials = if flat.is_empty() { None } else { trace.partials(number, &flat, None) };
        let all: Vec<usize> = (0..stage.width()).collect();
        if number + 1 < stages.len() {
            let touched =
                |&unit: &usize| partials.iter().any(|rows| rows[unit].iter().any(|partial| partial.depends));
            let units: Vec<usize> = match stage.width() <= MAX_UNITS {
                true => all,
                false => all.into_iter().filter(touched).take(MAX_UNITS).collect(),
            };
            chains.write_out(number, &units);
        }
        let mut columns = 0..0;
        let mut start = stage.theta.start;
        for (tensor, shown) in session.parameters[own].iter().zip(shown) {
            columns = columns.end..columns.end + shown.len();
            let mut parameters = Vec::new();
            for (offset, column) in shown.into_iter().zip(columns.clone()) {
                let flat = stage.theta.start + offset;
                let (symbol, name) = names.parameter(tensor, flat - start, flat);
                let slopes = |rows: &Vec<Vec<_>>| {
                    chains.parameter(number, &symbol, rows.iter().map(|row| row[column]))
                };
                // A parameter that two layers use has a derivative along either; only their sum is the gradient.
                let derivative = partials.as_ref().filter(|_| !is_shared(stage)).map(slopes);
                parameters.push(whole.parameter(flat, symbol, name, derivative));
            }
            let gradient = &whole.gradient[start..start + tensor.shape.len()];
            start += tensor.shape.len();
            tensors[number].push(TensorNumbers {
                name: tensor.name.clone(),
                shape: tensor.shape.axes().to_vec(),
                norm: Vector::new(gradient).norm,
                left_out: tensor.shape.len() - parameters.len(),
                parameters,
            });
        }
    }
    Ok(SampleNumbers {
        index,
        of: session.train.len(),
        x: Vector::new(x.data()),
        targets: (0..session.outputs.len()).map(|output| target(session, targets, output)).collect(),
        y: Vector::new(&trace.y[stages.len() - 1]),
        loss: trace.loss,
        layers: layer_numbers(stages, &trace, &chains),
        tensors: tensors.into_iter().flatten().collect(),
        learning_rate: whole.learning_rate,
    })
}

fn layer_numbers(stages: &[Stage], trace: &Trace<'_>, chains: &Chains<'_>) -> Vec<LayerNumbers> {
    let reads_input = |stage: &Stage| stage.inputs.contains(&Source::Input(0));
    let readers = stages.iter().filter(|stage| reads_input(stage)).count();
    let numbers = |(number, stage): (usize, &Stage)| {
        let units = chains.written(number);
        LayerNumbers {
            name: stage.name.clone(),
            inputs: trace.inputs(stage).iter().map(|input| Vector::new(input.data())).collect(),
            y: Vector::new(&trace.y[number]),
            dy: Vector::new(&trace.dy[number]),
            dx: (readers == 1 && reads_input(stage)).then(|| Vector::new(&trace.dx)),
            left_out: stage.width() - units.len(),
            units,
        }
    };
    stages.iter().enumerate().map(numbers).collect()
}

/// The sample through the network as training runs it: one objective, one gradient.
fn whole<'a>(
    experiment: &Experiment,
    session: &'a Session<f64>,
    x: Rows<'a, f64>,
    targets: Targets<'a, f64>,
    theta: Vec<f64>,
) -> Result<Whole<'a>, Failure> {
    let objective = &session.objective;
    let place = experiment.place(&["model", "layers"]);
    let mut workspace = Workspace::new(objective.network(), 1).map_err(|error| {
        experiment.mistake(crate::diagnostic::Diagnostic::new(error.to_string()).at(place))
    })?;
    let mut gradient = vec![0.0; theta.len()];
    let buffers = objective.start_buffers();
    let mut ctx = Ctx::evaluate(&Inline, &buffers);
    objective.gradient(&theta, &[x], targets, &mut gradient, &mut [None], &mut workspace, &mut ctx);
    let stepped = first_step(experiment, session, &theta, &gradient);
    let learning_rate = experiment.optimizer.learning_rate;
    Ok(Whole { objective, x, targets, theta, buffers, workspace, gradient, learning_rate, stepped })
}

/// The parameters after the optimiser's first step on this sample alone, at the learning rate without its schedule.
fn first_step(experiment: &Experiment, session: &Session<f64>, theta: &[f64], gradient: &[f64]) -> Vec<f64> {
    let mut theta = theta.to_vec();
    let mut memory = Memory::new(session.optimizer.as_ref(), theta.len());
    let (common, parameters) = (&experiment.optimizer, &session.parameters);
    let groups = groups(parameters, common.weight_decay_on.into(), &experiment.tunings);
    let mut gradient = gradient.to_vec();
    common.clip().apply(&groups, &mut gradient);
    l1(common.l1, &groups, &theta, &mut gradient);
    let step = (1, common.learning_rate);
    update(&Inline, session.optimizer.as_ref(), &groups, step, (&mut theta, &mut gradient), &mut memory);
    if let Some(limit) = common.max_norm {
        MaxNorm::new(limit, parameters).apply(&mut theta);
    }
    theta
}

/// For each tensor of a layer the parameters to write out, by their place in the layer.
fn shown_parameters(tensors: &[Parameter], gradient: &[f64]) -> Vec<Vec<usize>> {
    let mut start = 0;
    let shown = tensors.iter().map(|tensor| {
        let mut own: Vec<usize> = (start..start + tensor.shape.len()).collect();
        start += tensor.shape.len();
        if gradient.len() > MAX_PARAMETERS {
            own.sort_by(|&a, &b| gradient[b].abs().total_cmp(&gradient[a].abs()));
            own.truncate(PER_TENSOR);
            own.sort_unstable();
        }
        own
    });
    shown.collect()
}

fn target(session: &Session<f64>, targets: Targets<'_, f64>, output: usize) -> Target {
    match targets.output(output) {
        Targets::Values(values) => Target::Values(Vector::new(values.data())),
        Targets::Classes(classes) => {
            let indices: Vec<u32> = classes.iter().copied().take(MAX_NUMBERS).collect();
            let names = session.preprocessing.class_names(output).unwrap_or_default();
            let labels = indices.iter().filter_map(|&index| names.get(index as usize).cloned()).collect();
            Target::Classes { indices, labels }
        }
        Targets::Several { .. } => unreachable!("the targets of one output"),
    }
}
