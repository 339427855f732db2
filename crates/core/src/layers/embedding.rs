//! Vectors in place of indices.

use crate::executor::for_each_tile;
use crate::{
    Ctx, Derivation, Error, Fans, Float, Initializer, Layer, Masking, Parameter, Pass, Role, Rows, RowsMut,
    Shape,
};

/// `y_t = W[x_t]`: row `x_t` of a table, for every index of the input.
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x` | `[n, t]` | whole numbers from 0 up to `v`, itself excluded; `n` samples of any shape that holds `t` numbers |
/// | `W` | `[v, d]` | the vectors of the vocabulary, as in PyTorch |
/// | `y` | `[n, t, d]` | the vectors of the indices |
///
/// # Derivation
/// With the one-hot rows `e_t`, `e_tr = [x_t = r]`, looking up is a product, `y_t = e_t W`, and its gradients are those
/// of a dense layer without bias (Bengio, Ducharme, Vincent & Jauvin, 2003):
/// ```text
/// y_tk        = Σ_r [x_t = r] w_rk
/// dy_tk/dw_rk = [x_t = r]
/// dL/dw_rk    = Σ_t dL/dy_tk [x_t = r]        the gradients of all places where the index stands add up
/// ```
/// so only the rows that were looked up have a gradient. There is none by `x`, which is not continuous: `dx` is zero.
///
/// The index of padding stands for nothing: `y_t = 0` whatever its row holds, so the row has no gradient. As it starts at
/// zero, PyTorch, which reads the row, computes the same.
///
/// The sum over `t` runs in the order of the batch. Threads share the rows of `W`, not the sum.
#[derive(Debug)]
pub struct Embedding {
    input: Shape,
    output: Shape,
    vocabulary: usize,
    padding: Option<usize>,
    weight_init: Initializer,
}

impl Embedding {
    /// A table of `vocabulary` vectors of `units` numbers for indices of any shape. It starts normal, of standard
    /// deviation 1, as in PyTorch.
    ///
    /// # Errors
    /// [`Error::EmptyShape`] without units or vocabulary, [`Error::TooLarge`] if table or output exceed the address
    /// space.
    pub fn new(input: &Shape, vocabulary: usize, units: usize) -> Result<Self, Error> {
        Shape::new([vocabulary, units])?;
        let axes: Vec<usize> = input.axes().iter().copied().chain([units]).collect();
        Ok(Self {
            input: input.clone(),
            output: Shape::new(axes)?,
            vocabulary,
            padding: None,
            weight_init: Initializer::Normal { mean: 0.0, std: 1.0 },
        })
    }

    /// The same layer, for which one index means that there is nothing.
    ///
    /// # Errors
    /// [`Error::Layer`] if the vocabulary does not have the index.
    pub fn with_padding(self, index: usize) -> Result<Self, Error> {
        if index < self.vocabulary {
            return Ok(Self { padding: Some(index), ..self });
        }
        let (last, found) = (self.vocabulary - 1, self.vocabulary);
        let message = format!(
            "a vocabulary of {found} has the indices 0 to {last}, but the index of padding is {index}; make the vocabulary larger or the index smaller"
        );
        Err(Error::Layer { layer: "embedding", message })
    }

    /// The same layer with other start values.
    pub fn with_init(self, weight_init: Initializer) -> Self {
        Self { weight_init, ..self }
    }

    fn units(&self) -> usize {
        self.output.last()
    }

    /// The row of an index; none of padding. The indices have been checked against [`Layer::index_limit`].
    #[inline]
    fn row<F: Float>(&self, index: F) -> Option<usize> {
        let index = index.as_f64() as usize;
        (self.padding != Some(index)).then_some(index)
    }
}

