//! A short chain of dense layers in one loop, without a call and views for every layer.

use std::sync::Arc;

use crate::affine::{Affine, LANES, Row, Tape};
use crate::matmul::SMALL;
use crate::simd::wide;
use crate::{Activation, Float, Layer, Loss, Rows, RowsMut, Targets};

/// What a layer is that computes `y = f(x Wᵀ + b)` of all of a sample, and nothing else.
#[derive(Clone, Debug)]
pub struct Neurons<F> {
    /// Numbers of `x`.
    pub inputs: usize,
    /// Numbers of `y`.
    pub units: usize,
    /// Whether `b` follows `W` in `theta`.
    pub bias: bool,
    /// `f`.
    pub activation: Arc<dyn Activation<F>>,
}

/// `y = f_L(... f_1(x W_1ᵀ + b_1) ... W_Lᵀ + b_L)` of one row: training sample by sample, a layer's arithmetic takes less
/// time than the way into it and out again.
///
/// # Derivation
/// That of [`Chain`](super::Chain) with every layer a [`Dense`](super::Dense) one, `a_0 = x` and `a_L = y`:
/// ```text
/// z_l = W_l a_{l-1} + b_l        a_l = f_l(z_l)                 l = 1 ... L
/// dz_l = da_l ⊙ f_l'(z_l)        da_{l-1} = W_lᵀ dz_l           l = L ... 1
/// dW_l = dz_l a_{l-1}ᵀ           db_l = dz_l
/// ```
/// Every sum is in the order that the layers themselves have for products of this size, so the bits are theirs, but for the
/// sign of a product that is too small to be written. What happens within a layer is [`Affine`]'s, called by the activation.
///
/// The tape, its own, holds `x`, then of every layer `z_l`, where `f_l'` needs it, `a_l` and `da_l`. Neighbouring layers with the
/// same activation are one call of it.
#[derive(Debug)]
pub(crate) struct Flat<F> {
    runs: Vec<Run<F>>,
    tape: usize,
    first: Affine,
}

/// Calls within each other, one for every run: a file has as many layers as it likes, a stack has an end.
const MAX_RUNS: usize = 32;

/// Layers that follow one another, have the same activation, and are all tiny or all not: one call.
#[derive(Debug)]
struct Run<F> {
    activation: Arc<dyn Activation<F>>,
    layers: Vec<Affine>,
}

impl<F: Float> Run<F> {
    fn takes(&self, layer: &Affine, activation: &dyn Activation<F>) -> bool {
        self.layers[0].is_tiny() == layer.is_tiny() && self.activation.is_same(activation)
    }
}

impl<F: Float> Flat<F> {
    /// The same as `network`, if that is one of these.
    pub(crate) fn of(network: &dyn Layer<F>) -> Option<Self> {
        network.neurons().and_then(Self::new)
    }

    /// Nothing, if a product is more than plain loops are good for, or calls would lie too deep within each other.
    fn new(layers: Vec<Neurons<F>>) -> Option<Self> {
        let is_small = |layer: &Neurons<F>| layer.inputs.saturating_mul(layer.units) <= SMALL;
        if !layers.iter().all(is_small) {
            return None;
        }
        let mut tape = Tape::new(layers.first()?.inputs);
        let mut runs: Vec<Run<F>> = Vec::new();
        for Neurons { inputs, units, bias, activation } in layers {
            let layer = tape.push(inputs, units, bias, activation.needs_input());
            match runs.last_mut().filter(|run| run.takes(&layer, activation.as_ref())) {
                Some(run) => run.layers.push(layer),
                None => runs.push(Run { activation, layers: vec![layer] }),
            }
        }
        if runs.len() > MAX_RUNS {
            return None;
        }
        let first = runs.first()?.layers[0];
        Some(Self { runs, tape: tape.len(), first })
    }

    /// Numbers of the tape.
    pub(crate) fn tape(&self) -> usize {
        self.tape
    }

    /// The way of the row `x` up and back again; gives the sum of the loss.
    #[inline(always)]
    pub(crate) fn gradient(&self, x: &[F], row: &mut Row<'_, F>, loss: &RowLoss<'_, F>) -> f64 {
        copy(self.first.inputs(), x, row.tape);
        let (first, above) = (&self.runs[0], &self.runs[1..]);
        first.activation.row_gradient(&first.layers, row, Above { runs: above, loss })
    }

    /// That by the inputs, once this is done.
    pub(crate) fn input_gradient(&self, theta: &[F], tape: &mut [F], dx: &mut [F]) {
        wide(
            #[inline(always)]
            || self.first.input_gradient(theta, self.first.own(tape).dy, dx),
        );
    }
}

