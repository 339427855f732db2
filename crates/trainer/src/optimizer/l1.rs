//! The L1 norm of the parameters as part of what is minimised.

use chainrule_core::Float;
use chainrule_core::simd::wide;

use super::{Group, sign};

/// Adds the gradient of `λ |θ|₁` to that of the loss, for the parameters that decay.
///
/// # Update
/// With the gradient `g` of the mean loss of the batch, after it is limited (Tibshirani, 1996: the lasso):
/// ```text
/// g <- g + λ sign θ                  sign 0 = 0
/// ```
/// Unlike an L2 norm's, this pull is as strong on small numbers as on large ones, so what the loss does not need comes
/// down to about zero. A step may lead past zero and back: numbers end within a step's length of it.
///
/// # Panics
/// If a group reaches beyond `theta` or `gradient`.
pub fn l1<F: Float>(lambda: f64, groups: &[Group], theta: &[F], gradient: &mut [F]) {
    if lambda == 0.0 {
        return;
    }
    let lambda = F::of(lambda);
    for group in groups.iter().filter(|group| group.decays) {
        let numbers = gradient[group.range.clone()].iter_mut().zip(&theta[group.range.clone()]);
        wide(
            #[inline(always)]
            || numbers.for_each(|(g, &theta)| *g += lambda * sign(theta)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pulls_towards_zero_whatever_the_size() {
        let theta = [3.0, -1e-9, 0.0, 5.0, 5.0];
        let mut gradient = [1.0; 5];
        let groups = [Group::new(0..3), Group { decays: false, ..Group::new(3..4) }];
        l1(0.5, &groups, &theta, &mut gradient);
        assert_eq!(gradient, [1.5, 0.5, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn is_the_slope_of_the_norm() {
        let norm = |theta: [f64; 2]| 0.3 * (theta[0].abs() + theta[1].abs());
        let (theta, mut gradient, h) = ([0.7, -0.2], [0.0; 2], 1e-6);
        l1(0.3, &[Group::new(0..2)], &theta, &mut gradient);
        let slope = (norm([0.7 + h, -0.2]) - norm([0.7 - h, -0.2])) / (2.0 * h);
        assert!((gradient[0] - slope).abs() < 1e-9 && gradient[1] == -0.3, "{gradient:?}");
    }
}
