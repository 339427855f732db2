use super::*;
use crate::layers::check;
use crate::{Inline, parameter_count};

fn attention(d: usize, heads: usize, lengths: &[usize]) -> MultiHeadAttention {
    let shapes: Vec<Shape> = lengths.iter().map(|&t| Shape::new([t, d]).unwrap()).collect();
    MultiHeadAttention::new(&shapes, heads).unwrap()
}

fn numbers(len: usize, seed: usize) -> impl Iterator<Item = f64> {
    (0..len).map(move |i| ((i * 7 + seed * 13) % 23) as f64 / 7.0 - 1.5)
}

/// One number that all numbers move.
fn digest(values: &[f64]) -> f64 {
    (1..).zip(values).map(|(i, value)| value * (0.01 * f64::from(i)).cos()).sum()
}

/// The digests of the output and of each tensor's gradient, for two samples of fixed numbers.
fn digests(layer: &MultiHeadAttention, mask: Option<&[f64]>) -> Vec<f64> {
    let layer: &dyn Layer<f64> = layer;
    let parameters = layer.parameters();
    let tensors = parameters
        .iter()
        .enumerate()
        .flat_map(|(index, tensor)| numbers(tensor.shape.len(), index + 1).map(|number| 0.5 * number));
    let theta: Vec<f64> = tensors.collect();
    let shapes = layer.input_shapes();
    let inputs: Vec<Vec<f64>> = shapes
        .iter()
        .enumerate()
        .map(|(index, shape)| numbers(2 * shape.len(), 5 + index).collect())
        .collect();
    let views: Vec<Rows<'_, f64>> =
        inputs.iter().zip(&shapes).map(|(x, shape)| Rows::new(x, shape.len())).collect();
    let width = layer.output_shape().len();
    let mut y = vec![f64::NAN; 2 * width];
    let mut tape = vec![f64::NAN; layer.tape().for_rows(2)];
    let ctx = &mut Ctx::evaluate(&Inline, &[]);
    ctx.mask = mask.map(|mask| Rows::new(mask, mask.len() / 2));
    layer.forward(&theta, &views, RowsMut::new(&mut y, width), &mut tape, ctx);
    let mut dy: Vec<f64> = numbers(y.len(), 8).collect();
    let mut dtheta = vec![0.0; parameter_count(&parameters).unwrap()];
    let mut nothing: Vec<Option<RowsMut<'_, f64>>> = views.iter().map(|_| None).collect();
    let pass = Pass { inputs: &views, y: Rows::new(&y, width), tape: &mut tape };
    layer.backward(&theta, pass, RowsMut::new(&mut dy, width), &mut nothing, ctx);
    let pass = Pass { inputs: &views, y: Rows::new(&y, width), tape: &mut tape };
    layer.accumulate(&theta, pass, Rows::new(&dy, width), &mut dtheta, ctx);
    let mut found = vec![digest(&y)];
    let mut rest = &dtheta[..];
    for tensor in &parameters {
        let (own, after) = rest.split_at(tensor.shape.len());
        found.push(digest(own));
        rest = after;
    }
    found
}

#[test]
fn equals_pytorch_in_output_and_gradients() {
    let causal = |layer: MultiHeadAttention| layer.causal().unwrap();
    #[rustfmt::skip]
    let cases = [
        (attention(4, 2, &[3]), None,
         [0.7146211651663992, 1.3199357201853352, 2.3937004326273774, -1.661057795012371, 1.857407122797352]),
        (causal(attention(4, 2, &[3])), None,
         [-2.795832468667324, 0.3732116576376232, 3.06403353163686, 1.2255245004688469, 1.857407122797352]),
        (attention(6, 3, &[2, 5]), None,
         [2.281874500189674, -1.0675067372558789, 4.480980762071512, -4.627524740121208, 1.8542077922505777]),
        (attention(6, 2, &[2, 5, 5]), None,
         [4.511672605126838, 12.038528746504303, 3.142884776571507, 8.471199537714195, 1.8542077922505777]),
        (attention(4, 2, &[3]), Some([1.0, 1.0, 0.0, 1.0, 0.0, 1.0]),
         [0.03249119808405998, 4.062055320109381, 2.4311898865733603, 1.6598868699968872, 1.857407122797352]),
        (causal(attention(4, 2, &[40])), None,
         [5.751538824796997, -36.057460148302496, -6.598830607267785, -14.887825420649182, 22.277243766979012]),
    ];
    for (layer, mask, expected) in cases {
        let found = digests(&layer, mask.as_ref().map(|mask| &mask[..]));
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-11, "{layer:?}: {found} and {expected}");
        }
    }
}

