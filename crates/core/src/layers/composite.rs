//! A graph with a derivation of its own words.

use crate::layers::Graph;
use crate::{Buffer, Ctx, Derivation, Float, Layer, Masking, Parameter, Pass, Rows, RowsMut, Shape, TapeLen};

/// A fixed arrangement of layers, such as a residual connection: the work is a [`Graph`]'s, whose chain rule is its
/// derivation; the words are those of the arrangement.
#[derive(Debug)]
pub struct Composite<F> {
    graph: Graph<F>,
    words: Derivation,
}

impl<F: Float> Composite<F> {
    /// The graph; its layers, but those called `hidden`, are the parts of `words`.
    pub(super) fn new(graph: Graph<F>, words: Derivation, hidden: &[&str]) -> Self {
        let Derivation { mut parts, parameters, .. } = graph.derivation();
        parts.retain(|(name, _)| !hidden.contains(&name.as_str()));
        Self { graph, words: Derivation { parts, parameters, ..words } }
    }
}

impl<F: Float> Layer<F> for Composite<F> {
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
        self.words.clone()
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
