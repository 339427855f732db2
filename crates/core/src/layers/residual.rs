//! A way around some layers.

use crate::layers::{Add, Graph, Node, Source};
use crate::{Derivation, Error, Float, Shape};

/// `y = x + f(x)` (He, Zhang, Ren & Sun, 2016), with layers for `f`.
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x`, `y` | any, the same | input and output |
/// | `f` | | the layers within, from a value of this shape to one of this shape |
///
/// # Derivation
/// The loss depends on `x` along two ways, whose gradients add up:
/// ```text
/// dL/dx_i = Σ_j dL/dy_j · dy_j/dx_i = Σ_j dL/dy_j ([i = j] + ∂f_j/∂x_i) = dL/dy_i + Σ_j dL/dy_j · ∂f_j/∂x_i
/// dL/dθ   = Σ_j dL/dy_j · ∂f_j/∂θ
/// ```
/// However small the slope of `f`, `dL/dy` arrives whole below: that is what lets deep networks learn. The layers of `f`
/// compute their own part with `dL/df = dL/dy`; the sum is the fan-out of a [`Graph`].
///
/// The parameters are called as those of `nodes`, which read the graph's only input and each other; the last is `f`.
///
/// # Errors
/// [`Error::Layer`] if `f` and `x` differ in shape, else as [`Graph::new`].
pub fn residual<F: Float>(input: &Shape, mut nodes: Vec<Node<F>>) -> Result<Graph<F>, Error> {
    let Some(last) = nodes.last() else { return Err(Error::NoLayers) };
    let output = last.layer.output_shape();
    if output != input {
        let message = format!(
            "what its layers give, {output}, cannot be added to what they read, {input}; make \"{}\" give {input}",
            last.name
        );
        return Err(Error::Layer { layer: "residual", message });
    }
    let sources = vec![Source::Input(0), Source::Node(nodes.len() - 1)];
    nodes.push(Node::new(SUM, Box::new(Add::new(&[input.clone(), input.clone()])?), sources));
    let words = Derivation {
        forward: vec!["y = x + f(x), f the layers within".into()],
        local: vec!["∂y_j/∂x_i = [i = j] + ∂f_j/∂x_i".into()],
        between: vec!["df = dy".into()],
        inputs: vec!["dx_i = dy_i + Σ_j df_j · ∂f_j/∂x_i".into()],
        ..Derivation::new([("x", input), ("y", input)])
    };
    Ok(Graph::new(vec![input.clone()], nodes)?.with_words(words, &[SUM]))
}

/// The sum's name among the layers; no layer of a file can have it.
const SUM: &str = "+";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layer;
    use crate::activation::{Gelu, Linear, Tanh};
    use crate::layers::{Dense, check};

    fn dense(inputs: usize, units: usize) -> Box<dyn Layer<f64>> {
        Box::new(Dense::new(&Shape::vector(inputs).unwrap(), units, Box::new(Tanh)).unwrap())
    }

    #[test]
    fn adds_the_input() {
        let shape = Shape::vector(2).unwrap();
        let inner = Dense::<f64>::new(&shape, 2, Box::new(Linear)).unwrap().without_bias();
        let nodes = vec![Node::new("a", Box::new(inner), vec![Source::Input(0)])];
        let layer = residual(&shape, nodes).unwrap();
        assert_eq!(check::forward(&layer, &[0.0, 1.0, 2.0, 0.0], &[&[3.0, 4.0]]), [7.0, 10.0]);
        assert_eq!(layer.parameters()[0].name, "a.weight");
    }

    #[test]
    fn gradients_equal_central_differences() {
        for rows in [1, 2, 7] {
            let gelu = Dense::new(&Shape::vector(3).unwrap(), 4, Box::new(Gelu::exact())).unwrap();
            let nodes = vec![
                Node::new("a", Box::new(gelu), vec![Source::Input(0)]),
                Node::new("b", dense(4, 3), vec![Source::Node(0)]),
            ];
            check::gradients(&residual(&Shape::vector(3).unwrap(), nodes).unwrap(), rows);
        }
    }

    #[test]
    fn says_which_shapes_do_not_add_up() {
        let nodes = vec![Node::new("a", dense(3, 4), vec![Source::Input(0)])];
        let error = residual(&Shape::vector(3).unwrap(), nodes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "residual: what its layers give, [4], cannot be added to what they read, [3]; make \"a\" give [3]"
        );
        assert_eq!(residual::<f64>(&Shape::vector(3).unwrap(), Vec::new()).unwrap_err(), Error::NoLayers);
    }
}