#[test]
fn gradients_equal_central_differences() {
    for (rows, d, heads, lengths) in [
        (1, 2, 1, &[3][..]),
        (2, 4, 2, &[5]),
        (7, 6, 3, &[2]),
        (2, 6, 2, &[3, 4]),
        (3, 3, 1, &[1, 2]),
        (2, 4, 4, &[4, 3, 3]),
    ] {
        check::gradients(&attention(d, heads, lengths), rows);
        check::gradients(&attention(d, heads, lengths).without_bias(), rows);
    }
    for (rows, d, heads, length) in [(1, 2, 1, 1), (2, 4, 2, 5), (1, 2, 2, 35), (3, 3, 3, 4)] {
        check::gradients(&attention(d, heads, &[length]).causal().unwrap(), rows);
    }
}

#[test]
fn a_query_that_sees_nothing_gives_the_bias() {
    let layer = attention(2, 1, &[2]).causal().unwrap();
    let theta: Vec<f64> = numbers(12 + 6 + 4, 1).chain([7.0, 8.0]).collect();
    let (x, mask) = ([1.0, 2.0, 3.0, 4.0], [0.0, 1.0]);
    let mut y = [f64::NAN; 4];
    let mut tape = vec![f64::NAN; Layer::<f64>::tape(&layer).for_rows(1)];
    let ctx = &mut Ctx { mask: Some(Rows::new(&mask, 2)), ..Ctx::evaluate(&Inline, &[]) };
    layer.forward(&theta, &[Rows::new(&x, 4)], RowsMut::new(&mut y, 4), &mut tape, ctx);
    assert_eq!(y[..2], [7.0, 8.0]);
    assert!(y.iter().all(|y| y.is_finite()));
}

#[test]
fn says_what_does_not_fit() {
    let shape = |axes: &[usize]| Shape::new(axes).unwrap();
    let message = |inputs: &[Shape], heads| MultiHeadAttention::new(inputs, heads).unwrap_err().to_string();
    assert_eq!(
        message(&[shape(&[3, 10])], 4),
        "multi_head_attention: 4 heads cannot share 10 features evenly; `heads` must divide 10"
    );
    assert_eq!(
        message(&[shape(&[3, 4]), shape(&[3, 6])], 2),
        "multi_head_attention: its inputs need equally many features, but have 4 and 6; bring them to 4 by a dense layer"
    );
    assert_eq!(
        message(&[shape(&[3, 4]), shape(&[5, 4]), shape(&[6, 4])], 2),
        "multi_head_attention: every key needs a value, but there are 5 keys and 6 values"
    );
    assert!(message(&[shape(&[4])], 2).contains("it needs sequences"));
    assert!(attention(4, 2, &[3, 5]).causal().unwrap_err().to_string().contains("as many keys as queries"));
    let huge = MultiHeadAttention::new(&[shape(&[1 << 40, 2])], 2);
    assert!(matches!(huge, Err(Error::TooLarge { .. })));
    let wide = MultiHeadAttention::new(&[shape(&[1, 1 << 40])], 2);
    assert!(matches!(wide, Err(Error::TooLarge { .. })));
}

#[test]
fn names_its_tensors_as_pytorch_does() {
    let names = |layer: &MultiHeadAttention| {
        let parameters = Layer::<f32>::parameters(layer).into_iter();
        parameters.map(|tensor| (tensor.name, tensor.shape.axes().to_vec())).collect::<Vec<_>>()
    };
    let tensor = |name: &str, axes: &[usize]| (name.to_owned(), axes.to_vec());
    let layer = attention(4, 2, &[3]);
    let expected = [
        tensor("in_proj_weight", &[12, 4]),
        tensor("in_proj_bias", &[12]),
        tensor("out_proj.weight", &[4, 4]),
        tensor("out_proj.bias", &[4]),
    ];
    assert_eq!(names(&layer), expected);
    assert_eq!(names(&layer.without_bias()), [expected[0].clone(), expected[2].clone()]);
}
