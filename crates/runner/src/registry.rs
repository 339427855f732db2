//! The types that an experiment file may name, and how each is built.
//!
//! A registry is a value that is handed on, not a global: [`Registry::standard`] has the built-in types, and a program of
//! a user's adds its own. A type is registered by its *spec*, a plain struct that serde reads and schemars describes;
//! the file format is a promise of this crate, so the layers in core know nothing of it.

use std::fmt;

use chainrule_core::activation::Linear;
use chainrule_core::layers::Node as GraphNode;
use chainrule_core::{Activation, Error, Float, Layer, Loss, Shape};
use chainrule_trainer::metrics::Task;
use chainrule_trainer::{Averaging, Optimizer, Schedule};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::diagnostic::Diagnostics;
use crate::document::{self, Node};
use crate::schema::schema_of;
use crate::{data, spec};

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

/// A registered type: its name, the schema of its keys, and how it is built in either precision.
#[derive(Clone, Debug)]
pub struct Entry<B> {
    /// The name in `type = "..."`.
    pub name: &'static str,
    /// The JSON Schema of its keys.
    pub schema: Json,
    pub(crate) build: B,
}

/// The builders of a layer.
#[derive(Clone, Copy, Debug)]
pub struct BuildLayer {
    f32: fn(&Node, &mut LayerContext<'_, f32>) -> Built<dyn Layer<f32>>,
    f64: fn(&Node, &mut LayerContext<'_, f64>) -> Built<dyn Layer<f64>>,
    pub(crate) examples: fn() -> Vec<LayerExample>,
    pub(crate) inner_activation: Option<&'static str>,
}

/// The builders of an activation.
#[derive(Clone, Copy, Debug)]
pub struct BuildActivation {
    f32: fn(&Node, &Shape) -> Built<dyn Activation<f32>>,
    f64: fn(&Node, &Shape) -> Built<dyn Activation<f64>>,
    pub(crate) examples: fn() -> Vec<&'static str>,
}

/// Builds a loss; fused with the activation of this name, if it can.
type LossBuilder<F> = fn(&Node, Option<&str>, &Shape) -> Result<Option<Box<dyn Loss<F>>>, BuildError>;

/// The builders of a loss.
#[derive(Clone, Copy, Debug)]
pub struct BuildLoss {
    f32: LossBuilder<f32>,
    f64: LossBuilder<f64>,
    pub(crate) outputs: fn(&Node) -> Result<Outputs, BuildError>,
    pub(crate) task: fn(&Node) -> Result<Task, BuildError>,
    pub(crate) examples: fn() -> Vec<LossExample>,
}

/// The builders of an optimiser.
#[derive(Clone, Copy, Debug)]
pub struct BuildOptimizer {
    f32: fn(&Node) -> Built<dyn Optimizer<f32>>,
    f64: fn(&Node) -> Built<dyn Optimizer<f64>>,
}

/// The builder of a schedule.
pub(crate) type BuildSchedule = fn(&Node, &RunLength) -> Built<dyn Schedule>;

/// The builder of an average of the parameters.
pub(crate) type BuildAveraging = fn(&Node) -> Result<Averaging, BuildError>;

/// The reader of a kind of data.
pub(crate) type ReadData = fn(&Node, &data::Context) -> Result<data::Raw, data::DataError>;

/// The number type of an experiment: picks the builders of its precision. Sealed by [`Float`].
pub trait Number: Float {
    /// Builds a registered layer.
    ///
    /// # Errors
    /// As [`LayerSpec::build`].
    fn layer(
        entry: &Entry<BuildLayer>,
        node: &Node,
        context: &mut LayerContext<'_, Self>,
    ) -> Built<dyn Layer<Self>>;

    /// Builds a registered activation.
    ///
    /// # Errors
    /// [`BuildError::Read`] if the node was not checked against the schema.
    fn activation(entry: &Entry<BuildActivation>, node: &Node, output: &Shape)
    -> Built<dyn Activation<Self>>;

    /// Builds a registered loss; fused with a final activation, if one is given and the loss can.
    ///
    /// # Errors
    /// [`BuildError::Read`] if the node was not checked against the schema.
    fn loss(
        entry: &Entry<BuildLoss>,
        node: &Node,
        fused: Option<&str>,
        output: &Shape,
    ) -> Result<Option<Box<dyn Loss<Self>>>, BuildError>;

    /// Builds a registered optimiser.
    ///
    /// # Errors
    /// As [`OptimizerSpec::build`].
    fn optimizer(entry: &Entry<BuildOptimizer>, node: &Node) -> Built<dyn Optimizer<Self>>;
}

macro_rules! impl_number {
    ($type:ident) => {
        impl Number for $type {
            fn layer(
                entry: &Entry<BuildLayer>,
                node: &Node,
                context: &mut LayerContext<'_, Self>,
            ) -> Built<dyn Layer<Self>> {
                (entry.build.$type)(node, context)
            }

            fn activation(
                entry: &Entry<BuildActivation>,
                node: &Node,
                output: &Shape,
            ) -> Built<dyn Activation<Self>> {
                (entry.build.$type)(node, output)
            }

            fn loss(
                entry: &Entry<BuildLoss>,
                node: &Node,
                fused: Option<&str>,
                output: &Shape,
            ) -> Result<Option<Box<dyn Loss<Self>>>, BuildError> {
                (entry.build.$type)(node, fused, output)
            }

            fn optimizer(entry: &Entry<BuildOptimizer>, node: &Node) -> Built<dyn Optimizer<Self>> {
                (entry.build.$type)(node)
            }
        }
    };
}

impl_number!(f32);
impl_number!(f64);

fn build_layer<S: LayerSpec, F: Float>(
    node: &Node,
    context: &mut LayerContext<'_, F>,
) -> Built<dyn Layer<F>> {
    document::deserialize::<S>(node)?.build(context)
}

fn build_activation<S: ActivationSpec, F: Float>(node: &Node, output: &Shape) -> Built<dyn Activation<F>> {
    Ok(document::deserialize::<S>(node)?.build(output))
}

fn build_loss<S: LossSpec, F: Float>(
    node: &Node,
    fused: Option<&str>,
    output: &Shape,
) -> Result<Option<Box<dyn Loss<F>>>, BuildError> {
    let spec = document::deserialize::<S>(node)?;
    Ok(match fused {
        Some(activation) => spec.build_fused(activation, output),
        None => Some(spec.build(output)),
    })
}

fn build_optimizer<S: OptimizerSpec, F: Float>(node: &Node) -> Built<dyn Optimizer<F>> {
    document::deserialize::<S>(node)?.build()
}

/// All types that experiment files may name, by kind, in the order in which they were registered.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    layers: Vec<Entry<BuildLayer>>,
    activations: Vec<Entry<BuildActivation>>,
    losses: Vec<Entry<BuildLoss>>,
    optimizers: Vec<Entry<BuildOptimizer>>,
    schedules: Vec<Entry<BuildSchedule>>,
    averagings: Vec<Entry<BuildAveraging>>,
    data: Vec<Entry<ReadData>>,
}

/// Two types of one kind with one name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {kind} `{name}` is registered twice")]
pub struct Taken {
    /// The kind of type.
    pub kind: &'static str,
    /// The name.
    pub name: &'static str,
}

fn add<S: Spec, B>(kind: &'static str, entries: &mut Vec<Entry<B>>, build: B) -> Result<(), Taken> {
    if entries.iter().any(|entry| entry.name == S::TYPE) {
        return Err(Taken { kind, name: S::TYPE });
    }
    entries.push(Entry { name: S::TYPE, schema: schema_of::<S>(), build });
    Ok(())
}

impl Registry {
    /// The built-in types.
    pub fn standard() -> Self {
        let mut registry = Self::default();
        spec::register(&mut registry).expect("no built-in name is given twice: a test runs this line");
        registry
    }

