//! The tests that every layer shares.

use crate::gradcheck::{LayerCase, Options, Phase, check_layer};
use crate::{Ctx, Inline, Layer, Rows, RowsMut, initial_buffers};

/// The output for one batch, in evaluation.
pub(crate) fn forward(layer: &dyn Layer<f64>, theta: &[f64], inputs: &[&[f64]]) -> Vec<f64> {
    let widths = layer.input_shapes();
    let inputs: Vec<_> = inputs.iter().zip(&widths).map(|(x, shape)| Rows::new(x, shape.len())).collect();
    let rows = inputs[0].len();
    let width = layer.output_shape().len();
    let mut y = vec![f64::NAN; rows * width];
    let mut tape = vec![f64::NAN; layer.tape().for_rows(rows)];
    let buffers = initial_buffers(&layer.buffers());
    let ctx = &mut Ctx::evaluate(&Inline, &buffers);
    layer.forward(theta, &inputs, RowsMut::new(&mut y, width), &mut tape, ctx);
    y
}

/// Every gradient equals the differences, for `rows` samples, in training and in evaluation, and with padding where the
/// layer skips it.
pub(crate) fn gradients(layer: &dyn Layer<f64>, rows: usize) {
    let positions = layer.masked_positions();
    for phase in [Phase::Train, Phase::Evaluate] {
        for masked in [None, positions.first().copied()] {
            let case = LayerCase { rows, phase, masked, ..LayerCase::default() };
            let report = check_layer(layer, &case, Options::default()).expect("a test's layer is small");
            assert!(report.proves(), "{layer:?}, {phase:?}, masked {masked:?}: {report:#?}");
        }
    }
}
