//! Attention, then a small network at every position, each with a way around.

use crate::layers::{Add, Dense, Dropout, Graph, LayerNorm, MultiHeadAttention, Node, Source};
use crate::{Activation, Derivation, Error, Float, Initializer, Layer, Shape};

/// Whether a part of a [`TransformerBlock`] normalises what it reads or the sum that it is added to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NormPlace {
    /// What it reads, so that the way around stays free: deep stacks learn without a warm-up (Xiong et al., 2020).
    Before,
    /// The sum, as at first (Vaswani et al., 2017).
    #[default]
    After,
}

/// A block of a transformer (Vaswani et al., 2017), as `torch.nn.TransformerEncoderLayer` with `batch_first`: the sizes
/// from which [`build`](Self::build) makes the layer.
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x`, `y` | `[n, t, d]` | input and output |
/// | `att` | | dropout of multi-head attention of its argument to itself |
/// | `ff` | | dropout of `linear2(dropout(f(linear1(·))))`, at every position by itself, `w` numbers wide inside |
/// | `N₁`, `N₂` | | layer norms |
///
/// # Derivation
/// ```text
/// after     h = N₁(x + att(x))        y = N₂(h + ff(h))
/// before    h = x + att(N₁(x))        y = h + ff(N₂(h))
/// ```
/// Two residual connections in a row. Each reads its input along two ways, whose gradients add up; before, say:
/// ```text
/// dL/dh = dL/dy + dL/dff · ∂ff/∂N₂ · ∂N₂/∂h        with dL/dff = dL/dy
/// dL/dx = dL/dh + dL/datt · ∂att/∂N₁ · ∂N₁/∂x      with dL/datt = dL/dh
/// ```
/// and after, with `u = x + att(x)` and `v = h + ff(h)`:
/// ```text
/// dL/dv = dL/dy · ∂N₂/∂v          dL/dh = dL/dv + dL/dv · ∂ff/∂h
/// dL/du = dL/dh · ∂N₁/∂u          dL/dx = dL/du + dL/du · ∂att/∂x
/// ```
/// The factors are those of the layers that it is made of, and the sums are the fan-out of a [`Graph`].
///
/// Other than in PyTorch, dropout leaves the weights of the attention alone.
#[derive(Debug)]
pub struct TransformerBlock<F> {
    heads: usize,
    activation: Box<dyn Activation<F>>,
    feed_forward: Option<usize>,
    dropout: f64,
    is_causal: bool,
    norm: NormPlace,
    epsilon: f64,
    weight_init: Initializer,
    bias_init: Initializer,
}

/// Names that no layer of a file can have: the two sums.
const SUMS: [&str; 2] = ["+1", "+2"];

impl<F: Float> TransformerBlock<F> {
    /// A block with so many heads and this activation `f`; without dropout, normalised after, not causal, four times as
    /// wide inside, `ε` 1e-5.
    pub fn new(heads: usize, activation: Box<dyn Activation<F>>) -> Self {
        Self {
            heads,
            activation,
            feed_forward: None,
            dropout: 0.0,
            is_causal: false,
            norm: NormPlace::After,
            epsilon: 1e-5,
            weight_init: Initializer::XavierUniform { gain: 1.0 },
            bias_init: Initializer::Zeros,
        }
    }

    /// How wide `ff` is inside: `activation` is of `width` numbers at each position.
    pub fn with_feed_forward(self, width: usize) -> Self {
        Self { feed_forward: Some(width), ..self }
    }

    /// The share that dropout leaves out.
    pub fn with_dropout(self, dropout: f64) -> Self {
        Self { dropout, ..self }
    }

    /// No position sees those after it.
    pub fn causal(self) -> Self {
        Self { is_causal: true, ..self }
    }

    /// Where it normalises, and what is added to the variance.
    pub fn with_norm(self, norm: NormPlace, epsilon: f64) -> Self {
        Self { norm, epsilon, ..self }
    }

    /// Start values of all weights and biases but the norms'.
    pub fn with_init(self, weight_init: Initializer, bias_init: Initializer) -> Self {
        Self { weight_init, bias_init, ..self }
    }

    /// How wide `ff` is inside, for an input.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if four times the features exceed the address space.
    pub fn hidden(input: &Shape, feed_forward: Option<usize>) -> Result<Shape, Error> {
        input.with_last(feed_forward.unwrap_or(input.last().saturating_mul(4)))
    }

