//! Gradient descent.

use chainrule_core::Float;
use chainrule_trainer::{Optimizer, Sgd};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::registry::{BuildError, OptimizerSpec, Spec};

/// Stochastic gradient descent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SgdSpec {
    /// How much of the last step's velocity is kept.
    #[serde(default)]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    momentum: f64,
    /// Whether the gradient looks ahead along the velocity.
    #[serde(default)]
    nesterov: bool,
    /// L2 added to the gradient.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
}

impl Spec for SgdSpec {
    const TYPE: &'static str = "sgd";
}

impl OptimizerSpec for SgdSpec {
    fn build<F: Float>(&self) -> Result<Box<dyn Optimizer<F>>, BuildError> {
        let sgd = Sgd::new().with_momentum(self.momentum).with_weight_decay(self.weight_decay);
        if !self.nesterov {
            return Ok(Box::new(sgd));
        }
        let key =
            |error: chainrule_trainer::Error| BuildError::Key { key: "nesterov", message: error.to_string() };
        Ok(Box::new(sgd.with_nesterov().map_err(key)?))
    }
}
