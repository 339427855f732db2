//! The program: a registry, a command line, an exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use serde_json::json;

use crate::cli::{self, Cli, Command, VerbosityArgs};
use crate::commands;
use crate::console::{Console, Verbosity, colours_stderr};
use crate::progress::Style;
use crate::registry::{ActivationSpec, LayerSpec, LossSpec, OptimizerSpec, Registry, ScheduleSpec, Taken};

/// The runner over a registry of one's own.
///
/// ```no_run
/// use chainrule_runner::app::App;
///
/// fn main() -> std::process::ExitCode {
///     // App::with_builtins().layer::<MyLayer>().activation::<MyActivation>().loss::<MyLoss>().main()
///     App::with_builtins().main()
/// }
/// ```
#[derive(Debug)]
pub struct App {
    registry: Registry,
    /// The first name that was given twice; it is reported when the program starts.
    taken: Option<Taken>,
}

impl App {
    /// The runner with the built-in types.
    pub fn with_builtins() -> Self {
        Self { registry: Registry::standard(), taken: None }
    }

    /// Adds a layer.
    pub fn layer<S: LayerSpec>(self) -> Self {
        self.with(Registry::layer::<S>)
    }

    /// Adds an activation.
    pub fn activation<S: ActivationSpec>(self) -> Self {
        self.with(Registry::activation::<S>)
    }

    /// Adds a loss.
    pub fn loss<S: LossSpec>(self) -> Self {
        self.with(Registry::loss::<S>)
    }

    /// Adds an optimiser.
    pub fn optimizer<S: OptimizerSpec>(self) -> Self {
        self.with(Registry::optimizer::<S>)
    }

    /// Adds a schedule of the learning rate.
    pub fn schedule<S: ScheduleSpec>(self) -> Self {
        self.with(Registry::schedule::<S>)
    }

    fn with(mut self, add: impl FnOnce(&mut Registry) -> Result<(), Taken>) -> Self {
        let added = add(&mut self.registry);
        self.taken = self.taken.or(added.err());
        self
    }

    /// Runs the program on its own command line.
    pub fn main(self) -> ExitCode {
        self.run(std::env::args_os())
    }

    /// Runs the program on a command line, the program's name first.
    pub fn run(&self, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
        if let Some(taken) = &self.taken {
            Console::new(Verbosity::Normal).error(&format!("error: {taken}"));
            return ExitCode::FAILURE;
        }
        let cli = match Cli::try_parse_from(cli::with_verb(arguments)) {
            Ok(cli) => cli,
            Err(error) => {
                // clap knows which of the two streams its message belongs to; a stream that is gone hears nothing.
                let _ = error.print();
                return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
            }
        };
        let command = cli.command;
        let console = Console::new(verbosity(&command));
        let registry = &self.registry;
        let done = match &command {
            Command::Train(arguments) => commands::train::run(arguments, registry, console),
            Command::Resume(arguments) => commands::resume::run(arguments, registry, console),
            Command::Sweep(arguments) => commands::sweep::run(arguments, registry, console),
            Command::Check(arguments) => commands::check::run(arguments, registry, console),
            Command::Summary(arguments) => commands::summary::run(arguments, registry, console),
            Command::Explain(arguments) => commands::explain::run(arguments, registry, console),
            Command::Gradcheck(arguments) => commands::gradcheck::run(arguments, registry, console),
            Command::Eval(arguments) => commands::eval::run(arguments, registry, console),
            Command::Schema(_) => commands::schema::run(registry, console),
            Command::List(arguments) => commands::list::run(arguments, registry, console),
            Command::New(arguments) => commands::new::run(arguments, console),
            Command::Completions(arguments) => commands::completions::run(arguments, console),
            Command::Man(arguments) => commands::man::run(arguments, console),
            Command::Predict(arguments) => commands::predict::run(arguments, registry, console),
            Command::Generate(arguments) => commands::generate::run(arguments, registry, console),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                match speaks_json(&command) {
                    true => console.event(&json!({
                        "event": "error",
                        "code": failure.code(),
                        "message": failure.render(false).trim_end(),
                    })),
                    false => console.error(&failure.render(colours_stderr())),
                }
                ExitCode::from(&failure)
            }
        }
    }
}

/// Whether all of stderr is to be JSON, from here on: the command line itself is understood by now.
fn speaks_json(command: &Command) -> bool {
    match command {
        Command::Train(arguments) => arguments.training.progress == Style::Json,
        Command::Resume(arguments) => arguments.training.progress == Style::Json,
        _ => false,
    }
}

fn verbosity(command: &Command) -> Verbosity {
    let VerbosityArgs { quiet, verbose } = match command {
        Command::Train(arguments) => arguments.experiment.verbosity,
        Command::Resume(arguments) => arguments.verbosity,
        Command::Sweep(arguments) => arguments.experiment.verbosity,
        Command::Check(arguments) => arguments.experiment.verbosity,
        Command::Summary(arguments) => arguments.verbosity,
        Command::Explain(arguments) => arguments.experiment.verbosity,
        Command::Gradcheck(arguments) => arguments.verbosity,
        Command::Eval(arguments) => arguments.verbosity,
        Command::Schema(arguments) => arguments.verbosity,
        Command::List(arguments) => arguments.verbosity,
        Command::New(arguments) => arguments.verbosity,
        Command::Completions(arguments) => arguments.verbosity,
        Command::Man(arguments) => arguments.verbosity,
        Command::Predict(arguments) => arguments.run.verbosity,
        Command::Generate(arguments) => arguments.run.verbosity,
    };
    match (quiet, verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    }
}

#[cfg(test)]
mod tests {
    use chainrule_core::activation::Tanh;
    use chainrule_core::{Activation, Float, Shape};
    use schemars::JsonSchema;
    use serde::Deserialize;

    use super::*;
    use crate::registry::Spec;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct SecondTanh {}

    impl Spec for SecondTanh {
        const TYPE: &'static str = "tanh";
    }

    impl ActivationSpec for SecondTanh {
        fn build<F: Float>(&self, _output: &Shape) -> Box<dyn Activation<F>> {
            Box::new(Tanh)
        }
    }

    #[test]
    fn a_name_given_twice_is_an_error_at_start() {
        let app = App::with_builtins().activation::<SecondTanh>();
        assert_eq!(app.taken, Some(Taken { kind: "activation", name: "tanh" }));
        let code = app.run(["runner", "--version"].map(OsString::from));
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
    }
}
