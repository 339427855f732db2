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
