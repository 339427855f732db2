//! Steps by the sign of the gradient: Lion, Rprop.

use chainrule_core::Float;
use chainrule_trainer::{Lion, Optimizer, Rprop};
use schemars::JsonSchema;
use serde::Deserialize;

use super::beta1;
use crate::registry::{BuildError, OptimizerSpec, Spec};

/// The sign of a momentum: every parameter moves by the learning rate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LionSpec {
    /// How much the running mean counts beside the gradient for the direction.
    #[serde(default = "beta1")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    beta1: f64,
    /// How much of the gradient's running mean is kept.
    #[serde(default = "lion_beta2")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    beta2: f64,
    /// The share of the parameters, times the learning rate, that a step takes away.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
}

impl Spec for LionSpec {
    const TYPE: &'static str = "lion";
}

impl OptimizerSpec for LionSpec {
    fn build<F: Float>(&self) -> Result<Box<dyn Optimizer<F>>, BuildError> {
        let lion = Lion::new().with_betas(self.beta1, self.beta2);
        Ok(Box::new(lion.with_weight_decay(self.weight_decay)))
    }
}

fn lion_beta2() -> f64 {
    0.99
}

/// Steps that grow while the gradient keeps its sign, and shrink when it turns. For whole training sets: the learning rate is the first step alone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RpropSpec {
    /// The factor of a step where the gradient has turned.
    #[serde(default = "half")]
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    eta_minus: f64,
    /// The factor of a step where it has not.
    #[serde(default = "six_fifths")]
    #[schemars(extend("exclusiveMinimum" = 1))]
    eta_plus: f64,
    /// The smallest step.
    #[serde(default = "millionth")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    min_step_size: f64,
    /// The largest step.
    #[serde(default = "fifty")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    max_step_size: f64,
}

impl Spec for RpropSpec {
    const TYPE: &'static str = "rprop";
}

impl OptimizerSpec for RpropSpec {
    fn build<F: Float>(&self) -> Result<Box<dyn Optimizer<F>>, BuildError> {
        let rprop = Rprop::new().with_etas(self.eta_minus, self.eta_plus);
        let key = |error: chainrule_trainer::Error| BuildError::Key {
            key: "min_step_size",
            message: error.to_string(),
        };
        Ok(Box::new(rprop.with_step_sizes(self.min_step_size, self.max_step_size).map_err(key)?))
    }
}

fn half() -> f64 {
    0.5
}

fn six_fifths() -> f64 {
    1.2
}

fn millionth() -> f64 {
    1e-6
}

fn fifty() -> f64 {
    50.0
}
