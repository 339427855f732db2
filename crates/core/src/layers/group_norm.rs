//! Group normalisation: mean 0 and variance 1 within groups of channels of a sample.

use super::standardise::{WORK, bias, gradient_sums, statistics, weight};
use super::sums::{sum, sum_of_pairs};
use crate::executor::{for_each_item, for_each_tile};
use crate::{Ctx, Derivation, Error, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape, TapeLen};

/// `y_c = w_c (x_c - μ) ρ + b_c` with mean `μ` and `ρ = 1 / √(σ² + ε)` of a sample's group of channels (Wu & He, 2018).
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x`, `y` | `[n, c, s]` | inputs and outputs; `s` positions, the axes after the channels, 1 if there are none |
/// | `μ`, `ρ` | `[n, groups]` | statistics of `m = c / groups · s` numbers; `σ²` is the biased variance, as in PyTorch |
/// | `x̂ = (x - μ) ρ` | `[n, c, s]` | standardised inputs |
/// | `w`, `b` | `[c]` | weight and bias of a channel |
///
/// With one group it is layer norm over the whole sample, with a group a channel instance norm.
///
/// # Derivation
/// A group of one sample is a run of `m` numbers, in which `x̂` depends on `x` as in [`LayerNorm`](super::LayerNorm): with
/// `g = dL/dx̂`, which is `w_c dy` in channel `c`,
/// ```text
/// ∂μ/∂x_k = 1/m      ∂σ²/∂x_k = (2/m) (x_k - μ)      ∂ρ/∂x_k = -ρ² x̂_k / m
/// ∂x̂_j/∂x_k = ρ ([j = k] - 1/m - x̂_j x̂_k / m)
///
/// dx_k = ρ (g_k - mean(g) - x̂_k mean(g ⊙ x̂))
/// ```
/// As `w_c` is one number for the `s` positions of a channel, both means are sums over the channels of the group,
/// ```text
/// mean(g) = (1/m) Σ_c w_c Σ_s dy_cs        mean(g ⊙ x̂) = (1/m) Σ_c w_c ρ Σ_s dy_cs (x_cs - μ)
/// dw_c = Σ_n Σ_s dy_cs x̂_cs                db_c = Σ_n Σ_s dy_cs
/// ```
/// The tape holds `μ` and `ρ`, two numbers a group.
#[derive(Debug)]
pub struct GroupNorm {
    shape: Shape,
    groups: usize,
    epsilon: f64,
    affine: bool,
}

impl GroupNorm {
    /// Normalises samples of shape `input`, whose first axis is channels, in `groups` groups of neighbouring channels;
    /// `epsilon`, above 0, is added to the variance.
    ///
    /// # Errors
    /// [`Error::Layer`] if the groups do not divide the channels, or have one number each.
    pub fn new(input: &Shape, groups: usize, epsilon: f64) -> Result<Self, Error> {
        let channels = input.axes()[0];
        let refused = |message| Err(Error::Layer { layer: "group_norm", message });
        if groups == 0 || !channels.is_multiple_of(groups) {
            return refused(format!(
                "{groups} groups do not divide the {channels} channels, the first axis of its input {input}; take a divisor of {channels}"
            ));
        }
        if input.len() == groups {
            return refused(format!(
                "it subtracts the mean of each group, but with {groups} groups of its input {input} a group has 1 number, of which \
                 always 0 is left; take fewer groups"
            ));
        }
        Ok(Self { shape: input.clone(), groups, epsilon, affine: true })
    }

    /// The same layer without `w` and `b`.
    pub fn without_affine(self) -> Self {
        Self { affine: false, ..self }
    }

    fn channels(&self) -> usize {
        self.shape.axes()[0]
    }

    /// Numbers of a channel.
    fn positions(&self) -> usize {
        self.shape.len() / self.channels()
    }

    /// Numbers of a group.
    fn run(&self) -> usize {
        self.shape.len() / self.groups
    }

    /// The channels of group `group`, counted through all samples.
    fn channels_of(&self, group: usize) -> std::ops::Range<usize> {
        let count = self.channels() / self.groups;
        let first = group % self.groups * count;
        first..first + count
    }

