//! The keys of the experiment file, table by table: plain structs that serde reads and schemars describes.
//!
//! A file format is a promise, a struct in core is not: so the two are kept apart, and each type here says how it
//! becomes one of core's or the trainer's. Ranges and defaults stand in attributes, from which the schema, the checks
//! of a file and the resolved `config.toml` all come.

mod activation;
mod averaging;
mod initializer;
mod layer;
mod loss;
mod optimizer;
mod schedule;
mod sweep;
mod tables;

pub use initializer::{InitializerSpec, InitializerTable};
pub use layer::LayerList;
pub(crate) use schedule::ScheduleCommon;
pub use sweep::{GridSpec, HalvingSpec, Number, RandomSpec, Scalar, Sweep, SweepScale, Vary};
pub use tables::{
    CheckpointTable, Dtype, EarlyStoppingTable, MetricName, MetricsTable, OnNonFinite, PredictTable,
    RuntimeTable, TopLevel, TrainTable,
};
pub(crate) use tables::{GroupTable, OptimizerCommon};

use crate::registry::{Registry, Taken};

/// Adds all built-in types to a registry.
pub(crate) fn register(registry: &mut Registry) -> Result<(), Taken> {
    layer::register(registry)?;
    activation::register(registry)?;
    loss::register(registry)?;
    optimizer::register(registry)?;
    schedule::register(registry)?;
    averaging::register(registry)?;
    crate::data::register(registry)
}

/// The default of a key that is on unless switched off.
fn yes() -> bool {
    true
}
