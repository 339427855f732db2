//! The losses of `[loss]`.

use chainrule_core::loss::{
    BinaryCrossEntropy, BinaryCrossEntropyWithLogits, CrossEntropy, Hinge, Huber, KlDivergence, Mae, Mse,
};
use chainrule_core::{Float, Loss, Shape};
use chainrule_trainer::metrics::Task;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::registry::{LossExample, LossSpec, Outputs, Registry, Spec, Taken, TargetDomain};

/// All real numbers.
const REAL: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.loss::<MseSpec>()?;
    registry.loss::<MaeSpec>()?;
    registry.loss::<HuberSpec>()?;
    registry.loss::<BinaryCrossEntropySpec>()?;
    registry.loss::<CrossEntropySpec>()?;
    registry.loss::<KlDivergenceSpec>()?;
    registry.loss::<HingeSpec>()
}

/// A loss without keys of its own.
macro_rules! plain {
    ($spec:ident, $name:literal, $loss:expr, $targets:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct $spec {}

        impl Spec for $spec {
            const TYPE: &'static str = $name;
        }

        impl LossSpec for $spec {
            fn task(&self) -> Task {
                match TargetDomain::$targets {
                    TargetDomain::Signs => Task::Binary { threshold: 0.0 },
                    _ => Task::Numbers,
                }
            }

            fn examples() -> Vec<LossExample> {
                vec![LossExample { keys: "", outputs: REAL, targets: TargetDomain::$targets }]
            }

            fn build<F: Float>(&self, _output: &Shape) -> Box<dyn Loss<F>> {
                Box::new($loss)
            }
        }
    };
}

plain!(MseSpec, "mse", Mse, Real, "(y - t)², mean over samples and outputs.");
plain!(MaeSpec, "mae", Mae, Real, "|y - t|, mean over samples and outputs.");
plain!(HuberSpec, "huber", Huber, Real, "(y - t)²/2 up to an error of 1, |y - t| - 1/2 beyond.");
plain!(HingeSpec, "hinge", Hinge, Signs, "max(0, 1 - t y) for targets -1 and +1.");

/// -log of the probability of the right answer, for targets between 0 and 1.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BinaryCrossEntropySpec {
    /// Whether the network gives logits; otherwise it gives probabilities.
    #[serde(default)]
    from_logits: bool,
}

impl Spec for BinaryCrossEntropySpec {
    const TYPE: &'static str = "binary_cross_entropy";
}

impl LossSpec for BinaryCrossEntropySpec {
    fn examples() -> Vec<LossExample> {
        let targets = TargetDomain::Unit;
        vec![
            LossExample { keys: "", outputs: (0.0, 1.0), targets },
            LossExample { keys: "from_logits = true", outputs: REAL, targets },
        ]
    }

    fn outputs(&self) -> Outputs {
        if self.from_logits { Outputs::BinaryLogits } else { Outputs::Values }
    }

    fn task(&self) -> Task {
        Task::Binary { threshold: 0.5 }
    }

    fn build<F: Float>(&self, _output: &Shape) -> Box<dyn Loss<F>> {
        match self.from_logits {
            true => Box::new(BinaryCrossEntropyWithLogits),
            false => Box::new(BinaryCrossEntropy),
        }
    }

    /// `log(sigmoid(z))` in one does not lose what the sigmoid rounds to 0 or 1.
    fn build_fused<F: Float>(&self, activation: &str, _output: &Shape) -> Option<Box<dyn Loss<F>>> {
        let fuses = activation == "sigmoid" && !self.from_logits;
        fuses.then(|| Box::new(BinaryCrossEntropyWithLogits) as _)
    }
}

/// -log softmax of the right class, for logits and class indices or labels.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CrossEntropySpec {
    /// The share of the target that all classes have alike; the right class has the rest.
    #[serde(default)]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    label_smoothing: f64,
}

impl Spec for CrossEntropySpec {
    const TYPE: &'static str = "cross_entropy";
}

impl LossSpec for CrossEntropySpec {
    const OUTPUTS: Outputs = Outputs::ClassLogits;

    fn examples() -> Vec<LossExample> {
        let targets = TargetDomain::Classes;
        vec![
            LossExample { keys: "", outputs: REAL, targets },
            LossExample { keys: "label_smoothing = 0.2", outputs: REAL, targets },
        ]
    }

    fn build<F: Float>(&self, output: &Shape) -> Box<dyn Loss<F>> {
        Box::new(CrossEntropy::new(output.last()).with_smoothing(self.label_smoothing))
    }
}

/// Σ t log(t / y) over the classes, for probabilities; mean over samples.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KlDivergenceSpec {}

impl Spec for KlDivergenceSpec {
    const TYPE: &'static str = "kl_divergence";
}

impl LossSpec for KlDivergenceSpec {
    fn examples() -> Vec<LossExample> {
        vec![LossExample { keys: "", outputs: (0.0, f64::INFINITY), targets: TargetDomain::Distribution }]
    }

    fn build<F: Float>(&self, output: &Shape) -> Box<dyn Loss<F>> {
        Box::new(KlDivergence::new(output.last()))
    }
}
