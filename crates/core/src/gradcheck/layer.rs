//! One layer, through a random projection of its output.

use super::report::compare;
use super::{Options, Report, chosen, numbers};
use crate::matmul::Accumulate;
use crate::{Ctx, Draw, Error, Inline, Layer, Pass, Rows, RowsMut, initial_buffers, parameter_count};

/// Whether a layer is checked as it trains or as it predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Statistics are those of the batch; noise is drawn, the same in every evaluation.
    #[default]
    Train,
    /// Running statistics, no noise.
    Evaluate,
}

/// What a layer is checked on.
#[derive(Clone, Debug, Default)]
pub struct LayerCase {
    /// The number of samples.
    pub rows: usize,
    /// As it trains or as it predicts.
    pub phase: Phase,
    /// With so many positions a sample, of which some are padding: always another number in each sample.
    pub masked: Option<usize>,
    /// Tensors whose gradient is zero whatever the numbers, each with the reason.
    pub zeros: Vec<(String, &'static str)>,
}

/// Checks the gradients of `layer` by its parameters and its inputs, at random numbers.
///
/// With a random `p` the projection `L = Σ p ⊙ y` has `dL/dy = p`: a wrong entry anywhere in the Jacobian moves it.
///
/// # Errors
/// [`Error::TooLarge`] if the parameters exceed the address space.
pub fn check_layer(layer: &dyn Layer<f64>, case: &LayerCase, options: Options) -> Result<Report, Error> {
    let parameters = layer.parameters();
    let limit = layer.index_limit();
    let mut point = Point::new(layer, case, options)?;
    let (dtheta, dx) = point.gradients();
    let zero = |name: &str| case.zeros.iter().find(|(zero, _)| zero == name).map(|(_, reason)| *reason);

    let mut report = Report::default();
    let mut start = 0;
    for parameter in &parameters {
        let own = start..start + parameter.shape.len();
        let entries = chosen(own.len(), options.entries, options.seed, start as u64);
        let name = parameter.name.clone();
        let reason = zero(&name);
        let mut value = |entry: usize, delta: f64| point.value_at(None, start + entry, delta);
        report.tensors.push(compare(name, &dtheta[own.clone()], &entries, options, reason, &mut value));
        start = own.end;
    }
    for (index, dx) in dx.iter().enumerate() {
        // There is no slope along an index.
        if index == 0 && limit.is_some() {
            continue;
        }
        let name = if point.inputs.len() == 1 { "x".to_owned() } else { format!("x[{index}]") };
        let entries = chosen(dx.len(), options.entries, options.seed, u64::MAX - index as u64);
        let reason = zero(&name);
        let mut value = |entry: usize, delta: f64| point.value_at(Some(index), entry, delta);
        report.tensors.push(compare(name, dx, &entries, options, reason, &mut value));
    }
    Ok(report)
}

/// A mask whose sample `i` ends after `positions - i` positions, at least one, with a hole where there is room.
fn mask(rows: usize, positions: usize) -> Vec<f64> {
    let length = |row: usize| positions - row % positions;
    let counts = |row: usize, position: usize| position < length(row) && !(position == 1 && row % 3 == 2);
    (0..rows * positions).map(|at| f64::from(u8::from(counts(at / positions, at % positions)))).collect()
}

/// The difference between gradients that were added to ones and those that replaced, relative to the largest
/// number of a tensor, that rounding may make.
const WAYS_DIFFER: f64 = 1e-12;

/// A layer at the numbers where it is checked.
pub(super) struct Point<'a> {
    layer: &'a dyn Layer<f64>,
    pub(super) theta: Vec<f64>,
    pub(super) inputs: Vec<Vec<f64>>,
    widths: Vec<usize>,
    pub(super) projection: Vec<f64>,
    rows: usize,
    phase: Phase,
    mask: Vec<f64>,
    positions: usize,
    buffers: Vec<f64>,
}

impl<'a> Point<'a> {
    /// Random numbers of the right kind for every buffer of the layer.
    pub(super) fn new(layer: &'a dyn Layer<f64>, case: &LayerCase, options: Options) -> Result<Self, Error> {
        let theta = numbers(parameter_count(&layer.parameters())?, options.seed, 0);
        let shapes = layer.input_shapes();
        let limit = layer.index_limit();
        let input = |(index, shape): (usize, &crate::Shape)| {
            let mut x = numbers(case.rows * shape.len(), options.seed, 2 + index as u64);
            if let (Some(limit), 0) = (limit, index) {
                x.iter_mut().for_each(|x| *x = (x.abs() * limit as f64).floor().min(limit as f64 - 1.0));
            }
            x
        };
        Ok(Self {
            layer,
            theta,
            inputs: shapes.iter().enumerate().map(input).collect(),
            widths: shapes.iter().map(crate::Shape::len).collect(),
            projection: numbers(case.rows * layer.output_shape().len(), options.seed, 1),
            rows: case.rows,
            phase: case.phase,
            mask: case.masked.map_or_else(Vec::new, |positions| mask(case.rows, positions)),
            positions: case.masked.unwrap_or(1),
            buffers: initial_buffers(&layer.buffers()),
        })
    }

