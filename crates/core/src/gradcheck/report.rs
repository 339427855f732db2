//! What a check found, tensor by tensor.

use super::difference::{Slope, slope};
use super::{Options, Tolerance};

/// What is said of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The gradient equals the differences.
    Passed,
    /// It does not.
    Failed,
    /// Gradient and differences are zero everywhere, which proves nothing.
    Zero,
    /// Zero everywhere, as declared, for this reason.
    DeclaredZero(&'static str),
    /// No entry could be checked: every one crosses a kink.
    Unchecked,
}

/// The check of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorReport {
    /// The name of the tensor.
    pub name: String,
    /// How many entries it has.
    pub len: usize,
    /// How many of them were compared.
    pub checked: usize,
    /// How many were left out because a kink lies within the smallest step.
    pub kinks: usize,
    /// The norm of the differences, over the entries compared.
    pub norm: f64,
    /// The norm of what differs, relative to the larger of the two norms.
    pub error: f64,
    /// The relative error that rounding of the differences alone can make.
    pub rounding: f64,
    /// The distance within which no kink lies, for every entry that was compared.
    pub kink_distance: f64,
    /// The entry that differs most: its index, its gradient and its difference.
    pub worst: Option<(usize, f64, f64)>,
    /// What follows.
    pub verdict: Verdict,
}

/// The check of a layer or a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// A row a tensor.
    pub tensors: Vec<TensorReport>,
}

impl Report {
    /// Whether no tensor failed.
    pub fn passed(&self) -> bool {
        !self.tensors.iter().any(|tensor| tensor.verdict == Verdict::Failed)
    }

    /// Whether every tensor was compared and passed, or is zero as declared: what a test asks for.
    pub fn proves(&self) -> bool {
        let proves =
            |tensor: &TensorReport| matches!(tensor.verdict, Verdict::Passed | Verdict::DeclaredZero(_));
        !self.tensors.is_empty() && self.tensors.iter().all(proves)
    }

    /// The share of all entries that was compared, between 0 and 1.
    pub fn coverage(&self) -> f64 {
        let total: usize = self.tensors.iter().map(|tensor| tensor.len).sum();
        let checked: usize = self.tensors.iter().map(|tensor| tensor.checked).sum();
        checked as f64 / total.max(1) as f64
    }
}

/// Compares `gradient` at `entries` with the differences of `f(entry, delta)`.
pub(super) fn compare(
    name: String,
    gradient: &[f64],
    entries: &[usize],
    options: Options,
    zero: Option<&'static str>,
    f: &mut dyn FnMut(usize, f64) -> f64,
) -> TensorReport {
    let mut report = TensorReport {
        name,
        len: gradient.len(),
        checked: 0,
        kinks: 0,
        norm: 0.0,
        error: 0.0,
        rounding: 0.0,
        kink_distance: options.step,
        worst: None,
        verdict: Verdict::Passed,
    };
    let (mut difference, mut own, mut slopes, mut rounded) = (0.0, 0.0, 0.0, 0.0);
    for &entry in entries {
        let Slope::Smooth { slope, rounding, within } = slope(options.step, &mut |delta| f(entry, delta))
        else {
            report.kinks += 1;
            continue;
        };
        let found = gradient[entry];
        report.checked += 1;
        report.kink_distance = report.kink_distance.min(within);
        // A NaN stays in the sums and fails below.
        difference += (found - slope) * (found - slope);
        own += found * found;
        slopes += slope * slope;
        rounded += rounding * rounding;
        // In the order of all numbers NaN comes last: nothing is worse.
        let gap = |(_, found, slope): (usize, f64, f64)| (found - slope).abs();
        let entry = (entry, found, slope);
        if report.worst.is_none_or(|worst| gap(entry).total_cmp(&gap(worst)).is_gt()) {
            report.worst = Some(entry);
        }
    }
    let scale = own.sqrt().max(slopes.sqrt());
    report.norm = slopes.sqrt();
    report.error = if difference == 0.0 { 0.0 } else { difference.sqrt() / scale };
    report.rounding = if rounded == 0.0 { 0.0 } else { rounded.sqrt() / scale.max(f64::MIN_POSITIVE) };
    report.verdict = verdict(&report, own, rounded.sqrt(), options, zero);
    report
}

fn verdict(
    report: &TensorReport,
    own: f64,
    rounding: f64,
    options: Options,
    zero: Option<&'static str>,
) -> Verdict {
    if report.checked == 0 {
        return Verdict::Unchecked;
    }
    let tolerance = match options.tolerance {
        Tolerance::Fixed(tolerance) => tolerance,
        Tolerance::OrRounding(tolerance) => tolerance.max(report.rounding),
    };
    // Differences of a function that does not depend on a number are zero up to rounding.
    let all_zero = own.sqrt() <= rounding && report.norm <= rounding;
    match zero {
        // Checked absolutely: the gradient must vanish to rounding.
        Some(reason) if own.sqrt() <= 1e-12 && report.norm <= rounding.max(1e-9) => {
            Verdict::DeclaredZero(reason)
        }
        Some(_) => Verdict::Failed,
        None if all_zero => Verdict::Zero,
        None if report.error <= tolerance => Verdict::Passed,
        // A NaN compares with nothing and ends here.
        None => Verdict::Failed,
    }
}
