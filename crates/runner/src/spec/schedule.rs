//! The schedules of `[lr_schedule]`.

mod plateau;

use chainrule_trainer::Schedule;
use chainrule_trainer::schedule::{
    Anneal, Constant, Cosine, Exponential, InverseSqrt, MultiStep, OneCycle, Polynomial, StepDecay,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::registry::{BuildError, Built, Registry, RunLength, ScheduleSpec, Spec, Taken, twice};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.schedule::<ConstantSpec>()?;
    registry.schedule::<StepSpec>()?;
    registry.schedule::<MultiStepSpec>()?;
    registry.schedule::<ExponentialSpec>()?;
    registry.schedule::<CosineSpec>()?;
    registry.schedule::<LinearSpec>()?;
    registry.schedule::<PolynomialSpec>()?;
    registry.schedule::<InverseSqrtSpec>()?;
    registry.schedule::<OneCycleSpec>()?;
    registry.schedule::<plateau::ReduceOnPlateauSpec>()
}

/// The keys that every schedule takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScheduleCommon {
    /// Steps in which the learning rate rises in a line before the schedule starts; none, if absent.
    pub(crate) warmup_steps: Option<u64>,
    /// The same in epochs.
    #[schemars(range(min = 0.0))]
    pub(crate) warmup_epochs: Option<f64>,
    /// Where the warm-up starts, as a share of the schedule's first learning rate.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) warmup_factor: f64,
}

impl ScheduleCommon {
    /// The names of these keys.
    pub(crate) const KEYS: [&str; 3] = ["warmup_steps", "warmup_epochs", "warmup_factor"];

    /// Steps of warm-up.
    pub(crate) fn warmup(&self, run: &RunLength) -> Result<u64, BuildError> {
        match (self.warmup_steps, self.warmup_epochs) {
            (Some(_), Some(_)) => Err(twice("warmup_steps", "warmup_epochs")),
            (Some(steps), None) => Ok(steps),
            (None, epochs) => Ok(epochs.map_or(0, |epochs| run.of_epochs(epochs))),
        }
    }
}

/// A length that has to be given.
fn required(
    length: Option<u64>,
    schedule: &str,
    steps: &'static str,
    epochs: &'static str,
) -> Result<u64, BuildError> {
    let message = format!("`{schedule}` needs a length: give `{steps}` or `{epochs}`");
    length.ok_or(BuildError::Key { key: "type", message })
}

/// `decay_steps`, `decay_epochs`.
fn decay(run: &RunLength, steps: Option<u64>, epochs: Option<f64>) -> Result<Option<u64>, BuildError> {
    run.length(("decay_steps", steps), ("decay_epochs", epochs))
}

/// The same learning rate always, after the warm-up.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConstantSpec {}

impl Spec for ConstantSpec {
    const TYPE: &'static str = "constant";
}

impl ScheduleSpec for ConstantSpec {
    fn build(&self, run: &RunLength) -> Built<dyn Schedule> {
        Ok(Box::new(Constant(run.learning_rate)))
    }
}

/// Times a factor at equal distances.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StepSpec {
    /// Steps from one fall to the next.
    #[schemars(range(min = 1))]
    every_steps: Option<u64>,
    /// The same in epochs.
    #[schemars(extend("exclusiveMinimum" = 0))]
    every_epochs: Option<f64>,
    /// What the learning rate is multiplied by.
    #[serde(default = "tenth")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    factor: f64,
}

fn tenth() -> f64 {
    0.1
}

impl Spec for StepSpec {
    const TYPE: &'static str = "step";
}

impl ScheduleSpec for StepSpec {
    fn build(&self, run: &RunLength) -> Built<dyn Schedule> {
        let every = run.length(("every_steps", self.every_steps), ("every_epochs", self.every_epochs))?;
        let every = required(every, Self::TYPE, "every_steps", "every_epochs")?;
        Ok(Box::new(StepDecay::new(run.learning_rate, self.factor, every)))
    }
}

/// Times a factor at given steps or epochs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MultiStepSpec {
    /// The steps at which it falls, in rising order.
    #[schemars(length(min = 1))]
    milestone_steps: Option<Vec<u64>>,
    /// The same in epochs.
    #[schemars(length(min = 1), inner(range(min = 0.0)))]
    milestone_epochs: Option<Vec<f64>>,
    /// What the learning rate is multiplied by.
    #[serde(default = "tenth")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    factor: f64,
}

