//! The averages of `[weight_averaging]`.

use chainrule_trainer::Averaging;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::document;
use crate::registry::{Registry, Spec, Taken};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.averaging::<EmaSpec>(|node| {
        let EmaSpec { decay } = document::deserialize(node)?;
        Ok(Averaging::Ema { decay })
    })?;
    registry.averaging::<SwaSpec>(|node| {
        let SwaSpec { from_epoch } = document::deserialize(node)?;
        Ok(Averaging::Swa { from_epoch })
    })
}

/// A moving average over steps, in which older parameters count less and less.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EmaSpec {
    /// The share of the old average that a step keeps.
    #[serde(default = "decay")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    decay: f64,
}

fn decay() -> f64 {
    0.999
}

impl Spec for EmaSpec {
    const TYPE: &'static str = "ema";
}

/// The mean of the parameters after each epoch from one on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SwaSpec {
    /// The first epoch that counts.
    #[schemars(range(min = 1))]
    from_epoch: u64,
}

impl Spec for SwaSpec {
    const TYPE: &'static str = "swa";
}
