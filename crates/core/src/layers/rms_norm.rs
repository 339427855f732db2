//! Root mean square normalisation: mean square 1 along the last axis.

use super::standardise::{WORK, add_weight_gradient, weight};
use super::sums::{sum, sum_of_pairs};
use crate::executor::for_each_tile;
use crate::{Ctx, Derivation, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape, TapeLen};

/// `y = w ⊙ x ρ` with `ρ = 1 / √(mean(x²) + ε)` along the last axis, each position by itself (Zhang & Sennrich, 2019).
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x`, `y` | `[n, d]` | inputs and outputs; `n` samples, times the positions before the last axis |
/// | `ρ` | `[n]` | one over the root of the mean square |
/// | `x̂ = x ρ` | `[n, d]` | inputs of mean square 1 |
/// | `w` | `[d]` | weight |
///
/// # Derivation
/// Within one position, with `g = dL/dx̂ = dy ⊙ w` and the mean square `q = (1/d) Σ_j x_j²`:
/// ```text
/// ∂q/∂x_k   = (2/d) x_k
/// ∂ρ/∂x_k   = -½ (q + ε)^(-3/2) ∂q/∂x_k = -ρ³ x_k / d = -ρ² x̂_k / d
/// ∂x̂_j/∂x_k = ρ [j = k] + x_j ∂ρ/∂x_k = ρ ([j = k] - x̂_j x̂_k / d)
///
/// dx_k = Σ_j g_j ∂x̂_j/∂x_k = ρ (g_k - x̂_k mean(g ⊙ x̂))
/// dw_j = Σ_n dy_j x̂_j
/// ```
/// This is layer norm without its mean. The tape holds `ρ`, one number a position.
#[derive(Debug)]
pub struct RmsNorm {
    shape: Shape,
    epsilon: f64,
    has_weight: bool,
}

impl RmsNorm {
    /// Normalises samples of shape `input` along their last axis; `epsilon`, above 0, is added to the mean square.
    pub fn new(input: &Shape, epsilon: f64) -> Self {
        Self { shape: input.clone(), epsilon, has_weight: true }
    }

    /// The same layer without `w`.
    pub fn without_affine(self) -> Self {
        Self { has_weight: false, ..self }
    }

    fn width(&self) -> usize {
        self.shape.last()
    }
}

/// `y = w ⊙ x ρ` of one position.
#[inline]
fn transform<F: Float>(x: &[F], rho: F, w: &[F], y: &mut [F]) {
    let numbers = y.iter_mut().zip(x);
    if w.is_empty() {
        numbers.for_each(|(y, &x)| *y = x * rho);
    } else {
        numbers.zip(w).for_each(|((y, &x), &w)| *y = x * rho * w);
    }
}

/// `dx = ρ (g - x̂ mean(g ⊙ x̂))` of one position.
#[inline]
fn gradient<F: Float>(x: &[F], dy: &[F], rho: F, w: &[F], dx: &mut [F]) {
    if w.is_empty() {
        dx.copy_from_slice(dy);
    } else {
        dx.iter_mut().zip(dy).zip(w).for_each(|((dx, &dy), &w)| *dx = dy * w);
    }
    // mean(g ⊙ x̂) has one ρ in it, and x̂ another.
    let slope = F::of(sum_of_pairs(x, dx, |x, g| x * g) / x.len() as f64) * rho * rho;
    dx.iter_mut().zip(x).for_each(|(dx, &x)| *dx = rho * (*dx - x * slope));
}