    /// Adds a layer.
    ///
    /// # Errors
    /// [`Taken`] if there is one of its name.
    pub fn layer<S: LayerSpec>(&mut self) -> Result<(), Taken> {
        let build = BuildLayer {
            f32: build_layer::<S, f32>,
            f64: build_layer::<S, f64>,
            examples: S::examples,
            inner_activation: S::INNER_ACTIVATION,
        };
        add::<S, _>("layer", &mut self.layers, build)
    }

    /// Adds an activation.
    ///
    /// # Errors
    /// [`Taken`] if there is one of its name.
    pub fn activation<S: ActivationSpec>(&mut self) -> Result<(), Taken> {
        let build = BuildActivation {
            f32: build_activation::<S, f32>,
            f64: build_activation::<S, f64>,
            examples: S::examples,
        };
        add::<S, _>("activation", &mut self.activations, build)
    }

    /// Adds a loss.
    ///
    /// # Errors
    /// [`Taken`] if there is one of its name.
    pub fn loss<S: LossSpec>(&mut self) -> Result<(), Taken> {
        let outputs = |node: &Node| Ok(document::deserialize::<S>(node)?.outputs());
        let task = |node: &Node| Ok(document::deserialize::<S>(node)?.task());
        let build = BuildLoss {
            f32: build_loss::<S, f32>,
            f64: build_loss::<S, f64>,
            outputs,
            task,
            examples: S::examples,
        };
        add::<S, _>("loss", &mut self.losses, build)
    }

