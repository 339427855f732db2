//! Elementary functions without branches or calls, so that loops over them are compiled to vector instructions.
//!
//! The standard library's `exp` is a call a number. These are a few dozen additions and multiplications instead, with
//! selections in place of branches; run within [`wide`](crate::simd::wide) they take 4 to 8 numbers at once. Each
//! function's file has its derivation and its error. An **ulp** is the distance of neighbouring numbers at the result.
//!
//! Multiplications and additions are fused by `mul_add`: one rounding less each, and less to wait for. It rounds the exact
//! result on every machine, so the bits are the same everywhere. But outside of [`wide`](crate::simd::wide) it may be a call
//! of the C library, and on a machine without the instruction, as x86 before 2013, it is emulated there, many times slower.

mod coefficients;
mod exp;
mod lanes;
mod log;
mod normal;
#[cfg(test)]
mod reference;
mod sigmoid;
mod softmax;
mod tanh;

pub use coefficients::Coefficients;
pub use exp::{exp, exp_m1};
pub(crate) use lanes::{Lanes, dot, max, sum};
pub use log::log_1p_unit;
pub use normal::normal;
pub use sigmoid::sigmoid;
pub(crate) use softmax::{exp_of_differences, softmax, softmax_backward, sum_of_exp};
pub use tanh::tanh;

use crate::Float;

/// `c_0 + c_1 x + c_2 x² + …` (Estrin, 1960): four terms at a time, then Horner's rule in `x⁴`. A step of Horner's rule
/// waits for the step before; the groups of four wait for nobody.
#[inline(always)]
fn polynomial<F: Float>(x: F, c: &'static [F]) -> F {
    let x2 = x * x;
    polynomial_of((x, x2, x2 * x2), c)
}

/// The same for an `x` whose square and fourth power are known.
#[inline(always)]
fn polynomial_of<F: Float>((x, x2, x4): (F, F, F), c: &'static [F]) -> F {
    let mut first = (c.len() - 1) / 4 * 4;
    let mut sum = four(x, x2, &c[first..]);
    while first >= 4 {
        first -= 4;
        sum = sum.mul_add(x4, four(x, x2, &c[first..]));
    }
    sum
}

/// The first four terms, or all, if there are fewer.
#[inline(always)]
fn four<F: Float>(x: F, x2: F, c: &'static [F]) -> F {
    let two = |i: usize| if i + 1 < c.len() { c[i + 1].mul_add(x, c[i]) } else { c[i] };
    if c.len() > 2 { two(2).mul_add(x2, two(0)) } else { two(0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::wide;

    #[inline(always)]
    fn each<F: Float>(f: &impl Fn(F) -> F, x: &[F], y: &mut [F]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = f(x);
        }
    }

    fn sample<F: Float>() -> Vec<F> {
        let numbers = (-120_000..120_000).map(|i| F::of(f64::from(i) / 1000.0 * (1.0 + f64::from(i % 7))));
        numbers.chain([F::nan(), F::infinity(), F::neg_infinity(), -F::zero()]).collect()
    }

    fn compare<F: Float>(name: &str, f: impl Fn(F) -> F) {
        let x = sample::<F>();
        let [mut plain, mut vector] = [vec![F::zero(); x.len()], vec![F::zero(); x.len()]];
        each(&f, &x, &mut plain);
        wide(
            #[inline(always)]
            || each(&f, &x, &mut vector),
        );
        // Which NaN it is, is left to the compiler.
        for y in plain.iter_mut().chain(&mut vector).filter(|y| y.is_nan()) {
            *y = F::nan();
        }
        let [mut a, mut b] = [Vec::new(), Vec::new()];
        F::append_le_bytes(&plain, &mut a);
        F::append_le_bytes(&vector, &mut b);
        assert!(a == b, "{name} of {}", F::NAME);
    }

    fn same_bits<F: Float>() {
        compare::<F>("exp", exp);
        compare::<F>("exp_m1", exp_m1);
        compare::<F>("tanh", tanh);
        compare::<F>("sigmoid", sigmoid);
        compare::<F>("log_1p_unit", |x| log_1p_unit(exp(-x.abs())));
        compare::<F>("normal", |x| normal(x).0);
        compare::<F>("its density", |x| normal(x).1);
    }

    #[test]
    fn wide_instructions_give_the_same_bits() {
        same_bits::<f32>();
        same_bits::<f64>();
    }
}