impl<F: Float> Layer<F> for RmsNorm {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.shape.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.shape
    }

    fn parameters(&self) -> Vec<Parameter> {
        if self.has_weight { vec![weight(self.width())] } else { Vec::new() }
    }

    fn tape(&self) -> TapeLen {
        TapeLen { per_row: self.shape.len() / self.width(), per_batch: 0 }
    }

    fn multiply_adds(&self) -> usize {
        2 * self.shape.len()
    }

    fn derivation(&self) -> Derivation {
        let tensors: Vec<Shape> = Layer::<F>::parameters(self).into_iter().map(|p| p.shape).collect();
        let letters = [("x", &self.shape)].into_iter().chain(["w"].into_iter().zip(&tensors));
        let mut derivation = Derivation::new(letters.chain([("y", &self.shape)]));
        let (y, g) = if self.has_weight { ("y = w ⊙ x̂", "g = dy ⊙ w") } else { ("y = x̂", "g = dy") };
        derivation.forward = vec![
            "q = mean(x²), ρ = 1 / √(q + ε), along the last axis of d numbers".into(),
            "x̂ = x ρ".into(),
            y.into(),
        ];
        derivation.local = vec![
            "∂q/∂x_k = (2/d) x_k   ∂ρ/∂x_k = -ρ² x̂_k / d".into(),
            "∂x̂_j/∂x_k = ρ ([j = k] - x̂_j x̂_k / d)".into(),
        ];
        derivation.between = vec![g.into()];
        derivation.inputs = vec!["dx = ρ (g - x̂ mean(g ⊙ x̂))".into()];
        derivation.parameters = tensors.iter().map(|_| "dw = Σ_positions dy ⊙ x̂".into()).collect();
        derivation
    }

    fn forward(
        &self,
        w: &[F],
        inputs: &[Rows<'_, F>],
        y: RowsMut<'_, F>,
        tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let (x, width) = (inputs[0].data(), self.width());
        for_each_tile(ctx.executor, tape, 1, width * WORK, |first, rhos| {
            for (rho, x) in rhos.iter_mut().zip(x[first * width..].chunks_exact(width)) {
                *rho = F::of(1.0 / (sum(x, |x| x * x) / width as f64 + self.epsilon).sqrt());
            }
        });
        for_each_tile(ctx.executor, y.into_data(), width, width * WORK, |first, y| {
            let runs = y.chunks_exact_mut(width).zip(x[first * width..].chunks_exact(width));
            for ((y, x), &rho) in runs.zip(&tape[first..]) {
                transform(x, rho, w, y);
            }
        });
    }

    fn backward(
        &self,
        w: &[F],
        pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        ctx: &mut Ctx<'_, F>,
    ) {
        let Some(dx) = &mut dx[0] else { return };
        let (x, dy, width) = (pass.inputs[0].data(), dy.into_data(), self.width());
        for_each_tile(ctx.executor, dx.data(), width, 2 * width * WORK, |first, dx| {
            let at = first * width;
            let runs = dx.chunks_exact_mut(width).zip(x[at..].chunks_exact(width));
            for (((dx, x), dy), &rho) in runs.zip(dy[at..].chunks_exact(width)).zip(&pass.tape[first..]) {
                gradient(x, dy, rho, w, dx);
            }
        });
    }

    fn accumulate(&self, _w: &[F], pass: Pass<'_, F>, dy: Rows<'_, F>, dw: &mut [F], ctx: &mut Ctx<'_, F>) {
        if dw.is_empty() {
            return;
        }
        let (x, dy) = (pass.inputs[0].with_width(self.width()), dy.with_width(self.width()));
        let rhos = &*pass.tape;
        add_weight_gradient(ctx.executor, x, dy, |row| (F::zero(), rhos[row]), dw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draw;
    use crate::layers::check;

    fn layer(axes: &[usize]) -> RmsNorm {
        RmsNorm::new(&Shape::new(axes).unwrap(), 1e-5)
    }

    #[test]
    fn is_that_of_pytorch() {
        let (w, x, dy) = (check::pattern(4, 10), check::pattern(8, 1), check::pattern(8, 5));
        let step = check::train(&layer(&[4]), &w, &[&x], &dy, Draw::new(0, 0));
        let y = [
            0.2726302338,
            2.647542493,
            0.708838608,
            0.0302922482,
            0.7599589802,
            -2.20106638,
            0.151991796,
            0.3096129179,
        ];
        let dx = [
            1.245224843,
            -0.8806933437,
            -0.773007278,
            0.4574556362,
            -1.080357092,
            -0.5139310963,
            -0.4324269114,
            0.5610280498,
        ];
        check::close(&step.y, &y, 1e-8);
        check::close(&step.dx[0], &dx, 1e-8);
        check::close(&step.dtheta, &[-1.089389628, -1.248165456, -0.07323195071, 1.502979267], 1e-8);
    }

    #[test]
    fn gradients_equal_central_differences() {
        for (axes, rows) in [(&[3][..], 1), (&[5, 4], 2), (&[2, 3, 17], 7), (&[300], 3)] {
            check::gradients(&layer(axes), rows);
            check::gradients(&layer(axes).without_affine(), rows);
        }
    }
}
