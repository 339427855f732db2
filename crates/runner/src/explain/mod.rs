//! `explain`: the chain rule of a network, in formulas and in the numbers of one sample.
//!
//! The formulas are what every layer, activation and loss says of itself ([`Layer::derivation`]). The numbers come
//! from the same layers' forward, backward and accumulate, one layer and one output at a time (`trace`), and are put
//! together again by the chain rule (`product`): so a product of printed factors meets the number of the backward
//! pass over the whole network on another way, and central differences on a third. Everything is computed in f64 and
//! kept in plain structs, which [`render`] and serde turn into text.

mod names;
mod numbers;
mod product;
mod render;
mod trace;

use std::ops::Range;

use chainrule_core::layers::Source;
use chainrule_core::{Ctx, Derivation, Inline, Layer, Rows, Rule, Shape, initial_buffers, parameter_count};
use serde::Serialize;

pub use numbers::{LayerNumbers, ParameterNumbers, SampleNumbers, Target, TensorNumbers, Vector};
pub use product::{Derivative, Factor, Rest, Term};
pub use render::render;

use crate::error::Failure;
use crate::experiment::Experiment;
use crate::model::{BUNDLE, Head, INPUT};
use crate::registry::{Outputs, Registry};
use crate::session::Session;
use names::Names;

/// Everything that `explain` says.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The experiment's name.
    pub name: String,
    /// How many parameters the network has.
    pub parameters: usize,
    /// The shape of one sample.
    pub input: Vec<usize>,
    /// The layers in the order in which they run.
    pub layers: Vec<LayerFormulas>,
    /// The loss of each output.
    pub losses: Vec<LossFormulas>,
    /// The numbers of a sample, if one was named.
    pub sample: Option<SampleNumbers>,
}

/// The formulas of one layer of the network.
#[derive(Clone, Debug, Serialize)]
pub struct LayerFormulas {
    /// Its name.
    pub name: String,
    /// Its type and activation.
    pub kind: String,
    /// What it reads.
    pub reads: Vec<String>,
    /// What reads it; the loss, if nothing else.
    pub read_by: Vec<String>,
    /// The names of its outputs, where they have short ones.
    pub outputs: Option<String>,
    /// What it says of itself.
    pub equations: Equations,
}

/// A [`Derivation`], every gradient with its shape.
#[derive(Clone, Debug, Serialize)]
pub struct Equations {
    /// The letters and their shapes.
    pub symbols: Vec<(&'static str, Vec<usize>)>,
    /// From inputs to output.
    pub forward: Vec<String>,
    /// Partial derivatives of the steps.
    pub local: Vec<String>,
    /// Gradients of what lies between.
    pub between: Vec<String>,
    /// The gradients of the inputs.
    pub inputs: Vec<(String, Vec<usize>)>,
    /// The gradients of the parameters.
    pub parameters: Vec<(String, Vec<usize>)>,
    /// Those of the layers that a composite is made of.
    pub parts: Vec<(String, Self)>,
}

/// The formulas of the loss.
#[derive(Clone, Debug, Serialize)]
pub struct LossFormulas {
    /// The output that it judges, if there are several.
    pub output: Option<String>,
    /// How much it counts.
    pub weight: f64,
    /// `type`.
    pub kind: String,
    /// The loss and its term.
    pub function: String,
    /// The derivative of a term.
    pub derivative: String,
    /// What goes into the network's last layer.
    pub gradient: String,
    /// What `y` is, where that is not simply the prediction.
    pub note: Option<String>,
}

/// A layer of the network with its wiring.
#[derive(Debug)]
struct Stage {
    name: String,
    layer: Box<dyn Layer<f64>>,
    inputs: Vec<Source>,
    /// Its part of the parameters.
    theta: Range<usize>,
    /// Whether they are those of another layer.
    is_tied: bool,
    /// Its buffers before training.
    buffers: Vec<f64>,
}

impl Stage {
    /// One sample alone is explained as the network predicts: its statistics would be its own numbers.
    fn context<'a>(&'a self, mask: Option<Rows<'a, f64>>) -> Ctx<'a, f64> {
        Ctx { mask, ..Ctx::evaluate(&Inline, &self.buffers) }
    }