impl Spec for MultiStepSpec {
    const TYPE: &'static str = "multistep";
}

impl ScheduleSpec for MultiStepSpec {
    fn build(&self, run: &RunLength) -> Built<dyn Schedule> {
        let (steps, epochs) = ("milestone_steps", "milestone_epochs");
        let rises = match (&self.milestone_steps, &self.milestone_epochs) {
            (Some(_), Some(_)) => return Err(twice(steps, epochs)),
            (None, None) => required(None, Self::TYPE, steps, epochs).map(|_| true)?,
            (Some(milestones), None) => milestones.is_sorted_by(|a, b| a < b),
            (None, Some(milestones)) => milestones.is_sorted_by(|a, b| a < b),
        };
        if !rises {
            let key = if self.milestone_steps.is_some() { steps } else { epochs };
            return Err(BuildError::Key { key, message: format!("`{key}` must be in rising order") });
        }
        let of_epochs = self.milestone_epochs.iter().flatten().map(|&epochs| run.of_epochs(epochs));
        let milestones = self.milestone_steps.iter().flatten().copied().chain(of_epochs).collect();
        Ok(Box::new(MultiStep::new(run.learning_rate, self.factor, milestones)))
    }
}

/// Times a factor over every stretch of one length, a little with each step.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExponentialSpec {
    /// What the learning rate is multiplied by over that length.
    #[schemars(extend("exclusiveMinimum" = 0))]
    factor: f64,
    /// The length in steps.
    #[schemars(range(min = 1))]
    decay_steps: Option<u64>,
    /// The same in epochs.
    #[schemars(extend("exclusiveMinimum" = 0))]
    decay_epochs: Option<f64>,
}

impl Spec for ExponentialSpec {
    const TYPE: &'static str = "exponential";
}

impl ScheduleSpec for ExponentialSpec {
    fn build(&self, run: &RunLength) -> Built<dyn Schedule> {
        let over = decay(run, self.decay_steps, self.decay_epochs)?;
        let over = required(over, Self::TYPE, "decay_steps", "decay_epochs")?;
        Ok(Box::new(Exponential::new(run.learning_rate, self.factor, over)))
    }
}

/// Half a cosine wave, once or again and again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CosineSpec {
    /// Steps of the half wave, of the first with restarts; the run after its warm-up, if no length is given.
    #[schemars(range(min = 1))]
    decay_steps: Option<u64>,
    /// The same in epochs.
    #[schemars(extend("exclusiveMinimum" = 0))]
    decay_epochs: Option<f64>,
    /// Where it ends, as a share of the learning rate.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    final_factor: f64,
    /// Whether it jumps back and starts again at its end, rather than staying.
    #[serde(default)]
    restarts: bool,
    /// How many times as long as the one before a half wave after a restart is.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    restart_growth: u64,
}

fn one() -> u64 {
    1
}

impl Spec for CosineSpec {
    const TYPE: &'static str = "cosine";
}

impl ScheduleSpec for CosineSpec {
    fn build(&self, run: &RunLength) -> Built<dyn Schedule> {
        let length = decay(run, self.decay_steps, self.decay_epochs)?;
        if !self.restarts && self.restart_growth != 1 {
            let message = "`restart_growth` needs `restarts = true`".to_owned();
            return Err(BuildError::Key { key: "restart_growth", message });
        }
        if self.restarts && length.is_none() {
            let message = "with `restarts`, `decay_steps` or `decay_epochs` says how long the first wave is";
            return Err(BuildError::Key { key: "restarts", message: message.to_owned() });
        }
        let length = length.map_or_else(|| run.rest(), Ok)?;
        let cosine = Cosine::new(run.learning_rate, self.final_factor, length);
        let growth = self.restart_growth;
        Ok(Box::new(if self.restarts { cosine.with_restarts(growth) } else { cosine }))
    }
}

/// A straight line.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LinearSpec {
    /// Steps until its end; the run after its warm-up, if no length is given.
    #[schemars(range(min = 1))]
    decay_steps: Option<u64>,
    /// The same in epochs.
    #[schemars(extend("exclusiveMinimum" = 0))]
    decay_epochs: Option<f64>,
    /// Where it ends, as a share of the learning rate.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    final_factor: f64,
}

impl Spec for LinearSpec {
    const TYPE: &'static str = "linear";
}

