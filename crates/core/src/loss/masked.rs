//! A loss over the positions that count.
//!
//! A loss is a sum of terms, so a part of the positions has a part of the sum: runs of positions that count are given
//! to it one after the other, and it never learns that there was padding between them.

use crate::{Float, Loss, Masking, Rows, RowsMut, Targets, Total};

/// Calls `work` with every longest run `start..end` of positions of the batch that count.
fn for_each_run<F: Float>(masking: Masking, x: Rows<'_, F>, mut work: impl FnMut(usize, usize)) {
    let value = F::of(masking.value);
    let mut start = None;
    let mut count = 0;
    for position in x.data().chunks_exact(masking.width) {
        let is_padding = position.iter().all(|&number| number == value);
        match (is_padding, start) {
            (false, None) => start = Some(count),
            (true, Some(first)) => {
                work(first, count);
                start = None;
            }
            _ => {}
        }
        count += 1;
    }
    if let Some(first) = start {
        work(first, count);
    }
}

/// The sum over the positions that count, and the number of its terms.
pub(super) fn value<F: Float>(
    loss: &dyn Loss<F>,
    masking: Masking,
    x: Rows<'_, F>,
    y: Rows<'_, F>,
    targets: Targets<'_, F>,
) -> Total {
    let count = masking.positions * x.len();
    let width = y.data().len() / count;
    let mut total = Total::NONE;
    for_each_run(masking, x, |start, end| {
        let y = Rows::new(&y.data()[start * width..end * width], width);
        total += Total { sum: loss.value(y, targets.part(count, start, end)), terms: loss.terms(y) };
    });
    total
}

/// The same; writes the gradient of `weight` times the mean, which is zero where there is padding.
pub(super) fn gradient<F: Float>(
    (loss, weight): (&dyn Loss<F>, f64),
    masking: Masking,
    x: Rows<'_, F>,
    y: Rows<'_, F>,
    targets: Targets<'_, F>,
    mut dy: RowsMut<'_, F>,
) -> Total {
    let count = masking.positions * x.len();
    let width = y.data().len() / count;
    let mut terms = 0.0;
    for_each_run(masking, x, |start, end| {
        terms += loss.terms(Rows::new(&y.data()[start * width..end * width], width));
    });
    // A batch of nothing but padding has no terms and no gradient.
    let scale = if terms > 0.0 { F::of(weight / terms) } else { F::zero() };
    dy.data().fill(F::zero());
    let mut sum = 0.0;
    for_each_run(masking, x, |start, end| {
        let range = start * width..end * width;
        let y = Rows::new(&y.data()[range.clone()], width);
        let dy = RowsMut::new(&mut dy.data()[range], width);
        sum += loss.gradient(y, targets.part(count, start, end), scale, dy);
    });
    Total { sum, terms }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::{CrossEntropy, Mse};

    const MASKING: Masking = Masking { positions: 3, width: 1, value: -1.0 };
    /// Two samples of three positions; padding inside the one and at the end of the other.
    const X: [f64; 6] = [1.0, -1.0, 2.0, 3.0, 4.0, -1.0];
    const COUNTED: [usize; 4] = [0, 2, 3, 4];

    #[test]
    fn is_the_loss_of_the_positions_that_count_alone() {
        let y: Vec<f64> = (0..12).map(|i| f64::from(i * i % 7)).collect();
        let t: Vec<f64> = (0..12).map(|i| f64::from(i * 3 % 5)).collect();
        let of =
            |data: &[f64]| COUNTED.iter().flat_map(|&at| data[2 * at..][..2].to_vec()).collect::<Vec<_>>();
        let (y_part, t_part) = (of(&y), of(&t));
        let alone = |scale: f64, dy: &mut [f64]| {
            let (y, t) = (Rows::new(&y_part, 2), Targets::Values(Rows::new(&t_part, 2)));
            Loss::gradient(&Mse, y, t, scale, RowsMut::new(dy, 2))
        };
        let (mut dy, mut expected) = ([f64::NAN; 12], [f64::NAN; 8]);
        let (x, targets) = (Rows::new(&X, 3), Targets::Values(Rows::new(&t, 6)));
        let loss: (&dyn Loss<f64>, f64) = (&Mse, 0.5);
        let total = gradient(loss, MASKING, x, Rows::new(&y, 6), targets, RowsMut::new(&mut dy, 6));
        assert_eq!(total, Total { sum: alone(0.5 / 8.0, &mut expected), terms: 8.0 });
        assert_eq!(total, value(&Mse, MASKING, x, Rows::new(&y, 6), targets));
        assert_eq!(of(&dy), expected);
        for padding in [1, 5] {
            assert_eq!(dy[2 * padding..][..2], [0.0, 0.0]);
        }
    }

    #[test]
    fn a_class_is_compared_at_its_own_position() {
        let y: Vec<f64> = (0..12).map(|i| f64::from(i % 5)).collect();
        // A class of padding is looked at by nobody: there is no class 9.
        let classes = [1, 9, 0, 1, 0, 9];
        let (x, y) = (Rows::new(&X, 3), Rows::new(&y, 6));
        let total = value(&CrossEntropy::new(2), MASKING, x, y, Targets::Classes(&classes));
        let term = |at: usize| {
            let scores = &y.data()[2 * at..][..2];
            (scores[0].exp() + scores[1].exp()).ln() - scores[classes[at] as usize]
        };
        let expected: f64 = COUNTED.iter().map(|&at| term(at)).sum();
        assert!((total.sum - expected).abs() < 1e-14 && total.terms == 4.0, "{total:?} for {expected}");
    }

    #[test]
    fn nothing_but_padding_has_no_terms_and_no_gradient() {
        let (x, y, t, mut dy) = ([-1.0; 3], [1.0; 3], [0.0; 3], [f64::NAN; 3]);
        let targets = Targets::Values(Rows::new(&t, 3));
        let loss: (&dyn Loss<f64>, f64) = (&Mse, 1.0);
        let (x, y) = (Rows::new(&x, 3), Rows::new(&y, 3));
        let total = gradient(loss, MASKING, x, y, targets, RowsMut::new(&mut dy, 3));
        assert_eq!((total, dy), (Total::NONE, [0.0; 3]));
    }

    #[test]
    fn without_padding_it_is_the_loss_of_all() {
        let y: Vec<f64> = (0..24).map(|i| f64::from(i * i % 7)).collect();
        let t: Vec<f64> = (0..24).map(|i| f64::from(i * 3 % 5)).collect();
        let x = [1.0; 12];
        let (mut dy, mut expected) = ([f64::NAN; 24], [f64::NAN; 24]);
        let (x, y, targets) = (Rows::new(&x, 3), Rows::new(&y, 6), Targets::Values(Rows::new(&t, 6)));
        let total = gradient((&Mse, 1.0), MASKING, x, y, targets, RowsMut::new(&mut dy, 6));
        let sum = Loss::gradient(&Mse, y, targets, 1.0 / 24.0, RowsMut::new(&mut expected, 6));
        assert_eq!((total, dy), (Total { sum, terms: 24.0 }, expected));
    }
}