/// The loss of one row.
#[derive(Debug)]
pub(crate) struct RowLoss<'a, F> {
    pub(crate) loss: &'a dyn Loss<F>,
    pub(crate) targets: Targets<'a, F>,
    /// The factor of the gradient of the sum of its terms.
    pub(crate) scale: F,
}

/// What is above some of the layers that a row goes through: further layers, and the loss. As [`Row`], for
/// [`Activation`]'s own methods.
#[derive(Debug)]
pub struct Above<'a, F> {
    runs: &'a [Run<F>],
    loss: &'a RowLoss<'a, F>,
}

impl<F: Float> Above<'_, F> {
    /// From the outputs of the layer `below`, on the tape, to the gradient by them; gives the sum of the loss.
    pub(crate) fn gradient(self, below: &Affine, row: &mut Row<'_, F>) -> f64 {
        if let [run, above @ ..] = self.runs {
            return run.activation.row_gradient(&run.layers, row, Above { runs: above, loss: self.loss });
        }
        let RowLoss { loss, targets, scale } = *self.loss;
        let (y, dy) = below.outputs(row.tape);
        loss.gradient(Rows::one(y), targets, scale, RowsMut::one(dy))
    }

    /// The same for a tiny layer, whose outputs `y` are known; also gives the gradient by them. If there is one output, and
    /// nothing above it but the loss, neither goes through memory, where each would be waited for.
    #[inline(always)]
    pub(crate) fn tiny_gradient(
        self,
        below: &Affine,
        y: [F; LANES],
        row: &mut Row<'_, F>,
    ) -> (f64, [F; LANES]) {
        let zero = F::zero();
        if let ([], Some(target)) = (self.runs, self.loss.targets.only())
            && below.units() == 1
        {
            let (sum, dy) = self.loss.loss.gradient_of_one(y[0], target, self.loss.scale);
            return (sum, [dy, zero, zero, zero]);
        }
        let sum = self.gradient(below, row);
        (sum, below.tiny_output_gradient(row.tape))
    }
}