    /// Adds an optimiser.
    ///
    /// # Errors
    /// [`Taken`] if there is one of its name.
    pub fn optimizer<S: OptimizerSpec>(&mut self) -> Result<(), Taken> {
        let build = BuildOptimizer { f32: build_optimizer::<S, f32>, f64: build_optimizer::<S, f64> };
        add::<S, _>("optimizer", &mut self.optimizers, build)
    }

    /// Adds a schedule of the learning rate.
    ///
    /// # Errors
    /// [`Taken`] if there is one of its name.
    pub fn schedule<S: ScheduleSpec>(&mut self) -> Result<(), Taken> {
        let build: BuildSchedule = |node, run| document::deserialize::<S>(node)?.build(run);
        add::<S, _>("schedule", &mut self.schedules, build)
    }

    /// Adds an average of the parameters.
    pub(crate) fn averaging<S: Spec>(&mut self, build: BuildAveraging) -> Result<(), Taken> {
        add::<S, _>("weight averaging", &mut self.averagings, build)
    }

    /// Adds a kind of data.
    pub(crate) fn data<S: Spec>(&mut self, read: ReadData) -> Result<(), Taken> {
        add::<S, _>("data type", &mut self.data, read)
    }

    /// The layers.
    pub fn layers(&self) -> &[Entry<BuildLayer>] {
        &self.layers
    }

    /// The activations.
    pub fn activations(&self) -> &[Entry<BuildActivation>] {
        &self.activations
    }

    /// The losses.
    pub fn losses(&self) -> &[Entry<BuildLoss>] {
        &self.losses
    }

    /// The optimisers.
    pub fn optimizers(&self) -> &[Entry<BuildOptimizer>] {
        &self.optimizers
    }

    /// The schedules of the learning rate.
    pub(crate) fn schedules(&self) -> &[Entry<BuildSchedule>] {
        &self.schedules
    }

    /// The averages of the parameters.
    pub(crate) fn averagings(&self) -> &[Entry<BuildAveraging>] {
        &self.averagings
    }

    /// The kinds of data.
    pub(crate) fn data_types(&self) -> &[Entry<ReadData>] {
        &self.data
    }
}

/// The entry of a name.
pub(crate) fn find<'a, B>(entries: &'a [Entry<B>], name: &str) -> Option<&'a Entry<B>> {
    entries.iter().find(|entry| entry.name == name)
}
