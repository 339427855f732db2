//! What gradients obey whatever the layer, checked where single differences would take too long.

use super::layer::Point;
use super::{LayerCase, Options, numbers};
use crate::{Error, Layer, initialize};

/// How far `<u, J v>` is from `<J' u, v>`, relative to the larger.
///
/// `J` is the Jacobian of the output by all parameters and all inputs, `u` and `v` are random. The left side is the slope
/// of `<u, y>` along `v`, by extrapolated differences of two forward passes each; the right side is one way back. So
/// one number checks all gradients at once, of a network of any size. Unlike the check of every entry it does not say
/// which is wrong. Near kinks the two differ: it is for smooth networks.
///
/// # Errors
/// [`Error::TooLarge`] if the parameters exceed the address space.
pub fn transpose_identity(layer: &dyn Layer<f64>, case: &LayerCase, options: Options) -> Result<f64, Error> {
    let point = near_start(layer, case, options)?;
    let fixed_input = layer.index_limit().is_some();
    let direction = |len: usize, stream: u64| numbers(len, options.seed, 1000 + stream);
    let theta = direction(point.theta.len(), 0);
    let mut inputs: Vec<Vec<f64>> =
        point.inputs.iter().enumerate().map(|(index, x)| direction(x.len(), 1 + index as u64)).collect();
    if fixed_input {
        // There is no slope along an index.
        inputs[0].fill(0.0);
    }
    // The step is that of the whole direction, whose length grows with the root of its numbers.
    let count = theta.len() + inputs.iter().map(Vec::len).sum::<usize>();
    let h = options.step / (count.max(1) as f64).sqrt();
    let slope = |h: f64| {
        let at = |h: f64| {
            let mut moved = point.rows(0, case.rows);
            moved.theta.iter_mut().zip(&theta).for_each(|(number, v)| *number += h * v);
            for (x, v) in moved.inputs.iter_mut().zip(&inputs) {
                x.iter_mut().zip(v).for_each(|(number, v)| *number += h * v);
            }
            moved.value()
        };
        (at(h) - at(-h)) / (2.0 * h)
    };
    let differences = (4.0 * slope(h / 2.0) - slope(h)) / 3.0;
    let (dtheta, dx) = point.gradients();
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut gradient = product(&dtheta, &theta);
    for (index, (dx, v)) in dx.iter().zip(&inputs).enumerate() {
        if !(fixed_input && index == 0) {
            gradient += product(dx, v);
        }
    }
    Ok(relative(&[gradient], &[differences]))
}

/// A point near the start values, moved a little so that no bias is zero and no gain is one. Numbers as large as the
/// check of single entries takes would make a long recurrent network chaotic: no difference would tell its slopes.
fn near_start<'a>(layer: &'a dyn Layer<f64>, case: &LayerCase, options: Options) -> Result<Point<'a>, Error> {
    let mut point = Point::new(layer, case, options)?;
    let moved = numbers(point.theta.len(), options.seed, 2000);
    initialize(&layer.parameters(), &mut point.theta, options.seed);
    point.theta.iter_mut().zip(moved).for_each(|(number, moved)| *number += 0.05 * moved);
    Ok(point)
}

/// How far the gradients of a batch are from those of its samples alone, put together: sums of the parameters', one
/// after the other of the inputs'. Norm-relative, the largest over all; NaN if a gradient is.
///
/// It holds for every layer that treats samples apart: in evaluation for all of them.
///
/// # Errors
/// [`Error::TooLarge`] if the parameters exceed the address space.
pub fn batch_additivity(layer: &dyn Layer<f64>, case: &LayerCase, options: Options) -> Result<f64, Error> {
    let point = near_start(layer, case, options)?;
    let (dtheta, dx) = point.gradients();
    let mut sum = vec![0.0; dtheta.len()];
    let mut joined: Vec<Vec<f64>> = vec![Vec::new(); dx.len()];
    for row in 0..case.rows {
        let (own, own_dx) = point.rows(row, 1).gradients();
        sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
        joined.iter_mut().zip(own_dx).for_each(|(joined, own)| joined.extend(own));
    }
    let inputs = dx.iter().zip(&joined).map(|(dx, joined)| relative(dx, joined));
    // Not by `f64::max`, which forgets NaN.
    let worse = |worst: f64, error: f64| if error > worst || error.is_nan() { error } else { worst };
    Ok(inputs.fold(relative(&dtheta, &sum), worse))
}

/// The norm of the difference, relative to the larger norm; 0 for two zeros, NaN if a number is.
fn relative(a: &[f64], b: &[f64]) -> f64 {
    let norm =
        |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|number| number * number).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
    if difference == 0.0 {
        return 0.0;
    }
    difference / norm(&mut a.iter().copied()).max(norm(&mut b.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;
    use crate::activation::{Gelu, Tanh};
    use crate::layers::{Chain, Dense};

    #[test]
    fn hold_for_a_network_of_a_hundred_thousand_parameters() {
        let shape = |len| Shape::vector(len).unwrap();
        let first = Dense::new(&shape(200), 300, Box::new(Tanh)).unwrap();
        let second = Dense::new(&shape(300), 150, Box::new(Gelu::exact())).unwrap();
        let links: Vec<(String, Box<dyn Layer<f64>>)> =
            vec![("first".into(), Box::new(first)), ("second".into(), Box::new(second))];
        let network = Chain::new(links).unwrap();
        let case = LayerCase { rows: 5, ..LayerCase::default() };
        for seed in 0..3 {
            let options = Options { seed, ..Options::default() };
            let error = transpose_identity(&network, &case, options).unwrap();
            assert!(error < 1e-7, "{error:e}");
            let error = batch_additivity(&network, &case, options).unwrap();
            assert!(error < 1e-12, "{error:e}");
        }
    }
}
