//! `runner check`: everything that `train` or `sweep` does before the first step.

use super::{print, print_data};
use crate::cli::CheckArgs;
use crate::console::Console;
use crate::document;
use crate::error::Failure;
use crate::experiment::{Experiment, Schemas};
use crate::registry::{Number, Registry};
use crate::session::Session;
use crate::spec::Dtype;
use crate::sweep::{Checked, Experiments, trials};

/// Checks an experiment and its data; of a sweep, every trial.
///
/// # Errors
/// As `train`'s or `sweep`'s before it starts.
pub fn run(arguments: &CheckArgs, registry: &Registry, console: Console) -> Result<(), Failure> {
    let path = &arguments.experiment.experiment;
    let schemas = Schemas::new(registry);
    let loaded = document::load(path, &arguments.experiment.overrides)?;
    let of_sweep = loaded.root.at(&["sweep"]).map(|_| loaded.clone());
    let experiment = Experiment::of_loaded(loaded, path, &schemas, registry)?;
    let verdict = match (of_sweep, &experiment.sweep, experiment.dtype) {
        (Some(loaded), Some(sweep), _) => {
            let all = trials(sweep, experiment.seed);
            let experiments = Experiments::new(loaded, (&experiment, sweep), path, &schemas, registry);
            of_trials(all.len(), &experiments.check(&all)?)
        }
        (_, _, Dtype::F32) => check::<f32>(&experiment, registry)?,
        (_, _, Dtype::F64) => check::<f64>(&experiment, registry)?,
    };
    if arguments.resolved {
        return print_data(console, experiment.resolved_toml().trim_end());
    }
    print(console, &format!("{}: {verdict}", path.display()))
}

fn check<F: Number>(experiment: &Experiment, registry: &Registry) -> Result<String, Failure> {
    let session = Session::<F>::new(experiment, registry, None)?;
    // Start weights are read here too: what `train` would refuse, `check` refuses.
    session.start(experiment)?;
    let mut verdict =
        format!("ok, {} parameters, {} training samples", session.parameter_count, session.train.len());
    for (name, part) in session.parts().skip(1) {
        verdict += &format!(", {} {name}", part.len());
    }
    Ok(verdict)
}

fn of_trials(count: usize, checked: &Checked) -> String {
    let (parameters, samples) = checked.sizes;
    format!("ok, {count} trials; the first has {parameters} parameters, {samples} training samples")
}
