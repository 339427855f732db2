//! Start values of parameters.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, Axis};
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::{Distribution, StandardNormal, StandardUniform};

use crate::random::Rng;
use crate::{Fans, Float, Shape};

/// The distribution that a parameter's start values are drawn from.
///
/// Numbers are drawn as `f64` and rounded once, so nets of either precision start from the same numbers.
///
/// Filling cannot fail. Whoever reads parameters from a file sees that they are finite, `std ≥ 0` and `low < high`;
/// others give what the formula gives, never a panic.
///
/// # Derivation
/// For `y = Σ w x` over `fan_in` independent terms of mean 0, `var y = fan_in · var w · var x`; on the way back
/// `var dx = fan_out · var w · var dy`. Neither grows nor shrinks from layer to layer if
/// ```text
/// forward    var w = 1 / fan_in                         LeCun, Bottou, Orr & Müller (1998)
/// both       var w = 2 / (fan_in + fan_out)             Glorot & Bengio (2010): the mean of both wishes
/// with relu  var w = 2 / fan_in                         He, Zhang, Ren & Sun (2015): relu halves the mean of y²
/// ```
/// A normal distribution has `std = √var`; a uniform one over ±b has `var = b²/3`, so `b = √(3 var)`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Initializer {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All the same.
    Constant {
        /// The number.
        value: f64,
    },
    /// Normal.
    Normal {
        /// The centre.
        mean: f64,
        /// The standard deviation, at least 0.
        std: f64,
    },
    /// Uniform from `low` up to `high`.
    Uniform {
        /// The lower bound.
        low: f64,
        /// The upper bound, above the lower; rounding may reach it.
        high: f64,
    },
    /// Uniform over ±`gain · √(6 / (fan_in + fan_out))`.
    XavierUniform {
        /// A factor for the activation that follows; 1 if there is no reason for another.
        gain: f64,
    },
    /// Normal with `std = gain · √(2 / (fan_in + fan_out))`.
    XavierNormal {
        /// A factor for the activation that follows; 1 if there is no reason for another.
        gain: f64,
    },
    /// Uniform over ±`√(6 / fan_in)`: PyTorch's `kaiming_uniform_` for relu.
    HeUniform,
    /// Normal with `std = √(2 / fan_in)`: PyTorch's `kaiming_normal_` for relu.
    HeNormal,
    /// Normal with `std = √(1 / fan_in)`. Not truncated at two deviations, as Keras' is.
    LecunNormal,
    /// As a matrix `[first axis, all others]`, `gain` times rows or columns, whichever are fewer, of length 1 and at
    /// right angles, drawn without preference for a direction (Saxe, McClelland & Ganguli, 2013): a matrix that keeps
    /// lengths however often it is applied.
    Orthogonal {
        /// The length of the rows or columns.
        gain: f64,
    },
}

impl Initializer {
    /// Fills the tensor `values` of the given shape.
    ///
    /// # Panics
    /// If there are not as many values as the shape holds.
    pub fn fill<F: Float>(&self, values: &mut [F], shape: &Shape, fans: Fans, rng: &mut Rng) {
        assert_eq!(values.len(), shape.len(), "the values of a tensor of shape {shape}");
        // A fan-in of 0 has no weights; 1 keeps infinity out of the formulas.
        let fan_in = fans.fan_in.max(1) as f64;
        let fans = fan_in + fans.fan_out as f64;
        match *self {
            Self::Zeros => values.fill(F::zero()),
            Self::Ones => values.fill(F::one()),
            Self::Constant { value } => values.fill(F::of(value)),
            Self::Normal { mean, std } => normal(values, mean, std, rng),
            Self::Uniform { low, high } => uniform(values, low, high, rng),
            Self::XavierUniform { gain } => symmetric(values, gain * (6.0 / fans).sqrt(), rng),
            Self::XavierNormal { gain } => normal(values, 0.0, gain * (2.0 / fans).sqrt(), rng),
            Self::HeUniform => symmetric(values, (6.0 / fan_in).sqrt(), rng),
            Self::HeNormal => normal(values, 0.0, (2.0 / fan_in).sqrt(), rng),
            Self::LecunNormal => normal(values, 0.0, (1.0 / fan_in).sqrt(), rng),
            Self::Orthogonal { gain } => orthogonal(values, shape.axes()[0], gain, rng),
        }
    }
}