    /// `dx` of one group.
    #[inline]
    fn gradient<F: Float>(&self, x: &[F], dy: &[F], (mean, rho): (F, F), w: &[F], dx: &mut [F]) {
        let positions = self.positions();
        let mut sums = (0.0, 0.0);
        for (channel, (x, dy)) in x.chunks_exact(positions).zip(dy.chunks_exact(positions)).enumerate() {
            let w = w.get(channel).map_or(1.0, |w| w.as_f64());
            let (level, moment) = gradient_sums(x, dy, mean);
            sums = (sums.0 + w * level, sums.1 + w * moment);
        }
        let m = x.len() as f64;
        let level = F::of(sums.0 / m) * rho;
        // mean(g ⊙ x̂) has one ρ in it, x̂ another, and both are multiplied by a third.
        let slope = F::of(sums.1 / m) * rho * rho * rho;
        let channels = x.chunks_exact(positions).zip(dy.chunks_exact(positions));
        for (channel, ((x, dy), dx)) in channels.zip(dx.chunks_exact_mut(positions)).enumerate() {
            let scale = w.get(channel).copied().unwrap_or(F::one()) * rho;
            let numbers = dx.iter_mut().zip(x).zip(dy);
            numbers.for_each(|((dx, &x), &dy)| *dx = dy * scale - level - (x - mean) * slope);
        }
    }

    /// Adds the sum of `term(channel's x, channel's dy, mean, rho)` over all samples to each channel's `sums`.
    fn add_sums<F: Float>(
        &self,
        pass: &Pass<'_, F>,
        dy: Rows<'_, F>,
        sums: &mut [F],
        ctx: &Ctx<'_, F>,
        term: impl Fn(&[F], &[F], F, F) -> f64 + Sync,
    ) {
        let (positions, count) = (self.positions(), self.channels() / self.groups);
        let (x, tape) = (pass.inputs[0], &*pass.tape);
        for_each_item(ctx.executor, sums, 1, dy.len() * positions * WORK, |first, sums| {
            for (channel, sum) in (first..).zip(sums) {
                let at = channel * positions..(channel + 1) * positions;
                let group = channel / count;
                let samples = x.iter().zip(dy.iter()).zip(tape.chunks_exact(2 * self.groups));
                let total: f64 = samples
                    .map(|((x, dy), stats)| {
                        term(&x[at.clone()], &dy[at.clone()], stats[2 * group], stats[2 * group + 1])
                    })
                    .sum();
                *sum += F::of(total);
            }
        });
    }
}

/// `y = w (x - μ) ρ + b` of one group, channel by channel.
#[inline]
fn transform<F: Float>(x: &[F], (mean, rho): (F, F), (w, b): (&[F], &[F]), positions: usize, y: &mut [F]) {
    if w.is_empty() {
        return y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - mean) * rho);
    }
    let channels = y.chunks_exact_mut(positions).zip(x.chunks_exact(positions));
    for ((y, x), (&w, &b)) in channels.zip(w.iter().zip(b)) {
        let scale = w * rho;
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - mean) * scale + b);
    }
}

impl<F: Float> Layer<F> for GroupNorm {
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

