//! Named layers wired into a directed graph without cycles.

use std::ops::Range;

use crate::layers::chain::{joined, named, named_buffers};
use crate::matmul::Accumulate::{self, Add};
use crate::{
    Buffer, Ctx, Derivation, Error, Float, Layer, MAX_INPUTS, Masking, Parameter, Pass, Rows, RowsMut, Shape,
    TapeLen, buffer_count, parameter_count,
};

/// Where a node of a [`Graph`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The graph's input of this index.
    Input(usize),
    /// The output of the node of this index.
    Node(usize),
}

/// One layer of a [`Graph`] with its name and what it reads.
#[derive(Debug)]
pub struct Node<F> {
    /// The name, unique in the graph; prefixes the names of its parameters.
    pub name: String,
    /// What it computes.
    pub layer: Box<dyn Layer<F>>,
    /// A source for each input of the layer.
    pub inputs: Vec<Source>,
    /// The earlier node whose parameters it shares, if it has none of its own: both add to one gradient.
    pub tied: Option<usize>,
}

impl<F> Node<F> {
    /// A node with parameters of its own.
    pub fn new(name: impl Into<String>, layer: Box<dyn Layer<F>>, inputs: Vec<Source>) -> Self {
        Self { name: name.into(), layer, inputs, tied: None }
    }

    /// The same node over the parameters of the node `index`.
    pub fn tied_to(self, index: usize) -> Self {
        Self { tied: Some(index), ..self }
    }
}

/// A network in which a layer may read any earlier outputs, and an output may feed several layers.
///
/// Nodes stand in an order in which every node comes after those it reads; the last one is the output.
///
/// # Derivation
/// If the output `a` of a node feeds the nodes `b_1 ... b_k`, the loss depends on `a` along every path, and the chain
/// rule for several variables adds them up:
/// ```text
/// dL/da = Σ_i dL/db_i · ∂b_i/∂a
/// ```
/// Nodes run backwards in reverse order, so all terms of `dL/da` are there before `a`'s own layer needs the sum. The
/// term of the last reader is written, the others are added to it, always in the same order.
///
/// # Memory
/// The tape has four parts: the nodes' tapes, their outputs, the gradients of the outputs, and room for those terms
/// that are added after they have been computed.
#[derive(Debug)]
pub struct Graph<F> {
    inputs: Vec<Shape>,
    nodes: Vec<Wired<F>>,
    parts: Parts,
    /// Of a fixed arrangement, such as a residual connection, its own words.
    words: Option<Derivation>,
}

/// Lengths of the four parts of the tape.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    tapes: TapeLen,
    /// Of the outputs, and of their gradients; the last node's are the graph's own.
    outputs: usize,
    terms: usize,
}

#[derive(Debug)]
struct Wired<F> {
    name: String,
    layer: Box<dyn Layer<F>>,
    inputs: Vec<Edge>,
    theta: Range<usize>,
    /// Whether `theta` is another node's too, which lists it.
    is_tied: bool,
    buffers: Range<usize>,
    width: usize,
    tape: TapeLen,
    tape_start: TapeLen,
    /// Where its output starts, in numbers a row.
    output_start: usize,
    /// Where its room for added terms starts, in numbers a row.
    terms_start: usize,
    /// The inputs whose gradient is written straight to a node's output gradient, by position there.
    written: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    source: Source,
    width: usize,
    /// Whether this is the last reader of the source, which writes the gradient that earlier readers add to.
    writes: bool,
}