    fn width(&self) -> usize {
        self.layer.output_shape().len()
    }
}

/// Explains an experiment; with the numbers of training sample `sample`, at the start weights.
///
/// # Errors
/// As `check`'s; [`Failure::Usage`] if there is no such sample.
pub fn explain(
    experiment: &Experiment,
    registry: &Registry,
    sample: Option<usize>,
) -> Result<Explanation, Failure> {
    let session = Session::<f64>::new(experiment, registry, None)?;
    if let Some(index) = sample.filter(|&index| index >= session.train.len()) {
        let count = session.train.len();
        return Err(Failure::Usage {
            message: format!("--sample {index}: there is no such sample"),
            help: format!("the experiment has {count} training samples, numbered 0 to {}", count - 1),
        });
    }
    let stages = stages(experiment, registry, &session)?;
    let names = Names::new(&stages, &session.parameters);
    let numbers = |index| numbers::of_sample(experiment, &session, &stages, &names, index);
    Ok(Explanation {
        name: experiment.name.clone(),
        parameters: session.parameter_count,
        input: session.input_shape.axes().to_vec(),
        layers: layer_formulas(experiment, registry, &session, &stages, &names)?,
        losses: loss_formulas(experiment, registry, &session)?,
        sample: sample.map(numbers).transpose()?,
    })
}

fn stages(
    experiment: &Experiment,
    registry: &Registry,
    session: &Session<f64>,
) -> Result<Vec<Stage>, Failure> {
    let nodes = experiment
        .model
        .stages::<f64>(registry, &session.input_shape, &session.heads)
        .map_err(|mistakes| experiment.mistake(mistakes))?;
    let mut start = 0;
    let mut stages: Vec<Stage> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let count = parameter_count(&node.layer.parameters()).unwrap_or_default();
        let is_tied = node.tied.is_some();
        let theta = node.tied.map_or(start..start + count, |other| stages[other].theta.clone());
        start = start.max(theta.end);
        let buffers = initial_buffers(&node.layer.buffers());
        stages.push(Stage {
            name: node.name,
            layer: node.layer,
            inputs: node.inputs,
            theta,
            is_tied,
            buffers,
        });
    }
    Ok(stages)
}

fn layer_formulas(
    experiment: &Experiment,
    registry: &Registry,
    session: &Session<f64>,
    stages: &[Stage],
    names: &Names,
) -> Result<Vec<LayerFormulas>, Failure> {
    let summary = experiment
        .model
        .summary::<f64>(registry, &session.input_shape)
        .map_err(|mistakes| experiment.mistake(mistakes))?;
    let fused: Vec<&str> = experiment
        .model
        .output_names()
        .zip(&session.heads)
        .filter(|(_, head)| **head == Head::Fused)
        .map(|(name, _)| name)
        .collect();
    let kind = |stage: &Stage| {
        let Some(layer) = summary.iter().find(|layer| layer.name == stage.name) else {
            // Names of layers have no points: this is the activation of the layer before the point.
            let layer = summary.iter().find(|layer| stage.name.starts_with(&format!("{}.", layer.name)));
            let of_layer = layer.and_then(|layer| layer.activation.clone());
            return of_layer.unwrap_or_else(|| match stage.name.as_str() {
                BUNDLE => "all outputs".into(),
                _ => "a part of the input".into(),
            });
        };
        let apart = stages.iter().any(|other| other.name.starts_with(&format!("{}.", layer.name)));
        let fused = fused.contains(&stage.name.as_str());
        match &layer.activation {
            Some(activation) if !apart && !fused => format!("{}, {activation}", layer.type_name),
            _ => layer.type_name.clone(),
        }
    };
    let reads = |source: &Source| match *source {
        Source::Input(_) => INPUT.to_owned(),
        Source::Node(node) => stages[node].name.clone(),
    };
    let formulas = |(index, stage): (usize, &Stage)| {
        let readers = stages.iter().filter(|reader| reader.inputs.contains(&Source::Node(index)));
        let mut read_by: Vec<String> = readers.map(|reader| reader.name.clone()).collect();
        if read_by.is_empty() {
            read_by.push("the loss".into());
        }
        LayerFormulas {
            name: stage.name.clone(),
            kind: kind(stage),
            reads: stage.inputs.iter().map(reads).collect(),
            read_by,
            outputs: names.units_of(index),
            equations: equations(stage.layer.derivation(), &shapes_of(stage.layer.as_ref())),
        }
    };
    Ok(stages.iter().enumerate().map(formulas).collect())
}

/// The shapes of a layer's inputs and of its tensors.
fn shapes_of(layer: &dyn Layer<f64>) -> (Vec<Shape>, Vec<Shape>) {
    let tensors = layer.parameters().into_iter().map(|tensor| tensor.shape).collect();
    (layer.input_shapes(), tensors)
}

