//! The types that an experiment file may name, and how each is built.
//!
//! A registry is a value that is handed on, not a global: [`Registry::standard`] has the built-in types, and a program of
//! a user's adds its own. A type is registered by its *spec*, a plain struct that serde reads and schemars describes;
//! the file format is a promise of this crate, so the layers in core know nothing of it.

mod build;
mod spec;

pub use build::{BuildActivation, BuildLayer, BuildLoss, BuildOptimizer, Entry, Number};
pub(crate) use build::{BuildAveraging, BuildSchedule, ReadData};
use build::{build_activation, build_layer, build_loss, build_optimizer};
pub(crate) use spec::twice;
pub use spec::{
    ActivationSpec, BuildError, Built, LayerContext, LayerExample, LayerSpec, LossExample, LossSpec,
    OptimizerSpec, Outputs, RunLength, ScheduleSpec, Spec, TargetDomain,
};

use crate::document::{self, Node};
use crate::schema::schema_of;

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
        crate::spec::register(&mut registry).expect("no built-in name is given twice: a test runs this line");
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
