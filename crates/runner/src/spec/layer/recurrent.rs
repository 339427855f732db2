//! Layers that go over a sequence step by step.

use chainrule_core::layers::{Cell, GruCell, LstmCell, Recurrent, RecurrentConfig, SimpleRnnCell};
use chainrule_core::{Float, Layer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::example;
use crate::registry::{BuildError, LayerContext, LayerExample, LayerSpec, Registry, Spec, Taken};
use crate::spec::{InitializerSpec, yes};

pub(super) fn register(registry: &mut Registry) -> Result<(), Taken> {
    registry.layer::<SimpleRnnSpec>()?;
    registry.layer::<LstmSpec>()?;
    registry.layer::<GruSpec>()
}

/// A spec with the keys that all recurrent layers share, and more in `$own`: serde's `flatten` would lose
/// `deny_unknown_fields`.
macro_rules! recurrent_spec {
    ($(#[$doc:meta])* $spec:ident, $name:literal, { $($own:tt)* }, $cell:expr, $examples:expr) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct $spec {
            /// How many numbers a state has.
            #[schemars(range(min = 1))]
            units: usize,
            $($own)*
            /// Whether the output is the state after every step, [time, units], and not the last, [units].
            #[serde(default)]
            return_sequences: bool,
            /// Whether a second set of weights goes from the last step to the first; its states stand behind the others.
            #[serde(default)]
            bidirectional: bool,
            /// How many layers are stacked, each on the states of the one below.
            #[serde(default = "one")]
            #[schemars(range(min = 1, max = 64))]
            layers: usize,
            /// Whether it has biases, one for the input and one for the state.
            #[serde(default = "yes")]
            bias: bool,
            /// The start values of the weights of the input, of all gates together.
            #[serde(default = "InitializerSpec::xavier_uniform")]
            weight_init: InitializerSpec,
            /// The start values of the weights of the state, of all gates together.
            #[serde(default = "InitializerSpec::orthogonal")]
            recurrent_init: InitializerSpec,
            /// The start values of the biases.
            #[serde(default = "InitializerSpec::zeros")]
            bias_init: InitializerSpec,
        }

        impl Spec for $spec {
            const TYPE: &'static str = $name;
        }

        impl LayerSpec for $spec {
            fn examples() -> Vec<LayerExample> {
                $examples
            }

            fn build<F: Float>(
                &self,
                context: &mut LayerContext<'_, F>,
            ) -> Result<Box<dyn Layer<F>>, BuildError> {
                let key = |key| move |message| BuildError::Key { key, message };
                let config = RecurrentConfig {
                    units: self.units,
                    layers: self.layers,
                    bidirectional: self.bidirectional,
                    return_sequences: self.return_sequences,
                    bias: self.bias,
                    weight_init: self.weight_init.build().map_err(key("weight_init"))?,
                    recurrent_init: self.recurrent_init.build().map_err(key("recurrent_init"))?,
                    bias_init: self.bias_init.build().map_err(key("bias_init"))?,
                };
                let cell: fn(&Self) -> _ = $cell;
                build(cell(self), config, context)
            }
        }
    };
}

recurrent_spec! {
    /// A simple recurrent layer on [time, features]: h_t = f(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh).
    SimpleRnnSpec, "simple_rnn", {
        /// The function f.
        #[serde(default)]
        nonlinearity: Nonlinearity,
    },
    |spec| match spec.nonlinearity {
        Nonlinearity::Tanh => SimpleRnnCell::Tanh,
        Nonlinearity::Relu => SimpleRnnCell::Relu,
    },
    [examples(), vec![example("units = 5\nnonlinearity = \"relu\"", &[&[3, 4]])]].concat()
}

recurrent_spec! {
    /// A long short-term memory on [time, features], with gates in the order i, f, g, o.
    LstmSpec, "lstm", {}, |_| LstmCell, examples()
}

recurrent_spec! {
    /// Gated recurrent units on [time, features], with gates in the order r, z, n and r on the product with the state.
    GruSpec, "gru", {}, |_| GruCell, examples()
}

/// What a simple recurrent layer does with its sums.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Nonlinearity {
    /// tanh.
    #[default]
    Tanh,
    /// max(x, 0).
    Relu,
}

fn one() -> usize {
    1
}

fn build<F: Float, C: Cell>(
    cell: C,
    config: RecurrentConfig,
    context: &mut LayerContext<'_, F>,
) -> Result<Box<dyn Layer<F>>, BuildError> {
    Ok(Box::new(Recurrent::new(context.input(C::NAME)?, cell, config)?))
}

fn examples() -> Vec<LayerExample> {
    vec![
        example("units = 3", &[&[4, 2]]),
        example("units = 2\nreturn_sequences = true", &[&[3, 3]]),
        example("units = 2\nbias = false", &[&[3, 1]]),
        example("units = 2\nbidirectional = true", &[&[3, 2]]),
        example("units = 2\nlayers = 2\nbidirectional = true\nreturn_sequences = true", &[&[3, 2]]),
    ]
}