impl<F: Float> Layer<F> for Embedding {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.input.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.output
    }

    fn parameters(&self) -> Vec<Parameter> {
        let shape = Shape::new([self.vocabulary, self.units()]).expect("checked by new");
        let fans = Fans { fan_in: self.vocabulary, fan_out: self.units() };
        let weight = Parameter::new("weight", shape, Role::Weight, self.weight_init, fans);
        vec![Parameter { zero_row: self.padding, ..weight }]
    }

    fn index_limit(&self) -> Option<usize> {
        Some(self.vocabulary)
    }

    fn masking(&self) -> Option<Masking> {
        let value = self.padding? as f64;
        Some(Masking { positions: self.input.len(), width: 1, value })
    }

    fn multiply_adds(&self) -> usize {
        0
    }

    fn derivation(&self) -> Derivation {
        let w = Shape::new([self.vocabulary, self.units()]).expect("checked by new");
        let mut derivation = Derivation::new([("x", &self.input), ("W", &w), ("y", &self.output)]);
        derivation.forward = vec!["y_t = W[x_t], row x_t of W".into()];
        derivation.local = vec!["∂y_tk/∂w_rk = [x_t = r]".into()];
        derivation.inputs = vec!["dx = 0: an index has no slope".into()];
        derivation.parameters = vec!["dW[r] = Σ_t [x_t = r] dy_t".into()];
        if let Some(padding) = self.padding {
            derivation.forward.push(format!("y_t = 0 where x_t = {padding}, padding"));
            derivation.local.push(format!("∂y_tk/∂w_rk = 0 for r = {padding}"));
        }
        derivation
    }

    fn forward(
        &self,
        theta: &[F],
        inputs: &[Rows<'_, F>],
        y: RowsMut<'_, F>,
        _tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let (x, width) = (inputs[0].data(), self.units());
        for_each_tile(ctx.executor, y.into_data(), width, width, |first, y| {
            for (y, &index) in y.chunks_exact_mut(width).zip(&x[first..]) {
                match self.row(index) {
                    Some(row) => y.copy_from_slice(&theta[row * width..(row + 1) * width]),
                    None => y.fill(F::zero()),
                }
            }
        });
    }

    fn backward(
        &self,
        _theta: &[F],
        _pass: Pass<'_, F>,
        _dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        _ctx: &mut Ctx<'_, F>,
    ) {
        if let Some(dx) = &mut dx[0] {
            dx.data().fill(F::zero());
        }
    }

    fn accumulate(
        &self,
        _theta: &[F],
        pass: Pass<'_, F>,
        dy: Rows<'_, F>,
        dtheta: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let (x, width) = (pass.inputs[0].data(), self.units());
        let dy = dy.with_width(width);
        let work_per_row = dy.data().len().div_ceil(self.vocabulary);
        for_each_tile(ctx.executor, dtheta, width, work_per_row, |first, dw| {
            let rows = first..first + dw.len() / width;
            for (&index, dy) in x.iter().zip(dy.iter()) {
                let Some(row) = self.row(index).filter(|row| rows.contains(row)) else { continue };
                let dw = &mut dw[(row - first) * width..(row - first + 1) * width];
                dw.iter_mut().zip(dy).for_each(|(dw, &dy)| *dw += dy);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;
    use crate::{Inline, initialize};

    fn embedding(axes: &[usize], vocabulary: usize, units: usize) -> Embedding {
        Embedding::new(&Shape::new(axes).unwrap(), vocabulary, units).unwrap()
    }

    #[test]
    fn looks_up_a_vector_for_every_index() {
        let layer = embedding(&[3], 3, 2);
        let y = check::forward(&layer, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[&[2.0, 0.0, 2.0]]);
        assert_eq!(y, [5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
        assert_eq!(Layer::<f64>::output_shape(&embedding(&[2, 4], 9, 5)).axes(), [2, 4, 5]);
    }

    #[test]
    fn padding_is_nothing_whatever_its_row_holds() {
        let layer = embedding(&[3], 3, 2).with_padding(2).unwrap();
        let y = check::forward(&layer, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[&[2.0, 0.0, 2.0]]);
        assert_eq!(y, [0.0, 0.0, 1.0, 2.0, 0.0, 0.0]);
        let masking = Layer::<f64>::masking(&layer);
        assert_eq!(masking, Some(Masking { positions: 3, width: 1, value: 2.0 }));

        let mut theta = [f64::NAN; 6];
        initialize(&Layer::<f64>::parameters(&layer), &mut theta, 1);
        assert_eq!(theta[4..], [0.0, 0.0]);
        assert!(theta[..4].iter().all(|&weight| weight != 0.0));
    }

    #[test]
    fn gradients_equal_central_differences() {
        for (rows, axes, vocabulary, units) in
            [(1, &[3][..], 2, 1), (2, &[5], 7, 3), (7, &[2, 3], 4, 5), (7, &[1], 3, 2)]
        {
            check::gradients(&embedding(axes, vocabulary, units), rows);
            check::gradients(&embedding(axes, vocabulary, units).with_padding(0).unwrap(), rows);
        }
    }

    #[test]
    fn indices_have_no_slope() {
        let layer = embedding(&[2], 3, 2);
        let (x, y, mut dy) = ([0.0, 1.0], [0.0; 4], [1.0; 4]);
        let mut dx = [f64::NAN; 2];
        let (x, y) = (Rows::new(&x, 2), Rows::new(&y, 4));
        let pass = Pass { inputs: &[x], y, tape: &mut [] };
        let ctx = &mut Ctx::evaluate(&Inline, &[]);
        layer.backward(&[0.0; 6], pass, RowsMut::new(&mut dy, 4), &mut [Some(RowsMut::new(&mut dx, 2))], ctx);
        assert_eq!(dx, [0.0, 0.0]);
    }

    #[test]
    fn refuses_what_cannot_be() {
        let error = embedding(&[2], 3, 2).with_padding(3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "embedding: a vocabulary of 3 has the indices 0 to 2, but the index of padding is 3; make the vocabulary larger or the index smaller"
        );
        let input = Shape::vector(1 << 30).unwrap();
        assert!(matches!(Embedding::new(&input, 2, 1 << 40), Err(Error::TooLarge { .. })));
        assert!(matches!(Embedding::new(&input, 0, 1), Err(Error::EmptyShape { .. })));
    }
}
