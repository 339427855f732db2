//! Layer normalisation: mean 0 and variance 1 along the last axis.

use super::standardise::{
    WORK, add_column_sums, add_weight_gradient, bias, gradient_sums, pairs, statistics, weight,
};
use crate::executor::for_each_tile;
use crate::{Ctx, Derivation, Error, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape, TapeLen};

/// `y = w ⊙ (x - μ) ρ + b` with the mean `μ` of the last axis and `ρ = 1 / √(σ² + ε)`, each position by itself (Ba, Kiros &
/// Hinton, 2016).
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x`, `y` | `[n, d]` | inputs and outputs; `n` samples, times the positions before the last axis |
/// | `μ`, `ρ` | `[n]` | statistics of a position; `σ²` is the biased variance, as in PyTorch |
/// | `x̂ = (x - μ) ρ` | `[n, d]` | standardised inputs |
/// | `w`, `b` | `[d]` | weight and bias |
///
/// # Derivation
/// Within one position, with `g = dL/dx̂ = dy ⊙ w`. The two statistics have the partial derivatives
/// ```text
/// ∂μ/∂x_k  = 1/d
/// ∂σ²/∂x_k = ∂/∂x_k (1/d) Σ_j (x_j - μ)² = (2/d) (x_k - μ) - (2/d) (1/d) Σ_j (x_j - μ) = (2/d) (x_k - μ)
/// ∂ρ/∂x_k  = -½ (σ² + ε)^(-3/2) ∂σ²/∂x_k = -ρ³ (x_k - μ) / d = -ρ² x̂_k / d
/// ```
/// so `x̂_j = (x_j - μ) ρ` moves with `x_k` in three ways,
/// ```text
/// ∂x̂_j/∂x_k = ρ [j = k] - ρ/d + (x_j - μ) ∂ρ/∂x_k = ρ ([j = k] - 1/d - x̂_j x̂_k / d)
///
/// dx_k = Σ_j g_j ∂x̂_j/∂x_k = ρ (g_k - mean(g) - x̂_k mean(g ⊙ x̂))
/// dw_j = Σ_n dy_j x̂_j        db_j = Σ_n dy_j
/// ```
/// What is left of `g` is orthogonal to 1 and to `x̂`: `y` depends neither on the mean nor, but for `ε`, on the size of `x`.
///
/// The tape holds `μ` and `ρ`, two numbers a position; `x̂` is formed again from `x`, which costs less than to store it.
#[derive(Debug)]
pub struct LayerNorm {
    shape: Shape,
    epsilon: f64,
    affine: Affine,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Affine {
    None,
    Weight,
    WeightAndBias,
}

impl LayerNorm {
    /// Normalises samples of shape `input` along their last axis; `epsilon`, above 0, is added to the variance.
    ///
    /// # Errors
    /// [`Error::Layer`] if the last axis has one number, of which nothing would be left.
    pub fn new(input: &Shape, epsilon: f64) -> Result<Self, Error> {
        if input.last() == 1 {
            let message = format!(
                "it subtracts the mean along the last axis, but that of {input} has 1 number, of which always 0 is left; \
                 give it an input whose last axis has at least 2"
            );
            return Err(Error::Layer { layer: "layer_norm", message });
        }
        Ok(Self { shape: input.clone(), epsilon, affine: Affine::WeightAndBias })
    }

    /// The same layer without `b`.
    pub fn without_bias(self) -> Self {
        Self { affine: self.affine.min_weight(), ..self }
    }

    /// The same layer without `w` and `b`.
    pub fn without_affine(self) -> Self {
        Self { affine: Affine::None, ..self }
    }

    fn width(&self) -> usize {
        self.shape.last()
    }

    fn positions(&self) -> usize {
        self.shape.len() / self.width()
    }

    /// `w` and `b`, each empty where there is none.
    #[inline]
    fn split<'a, F>(&self, theta: &'a [F]) -> (&'a [F], &'a [F]) {
        theta.split_at(theta.len().min(self.width()))
    }
}

impl Affine {
    fn min_weight(self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Weight | Self::WeightAndBias => Self::Weight,
        }
    }
}