impl<F: Float> Graph<F> {
    /// Wires `nodes` to inputs of the shapes `inputs`.
    ///
    /// # Errors
    /// [`Error::NoLayers`]; [`Error::DuplicateName`]; [`Error::Order`] if a node reads one that does not come before
    /// it; [`Error::InputCount`] or [`Error::ShapeMismatch`] if a layer was built for other inputs; [`Error::Unused`]
    /// if an output feeds nothing and is not the last.
    pub fn new(inputs: Vec<Shape>, nodes: Vec<Node<F>>) -> Result<Self, Error> {
        if nodes.is_empty() {
            return Err(Error::NoLayers);
        }
        check_wiring(&inputs, &nodes)?;
        let edges = edges(&inputs, &nodes);
        let mut parts = Parts::default();
        let (mut next_theta, mut next_buffer) = (0, 0);
        let count = nodes.len();
        let mut wired: Vec<Wired<F>> = Vec::with_capacity(count);
        for (index, (node, inputs)) in nodes.into_iter().zip(edges).enumerate() {
            let len = parameter_count(&node.layer.parameters())?;
            let theta = match node.tied {
                Some(other) => wired[other].theta.clone(),
                None => next_theta..next_theta + len,
            };
            let buffers = next_buffer..next_buffer + buffer_count(&node.layer.buffers());
            (next_theta, next_buffer) = (next_theta.max(theta.end), buffers.end);
            let width = node.layer.output_shape().len();
            let tape = node.layer.tape();
            wired.push(Wired {
                written: written_in_order(&inputs),
                theta,
                is_tied: node.tied.is_some(),
                buffers,
                width,
                tape,
                tape_start: parts.tapes,
                output_start: parts.outputs,
                terms_start: parts.terms,
                name: node.name,
                layer: node.layer,
                inputs,
            });
            parts.tapes.per_row += tape.per_row;
            parts.tapes.per_batch += tape.per_batch;
            parts.outputs += if index + 1 < count { width } else { 0 };
            parts.terms +=
                wired[index].inputs.iter().filter(|edge| !edge.writes).map(|edge| edge.width).sum::<usize>();
        }
        Ok(Self { inputs, nodes: wired, parts, words: None })
    }

    /// The same graph with the words of the arrangement that it is; its layers, but those called `hidden`, are their parts.
    pub(super) fn with_words(self, words: Derivation, hidden: &[&str]) -> Self {
        let Derivation { mut parts, parameters, .. } = self.derivation();
        parts.retain(|(name, _)| !hidden.contains(&name.as_str()));
        Self { words: Some(Derivation { parts, parameters, ..words }), ..self }
    }

    /// The four parts of the tape: tapes, outputs, gradients of the outputs, terms.
    #[inline]
    fn split<'a>(&self, tape: &'a mut [F], rows: usize) -> [&'a mut [F]; 4] {
        let (tapes, rest) = tape.split_at_mut(self.parts.tapes.for_rows(rows));
        let (outputs, rest) = rest.split_at_mut(self.parts.outputs * rows);
        let (gradients, terms) = rest.split_at_mut(self.parts.outputs * rows);
        [tapes, outputs, gradients, terms]
    }

    fn readers_of_the_input(&self) -> impl Iterator<Item = &Wired<F>> {
        let reads = |node: &&Wired<F>| node.inputs.iter().any(|edge| edge.source == Source::Input(0));
        self.nodes.iter().filter(reads)
    }

    /// What `node` reads, from the graph's inputs and the outputs computed so far.
    #[inline]
    fn sources<'a>(
        &self,
        node: &Wired<F>,
        inputs: &[Rows<'a, F>],
        outputs: &'a [F],
        rows: usize,
    ) -> [Rows<'a, F>; MAX_INPUTS] {
        let mut sources = [inputs[0]; MAX_INPUTS];
        for (slot, edge) in sources.iter_mut().zip(&node.inputs) {
            *slot = match edge.source {
                Source::Input(index) => inputs[index],
                Source::Node(index) => self.nodes[index].output(outputs, rows),
            };
        }
        sources
    }
}

impl<F: Float> Wired<F> {
    #[inline]
    fn output<'a>(&self, outputs: &'a [F], rows: usize) -> Rows<'a, F> {
        Rows::new(&outputs[self.output_range(rows)], self.width)
    }

    #[inline]
    fn output_range(&self, rows: usize) -> Range<usize> {
        self.output_start * rows..(self.output_start + self.width) * rows
    }

    #[inline]
    fn tape_range(&self, rows: usize) -> Range<usize> {
        let start = self.tape_start.for_rows(rows);
        start..start + self.tape.for_rows(rows)
    }
}

