//! Limits on the gradient before the optimiser sees it.

use chainrule_core::Float;

use super::Group;

/// How many sums of squares run side by side, so that the loop has no chain of additions: the order stays fixed.
const LANES: usize = 8;

/// What the gradient is limited to; nothing by default.
///
/// # Update
/// With the gradient `g` of all parameters that are trained, as PyTorch's `clip_grad_value_` and `clip_grad_norm_`
/// (Pascanu et al., 2013), in this order where both are asked for, so that the norm holds in the end:
/// ```text
/// gᵢ <- max(-value, min(value, gᵢ))
/// g  <- g min(1, norm / (|g| + 1e-6))    |g| = √Σᵢ gᵢ²
/// ```
/// The squares are summed in f64, in an order that depends on nothing but the number of parameters. What is not finite
/// stays so: clipping must not hide that a run diverges.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Clip {
    /// The largest L2 norm, greater than 0.
    pub norm: Option<f64>,
    /// The largest absolute value of a number, greater than 0.
    pub value: Option<f64>,
}

impl Clip {
    /// Limits the parts of the gradient that belong to `groups`.
    ///
    /// # Panics
    /// If a group reaches beyond the gradient.
    pub fn apply<F: Float>(self, groups: &[Group], gradient: &mut [F]) {
        if let Some(value) = self.value {
            let value = F::of(value);
            for group in groups {
                for g in &mut gradient[group.range.clone()] {
                    *g = if g.is_finite() { g.min(value).max(-value) } else { *g };
                }
            }
        }
        let Some(limit) = self.norm else { return };
        let squares: f64 = groups.iter().map(|group| sum_of_squares(&gradient[group.range.clone()])).sum();
        let factor = limit / (squares.sqrt() + 1e-6);
        // Nor is anything done if the norm is not finite.
        if !squares.is_finite() || factor >= 1.0 {
            return;
        }
        let factor = F::of(factor);
        for group in groups {
            gradient[group.range.clone()].iter_mut().for_each(|g| *g *= factor);
        }
    }
}

/// Of numbers in f64, in an order that depends on nothing but how many they are.
pub(super) fn sum_of_squares<F: Float>(numbers: &[F]) -> f64 {
    let square = |number: F| number.as_f64() * number.as_f64();
    let (chunks, rest) = numbers.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for (lane, &number) in lanes.iter_mut().zip(chunk) {
            *lane += square(number);
        }
    }
    lanes.into_iter().sum::<f64>() + rest.iter().map(|&number| square(number)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clipped<const N: usize>(clip: Clip, mut gradient: [f64; N]) -> [f64; N] {
        clip.apply(&[Group::new(0..N)], &mut gradient);
        gradient
    }

    #[test]
    fn shortens_what_is_longer_than_the_norm() {
        let clip = |norm| Clip { norm: Some(norm), value: None };
        assert_eq!(clipped(clip(6.0), [3.0, -4.0]), [3.0, -4.0]);
        let [x, y] = clipped(clip(1.0), [3.0, -4.0]);
        assert!((x - 0.6).abs() < 1e-6 && (y + 0.8).abs() < 1e-6, "{x} {y}");
    }

    #[test]
    fn clips_values_before_the_norm() {
        let clip = Clip { norm: Some(1.0), value: Some(3.0) };
        let [x, y] = clipped(clip, [100.0, 3.0]);
        assert!((x - 0.5f64.sqrt()).abs() < 1e-6 && x == y, "{x} {y}");
    }

    #[test]
    fn leaves_frozen_parameters_out_of_the_norm() {
        let mut gradient = [3.0, 1000.0, 4.0];
        let groups = [Group::new(0..1), Group::new(2..3)];
        Clip { norm: Some(6.0), value: None }.apply(&groups, &mut gradient);
        assert_eq!(gradient, [3.0, 1000.0, 4.0]);
    }

    #[test]
    fn does_not_hide_what_is_not_finite() {
        let clip = Clip { norm: Some(1.0), value: Some(1.0) };
        assert_eq!(clipped(clip, [f64::INFINITY, 0.5]), [f64::INFINITY, 0.5]);
        assert!(clipped(clip, [f64::NAN, 0.5])[0].is_nan());
    }

    #[test]
    fn sums_every_number_once() {
        let numbers: Vec<f32> = (1..=21u8).map(f32::from).collect();
        assert_eq!(sum_of_squares(&numbers), 3311.0);
    }
}
