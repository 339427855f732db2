use super::*;
use crate::Inline;
use crate::layers::check;

fn attention(d: usize, heads: usize, lengths: &[usize]) -> MultiHeadAttention {
    let shapes: Vec<Shape> = lengths.iter().map(|&t| Shape::new([t, d]).unwrap()).collect();
    MultiHeadAttention::new(&shapes, heads).unwrap()
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
        let mut found = check::digests(&layer, mask.as_ref().map(|mask| &mask[..]));
        found.drain(1..1 + layer.inputs.len());
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
    let theta: Vec<f64> = check::numbers(12 + 6 + 4, 1).chain([7.0, 8.0]).collect();
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