fn check_wiring<F: Float>(inputs: &[Shape], nodes: &[Node<F>]) -> Result<(), Error> {
    let mut used = vec![false; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        if nodes[..index].iter().any(|other| other.name == node.name) {
            return Err(Error::DuplicateName { name: node.name.clone() });
        }
        let shapes = node.layer.input_shapes();
        if shapes.len() != node.inputs.len() || shapes.len() > MAX_INPUTS {
            let (layer, expected) = ("a layer of a graph", "as many inputs as it was built for, at most 16");
            return Err(Error::InputCount { layer, expected, found: node.inputs.len() });
        }
        check_tie(&nodes[..index], node)?;
        for (source, expected) in node.inputs.iter().zip(shapes) {
            let (source_name, found) = match *source {
                Source::Input(at) if at < inputs.len() => ("input", &inputs[at]),
                Source::Node(at) if at < index => {
                    used[at] = true;
                    (nodes[at].name.as_str(), nodes[at].layer.output_shape())
                }
                _ => return Err(Error::Order { layer: node.name.clone() }),
            };
            if *found != expected {
                let (layer, source_name) = (node.name.clone(), source_name.into());
                return Err(Error::ShapeMismatch { layer, expected, source_name, found: found.clone() });
            }
        }
    }
    used[nodes.len() - 1] = true;
    match used.iter().position(|used| !used) {
        Some(index) => Err(Error::Unused { layer: nodes[index].name.clone() }),
        None => Ok(()),
    }
}

/// A node that shares parameters needs tensors of the same shapes, in the same order, as the earlier node that has them.
fn check_tie<F: Float>(before: &[Node<F>], node: &Node<F>) -> Result<(), Error> {
    let Some(other) = node.tied else { return Ok(()) };
    let Some(other) = before.get(other).filter(|other| other.tied.is_none()) else {
        return Err(Error::Order { layer: node.name.clone() });
    };
    let shapes = |node: &Node<F>| node.layer.parameters().into_iter().map(|tensor| tensor.shape);
    if shapes(node).eq(shapes(other)) {
        return Ok(());
    }
    let list = |node: &Node<F>| shapes(node).map(|shape| shape.to_string()).collect::<Vec<_>>().join(" ");
    Err(Error::Tie {
        layer: node.name.clone(),
        needs: list(node),
        source_name: other.name.clone(),
        has: list(other),
    })
}

/// The edges of every node; for each source the last reader, which runs first on the way back, writes.
fn edges<F: Float>(inputs: &[Shape], nodes: &[Node<F>]) -> Vec<Vec<Edge>> {
    let mut seen: Vec<Source> = Vec::new();
    let mut reversed: Vec<Vec<Edge>> = Vec::with_capacity(nodes.len());
    for node in nodes.iter().rev() {
        let edge = |&source: &Source| {
            let width = match source {
                Source::Input(index) => inputs[index].len(),
                Source::Node(index) => nodes[index].layer.output_shape().len(),
            };
            let writes = !seen.contains(&source);
            if writes {
                seen.push(source);
            }
            Edge { source, width, writes }
        };
        reversed.push(node.inputs.iter().map(edge).collect());
    }
    reversed.reverse();
    reversed
}

/// The positions of the inputs that write a node's gradient, in the order in which those gradients lie in memory.
fn written_in_order(edges: &[Edge]) -> Vec<usize> {
    let node = |slot: &usize| match edges[*slot] {
        Edge { source: Source::Node(index), writes: true, .. } => Some(index),
        _ => None,
    };
    let mut slots: Vec<usize> = (0..edges.len()).filter(|slot| node(slot).is_some()).collect();
    slots.sort_by_key(node);
    slots
}

impl<F: Float> Layer<F> for Graph<F> {
    fn input_shapes(&self) -> Vec<Shape> {
        self.inputs.clone()
    }

    fn output_shape(&self) -> &Shape {
        self.nodes[self.nodes.len() - 1].layer.output_shape()
    }

    fn parameters(&self) -> Vec<Parameter> {
        let own = self.nodes.iter().filter(|node| !node.is_tied);
        own.flat_map(|node| named(&node.name, node.layer.as_ref())).collect()
    }

    fn buffers(&self) -> Vec<Buffer> {
        self.nodes.iter().flat_map(|node| named_buffers(&node.name, node.layer.as_ref())).collect()
    }

    fn least_rows(&self) -> usize {
        self.nodes.iter().map(|node| node.layer.least_rows()).max().unwrap_or(1)
    }

    fn index_limit(&self) -> Option<usize> {
        self.readers_of_the_input().filter_map(|node| node.layer.index_limit()).min()
    }