/// `y = w ⊙ (x - μ) ρ + b` of one position.
#[inline]
fn transform<F: Float>(x: &[F], (mean, rho): (F, F), (w, b): (&[F], &[F]), y: &mut [F]) {
    let numbers = y.iter_mut().zip(x);
    if w.is_empty() {
        numbers.for_each(|(y, &x)| *y = (x - mean) * rho);
    } else if b.is_empty() {
        numbers.zip(w).for_each(|((y, &x), &w)| *y = (x - mean) * rho * w);
    } else {
        numbers.zip(w).zip(b).for_each(|(((y, &x), &w), &b)| *y = (x - mean) * rho * w + b);
    }
}

/// `dx = ρ (g - mean(g) - x̂ mean(g ⊙ x̂))` of one position.
#[inline]
fn gradient<F: Float>(x: &[F], dy: &[F], (mean, rho): (F, F), w: &[F], dx: &mut [F]) {
    let d = x.len() as f64;
    let (sum, moment) = if w.is_empty() {
        dx.copy_from_slice(dy);
        gradient_sums(x, dy, mean)
    } else {
        dx.iter_mut().zip(dy).zip(w).for_each(|((dx, &dy), &w)| *dx = dy * w);
        gradient_sums(x, dx, mean)
    };
    // mean(g ⊙ x̂) has one ρ in it, and x̂ another.
    let (level, slope) = (F::of(sum / d), F::of(moment / d) * rho * rho);
    dx.iter_mut().zip(x).for_each(|(dx, &x)| *dx = rho * (*dx - level - (x - mean) * slope));
}

