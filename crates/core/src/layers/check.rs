//! The tests that every layer shares.

use crate::gradcheck::{LayerCase, Options, check_layer};
use crate::{Ctx, Inline, Layer, Rows, RowsMut};

/// The output for one batch, in evaluation.
pub(crate) fn forward(layer: &dyn Layer<f64>, theta: &[f64], inputs: &[&[f64]]) -> Vec<f64> {
    let widths = layer.input_shapes();
    let inputs: Vec<_> = inputs.iter().zip(&widths).map(|(x, shape)| Rows::new(x, shape.len())).collect();
    let rows = inputs[0].len();
    let width = layer.output_shape().len();
    let mut y = vec![f64::NAN; rows * width];
    let mut tape = vec![f64::NAN; layer.tape().for_rows(rows)];
    layer.forward(theta, &inputs, RowsMut::new(&mut y, width), &mut tape, &mut Ctx { executor: &Inline });
    y
}

/// Every gradient equals the differences, for `rows` samples.
pub(crate) fn gradients(layer: &dyn Layer<f64>, rows: usize) {
    let case = LayerCase { rows, zeros: Vec::new() };
    let report = check_layer(layer, &case, Options::default()).expect("a test's layer is small");
    assert!(report.proves(), "{layer:?}: {report:#?}");
}
