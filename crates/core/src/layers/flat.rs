//! A short chain of dense layers in one loop, without a call and views for every layer.

use std::sync::Arc;

use crate::affine::{Affine, RowBackward, RowForward};
use crate::matmul::SMALL;
use crate::{Activation, Float};

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
/// Every sum is in the order that the layers themselves have for products of this size, so the bits are theirs. What happens
/// within a layer is [`Affine`]'s, called by the activation.
///
/// The tape holds, as a chain's does, `z_l`, where `f_l'` needs it, `a_l` and `da_l` of every layer but the last, and `z_L`.
#[derive(Debug)]
pub(crate) struct Flat<F> {
    parts: Vec<Part<F>>,
}

#[derive(Debug)]
struct Part<F> {
    affine: Affine,
    /// Numbers of `W` and `b`.
    parameters: usize,
    /// Numbers of `z` that are kept for the way back.
    kept: usize,
    activation: Arc<dyn Activation<F>>,
}

impl<F: Float> Flat<F> {
    /// Nothing, if a product is more than plain loops are good for.
    pub(crate) fn new(layers: Vec<Neurons<F>>) -> Option<Self> {
        let is_small = |layer: &Neurons<F>| layer.inputs.saturating_mul(layer.units) <= SMALL;
        let all = layers.iter().all(is_small);
        all.then(|| Self { parts: layers.into_iter().map(Part::new).collect() })
    }

    pub(crate) fn forward(&self, theta: &[F], x: &[F], y: &mut [F], tape: &mut [F]) {
        let Some((last, hidden)) = self.parts.split_last() else { return };
        let (mut theta, mut x, mut tape) = (theta, x, tape);
        for part in hidden {
            let (own, rest_of_theta) = theta.split_at(part.parameters);
            let (z, rest) = tape.split_at_mut(part.kept);
            let (a, rest) = rest.split_at_mut(part.affine.units);
            let (_da, rest) = rest.split_at_mut(part.affine.units);
            part.forward(RowForward { theta: own, x, z, y: a });
            (theta, x, tape) = (rest_of_theta, a, rest);
        }
        last.forward(RowForward { theta, x, z: tape, y });
    }

    /// Both halves of the way back, layer by layer; `dx` is empty where it is not asked for.
    pub(crate) fn backward(
        &self,
        theta: &[F],
        (x, y, tape): (&[F], &[F], &mut [F]),
        dy: &mut [F],
        dx: &mut [F],
        dtheta: &mut [F],
    ) {
        let (mut theta, mut dtheta, mut tape) = (theta, dtheta, tape);
        let (mut a, mut da) = (y, dy);
        for pair in self.parts.windows(2).rev() {
            let (below, part) = (&pair[0], &pair[1]);
            let start = theta.len() - part.parameters;
            let (theta_below, own) = theta.split_at(start);
            let (dtheta_below, own_dtheta) = dtheta.split_at_mut(start);
            let (rest, z) = tape.split_at_mut(tape.len() - part.kept);
            let (rest, dx) = rest.split_at_mut(rest.len() - below.affine.units);
            let (rest, a_below) = rest.split_at_mut(rest.len() - below.affine.units);
            part.backward(RowBackward { theta: own, x: a_below, z, y: a, dy: da, dx, dtheta: own_dtheta });
            (theta, dtheta, tape, a, da) = (theta_below, dtheta_below, rest, a_below, dx);
        }
        if let Some(first) = self.parts.first() {
            first.backward(RowBackward { theta, x, z: tape, y: a, dy: da, dx, dtheta });
        }
    }
}

impl<F: Float> Part<F> {
    fn new(neurons: Neurons<F>) -> Self {
        let Neurons { inputs, units, bias, activation } = neurons;
        let affine = Affine { inputs, units, bias };
        let kept = if activation.needs_input() { units } else { 0 };
        Self { affine, parameters: affine.parameters(), kept, activation }
    }

    /// `a = f(W x + b)`, with the sums in `z` if they are kept.
    #[inline(always)]
    fn forward(&self, row: RowForward<'_, F>) {
        self.activation.row_forward(&self.affine, row);
    }

    /// `da` becomes `dz = da ⊙ f'(z)`; then `dW = dz xᵀ`, `db = dz`, and `dx = Wᵀ dz` unless it is empty.
    #[inline(always)]
    fn backward(&self, row: RowBackward<'_, F>) {
        self.activation.row_backward(&self.affine, row);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::activation::{Gelu, Linear, Relu, Sigmoid, Silu, Softmax, Tanh};
    use crate::gradcheck::{self, Options, check_objective};
    use crate::layers::{Chain, Dense, Tuned};
    use crate::loss::Mse;
    use crate::{Ctx, Inline, Layer, Objective, Rows, RowsMut, Shape, Targets, Workspace, parameter_count};

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
        Objective::new(Box::new(Chain::new(layers).unwrap()), Box::new(Mse)).unwrap()
    }

    /// The sum of the loss, `dtheta` and `dx`, as bytes.
    fn gradients<F: Float>(objective: &Objective<F>, seed: u64) -> Vec<u8> {
        let theta: Vec<F> = numbers(parameter_count(&objective.parameters()).unwrap(), seed);
        let (inputs, outputs) = (objective.input_shapes()[0].len(), objective.network().output_shape().len());
        let (x, t): (Vec<F>, Vec<F>) = (numbers(inputs, seed + 1), numbers(outputs, seed + 2));
        let mut workspace = Workspace::new(objective.network(), 1).unwrap();
        workspace.fill(F::nan());
        let (mut dtheta, mut dx) = (vec![F::nan(); theta.len()], vec![F::nan(); inputs]);
        let total = objective.gradient(
            &theta,
            &[Rows::new(&x, inputs)],
            Targets::Values(Rows::new(&t, outputs)),
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
    fn is_of_small_layers_and_of_the_whole_of_a_sample() {
        assert!(objective::<f64>(2, &[(256, 1, true), (2, 1, true)]).is_flat());
        assert!(!objective::<f64>(2, &[(257, 1, true), (2, 1, true)]).is_flat());
        let dense = Dense::<f64>::new(&Shape::new([2, 3]).unwrap(), 2, Box::new(Linear)).unwrap();
        assert!(dense.neurons().is_none());
    }
}
