//! A learned vector for every position.

use crate::executor::for_each_tile;
use crate::{
    Ctx, Derivation, Error, Fans, Float, Initializer, Layer, Parameter, Pass, Role, Rows, RowsMut, Shape,
};

/// `y_t = x_t + p_t`: what stands at a position, and the position.
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x`, `y` | `[n, t, d]` | sequences |
/// | `P` | `[t, d]` | a vector for every position |
///
/// # Derivation
/// Attention does not see the order of its positions; added vectors tell it (Gehring, Auli, Grangier, Yarats & Dauphin,
/// 2017). Every sample adds the same `P`, so its gradient is the sum over samples:
/// ```text
/// y_ntk = x_ntk + p_tk
/// dL/dx_ntk = dL/dy_ntk          dL/dp_tk = Σ_n dL/dy_ntk · dy_ntk/dp_tk = Σ_n dL/dy_ntk
/// ```
#[derive(Debug)]
pub struct PositionalEmbedding {
    shape: Shape,
    weight_init: Initializer,
}

impl PositionalEmbedding {
    /// A vector for each position of sequences `[t, d]`. They start normal, of standard deviation 0.02.
    ///
    /// # Errors
    /// [`Error::Layer`] if the input is no sequence.
    pub fn new(input: &Shape) -> Result<Self, Error> {
        super::sequence("positional_embedding", input)?;
        Ok(Self { shape: input.clone(), weight_init: Initializer::Normal { mean: 0.0, std: 0.02 } })
    }

    /// The same layer with other start values.
    pub fn with_init(self, weight_init: Initializer) -> Self {
        Self { weight_init, ..self }
    }
}

impl<F: Float> Layer<F> for PositionalEmbedding {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.shape.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.shape
    }

    fn parameters(&self) -> Vec<Parameter> {
        let fans = Fans { fan_in: self.shape.axes()[0], fan_out: self.shape.last() };
        vec![Parameter::new("weight", self.shape.clone(), Role::Weight, self.weight_init, fans)]
    }

    fn multiply_adds(&self) -> usize {
        0
    }

    fn derivation(&self) -> Derivation {
        Derivation {
            forward: vec!["y = x + P".into()],
            local: vec!["∂y_tk/∂x_tk = 1   ∂y_tk/∂p_tk = 1".into()],
            inputs: vec!["dx = dy".into()],
            parameters: vec!["dP = Σ_rows dy".into()],
            ..Derivation::new([("x", &self.shape), ("P", &self.shape), ("y", &self.shape)])
        }
    }

    fn forward(
        &self,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        y: RowsMut<'_, F>,
        _tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        add_to_each(theta, inputs[0], y, ctx);
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
        dy: Rows<'_, F>,
        dtheta: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let width = self.shape.last();
        for_each_tile(ctx.executor, dtheta, width, dy.len() * width, |first, dp| {
            for dy in dy.iter() {
                dp.iter_mut().zip(&dy[first * width..]).for_each(|(dp, &dy)| *dp += dy);
            }
        });
    }
}

/// `y = x + p` for every sample.
pub(super) fn add_to_each<F: Float>(p: &[F], x: Rows<'_, F>, y: RowsMut<'_, F>, ctx: &Ctx<'_, F>) {
    let width = x.width();
    for_each_tile(ctx.executor, y.into_data(), width, width, |first, y| {
        let x = x.slice(first, y.len() / width);
        for (y, x) in y.chunks_exact_mut(width).zip(x.iter()) {
            for ((y, &x), &p) in y.iter_mut().zip(x).zip(p) {
                *y = x + p;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn adds_to_every_sample() {
        let layer = PositionalEmbedding::new(&Shape::new([2, 1]).unwrap()).unwrap();
        assert_eq!(check::forward(&layer, &[10.0, 20.0], &[&[1.0, 2.0, 3.0, 4.0]]), [11.0, 22.0, 13.0, 24.0]);
    }

    #[test]
    fn gradients_equal_central_differences() {
        for (rows, axes) in [(1, [1, 1]), (2, [3, 5]), (7, [4, 2])] {
            check::gradients(&PositionalEmbedding::new(&Shape::new(axes).unwrap()).unwrap(), rows);
        }
    }

    #[test]
    fn says_what_a_sequence_is() {
        let error = PositionalEmbedding::new(&Shape::vector(3).unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "positional_embedding: it needs sequences [positions, features], but its input is [3]; set `input_shape`, or put an `embedding` before it"
        );
    }
}
