//! `runner gradcheck`: the hand-derived gradients against differences, for the user's own network, loss and data.

use chainrule_core::gradcheck::{
    Options, Report, TensorReport, Tolerance, Verdict, check_objective, samples_crossing,
};
use chainrule_core::{Rows, Targets};
use chainrule_trainer::Dataset;
use serde_json::{Value as Json, json};

use super::print;
use crate::cli::GradcheckArgs;
use crate::console::Console;
use crate::error::Failure;
use crate::experiment::Experiment;
use crate::gradcheck::check_registered;
use crate::registry::Registry;
use crate::session::Session;
use crate::storage::{self, Disk};
use crate::table::Table;
use crate::weights::Weights;

/// The error up to which a user's network passes: his numbers are not chosen for the check.
const TOLERANCE: f64 = 1e-6;

/// Checks the gradients of an experiment or, without one, of every registered type.
///
/// # Errors
/// [`Failure::Gradcheck`] if a gradient is wrong, after the table has been printed.
pub fn run(arguments: &GradcheckArgs, registry: &Registry, console: Console) -> Result<(), Failure> {
    let Some(path) = &arguments.experiment else { return registered(registry, console) };
    let experiment = Experiment::load(path, &arguments.overrides, registry)?;
    // In f64 whatever the file says: single precision cannot tell a small error from rounding.
    let session = Session::<f64>::new(&experiment, registry, None)?;
    let Weights { theta, .. } = session.start(&experiment)?;
    let options = Options {
        tolerance: Tolerance::OrRounding(TOLERANCE),
        entries: arguments.entries,
        seed: experiment.seed,
        ..Options::default()
    };
    let samples = Samples::choose(&session, &theta, arguments.samples, options)?;
    let (inputs, targets) = samples.views();
    let report = check_objective(&session.objective, &theta, inputs, targets, options).map_err(training)?;
    if let Some(path) = &arguments.json {
        write_json(path, &report, &samples)?;
    }
    print(console, &render(&report, &samples))?;
    if report.passed() { Ok(()) } else { Err(Failure::Gradcheck) }
}

fn training(error: chainrule_core::Error) -> Failure {
    Failure::Training(error.into())
}

/// The samples of a check: as many of the first as asked for, without those that cross a kink.
struct Samples {
    data: Dataset<f64>,
    crossing: usize,
}

impl Samples {
    fn choose(
        session: &Session<f64>,
        theta: &[f64],
        count: usize,
        options: Options,
    ) -> Result<Self, Failure> {
        let train = &session.train;
        let count = count.min(train.len());
        let singles: Vec<(Rows<'_, f64>, Targets<'_, f64>)> =
            (0..count).map(|index| train.batch(index..index + 1)).collect();
        let crossing = samples_crossing(&session.objective, theta, &singles, options).map_err(training)?;
        let all = (0..).take(count);
        let mut kept: Vec<u32> =
            all.clone().zip(&crossing).filter(|(_, crosses)| !**crosses).map(|(index, _)| index).collect();
        let crossing = crossing.iter().filter(|crosses| **crosses).count();
        if kept.is_empty() {
            // All cross: they are checked as they are, and their entries at kinks are left out one by one.
            kept = all.collect();
        }
        Ok(Self { data: train.select(&kept)?, crossing })
    }

    fn views(&self) -> (Rows<'_, f64>, Targets<'_, f64>) {
        self.data.batch(0..self.data.len())
    }

    /// What was checked, in words.
    fn describe(&self) -> String {
        let count = self.data.len();
        match self.crossing {
            0 => format!("{count} sample(s), none crosses a kink"),
            crossing if crossing == count => {
                format!("{count} sample(s), all of which cross a kink somewhere")
            }
            crossing => format!("{count} sample(s); {crossing} more cross a kink and are left out"),
        }
    }
}

fn verdict(tensor: &TensorReport) -> &'static str {
    match tensor.verdict {
        Verdict::Passed => "ok",
        Verdict::Failed => "WRONG",
        Verdict::Zero => "all zero",
        Verdict::DeclaredZero(_) => "zero, as it must be",
        Verdict::Unchecked => "at kinks only",
    }
}

