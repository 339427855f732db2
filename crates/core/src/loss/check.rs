//! The tests that every pointwise loss shares.

use crate::{Loss, Pointwise, Rows, RowsMut, Targets};

/// The derivative equals the central difference for every pair of an output and a target, kinks excepted by choice of
/// the pairs.
pub(crate) fn derivative<P: Pointwise>(loss: &P, outputs: &[f64], targets: &[f64]) {
    for &y in outputs {
        for &t in targets {
            let h = 1e-6;
            let slope = (loss.value(y + h, t) - loss.value(y - h, t)) / (2.0 * h);
            let given = loss.derivative(y, t);
            assert!(
                (given - slope).abs() <= 1e-8 * (1.0 + slope.abs()),
                "{loss:?} at {y}, {t}: {given}, {slope}"
            );
            one_has_the_bits_of_many(loss, y, t);
        }
    }
}

/// What a loss makes of one output is to the bit what it makes of many.
pub(crate) fn one_has_the_bits_of_many<P: Pointwise>(loss: &P, y: f64, t: f64) {
    let (scale, mut dy) = (0.3, [f64::NAN]);
    let targets = Targets::Values(Rows::one(std::slice::from_ref(&t)));
    let sum = loss.gradient(Rows::one(&[y]), targets, scale, RowsMut::one(&mut dy));
    let (one_sum, one_dy) = loss.gradient_of_one(y, t, scale);
    assert_eq!(dy[0].to_bits(), (scale * loss.derivative(y, t)).to_bits(), "{loss:?} at {y}, {t}");
    assert_eq!([sum, dy[0]].map(f64::to_bits), [one_sum, one_dy].map(f64::to_bits), "{loss:?} at {y}, {t}");
}
