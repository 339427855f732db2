//! Layers one after the other: the chain rule itself.

use std::ops::Range;

use super::Neurons;
use crate::derivation::for_each_input;
use crate::matmul::Accumulate::{self, Add};
use crate::{
    Buffer, Ctx, Derivation, Error, Float, Layer, Masking, Parameter, Pass, Rows, RowsMut, Shape, TapeLen,
    buffer_count, parameter_count,
};

/// `y = f_L(... f_2(f_1(x)))`: every layer's output is the next one's input.
///
/// # Derivation
/// With `a_0 = x` and `a_l = f_l(a_{l-1}, θ_l)`, the loss reaches `θ_l` only through `a_l`, so
/// ```text
/// dL/da_{l-1} = dL/da_l · ∂f_l/∂a_{l-1}        each layer's backward, from the last to the first
/// dL/dθ_l     = dL/da_l · ∂f_l/∂θ_l            each layer's accumulate
/// ```
/// This is the notebook's `p_L_p_ypred * p_ypred_p_h1 * p_h1_p_w1`, a factor a layer.
///
/// # Memory
/// `theta` is the layers' parameters in order. The tape holds for each layer `l` its own tape, then `a_l` and
/// `dL/da_l`; those of the last layer are the chain's own `y` and `dy`.
#[derive(Debug)]
pub struct Chain<F> {
    links: Vec<Link<F>>,
    tape: TapeLen,
}

#[derive(Debug)]
struct Link<F> {
    name: String,
    layer: Box<dyn Layer<F>>,
    /// The layer's part of `theta`.
    theta: Range<usize>,
    /// Its part of the buffers.
    buffers: Range<usize>,
    /// Numbers of one row of its output.
    width: usize,
    /// Its own tape.
    tape: TapeLen,
    /// Where its part of the chain's tape starts.
    start: TapeLen,
}

/// One link's part of the tape.
struct Segment<'a, F> {
    tape: &'a mut [F],
    y: &'a mut [F],
    dy: &'a mut [F],
}

impl<F: Float> Link<F> {
    #[inline]
    fn segment<'a>(&self, own: &'a mut [F], rows: usize) -> Segment<'a, F> {
        let (tape, outputs) = own.split_at_mut(self.tape.for_rows(rows));
        let (y, dy) = outputs.split_at_mut(outputs.len() / 2);
        Segment { tape, y, dy }
    }
}

impl<F: Float> Chain<F> {
    /// The named layers in order. Only the first may take several inputs; they are the chain's.
    ///
    /// # Errors
    /// [`Error::NoLayers`], [`Error::DuplicateName`], [`Error::ShapeMismatch`] where two neighbours do not fit,
    /// [`Error::TooLarge`] if the parameters exceed the address space.
    pub fn new(layers: Vec<(String, Box<dyn Layer<F>>)>) -> Result<Self, Error> {
        if layers.is_empty() {
            return Err(Error::NoLayers);
        }
        let mut links: Vec<Link<F>> = Vec::with_capacity(layers.len());
        let (mut next_theta, mut next_buffer) = (0, 0);
        let mut start = TapeLen::NONE;
        for (name, layer) in layers {
            check_fit(links.last(), &name, layer.as_ref())?;
            if links.iter().any(|link| link.name == name) {
                return Err(Error::DuplicateName { name });
            }
            let len = parameter_count(&layer.parameters())?;
            let width = layer.output_shape().len();
            let tape = layer.tape();
            let theta = next_theta..next_theta + len;
            let buffers = next_buffer..next_buffer + buffer_count(&layer.buffers());
            (next_theta, next_buffer) = (theta.end, buffers.end);
            links.push(Link { name, layer, theta, buffers, width, tape, start });
            start.per_row += tape.per_row + 2 * width;
            start.per_batch += tape.per_batch;
        }
        let last = &links[links.len() - 1];
        let tape = TapeLen { per_row: start.per_row - 2 * last.width, per_batch: start.per_batch };
        Ok(Self { links, tape })
    }

