//! A layer of one's own: `{ type = "rbf", units = 4, gamma = 1.0 }`.

use std::process::ExitCode;

use chainrule_core::Derivation;
use chainrule_core::{
    Ctx, Error, Fans, Float, Initializer, Layer, Parameter, Pass, Role, Rows, RowsMut, Shape,
};
use chainrule_runner::app::App;
use chainrule_runner::registry::{BuildError, LayerContext, LayerExample, LayerSpec, Spec};
use schemars::JsonSchema;
use serde::Deserialize;

/// `y_j = exp(-γ |x - c_j|²)`: how near `x` is to each of `out` learned centres (Broomhead & Lowe, 1988).
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x` | `[n, in]` | inputs |
/// | `C` | `[out, in]` | centres |
/// | `y` | `[n, out]` | outputs |
///
/// # Derivation
/// With `z_j = Σ_k (x_k - c_jk)²` and `y_j = exp(-γ z_j)`, `dy_j/dz_j = -γ y_j` and `dz_j/dx_k = 2 (x_k - c_jk)`:
/// ```text
/// g_j         = 2 γ dy_j y_j
/// dL/dx_k     = -Σ_j g_j (x_k - c_jk)
/// dL/dc_jk    = +Σ_rows g_j (x_k - c_jk)
/// ```
/// `backward` leaves `g` in `dy`, where `accumulate` finds it. The tape holds nothing: `y` is enough.
#[derive(Debug)]
struct Rbf {
    input: Shape,
    output: Shape,
    gamma: f64,
}

impl Rbf {
    fn new(input: &Shape, units: usize, gamma: f64) -> Result<Self, Error> {
        // A shape that no memory holds is refused here, so that nothing later can overflow.
        Shape::new([units, input.len()])?;
        Ok(Self { input: input.clone(), output: Shape::vector(units)?, gamma })
    }
}

impl<F: Float> Layer<F> for Rbf {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.input.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.output
    }

    fn parameters(&self) -> Vec<Parameter> {
        let centres = Shape::new([self.output.len(), self.input.len()]).expect("checked by new");
        let normal = Initializer::Normal { mean: 0.0, std: 1.0 };
        let fans = Fans { fan_in: self.input.len(), fan_out: self.output.len() };
        vec![Parameter::new("centres", centres, Role::Weight, normal, fans)]
    }

    fn multiply_adds(&self) -> usize {
        self.input.len() * self.output.len()
    }

    fn derivation(&self) -> Derivation {
        let centres = Shape::new([self.output.len(), self.input.len()]).expect("checked by new");
        let gamma = self.gamma;
        Derivation {
            forward: vec![format!("y_j = exp(-{gamma} Σ_k (x_k - c_jk)²)")],
            local: vec![format!("∂y_j/∂x_k = -2 · {gamma} y_j (x_k - c_jk)   ∂y_j/∂c_jk = -∂y_j/∂x_k")],
            between: vec![format!("g = 2 · {gamma} dy ⊙ y")],
            inputs: vec!["dx_k = -Σ_j g_j (x_k - c_jk)".into()],
            parameters: vec!["dc_jk = Σ_rows g_j (x_k - c_jk)".into()],
            ..Derivation::new([("x", &self.input), ("C", &centres), ("y", &self.output)])
        }
    }

    fn forward(
        &self,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        mut y: RowsMut<'_, F>,
        _tape: &mut [F],
        _ctx: &mut Ctx<'_, F>,
    ) {
        let centres = Rows::new(theta, self.input.len());
        for (x, y) in inputs[0].iter().zip(y.iter_mut()) {
            for (y, centre) in y.iter_mut().zip(centres.iter()) {
                let z: F = x.iter().zip(centre).map(|(&x, &c)| (x - c) * (x - c)).sum();
                *y = (-F::of(self.gamma) * z).exp();
            }
        }
    }

    fn backward(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        mut dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        _ctx: &mut Ctx<'_, F>,
    ) {
        let two_gamma = F::of(2.0 * self.gamma);
        for (g, &y) in dy.data().iter_mut().zip(pass.y.data()) {
            *g *= two_gamma * y;
        }
        let Some(dx) = &mut dx[0] else { return };
        let centres = Rows::new(theta, self.input.len());
        for ((x, dx), g) in pass.inputs[0].iter().zip(dx.iter_mut()).zip(dy.as_rows().iter()) {
            dx.fill(F::zero());
            for (centre, &g) in centres.iter().zip(g) {
                for ((dx, &x), &c) in dx.iter_mut().zip(x).zip(centre) {
                    *dx -= g * (x - c);
                }
            }
        }
    }

    fn accumulate(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        g: Rows<'_, F>,
        dtheta: &mut [F],
        _ctx: &mut Ctx<'_, F>,
    ) {
        let width = self.input.len();
        for (x, g) in pass.inputs[0].iter().zip(g.iter()) {
            let centres = theta.chunks_exact(width).zip(dtheta.chunks_exact_mut(width));
            for ((centre, dcentre), &g) in centres.zip(g) {
                for ((dc, &x), &c) in dcentre.iter_mut().zip(x).zip(centre) {
                    *dc += g * (x - c);
                }
            }
        }
    }
}

/// How near the input is to each of several learned centres.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RbfSpec {
    /// Centres.
    #[schemars(range(min = 1))]
    units: usize,
    /// How fast the output falls with the square of the distance.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    gamma: f64,
}

fn one() -> f64 {
    1.0
}

impl Spec for RbfSpec {
    const TYPE: &'static str = "rbf";
}

impl LayerSpec for RbfSpec {
    fn examples() -> Vec<LayerExample> {
        vec![LayerExample::new("units = 3", &[&[2]]), LayerExample::new("units = 2\ngamma = 0.3", &[&[5]])]
    }

    fn build<F: Float>(&self, context: &mut LayerContext<'_, F>) -> Result<Box<dyn Layer<F>>, BuildError> {
        Ok(Box::new(Rbf::new(context.input("rbf")?, self.units, self.gamma)?))
    }
}

fn main() -> ExitCode {
    App::with_builtins().layer::<RbfSpec>().main()
}
