//! Batch normalisation: mean 0 and variance 1 of every channel, over the batch.

use super::channels;
use super::standardise::{WORK, bias, pairs, weight};
use crate::executor::{for_each_item, for_each_tile};
use crate::{Buffer, Ctx, Derivation, Float, Layer, Mode, Parameter, Pass, Rows, RowsMut, Shape, TapeLen};

/// `y_c = w_c (x_c - μ_c) ρ_c + b_c` with mean `μ_c` and `ρ_c = 1 / √(σ_c² + ε)` of channel `c`: in training those of the batch, in
/// evaluation the running ones (Ioffe & Szegedy, 2015).
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x`, `y` | `[n, c, s]` | inputs and outputs; `s` positions, the axes after the channels, 1 if there are none |
/// | `μ`, `σ²`, `ρ` | `[c]` | statistics of the `m = n s` numbers of a channel; `σ²` is the biased variance |
/// | `x̂ = (x - μ) ρ` | `[n, c, s]` | standardised inputs |
/// | `w`, `b` | `[c]` | weight and bias |
/// | `running_mean`, `running_var` | `[c]` | buffers: `(1 - momentum)` of the old and `momentum` of `μ` and of `σ² m / (m - 1)`, the unbiased variance, as in PyTorch |
///
/// # Derivation
/// In training the numbers of a channel are a run of `m` numbers, in which `x̂` depends on `x` as in
/// [`LayerNorm`](super::LayerNorm), but across the batch: with `g = dL/dx̂ = w_c dy`
/// ```text
/// ∂μ/∂x_k = 1/m      ∂σ²/∂x_k = (2/m) (x_k - μ)      ∂ρ/∂x_k = -ρ² x̂_k / m
/// ∂x̂_j/∂x_k = ρ ([j = k] - 1/m - x̂_j x̂_k / m)
///
/// dx_k = Σ_j g_j ∂x̂_j/∂x_k = ρ (g_k - mean(g) - x̂_k mean(g ⊙ x̂)) = w_c ρ (dy_k - db_c/m - x̂_k dw_c/m)
/// dw_c = Σ_n Σ_s dy x̂        db_c = Σ_n Σ_s dy
/// ```
/// In evaluation `μ` and `ρ` are constants: `dx = w_c ρ dy`, and `dw`, `db` as above.
///
/// `dw` and `db` are what `dx` needs too, so `backward` computes both and `accumulate` only adds them. The tape holds numbers of the
/// channels alone; `x̂` is formed again from `x`.
#[derive(Debug)]
pub struct BatchNorm {
    shape: Shape,
    momentum: f64,
    epsilon: f64,
    affine: bool,
}

/// The numbers of a channel in the tape: a pair of sums, and five more.
const TAPE: usize = 7;

/// The tape, by channels.
struct Channels<'a, F> {
    /// Mean and variance on the way up, `db` and `dw` on the way back: pairs, as one thread writes both.
    pairs: &'a mut [F],
    mean: &'a mut [F],
    rho: &'a mut [F],
    /// `w ρ`.
    scale: &'a mut [F],
    /// `b` on the way up; on the way back what `dx` loses by the mean of `g`.
    level: &'a mut [F],
    /// What it loses for each unit of `x - μ`.
    slope: &'a mut [F],
}

impl BatchNorm {
    /// Normalises the channels, the first axis, of samples of shape `input`. The running statistics follow those of a batch by
    /// the share `momentum`, in `[0, 1]`; `epsilon`, above 0, is added to the variance.
    pub fn new(input: &Shape, momentum: f64, epsilon: f64) -> Self {
        Self { shape: input.clone(), momentum, epsilon, affine: true }
    }

    /// The same layer without `w` and `b`.
    pub fn without_affine(self) -> Self {
        Self { affine: false, ..self }
    }

    fn channels(&self) -> usize {
        self.shape.axes()[0]
    }

    /// Numbers of a channel in one sample.
    fn positions(&self) -> usize {
        self.shape.len() / self.channels()
    }