    fn last(&self) -> &Link<F> {
        &self.links[self.links.len() - 1]
    }
}

fn check_fit<F: Float>(before: Option<&Link<F>>, name: &str, layer: &dyn Layer<F>) -> Result<(), Error> {
    let Some(before) = before else { return Ok(()) };
    let mut shapes = layer.input_shapes();
    if shapes.len() != 1 {
        return Err(Error::InputCount {
            layer: "a layer inside a chain",
            expected: "one input",
            found: shapes.len(),
        });
    }
    let (expected, found) = (shapes.remove(0), before.layer.output_shape().clone());
    if expected == found {
        return Ok(());
    }
    Err(Error::ShapeMismatch { layer: name.into(), expected, source_name: before.name.clone(), found })
}

/// The buffers of a layer under its name in a network.
pub(super) fn named_buffers<F: Float>(name: &str, layer: &dyn Layer<F>) -> impl Iterator<Item = Buffer> {
    let prefix = format!("{name}.");
    layer
        .buffers()
        .into_iter()
        .map(move |buffer| Buffer { name: format!("{prefix}{}", buffer.name), ..buffer })
}

/// The parameters of a layer under its name in a network.
pub(super) fn named<F: Float>(name: &str, layer: &dyn Layer<F>) -> impl Iterator<Item = Parameter> {
    let prefix = format!("{name}.");
    layer
        .parameters()
        .into_iter()
        .map(move |parameter| Parameter { name: format!("{prefix}{}", parameter.name), ..parameter })
}

/// The name of a part of a layer.
pub(super) fn joined(layer: &str, part: &str) -> String {
    if part.is_empty() { layer.to_owned() } else { format!("{layer}.{part}") }
}

impl<F: Float> Layer<F> for Chain<F> {
    fn input_shapes(&self) -> Vec<Shape> {
        self.links[0].layer.input_shapes()
    }

    fn output_shape(&self) -> &Shape {
        self.last().layer.output_shape()
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.links.iter().flat_map(|link| named(&link.name, link.layer.as_ref())).collect()
    }

    fn buffers(&self) -> Vec<Buffer> {
        self.links.iter().flat_map(|link| named_buffers(&link.name, link.layer.as_ref())).collect()
    }

    fn least_rows(&self) -> usize {
        self.links.iter().map(|link| link.layer.least_rows()).max().unwrap_or(1)
    }

    fn index_limit(&self) -> Option<usize> {
        self.links[0].layer.index_limit()
    }

    fn index_ranges(&self) -> Vec<(Range<usize>, usize)> {
        self.links[0].layer.index_ranges()
    }

    fn masking(&self) -> Option<Masking> {
        self.links[0].layer.masking()
    }

    fn masked_positions(&self) -> Vec<usize> {
        self.links.iter().flat_map(|link| link.layer.masked_positions()).collect()
    }

    fn neurons(&self) -> Option<Vec<Neurons<F>>> {
        let parts: Option<Vec<_>> = self.links.iter().map(|link| link.layer.neurons()).collect();
        parts.map(|parts| parts.concat())
    }

    fn tape(&self) -> TapeLen {
        self.tape
    }

    fn multiply_adds(&self) -> usize {
        self.links.iter().fold(0, |sum, link| sum.saturating_add(link.layer.multiply_adds()))
    }