    /// The layer for sequences `[t, d]`.
    ///
    /// # Errors
    /// [`Error::Layer`] if the input is no sequence, the heads do not divide `d` or the dropout is no share;
    /// [`Error::TooLarge`] if anything exceeds the address space.
    pub fn build(self, input: &Shape) -> Result<Graph<F>, Error> {
        super::sequence("transformer_block", input)?;
        let hidden = Self::hidden(input, self.feed_forward)?;
        let (weight_init, bias_init) = (self.weight_init, self.bias_init);
        let attention = MultiHeadAttention::new(std::slice::from_ref(input), self.heads)?;
        let attention = if self.is_causal { attention.causal()? } else { attention };
        let attention = attention.with_init(weight_init, bias_init);
        let linear1 = Dense::new(input, hidden.last(), self.activation)?.with_init(weight_init, bias_init);
        let identity = Box::new(crate::activation::Linear);
        let linear2 = Dense::new(&hidden, input.last(), identity)?.with_init(weight_init, bias_init);

        let mut nodes = Nodes { shape: input, nodes: Vec::new(), dropout: self.dropout };
        let norm = || LayerNorm::new(input, self.epsilon).map(Box::new);
        let before = self.norm == NormPlace::Before;
        let x = Source::Input(0);
        let read = if before { nodes.add("norm1", norm()?, x) } else { x };
        let attended = nodes.add("self_attn", Box::new(attention), read);
        let attended = nodes.drop_out("dropout1", input, attended)?;
        let sum = nodes.sum(SUMS[0], x, attended)?;
        let h = if before { sum } else { nodes.add("norm1", norm()?, sum) };
        let read = if before { nodes.add("norm2", norm()?, h) } else { h };
        let inner = nodes.add("linear1", Box::new(linear1), read);
        let inner = nodes.drop_out("dropout", &hidden, inner)?;
        let outer = nodes.add("linear2", Box::new(linear2), inner);
        let outer = nodes.drop_out("dropout2", input, outer)?;
        let sum = nodes.sum(SUMS[1], h, outer)?;
        if !before {
            nodes.add("norm2", norm()?, sum);
        }
        let graph = Graph::new(vec![input.clone()], nodes.nodes)?;
        Ok(graph.with_words(words(self.norm, input), &SUMS))
    }
}

/// The nodes so far.
struct Nodes<'a, F> {
    shape: &'a Shape,
    nodes: Vec<Node<F>>,
    dropout: f64,
}

impl<F: Float> Nodes<'_, F> {
    fn add(&mut self, name: &str, layer: Box<dyn Layer<F>>, input: Source) -> Source {
        self.push(Node::new(name, layer, vec![input]))
    }

    fn sum(&mut self, name: &str, a: Source, b: Source) -> Result<Source, Error> {
        let add = Add::new(&[self.shape.clone(), self.shape.clone()])?;
        Ok(self.push(Node::new(name, Box::new(add), vec![a, b])))
    }

    /// Without a share to leave out there is nothing to do.
    fn drop_out(&mut self, name: &str, shape: &Shape, input: Source) -> Result<Source, Error> {
        if self.dropout == 0.0 {
            return Ok(input);
        }
        Ok(self.add(name, Box::new(Dropout::new(shape, self.dropout)?), input))
    }

    fn push(&mut self, node: Node<F>) -> Source {
        self.nodes.push(node);
        Source::Node(self.nodes.len() - 1)
    }
}

