//! Recurrent layers: what they share, which is all but the cell.
//!
//! | file | has |
//! |---|---|
//! | `cell` | what a cell is |
//! | `simple_rnn`, `lstm`, `gru` | a cell each: its derivation and a step in both directions |
//! | `tile` | all layers and directions over some rows of a batch |
//! | `sweep` | the steps of one direction, the products, padding |
//! | `accumulate` | the gradients of the weights |
//! | `tape` | what is kept, and where |

mod accumulate;
mod cell;
#[cfg(test)]
mod check;
mod gru;
mod lstm;
mod simple_rnn;
mod sweep;
mod tape;
mod tile;

pub use cell::{Cell, CellText, InputBlock, Step, StepBack};
pub use gru::{Gru, GruCell};
pub use lstm::{Lstm, LstmCell};
pub use simple_rnn::{SimpleRnn, SimpleRnnCell};

use accumulate::Accumulate;
use sweep::{Weights, transpose};
use tape::Sizes;
use tile::{DxIs, from_time_major};

use crate::executor::MIN_TILE_WORK;
use crate::{
    Ctx, Derivation, Error, Executor, Fans, Float, Initializer, Layer, Parameter, Pass, Role, Rows, RowsMut,
    Shape, TapeLen,
};

/// Rows of a tile, at least: every step of a tile copies the recurrent weights into the kernel's order.
const MIN_ROWS: usize = 16;

/// The most layers that one stack can have.
pub const MAX_STACKED: usize = 64;

/// What a recurrent layer is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct RecurrentConfig {
    /// Numbers of a state.
    pub units: usize,
    /// Layers that are stacked: each reads the states of the one below.
    pub layers: usize,
    /// Whether every layer has a second set of weights that goes back in time; both states are the output.
    pub bidirectional: bool,
    /// Whether the output is the state after each step, and not the last alone.
    pub return_sequences: bool,
    /// Whether there are biases: two for each sum, as in PyTorch.
    pub bias: bool,
    /// Start values of `weight_ih`.
    pub weight_init: Initializer,
    /// Start values of `weight_hh`.
    pub recurrent_init: Initializer,
    /// Start values of the biases.
    pub bias_init: Initializer,
}

impl RecurrentConfig {
    /// One layer, forward in time, that gives its last state; `weight_ih` starts `xavier_uniform`, `weight_hh`
    /// orthogonal, biases at zero.
    pub fn new(units: usize) -> Self {
        Self {
            units,
            layers: 1,
            bidirectional: false,
            return_sequences: false,
            bias: true,
            weight_init: Initializer::XavierUniform { gain: 1.0 },
            recurrent_init: Initializer::Orthogonal { gain: 1.0 },
            bias_init: Initializer::Zeros,
        }
    }
}

