//! The optimisers of `[optimizer]`.

use chainrule_core::Float;
use chainrule_trainer::{Adam, Optimizer, RmsProp, Sgd};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::registry::{BuildError, OptimizerSpec, Registry, Spec, Taken};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.optimizer::<SgdSpec>()?;
    registry.optimizer::<AdamSpec>()?;
    registry.optimizer::<AdamWSpec>()?;
    registry.optimizer::<RmsPropSpec>()
}

/// Stochastic gradient descent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SgdSpec {
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

/// Steps scaled by running moments of the gradient.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AdamSpec {
    /// How much of the gradient's running mean is kept.
    #[serde(default = "beta1")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    beta1: f64,
    /// How much of the running mean of its square is kept.
    #[serde(default = "beta2")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    beta2: f64,
    /// Added to the root, so that nothing is divided by zero.
    #[serde(default = "epsilon")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    epsilon: f64,
    /// L2 added to the gradient.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
}

impl Spec for AdamSpec {
    const TYPE: &'static str = "adam";
}

impl OptimizerSpec for AdamSpec {
    fn build<F: Float>(&self) -> Result<Box<dyn Optimizer<F>>, BuildError> {
        let adam = Adam::new().with_betas(self.beta1, self.beta2).with_epsilon(self.epsilon);
        Ok(Box::new(adam.with_weight_decay(self.weight_decay)))
    }
}

fn beta1() -> f64 {
    0.9
}

fn beta2() -> f64 {
    0.999
}

fn epsilon() -> f64 {
    1e-8
}

/// Adam with weight decay beside the gradient.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AdamWSpec {
    /// How much of the gradient's running mean is kept.
    #[serde(default = "beta1")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    beta1: f64,
    /// How much of the running mean of its square is kept.
    #[serde(default = "beta2")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    beta2: f64,
    /// Added to the root, so that nothing is divided by zero.
    #[serde(default = "epsilon")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    epsilon: f64,
    /// The share of the parameters, times the learning rate, that a step takes away.
    #[serde(default = "hundredth")]
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
}

impl Spec for AdamWSpec {
    const TYPE: &'static str = "adamw";
}

impl OptimizerSpec for AdamWSpec {
    fn build<F: Float>(&self) -> Result<Box<dyn Optimizer<F>>, BuildError> {
        let adam = Adam::decoupled().with_betas(self.beta1, self.beta2).with_epsilon(self.epsilon);
        Ok(Box::new(adam.with_weight_decay(self.weight_decay)))
    }
}

fn hundredth() -> f64 {
    0.01
}

/// Steps divided by the running root mean square of the gradient.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RmsPropSpec {
    /// How much of the running mean is kept.
    #[serde(default = "rho")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    rho: f64,
    /// Added to the root, so that nothing is divided by zero.
    #[serde(default = "epsilon")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    epsilon: f64,
    /// How much of the last step's velocity is kept.
    #[serde(default)]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    momentum: f64,
    /// Whether to divide by the standard deviation, that is, to take the mean away first.
    #[serde(default)]
    centered: bool,
    /// L2 added to the gradient.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
}

fn rho() -> f64 {
    0.99
}

impl Spec for RmsPropSpec {
    const TYPE: &'static str = "rmsprop";
}

impl OptimizerSpec for RmsPropSpec {
    fn build<F: Float>(&self) -> Result<Box<dyn Optimizer<F>>, BuildError> {
        let rmsprop = RmsProp::new().with_rho(self.rho).with_epsilon(self.epsilon);
        let rmsprop = rmsprop.with_momentum(self.momentum).with_weight_decay(self.weight_decay);
        Ok(Box::new(if self.centered { rmsprop.centered() } else { rmsprop }))
    }
}