    fn derivation(&self) -> Derivation {
        let part = |link: &Link<F>| (link.name.clone(), link.layer.derivation());
        Derivation {
            forward: vec!["a_0 = x,  a_l = f_l(a_(l-1)),  y = the last a_l".into()],
            local: vec!["∂a_l/∂a_(l-1) and ∂a_l/∂θ_l: those of layer l".into()],
            inputs: for_each_input(self.links[0].layer.input_shapes().len(), |_| {
                "dL/da_(l-1) = dL/da_l · ∂a_l/∂a_(l-1), from the last layer to the first".into()
            }),
            parameters: vec![
                "dL/dθ_l = dL/da_l · ∂a_l/∂θ_l".into();
                Layer::<F>::parameters(self).len()
            ],
            parts: self.links.iter().map(part).collect(),
            ..Derivation::default()
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
        let rows = inputs[0].len();
        let mut tape = tape;
        let mut below: Option<Rows<'_, F>> = None;
        for (index, pair) in self.links.windows(2).enumerate() {
            let (link, next) = (&pair[0], &pair[1]);
            let len = next.start.for_rows(rows) - link.start.for_rows(rows);
            let (own, rest) = tape.split_at_mut(len);
            tape = rest;
            let segment = link.segment(own, rows);
            let x = below.as_slice();
            let x = if x.is_empty() { inputs } else { x };
            let y = RowsMut::counted(segment.y, rows, link.width);
            let ctx = &mut ctx.part(index, link.buffers.clone());
            link.layer.forward(&theta[link.theta.clone()], x, y, segment.tape, ctx);
            below = Some(Rows::counted(segment.y, rows, link.width));
        }
        let last = self.last();
        let x = below.as_slice();
        let x = if x.is_empty() { inputs } else { x };
        let ctx = &mut ctx.part(self.links.len() - 1, last.buffers.clone());
        last.layer.forward(&theta[last.theta.clone()], x, y, tape, ctx);
    }

    fn first_not_finite(&self, y: Rows<'_, F>, tape: &mut [F]) -> Option<String> {
        let rows = y.len();
        let mut tape = tape;
        for pair in self.links.windows(2) {
            let (link, next) = (&pair[0], &pair[1]);
            let (own, rest) = tape.split_at_mut(next.start.for_rows(rows) - link.start.for_rows(rows));
            tape = rest;
            let segment = link.segment(own, rows);
            let y = Rows::counted(segment.y, rows, link.width);
            if let Some(part) = link.layer.first_not_finite(y, segment.tape) {
                return Some(joined(&link.name, &part));
            }
        }
        let last = self.last();
        last.layer.first_not_finite(y, tape).map(|part| joined(&last.name, &part))
    }

    fn backward(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        ctx: &mut Ctx<'_, F>,
    ) {
        let rows = pass.y.len();
        let last = self.last();
        let (mut head, own) = pass.tape.split_at_mut(last.start.for_rows(rows));
        let (mut own_tape, mut y, mut dy) = (own, pass.y, dy);
        for (index, pair) in self.links.windows(2).enumerate().rev() {
            let (below, link) = (&pair[0], &pair[1]);
            let (rest, segment) = head.split_at_mut(below.start.for_rows(rows));
            let Segment { tape: below_tape, y: x, dy: dx } = below.segment(segment, rows);
            let x = Rows::counted(x, rows, below.width);
            let pass = Pass { inputs: &[x], y, tape: own_tape };
            let mut dx = RowsMut::counted(dx, rows, below.width);
            let theta = &theta[link.theta.clone()];
            let ctx = &mut ctx.part(index + 1, link.buffers.clone());
            link.layer.backward(theta, pass, dy, &mut [Some(dx.reborrow())], ctx);
            (own_tape, y, dy) = (below_tape, x, dx);
            head = rest;
        }
        let first = &self.links[0];
        let pass = Pass { inputs: pass.inputs, y, tape: own_tape };
        let ctx = &mut ctx.part(0, first.buffers.clone());
        first.layer.backward(&theta[first.theta.clone()], pass, dy, dx, ctx);
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
        let mut tape = pass.tape;
        let mut below: Option<Rows<'_, F>> = None;
        for (index, pair) in self.links.windows(2).enumerate() {
            let (link, next) = (&pair[0], &pair[1]);
            let len = next.start.for_rows(rows) - link.start.for_rows(rows);
            let (own, rest) = tape.split_at_mut(len);
            tape = rest;
            let segment = link.segment(own, rows);
            let x = below.as_slice();
            let inputs = if x.is_empty() { pass.inputs } else { x };
            let y = Rows::counted(segment.y, rows, link.width);
            let range = link.theta.clone();
            let pass = Pass { inputs, y, tape: segment.tape };
            let dy = Rows::counted(segment.dy, rows, link.width);
            let ctx = &mut ctx.part(index, link.buffers.clone());
            link.layer.parameter_gradient(into, &theta[range.clone()], pass, dy, &mut dtheta[range], ctx);
            below = Some(y);
        }
        let last = self.last();
        let x = below.as_slice();
        let inputs = if x.is_empty() { pass.inputs } else { x };
        let range = last.theta.clone();
        let pass = Pass { inputs, y: pass.y, tape };
        let ctx = &mut ctx.part(self.links.len() - 1, last.buffers.clone());
        last.layer.parameter_gradient(into, &theta[range.clone()], pass, dy, &mut dtheta[range], ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Gelu, Sigmoid, Tanh};
    use crate::layers::{Add, Dense, check};

    fn dense(inputs: usize, units: usize) -> Box<dyn Layer<f64>> {
        Box::new(Dense::new(&Shape::vector(inputs).unwrap(), units, Box::new(Sigmoid)).unwrap())
    }

    fn gelu(inputs: usize, units: usize) -> Box<dyn Layer<f64>> {
        Box::new(Dense::new(&Shape::vector(inputs).unwrap(), units, Box::new(Gelu::exact())).unwrap())
    }

    #[test]
    fn gives_the_notebooks_2_2_1_numbers() {
        let network =
            Chain::new(vec![("hidden".into(), dense(2, 2)), ("output".into(), dense(2, 1))]).unwrap();
        let theta = [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        assert_eq!(check::forward(&network, &theta, &[&[2.0, 3.0]]), [0.7216325609518421]);
        let names: Vec<_> = network.parameters().into_iter().map(|parameter| parameter.name).collect();
        assert_eq!(names, ["hidden.weight", "hidden.bias", "output.weight", "output.bias"]);
    }

    #[test]
    fn gradients_equal_central_differences() {
        let layers = vec![("a".into(), dense(3, 4)), ("b".into(), gelu(4, 5)), ("c".into(), dense(5, 2))];
        check::gradients(&Chain::new(layers).unwrap(), 7);
        check::gradients(&Chain::new(vec![("only".into(), dense(3, 2))]).unwrap(), 2);
    }

    #[test]
    fn nests_and_may_start_with_several_inputs() {
        let shape = Shape::vector(3).unwrap();
        let inner = Chain::new(vec![("a".into(), gelu(3, 4)), ("b".into(), dense(4, 3))]).unwrap();
        let add = Add::new(&[shape.clone(), shape.clone()]).unwrap();
        let tanh = crate::layers::Activate::new(&shape, Box::new(Tanh));
        let outer: Vec<(String, Box<dyn Layer<f64>>)> = vec![
            ("sum".into(), Box::new(add)),
            ("inner".into(), Box::new(inner)),
            ("tanh".into(), Box::new(tanh)),
        ];
        let outer = Chain::new(outer).unwrap();
        assert_eq!(outer.parameters()[0].name, "inner.a.weight");
        check::gradients(&outer, 4);
    }

    #[test]
    fn names_the_layers_that_do_not_fit() {
        let error = Chain::new(vec![("a".into(), dense(3, 4)), ("b".into(), dense(5, 2))]).unwrap_err();
        assert_eq!(error.to_string(), "layer \"b\" takes [5], but \"a\" gives [4]");
        let error = Chain::new(vec![("a".into(), dense(3, 3)), ("a".into(), dense(3, 3))]).unwrap_err();
        assert_eq!(error, Error::DuplicateName { name: "a".into() });
        assert_eq!(Chain::<f32>::new(Vec::new()).unwrap_err(), Error::NoLayers);
    }
}
