//! How a registered type is built, in either precision.

use chainrule_core::{Activation, Float, Layer, Loss, Shape};
use chainrule_trainer::metrics::Task;
use chainrule_trainer::{Averaging, Optimizer, Schedule};
use serde_json::Value as Json;

use super::{
    ActivationSpec, BuildError, Built, LayerContext, LayerExample, LayerSpec, LossExample, LossSpec,
    OptimizerSpec, Outputs, RunLength,
};
use crate::data;
use crate::document::{self, Node};

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
    pub(super) f32: fn(&Node, &mut LayerContext<'_, f32>) -> Built<dyn Layer<f32>>,
    pub(super) f64: fn(&Node, &mut LayerContext<'_, f64>) -> Built<dyn Layer<f64>>,
    pub(crate) examples: fn() -> Vec<LayerExample>,
    pub(crate) inner_activation: Option<&'static str>,
}

/// The builders of an activation.
#[derive(Clone, Copy, Debug)]
pub struct BuildActivation {
    pub(super) f32: fn(&Node, &Shape) -> Built<dyn Activation<f32>>,
    pub(super) f64: fn(&Node, &Shape) -> Built<dyn Activation<f64>>,
    pub(crate) examples: fn() -> Vec<&'static str>,
}

/// Builds a loss; fused with the activation of this name, if it can.
type LossBuilder<F> = fn(&Node, Option<&str>, &Shape) -> Result<Option<Box<dyn Loss<F>>>, BuildError>;

/// The builders of a loss.
#[derive(Clone, Copy, Debug)]
pub struct BuildLoss {
    pub(super) f32: LossBuilder<f32>,
    pub(super) f64: LossBuilder<f64>,
    pub(crate) outputs: fn(&Node) -> Result<Outputs, BuildError>,
    pub(crate) task: fn(&Node) -> Result<Task, BuildError>,
    pub(crate) examples: fn() -> Vec<LossExample>,
}

/// The builders of an optimiser.
#[derive(Clone, Copy, Debug)]
pub struct BuildOptimizer {
    pub(super) f32: fn(&Node) -> Built<dyn Optimizer<f32>>,
    pub(super) f64: fn(&Node) -> Built<dyn Optimizer<f64>>,
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

pub(super) fn build_layer<S: LayerSpec, F: Float>(
    node: &Node,
    context: &mut LayerContext<'_, F>,
) -> Built<dyn Layer<F>> {
    document::deserialize::<S>(node)?.build(context)
}

pub(super) fn build_activation<S: ActivationSpec, F: Float>(
    node: &Node,
    output: &Shape,
) -> Built<dyn Activation<F>> {
    Ok(document::deserialize::<S>(node)?.build(output))
}

pub(super) fn build_loss<S: LossSpec, F: Float>(
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

pub(super) fn build_optimizer<S: OptimizerSpec, F: Float>(node: &Node) -> Built<dyn Optimizer<F>> {
    document::deserialize::<S>(node)?.build()
}