/// The first `len` numbers; a few without a call.
#[inline(always)]
fn copy<F: Float>(len: usize, x: &[F], tape: &mut [F]) {
    match len {
        1 => tape[..1].copy_from_slice(&x[..1]),
        2 => tape[..2].copy_from_slice(&x[..2]),
        3 => tape[..3].copy_from_slice(&x[..3]),
        4 => tape[..4].copy_from_slice(&x[..4]),
        _ => tape[..len].copy_from_slice(&x[..len]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::activation::{Elu, Gelu, LeakyRelu, Linear, Relu, Sigmoid, Silu, Softmax, Tanh};
    use crate::gradcheck::{self, Options, check_objective};
    use crate::layers::{Chain, Dense, Tuned};
    use crate::loss::{
        BinaryCrossEntropy, BinaryCrossEntropyWithLogits, CrossEntropy, KlDivergence, Mae, Mse, TargetKind,
    };
    use crate::{Ctx, Inline, Objective, Shape, Workspace, parameter_count};

    /// The units of a layer, which activation it has, and whether it has a bias.
    type Plan = (usize, u8, bool);

    fn activation<F: Float>(kind: u8, units: usize) -> Box<dyn Activation<F>> {
        match kind {
            0 => Box::new(Gelu::exact()),
            1 => Box::new(Linear),
            2 => Box::new(Relu),
            3 => Box::new(Sigmoid),
            4 => Box::new(Silu),
            5 => Box::new(Softmax::new(units)),
            _ => Box::new(Tanh),
        }
    }

    /// The layers in a chain, all but the first of them in a chain of their own, the last one frozen.
    fn objective<F: Float>(inputs: usize, plans: &[Plan]) -> Objective<F> {
        judged(inputs, plans, Box::new(Mse))
    }

    fn judged<F: Float>(inputs: usize, plans: &[Plan], loss: Box<dyn Loss<F>>) -> Objective<F> {
        let mut shape = Shape::vector(inputs).unwrap();
        let mut layers: Vec<(String, Box<dyn Layer<F>>)> = Vec::new();
        for &(units, kind, bias) in plans {
            let dense = Dense::new(&shape, units, activation(kind, units)).unwrap();
            shape = Layer::<F>::output_shape(&dense).clone();
            let dense = if bias { dense } else { dense.without_bias() };
            layers.push((layers.len().to_string(), Box::new(dense)));
        }
        let (name, last) = layers.pop().unwrap();
        layers.push((name, Box::new(Tuned::new(last, false, 1.0).unwrap())));
        let inner = layers.split_off(1);
        if !inner.is_empty() {
            layers.push(("inner".into(), Box::new(Chain::new(inner).unwrap())));
        }
        Objective::new(Box::new(Chain::new(layers).unwrap()), loss).unwrap()
    }

    /// The sum of the loss, `dtheta` and `dx`, as bytes.
    fn gradients<F: Float>(objective: &Objective<F>, seed: u64) -> Vec<u8> {
        let t: Vec<F> = numbers(objective.network().output_shape().len(), seed + 2);
        gradients_towards(objective, seed, Targets::Values(Rows::new(&t, t.len())))
    }

    fn gradients_towards<F: Float>(objective: &Objective<F>, seed: u64, targets: Targets<'_, F>) -> Vec<u8> {
        let theta: Vec<F> = numbers(parameter_count(&objective.parameters()).unwrap(), seed);
        let inputs = objective.input_shapes()[0].len();
        let x: Vec<F> = numbers(inputs, seed + 1);
        let mut workspace = Workspace::new(objective.network(), 1).unwrap();
        workspace.fill(F::nan());
        let (mut dtheta, mut dx) = (vec![F::nan(); theta.len()], vec![F::nan(); inputs]);
        let total = objective.gradient(
            &theta,
            &[Rows::new(&x, inputs)],
            targets,
            &mut dtheta,
            &mut [Some(RowsMut::new(&mut dx, inputs))],
            &mut workspace,
            &mut Ctx::evaluate(&Inline, &[]),
        );
        let mut bytes = total.sum.to_le_bytes().to_vec();
        F::append_le_bytes(&dtheta, &mut bytes);
        F::append_le_bytes(&dx, &mut bytes);
        bytes
    }

    fn numbers<F: Float>(len: usize, seed: u64) -> Vec<F> {
        gradcheck::numbers(len, seed, 0).into_iter().map(F::of).collect()
    }

    fn assert_same_bits<F: Float>(inputs: usize, plans: &[Plan], seed: u64) {
        let objective = objective::<F>(inputs, plans);
        assert!(objective.is_flat());
        let flat = gradients(&objective, seed);
        assert!(flat == gradients(&objective.layer_by_layer(), seed), "{} {inputs} {plans:?}", F::NAME);
    }

    proptest! {
        /// Mostly functions that are those of their neighbours, one of which needs its argument for the way back.
        #[test]
        fn has_the_bits_of_tiny_layers(
            inputs in 1..5usize,
            plans in prop::collection::vec((1..6usize, prop::sample::select(vec![0u8, 0, 3]), any::<bool>()), 1..6),
            seed in 0..1000u64,
        ) {
            assert_same_bits::<f32>(inputs, &plans, seed);
            assert_same_bits::<f64>(inputs, &plans, seed);
        }

        #[test]
        fn has_the_bits_of_the_layers(
            inputs in 1..12usize,
            plans in prop::collection::vec((1..12usize, 0..7u8, any::<bool>()), 1..5),
            seed in 0..1000u64,
        ) {
            assert_same_bits::<f32>(inputs, &plans, seed);
            assert_same_bits::<f64>(inputs, &plans, seed);
        }
    }

    /// One output goes to its loss another way; that of `KlDivergence` is the default.
    #[test]
    fn has_the_bits_of_the_layers_with_any_loss() {
        let plans = [(2, 3, true), (1, 3, true)];
        let loss = |kind: u8| -> Box<dyn Loss<f64>> {
            match kind {
                0 => Box::new(Mse),
                1 => Box::new(Mae),
                2 => Box::new(BinaryCrossEntropy),
                3 => Box::new(BinaryCrossEntropyWithLogits),
                4 => Box::new(KlDivergence::new(1)),
                _ => Box::new(CrossEntropy::new(1)),
            }
        };
        for kind in 0..6 {
            let flat = judged(3, &plans, loss(kind));
            let layers = judged(3, &plans, loss(kind)).layer_by_layer();
            assert!(flat.is_flat());
            for seed in 0..20 {
                let targets = match loss(kind).target_kind() {
                    TargetKind::Values => Targets::Values(Rows::new(&[1.0], 1)),
                    TargetKind::Classes(_) => Targets::Classes(&[0]),
                };
                let bytes = gradients_towards(&flat, seed, targets);
                assert!(bytes == gradients_towards(&layers, seed, targets), "{:?}, {seed}", loss(kind));
            }
        }
    }

    /// A call within a call for every change of function: a file may have any number of them.
    #[test]
    fn as_many_functions_as_a_stack_has_room_for() {
        let plans = |len: usize| -> Vec<Plan> { (0..len).map(|i| (1, 1 + (i % 2) as u8, true)).collect() };
        assert_same_bits::<f64>(2, &plans(MAX_RUNS), 1);
        let objective = objective::<f64>(2, &plans(MAX_RUNS + 1));
        assert!(!objective.is_flat());
        assert!(gradients(&objective, 1).len() > MAX_RUNS);
        let same = vec![(1, 2, true); 20 * MAX_RUNS];
        assert_same_bits::<f64>(2, &same, 1);
    }

    #[test]
    fn gradients_equal_central_differences() {
        let objective = objective::<f64>(3, &[(4, 0, true), (5, 6, false), (2, 3, true)]);
        let theta = numbers(parameter_count(&objective.parameters()).unwrap(), 1);
        let (x, t): (Vec<f64>, Vec<f64>) = (numbers(3, 2), numbers(2, 3));
        let (x, t) = (Rows::new(&x, 3), Targets::Values(Rows::new(&t, 2)));
        let report = check_objective(&objective, &theta, x, t, Options::default()).unwrap();
        assert!(report.proves(), "{report:#?}");
    }

    #[test]
    fn functions_of_other_numbers_are_not_the_same() {
        let is_same = |a: &dyn Activation<f32>, b: &dyn Activation<f32>| a.is_same(b);
        assert!(is_same(&LeakyRelu::new(0.1), &LeakyRelu::new(0.1)));
        assert!(!is_same(&LeakyRelu::new(0.1), &LeakyRelu::new(0.2)));
        assert!(!is_same(&LeakyRelu::new(0.1), &Elu::new(0.1)));
    }

    /// One memory for rows in turns, and a batch between them.
    #[test]
    fn rows_one_after_the_other_have_the_bits_of_each_alone() {
        let objective = objective::<f64>(3, &[(4, 0, true), (3, 0, true), (2, 3, true)]);
        let theta = numbers(parameter_count(&objective.parameters()).unwrap(), 1);
        let (x, t): (Vec<f64>, Vec<f64>) = (numbers(15, 2), numbers(10, 3));
        let mut workspace = Workspace::new(objective.network(), 5).unwrap();
        let gradient = |rows: std::ops::Range<usize>, workspace: &mut Workspace<f64>| {
            let mut dtheta = vec![f64::NAN; theta.len()];
            let x = Rows::new(&x[3 * rows.start..3 * rows.end], 3);
            let t = Targets::Values(Rows::new(&t[2 * rows.start..2 * rows.end], 2));
            let ctx = &mut Ctx::evaluate(&Inline, &[]);
            objective.gradient(&theta, &[x], t, &mut dtheta, &mut [None], workspace, ctx);
            dtheta
        };
        let batch = gradient(0..5, &mut workspace);
        for row in [0, 3, 1, 1] {
            let mut own = Workspace::new(objective.network(), 1).unwrap();
            let expected = gradient(row..row + 1, &mut own);
            let mut dtheta = vec![f64::NAN; theta.len()];
            let mut pass = objective.row_pass(&mut workspace).unwrap();
            let target = Targets::Values(Rows::one(&t[2 * row..][..2]));
            pass.gradient(&theta, &x[3 * row..][..3], target, &mut dtheta);
            assert_eq!(dtheta, expected);
            assert_eq!(gradient(0..5, &mut workspace), batch);
        }
    }

    #[test]
    fn neighbours_with_the_same_function_are_one_call() {
        let neurons = |units: &[(usize, u8)]| -> Vec<Neurons<f64>> {
            let mut inputs = 2;
            let layer = |&(units, kind): &(usize, u8)| {
                let activation = activation(kind, units).into();
                Neurons { inputs: std::mem::replace(&mut inputs, units), units, bias: true, activation }
            };
            units.iter().map(layer).collect()
        };
        let lengths = |units: &[(usize, u8)]| -> Vec<usize> {
            Flat::new(neurons(units)).unwrap().runs.iter().map(|run| run.layers.len()).collect()
        };
        assert_eq!(lengths(&[(2, 3), (1, 3)]), [2]);
        assert_eq!(lengths(&[(2, 3), (3, 6), (3, 6), (1, 1)]), [1, 2, 1]);
        // Of another size, or a function that does not know whether another is the same.
        assert_eq!(lengths(&[(2, 3), (9, 3), (9, 3), (1, 3)]), [1, 3]);
        assert_eq!(lengths(&[(2, 5), (2, 5)]), [1, 1]);
    }

    #[test]
    fn is_of_small_layers_and_of_the_whole_of_a_sample() {
        assert!(objective::<f64>(2, &[(256, 1, true), (2, 1, true)]).is_flat());
        assert!(!objective::<f64>(2, &[(257, 1, true), (2, 1, true)]).is_flat());
        let dense = Dense::<f64>::new(&Shape::new([2, 3]).unwrap(), 2, Box::new(Linear)).unwrap();
        assert!(dense.neurons().is_none());
    }
}
