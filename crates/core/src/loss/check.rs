//! The tests that every pointwise loss shares.

use crate::Pointwise;

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
        }
    }
}