fn equations(derivation: Derivation, (inputs, tensors): &(Vec<Shape>, Vec<Shape>)) -> Equations {
    let shaped = |equations: Vec<String>, shapes: &[Shape]| {
        let axes = shapes.iter().map(|shape| shape.axes().to_vec()).chain(std::iter::repeat(Vec::new()));
        equations.into_iter().zip(axes).collect()
    };
    let symbol = |symbol: chainrule_core::Symbol| (symbol.name, symbol.shape.axes().to_vec());
    // The shapes of a part's gradients stand with its symbols.
    let part = |(name, part): (String, Derivation)| (name, equations(part, &(Vec::new(), Vec::new())));
    Equations {
        symbols: derivation.symbols.into_iter().map(symbol).collect(),
        forward: derivation.forward,
        local: derivation.local,
        between: derivation.between,
        inputs: shaped(derivation.inputs, inputs),
        parameters: shaped(derivation.parameters, tensors),
        parts: derivation.parts.into_iter().map(part).collect(),
    }
}

fn loss_formulas(
    experiment: &Experiment,
    registry: &Registry,
    session: &Session<f64>,
) -> Result<Vec<LossFormulas>, Failure> {
    let mut formulas = Vec::with_capacity(experiment.goals.len());
    for (index, (goal, output)) in experiment.goals.iter().zip(session.objective.loss().outputs()).enumerate()
    {
        let (entry, _) = experiment.loss(registry, goal)?;
        let Rule { function, derivative, gradient, .. } = output.loss.rule();
        let activation = experiment.model.head(index).map(|(activation, _)| activation);
        let layer = if goal.name.is_empty() { "the last layer" } else { goal.name.as_str() };
        let note = match (session.heads[index], session.outputs[index], activation) {
            (Head::Fused, _, Some(activation)) => Some(format!(
                "y is the argument of {layer}'s {activation}: the loss and the {activation} are computed as one"
            )),
            (_, Outputs::ClassLogits, _) => {
                Some("y are scores (logits): the loss applies the softmax itself".into())
            }
            (_, Outputs::BinaryLogits, _) => Some("y is a logit: the loss applies the sigmoid itself".into()),
            _ => None,
        };
        formulas.push(LossFormulas {
            output: (!goal.name.is_empty()).then(|| goal.name.clone()),
            weight: goal.weight,
            kind: entry.name.to_owned(),
            function,
            derivative,
            gradient,
            note,
        });
    }
    Ok(formulas)
}

#[cfg(test)]
mod tests {
    use chainrule_core::Activation;

    use super::*;
    use crate::gradcheck::{keys, layer_keys};
    use crate::model::build_alone;
    use crate::registry::Number;

    fn vector(len: usize) -> Shape {
        Shape::vector(len).unwrap()
    }

    fn assert_says(rule: &Rule, name: &str) {
        for equation in [&rule.function, &rule.derivative, &rule.gradient] {
            assert!(equation.contains(['=', ',']) && equation.trim() == equation, "{name}: {equation:?}");
        }
    }

    #[test]
    fn every_registered_layer_has_an_equation_for_everything_that_it_differentiates() {
        let registry = Registry::standard();
        for entry in registry.layers() {
            for example in (entry.build.examples)() {
                let keys = layer_keys(&registry, entry, example.keys).unwrap();
                let shapes: Vec<Shape> =
                    example.inputs.iter().map(|axes| Shape::new(axes.clone()).unwrap()).collect();
                let layer = build_alone::<f64>(&registry, entry, &keys, &shapes).unwrap();
                let Derivation { symbols, forward, local, inputs, parameters, .. } = layer.derivation();
                assert!(!symbols.is_empty() && !forward.is_empty() && !local.is_empty(), "{}", entry.name);
                assert_eq!(inputs.len(), layer.input_shapes().len(), "{}", entry.name);
                assert_eq!(parameters.len(), layer.parameters().len(), "{}", entry.name);
            }
        }
    }

    #[test]
    fn every_registered_activation_and_loss_says_what_it_computes() {
        let registry = Registry::standard();
        for entry in registry.activations() {
            for text in (entry.build.examples)() {
                let keys = keys(&entry.schema, text).unwrap();
                let activation: Box<dyn Activation<f64>> = f64::activation(entry, &keys, &vector(3)).unwrap();
                let rule = activation.rule("z");
                assert_says(&rule, entry.name);
                assert!(rule.function.contains('z') && rule.gradient.starts_with("dz"), "{}", entry.name);
            }
        }
        for entry in registry.losses() {
            for example in (entry.build.examples)() {
                let keys = keys(&entry.schema, example.keys).unwrap();
                let loss = f64::loss(entry, &keys, None, &vector(3)).unwrap().unwrap();
                assert_says(&loss.rule(), entry.name);
            }
        }
    }
}
