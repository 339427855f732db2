//! Bugs that the checker must find, planted one at a time into a dense layer written out here.

use super::{
    LayerCase, Options, Phase, Verdict, batch_additivity, check_layer, check_objective, transpose_identity,
};
use crate::activation::{Relu, Tanh};
use crate::layers::{Activate, Chain, Dense};
use crate::loss::{Loss, Mse, TargetKind, Targets};
use crate::matmul::Accumulate;
use crate::{
    Ctx, Derivation, Fans, Initializer, Layer, Objective, Parameter, Pass, Role, Rows, RowsMut, Rule, Shape,
};

/// What is wrong with a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    DroppedTerm,
    WrongSign,
    TransposedWeight,
    OneTermOff,
    OverwrittenGradient,
    ReadsGradientBuffer,
    AddsWhereItWrites,
    WritesAnother,
    AddsToInputGradient,
    ZeroGradient,
}

/// `y = x Wᵀ + b`, 3 to 3, by loops, so that every bug has a line of its own.
#[derive(Debug)]
struct Buggy(Bug, Shape);

const N: usize = 3;

impl Layer<f64> for Buggy {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.1.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.1
    }

    fn parameters(&self) -> Vec<Parameter> {
        let fans = Fans { fan_in: N, fan_out: N };
        let parameter = |name: &str, axes: &[usize], role| {
            Parameter::new(name, Shape::new(axes).unwrap(), role, Initializer::Zeros, fans)
        };
        vec![parameter("weight", &[N, N], Role::Weight), parameter("bias", &[N], Role::Bias)]
    }

    fn multiply_adds(&self) -> usize {
        N * N
    }

    fn derivation(&self) -> Derivation {
        Derivation::default()
    }

    fn forward(
        &self,
        theta: &[f64],
        inputs: &[Rows<'_, f64>],
        mut y: RowsMut<'_, f64>,
        _tape: &mut [f64],
        _ctx: &mut Ctx<'_, f64>,
    ) {
        for (y, x) in y.iter_mut().zip(inputs[0].iter()) {
            for j in 0..N {
                y[j] = theta[N * N + j] + (0..N).map(|k| theta[j * N + k] * x[k]).sum::<f64>();
            }
        }
    }

    fn backward(
        &self,
        theta: &[f64],
        _pass: Pass<'_, f64>,
        dy: RowsMut<'_, f64>,
        dx: &mut [Option<RowsMut<'_, f64>>],
        _ctx: &mut Ctx<'_, f64>,
    ) {
        let Some(dx) = &mut dx[0] else { return };
        for (dx, dy) in dx.iter_mut().zip(dy.as_rows().iter()) {
            for k in 0..N {
                let weight = |j: usize| match self.0 {
                    Bug::TransposedWeight => theta[k * N + j],
                    Bug::OneTermOff if (j, k) == (1, 2) => 1.0001 * theta[j * N + k],
                    _ => theta[j * N + k],
                };
                let first = if self.0 == Bug::DroppedTerm { 1 } else { 0 };
                let sum = (first..N).map(|j| dy[j] * weight(j)).sum::<f64>();
                match self.0 {
                    Bug::AddsToInputGradient => dx[k] += sum,
                    Bug::ZeroGradient => dx[k] = 0.0,
                    _ => dx[k] = sum,
                }
            }
        }
    }

    fn accumulate(
        &self,
        _theta: &[f64],
        pass: Pass<'_, f64>,
        dy: Rows<'_, f64>,
        dtheta: &mut [f64],
        _ctx: &mut Ctx<'_, f64>,
    ) {
        if self.0 == Bug::OverwrittenGradient {
            dtheta.fill(0.0);
        }
        for (dy, x) in dy.iter().zip(pass.inputs[0].iter()) {
            for j in 0..N {
                for k in 0..N {
                    dtheta[j * N + k] += dy[j] * x[k];
                }
                let bias = if self.0 == Bug::WrongSign { -dy[j] } else { dy[j] };
                let bias = if self.0 == Bug::ReadsGradientBuffer { bias * dtheta[N * N + j] } else { bias };
                dtheta[N * N + j] += bias;
            }
        }
    }

    fn parameter_gradient(
        &self,
        into: Accumulate,
        theta: &[f64],
        pass: Pass<'_, f64>,
        dy: Rows<'_, f64>,
        dtheta: &mut [f64],
        ctx: &mut Ctx<'_, f64>,
    ) {
        if into == Accumulate::Replace && self.0 != Bug::AddsWhereItWrites {
            dtheta.fill(0.0);
        }
        self.accumulate(theta, pass, dy, dtheta, ctx);
        if into == Accumulate::Replace && self.0 == Bug::WritesAnother {
            dtheta[1] *= 1.0001;
        }
    }
}

fn check(bug: Bug) -> super::Report {
    let layer = Buggy(bug, Shape::vector(N).unwrap());
    check_layer(&layer, &LayerCase { rows: 7, zeros: Vec::new(), ..LayerCase::default() }, Options::default())
        .unwrap()
}

#[test]
fn the_layer_without_a_bug_passes() {
    let report = check(Bug::None);
    assert!(report.proves(), "{report:?}");
    assert_eq!(report.coverage(), 1.0);
    assert!(report.tensors.iter().all(|tensor| tensor.error < 1e-10), "{report:?}");
}

#[test]
fn every_planted_bug_fails_in_the_tensor_where_it_is() {
    for (bug, tensor) in [
        (Bug::DroppedTerm, "x"),
        (Bug::WrongSign, "bias"),
        (Bug::TransposedWeight, "x"),
        (Bug::OneTermOff, "x"),
        (Bug::OverwrittenGradient, "weight"),
        (Bug::ReadsGradientBuffer, "bias"),
        (Bug::AddsWhereItWrites, "weight"),
        (Bug::WritesAnother, "weight"),
        (Bug::AddsToInputGradient, "x"),
        (Bug::ZeroGradient, "x"),
    ] {
        let report = check(bug);
        let failed = |name: &str| {
            report.tensors.iter().any(|tensor| tensor.name == name && tensor.verdict == Verdict::Failed)
        };
        assert!(!report.passed() && !report.proves() && failed(tensor), "{bug:?}: {report:?}");
    }
}

#[test]
fn two_ways_that_differ_break_the_laws_too() {
    let case = LayerCase { rows: 3, phase: Phase::Evaluate, ..LayerCase::default() };
    let errors = |bug| {
        let layer = Buggy(bug, Shape::vector(N).unwrap());
        let options = Options::default();
        [batch_additivity(&layer, &case, options), transpose_identity(&layer, &case, options)]
            .map(Result::unwrap)
    };
    assert!(errors(Bug::None).iter().all(|&error| error < 1e-7));
    assert!(errors(Bug::WritesAnother).iter().all(|error| error.is_nan()));
}

/// A squared error that forgets to divide its gradient by the number of terms.
#[derive(Debug)]
struct WithoutMean;

impl Loss<f64> for WithoutMean {
    fn target_kind(&self) -> TargetKind {
        TargetKind::Values
    }

    fn terms(&self, y: Rows<'_, f64>) -> f64 {
        Loss::terms(&Mse, y)
    }

    fn value(&self, y: Rows<'_, f64>, targets: Targets<'_, f64>) -> f64 {
        Loss::value(&Mse, y, targets)
    }

    fn gradient(
        &self,
        y: Rows<'_, f64>,
        targets: Targets<'_, f64>,
        _scale: f64,
        dy: RowsMut<'_, f64>,
    ) -> f64 {
        Loss::gradient(&Mse, y, targets, 1.0, dy)
    }

    fn rule(&self) -> Rule {
        Loss::<f64>::rule(&Mse)
    }
}

fn dense(activation: Box<dyn crate::Activation<f64>>) -> Box<dyn Layer<f64>> {
    Box::new(Dense::new(&Shape::vector(2).unwrap(), 2, activation).unwrap())
}

const X: [f64; 6] = [0.3, -0.4, 1.2, 0.5, -0.7, 0.9];
const T: [f64; 6] = [1.0, 0.0, 0.0, 1.0, 1.0, 0.5];
const THETA: [f64; 6] = [0.5, -0.3, 0.8, 0.2, 0.1, -0.6];

fn check_loss(loss: Box<dyn Loss<f64>>) -> super::Report {
    let objective = Objective::new(dense(Box::new(Tanh)), loss).unwrap();
    let (x, t) = (Rows::new(&X, 2), Targets::Values(Rows::new(&T, 2)));
    check_objective(&objective, &THETA, x, t, Options::default()).unwrap()
}

#[test]
fn a_missing_division_by_the_batch_fails() {
    assert!(check_loss(Box::new(Mse)).proves());
    let report = check_loss(Box::new(WithoutMean));
    assert!(report.tensors.iter().all(|tensor| tensor.verdict == Verdict::Failed), "{report:?}");
}

#[test]
fn a_gradient_that_is_zero_everywhere_proves_nothing() {
    // Far below zero a relu is dead, and so is all before it.
    let objective = Objective::new(dense(Box::new(Relu)), Box::new(Mse) as Box<dyn Loss<f64>>).unwrap();
    let theta = [0.5, -0.3, 0.8, 0.2, -50.0, -50.0];
    let (x, t) = (Rows::new(&X, 2), Targets::Values(Rows::new(&T, 2)));
    let report = check_objective(&objective, &theta, x, t, Options::default()).unwrap();
    assert!(report.passed() && !report.proves());
    assert!(report.tensors.iter().all(|tensor| tensor.verdict == Verdict::Zero), "{report:?}");
}

#[test]
fn a_zero_must_be_declared_and_is_then_checked() {
    // Softmax does not change when all scores do: the bias of one score for all has no gradient.
    let shape = Shape::vector(1).unwrap();
    let one = Activate::new(&shape, Box::new(crate::activation::Softmax::new(1)));
    let zeros = vec![("x".to_owned(), "a softmax over one class is constant")];
    let report = check_layer(
        &one,
        &LayerCase { rows: 2, zeros: zeros.clone(), ..LayerCase::default() },
        Options::default(),
    )
    .unwrap();
    assert!(report.proves(), "{report:?}");
    let not_zero = Activate::new(&shape, Box::new(Tanh));
    let report =
        check_layer(&not_zero, &LayerCase { rows: 2, zeros, ..LayerCase::default() }, Options::default())
            .unwrap();
    assert!(!report.passed(), "{report:?}");
}

#[test]
fn kinks_are_counted_and_left_out_and_bugs_are_not_kinks() {
    // The first sum is exactly zero for the first sample: every parameter of that neuron crosses the kink.
    let objective = Objective::new(dense(Box::new(Relu)), Box::new(Mse) as Box<dyn Loss<f64>>).unwrap();
    let theta = [1.0, 0.75, 0.8, 0.2, 0.0, 0.6];
    let (x, t) = (Rows::new(&X, 2), Targets::Values(Rows::new(&T, 2)));
    let report = check_objective(&objective, &theta, x, t, Options::default()).unwrap();
    assert!(report.passed(), "{report:?}");
    let kinks: Vec<usize> = report.tensors.iter().map(|tensor| tensor.kinks).collect();
    assert_eq!(kinks, [2, 1, 2]);
    let samples: Vec<_> = (0..3)
        .map(|row| (Rows::new(&X, 2).slice(row, 1), Targets::Values(Rows::new(&T, 2).slice(row, 1))))
        .collect();
    let crossing = super::samples_crossing(&objective, &theta, &samples, Options::default()).unwrap();
    assert_eq!(crossing, [true, false, false]);
}

#[test]
fn large_tensors_are_sampled_and_the_share_is_stated() {
    let layers: Vec<(String, Box<dyn Layer<f64>>)> =
        vec![("a".into(), dense(Box::new(Tanh))), ("b".into(), dense(Box::new(Tanh)))];
    let chain = Chain::new(layers).unwrap();
    let options = Options { entries: 2, ..Options::default() };
    let report =
        check_layer(&chain, &LayerCase { rows: 3, zeros: Vec::new(), ..LayerCase::default() }, options)
            .unwrap();
    assert!(report.proves());
    assert!(report.tensors.iter().all(|tensor| tensor.checked == 2));
    assert_eq!(report.coverage(), 10.0 / 18.0);
}
