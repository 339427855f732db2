//! Dropout: a random share of the numbers is left out in training.

use rand_chacha::rand_core::RngCore;

use crate::executor::for_each_tile;
use crate::{
    Ctx, Derivation, Draw, Error, Float, Layer, Mode, Parameter, Pass, Rows, RowsMut, Shape, TapeLen,
};

/// What a random number costs, in multiply-adds of a matrix product.
pub(super) const DRAW_WORK: usize = 8;

/// `y = m ⊙ x / (1 - rate)` in training, where each `m` is 0 with probability `rate`, else 1; `y = x` in evaluation (Srivastava
/// et al., 2014, in the inverted form).
///
/// In [channels](Self::of_channels) all numbers of a channel, the first axis, share one `m` (Tompson et al., 2015): neighbours
/// in an image are so alike that a single one that is left out is not missed.
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x`, `y` | as the input | inputs and outputs |
/// | `s` | as the input, or `[c]` | `0` or `1 / (1 - rate)`, drawn anew for every step and sample |
///
/// # Derivation
/// With `s = m / (1 - rate)` drawn, the layer is linear, `y_i = s_i x_i`, and
/// ```text
/// E[y_i]   = ((1 - rate) · 1 / (1 - rate) + rate · 0) x_i = x_i        so evaluation needs no factor
/// ∂y_j/∂x_i = s_i [i = j]
/// dx       = dy ⊙ s
/// ```
/// The gradient is that of the step's own `s`, which the tape holds. Sample `i` takes the words from `i` times the numbers of a
/// sample on, so samples may be drawn one by one or together.
#[derive(Clone, Debug)]
pub struct Dropout {
    shape: Shape,
    /// Numbers that share one draw.
    run: usize,
    rate: f64,
}

impl Dropout {
    /// Leaves out single numbers of samples of shape `input`, each with probability `rate`, at least 0 and below 1.
    ///
    /// # Errors
    /// [`Error::Layer`] if `rate` is no such number.
    pub fn new(input: &Shape, rate: f64) -> Result<Self, Error> {
        if (0.0..1.0).contains(&rate) {
            return Ok(Self { shape: input.clone(), run: 1, rate });
        }
        let message = format!("rate is {rate}; it must be at least 0 and below 1");
        Err(Error::Layer { layer: "dropout", message })
    }

    /// Leaves out whole channels, the first of at least two axes of `input`.
    ///
    /// # Errors
    /// [`Error::Layer`] if `input` has one axis, or as [`new`](Self::new).
    pub fn of_channels(input: &Shape, rate: f64) -> Result<Self, Error> {
        if input.axes().len() < 2 {
            let message = format!(
                "it leaves out whole channels of inputs such as [channels, height, width], but its input is {input}; \
                 for single numbers take dropout"
            );
            return Err(Error::Layer { layer: "spatial_dropout", message });
        }
        let run = input.len() / input.axes()[0];
        Ok(Self { run, ..Self::new(input, rate)? })
    }

    /// Draws of one sample.
    fn draws(&self) -> usize {
        self.shape.len() / self.run
    }

    /// Draws `s` for the samples from `first` on.
    fn fill<F: Float>(&self, draw: Draw, first: usize, s: &mut [F]) {
        // Below it lies a share of `rate` of all words.
        let threshold = (self.rate * 4_294_967_296.0) as u32;
        let kept = F::of(1.0 / (1.0 - self.rate));
        let mut rng = draw.generator(first as u64 * self.draws() as u64);
        for s in s {
            *s = if rng.next_u32() < threshold { F::zero() } else { kept };
        }
    }

    /// `to = from ⊙ s`.
    fn multiply<F: Float>(&self, from: &[F], s: &[F], to: &mut [F], ctx: &Ctx<'_, F>) {
        let (width, draws) = (self.shape.len(), self.draws());
        for_each_tile(ctx.executor, to, width, width, |first, to| {
            let (from, s) = (&from[first * width..], &s[first * draws..]);
            if self.run == 1 {
                to.iter_mut().zip(from).zip(s).for_each(|((to, &from), &s)| *to = from * s);
                return;
            }
            let runs = to.chunks_exact_mut(self.run).zip(from.chunks_exact(self.run));
            for ((to, from), &s) in runs.zip(s) {
                to.iter_mut().zip(from).for_each(|(to, &from)| *to = from * s);
            }
        });
    }
}

