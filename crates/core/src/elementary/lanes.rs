//! Sums and maxima of which several run side by side, in an order that the length alone decides.

use crate::Float;

/// How many run side by side.
pub(crate) const LANES: usize = 8;

/// Partial results, to which slices are joined one after the other. All slices but the last must be whole multiples of
/// [`LANES`] for the order to be that of one slice.
#[derive(Clone, Copy)]
pub(crate) struct Lanes<F> {
    lanes: [F; LANES],
    start: F,
}

impl<F: Float> Lanes<F> {
    /// Lanes that all begin with `start`.
    #[inline(always)]
    pub(crate) fn new(start: F) -> Self {
        Self { lanes: [start; LANES], start }
    }

    /// Joins `values` to the lanes, in turn.
    #[inline(always)]
    pub(crate) fn join(&mut self, values: &[F], join: impl Fn(F, F) -> F) {
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, &value) in self.lanes.iter_mut().zip(chunk) {
                *lane = join(*lane, value);
            }
        }
        for (lane, &value) in self.lanes.iter_mut().zip(rest) {
            *lane = join(*lane, value);
        }
    }

    /// Joins the lanes.
    #[inline(always)]
    pub(crate) fn total(self, join: impl Fn(F, F) -> F) -> F {
        self.lanes.into_iter().fold(self.start, join)
    }
}

/// The sum.
#[inline(always)]
pub(crate) fn sum<F: Float>(values: &[F]) -> F {
    let mut lanes = Lanes::new(F::zero());
    lanes.join(values, |a, b| a + b);
    lanes.total(|a, b| a + b)
}

/// The sum of products.
#[inline(always)]
pub(crate) fn dot<F: Float>(a: &[F], b: &[F]) -> F {
    let mut lanes = [F::zero(); LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    for ((lane, &a), &b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane += a * b;
    }
    lanes.into_iter().fold(F::zero(), |a, b| a + b)
}

/// The largest number; with NaN among them, some number or NaN.
#[inline(always)]
pub(crate) fn max<F: Float>(values: &[F]) -> F {
    let larger = |a, b| if a > b { a } else { b };
    let mut lanes = Lanes::new(F::neg_infinity());
    lanes.join(values, larger);
    lanes.total(larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_and_maximum_see_every_number() {
        for len in 0..40 {
            let values: Vec<f64> = (1..=len).map(f64::from).collect();
            assert_eq!(sum(&values), f64::from(len * (len + 1) / 2));
            assert_eq!(dot(&values, &values), f64::from(len * (len + 1) * (2 * len + 1) / 6));
            assert_eq!(max(&values), if len == 0 { f64::NEG_INFINITY } else { f64::from(len) });
        }
    }

    #[test]
    fn pieces_add_up_as_the_whole_does() {
        let values: Vec<f32> = (0..77).map(|i| 1.0 / (1.0 + i as f32)).collect();
        let mut lanes = Lanes::new(0.0);
        for piece in values.chunks(2 * LANES) {
            lanes.join(piece, |a, b| a + b);
        }
        assert_eq!(lanes.total(|a, b| a + b).to_bits(), sum(&values).to_bits());
    }
}