    /// The same point with the rows from `first` on alone, of which there are `rows`.
    pub(super) fn rows(&self, first: usize, rows: usize) -> Self {
        let part = |data: &[f64], width: usize| data[first * width..(first + rows) * width].to_vec();
        let mask = if self.mask.is_empty() { Vec::new() } else { part(&self.mask, self.positions) };
        Self {
            layer: self.layer,
            theta: self.theta.clone(),
            inputs: self.inputs.iter().zip(&self.widths).map(|(x, &width)| part(x, width)).collect(),
            widths: self.widths.clone(),
            projection: part(&self.projection, self.layer.output_shape().len()),
            rows,
            phase: self.phase,
            mask,
            positions: self.positions,
            buffers: self.buffers.clone(),
        }
    }

    /// The projection with one number moved: of an input, or of the parameters.
    fn value_at(&mut self, input: Option<usize>, entry: usize, delta: f64) -> f64 {
        let before = *self.number(input, entry);
        *self.number(input, entry) = before + delta;
        let value = self.value();
        *self.number(input, entry) = before;
        value
    }

    fn number(&mut self, input: Option<usize>, entry: usize) -> &mut f64 {
        match input {
            Some(index) => &mut self.inputs[index][entry],
            None => &mut self.theta[entry],
        }
    }

    fn views(&self) -> Vec<Rows<'_, f64>> {
        self.inputs.iter().zip(&self.widths).map(|(x, &width)| Rows::new(x, width)).collect()
    }

    /// Lends the layer its context; what it does to its buffers is forgotten.
    fn with_context<R>(&self, work: impl FnOnce(&mut Ctx<'_, f64>) -> R) -> R {
        let mut buffers = self.buffers.clone();
        let mask = (!self.mask.is_empty()).then(|| Rows::new(&self.mask, self.positions));
        let ctx = match self.phase {
            Phase::Train => Ctx::train(&Inline, &mut buffers, Draw::new(1, 1)),
            Phase::Evaluate => Ctx::evaluate(&Inline, &buffers),
        };
        work(&mut Ctx { mask, ..ctx })
    }

    fn forward(&self, y: &mut [f64], tape: &mut [f64]) {
        let y = RowsMut::new(y, self.layer.output_shape().len());
        self.with_context(|ctx| self.layer.forward(&self.theta, &self.views(), y, tape, ctx));
    }

    /// The projection `Σ p ⊙ y`.
    pub(super) fn value(&self) -> f64 {
        let mut y = vec![f64::NAN; self.projection.len()];
        let mut tape = vec![f64::NAN; self.layer.tape().for_rows(self.rows)];
        self.forward(&mut y, &mut tape);
        y.iter().zip(&self.projection).map(|(y, p)| y * p).sum()
    }

    /// The gradients that the layer computes; NaN for a whole tensor of which adding and replacing give different
    /// ones.
    pub(super) fn gradients(&self) -> (Vec<f64>, Vec<Vec<f64>>) {
        let (mut dtheta, dx) = self.gradients_by(Accumulate::Add, 1.0);
        dtheta.iter_mut().for_each(|gradient| *gradient -= 1.0);
        let (overwritten, _) = self.gradients_by(Accumulate::Replace, f64::NAN);
        let (mut rest, mut others) = (&mut dtheta[..], &overwritten[..]);
        for parameter in self.layer.parameters() {
            let len = parameter.shape.len();
            let own = rest.split_off_mut(..len).unwrap_or_default();
            let other = others.split_off(..len).unwrap_or_default();
            let largest = own.iter().fold(1.0, |largest: f64, gradient| largest.max(gradient.abs()));
            let agree = |(a, b): (&f64, &f64)| (a - b).abs() <= WAYS_DIFFER * largest;
            if !own.iter().zip(other).all(agree) {
                own.fill(f64::NAN);
            }
        }
        (dtheta, dx)
    }

    /// The gradients by one of the two ways, with `start` in `dtheta`, from buffers that would show if they were misused.
    fn gradients_by(&self, into: Accumulate, start: f64) -> (Vec<f64>, Vec<Vec<f64>>) {
        let width = self.layer.output_shape().len();
        let views = self.views();
        let mut y = vec![f64::NAN; self.projection.len()];
        let mut tape = vec![f64::NAN; self.layer.tape().for_rows(self.rows)];
        self.forward(&mut y, &mut tape);

        let mut dy = self.projection.clone();
        let mut dx: Vec<Vec<f64>> = self.inputs.iter().map(|x| vec![f64::NAN; x.len()]).collect();
        let mut dtheta = vec![start; self.theta.len()];
        let y = Rows::new(&y, width);
        let mut asked: Vec<_> =
            dx.iter_mut().zip(&self.widths).map(|(dx, &width)| Some(RowsMut::new(dx, width))).collect();
        self.with_context(|ctx| {
            let pass = Pass { inputs: &views, y, tape: &mut tape };
            self.layer.backward(&self.theta, pass, RowsMut::new(&mut dy, width), &mut asked, ctx);
            let pass = Pass { inputs: &views, y, tape: &mut tape };
            self.layer.parameter_gradient(into, &self.theta, pass, Rows::new(&dy, width), &mut dtheta, ctx);
        });
        (dtheta, dx)
    }
}
