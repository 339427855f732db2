//! Metrics of how far numbers are off.

use chainrule_core::{Float, Rows};

use super::{Metric, Score};

/// Sums over samples, one of each output.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sums {
    squares: Vec<f64>,
    absolute: Vec<f64>,
}

impl Sums {
    /// The sums over no sample.
    pub(super) fn new(width: usize) -> Self {
        Self { squares: vec![0.0; width], absolute: vec![0.0; width] }
    }

    /// Adds the samples of a batch.
    pub(super) fn add<F: Float>(&mut self, y: Rows<'_, F>, targets: Rows<'_, F>) {
        for (y, t) in y.iter().zip(targets.iter()) {
            for (output, (y, t)) in y.iter().zip(t).enumerate() {
                let error = y.as_f64() - t.as_f64();
                self.squares[output] += error * error;
                self.absolute[output] += error.abs();
            }
        }
    }

    /// Adds the sums of other samples.
    pub(super) fn append(&mut self, other: &Self) {
        let add = |own: &mut [f64], other: &[f64]| {
            own.iter_mut().zip(other).for_each(|(own, other)| *own += other);
        };
        add(&mut self.squares, &other.squares);
        add(&mut self.absolute, &other.absolute);
    }

    /// The value of a metric of numbers over all samples, whose targets are `targets`; none of one that counts.
    pub(super) fn score<F: Float>(&self, metric: Metric, targets: Rows<'_, F>) -> Option<Score> {
        let samples = targets.len() as f64;
        let number = match metric {
            Metric::Rmse => mean(self.squares.iter().map(|squares| (squares / samples).sqrt())),
            Metric::Mae => mean(self.absolute.iter().map(|absolute| absolute / samples)),
            Metric::R2 if targets.len() < 2 => f64::NAN,
            Metric::R2 => {
                mean(self.squares.iter().zip(spread(targets)).map(|(&squares, spread)| match spread {
                    0.0 => f64::from(u8::from(squares == 0.0)),
                    _ => 1.0 - squares / spread,
                }))
            }
            _ => return None,
        };
        Some(Score::Number(number))
    }
}

/// The sum of the squared distances from their mean, of the targets of each output. In two passes: the difference of
/// two sums of squares would lose what matters.
fn spread<F: Float>(targets: Rows<'_, F>) -> Vec<f64> {
    let samples = targets.len() as f64;
    let mut means = vec![0.0; targets.width()];
    for row in targets.iter() {
        means.iter_mut().zip(row).for_each(|(mean, t)| *mean += t.as_f64() / samples);
    }
    let mut sums = vec![0.0; targets.width()];
    for row in targets.iter() {
        for ((sum, mean), t) in sums.iter_mut().zip(&means).zip(row) {
            *sum += (t.as_f64() - mean) * (t.as_f64() - mean);
        }
    }
    // Equal targets have no spread, whatever rounding says of their mean.
    for (output, sum) in sums.iter_mut().enumerate() {
        let first = targets.data()[output];
        if targets.iter().all(|row| row[output] == first) {
            *sum = 0.0;
        }
    }
    sums
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(metric: Metric, y: &[f64], targets: &[f64]) -> f64 {
        let (y, targets) = (Rows::new(y, 1), Rows::new(targets, 1));
        let mut sums = Sums::new(1);
        sums.add(y, targets);
        match sums.score(metric, targets) {
            Some(Score::Number(number)) => number,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn are_the_textbook_formulas() {
        let (y, t) = ([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0]);
        assert_eq!(score(Metric::Mae, &y, &t), 0.5);
        assert_eq!(score(Metric::Rmse, &y, &t), (1.5f64 / 4.0).sqrt());
        assert!((score(Metric::R2, &y, &t) - 0.948_608_137_044_967_9).abs() < 1e-15);
    }

    #[test]
    fn equal_targets_are_met_or_not() {
        assert_eq!(score(Metric::R2, &[0.1, 0.1, 0.1], &[0.1, 0.1, 0.1]), 1.0);
        assert_eq!(score(Metric::R2, &[0.1, 0.1, 0.2], &[0.1, 0.1, 0.1]), 0.0);
        assert!(score(Metric::R2, &[0.1], &[0.1]).is_nan());
    }
}