// `rand_distr::Normal` and `Uniform` are built fallibly; scaling the standard ones needs no error to be impossible.

fn normal<F: Float>(values: &mut [F], mean: f64, std: f64, rng: &mut Rng) {
    for value in values {
        let standard: f64 = StandardNormal.sample(rng);
        *value = F::of(mean + std * standard);
    }
}

fn uniform<F: Float>(values: &mut [F], low: f64, high: f64, rng: &mut Rng) {
    for value in values {
        let share: f64 = StandardUniform.sample(rng);
        // `high - low` could overflow.
        *value = F::of(low * (1.0 - share) + high * share);
    }
}

fn symmetric<F: Float>(values: &mut [F], bound: f64, rng: &mut Rng) {
    uniform(values, -bound, bound, rng);
}

/// Orthonormalises normal vectors by Gram and Schmidt's method: the Q of a QR decomposition whose R has a positive
/// diagonal, as each of its numbers is a length. With this sign, and only with it, Q is uniform over all orthogonal
/// matrices (Mezzadri, 2007); Householder's method would need it restored afterwards.
fn orthogonal<F: Float>(values: &mut [F], rows: usize, gain: f64, rng: &mut Rng) {
    let columns = values.len() / rows;
    let (count, len) = (rows.min(columns), rows.max(columns));
    let mut basis = Array2::<f64>::random_using((count, len), StandardNormal, rng);
    for i in 0..count {
        let (done, mut rest) = basis.view_mut().split_at(Axis(0), i);
        let mut vector = rest.row_mut(0);
        while !orthonormalize(done.view(), &mut vector) {
            vector.assign(&Array1::random_using(len, StandardNormal, rng));
        }
    }
    let matrix = if rows <= columns { basis.view() } else { basis.t() };
    for (value, &q) in values.iter_mut().zip(matrix) {
        *value = F::of(gain * q);
    }
}

