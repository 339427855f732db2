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
        let (shift, divisor) = (0..width)
            .map(|feature| {
                let column = || rows.iter().skip(feature).step_by(width).copied();
                fit_feature(scale, &column)
            })
            .unzip();
        Self { shift, divisor }
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

fn fit_feature<I: Iterator<Item = f64>>(scale: Scale, column: &dyn Fn() -> I) -> (f64, f64) {
    let count = column().count() as f64;
    let mean = column().sum::<f64>() / count;
    let min = column().fold(f64::INFINITY, f64::min);
    let max = column().fold(f64::NEG_INFINITY, f64::max);
    // A constant feature carries nothing, and whether rounding left it a tiny deviation must not decide its scale.
    let unless_constant = |divisor: f64| if max > min && divisor > 0.0 { divisor } else { 1.0 };
    match scale {
        Scale::Center => (mean, 1.0),
        Scale::Standard => {
            let variance = column().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
            (mean, unless_constant(variance.sqrt()))
        }
        Scale::MinMax => (min, unless_constant(max - min)),
    }
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