    #[inline]
    fn split<'a, F>(&self, tape: &'a mut [F]) -> Channels<'a, F> {
        let channels = self.channels();
        let (pairs, rest) = tape.split_at_mut(2 * channels);
        let (mean, rest) = rest.split_at_mut(channels);
        let (rho, rest) = rest.split_at_mut(channels);
        let (scale, rest) = rest.split_at_mut(channels);
        let (level, slope) = rest.split_at_mut(channels);
        Channels { pairs, mean, rho, scale, level, slope }
    }

    /// Finds `μ` and `ρ`, and has the running statistics follow.
    fn find_statistics<F: Float>(&self, x: Rows<'_, F>, own: &mut Channels<'_, F>, ctx: &mut Ctx<'_, F>) {
        let (positions, executor) = (self.positions(), ctx.executor);
        let rho = |variance: F| F::of(1.0 / (variance.as_f64() + self.epsilon).sqrt());
        let buffers = match &mut ctx.mode {
            Mode::Evaluate { buffers } => {
                let (mean, variance) = buffers.split_at(self.channels());
                own.mean.copy_from_slice(mean);
                own.rho.iter_mut().zip(variance).for_each(|(own, &variance)| *own = rho(variance));
                return;
            }
            Mode::Train { buffers, .. } => buffers,
        };
        let m = x.len() * positions;
        for_each_item(executor, own.pairs, 2, m * WORK, |first, pairs| {
            channels::statistics(x, positions, first, pairs);
        });
        // A batch of one number has no unbiased variance; `least_rows` keeps it away.
        let unbiased = F::of(m as f64 / (m - 1).max(1) as f64);
        let momentum = F::of(self.momentum);
        let (means, variances) = buffers.split_at_mut(self.channels());
        for (channel, (mean, variance)) in pairs(own.pairs).enumerate() {
            own.mean[channel] = mean;
            own.rho[channel] = rho(variance);
            follow(&mut means[channel], mean, momentum);
            follow(&mut variances[channel], variance * unbiased, momentum);
        }
    }

    /// `y = (x - μ) scale + level`.
    fn transform<F: Float>(&self, x: &[F], own: &Channels<'_, F>, y: &mut [F]) {
        let (positions, width) = (self.positions(), self.shape.len());
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let channels = own.mean.iter().zip(&*own.scale).zip(&*own.level);
            if positions == 1 {
                let numbers = y.iter_mut().zip(x).zip(channels);
                numbers.for_each(|((y, &x), ((&mean, &scale), &level))| *y = (x - mean) * scale + level);
                continue;
            }
            let runs = y.chunks_exact_mut(positions).zip(x.chunks_exact(positions));
            for ((y, x), ((&mean, &scale), &level)) in runs.zip(channels) {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - mean) * scale + level);
            }
        }
    }

    /// `dx = scale dy - level - (x - μ) slope`.
    fn gradient<F: Float>(&self, x: &[F], dy: &[F], own: &Channels<'_, F>, dx: &mut [F]) {
        let (positions, width) = (self.positions(), self.shape.len());
        let samples = dx.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(dy.chunks_exact(width));
        for ((dx, x), dy) in samples {
            let channels = own.mean.iter().zip(&*own.scale).zip(own.level.iter().zip(&*own.slope));
            if positions == 1 {
                let numbers = dx.iter_mut().zip(x).zip(dy).zip(channels);
                numbers.for_each(|(((dx, &x), &dy), ((&mean, &scale), (&level, &slope)))| {
                    *dx = dy * scale - level - (x - mean) * slope;
                });
                continue;
            }
            let runs = dx.chunks_exact_mut(positions).zip(x.chunks_exact(positions));
            let runs = runs.zip(dy.chunks_exact(positions));
            for (((dx, x), dy), ((&mean, &scale), (&level, &slope))) in runs.zip(channels) {
                let numbers = dx.iter_mut().zip(x).zip(dy);
                numbers.for_each(|((dx, &x), &dy)| *dx = dy * scale - level - (x - mean) * slope);
            }
        }
    }
}

/// Moves `running` towards `found` by the share `momentum`.
#[inline]
fn follow<F: Float>(running: &mut F, found: F, momentum: F) {
    *running = (F::one() - momentum) * *running + momentum * found;
}