    /// Those of every reader of the input, also of those that read a part of it.
    fn index_ranges(&self) -> Vec<(Range<usize>, usize)> {
        let offset = |source: Source| match source {
            Source::Input(0) => Some(0),
            Source::Node(index) => {
                let part = &self.nodes[index];
                let reads_input = part.inputs.first().is_some_and(|edge| edge.source == Source::Input(0));
                part.layer.window().filter(|_| reads_input).map(|window| window.start)
            }
            Source::Input(_) => None,
        };
        let of_node = |node: &Wired<F>| {
            let start = node.inputs.first().and_then(|edge| offset(edge.source));
            let ranges = start.map(|start| (start, node.layer.index_ranges()));
            ranges.into_iter().flat_map(|(start, ranges)| {
                ranges.into_iter().map(move |(own, limit)| (start + own.start..start + own.end, limit))
            })
        };
        self.nodes.iter().flat_map(of_node).collect()
    }

    fn masking(&self) -> Option<Masking> {
        self.readers_of_the_input().find_map(|node| node.layer.masking())
    }

    fn masked_positions(&self) -> Vec<usize> {
        self.nodes.iter().flat_map(|node| node.layer.masked_positions()).collect()
    }

    fn tape(&self) -> TapeLen {
        let Parts { tapes, outputs, terms } = self.parts;
        TapeLen { per_row: tapes.per_row + 2 * outputs + terms, per_batch: tapes.per_batch }
    }

    fn multiply_adds(&self) -> usize {
        self.nodes.iter().fold(0, |sum, node| sum.saturating_add(node.layer.multiply_adds()))
    }

    fn derivation(&self) -> Derivation {
        if let Some(words) = &self.words {
            return words.clone();
        }
        let part = |node: &Wired<F>| (node.name.clone(), node.layer.derivation());
        Derivation {
            forward: vec!["b = f_b(the outputs a that it reads), node by node;  y = the last".into()],
            local: vec!["∂b/∂a and ∂b/∂θ_b: those of node b".into()],
            inputs: vec![
                "dL/da = Σ_b dL/db · ∂b/∂a, over the nodes b that read a".into();
                self.inputs.len()
            ],
            parameters: vec!["dL/dθ_b = dL/db · ∂b/∂θ_b".into(); Layer::<F>::parameters(self).len()],
            parts: self.nodes.iter().map(part).collect(),
            ..Derivation::default()
        }
    }

    fn forward(
        &self,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        mut y: RowsMut<'_, F>,
        tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let rows = inputs[0].len();
        let [tapes, outputs, _, _] = self.split(tape, rows);
        for (index, node) in self.nodes.iter().enumerate() {
            let is_last = index + 1 == self.nodes.len();
            let (before, rest) = outputs.split_at_mut(node.output_start * rows);
            let sources = self.sources(node, inputs, before, rows);
            let y =
                if is_last { y.reborrow() } else { RowsMut::new(&mut rest[..node.width * rows], node.width) };
            let theta = &theta[node.theta.clone()];
            let own_tape = &mut tapes[node.tape_range(rows)];
            let ctx = &mut ctx.part(index, node.buffers.clone());
            node.layer.forward(theta, &sources[..node.inputs.len()], y, own_tape, ctx);
        }
    }

    fn first_not_finite(&self, y: Rows<'_, F>, tape: &mut [F]) -> Option<String> {
        let rows = y.len();
        let [tapes, outputs, _, _] = self.split(tape, rows);
        let last = self.nodes.len() - 1;
        self.nodes.iter().enumerate().find_map(|(index, node)| {
            let y = if index == last { y } else { node.output(outputs, rows) };
            let part = node.layer.first_not_finite(y, &mut tapes[node.tape_range(rows)])?;
            Some(joined(&node.name, &part))
        })
    }