/// Takes from `vector` its parts along the orthonormal rows of `basis` and gives it length 1. False if what remains is
/// too short to have a direction of its own, which no normal vector ever was.
fn orthonormalize(basis: ArrayView2<'_, f64>, vector: &mut ArrayViewMut1<'_, f64>) -> bool {
    let before = vector.dot(vector).sqrt();
    // Once leaves parts of the size of the rounding relative to what was taken; twice is enough (Giraud, Langou &
    // Rozložník, 2005).
    for _ in 0..2 {
        for q in basis.rows() {
            let part = q.dot(vector);
            vector.scaled_add(-part, &q);
        }
    }
    let length = vector.dot(vector).sqrt();
    vector.mapv_inplace(|value| value / length);
    length > 1e-6 * before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, generator};

    const FANS: Fans = Fans { fan_in: 300, fan_out: 100 };

    fn drawn<F: Float>(initializer: Initializer, axes: &[usize]) -> Vec<F> {
        let shape = Shape::new(axes).unwrap();
        let mut values = vec![F::nan(); shape.len()];
        let mut rng = generator(7, Purpose::Initialization, 0, 0);
        initializer.fill(&mut values, &shape, FANS, &mut rng);
        values
    }

    const RANDOM: [Initializer; 8] = [
        Initializer::Normal { mean: 0.5, std: 2.0 },
        Initializer::Uniform { low: -1.0, high: 3.0 },
        Initializer::XavierUniform { gain: 1.5 },
        Initializer::XavierNormal { gain: 1.5 },
        Initializer::HeUniform,
        Initializer::HeNormal,
        Initializer::LecunNormal,
        Initializer::Orthogonal { gain: 1.0 },
    ];

    #[test]
    fn constants_are_constant() {
        assert_eq!(drawn::<f64>(Initializer::Zeros, &[2]), [0.0, 0.0]);
        assert_eq!(drawn::<f64>(Initializer::Ones, &[2]), [1.0, 1.0]);
        assert_eq!(drawn::<f32>(Initializer::Constant { value: 0.1 }, &[2]), [0.1, 0.1]);
    }

    #[test]
    fn moments_are_those_of_the_formula() {
        let (xavier, he, lecun) = (1.5 * 1.5 * 2.0 / 400.0, 2.0 / 300.0, 1.0 / 300.0);
        let means = [0.5, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let variances = [4.0, 16.0 / 12.0, xavier, xavier, he, he, lecun];
        for ((initializer, mean), variance) in RANDOM.into_iter().zip(means).zip(variances) {
            let values = drawn::<f64>(initializer, &[400, 500]);
            let n = values.len() as f64;
            let found_mean = values.iter().sum::<f64>() / n;
            let found_variance = values.iter().map(|value| (value - found_mean).powi(2)).sum::<f64>() / n;
            // Five standard errors, those of a normal distribution; a uniform one's variance has a smaller.
            assert!((found_mean - mean).abs() < 5.0 * (variance / n).sqrt(), "{initializer:?}: {found_mean}");
            let error = (found_variance / variance - 1.0).abs();
            assert!(error < 5.0 * (2.0 / n).sqrt(), "{initializer:?}: {found_variance} for {variance}");
        }
    }

    #[test]
    fn scaled_by_fans_are_the_plain_ones() {
        let (xavier, he) = (1.5 * (6f64 / 400.0).sqrt(), (6f64 / 300.0).sqrt());
        let plain = [
            Initializer::Uniform { low: -xavier, high: xavier },
            Initializer::Normal { mean: 0.0, std: 1.5 * (2f64 / 400.0).sqrt() },
            Initializer::Uniform { low: -he, high: he },
            Initializer::Normal { mean: 0.0, std: (2f64 / 300.0).sqrt() },
            Initializer::Normal { mean: 0.0, std: (1f64 / 300.0).sqrt() },
        ];
        for (scaled, plain) in RANDOM[2..].iter().zip(plain) {
            assert_eq!(drawn::<f64>(*scaled, &[20]), drawn::<f64>(plain, &[20]), "{scaled:?}");
        }
    }

    #[test]
    fn normals_have_the_tails_of_a_normal() {
        // Within one, two and three deviations; a uniform of the same moments has 58 %, 100 %, 100 %.
        let values = drawn::<f64>(Initializer::Normal { mean: 0.0, std: 0.5 }, &[400, 500]);
        for (deviations, share) in [(1.0, 0.68269), (2.0, 0.95450), (3.0, 0.99730)] {
            let within = values.iter().filter(|value| value.abs() < deviations * 0.5).count();
            assert!((within as f64 / values.len() as f64 - share).abs() < 0.006);
        }
    }

    #[test]
    fn uniforms_fill_their_bounds() {
        let xavier = 1.5 * (6.0f64 / 400.0).sqrt();
        let he = (6.0f64 / 300.0).sqrt();
        let bounds = [(1, -1.0, 3.0), (2, -xavier, xavier), (4, -he, he)];
        for (index, low, high) in bounds {
            let values = drawn::<f64>(RANDOM[index], &[100_000]);
            let margin = 1e-3 * (high - low);
            let min = values.iter().copied().fold(f64::INFINITY, f64::min);
            let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert!((low..low + margin).contains(&min), "{min} for {low}");
            assert!((high - margin..=high).contains(&max), "{max} for {high}");
        }
    }

    #[test]
    fn orthogonal_rows_or_columns_are_orthonormal() {
        let shapes: [&[usize]; 7] = [&[40, 7], &[7, 40], &[30, 30], &[4, 3, 5], &[6, 2, 2], &[5], &[1]];
        for axes in shapes {
            let q = drawn::<f64>(Initializer::Orthogonal { gain: 1.0 }, axes);
            let q = Array2::from_shape_vec((axes[0], q.len() / axes[0]), q).unwrap();
            let gram = if q.nrows() <= q.ncols() { q.dot(&q.t()) } else { q.t().dot(&q) };
            let error = (&gram - &Array2::<f64>::eye(gram.nrows())).mapv(f64::abs).sum();
            assert!(error < 1e-12, "{axes:?}: {error}");
        }
    }

    #[test]
    fn orthogonal_has_no_preferred_sign() {
        // Of 1x1 matrices half are -1; Householder's method without the sign of R would give one sign only.
        let shape = Shape::vector(1).unwrap();
        let mut rng = generator(7, Purpose::Initialization, 0, 0);
        let mut sum = 0.0;
        for _ in 0..1000 {
            let mut value = [f64::NAN];
            Initializer::Orthogonal { gain: 1.0 }.fill(&mut value, &shape, FANS, &mut rng);
            assert_eq!(value[0].abs(), 1.0);
            sum += value[0];
        }
        assert!(sum.abs() < 5.0 * 1000f64.sqrt());
    }

    #[test]
    fn orthogonal_scales_by_its_gain() {
        let [one, two] = [1.0, 2.0].map(|gain| drawn::<f64>(Initializer::Orthogonal { gain }, &[3, 4]));
        assert!(one.iter().zip(&two).all(|(one, two)| 2.0 * one == *two));
    }

    #[test]
    fn a_vector_within_the_span_is_refused() {
        let basis = Array2::eye(3);
        let basis = basis.slice(ndarray::s![..2, ..]);
        for vector in [[3.0, 4.0, 0.0], [0.0; 3], [3.0, 4.0, 1e-9]] {
            assert!(!orthonormalize(basis, &mut Array1::from_iter(vector).view_mut()));
        }
        let mut vector = Array1::from_iter([3.0, 4.0, -2.0]);
        assert!(orthonormalize(basis, &mut vector.view_mut()));
        assert_eq!(vector.to_vec(), [0.0, 0.0, -1.0]);
    }

    #[test]
    fn a_vector_near_the_span_ends_at_a_right_angle() {
        let basis = Array2::from_elem((1, 7), 7f64.sqrt().recip());
        let mut vector = Array1::from_elem(7, 1.7);
        vector[0] += 1e-4;
        assert!(orthonormalize(basis.view(), &mut vector.view_mut()));
        assert!(basis.row(0).dot(&vector).abs() < 1e-15);
    }

    #[test]
    fn same_generator_gives_same_numbers_and_f32_the_rounded_ones() {
        for initializer in RANDOM {
            let double = drawn::<f64>(initializer, &[7, 5]);
            assert_eq!(double, drawn::<f64>(initializer, &[7, 5]));
            let rounded: Vec<f32> = double.iter().map(|&value| value as f32).collect();
            assert_eq!(rounded, drawn::<f32>(initializer, &[7, 5]));
        }
    }

    #[test]
    fn fans_of_zero_and_degenerate_parameters_give_no_nan() {
        let fans = Fans { fan_in: 0, fan_out: 0 };
        let shape = Shape::new([2, 3]).unwrap();
        let degenerate = [
            Initializer::Normal { mean: 1.0, std: 0.0 },
            Initializer::Uniform { low: f64::MIN, high: f64::MAX },
            Initializer::Orthogonal { gain: 0.0 },
        ];
        for initializer in RANDOM.into_iter().chain(degenerate) {
            let mut values = [f64::NAN; 6];
            initializer.fill(&mut values, &shape, fans, &mut generator(1, Purpose::Initialization, 0, 0));
            assert!(values.iter().all(|value| value.is_finite()), "{initializer:?}");
        }
    }
}
