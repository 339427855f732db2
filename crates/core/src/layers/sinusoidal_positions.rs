//! Waves that tell positions apart.

use super::positional_embedding::add_to_each;
use crate::{Ctx, Derivation, Error, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape, TapeLen};

/// `y_t = x_t + p_t` with waves of all lengths in `p` (Vaswani et al., 2017); nothing is learned.
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x`, `y` | `[n, t, d]` | sequences |
/// | `P` | `[t, d]` | the waves: `p_(t,2i) = sin(t ω_i)`, `p_(t,2i+1) = cos(t ω_i)` with `ω_i = 10000^(-2i/d)` |
///
/// # Derivation
/// `P` is constant, so `dL/dx = dL/dy`.
///
/// The wave of one frequency is a point that turns by `ω` from position to position, so the addition theorems give the
/// next position from the last,
/// ```text
/// sin((t + 1) ω) = sin(t ω) cos ω + cos(t ω) sin ω
/// cos((t + 1) ω) = cos(t ω) cos ω - sin(t ω) sin ω
/// ```
/// with one sine and cosine a frequency instead of one a number. Every `RESTART` positions the point is computed afresh,
/// so that rounding errors stay those of a few products. The tape holds `P`, once for the batch: a layer keeps no memory
/// of its own.
#[derive(Debug)]
pub struct SinusoidalPositions {
    shape: Shape,
}

/// Positions after which the wave is computed afresh.
const RESTART: usize = 32;

/// The longest wave has 2π times as many positions.
const LONGEST: f64 = 10_000.0;

impl SinusoidalPositions {
    /// Waves for sequences `[t, d]`.
    ///
    /// # Errors
    /// [`Error::Layer`] if the input is no sequence.
    pub fn new(input: &Shape) -> Result<Self, Error> {
        super::sequence("sinusoidal_positions", input)?;
        Ok(Self { shape: input.clone() })
    }

    fn fill<F: Float>(&self, p: &mut [F]) {
        let width = self.shape.last();
        for even in (0..width).step_by(2) {
            let omega = LONGEST.powf(-(even as f64) / width as f64);
            let (turn_sin, turn_cos) = omega.sin_cos();
            let (mut sin, mut cos) = (0.0, 1.0);
            for (position, row) in p.chunks_exact_mut(width).enumerate() {
                if position % RESTART == 0 {
                    (sin, cos) = (position as f64 * omega).sin_cos();
                }
                row[even] = F::of(sin);
                if even + 1 < width {
                    row[even + 1] = F::of(cos);
                }
                (sin, cos) = (sin * turn_cos + cos * turn_sin, cos * turn_cos - sin * turn_sin);
            }
        }
    }
}

impl<F: Float> Layer<F> for SinusoidalPositions {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.shape.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.shape
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    fn tape(&self) -> TapeLen {
        TapeLen { per_row: 0, per_batch: self.shape.len() }
    }

    fn multiply_adds(&self) -> usize {
        0
    }

    fn derivation(&self) -> Derivation {
        Derivation {
            forward: vec![
                "p_(t,2i) = sin(t ω_i),  p_(t,2i+1) = cos(t ω_i),  ω_i = 10000^(-2i/d)".into(),
                "y = x + P".into(),
            ],
            local: vec!["∂y_tk/∂x_tk = 1".into()],
            inputs: vec!["dx = dy".into()],
            ..Derivation::new([("x", &self.shape), ("P", &self.shape), ("y", &self.shape)])
        }
    }

    fn forward(
        &self,
        _theta: &[F],
        inputs: &[Rows<'_, F>],
        y: RowsMut<'_, F>,
        tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        self.fill(tape);
        add_to_each(tape, inputs[0], y, ctx);
    }

    fn backward(
        &self,
        _theta: &[F],
        _pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        _ctx: &mut Ctx<'_, F>,
    ) {
        if let Some(dx) = &mut dx[0] {
            dx.data().copy_from_slice(dy.into_data());
        }
    }

    fn accumulate(
        &self,
        _theta: &[F],
        _pass: Pass<'_, F>,
        _dy: Rows<'_, F>,
        _dtheta: &mut [F],
        _ctx: &mut Ctx<'_, F>,
    ) {
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn equals_the_formula_at_every_position() {
        let (positions, width) = (100, 7);
        let layer = SinusoidalPositions::new(&Shape::new([positions, width]).unwrap()).unwrap();
        let y = check::forward(&layer, &[], &[&vec![0.0; positions * width]]);
        for (at, y) in y.into_iter().enumerate() {
            let (position, column) = (at / width, at % width);
            let exponent = (column - column % 2) as f64 / width as f64;
            let angle = position as f64 / 10_000f64.powf(exponent);
            let expected = if column % 2 == 0 { angle.sin() } else { angle.cos() };
            assert!((y - expected).abs() < 1e-13, "[{position}, {column}]: {y} and {expected}");
        }
    }

    #[test]
    fn gradients_equal_central_differences() {
        for (rows, axes) in [(1, [1, 1]), (2, [3, 5]), (7, [4, 2])] {
            check::gradients(&SinusoidalPositions::new(&Shape::new(axes).unwrap()).unwrap(), rows);
        }
    }
}
