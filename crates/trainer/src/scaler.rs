//! Preprocessing of inputs, fitted on the training split and stored with the model.

/// How inputs are scaled, feature by feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scale {
    /// `x - mean`.
    Center,
    /// `(x - mean) / standard deviation`, the biased one.
    Standard,
    /// `(x - min) / (max - min)`.
    MinMax,
}

/// A fitted scaling, `(x - shift) / divisor` for every feature, in f64 whatever the network computes in.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaler {
    /// What is subtracted from each feature.
    pub shift: Vec<f64>,
    /// What each feature is then divided by; 1 where the feature is constant.
    pub divisor: Vec<f64>,
}

impl Scaler {
    /// Fits `scale` to `rows` of `width` numbers each, of which there is at least one.
    pub fn fit(scale: Scale, rows: &[f64], width: usize) -> Self {
        Self::fit_rows(scale, width, |visit| rows.chunks_exact(width).for_each(visit))
    }

    /// The same for rows that need not lie in memory as numbers of this type: `for_each_row` shows
    /// all of them, in the same order whenever it is called.
    pub fn fit_rows(scale: Scale, width: usize, for_each_row: impl Fn(&mut dyn FnMut(&[f64]))) -> Self {
        let mut count = 0.0;
        let mut mean = vec![0.0; width];
        let (mut min, mut max) = (vec![f64::INFINITY; width], vec![f64::NEG_INFINITY; width]);
        for_each_row(&mut |row| {
            count += 1.0;
            for (feature, &x) in row.iter().enumerate() {
                mean[feature] += x;
                min[feature] = min[feature].min(x);
                max[feature] = max[feature].max(x);
            }
        });
        mean.iter_mut().for_each(|sum| *sum /= count);
        // A constant feature carries nothing, and whether rounding left it a tiny deviation must not decide its scale.
        let unless_constant = |feature: usize, divisor: f64| {
            if max[feature] > min[feature] && divisor > 0.0 { divisor } else { 1.0 }
        };
        match scale {
            Scale::Center => Self { shift: mean, divisor: vec![1.0; width] },
            Scale::Standard => {
                let squares = sums_of_squares(&mean, &for_each_row).into_iter().enumerate();
                let divisor =
                    squares.map(|(feature, sum)| unless_constant(feature, (sum / count).sqrt())).collect();
                Self { shift: mean, divisor }
            }
            Scale::MinMax => {
                let divisor = (0..width).map(|feature| unless_constant(feature, max[feature] - min[feature]));
                Self { divisor: divisor.collect(), shift: min }
            }
        }
    }

    /// Scales `rows` in place; their width is that of the fitted rows.
    pub fn apply(&self, rows: &mut [f64]) {
        for row in rows.chunks_exact_mut(self.shift.len()) {
            for ((x, shift), divisor) in row.iter_mut().zip(&self.shift).zip(&self.divisor) {
                *x = (*x - shift) / divisor;
            }
        }
    }
}

/// `Σ (x - mean)²` of every feature: a second pass, since a difference of two large sums would lose digits.
fn sums_of_squares(mean: &[f64], for_each_row: &impl Fn(&mut dyn FnMut(&[f64]))) -> Vec<f64> {
    let mut sums = vec![0.0; mean.len()];
    for_each_row(&mut |row| {
        for ((sum, &x), mean) in sums.iter_mut().zip(row).zip(mean) {
            *sum += (x - mean) * (x - mean);
        }
    });
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [f64; 8] = [54.0, 168.0, 65.0, 185.0, 62.0, 179.0, 47.0, 152.0];

    fn scaled(scale: Scale, rows: &[f64]) -> Vec<f64> {
        let mut scaled = rows.to_vec();
        Scaler::fit(scale, rows, 2).apply(&mut scaled);
        scaled
    }

    #[test]
    fn centers_as_the_notebook_does_by_hand() {
        assert_eq!(scaled(Scale::Center, &ROWS), [-3.0, -3.0, 8.0, 14.0, 5.0, 8.0, -10.0, -19.0]);
    }

    #[test]
    fn standardises_and_leaves_a_constant_feature_alone() {
        assert_eq!(scaled(Scale::Standard, &[1.0, 0.1, 3.0, 0.1]), [-1.0, 0.0, 1.0, 0.0]);
        assert_eq!(scaled(Scale::MinMax, &[1.0, 5.0, 3.0, 5.0]), [0.0, 0.0, 1.0, 0.0]);
    }
}
