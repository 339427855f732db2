//! `activation = "name"` or `activation = { type = "name", ... }` of any layer.

use chainrule_core::activation::{
    Elu, Gelu, HardSigmoid, HardTanh, LeakyRelu, Linear, Relu, Selu, Sigmoid, Silu, Softmax, Softplus,
    Softsign, Tanh,
};
use chainrule_core::{Activation, Float, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::registry::{ActivationSpec, Registry, Spec, Taken};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.activation::<LinearSpec>()?;
    registry.activation::<SigmoidSpec>()?;
    registry.activation::<TanhSpec>()?;
    registry.activation::<ReluSpec>()?;
    registry.activation::<LeakyReluSpec>()?;
    registry.activation::<EluSpec>()?;
    registry.activation::<SeluSpec>()?;
    registry.activation::<GeluSpec>()?;
    registry.activation::<SiluSpec>()?;
    registry.activation::<SoftplusSpec>()?;
    registry.activation::<SoftsignSpec>()?;
    registry.activation::<HardTanhSpec>()?;
    registry.activation::<HardSigmoidSpec>()?;
    registry.activation::<SoftmaxSpec>()
}

/// An activation without keys of its own.
macro_rules! plain {
    ($spec:ident, $name:literal, $activation:expr, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct $spec {}

        impl Spec for $spec {
            const TYPE: &'static str = $name;
        }

        impl ActivationSpec for $spec {
            fn build<F: Float>(&self, _output: &Shape) -> Box<dyn Activation<F>> {
                Box::new($activation)
            }
        }
    };
}

plain!(LinearSpec, "linear", Linear, "x, unchanged.");
plain!(SigmoidSpec, "sigmoid", Sigmoid, "1 / (1 + exp(-x)), between 0 and 1.");
plain!(TanhSpec, "tanh", Tanh, "The hyperbolic tangent, between -1 and 1.");
plain!(ReluSpec, "relu", Relu, "max(x, 0).");
plain!(SeluSpec, "selu", Selu, "elu, scaled so that activations keep mean 0 and variance 1.");
plain!(SiluSpec, "silu", Silu, "x sigmoid(x), also called swish.");
plain!(SoftplusSpec, "softplus", Softplus, "log(1 + exp(x)), a smooth relu.");
plain!(SoftsignSpec, "softsign", Softsign, "x / (1 + |x|), between -1 and 1.");
plain!(HardTanhSpec, "hard_tanh", HardTanh, "x, cut to [-1, 1].");
plain!(HardSigmoidSpec, "hard_sigmoid", HardSigmoid, "x/6 + 1/2, cut to [0, 1].");

/// x where it is positive, else slope x.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LeakyReluSpec {
    /// The slope of the negative side.
    #[serde(default = "leak")]
    #[schemars(range(min = 0.0))]
    slope: f64,
}

fn leak() -> f64 {
    0.01
}

impl Spec for LeakyReluSpec {
    const TYPE: &'static str = "leaky_relu";
}

impl ActivationSpec for LeakyReluSpec {
    fn examples() -> Vec<&'static str> {
        vec!["", "slope = 0.3"]
    }

    fn build<F: Float>(&self, _output: &Shape) -> Box<dyn Activation<F>> {
        Box::new(LeakyRelu::new(self.slope))
    }
}

/// x where it is positive, else slope (exp(x) - 1).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EluSpec {
    /// The limit of the negative side, and its slope at 0.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0))]
    slope: f64,
}

fn one() -> f64 {
    1.0
}

impl Spec for EluSpec {
    const TYPE: &'static str = "elu";
}

impl ActivationSpec for EluSpec {
    fn examples() -> Vec<&'static str> {
        vec!["", "slope = 0.5"]
    }

    fn build<F: Float>(&self, _output: &Shape) -> Box<dyn Activation<F>> {
        Box::new(Elu::new(self.slope))
    }
}

/// x Φ(x), with the normal distribution's Φ.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GeluSpec {
    /// How Φ is computed.
    #[serde(default)]
    approximate: Approximation,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Approximation {
    /// Exactly, by the error function.
    #[default]
    None,
    /// By a tanh.
    Tanh,
}

impl Spec for GeluSpec {
    const TYPE: &'static str = "gelu";
}

impl ActivationSpec for GeluSpec {
    fn examples() -> Vec<&'static str> {
        vec!["", "approximate = 'tanh'"]
    }

    fn build<F: Float>(&self, _output: &Shape) -> Box<dyn Activation<F>> {
        match self.approximate {
            Approximation::None => Box::new(Gelu::exact()),
            Approximation::Tanh => Box::new(Gelu::tanh()),
        }
    }
}

/// Probabilities of the classes along the last axis.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SoftmaxSpec {}

impl Spec for SoftmaxSpec {
    const TYPE: &'static str = "softmax";
}

impl ActivationSpec for SoftmaxSpec {
    fn build<F: Float>(&self, output: &Shape) -> Box<dyn Activation<F>> {
        Box::new(Softmax::new(output.last()))
    }
}
