//! A loss of one's own: `[loss] type = "pinball"`, `quantile = 0.9`.

use std::process::ExitCode;

use chainrule_core::Formula;
use chainrule_core::{Float, Loss, Pointwise, Shape};
use chainrule_runner::app::App;
use chainrule_runner::registry::{LossExample, LossSpec, Spec, TargetDomain};
use schemars::JsonSchema;
use serde::Deserialize;

/// `q (t - y)` where the target is above the output, `(1 - q) (y - t)` where it is below (Koenker & Bassett, 1978): its
/// minimum is the `q`-quantile of the targets, as that of the squared error is their mean.
///
/// # Derivation
/// ```text
/// dl/dy = -q        where y < t
///       = 1 - q     where y > t
/// ```
/// At `y = t` any number between the two will do; here 0.
#[derive(Clone, Copy, Debug)]
struct Pinball {
    quantile: f64,
}

impl Pointwise for Pinball {
    fn value<F: Float>(&self, y: F, t: F) -> F {
        let q = F::of(self.quantile);
        if y < t { q * (t - y) } else { (F::one() - q) * (y - t) }
    }

    fn derivative<F: Float>(&self, y: F, t: F) -> F {
        let q = F::of(self.quantile);
        if y < t {
            -q
        } else if y > t {
            F::one() - q
        } else {
            F::zero()
        }
    }

    fn formula(&self) -> Formula {
        let q = self.quantile;
        Formula::new(
            format!("max({q} (t - y), (1 - {q}) (y - t))"),
            format!("-{q} where y < t, 1 - {q} where y > t"),
        )
    }
}

/// The loss whose minimum is a quantile of the targets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PinballSpec {
    /// The share of targets that should lie below the outputs.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    quantile: f64,
}

impl Spec for PinballSpec {
    const TYPE: &'static str = "pinball";
}

impl LossSpec for PinballSpec {
    fn examples() -> Vec<LossExample> {
        let all = (f64::NEG_INFINITY, f64::INFINITY);
        vec![LossExample { keys: "quantile = 0.9", outputs: all, targets: TargetDomain::Real }]
    }

    fn build<F: Float>(&self, _output: &Shape) -> Box<dyn Loss<F>> {
        Box::new(Pinball { quantile: self.quantile })
    }
}

fn main() -> ExitCode {
    App::with_builtins().loss::<PinballSpec>().main()
}
