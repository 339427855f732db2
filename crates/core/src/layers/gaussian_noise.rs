//! Gaussian noise, added in training.

use rand_chacha::rand_core::RngCore;

use crate::executor::for_each_tile;
use crate::{Ctx, Derivation, Draw, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape};

/// What a normal number costs, in multiply-adds of a matrix product: a logarithm, a root, a sine.
const WORK: usize = 32;

/// `y = x + std · n` in training with every `n` normal, of mean 0 and variance 1, drawn anew for every step and sample; `y = x` in
/// evaluation. `x` and `y` have one shape.
///
/// # Derivation
/// `n` does not depend on `x`, so `∂y_j/∂x_i = [i = j]` and `dx = dy`.
///
/// The normal numbers are those of Box & Muller (1958): for `u`, `v` uniform in (0, 1), `√(-2 ln u) cos 2πv` and `√(-2 ln u) sin 2πv`
/// are two independent ones. They take a fixed count of random words, so that samples may be drawn one by one or together; the pairs
/// of a sample of odd length waste one.
#[derive(Debug)]
pub struct GaussianNoise {
    shape: Shape,
    std: f64,
}

impl GaussianNoise {
    /// Adds noise of the standard deviation `std`, at least 0, to samples of shape `input`.
    pub fn new(input: &Shape, std: f64) -> Self {
        Self { shape: input.clone(), std }
    }

    /// Adds the noise of the samples from `first` on.
    fn add<F: Float>(&self, draw: Draw, first: usize, y: &mut [F]) {
        let width = self.shape.len();
        let words = width.next_multiple_of(2) as u64;
        let mut rng = draw.generator(first as u64 * words);
        // The middle of one of 2^32 intervals: never 0 or 1.
        let mut uniform = || (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
        for y in y.chunks_exact_mut(width) {
            for pair in y.chunks_mut(2) {
                let radius = self.std * (-2.0 * uniform().ln()).sqrt();
                let (sin, cos) = (std::f64::consts::TAU * uniform()).sin_cos();
                pair.iter_mut().zip([cos, sin]).for_each(|(y, part)| *y += F::of(radius * part));
            }
        }
    }
}

impl<F: Float> Layer<F> for GaussianNoise {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.shape.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.shape
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    fn multiply_adds(&self) -> usize {
        self.shape.len()
    }

    fn derivation(&self) -> Derivation {
        let forward = format!(
            "y = x + {} n in training, each n normal of mean 0 and variance 1; in evaluation y = x",
            self.std
        );
        Derivation {
            forward: vec![forward],
            local: vec!["∂y_j/∂x_i = [i = j]".into()],
            inputs: vec!["dx = dy".into()],
            ..Derivation::new([("x", &self.shape), ("y", &self.shape)])
        }
    }

    fn forward(
        &self,
        _theta: &[F],
        inputs: &[Rows<'_, F>],
        mut y: RowsMut<'_, F>,
        _tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        y.data().copy_from_slice(inputs[0].data());
        let Some(draw) = ctx.draw() else { return };
        let width = self.shape.len();
        for_each_tile(ctx.executor, y.data(), width, width * WORK, |first, y| self.add(draw, first, y));
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
            dx.data().copy_from_slice(dy.as_rows().data());
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

    fn noise(width: usize, rows: usize, draw: Draw) -> Vec<f64> {
        let layer = GaussianNoise::new(&Shape::vector(width).unwrap(), 0.5);
        let zeros = vec![0.0; width * rows];
        check::train(&layer, &[], &[&zeros], &zeros, draw).y
    }

    #[test]
    fn has_the_moments_of_a_normal() {
        let noise = noise(1001, 100, Draw::new(1, 1));
        let moment = |power| noise.iter().map(|y| (2.0 * y).powi(power)).sum::<f64>() / noise.len() as f64;
        for (power, expected, tolerance) in [(1, 0.0, 0.02), (2, 1.0, 0.03), (3, 0.0, 0.08), (4, 3.0, 0.2)] {
            assert!((moment(power) - expected).abs() < tolerance, "moment {power} is {}", moment(power));
        }
    }

    #[test]
    fn is_drawn_anew_for_every_step_and_sample_and_alike_for_any_cut() {
        let whole = noise(5, 8, Draw::new(1, 1));
        assert_ne!(whole, noise(5, 8, Draw::new(1, 2)));
        assert_ne!(whole[..5], whole[5..10]);
        let layer = GaussianNoise::new(&Shape::vector(5).unwrap(), 0.5);
        for cut in [1, 3, 7] {
            let mut pieces = vec![0.0; whole.len()];
            for (piece, y) in pieces.chunks_mut(5 * cut).enumerate() {
                layer.add(Draw::new(1, 1), piece * cut, y);
            }
            assert_eq!(pieces, whole);
        }
    }

    #[test]
    fn is_the_identity_in_evaluation_and_on_the_way_back() {
        let layer = GaussianNoise::new(&Shape::new([2, 3]).unwrap(), 0.5);
        let x = check::pattern(12, 1);
        assert_eq!(check::forward(&layer, &[], &[&x]), x);
        check::gradients(&layer, 1);
        check::gradients(&layer, 7);
    }
}
