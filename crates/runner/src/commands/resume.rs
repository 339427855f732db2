//! `runner resume`: a run that was interrupted, from its newest checkpoint on.

use serde_json::json;

use super::{of_run, print};
use crate::cli::ResumeArgs;
use crate::console::Console;
use crate::error::Failure;
use crate::experiment::Experiment;
use crate::progress::Style;
use crate::registry::Registry;
use crate::resume::{self, Resumed};
use crate::run_dir::{CONFIG, RunDir};
use crate::signals::Interrupt;
use crate::spec::Dtype;
use crate::storage::Disk;
use crate::training::Context;

/// Goes on with a run. What comes out is what would have come out without the interruption.
///
/// # Errors
/// [`Failure::Run`] if the directory is not a run, none of its checkpoints is whole, or experiment and data are not those
/// that they belong to; else as `train`.
pub fn run(arguments: &ResumeArgs, registry: &Registry, console: Console) -> Result<(), Failure> {
    let run = RunDir::open(&arguments.run)?;
    let config = run.file(CONFIG);
    let loaded = Experiment::load(&config, &arguments.overrides, registry);
    // A mistake is in the file of the run, if the command line adds nothing to it.
    let whose = |failure| if arguments.overrides.is_empty() { of_run(failure, &config) } else { failure };
    let experiment = loaded.map_err(whose)?;
    let interrupt = Interrupt::listen().map_err(Failure::io("listen to", "signals"))?;
    let context = Context {
        registry,
        arguments: &arguments.training,
        interrupt: &interrupt,
        console,
        system: &Disk,
        pause_after: None,
    };
    let resumed = match experiment.dtype {
        Dtype::F32 => resume::resume::<f32>(context, &experiment, &run, &arguments.allow),
        Dtype::F64 => resume::resume::<f64>(context, &experiment, &run, &arguments.allow),
    };
    match resumed.map_err(whose)? {
        Resumed::Done if arguments.training.progress == Style::Json => {
            let run = run.path().display().to_string();
            console.event(&json!({ "event": "finished_already", "run": run }));
        }
        Resumed::Done => console.note(&format!("{} has finished already", run.path().display())),
        Resumed::Reached(reached) => {
            reached.predictions.map_or(Ok(()), |table| print(console, &table))?;
        }
    }
    Ok(())
}
