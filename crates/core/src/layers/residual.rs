//! A way around some layers.

use crate::layers::{Add, Graph, Node, Source};
use crate::{
    Buffer, Ctx, Derivation, Error, Float, Layer, Masking, Parameter, Pass, Rows, RowsMut, Shape, TapeLen,
};

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
#[derive(Debug)]
pub struct Residual<F> {
    graph: Graph<F>,
}

/// The sum's name among the layers; no layer of a file can have it.
const SUM: &str = "+";

impl<F: Float> Residual<F> {
    /// The sum of the graph's only input and of its last node's output.
    ///
    /// # Errors
    /// [`Error::Layer`] if they differ in shape, else as [`Graph::new`].
    pub fn new(input: &Shape, mut nodes: Vec<Node<F>>) -> Result<Self, Error> {
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
        let add = Add::new(&[input.clone(), input.clone()])?;
        nodes.push(Node::new(SUM, Box::new(add), sources));
        Ok(Self { graph: Graph::new(vec![input.clone()], nodes)? })
    }
}

impl<F: Float> Layer<F> for Residual<F> {
    fn input_shapes(&self) -> Vec<Shape> {
        self.graph.input_shapes()
    }

    fn output_shape(&self) -> &Shape {
        self.graph.output_shape()
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.graph.parameters()
    }

    fn buffers(&self) -> Vec<Buffer> {
        self.graph.buffers()
    }

    fn least_rows(&self) -> usize {
        self.graph.least_rows()
    }

    fn index_limit(&self) -> Option<usize> {
        self.graph.index_limit()
    }

    fn masking(&self) -> Option<Masking> {
        self.graph.masking()
    }

    fn masked_positions(&self) -> Vec<usize> {
        self.graph.masked_positions()
    }

    fn tape(&self) -> TapeLen {
        self.graph.tape()
    }

    fn multiply_adds(&self) -> usize {
        self.graph.multiply_adds()
    }

    fn derivation(&self) -> Derivation {
        let shape = self.graph.output_shape();
        let Derivation { mut parts, parameters, .. } = self.graph.derivation();
        parts.retain(|(name, _)| name != SUM);
        Derivation {
            forward: vec!["y = x + f(x), f the layers within".into()],
            local: vec!["∂y_j/∂x_i = [i = j] + ∂f_j/∂x_i".into()],
            between: vec!["df = dy".into()],
            inputs: vec!["dx_i = dy_i + Σ_j df_j · ∂f_j/∂x_i".into()],
            parameters,
            parts,
            ..Derivation::new([("x", shape), ("y", shape)])
        }
    }

    fn forward(
        &self,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        y: RowsMut<'_, F>,
        tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        self.graph.forward(theta, inputs, y, tape, ctx);
    }

    fn backward(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        ctx: &mut Ctx<'_, F>,
    ) {
        self.graph.backward(theta, pass, dy, dx, ctx);
    }

    fn accumulate(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: Rows<'_, F>,
        dtheta: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        self.graph.accumulate(theta, pass, dy, dtheta, ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let layer = Residual::new(&shape, nodes).unwrap();
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
            check::gradients(&Residual::new(&Shape::vector(3).unwrap(), nodes).unwrap(), rows);
        }
    }

    #[test]
    fn says_which_shapes_do_not_add_up() {
        let nodes = vec![Node::new("a", dense(3, 4), vec![Source::Input(0)])];
        let error = Residual::new(&Shape::vector(3).unwrap(), nodes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "residual: what its layers give, [4], cannot be added to what they read, [3]; make \"a\" give [3]"
        );
        assert_eq!(
            Residual::<f64>::new(&Shape::vector(3).unwrap(), Vec::new()).unwrap_err(),
            Error::NoLayers
        );
    }
}
