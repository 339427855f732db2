//! `type = "reduce_on_plateau"`.

use chainrule_trainer::Schedule;
use chainrule_trainer::schedule::{Plateau, ReduceOnPlateau};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::registry::{Built, RunLength, ScheduleSpec, Spec};

/// Times a factor when `train.monitor` no longer gets better.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReduceOnPlateauSpec {
    /// What the learning rate is multiplied by.
    #[serde(default = "super::tenth")]
    #[schemars(extend("exclusiveMinimum" = 0), extend("exclusiveMaximum" = 1))]
    factor: f64,
    /// Epochs without a better value that are borne before it falls.
    #[serde(default = "patience")]
    patience: u64,
    /// How much better a value must be to count, as a share of the best.
    #[serde(default = "threshold")]
    #[schemars(range(min = 0.0, max = 1.0))]
    threshold: f64,
    /// Epochs after a fall in which none counts.
    #[serde(default)]
    cooldown: u64,
    /// Where it ends, as a share of the learning rate.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    final_factor: f64,
}

fn patience() -> u64 {
    10
}

fn threshold() -> f64 {
    1e-4
}

impl Spec for ReduceOnPlateauSpec {
    const TYPE: &'static str = "reduce_on_plateau";
}

impl ScheduleSpec for ReduceOnPlateauSpec {
    fn build(&self, run: &RunLength) -> Built<dyn Schedule> {
        let &Self { factor, patience, threshold, cooldown, final_factor } = self;
        let plateau = Plateau { factor, patience, threshold, cooldown, final_factor };
        Ok(Box::new(ReduceOnPlateau { rate: run.learning_rate, plateau }))
    }
}
