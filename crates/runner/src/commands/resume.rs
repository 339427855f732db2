//! `runner resume`: a run that was interrupted, from its newest checkpoint on.

use super::{of_run, print};
use crate::cli::ResumeArgs;
use crate::console::Console;
use crate::error::Failure;
use crate::experiment::Experiment;
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
    let experiment = match arguments.overrides.is_empty() {
        true => loaded.map_err(|failure| of_run(failure, &config)),
        false => loaded,
    }?;
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
    match resumed? {
        Resumed::Done => console.note(&format!("{} has finished already", run.path().display())),
        Resumed::Reached(reached) => {
            reached.predictions.map_or(Ok(()), |table| print(console, &table))?;
        }
    }
    Ok(())
}