fn words(norm: NormPlace, shape: &Shape) -> Derivation {
    let owned = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect();
    let (forward, local, between, input): (Vec<String>, Vec<String>, Vec<String>, &str) = match norm {
        NormPlace::Before => (
            owned(&["h = x + att(norm1(x))", "y = h + ff(norm2(h))"]),
            owned(&["∂h/∂x = 1 + ∂att/∂norm1 · ∂norm1/∂x", "∂y/∂h = 1 + ∂ff/∂norm2 · ∂norm2/∂h"]),
            owned(&["dff = dy", "dh = dy + dff · ∂ff/∂norm2 · ∂norm2/∂h", "datt = dh"]),
            "dx = dh + datt · ∂att/∂norm1 · ∂norm1/∂x",
        ),
        NormPlace::After => (
            owned(&["u = x + att(x),  h = norm1(u)", "v = h + ff(h),  y = norm2(v)"]),
            owned(&["∂u/∂x = 1 + ∂att/∂x", "∂v/∂h = 1 + ∂ff/∂h"]),
            owned(&["dv = dy · ∂norm2/∂v", "dh = dv + dv · ∂ff/∂h", "du = dh · ∂norm1/∂u"]),
            "dx = du + du · ∂att/∂x",
        ),
    };
    let inputs = vec![input.to_owned()];
    let symbols = Derivation::new([("x", shape), ("h", shape), ("y", shape)]);
    Derivation { forward, local, between, inputs, ..symbols }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Gelu, Relu};
    use crate::layers::check;

    fn shape(axes: &[usize]) -> Shape {
        Shape::new(axes).unwrap()
    }

    fn block(norm: NormPlace, activation: Box<dyn Activation<f64>>) -> TransformerBlock<f64> {
        TransformerBlock::new(2, activation).with_feed_forward(6).with_norm(norm, 1e-5)
    }

    #[test]
    fn equals_pytorch_in_output_and_gradients() {
        let (input, gelu, relu) = (shape(&[3, 4]), || Box::new(Gelu::exact()), || Box::new(Relu));
        let (before, after) = (NormPlace::Before, NormPlace::After);
        let mask = [1.0, 1.0, 0.0, 1.0, 1.0, 1.0];
        #[rustfmt::skip]
        let cases = [
            (block(before, gelu()), None, [
                4.5678147043148165, 1.846900672894778, -2.6617665997262163, -6.557112593471452, -2.581853661046563,
                1.345870927714496, -1.1651479539357457, 1.8573626409020663, 1.4605134574266576, 1.0536831018267767,
                2.88704261454256, 2.647681052012573, 2.1221789783829634, 1.8574071227973525]),
            (block(after, gelu()), None, [
                -3.4823719133147693, 0.16051971165433385, 0.05193703736078259, 0.7641860347585351, -0.005446247079673103,
                -0.0001321151770845297, -1.4696391650929026, -1.0035368026715517, -1.0066369492973188, -0.7922728914618274,
                -0.0007286092758680973, -0.00022033704107093932, 4.66466942273505, 1.857407122797352]),
            (block(before, relu()).causal(), None, [
                5.47907717651763, 1.8474929779522193, -11.164846333181089, -6.571648433892019, -1.6634944819138573,
                1.4495094209336197, -2.4703377205442165, 1.857386935392922, 0.692943718681799, 1.4699609549673243,
                3.15952797647055, 3.023986728671978, 3.3554253225779025, 1.8574071227973525]),
            (block(after, relu()).causal(), Some(&mask[..]), [
                -2.2303196859558185, -0.34269159574285246, -0.6284315216884204, 0.10291140467077625, -0.006657190288673079,
                -0.00015304937479296288, 1.1104479360839807, -0.40078049708745717, -0.9528054581115675, -0.3368693962021318,
                -0.0009166331651045412, -7.956878964909819e-05, 4.864379993804499, 1.857407122797352]),
        ];
        for (block, mask, expected) in cases {
            let found = check::digests(&block.build(&input).unwrap(), mask);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-11, "{found} and {expected}");
            }
        }
    }

    #[test]
    fn gradients_equal_central_differences() {
        for norm in [NormPlace::Before, NormPlace::After] {
            for (rows, axes) in [(1, [3, 4]), (2, [2, 6]), (7, [4, 4])] {
                let plain = block(norm, Box::new(Gelu::exact()));
                check::gradients(&plain.build(&shape(&axes)).unwrap(), rows);
                let causal = block(norm, Box::new(Gelu::exact())).causal().with_dropout(0.25);
                check::gradients(&causal.build(&shape(&axes)).unwrap(), rows);
            }
        }
    }

    #[test]
    fn names_its_tensors_as_pytorch_does() {
        let block = block(NormPlace::After, Box::new(Relu)).build(&shape(&[3, 4])).unwrap();
        let mut names: Vec<String> = block.parameters().into_iter().map(|tensor| tensor.name).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "linear1.bias",
                "linear1.weight",
                "linear2.bias",
                "linear2.weight",
                "norm1.bias",
                "norm1.weight",
                "norm2.bias",
                "norm2.weight",
                "self_attn.in_proj_bias",
                "self_attn.in_proj_weight",
                "self_attn.out_proj.bias",
                "self_attn.out_proj.weight"
            ]
        );
    }

    #[test]
    fn says_what_does_not_fit() {
        let build = |axes: &[usize]| block(NormPlace::After, Box::new(Relu)).build(&shape(axes)).unwrap_err();
        assert!(build(&[4]).to_string().contains("transformer_block: it needs sequences"));
        assert!(build(&[3, 5]).to_string().contains("2 heads cannot share 5 features"));
    }
}
