//! The tests that every cell shares: PyTorch's numbers, and the gradients.

use super::{Cell, Recurrent, RecurrentConfig};
use crate::layers::check;
use crate::{Ctx, Inline, Layer, Rows, RowsMut, Shape, parameter_count};

/// The numbers that PyTorch was given.
fn numbers(len: usize, seed: usize) -> Vec<f64> {
    (0..len).map(|index| (((index * 7 + seed * 3) % 13) as f64 - 6.0) / 8.0).collect()
}

fn layer<C: Cell>(axes: [usize; 2], cell: C, config: RecurrentConfig) -> Recurrent<C> {
    Recurrent::new(&Shape::new(axes).unwrap(), cell, config).unwrap()
}

fn theta_of(layer: &dyn Layer<f64>) -> Vec<f64> {
    numbers(parameter_count(&layer.parameters()).unwrap(), 1)
}

fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let close = |(found, expected): (&f64, &f64)| (found - expected).abs() < 1e-14 * expected.abs().max(1.0);
    assert!(found.iter().zip(expected).all(close), "{found:?} for {expected:?}");
}

/// The states of two units at three steps of two features.
pub(super) fn sequence<C: Cell>(cell: C, states: &[f64]) {
    let config = RecurrentConfig { return_sequences: true, ..RecurrentConfig::new(2) };
    let all = layer([3, 2], cell.clone(), config);
    let x = numbers(6, 1);
    assert_close(&check::forward(&all, &theta_of(&all), &[&x]), states);
    let last = layer([3, 2], cell, RecurrentConfig::new(2));
    assert_close(&check::forward(&last, &theta_of(&last), &[&x]), &states[4..]);
}

