//! What a type of the experiment file is to its registry: its keys, what it is built from, what it is checked on.

use std::fmt;

use chainrule_core::activation::Linear;
use chainrule_core::layers::Node as GraphNode;
use chainrule_core::{Activation, Error, Float, Layer, Loss, Shape};
use chainrule_trainer::metrics::Task;
use chainrule_trainer::{Optimizer, Schedule};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostics;
use crate::document;

/// The keys of one type of the experiment file: a struct with `deny_unknown_fields`, whose fields' documentation,
/// defaults and ranges appear in the schema.
pub trait Spec: DeserializeOwned + JsonSchema + 'static {
    /// The name in `type = "..."`.
    const TYPE: &'static str;
}

/// A layer as the file describes it.
pub trait LayerSpec: Spec {
    /// What `activation` is applied to, as the schema says it, if that is not the layer's output but something within.
    const INNER_ACTIVATION: Option<&'static str> = None;

    /// What the layer's gradients are checked on: at least one example.
    fn examples() -> Vec<LayerExample>;

    /// Builds the layer for inputs of the shapes in `context`. A layer that fuses an activation into its own loop takes
    /// it by [`LayerContext::activation`]; otherwise it is applied to its output.
    ///
    /// # Errors
    /// Whatever is wrong with these keys for these inputs.
    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Built<dyn Layer<F>>;
}

/// An activation as the file describes it.
pub trait ActivationSpec: Spec {
    /// Keys, as TOML, that its gradients are checked with; none, if there is nothing to set.
    fn examples() -> Vec<&'static str> {
        vec![""]
    }

    /// Builds the activation of outputs of the given shape.
    fn build<F: Float>(&self, output: &Shape) -> Box<dyn Activation<F>>;
}

/// A loss as the file describes it.
pub trait LossSpec: Spec {
    /// Keys, as TOML, that its gradients are checked with, and the numbers that it is defined for with them.
    fn examples() -> Vec<LossExample>;

    /// What the loss expects outputs to be.
    const OUTPUTS: Outputs = Outputs::Values;

    /// What the outputs of this network are, if the keys of the loss decide it.
    fn outputs(&self) -> Outputs {
        Self::OUTPUTS
    }

    /// What the outputs say, for the metrics and for splits that give each class its share.
    fn task(&self) -> Task {
        match self.outputs() {
            Outputs::Values => Task::Numbers,
            Outputs::ClassLogits => Task::Classes,
            Outputs::BinaryLogits => Task::Binary { threshold: 0.5 },
        }
    }

    /// Builds the loss of outputs of the given shape.
    fn build<F: Float>(&self, output: &Shape) -> Box<dyn Loss<F>>;

    /// The same loss of the argument of a final `activation`, where the two are better computed as one.
    fn build_fused<F: Float>(&self, _activation: &str, _output: &Shape) -> Option<Box<dyn Loss<F>>> {
        None
    }
}

/// Keys of a layer and shapes of its inputs, to check its gradients on.
#[derive(Clone, Debug)]
pub struct LayerExample {
    /// The keys as TOML, such as `units = 3`.
    pub keys: &'static str,
    /// The axes of each input.
    pub inputs: Vec<Vec<usize>>,
    /// Tensors whose gradient is zero whatever the numbers, each with the reason.
    pub zeros: Vec<(&'static str, &'static str)>,
}

impl LayerExample {
    /// Keys for inputs of these shapes.
    pub fn new(keys: &'static str, inputs: &[&[usize]]) -> Self {
        Self { keys, inputs: inputs.iter().map(|axes| axes.to_vec()).collect(), zeros: Vec::new() }
    }

    /// The same, with a tensor whose gradient is always zero, and why.
    pub fn with_zero(mut self, tensor: &'static str, reason: &'static str) -> Self {
        self.zeros.push((tensor, reason));
        self
    }
}

/// Keys of a loss and the numbers that it is defined for, to check its gradients on.
#[derive(Clone, Copy, Debug)]
pub struct LossExample {
    /// The keys as TOML.
    pub keys: &'static str,
    /// The open interval of outputs.
    pub outputs: (f64, f64),
    /// What the outputs are compared with.
    pub targets: TargetDomain,
}

/// The numbers that a loss takes as targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetDomain {
    /// Any numbers.
    Real,
    /// Numbers between 0 and 1.
    Unit,
    /// -1 and +1.
    Signs,
    /// Probabilities that add up to 1.
    Distribution,
    /// Class indices.
    Classes,
}

/// What a loss takes the outputs of a network for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outputs {
    /// The predictions themselves.
    Values,
    /// Scores of classes; softmax makes them probabilities.
    ClassLogits,
    /// Scores of yes against no; sigmoid makes them probabilities.
    BinaryLogits,
}

/// An optimiser as the file describes it.
pub trait OptimizerSpec: Spec {
    /// Builds the optimiser.
    ///
    /// # Errors
    /// If the keys contradict each other.
    fn build<F: Float>(&self) -> Built<dyn Optimizer<F>>;
}

/// A schedule of the learning rate as the file describes it. Warm-up is common to all and put before it.
pub trait ScheduleSpec: Spec {
    /// Builds the schedule for a run of this length.
    ///
    /// # Errors
    /// If a length is missing or given twice, or the keys contradict each other otherwise.
    fn build(&self, run: &RunLength) -> Built<dyn Schedule>;
}