impl ScheduleSpec for LinearSpec {
    fn build(&self, run: &RunLength) -> Built<dyn Schedule> {
        let length = decay(run, self.decay_steps, self.decay_epochs)?.map_or_else(|| run.rest(), Ok)?;
        Ok(Box::new(Polynomial::new(run.learning_rate, self.final_factor, length, 1.0)))
    }
}

/// A power of the way that is left.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PolynomialSpec {
    /// Steps until its end; the run after its warm-up, if no length is given.
    #[schemars(range(min = 1))]
    decay_steps: Option<u64>,
    /// The same in epochs.
    #[schemars(extend("exclusiveMinimum" = 0))]
    decay_epochs: Option<f64>,
    /// Where it ends, as a share of the learning rate.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    final_factor: f64,
    /// The power; 1 is a line.
    #[serde(default = "line")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    power: f64,
}

fn line() -> f64 {
    1.0
}

impl Spec for PolynomialSpec {
    const TYPE: &'static str = "polynomial";
}

impl ScheduleSpec for PolynomialSpec {
    fn build(&self, run: &RunLength) -> Built<dyn Schedule> {
        let length = decay(run, self.decay_steps, self.decay_epochs)?.map_or_else(|| run.rest(), Ok)?;
        Ok(Box::new(Polynomial::new(run.learning_rate, self.final_factor, length, self.power)))
    }
}

/// The inverse root of the step.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InverseSqrtSpec {
    /// After three times so many steps the learning rate has halved; the warm-up's, if no length is given.
    #[schemars(range(min = 1))]
    timescale_steps: Option<u64>,
    /// The same in epochs.
    #[schemars(extend("exclusiveMinimum" = 0))]
    timescale_epochs: Option<f64>,
}

impl Spec for InverseSqrtSpec {
    const TYPE: &'static str = "inverse_sqrt";
}

impl ScheduleSpec for InverseSqrtSpec {
    fn build(&self, run: &RunLength) -> Built<dyn Schedule> {
        let (steps, epochs) = ("timescale_steps", "timescale_epochs");
        let timescale = run.length((steps, self.timescale_steps), (epochs, self.timescale_epochs))?;
        let warmup = (run.warmup > 0).then_some(run.warmup);
        let missing =
            "`inverse_sqrt` needs a length: give `timescale_steps`, `timescale_epochs` or a warm-up";
        let missing = BuildError::Key { key: "type", message: missing.to_owned() };
        let timescale = timescale.or(warmup).ok_or(missing)?;
        Ok(Box::new(InverseSqrt::new(run.learning_rate, timescale)))
    }
}

/// Up to the learning rate and far down again, once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OneCycleSpec {
    /// Steps of the whole cycle; the run after its warm-up, if no length is given.
    #[schemars(range(min = 1))]
    cycle_steps: Option<u64>,
    /// The same in epochs.
    #[schemars(extend("exclusiveMinimum" = 0))]
    cycle_epochs: Option<f64>,
    /// The share of the cycle in which the learning rate rises.
    #[serde(default = "rise")]
    #[schemars(range(min = 0.0, max = 1.0))]
    rise: f64,
    /// Where it starts, as a share of the learning rate.
    #[serde(default = "start_factor")]
    #[schemars(range(min = 0.0, max = 1.0))]
    start_factor: f64,
    /// Where it ends, as a share of the learning rate.
    #[serde(default = "final_factor")]
    #[schemars(range(min = 0.0, max = 1.0))]
    final_factor: f64,
    /// The curve between these rates.
    #[serde(default)]
    anneal: AnnealName,
}

fn rise() -> f64 {
    0.3
}

fn start_factor() -> f64 {
    0.04
}

fn final_factor() -> f64 {
    4e-6
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum AnnealName {
    /// Half a cosine wave.
    #[default]
    Cosine,
    /// A straight line.
    Linear,
}

impl Spec for OneCycleSpec {
    const TYPE: &'static str = "one_cycle";
}

impl ScheduleSpec for OneCycleSpec {
    fn build(&self, run: &RunLength) -> Built<dyn Schedule> {
        let length = run.length(("cycle_steps", self.cycle_steps), ("cycle_epochs", self.cycle_epochs))?;
        let length = length.map_or_else(|| run.rest(), Ok)?;
        let anneal = match self.anneal {
            AnnealName::Cosine => Anneal::Cosine,
            AnnealName::Linear => Anneal::Linear,
        };
        let cycle = OneCycle::new(run.learning_rate, length).with_rise(self.rise).with_anneal(anneal);
        Ok(Box::new(cycle.with_factors(self.start_factor, self.final_factor)))
    }
}
