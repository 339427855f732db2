//! Up to a high rate and down again, once.

use super::{Schedule, cosine, line};

/// The curve between two rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anneal {
    /// Half a cosine wave.
    #[default]
    Cosine,
    /// A straight line.
    Linear,
}

/// Rises to the highest rate, then falls far below the first (Smith & Topin, 2018).
///
/// # Formula
/// Over `n` steps with the highest rate `η`, the share `ρ` of rising, and `s` the first, `e` the last rate as shares of `η`:
/// ```text
/// η(t) = curve from η s to η     t from 0 to ρ n - 1
/// η(t) = curve from η to η e     t from ρ n - 1 to n - 1, then η e
/// ```
/// PyTorch's `OneCycleLR` of two phases, with its defaults `ρ = 0.3`, `s = 1/25`, `e = s/10000` and a cosine. The momentum
/// stays as it is, where PyTorch's goes against the rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneCycle {
    highest: f64,
    length: u64,
    rise: f64,
    start_factor: f64,
    final_factor: f64,
    anneal: Anneal,
}

impl OneCycle {
    /// Up to `highest` and down again in `length` steps, at least 1.
    pub fn new(highest: f64, length: u64) -> Self {
        let (start_factor, final_factor) = (0.04, 4e-6);
        Self { highest, length: length.max(1), rise: 0.3, start_factor, final_factor, anneal: Anneal::Cosine }
    }

    /// With another share of rising, between 0 and 1.
    pub fn with_rise(self, rise: f64) -> Self {
        Self { rise, ..self }
    }

    /// With another first and last rate, as shares of the highest.
    pub fn with_factors(self, start_factor: f64, final_factor: f64) -> Self {
        Self { start_factor, final_factor, ..self }
    }

    /// Along another curve.
    pub fn with_anneal(self, anneal: Anneal) -> Self {
        Self { anneal, ..self }
    }
}

impl Schedule for OneCycle {
    fn rate(&self, step: u64) -> f64 {
        let curve = match self.anneal {
            Anneal::Cosine => cosine,
            Anneal::Linear => line,
        };
        let (step, last) = (step as f64, (self.length - 1) as f64);
        let top = (self.rise * self.length as f64 - 1.0).clamp(0.0, last);
        if step < top {
            curve(self.highest * self.start_factor, self.highest, step / top)
        } else {
            let progress = if top < last { ((step - top) / (last - top)).min(1.0) } else { 1.0 };
            // At the top itself, even if it is the last step.
            let progress = if step == top { 0.0 } else { progress };
            curve(self.highest, self.highest * self.final_factor, progress)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::assert_rates;
    use super::*;

    #[test]
    fn rises_falls_and_stays() {
        let cycle = OneCycle::new(1.0, 6).with_rise(0.5).with_factors(0.5, 0.1);
        assert_rates(&cycle.with_anneal(Anneal::Linear), &[0.5, 0.75, 1.0, 0.7, 0.4, 0.1, 0.1]);
        assert_rates(&cycle, &[0.5, 0.75, 1.0]);
    }
}
