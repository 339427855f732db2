//! What the tests compare with: true values to about 30 digits, and distances in ulp.

use std::f64::consts::{LN_2, LOG2_E};

/// The second part of log 2, to which its nearest number is the first.
const LN_2_REST: f64 = 2.319_046_813_846_299_6e-17;

/// The unevaluated sum of two numbers, the second below the last bit of the first (Dekker, 1971).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Double(pub(crate) f64, pub(crate) f64);

impl Double {
    fn sum(a: f64, b: f64) -> Self {
        let sum = a + b;
        let part = sum - a;
        Self(sum, (a - (sum - part)) + (b - part))
    }

    pub(crate) fn product(a: f64, b: f64) -> Self {
        let product = a * b;
        Self(product, a.mul_add(b, -product))
    }

    pub(crate) fn add(self, other: Self) -> Self {
        let Self(high, low) = Self::sum(self.0, other.0);
        Self::sum(high, low + self.1 + other.1)
    }

    pub(crate) fn mul(self, other: Self) -> Self {
        let Self(high, low) = Self::product(self.0, other.0);
        Self::sum(high, low + (self.0 * other.1 + self.1 * other.0))
    }

    pub(crate) fn div(self, other: Self) -> Self {
        let first = self.0 / other.0;
        let rest = self.add(other.mul(Self(-first, 0.0)));
        Self(first, 0.0).add(Self((rest.0 + rest.1) / other.0, 0.0))
    }

    /// `exp(x) - 1` and the `k` of the `2^k` that `exp(x)` is to be multiplied by: the series of `r/64`, squared up.
    fn exp_parts(x: f64) -> (Self, i32) {
        let k = (x * LOG2_E).round();
        let ln_2 = Self(LN_2, LN_2_REST);
        let r = Self(x, 0.0).add(ln_2.mul(Self(-k, 0.0))).mul(Self(1.0 / 64.0, 0.0));
        let one = Self(1.0, 0.0);
        let mut series = Self(0.0, 0.0);
        for n in (1..=18).rev() {
            series = r.mul(one.add(series)).div(Self(f64::from(n), 0.0));
        }
        for _ in 0..6 {
            series = series.mul(series.add(Self(2.0, 0.0)));
        }
        (series, k as i32)
    }

    /// `exp(x)`, up to where it is neither infinite nor below the normal numbers.
    pub(crate) fn exp(x: f64) -> Self {
        let (m1, k) = Self::exp_parts(x);
        Self(1.0, 0.0).add(m1).mul(Self(2f64.powi(k), 0.0))
    }

    /// `exp(x) - 1`.
    pub(crate) fn exp_m1(x: f64) -> Self {
        let (m1, k) = Self::exp_parts(x);
        if k == 0 { m1 } else { Self::exp(x).add(Self(-1.0, 0.0)) }
    }
}

/// The distance of `value` from a true one, in ulp of that.
pub(crate) fn ulps_f64(value: f64, truth: Double) -> f64 {
    let exponent = (truth.0.abs().to_bits() >> 52).saturating_sub(1) as i32 - 1022;
    ((value - truth.0) - truth.1).abs() / 2f64.powi(exponent) * 2f64.powi(52)
}

/// The same in single precision.
pub(crate) fn ulps_f32(value: f32, truth: f64) -> f64 {
    // As IEEE rounds, what is half an ulp above the largest number is infinite.
    let overflow = f64::from(f32::MAX) + 2f64.powi(103);
    if truth.abs() >= overflow && value.is_infinite() && (value > 0.0) == (truth > 0.0) {
        return 0.0;
    }
    let exponent = ((truth.abs().to_bits() >> 52) as i32 - 1023).max(-126);
    (f64::from(value) - truth).abs() / 2f64.powi(exponent - 23)
}

/// The largest distance of `f` from `truth` over every 1021st finite number of single precision that `takes` lets in.
pub(crate) fn worst_f32(
    f: impl Fn(f32) -> f32,
    truth: impl Fn(f64) -> f64,
    takes: impl Fn(f32) -> bool,
) -> (f64, f32) {
    let numbers = (0..=u32::MAX).step_by(1021).map(f32::from_bits);
    let distances = numbers.filter(|x| x.is_finite() && takes(*x)).map(|x| {
        let distance = ulps_f32(f(x), truth(f64::from(x)));
        (if distance.is_nan() { f64::INFINITY } else { distance }, x)
    });
    distances.fold((0.0, 0.0), |worst, this| if this.0 > worst.0 { this } else { worst })
}

/// The largest distance of `f` from `truth` over numbers from `min` to `max`: evenly spread, and many near 0.
pub(crate) fn worst_f64(
    f: impl Fn(f64) -> f64,
    truth: impl Fn(f64) -> Double,
    [min, max]: [f64; 2],
) -> (f64, f64) {
    const COUNT: usize = 60_000;
    let spread = (0..COUNT).map(|i| min + (max - min) * (i as f64 + 0.37) / COUNT as f64);
    let near = (0..COUNT).map(|i| (1.0 + i as f64 / 977.0) * 2f64.powi(-(i as i32 % 60)));
    let near = near.flat_map(|x| [x, -x]).filter(|x| (min..max).contains(x));
    let distances = spread.chain(near).map(|x| (ulps_f64(f(x), truth(x)), x));
    distances.fold((0.0, 0.0), |worst, this| if this.0 > worst.0 { this } else { worst })
}
