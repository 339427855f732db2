//! An activation of one's own: `activation = { type = "snake", frequency = 2.0 }`.

use std::process::ExitCode;

use chainrule_core::Formula;
use chainrule_core::{Activation, Elementwise, Float, Shape};
use chainrule_runner::app::App;
use chainrule_runner::registry::{ActivationSpec, Spec};
use schemars::JsonSchema;
use serde::Deserialize;

/// `y = x + sin²(a x) / a`, which can learn what repeats (Ziyin, Hartwig & Ueda, 2020).
///
/// # Derivation
/// ```text
/// dy/dx = 1 + 2 sin(a x) cos(a x) · a / a = 1 + sin(2 a x)
/// ```
/// `x` cannot be had from `y` in closed form, so it is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Snake {
    frequency: f64,
}

impl Elementwise for Snake {
    const NEEDS_INPUT: bool = true;

    fn f<F: Float>(&self, x: F) -> F {
        let a = F::of(self.frequency);
        let sine = (a * x).sin();
        x + sine * sine / a
    }

    fn df<F: Float>(&self, x: F, _y: F) -> F {
        F::one() + (F::of(2.0 * self.frequency) * x).sin()
    }

    fn formula(&self, x: &str) -> Formula {
        let a = self.frequency;
        Formula::new(format!("{x} + sin²({a} {x}) / {a}"), format!("1 + sin(2 · {a} {x})"))
    }
}

/// A line with a wave on it: x + sin²(frequency x) / frequency.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SnakeSpec {
    /// How often the wave repeats.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    frequency: f64,
}

fn one() -> f64 {
    1.0
}

impl Spec for SnakeSpec {
    const TYPE: &'static str = "snake";
}

impl ActivationSpec for SnakeSpec {
    fn examples() -> Vec<&'static str> {
        vec!["", "frequency = 2.5"]
    }

    fn build<F: Float>(&self, _output: &Shape) -> Box<dyn Activation<F>> {
        Box::new(Snake { frequency: self.frequency })
    }
}

fn main() -> ExitCode {
    App::with_builtins().activation::<SnakeSpec>().main()
}