impl<F: Float> Layer<F> for Dropout {
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
        TapeLen { per_row: self.draws(), per_batch: 0 }
    }

    fn multiply_adds(&self) -> usize {
        self.shape.len()
    }

    fn derivation(&self) -> Derivation {
        let what = if self.run == 1 { "number" } else { "channel" };
        let forward = format!(
            "y = s ⊙ x; in training s is 0 with probability {}, else 1 / (1 - {}), drawn for each {what}; in evaluation it is 1",
            self.rate, self.rate
        );
        Derivation {
            forward: vec![forward],
            local: vec!["∂y_j/∂x_i = s_i [i = j]".into()],
            inputs: vec!["dx = dy ⊙ s".into()],
            ..Derivation::new([("x", &self.shape), ("y", &self.shape)])
        }
    }

    fn forward(
        &self,
        _theta: &[F],
        inputs: &[Rows<'_, F>],
        mut y: RowsMut<'_, F>,
        tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let x = inputs[0].data();
        let Some(draw) = ctx.draw() else { return y.data().copy_from_slice(x) };
        let draws = self.draws();
        for_each_tile(ctx.executor, tape, draws, draws * DRAW_WORK, |first, s| self.fill(draw, first, s));
        self.multiply(x, tape, y.data(), ctx);
    }

    fn backward(
        &self,
        _theta: &[F],
        pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        ctx: &mut Ctx<'_, F>,
    ) {
        let Some(dx) = &mut dx[0] else { return };
        match ctx.mode {
            Mode::Evaluate { .. } => dx.data().copy_from_slice(dy.as_rows().data()),
            Mode::Train { .. } => self.multiply(dy.as_rows().data(), pass.tape, dx.data(), ctx),
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

    fn dropout(axes: &[usize], rate: f64) -> Dropout {
        Dropout::new(&Shape::new(axes).unwrap(), rate).unwrap()
    }

    fn mask(layer: &Dropout, rows: usize, draw: Draw) -> Vec<f64> {
        let mut s = vec![f64::NAN; rows * layer.draws()];
        layer.fill(draw, 0, &mut s);
        s
    }

    #[test]
    fn leaves_out_the_expected_share_and_keeps_the_mean() {
        for rate in [0.0, 0.1, 0.5, 0.9] {
            let s = mask(&dropout(&[1000], rate), 100, Draw::new(3, 1));
            let (n, kept) = (s.len() as f64, 1.0 / (1.0 - rate));
            assert!(s.iter().all(|&s| s == 0.0 || s == kept));
            let left_out = s.iter().filter(|&&s| s == 0.0).count() as f64;
            // Five standard deviations of a binomial.
            let tolerance = 5.0 * (n * rate * (1.0 - rate)).sqrt();
            assert!((left_out - n * rate).abs() <= tolerance, "{left_out} of {n} at {rate}");
            assert!((s.iter().sum::<f64>() / n - 1.0).abs() <= tolerance * kept / n);
        }
    }

    #[test]
    fn leaves_out_the_same_numbers_on_the_way_back() {
        let ones = vec![1.0; 3 * 40];
        for layer in [dropout(&[40], 0.3), Dropout::of_channels(&Shape::new([8, 5]).unwrap(), 0.3).unwrap()] {
            let step = check::train(&layer, &[], &[&ones], &ones, Draw::new(1, 2));
            assert_eq!(step.y, step.dx[0]);
            assert!(step.y.contains(&0.0) && step.y.contains(&(1.0 / 0.7)));
        }
    }

    #[test]
    fn draws_anew_for_every_step_and_sample() {
        let layer = dropout(&[64], 0.5);
        let first = mask(&layer, 2, Draw::new(1, 1));
        assert_ne!(first, mask(&layer, 2, Draw::new(1, 2)));
        assert_ne!(first, mask(&layer, 2, Draw::new(2, 1)));
        assert_ne!(first[..64], first[64..]);
        assert_eq!(first, mask(&layer, 2, Draw::new(1, 1)));
    }

    #[test]
    fn draws_the_same_for_any_cut_of_the_rows() {
        let draw = Draw::new(5, 6);
        for layer in [dropout(&[7, 3], 0.4), Dropout::of_channels(&Shape::new([7, 3]).unwrap(), 0.4).unwrap()]
        {
            let whole = mask(&layer, 50, draw);
            let width = layer.draws();
            for cut in [1, 2, 13, 49] {
                let mut pieces = vec![f64::NAN; whole.len()];
                for (piece, s) in pieces.chunks_mut(cut * width).enumerate() {
                    layer.fill(draw, piece * cut, s);
                }
                assert_eq!(pieces, whole, "{cut} rows at a time");
            }
        }
    }

    #[test]
    fn channels_stay_or_go_as_a_whole() {
        let layer = Dropout::of_channels(&Shape::new([16, 2, 3]).unwrap(), 0.5).unwrap();
        let ones = vec![1.0; 4 * 96];
        let y = check::train(&layer, &[], &[&ones], &ones, Draw::new(1, 1)).y;
        assert!(y.chunks(6).all(|channel| channel.iter().all(|&y| y == channel[0])));
        assert!(y.contains(&0.0) && y.contains(&2.0));
    }

    #[test]
    fn is_the_identity_in_evaluation() {
        let x = check::pattern(12, 1);
        assert_eq!(check::forward(&dropout(&[6], 0.9), &[], &[&x]), x);
    }

    #[test]
    fn gradients_equal_central_differences() {
        for rows in [1, 2, 7] {
            check::gradients(&dropout(&[20], 0.3), rows);
            check::gradients(&Dropout::of_channels(&Shape::new([9, 3]).unwrap(), 0.3).unwrap(), rows);
        }
    }

    #[test]
    fn refuses_rates_that_are_no_share_and_inputs_without_channels() {
        let vector = Shape::vector(3).unwrap();
        for rate in [-0.1, 1.0, f64::NAN] {
            assert!(matches!(Dropout::new(&vector, rate), Err(Error::Layer { .. })));
        }
        let error = Dropout::of_channels(&vector, 0.5).unwrap_err().to_string();
        assert!(error.contains("[3]") && error.contains("take dropout"), "{error}");
    }
}
