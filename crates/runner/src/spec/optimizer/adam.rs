//! Adam and its relatives.

use chainrule_core::Float;
use chainrule_trainer::optimizer::Moments;
use chainrule_trainer::{Adam, Adamax, AmsGrad, Nadam, Optimizer};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{beta1, beta2, epsilon, hundredth};
use crate::registry::{BuildError, OptimizerSpec, Spec};

/// Steps scaled by running moments of the gradient.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdamSpec {
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

/// Adam with weight decay beside the gradient.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdamWSpec {
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

/// Adam divided by the largest mean square so far, so that steps never grow again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AmsGradSpec {
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

impl Spec for AmsGradSpec {
    const TYPE: &'static str = "amsgrad";
}

impl OptimizerSpec for AmsGradSpec {
    fn build<F: Float>(&self) -> Result<Box<dyn Optimizer<F>>, BuildError> {
        let &Self { beta1, beta2, epsilon, weight_decay } = self;
        Ok(Box::new(AmsGrad::new(Moments { beta1, beta2, epsilon, weight_decay })))
    }
}

/// Adam with Nesterov's look ahead.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NadamSpec {
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
    /// How fast the momentum rises from about half of `beta1` to it.
    #[serde(default = "momentum_decay")]
    #[schemars(range(min = 0.0))]
    momentum_decay: f64,
}

impl Spec for NadamSpec {
    const TYPE: &'static str = "nadam";
}

impl OptimizerSpec for NadamSpec {
    fn build<F: Float>(&self) -> Result<Box<dyn Optimizer<F>>, BuildError> {
        let &Self { beta1, beta2, epsilon, weight_decay, momentum_decay } = self;
        let moments = Moments { beta1, beta2, epsilon, weight_decay };
        Ok(Box::new(Nadam::new(moments, momentum_decay)))
    }
}

fn momentum_decay() -> f64 {
    4e-3
}

/// Adam divided by the largest gradient, older ones shrunk.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdamaxSpec {
    /// How much of the gradient's running mean is kept.
    #[serde(default = "beta1")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    beta1: f64,
    /// How much of the largest gradient is kept from step to step.
    #[serde(default = "beta2")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    beta2: f64,
    /// Added to the gradient's size, so that nothing is divided by zero.
    #[serde(default = "epsilon")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    epsilon: f64,
    /// L2 added to the gradient.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
}

impl Spec for AdamaxSpec {
    const TYPE: &'static str = "adamax";
}

impl OptimizerSpec for AdamaxSpec {
    fn build<F: Float>(&self) -> Result<Box<dyn Optimizer<F>>, BuildError> {
        let &Self { beta1, beta2, epsilon, weight_decay } = self;
        Ok(Box::new(Adamax::new(Moments { beta1, beta2, epsilon, weight_decay })))
    }
}
