//! A network with its loss, on samples of its own data.

use std::cell::RefCell;

use super::difference::{Slope, slope};
use super::report::compare;
use super::{Options, Report, chosen};
use crate::{Ctx, Draw, Error, Inline, Objective, Rows, RowsMut, Targets, Workspace};

/// Checks the gradient of the mean loss of a batch by every parameter tensor and by the input.
///
/// # Errors
/// [`Error::TooLarge`] if the memory for the batch cannot be had.
pub fn check_objective(
    objective: &Objective<f64>,
    theta: &[f64],
    inputs: Rows<'_, f64>,
    targets: Targets<'_, f64>,
    options: Options,
) -> Result<Report, Error> {
    let workspace = RefCell::new(poisoned(objective, inputs.len())?);
    let mut dtheta = vec![f64::NAN; theta.len()];
    let mut dx = vec![f64::NAN; inputs.data().len()];
    let asked = &mut [Some(RowsMut::new(&mut dx, inputs.width()))];
    let buffers = RefCell::new(objective.start_buffers());
    {
        let (workspace, mut buffers) = (&mut workspace.borrow_mut(), buffers.borrow_mut());
        let ctx = &mut training(&mut buffers);
        objective.gradient(theta, &[inputs], targets, &mut dtheta, asked, workspace, ctx);
    }

    let value = |theta: &[f64], x: &[f64]| {
        let x = Rows::new(x, inputs.width());
        objective
            .value(
                theta,
                &[x],
                targets,
                &mut workspace.borrow_mut(),
                &mut training(&mut buffers.borrow_mut()),
            )
            .mean()
    };
    let mut report = Report::default();
    let mut moved = theta.to_vec();
    let mut start = 0;
    for parameter in objective.parameters() {
        let own = start..start + parameter.shape.len();
        let entries = chosen(own.len(), options.entries, options.seed, start as u64);
        let mut f = |entry: usize, delta: f64| {
            let before = std::mem::replace(&mut moved[start + entry], theta[start + entry] + delta);
            let value = value(&moved, inputs.data());
            moved[start + entry] = before;
            value
        };
        report.tensors.push(compare(parameter.name, &dtheta[own.clone()], &entries, options, None, &mut f));
        start = own.end;
    }
    // There is no slope along an index.
    let indices = objective.network().index_ranges();
    let is_index = |entry: usize| indices.iter().any(|(range, _)| range.contains(&(entry % inputs.width())));
    let mut x = inputs.data().to_vec();
    let mut entries = chosen(x.len(), options.entries, options.seed, u64::MAX);
    entries.retain(|&entry| !is_index(entry));
    if entries.is_empty() {
        return Ok(report);
    }
    let mut f = |entry: usize, delta: f64| {
        let before = std::mem::replace(&mut x[entry], inputs.data()[entry] + delta);
        let value = value(theta, &x);
        x[entry] = before;
        value
    };
    report.tensors.push(compare("x".into(), &dx, &entries, options, None, &mut f));
    Ok(report)
}

/// Which of the samples of a batch cross a kink when one of the parameters is moved by the step of the check. Their
/// gradient is a matter of definition there, so a check leaves them out.
///
/// # Errors
/// [`Error::TooLarge`] if the memory for a sample cannot be had.
pub fn samples_crossing(
    objective: &Objective<f64>,
    theta: &[f64],
    samples: &[(Rows<'_, f64>, Targets<'_, f64>)],
    options: Options,
) -> Result<Vec<bool>, Error> {
    let mut workspace = Workspace::new(objective.network(), 1)?;
    let buffers = objective.start_buffers();
    let mut moved = theta.to_vec();
    let mut starts = Vec::new();
    let mut start = 0;
    for parameter in objective.parameters() {
        let len = parameter.shape.len();
        starts.extend(
            chosen(len, options.entries, options.seed, start as u64).into_iter().map(|entry| start + entry),
        );
        start += len;
    }
    let crosses = |&(inputs, targets): &(Rows<'_, f64>, Targets<'_, f64>)| {
        starts.iter().any(|&entry| {
            let mut f = |delta: f64| {
                let before = std::mem::replace(&mut moved[entry], theta[entry] + delta);
                let ctx = &mut Ctx::evaluate(&Inline, &buffers);
                let value = objective.value(&moved, &[inputs], targets, &mut workspace, ctx).mean();
                moved[entry] = before;
                value
            };
            slope(options.step, &mut f) == Slope::Kink
        })
    };
    Ok(samples.iter().map(crosses).collect())
}

/// Networks are checked as they train, with the same noise in every evaluation. Running statistics follow, which
/// nothing reads in training.
fn training(buffers: &mut [f64]) -> Ctx<'_, f64> {
    Ctx::train(&Inline, buffers, Draw::new(0, 0))
}

/// A workspace in which nothing can be read before it is written.
fn poisoned(objective: &Objective<f64>, rows: usize) -> Result<Workspace<f64>, Error> {
    let mut workspace = Workspace::new(objective.network(), rows)?;
    workspace.fill(f64::NAN);
    Ok(workspace)
}