/// What a schedule has to know of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunLength {
    /// `[optimizer] learning_rate`.
    pub learning_rate: f64,
    /// Steps of the optimiser an epoch.
    pub steps_per_epoch: u64,
    /// Steps of the warm-up, after which the schedule starts.
    pub warmup: u64,
    /// Steps from the end of the warm-up to the end of the run.
    pub steps: u64,
}

impl RunLength {
    /// So many epochs in steps, to the nearest.
    pub fn of_epochs(&self, epochs: f64) -> u64 {
        // A cast to an integer ends at its limits.
        (epochs * self.steps_per_epoch as f64).round() as u64
    }

    /// A length that is given by one of two keys, or by none.
    ///
    /// # Errors
    /// [`BuildError::Key`] if it is given by both.
    pub fn length(
        &self,
        steps: (&'static str, Option<u64>),
        epochs: (&'static str, Option<f64>),
    ) -> Result<Option<u64>, BuildError> {
        match (steps.1, epochs.1) {
            (Some(_), Some(_)) => Err(twice(steps.0, epochs.0)),
            (Some(steps), None) => Ok(Some(steps)),
            (None, Some(epochs)) => Ok(Some(self.of_epochs(epochs).max(1))),
            (None, None) => Ok(None),
        }
    }

    /// What is left of the run after the warm-up: the length of a schedule that is given none.
    ///
    /// # Errors
    /// [`BuildError::Key`] if the warm-up leaves nothing.
    pub fn rest(&self) -> Result<u64, BuildError> {
        let message = "the warm-up takes the whole run and leaves nothing for what follows it".to_owned();
        (self.steps > 0).then_some(self.steps).ok_or(BuildError::Key { key: "type", message })
    }
}

/// One length by two keys.
pub(crate) fn twice(steps: &'static str, epochs: &'static str) -> BuildError {
    let message = format!("`{steps}` and `{epochs}` say the same thing; only one of them can be given");
    BuildError::Key { key: epochs, message }
}

/// Why a type cannot be built from its keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The shapes do not fit.
    #[error(transparent)]
    Shape(#[from] Error),
    /// A key has a value that the others do not allow.
    #[error("{message}")]
    Key {
        /// Which key.
        key: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// Layers within the layer have mistakes of their own.
    #[error("{}", .0.iter().next().map_or("", |first| &first.message))]
    Inside(Diagnostics),
    /// The schema let a tree pass that the struct does not read: a bug of the type's schema.
    #[error("{0}")]
    Read(#[from] document::ReadValueError),
}

/// How an activation is built, once the shape of the output is known.
type ActivationBuilder<'a, F> = dyn Fn(&Shape) -> Built<dyn Activation<F>> + 'a;

/// How the layers within a layer are built, once the shape of what the first of them reads is known.
type LayersBuilder<'a, F> = dyn Fn(&Shape) -> Result<Vec<GraphNode<F>>, BuildError> + 'a;

/// What a builder gives.
pub type Built<T> = Result<Box<T>, BuildError>;

/// What a layer is built from beside its own keys.
pub struct LayerContext<'a, F> {
    inputs: &'a [Shape],
    activation: Option<&'a ActivationBuilder<'a, F>>,
    layers: Option<&'a LayersBuilder<'a, F>>,
}

impl<F> fmt::Debug for LayerContext<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerContext").field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

impl<'a, F: Float> LayerContext<'a, F> {
    /// A context of inputs of the given shapes and, where the layer has one, its activation.
    pub(crate) fn new(inputs: &'a [Shape], activation: Option<&'a ActivationBuilder<'a, F>>) -> Self {
        Self { inputs, activation, layers: None }
    }

    /// The same for a layer that has layers within.
    pub(crate) fn with_layers(self, layers: Option<&'a LayersBuilder<'a, F>>) -> Self {
        Self { layers, ..self }
    }

    /// The shapes of one sample of each input.
    pub fn inputs(&self) -> &'a [Shape] {
        self.inputs
    }

    /// The only input.
    ///
    /// # Errors
    /// [`Error::InputCount`] if there are several.
    pub fn input(&self, layer: &'static str) -> Result<&'a Shape, BuildError> {
        match self.inputs {
            [input] => Ok(input),
            _ => Err(Error::InputCount { layer, expected: "one input", found: self.inputs.len() }.into()),
        }
    }

    /// Takes the activation for an output of the given shape, to fuse it; the identity if the layer has none.
    ///
    /// # Errors
    /// As the activation's.
    pub fn activation(&mut self, output: &Shape) -> Built<dyn Activation<F>> {
        Ok(self.remaining(output)?.unwrap_or_else(|| Box::new(Linear)))
    }

    /// The layers of the key `layers`, a [`LayerList`](crate::spec::LayerList), as nodes of a graph whose only input has
    /// the given shape; the last is the output.
    ///
    /// # Errors
    /// Whatever is wrong with them.
    pub fn layers(&self, input: &Shape) -> Result<Vec<GraphNode<F>>, BuildError> {
        match self.layers {
            Some(build) => build(input),
            None => Err(BuildError::Key { key: "layers", message: "a list of layers is needed".into() }),
        }
    }

    /// The activation that the layer has not taken; none, if the file gives none.
    pub(crate) fn remaining(&mut self, output: &Shape) -> Result<Option<Box<dyn Activation<F>>>, BuildError> {
        self.activation.take().map(|build| build(output)).transpose()
    }
}