impl<F: Float> Layer<F> for LayerNorm {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.shape.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.shape
    }

    fn parameters(&self) -> Vec<Parameter> {
        match self.affine {
            Affine::None => Vec::new(),
            Affine::Weight => vec![weight(self.width())],
            Affine::WeightAndBias => vec![weight(self.width()), bias(self.width())],
        }
    }

    fn tape(&self) -> TapeLen {
        TapeLen { per_row: 2 * self.positions(), per_batch: 0 }
    }

    fn multiply_adds(&self) -> usize {
        2 * self.shape.len()
    }

    fn derivation(&self) -> Derivation {
        let tensors: Vec<Shape> = Layer::<F>::parameters(self).into_iter().map(|p| p.shape).collect();
        let letters = [("x", &self.shape)].into_iter().chain(["w", "b"].into_iter().zip(&tensors));
        let mut derivation = Derivation::new(letters.chain([("y", &self.shape)]));
        let (y, g, mut parameters) = match self.affine {
            Affine::None => ("y = x̂", "g = dy", vec![]),
            Affine::Weight => ("y = w ⊙ x̂", "g = dy ⊙ w", vec!["dw = Σ_positions dy ⊙ x̂"]),
            Affine::WeightAndBias => {
                ("y = w ⊙ x̂ + b", "g = dy ⊙ w", vec!["dw = Σ_positions dy ⊙ x̂", "db = Σ_positions dy"])
            }
        };
        derivation.forward = vec![
            "μ = mean(x), σ² = mean((x - μ)²), ρ = 1 / √(σ² + ε), along the last axis of d numbers".into(),
            "x̂ = (x - μ) ρ".into(),
            y.into(),
        ];
        derivation.local = vec![
            "∂μ/∂x_k = 1/d   ∂σ²/∂x_k = (2/d) (x_k - μ)   ∂ρ/∂x_k = -ρ² x̂_k / d".into(),
            "∂x̂_j/∂x_k = ρ ([j = k] - 1/d - x̂_j x̂_k / d)".into(),
        ];
        derivation.between = vec![g.into()];
        derivation.inputs = vec!["dx = ρ (g - mean(g) - x̂ mean(g ⊙ x̂))".into()];
        derivation.parameters = parameters.drain(..).map(Into::into).collect();
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
        let (x, width) = (inputs[0].data(), self.width());
        statistics(ctx.executor, x, width, self.epsilon, tape);
        let affine = self.split(theta);
        for_each_tile(ctx.executor, y.into_data(), width, width * WORK, |first, y| {
            let runs = y.chunks_exact_mut(width).zip(x[first * width..].chunks_exact(width));
            for ((y, x), stats) in runs.zip(pairs(&tape[2 * first..])) {
                transform(x, stats, affine, y);
            }
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
        let Some(dx) = &mut dx[0] else { return };
        let (x, dy, width) = (pass.inputs[0].data(), dy.into_data(), self.width());
        let (w, _) = self.split(theta);
        for_each_tile(ctx.executor, dx.data(), width, 2 * width * WORK, |first, dx| {
            let at = first * width;
            let runs = dx.chunks_exact_mut(width).zip(x[at..].chunks_exact(width));
            let runs = runs.zip(dy[at..].chunks_exact(width)).zip(pairs(&pass.tape[2 * first..]));
            for (((dx, x), dy), stats) in runs {
                gradient(x, dy, stats, w, dx);
            }
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
        if self.affine == Affine::None {
            return;
        }
        let width = self.width();
        let (x, dy) = (pass.inputs[0].with_width(width), dy.with_width(width));
        let (dw, db) = dtheta.split_at_mut(width);
        let stats = &*pass.tape;
        add_weight_gradient(ctx.executor, x, dy, |row| (stats[2 * row], stats[2 * row + 1]), dw);
        if !db.is_empty() {
            add_column_sums(ctx.executor, dy, db);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draw;
    use crate::layers::check;

    fn layer(axes: &[usize]) -> LayerNorm {
        LayerNorm::new(&Shape::new(axes).unwrap(), 1e-5).unwrap()
    }

    #[test]
    fn is_that_of_pytorch() {
        let theta = [check::pattern(4, 10), check::pattern(4, 11)].concat();
        let x = check::pattern(8, 1);
        let step = check::train(&layer(&[4]), &theta, &[&x], &check::pattern(8, 5), Draw::new(0, 0));
        let y = [
            -0.6729505333,
            2.519677986,
            2.116395734,
            -1.134075101,
            -0.0969213342,
            -2.197906885,
            1.443883365,
            -0.8021473764,
        ];
        let dx = [
            1.275529529,
            -0.9186550141,
            -0.8166538425,
            0.4597793277,
            -0.7660467452,
            -0.08404779615,
            -0.05078128562,
            0.9008758269,
        ];
        let dtheta = [
            -1.241120254,
            -0.9791270033,
            -0.1293632039,
            1.075812521,
            -0.1428571429,
            -1.428571429,
            0.5714285714,
            2.571428571,
        ];
        check::close(&step.y, &y, 1e-8);
        check::close(&step.dx[0], &dx, 1e-8);
        check::close(&step.dtheta, &dtheta, 1e-8);
    }

    #[test]
    fn gradients_equal_central_differences() {
        for (axes, rows) in [(&[3][..], 1), (&[5, 4], 2), (&[2, 3, 17], 7), (&[300], 3)] {
            check::gradients(&layer(axes), rows);
            check::gradients(&layer(axes).without_bias(), rows);
            check::gradients(&layer(axes).without_affine(), rows);
        }
    }

    #[test]
    fn gives_mean_zero_and_variance_one_far_from_the_origin() {
        let x: Vec<f32> = (0..4096u16).map(|i| 1e4 + f32::from(i % 7)).collect();
        let layer = LayerNorm::new(&Shape::vector(4096).unwrap(), 1e-5).unwrap().without_affine();
        let y = check::train::<f32>(&layer, &[], &[&x], &x, Draw::new(0, 0)).y;
        let mean = y.iter().map(|&y| f64::from(y)).sum::<f64>() / 4096.0;
        let variance = y.iter().map(|&y| f64::from(y) * f64::from(y)).sum::<f64>() / 4096.0;
        assert!(mean.abs() < 1e-3 && (variance - 1.0).abs() < 1e-3, "{mean}, {variance}");
    }

    #[test]
    fn names_its_tensors_as_pytorch_does() {
        let names = |layer: LayerNorm| -> Vec<String> {
            Layer::<f32>::parameters(&layer).into_iter().map(|parameter| parameter.name).collect()
        };
        assert_eq!(names(layer(&[2, 3])), ["weight", "bias"]);
        assert_eq!(names(layer(&[3]).without_bias()), ["weight"]);
        assert!(names(layer(&[3]).without_affine().without_bias()).is_empty());
    }

    #[test]
    fn refuses_an_axis_of_one_number() {
        let error = LayerNorm::new(&Shape::new([5, 1]).unwrap(), 1e-5).unwrap_err().to_string();
        assert!(error.starts_with("layer_norm: ") && error.contains("[5, 1]"), "{error}");
    }
}
