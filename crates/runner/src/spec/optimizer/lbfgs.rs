//! L-BFGS.

use chainrule_core::Float;
use chainrule_trainer::{Lbfgs, Optimizer};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::registry::{BuildError, OptimizerSpec, Spec};

/// Newton's step with a Hessian guessed from the last gradients. For small training sets: every step takes all of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LbfgsSpec {
    /// How many steps the Hessian is guessed from; each is two copies of the parameters.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 100))]
    history_size: usize,
}

fn ten() -> usize {
    10
}

impl Spec for LbfgsSpec {
    const TYPE: &'static str = "lbfgs";
}

impl OptimizerSpec for LbfgsSpec {
    fn build<F: Float>(&self) -> Result<Box<dyn Optimizer<F>>, BuildError> {
        let key = |error: chainrule_trainer::Error| BuildError::Key {
            key: "history_size",
            message: error.to_string(),
        };
        Ok(Box::new(Lbfgs::new().with_history(self.history_size).map_err(key)?))
    }
}