/// The states, forward and backward, of the upper of two layers of one unit at three steps of two samples, of which the
/// second ends after two.
pub(super) fn padded<C: Cell>(cell: C, sequences: &[[f64; 2]; 6]) {
    let config =
        RecurrentConfig { layers: 2, bidirectional: true, return_sequences: true, ..RecurrentConfig::new(1) };
    let (mut x, mask) = (numbers(12, 1), [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
    // Nothing at padding is read.
    x[10..].fill(f64::NAN);
    let run = |layer: &dyn Layer<f64>| {
        let width = layer.output_shape().len();
        let (mut y, mut tape) = (vec![f64::NAN; 2 * width], vec![f64::NAN; layer.tape().for_rows(2)]);
        let ctx = Ctx::evaluate(&Inline, &[]);
        let ctx = &mut Ctx { mask: Some(Rows::new(&mask, 3)), ..ctx };
        layer.forward(&theta_of(layer), &[Rows::new(&x, 6)], RowsMut::new(&mut y, width), &mut tape, ctx);
        y
    };
    assert_close(&run(&layer([3, 2], cell.clone(), config.clone())), sequences.as_flattened());
    let last = layer([3, 2], cell, RecurrentConfig { return_sequences: false, ..config });
    let s = sequences;
    assert_close(&run(&last), &[s[2][0], s[0][1], s[4][0], s[3][1]]);
}

pub(super) fn gradients<C: Cell>(cell: C) {
    let one = RecurrentConfig::new;
    for (rows, time, features, config) in [
        (1, 2, 1, one(1)),
        (2, 3, 2, one(3)),
        (7, 4, 3, RecurrentConfig { return_sequences: true, ..one(2) }),
        (3, 3, 5, RecurrentConfig { bias: false, return_sequences: true, ..one(4) }),
        (5, 3, 2, RecurrentConfig { bidirectional: true, ..one(2) }),
        (2, 3, 4, RecurrentConfig { bidirectional: true, return_sequences: true, ..one(1) }),
        (3, 3, 2, RecurrentConfig { layers: 3, return_sequences: true, ..one(2) }),
        (4, 3, 2, RecurrentConfig { layers: 2, bidirectional: true, ..one(2) }),
        (9, 2, 5, RecurrentConfig { layers: 2, bidirectional: true, return_sequences: true, ..one(5) }),
    ] {
        check::gradients(&layer([time, features], cell.clone(), config), rows);
    }
}

mod tests {
    use super::super::{GruCell, LstmCell, MAX_STACKED, SimpleRnnCell};
    use super::*;
    use crate::{Error, Pass};

    #[test]
    fn names_are_pytorchs() {
        let config = RecurrentConfig { layers: 2, bidirectional: true, ..RecurrentConfig::new(5) };
        let lstm = layer([7, 3], LstmCell, config);
        let found: Vec<String> = Layer::<f64>::parameters(&lstm)
            .into_iter()
            .map(|tensor| format!("{} {}", tensor.name, tensor.shape))
            .collect();
        assert_eq!(
            found,
            [
                "weight_ih_l0 [20, 3]",
                "weight_hh_l0 [20, 5]",
                "bias_ih_l0 [20]",
                "bias_hh_l0 [20]",
                "weight_ih_l0_reverse [20, 3]",
                "weight_hh_l0_reverse [20, 5]",
                "bias_ih_l0_reverse [20]",
                "bias_hh_l0_reverse [20]",
                "weight_ih_l1 [20, 10]",
                "weight_hh_l1 [20, 5]",
                "bias_ih_l1 [20]",
                "bias_hh_l1 [20]",
                "weight_ih_l1_reverse [20, 10]",
                "weight_hh_l1_reverse [20, 5]",
                "bias_ih_l1_reverse [20]",
                "bias_hh_l1_reverse [20]",
            ]
        );
    }

    #[test]
    fn refuses_what_is_no_sequence_and_stacks_of_no_layer() {
        let build = |axes: &[usize], config| Recurrent::new(&Shape::new(axes).unwrap(), GruCell, config);
        let error = build(&[784], RecurrentConfig::new(2)).unwrap_err().to_string();
        assert!(error.starts_with("gru: a sequence has 2 axes, [time, features], but the input is [784]"));
        for layers in [0, MAX_STACKED + 1, usize::MAX] {
            let error = build(&[3, 2], RecurrentConfig { layers, ..RecurrentConfig::new(2) }).unwrap_err();
            assert_eq!(error.to_string(), format!("gru: layers is {layers}, but must be 1 to 64"));
        }
        assert!(matches!(build(&[3, 2], RecurrentConfig::new(0)), Err(Error::EmptyShape { .. })));
    }

    #[test]
    fn refuses_sizes_that_no_memory_holds() {
        for (time, features, units) in [
            (1, 1, usize::MAX),
            (1, 1, 1 << 31),
            (1, 1 << 40, 1 << 40),
            (1 << 40, 1, 1 << 20),
            (1 << 59, 1, 1),
        ] {
            let config = RecurrentConfig { bidirectional: true, layers: 64, ..RecurrentConfig::new(units) };
            let built = Recurrent::new(&Shape::new([time, features]).unwrap(), LstmCell, config);
            assert!(matches!(built, Err(Error::TooLarge { .. })), "{time} {features} {units}");
        }
    }

    /// More rows than a tile has: each number is the one of the row alone.
    #[test]
    fn tiles_change_nothing() {
        let config =
            RecurrentConfig { bidirectional: true, return_sequences: true, ..RecurrentConfig::new(16) };
        let layer = layer([8, 40], GruCell, config);
        let rows = 2 * layer.tile + 5;
        assert!(layer.tile < 64, "{}", layer.tile);
        let theta = theta_of(&layer);
        let x = numbers(rows * 320, 2);
        let together = gradients_of(&layer, &theta, &x, rows);
        let mut dtheta = vec![0.0; theta.len()];
        for row in 0..rows {
            let alone = gradients_of(&layer, &theta, &x[row * 320..][..320], 1);
            assert_close(&together.0[row * 256..][..256], &alone.0);
            assert_close(&together.1[row * 320..][..320], &alone.1);
            dtheta.iter_mut().zip(alone.2).for_each(|(sum, term)| *sum += term);
        }
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-10;
        assert!(together.2.iter().zip(&dtheta).all(close));
    }

    /// Output, `dx` and `dtheta`, for a gradient of ones.
    fn gradients_of(
        layer: &dyn Layer<f64>,
        theta: &[f64],
        x: &[f64],
        rows: usize,
    ) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let inputs = [Rows::new(x, x.len() / rows)];
        let width = layer.output_shape().len();
        let (mut y, mut tape) = (vec![f64::NAN; rows * width], vec![f64::NAN; layer.tape().for_rows(rows)]);
        let (mut dy, mut dx) = (vec![1.0; rows * width], vec![f64::NAN; x.len()]);
        let mut dtheta = vec![0.0; theta.len()];
        let ctx = &mut Ctx::evaluate(&Inline, &[]);
        layer.forward(theta, &inputs, RowsMut::new(&mut y, width), &mut tape, ctx);
        let y_rows = Rows::new(&y, width);
        let pass = Pass { inputs: &inputs, y: y_rows, tape: &mut tape };
        let mut asked = [Some(RowsMut::new(&mut dx, inputs[0].width()))];
        layer.backward(theta, pass, RowsMut::new(&mut dy, width), &mut asked, ctx);
        let pass = Pass { inputs: &inputs, y: y_rows, tape: &mut tape };
        layer.accumulate(theta, pass, Rows::new(&dy, width), &mut dtheta, ctx);
        (y, dx, dtheta)
    }

    #[test]
    fn a_sample_of_padding_alone_is_zero_and_moves_nothing() {
        let layer = layer([2, 3], SimpleRnnCell::Tanh, RecurrentConfig::new(2));
        let theta = theta_of(&layer);
        let (x, mask) = ([f64::NAN; 6], [0.0; 2]);
        let (mut y, mut tape) = ([f64::NAN; 2], vec![f64::NAN; Layer::<f64>::tape(&layer).for_rows(1)]);
        let (mut dy, mut dx, mut dtheta) = ([1.0; 2], [f64::NAN; 6], vec![0.0; theta.len()]);
        let inputs = [Rows::new(&x, 6)];
        let ctx = Ctx::evaluate(&Inline, &[]);
        let ctx = &mut Ctx { mask: Some(Rows::new(&mask, 2)), ..ctx };
        layer.forward(&theta, &inputs, RowsMut::new(&mut y, 2), &mut tape, ctx);
        let y_rows = Rows::new(&y, 2);
        let pass = Pass { inputs: &inputs, y: y_rows, tape: &mut tape };
        layer.backward(&theta, pass, RowsMut::new(&mut dy, 2), &mut [Some(RowsMut::new(&mut dx, 6))], ctx);
        let pass = Pass { inputs: &inputs, y: y_rows, tape: &mut tape };
        layer.accumulate(&theta, pass, Rows::new(&dy, 2), &mut dtheta, ctx);
        assert_eq!((y, dx), ([0.0; 2], [0.0; 6]));
        assert!(dtheta.iter().all(|&gradient| gradient == 0.0));
    }
}