fn render(report: &Report, samples: &Samples) -> String {
    let mut table = Table::new(&[
        "gradient by",
        "entries",
        "checked",
        "at kinks",
        "error",
        "rounding",
        "smooth within",
        "",
    ]);
    for tensor in &report.tensors {
        table.row([
            &tensor.name,
            &tensor.len.to_string(),
            &tensor.checked.to_string(),
            &tensor.kinks.to_string(),
            &format!("{:.1e}", tensor.error),
            &format!("{:.1e}", tensor.rounding),
            &format!("{:.0e}", tensor.kink_distance),
            verdict(tensor),
        ]);
    }
    let mut text = format!("{}\n{}", samples.describe(), table.render());
    for tensor in &report.tensors {
        if let (Verdict::Failed, Some((entry, gradient, slope))) = (&tensor.verdict, tensor.worst) {
            let name = &tensor.name;
            text += &format!(
                "\n{name}: entry {entry} is {gradient:e} by the backward pass, {slope:e} by differences"
            );
        }
        if tensor.verdict == Verdict::Zero {
            text += &format!(
                "\n{}: gradient and differences are zero everywhere, which proves nothing; other start weights may",
                tensor.name
            );
        }
    }
    let share = 100.0 * report.coverage();
    let result = if report.passed() { "no gradient is wrong" } else { "a gradient is wrong" };
    format!(
        "{text}\n{share:.1} % of all entries checked, in f64, to an error of 1e-6 or what rounding allows: {result}"
    )
}

fn write_json(path: &std::path::Path, report: &Report, samples: &Samples) -> Result<(), Failure> {
    let tensor = |tensor: &TensorReport| {
        let worst = tensor.worst.map(|(entry, gradient, difference)| {
            json!({ "entry": entry, "gradient": gradient, "difference": difference })
        });
        json!({
            "name": tensor.name,
            "entries": tensor.len,
            "checked": tensor.checked,
            "kinks": tensor.kinks,
            "kink_distance": tensor.kink_distance,
            "norm": tensor.norm,
            "error": tensor.error,
            "rounding": tensor.rounding,
            "worst": worst,
            "verdict": match tensor.verdict {
                Verdict::Passed => "passed",
                Verdict::Failed => "failed",
                Verdict::Zero => "zero",
                Verdict::DeclaredZero(_) => "declared_zero",
                Verdict::Unchecked => "unchecked",
            },
        })
    };
    let report = json!({
        "passed": report.passed(),
        "coverage": report.coverage(),
        "samples": samples.data.len(),
        "samples_at_kinks": samples.crossing,
        "tensors": report.tensors.iter().map(tensor).collect::<Vec<Json>>(),
    });
    let text = format!("{report:#}\n");
    storage::write_atomically(&Disk, path, text.as_bytes())
}

/// Every registered type: a row each.
fn registered(registry: &Registry, console: Console) -> Result<(), Failure> {
    let checks = check_registered(registry).map_err(|error| Failure::Usage {
        message: error.to_string(),
        help: "mend the type's `examples`".into(),
    })?;
    let mut table = Table::new(&["kind", "type", "checks", "largest error", ""]);
    let mut rows: Vec<(&str, &str, usize, f64, bool)> = Vec::new();
    for check in &checks {
        let error = check.report.tensors.iter().map(|tensor| tensor.error).fold(0.0, f64::max);
        let proves = check.report.proves();
        match rows.iter_mut().find(|row| (row.0, row.1) == (check.kind, check.name)) {
            Some(row) => *row = (row.0, row.1, row.2 + 1, row.3.max(error), row.4 && proves),
            None => rows.push((check.kind, check.name, 1, error, proves)),
        }
    }
    for (kind, name, count, error, proves) in &rows {
        let verdict = if *proves { "ok" } else { "WRONG" };
        table.row([kind, name, &count.to_string(), &format!("{error:.1e}"), verdict]);
    }
    print(console, &table.render())?;
    for check in checks.iter().filter(|check| !check.report.proves()) {
        for tensor in check.report.tensors.iter().filter(|tensor| !matches!(tensor.verdict, Verdict::Passed))
        {
            let (kind, name, setting) = (check.kind, check.name, &check.setting);
            console.error(&format!(
                "{kind} {name} {setting}: {} {}: {:.1e}",
                tensor.name,
                verdict(tensor),
                tensor.error
            ));
        }
    }
    if rows.iter().all(|row| row.4) { Ok(()) } else { Err(Failure::Gradcheck) }
}