    fn tape(&self) -> TapeLen {
        TapeLen { per_row: 2 * self.groups, per_batch: 0 }
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
            format!(
                "μ = mean(x), σ² = mean((x - μ)²), ρ = 1 / √(σ² + ε), over the m = {} numbers of a group of channels",
                self.run()
            ),
            "x̂ = (x - μ) ρ".into(),
            y.into(),
        ];
        derivation.local = vec![
            "∂μ/∂x_k = 1/m   ∂σ²/∂x_k = (2/m) (x_k - μ)   ∂ρ/∂x_k = -ρ² x̂_k / m".into(),
            "∂x̂_j/∂x_k = ρ ([j = k] - 1/m - x̂_j x̂_k / m) within a group, else 0".into(),
        ];
        derivation.between = vec![g.into()];
        derivation.inputs = vec!["dx = ρ (g - mean(g) - x̂ mean(g ⊙ x̂)), means over the group".into()];
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
        let (x, run) = (inputs[0].data(), self.run());
        statistics(ctx.executor, x, run, self.epsilon, tape);
        let (w, b) = theta.split_at(theta.len() / 2);
        for_each_tile(ctx.executor, y.into_data(), run, run * WORK, |first, y| {
            let runs = y.chunks_exact_mut(run).zip(x[first * run..].chunks_exact(run));
            for (group, ((y, x), stats)) in (first..).zip(runs.zip(tape[2 * first..].chunks_exact(2))) {
                let own = if self.affine { self.channels_of(group) } else { 0..0 };
                transform(x, (stats[0], stats[1]), (&w[own.clone()], &b[own]), self.positions(), y);
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
        let (x, dy, run) = (pass.inputs[0].data(), dy.into_data(), self.run());
        for_each_tile(ctx.executor, dx.data(), run, 2 * run * WORK, |first, dx| {
            let at = first * run;
            let runs =
                dx.chunks_exact_mut(run).zip(x[at..].chunks_exact(run)).zip(dy[at..].chunks_exact(run));
            let stats = pass.tape[2 * first..].chunks_exact(2);
            for (group, (((dx, x), dy), stats)) in (first..).zip(runs.zip(stats)) {
                let w = if self.affine { &theta[self.channels_of(group)] } else { &[] };
                self.gradient(x, dy, (stats[0], stats[1]), w, dx);
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
        if !self.affine {
            return;
        }
        let (dw, db) = dtheta.split_at_mut(self.channels());
        self.add_sums(&pass, dy, dw, ctx, |x, dy, mean, rho| {
            rho.as_f64() * sum_of_pairs(x, dy, |x, dy| dy * (x - mean))
        });
        self.add_sums(&pass, dy, db, ctx, |_, dy, _, _| sum(dy, |dy| dy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draw;
    use crate::layers::check;

    fn layer(axes: &[usize], groups: usize) -> GroupNorm {
        GroupNorm::new(&Shape::new(axes).unwrap(), groups, 1e-5).unwrap()
    }

    #[test]
    fn is_that_of_pytorch() {
        let theta = [check::pattern(4, 10), check::pattern(4, 11)].concat();
        let (x, dy) = (check::pattern(16, 1), check::pattern(16, 5));
        let step = check::train(&layer(&[4, 2], 2), &theta, &[&x], &dy, Draw::new(0, 0));
        let y = [
            -0.6729505333,
            0.1163957336,
            -2.091106557,
            -0.07388831968,
            0.5254927628,
            2.158187166,
            -1.198982822,
            -0.8021473764,
            -1.648194199,
            -1.07320759,
            0.9489908252,
            2.418401047,
            1.698991865,
            0.9846880638,
            -0.5470388758,
            -1.454091322,
        ];
        let dx = [
            0.548252752,
            -0.9044773681,
            -1.00624177,
            1.362466386,
            0.1513634338,
            0.1129839132,
            -0.1827329597,
            -0.08161438731,
            -0.6653402123,
            0.02920614725,
            1.937613125,
            -1.30147906,
            0.1343278779,
            -0.3435024141,
            0.1764249849,
            0.0327495513,
        ];
        let dtheta = [
            -0.5877570895,
            -0.7015205386,
            -0.6009222458,
            -0.5442314679,
            -0.1428571429,
            1.285714286,
            -0.5714285714,
            0.8571428571,
        ];
        check::close(&step.y, &y, 1e-8);
        check::close(&step.dx[0], &dx, 1e-8);
        check::close(&step.dtheta, &dtheta, 1e-8);
    }

    #[test]
    fn gradients_equal_central_differences() {
        for (axes, groups, rows) in
            [(&[6][..], 2, 1), (&[4, 3], 4, 2), (&[6, 3, 5], 3, 7), (&[2, 17, 19], 1, 2), (&[3, 2, 2], 3, 3)]
        {
            check::gradients(&layer(axes, groups), rows);
            check::gradients(&layer(axes, groups).without_affine(), rows);
        }
    }

    #[test]
    fn refuses_groups_that_do_not_divide_the_channels_or_are_too_small() {
        let error = |axes: &[usize], groups| {
            GroupNorm::new(&Shape::new(axes).unwrap(), groups, 1e-5).unwrap_err().to_string()
        };
        assert!(error(&[6, 4], 4).starts_with("group_norm: 4 groups do not divide the 6 channels"));
        assert!(error(&[6, 4], 0).contains("0 groups"));
        assert!(error(&[6], 6).contains("take fewer groups"));
    }
}
