//! The tests that every layer shares.

use crate::{Ctx, Inline, Layer, Pass, Rows, RowsMut, parameter_count};

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

/// Numbers without pattern in [-1, 1], away from zero.
fn numbers(len: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..len).map(|_| if next() < 0.5 { -0.1 - 0.9 * next() } else { 0.1 + 0.9 * next() }).collect()
}

/// Every gradient equals the central difference of a random projection of the output. Written buffers start as NaN and
/// `dtheta` as ones, so that reading before writing, or writing instead of adding, shows at once.
pub(crate) fn gradients(layer: &dyn Layer<f64>, rows: usize) {
    let shapes = layer.input_shapes();
    let theta = numbers(parameter_count(&layer.parameters()).unwrap(), 1);
    let inputs: Vec<Vec<f64>> =
        shapes.iter().zip(2..).map(|(shape, i)| numbers(rows * shape.len(), i)).collect();
    let projection = numbers(rows * layer.output_shape().len(), 99);
    let loss = |theta: &[f64], inputs: &[Vec<f64>]| -> f64 {
        let slices: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
        forward(layer, theta, &slices).iter().zip(&projection).map(|(y, p)| y * p).sum()
    };

    let (dtheta, dx) = backward(layer, &theta, &inputs, &projection);
    let difference = |moved: &dyn Fn(f64) -> f64| (moved(1e-5) - moved(-1e-5)) / 2e-5;
    let expected: Vec<f64> = (0..theta.len())
        .map(|i| {
            difference(&|step| {
                let mut theta = theta.clone();
                theta[i] += step;
                loss(&theta, &inputs)
            })
        })
        .collect();
    assert_close(layer, "dtheta", &dtheta, &expected);
    for (k, dx) in dx.iter().enumerate() {
        let expected: Vec<f64> = (0..dx.len())
            .map(|i| {
                difference(&|step| {
                    let mut inputs = inputs.clone();
                    inputs[k][i] += step;
                    loss(&theta, &inputs)
                })
            })
            .collect();
        assert_close(layer, &format!("dx[{k}]"), dx, &expected);
    }
}

/// `dtheta` and every `dx` for `dy = projection`.
fn backward(
    layer: &dyn Layer<f64>,
    theta: &[f64],
    inputs: &[Vec<f64>],
    projection: &[f64],
) -> (Vec<f64>, Vec<Vec<f64>>) {
    let shapes = layer.input_shapes();
    let width = layer.output_shape().len();
    let rows = projection.len() / width;
    let views: Vec<_> = inputs.iter().zip(&shapes).map(|(x, shape)| Rows::new(x, shape.len())).collect();
    let mut ctx = Ctx { executor: &Inline };
    let mut y = vec![f64::NAN; projection.len()];
    let mut tape = vec![f64::NAN; layer.tape().for_rows(rows)];
    layer.forward(theta, &views, RowsMut::new(&mut y, width), &mut tape, &mut ctx);

    let mut dy = projection.to_vec();
    let mut dx: Vec<Vec<f64>> = inputs.iter().map(|x| vec![f64::NAN; x.len()]).collect();
    let mut asked: Vec<_> =
        dx.iter_mut().zip(&shapes).map(|(dx, shape)| Some(RowsMut::new(dx, shape.len()))).collect();
    let mut dtheta = vec![1.0; theta.len()];
    let y = Rows::new(&y, width);
    let pass = Pass { inputs: &views, y, tape: &mut tape };
    layer.backward(theta, pass, RowsMut::new(&mut dy, width), &mut asked, &mut ctx);
    let pass = Pass { inputs: &views, y, tape: &mut tape };
    layer.accumulate(theta, pass, Rows::new(&dy, width), &mut dtheta, &mut ctx);
    dtheta.iter_mut().for_each(|gradient| *gradient -= 1.0);
    (dtheta, dx)
}

fn assert_close(layer: &dyn Layer<f64>, name: &str, found: &[f64], expected: &[f64]) {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let error = norm(&mut found.iter().zip(expected).map(|(found, expected)| found - expected));
    let scale = norm(&mut expected.iter().copied());
    assert!(found.is_empty() || scale > 0.0, "{layer:?}: {name} is all zero, which proves nothing");
    assert!(error <= 1e-8 * scale, "{layer:?}: {name} is {found:?}, slopes are {expected:?}");
}