/// `h_t = cell(x_t, h_(t-1))` over the steps of a sequence, with the weights of all gates in one matrix.
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x` | `[n, time, features]` | sequences |
/// | `W_ih`, `W_hh` | `[gates units, inputs]`, `[gates units, units]` | weights, as in PyTorch |
/// | `b_ih`, `b_hh` | `[gates units]` | biases |
/// | `h_t` | `[n, units]` | the state after step `t` |
/// | `y` | `[n, time, width]` or `[n, width]` | all states, or the last; `width` is `units`, twice if bidirectional |
///
/// # Derivation
/// That of a step stands with its [`Cell`]. What is common:
/// - *Time*: a loss that depends on all `h_t`, each a function of the one before and of the same weights, has
///   `dL/dW = Σ_t dL/da_t · ∂a_t/∂W` with `a_t` the sums of step `t`. `dL/da_t` depends on that of step `t+1`, so the
///   steps go back one after the other (Rumelhart, Hinton & Williams, 1986; Werbos, 1990); then, with all of them kept,
///   `dW_ih` and `dW_hh` are one product each, and so are `x W_ihᵀ` on the way up and `dx` on the way down.
/// - *Direction*: the second direction reads the steps from the last to the first (Schuster & Paliwal, 1997). The
///   outputs are side by side, so gradients of the input add up.
/// - *Stacking*: as in a [`Chain`](crate::layers::Chain).
/// - *Padding*: with `m_t` = 1 where a step counts and 0 where it does not,
///   `h_t = m_t cell(x_t, h_(t-1)) + (1 - m_t) h_(t-1)` and `y_t = m_t h_t`. So at padding `dL/dh_(t-1) = dL/dh_t`, and
///   sums and input have no gradient: what PyTorch's packed sequences give, for padding anywhere.
///
/// Start values take each matrix as a whole, as Keras does: its fan-out is all gates.
#[derive(Debug)]
pub struct Recurrent<C> {
    cell: C,
    config: RecurrentConfig,
    sizes: Sizes,
    input: Shape,
    output: Shape,
    /// Rows of a tile.
    tile: usize,
}

impl<C: Cell> Recurrent<C> {
    /// A layer on sequences `[time, features]`.
    ///
    /// # Errors
    /// [`Error::Layer`] if the input has another rank or the stack is empty or too high; [`Error::EmptyShape`] without
    /// units; [`Error::TooLarge`] if weights or states exceed the address space.
    pub fn new(input: &Shape, cell: C, config: RecurrentConfig) -> Result<Self, Error> {
        let failed = |message| Error::Layer { layer: C::NAME, message };
        let &[time, features] = input.axes() else {
            return Err(failed(format!(
                "a sequence has 2 axes, [time, features], but the input is {input}; \
                 input_shape of [model] says how rows are read"
            )));
        };
        if !(1..=MAX_STACKED).contains(&config.layers) {
            return Err(failed(format!("layers is {}, but must be 1 to {MAX_STACKED}", config.layers)));
        }
        Shape::vector(config.units)?;
        let directions = 1 + usize::from(config.bidirectional);
        let sizes = Sizes::new::<C>([time, features], config.units, config.layers, directions)?;
        let output = if config.return_sequences {
            Shape::new([time, sizes.width()])?
        } else {
            Shape::vector(sizes.width())?
        };
        let tile = MIN_TILE_WORK.div_ceil(multiply_adds(&sizes).max(1)).next_multiple_of(MIN_ROWS);
        Ok(Self { cell, config, sizes, input: input.clone(), output, tile })
    }

    /// Layers and directions in the order of their parameters, with where these start and end.
    fn sweeps(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> {
        let directions = self.sizes.directions;
        (0..self.sizes.layers * directions).map(move |index| (index / directions, index % directions))
    }

    /// The parameters of a direction of a layer.
    fn own<'a, F>(&self, theta: &'a [F], layer: usize, direction: usize) -> &'a [F] {
        let len = self.sizes.parameters(layer, self.config.bias);
        &theta[self.start(layer, direction)..][..len]
    }

    fn start(&self, layer: usize, direction: usize) -> usize {
        let len = |layer| self.sizes.parameters(layer, self.config.bias);
        let below = match layer {
            0 => 0,
            _ => self.sizes.directions * (len(0) + (layer - 1) * len(1)),
        };
        below + direction * len(layer)
    }

    /// Calls `work(first_row, piece)` for the rows of each tile, of which `data` has `width` numbers each.
    fn for_each_tile<F: Float>(
        &self,
        executor: &dyn Executor<F>,
        data: &mut [F],
        width: usize,
        work: impl Fn(usize, &mut [F]) + Sync,
    ) {
        if data.len() / width <= self.tile {
            return work(0, data);
        }
        executor.for_each_chunk(data, self.tile * width, &|index, piece| work(index * self.tile, piece));
    }

    /// The tape of the tile that starts with row `first` and has `rows` rows.
    fn tape_of<'a, F>(&self, tape: &'a [F], first: usize, rows: usize) -> &'a [F] {
        let per_row = self.sizes.per_row();
        &tape[first * per_row..][..rows * per_row]
    }
}

/// Multiply-adds of a row.
fn multiply_adds(sizes: &Sizes) -> usize {
    let layer = |layer: usize| sizes.gates.saturating_mul(sizes.inputs(layer).saturating_add(sizes.units));
    let layers = (0..sizes.layers).fold(0usize, |sum, index| sum.saturating_add(layer(index)));
    layers.saturating_mul(sizes.time).saturating_mul(sizes.directions)
}

impl<F: Float, C: Cell> Layer<F> for Recurrent<C> {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.input.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.output
    }

    fn parameters(&self) -> Vec<Parameter> {
        let Sizes { gates, units, .. } = self.sizes;
        let mut parameters = Vec::new();
        for (layer, direction) in self.sweeps() {
            let suffix = if direction == 0 { "" } else { "_reverse" };
            let mut add = |name: &str, axes: &[usize], role, initializer, fan_in| {
                let name = format!("{name}_l{layer}{suffix}");
                let shape = Shape::new(axes).expect("checked by new");
                let fans = Fans { fan_in, fan_out: gates };
                parameters.push(Parameter::new(name, shape, role, initializer, fans));
            };
            let inputs = self.sizes.inputs(layer);
            add("weight_ih", &[gates, inputs], Role::Weight, self.config.weight_init, inputs);
            add("weight_hh", &[gates, units], Role::Weight, self.config.recurrent_init, units);
            if self.config.bias {
                add("bias_ih", &[gates], Role::Bias, self.config.bias_init, inputs);
                add("bias_hh", &[gates], Role::Bias, self.config.bias_init, units);
            }
        }
        parameters
    }

    fn masked_positions(&self) -> Vec<usize> {
        vec![self.sizes.time]
    }

    fn tape(&self) -> TapeLen {
        TapeLen { per_row: self.sizes.per_row(), per_batch: self.sizes.per_batch() }
    }

    fn multiply_adds(&self) -> usize {
        multiply_adds(&self.sizes)
    }

    fn derivation(&self) -> Derivation {
        let CellText { forward, local, between, gradients: [da_x, da_h] } = self.cell.text();
        let tensors: Vec<Shape> =
            Layer::<F>::parameters(self).into_iter().map(|tensor| tensor.shape).collect();
        let letters = ["W_ih", "W_hh", "b_ih", "b_hh"].into_iter().zip(&tensors);
        let letters = letters.take(if self.config.bias { 4 } else { 2 });
        let mut derivation =
            Derivation::new([("x", &self.input)].into_iter().chain(letters).chain([("y", &self.output)]));
        let output = if self.config.return_sequences { "y_t = h_t" } else { "y = h of the last step" };
        derivation.forward = forward;
        derivation.forward.push(output.into());
        if self.config.bidirectional {
            derivation.forward.push("y: forward beside backward, which reads the steps from the last".into());
        }
        if !self.config.bias {
            derivation.forward.push("b_ih = b_hh = 0".into());
        }
        derivation.local = local;
        derivation.between = between;
        derivation.inputs = vec![format!("dx_t = W_ihᵀ {da_x}_t")];
        let names = Layer::<F>::parameters(self).into_iter().map(|tensor| tensor.name);
        let equation = |name: String| {
            let (kind, place) = name.split_once("_l").expect("every name says its layer");
            let letter = kind.replace("weight", "dW").replace("bias", "db");
            let sum = match kind {
                "weight_ih" => format!("Σ_t {da_x}_t x_tᵀ"),
                "weight_hh" => format!("Σ_t {da_h}_t h_(t-1)ᵀ"),
                "bias_ih" => format!("Σ_t {da_x}_t"),
                _ => format!("Σ_t {da_h}_t"),
            };
            format!("{letter}_l{place} = {sum}")
        };
        derivation.parameters = names.map(equation).collect();
        derivation
    }

    fn forward(
        &self,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        y: RowsMut<'_, F>,
        tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let mask = ctx.mask_of(self.sizes.time);
        let per_row = self.sizes.per_row();
        let (tape, transposed) = tape.split_at_mut(inputs[0].len() * per_row);
        for (layer, direction) in self.sweeps() {
            let w_hh = Weights::split(self.own(theta, layer, direction), &self.sizes, layer).w_hh;
            transpose(w_hh, self.sizes.w_hht_mut(transposed, layer, direction));
        }
        self.for_each_tile(ctx.executor, tape, per_row, |first, tape| {
            let rows = tape.len() / per_row;
            let mask = mask.map(|mask| mask.slice(first, rows));
            self.forward_tile(theta, transposed, inputs[0].slice(first, rows), mask, tape);
        });
        let width = y.width();
        self.for_each_tile(ctx.executor, y.into_data(), width, |first, y| {
            let rows = y.len() / width;
            let mask = mask.map(|mask| mask.slice(first, rows));
            self.write_output(self.tape_of(tape, first, rows), mask, RowsMut::new(y, width));
        });
    }

    fn backward(
        &self,
        theta: &[F],
        pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        ctx: &mut Ctx<'_, F>,
    ) {
        let mask = ctx.mask_of(self.sizes.time);
        let per_row = self.sizes.per_row();
        let dy = dy.as_rows();
        let tape = &mut pass.tape[..dy.len() * per_row];
        let dx_is_asked = if dx[0].is_some() { DxIs::Asked } else { DxIs::NotAsked };
        self.for_each_tile(ctx.executor, tape, per_row, |first, tape| {
            let rows = tape.len() / per_row;
            let mask = mask.map(|mask| mask.slice(first, rows));
            self.backward_tile(theta, dy.slice(first, rows), mask, tape, dx_is_asked);
        });
        let Some(dx) = &mut dx[0] else { return };
        let width = dx.width();
        self.for_each_tile(ctx.executor, dx.data(), width, |first, dx| {
            let rows = dx.len() / width;
            let tape = self.tape_of(tape, first, rows);
            let gradient = self.sizes.gradient(tape);
            from_time_major(gradient, self.sizes.features, None, RowsMut::new(dx, width));
        });
    }

    fn accumulate(
        &self,
        _theta: &[F],
        pass: Pass<'_, F>,
        dy: Rows<'_, F>,
        dtheta: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let per_row = self.sizes.per_row();
        let tape = &pass.tape[..dy.len() * per_row];
        let mut rest = dtheta;
        for (layer, direction) in self.sweeps() {
            let (own, others) = rest.split_at_mut(self.sizes.parameters(layer, self.config.bias));
            let tile = self.tile.saturating_mul(per_row);
            Accumulate { sizes: &self.sizes, layer, direction, tape, tile }.run::<C>(ctx.executor, own);
            rest = others;
        }
    }
}
