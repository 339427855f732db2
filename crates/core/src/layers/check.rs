//! The tests that every layer shares.

use crate::gradcheck::{LayerCase, Options, Phase, check_layer};
use crate::{Ctx, Draw, Float, Inline, Layer, Pass, Rows, RowsMut, initial_buffers};

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
        if phase == Phase::Train && rows < layer.least_rows() {
            continue;
        }
        for masked in [None, positions.first().copied()] {
            let case = LayerCase { rows, phase, masked, ..LayerCase::default() };
            let report = check_layer(layer, &case, Options::default()).expect("a test's layer is small");
            assert!(report.proves(), "{layer:?}, {phase:?}, masked {masked:?}: {report:#?}");
        }
    }
}

/// What one step of training did.
pub(crate) struct Step<F> {
    pub(crate) y: Vec<F>,
    pub(crate) dx: Vec<Vec<F>>,
    pub(crate) dtheta: Vec<F>,
    pub(crate) buffers: Vec<F>,
}

/// One step of training for one batch: forward, then back from `dy`.
pub(crate) fn train<F: Float>(
    layer: &dyn Layer<F>,
    theta: &[F],
    inputs: &[&[F]],
    dy: &[F],
    draw: Draw,
) -> Step<F> {
    let widths: Vec<usize> = layer.input_shapes().iter().map(crate::Shape::len).collect();
    let views: Vec<_> = inputs.iter().zip(&widths).map(|(x, &width)| Rows::new(x, width)).collect();
    let (rows, width) = (views[0].len(), layer.output_shape().len());
    let mut y = vec![F::nan(); rows * width];
    let mut dy = dy.to_vec();
    let mut tape = vec![F::nan(); layer.tape().for_rows(rows)];
    let mut dx: Vec<Vec<F>> = inputs.iter().map(|x| vec![F::nan(); x.len()]).collect();
    let mut dtheta = vec![F::zero(); theta.len()];
    let mut buffers = initial_buffers(&layer.buffers());

    let ctx = &mut Ctx::train(&Inline, &mut buffers, draw);
    layer.forward(theta, &views, RowsMut::new(&mut y, width), &mut tape, ctx);
    let mut asked: Vec<_> =
        dx.iter_mut().zip(&widths).map(|(dx, &width)| Some(RowsMut::new(dx, width))).collect();
    let pass = Pass { inputs: &views, y: Rows::new(&y, width), tape: &mut tape };
    layer.backward(theta, pass, RowsMut::new(&mut dy, width), &mut asked, ctx);
    let pass = Pass { inputs: &views, y: Rows::new(&y, width), tape: &mut tape };
    layer.accumulate(theta, pass, Rows::new(&dy, width), &mut dtheta, ctx);
    Step { y, dx, dtheta, buffers }
}

/// Checks that numbers are those of a reference, which is given with a few digits.
#[track_caller]
pub(crate) fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance, "{at}: {found} against {expected}");
    }
}

/// Numbers between -1.5 and 1.7 that a reference in another language can make too.
pub(crate) fn pattern(len: usize, seed: usize) -> Vec<f64> {
    (0..len).map(|i| ((i * 7 + seed * 13) % 23) as f64 / 7.0 - 1.5).collect()
}

/// Numbers that another program can make as easily.
pub(crate) fn numbers(len: usize, seed: usize) -> impl Iterator<Item = f64> {
    (0..len).map(move |i| ((i * 7 + seed * 13) % 23) as f64 / 7.0 - 1.5)
}

/// One number that all numbers move.
fn digest(values: &[f64]) -> f64 {
    (1..).zip(values).map(|(i, value)| value * (0.01 * f64::from(i)).cos()).sum()
}

/// Digests of the output and the gradients by each input and each tensor, for two samples, in evaluation. Tensors are
/// [`numbers`] with the seeds 1, 2 ..., halved; inputs with 5, 6 ...; `dL/dy` with 8.
pub(crate) fn digests(layer: &dyn Layer<f64>, mask: Option<&[f64]>) -> Vec<f64> {
    let parameters = layer.parameters();
    let tensors = parameters.iter().enumerate();
    let tensors = tensors.map(|(index, tensor)| numbers(tensor.shape.len(), index + 1));
    let theta: Vec<f64> = tensors.flatten().map(|number| 0.5 * number).collect();
    let widths: Vec<usize> = layer.input_shapes().iter().map(crate::Shape::len).collect();
    let inputs: Vec<Vec<f64>> =
        (5..).zip(&widths).map(|(seed, &width)| numbers(2 * width, seed).collect()).collect();
    let views: Vec<Rows<'_, f64>> =
        inputs.iter().zip(&widths).map(|(x, &width)| Rows::new(x, width)).collect();
    let width = layer.output_shape().len();
    let (mut y, mut dtheta) = (vec![f64::NAN; 2 * width], vec![0.0; theta.len()]);
    let mut dx: Vec<Vec<f64>> = inputs.iter().map(|x| vec![f64::NAN; x.len()]).collect();
    let mut tape = vec![f64::NAN; layer.tape().for_rows(2)];
    let buffers = initial_buffers(&layer.buffers());
    let ctx = &mut Ctx::evaluate(&Inline, &buffers);
    ctx.mask = mask.map(|mask| Rows::new(mask, mask.len() / 2));
    layer.forward(&theta, &views, RowsMut::new(&mut y, width), &mut tape, ctx);

    let mut dy: Vec<f64> = numbers(y.len(), 8).collect();
    let mut asked: Vec<_> =
        dx.iter_mut().zip(&widths).map(|(dx, &width)| Some(RowsMut::new(dx, width))).collect();
    let pass = Pass { inputs: &views, y: Rows::new(&y, width), tape: &mut tape };
    layer.backward(&theta, pass, RowsMut::new(&mut dy, width), &mut asked, ctx);
    let pass = Pass { inputs: &views, y: Rows::new(&y, width), tape: &mut tape };
    layer.accumulate(&theta, pass, Rows::new(&dy, width), &mut dtheta, ctx);
    let mut rest = &dtheta[..];
    let tensors = parameters.iter().map(|tensor| {
        let (own, after) = rest.split_at(tensor.shape.len());
        rest = after;
        digest(own)
    });
    std::iter::once(digest(&y)).chain(dx.iter().map(|dx| digest(dx))).chain(tensors).collect()
}