impl<F: Float> Layer<F> for BatchNorm {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.shape.clone()]
    }

    fn output_shape(&self) -> &Shape {
        &self.shape
    }

    fn parameters(&self) -> Vec<Parameter> {
        let channels = self.channels();
        if self.affine { vec![weight(channels), bias(channels)] } else { Vec::new() }
    }

    fn buffers(&self) -> Vec<Buffer> {
        let shape = Shape::vector(self.channels()).expect("an axis of a shape");
        vec![
            Buffer { name: "running_mean".into(), shape: shape.clone(), initial: 0.0 },
            Buffer { name: "running_var".into(), shape, initial: 1.0 },
        ]
    }

    fn least_rows(&self) -> usize {
        if self.positions() == 1 { 2 } else { 1 }
    }

    fn tape(&self) -> TapeLen {
        TapeLen { per_row: 0, per_batch: TAPE * self.channels() }
    }

    fn multiply_adds(&self) -> usize {
        2 * self.shape.len()
    }

    fn derivation(&self) -> Derivation {
        let tensors: Vec<Shape> = Layer::<F>::parameters(self).into_iter().map(|p| p.shape).collect();
        let letters = [("x", &self.shape)].into_iter().chain(["w", "b"].into_iter().zip(&tensors));
        let mut derivation = Derivation::new(letters.chain([("y", &self.shape)]));
        let (y, g) =
            if self.affine { ("y_c = w_c x̂_c + b_c", "g_c = w_c dy_c") } else { ("y = x̂", "g = dy") };
        derivation.forward = vec![
            "μ = mean(x), σ² = mean((x - μ)²), over the m numbers of a channel in the batch; in evaluation running_mean and running_var"
                .into(),
            "ρ = 1 / √(σ² + ε)".into(),
            "x̂ = (x - μ) ρ".into(),
            y.into(),
        ];
        derivation.local = vec![
            "∂μ/∂x_k = 1/m   ∂σ²/∂x_k = (2/m) (x_k - μ)   ∂ρ/∂x_k = -ρ² x̂_k / m; in evaluation all 0".into(),
            "∂x̂_j/∂x_k = ρ ([j = k] - 1/m - x̂_j x̂_k / m) within a channel, else 0; in evaluation ρ [j = k]"
                .into(),
        ];
        derivation.between = vec![g.into()];
        derivation.inputs = vec![
            "dx = ρ (g - mean(g) - x̂ mean(g ⊙ x̂)), means over the channel; in evaluation dx = ρ g".into(),
        ];
        if self.affine {
            derivation.parameters =
                vec!["dw_c = Σ dy_c x̂_c".into(), "db_c = Σ dy_c, over samples and positions".into()];
        }
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
        let (x, width) = (inputs[0], self.shape.len());
        let mut own = self.split(tape);
        self.find_statistics(x, &mut own, ctx);
        if self.affine {
            let (w, b) = theta.split_at(self.channels());
            let factors = own.scale.iter_mut().zip(&*own.rho).zip(w);
            factors.for_each(|((scale, &rho), &w)| *scale = w * rho);
            own.level.copy_from_slice(b);
        } else {
            own.scale.copy_from_slice(own.rho);
            own.level.fill(F::zero());
        }
        for_each_tile(ctx.executor, y.into_data(), width, width * WORK, |first, y| {
            self.transform(&x.data()[first * width..], &own, y);
        });
    }

    fn backward(
        &self,
        _theta: &[F],
        pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        ctx: &mut Ctx<'_, F>,
    ) {
        let (x, dy, width) = (pass.inputs[0], dy.as_rows(), self.shape.len());
        let positions = self.positions();
        let m = x.len() * positions;
        let own = self.split(pass.tape);
        let through_statistics = matches!(ctx.mode, Mode::Train { .. });
        if self.affine || (through_statistics && dx[0].is_some()) {
            for_each_item(ctx.executor, own.pairs, 2, 2 * m * WORK, |first, pairs| {
                channels::gradient_sums(x, dy, positions, own.mean, first, pairs);
            });
            for (pair, &rho) in own.pairs.chunks_exact_mut(2).zip(&*own.rho) {
                pair[1] *= rho;
            }
        }
        let Some(dx) = &mut dx[0] else { return };
        own.level.fill(F::zero());
        own.slope.fill(F::zero());
        if through_statistics {
            let share = F::of(1.0 / m as f64);
            for (channel, (db, dw)) in pairs(own.pairs).enumerate() {
                own.level[channel] = own.scale[channel] * db * share;
                own.slope[channel] = own.scale[channel] * own.rho[channel] * dw * share;
            }
        }
        for_each_tile(ctx.executor, dx.data(), width, width * WORK, |first, dx| {
            let at = first * width;
            self.gradient(&x.data()[at..], &dy.data()[at..], &own, dx);
        });
    }

    fn accumulate(
        &self,
        _theta: &[F],
        pass: Pass<'_, F>,
        _dy: Rows<'_, F>,
        dtheta: &mut [F],
        _ctx: &mut Ctx<'_, F>,
    ) {
        if !self.affine {
            return;
        }
        let (dw, db) = dtheta.split_at_mut(self.channels());
        let own = self.split(pass.tape);
        for ((sum_db, sum_dw), (dw, db)) in pairs(own.pairs).zip(dw.iter_mut().zip(db)) {
            *dw += sum_dw;
            *db += sum_db;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;
    use crate::{Draw, Inline};

    fn layer(axes: &[usize]) -> BatchNorm {
        BatchNorm::new(&Shape::new(axes).unwrap(), 0.1, 1e-5)
    }

    fn theta() -> Vec<f64> {
        [check::pattern(2, 10), check::pattern(2, 11)].concat()
    }

    #[test]
    fn of_features_is_that_of_pytorch() {
        let (x, dy) = (check::pattern(6, 1), check::pattern(6, 5));
        let step = check::train(&layer(&[2]), &theta(), &[&x], &dy, Draw::new(0, 0));
        let y = [-0.6377462792, 2.226357446, -1.636530323, 0.2142857143, -0.082866255, -1.797786017];
        let dx = [1.064927716, -0.8569985867, -0.3803261185, 1.71398703, -0.6846015979, -0.8569884437];
        check::close(&step.y, &y, 1e-8);
        check::close(&step.dx[0], &dx, 1e-8);
        check::close(&step.dtheta, &[-1.109760048, -0.8748137962, -0.2142857143, -0.5], 1e-8);
        check::close(&step.buffers, &[0.01666666667, 0.007142857143, 1.002721088, 1.065306122], 1e-8);
    }

    const RUNNING: [f64; 4] = [0.01071428571, 0.0, 1.010641399, 0.993877551];

    #[test]
    fn of_images_is_that_of_pytorch() {
        let (x, dy) = (check::pattern(16, 1), check::pattern(16, 5));
        let step = check::train(&layer(&[2, 2, 2]), &theta(), &[&x], &dy, Draw::new(0, 0));
        let y = [
            -0.6223754774,
            0.03097975605,
            -1.462403635,
            -0.8090484012,
            2.156403108,
            -1.986780665,
            -0.1741377645,
            1.638505136,
            -1.835749482,
            -1.182394249,
            -0.5290390154,
            0.124316218,
            -1.209933708,
            0.6027091931,
            2.415352094,
            -1.72783168,
        ];
        let dx = [
            0.7198219033,
            -0.6943677316,
            -0.222026797,
            0.5105221921,
            -2.247310648,
            -1.026543937,
            1.045044797,
            3.116633531,
            -0.6406262194,
            0.09192276975,
            0.8244717589,
            -0.589717876,
            -0.1387201941,
            1.93286854,
            -1.9513694,
            -0.7306026896,
        ];
        check::close(&step.y, &y, 1e-8);
        check::close(&step.dx[0], &dx, 1e-8);
        check::close(&step.dtheta, &[-0.9541060551, -1.035795943, 1.142857143, 0.2857142857], 1e-8);
        check::close(&step.buffers, &RUNNING, 1e-8);
    }

    #[test]
    fn in_evaluation_uses_the_running_statistics() {
        let (layer, x) = (layer(&[2, 2, 2]), check::pattern(16, 1));
        let (mut y, mut tape) = ([f64::NAN; 16], [f64::NAN; 2 * TAPE]);
        let ctx = &mut Ctx::evaluate(&Inline, &RUNNING);
        layer.forward(&theta(), &[Rows::new(&x, 8)], RowsMut::new(&mut y, 8), &mut tape, ctx);
        let expected = [
            -0.5641868676,
            0.07527372074,
            -1.386350481,
            -0.7468898929,
            1.979894163,
            -1.786737194,
            -0.1388359754,
            1.509065243,
            -1.751756532,
            -1.112295943,
            -0.472835355,
            0.1666252334,
            -1.080493815,
            0.567407404,
            2.215308623,
            -1.551322734,
        ];
        check::close(&y, &expected, 1e-8);
    }

    #[test]
    fn gradients_equal_central_differences() {
        for (axes, rows) in
            [(&[3][..], 3), (&[40], 7), (&[2, 5], 1), (&[3, 4, 5], 2), (&[2, 17, 19], 2), (&[1, 2], 7)]
        {
            check::gradients(&layer(axes), rows);
            check::gradients(&layer(axes).without_affine(), rows);
        }
    }

    #[test]
    fn needs_two_samples_where_each_has_one_number_a_channel() {
        assert_eq!(Layer::<f32>::least_rows(&layer(&[5])), 2);
        assert_eq!(Layer::<f32>::least_rows(&layer(&[5, 1, 1])), 2);
        assert_eq!(Layer::<f32>::least_rows(&layer(&[5, 2])), 1);
    }

    #[test]
    fn moves_its_running_statistics_in_training_only() {
        let layer = BatchNorm::new(&Shape::vector(1).unwrap(), 0.5, 1e-5).without_affine();
        let step = check::train(&layer, &[], &[&[1.0, 3.0]], &[1.0, 1.0], Draw::new(0, 0));
        assert_eq!(step.buffers, [1.0, 1.5]);
    }

    #[test]
    fn does_not_cancel_far_from_the_origin() {
        let x: Vec<f32> = (0..4096u16).map(|i| 1e4 + f32::from(i % 7)).collect();
        let layer = BatchNorm::new(&Shape::vector(1).unwrap(), 1.0, 1e-5).without_affine();
        let step = check::train::<f32>(&layer, &[], &[&x], &x, Draw::new(0, 0));
        assert!((step.buffers[1] - 4.0).abs() < 0.01, "{}", step.buffers[1]);
    }
}