    fn backward(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        mut dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        ctx: &mut Ctx<'_, F>,
    ) {
        let rows = pass.y.len();
        let [tapes, outputs, gradients, terms] = self.split(pass.tape, rows);
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let is_last = index + 1 == self.nodes.len();
            let sources = self.sources(node, pass.inputs, outputs, rows);
            let (below, rest) = gradients.split_at_mut(node.output_start * rows);
            let (y, dy) = if is_last {
                (pass.y, dy.reborrow())
            } else {
                (node.output(outputs, rows), RowsMut::new(&mut rest[..node.width * rows], node.width))
            };
            let inputs = &sources[..node.inputs.len()];
            let pass = Pass { inputs, y, tape: &mut tapes[node.tape_range(rows)] };
            let terms = &mut terms[node.terms_start * rows..];
            let mut targets = self.targets(node, below, terms, dx, rows);
            let targets = &mut targets[..node.inputs.len()];
            let ctx = &mut ctx.part(index, node.buffers.clone());
            node.layer.backward(&theta[node.theta.clone()], pass, dy, targets, ctx);
            self.add_terms(node, below, terms, dx, rows);
        }
    }

    fn accumulate(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: Rows<'_, F>,
        dtheta: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        self.parameter_gradient(Add, theta, pass, dy, dtheta, ctx);
    }

    fn parameter_gradient(
        &self,
        into: Accumulate,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: Rows<'_, F>,
        dtheta: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let rows = pass.y.len();
        let [tapes, outputs, gradients, _] = self.split(pass.tape, rows);
        for (index, node) in self.nodes.iter().enumerate() {
            let is_last = index + 1 == self.nodes.len();
            let sources = self.sources(node, pass.inputs, outputs, rows);
            let (y, dy) = if is_last {
                (pass.y, dy)
            } else {
                (node.output(outputs, rows), node.output(gradients, rows))
            };
            let inputs = &sources[..node.inputs.len()];
            let pass = Pass { inputs, y, tape: &mut tapes[node.tape_range(rows)] };
            let range = node.theta.clone();
            let ctx = &mut ctx.part(index, node.buffers.clone());
            // The node that lists the tensor was there before.
            let into = if node.is_tied { Add } else { into };
            node.layer.parameter_gradient(into, &theta[range.clone()], pass, dy, &mut dtheta[range], ctx);
        }
    }
}

impl<F: Float> Graph<F> {
    /// Where `node` writes the gradient of each of its inputs: the gradient of the source if it is its last reader,
    /// else the node's room for terms; nowhere for an input of the graph that nobody asked for.
    fn targets<'a>(
        &self,
        node: &Wired<F>,
        below: &'a mut [F],
        terms: &'a mut [F],
        dx: &'a mut [Option<RowsMut<'_, F>>],
        rows: usize,
    ) -> [Option<RowsMut<'a, F>>; MAX_INPUTS] {
        let mut targets = [const { None }; MAX_INPUTS];
        let mut terms = terms;
        for (slot, edge) in node.inputs.iter().enumerate().filter(|(_, edge)| !edge.writes) {
            let (own, rest) = terms.split_at_mut(edge.width * rows);
            terms = rest;
            let asked = !matches!(edge.source, Source::Input(index) if dx[index].is_none());
            targets[slot] = asked.then(|| RowsMut::new(own, edge.width));
        }
        let (mut below, mut passed) = (below, 0);
        for &slot in &node.written {
            let Source::Node(source) = node.inputs[slot].source else { continue };
            let range = self.nodes[source].output_range(rows);
            let (own, rest) = below.split_at_mut(range.end - passed);
            targets[slot] = Some(RowsMut::new(&mut own[range.start - passed..], node.inputs[slot].width));
            (below, passed) = (rest, range.end);
        }
        for (index, dx) in dx.iter_mut().enumerate() {
            let writes = |edge: &Edge| edge.writes && edge.source == Source::Input(index);
            if let Some(slot) = node.inputs.iter().position(writes) {
                targets[slot] = dx.as_mut().map(RowsMut::reborrow);
            }
        }
        targets
    }

    /// Adds the terms that `node` computed to the gradients of their sources.
    fn add_terms(
        &self,
        node: &Wired<F>,
        below: &mut [F],
        terms: &[F],
        dx: &mut [Option<RowsMut<'_, F>>],
        rows: usize,
    ) {
        let mut terms = terms;
        for edge in node.inputs.iter().filter(|edge| !edge.writes) {
            let (own, rest) = terms.split_at(edge.width * rows);
            terms = rest;
            let sum = match edge.source {
                Source::Node(source) => &mut below[self.nodes[source].output_range(rows)],
                Source::Input(index) => match &mut dx[index] {
                    Some(dx) => dx.data(),
                    None => continue,
                },
            };
            sum.iter_mut().zip(own).for_each(|(sum, &term)| *sum += term);
        }
    }
}

#[cfg(test)]
mod tests;
