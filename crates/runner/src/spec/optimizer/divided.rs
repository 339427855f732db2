//! Steps divided by what gradients were before: RMSprop, Adagrad, Adadelta.

use chainrule_core::Float;
use chainrule_trainer::{Adadelta, Adagrad, Optimizer, RmsProp};
use schemars::JsonSchema;
use serde::Deserialize;

use super::epsilon;
use crate::registry::{BuildError, OptimizerSpec, Spec};

/// Steps divided by the running root mean square of the gradient.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RmsPropSpec {
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

/// Steps divided by the root of the sum of all squares.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdagradSpec {
    /// Added to the root, so that nothing is divided by zero.
    #[serde(default = "tiny")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    epsilon: f64,
    /// L2 added to the gradient.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
    /// The step t is divided by 1 + (t - 1) times this.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    lr_decay: f64,
    /// What the sum of squares starts from.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    initial_accumulator_value: f64,
}

impl Spec for AdagradSpec {
    const TYPE: &'static str = "adagrad";
}

impl OptimizerSpec for AdagradSpec {
    fn build<F: Float>(&self) -> Result<Box<dyn Optimizer<F>>, BuildError> {
        let adagrad = Adagrad::new().with_epsilon(self.epsilon).with_weight_decay(self.weight_decay);
        let adagrad = adagrad.with_rate_decay(self.lr_decay);
        Ok(Box::new(adagrad.with_initial_accumulator(self.initial_accumulator_value)))
    }
}

fn tiny() -> f64 {
    1e-10
}

/// Steps in the units of the parameters: by the ratio of the root mean squares of past steps and gradients.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdadeltaSpec {
    /// How much of the running means is kept.
    #[serde(default = "nine_tenths")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    rho: f64,
    /// Added within both roots; lets the first step be more than nothing.
    #[serde(default = "millionth")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    epsilon: f64,
    /// L2 added to the gradient.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    weight_decay: f64,
}

impl Spec for AdadeltaSpec {
    const TYPE: &'static str = "adadelta";
}

impl OptimizerSpec for AdadeltaSpec {
    fn build<F: Float>(&self) -> Result<Box<dyn Optimizer<F>>, BuildError> {
        let adadelta = Adadelta::new().with_rho(self.rho).with_epsilon(self.epsilon);
        Ok(Box::new(adadelta.with_weight_decay(self.weight_decay)))
    }
}

fn nine_tenths() -> f64 {
    0.9
}

fn millionth() -> f64 {
    1e-6
}
