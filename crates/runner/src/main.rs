//! The runner with the built-in layers, activations, losses and optimisers.

use std::process::ExitCode;

use chainrule_runner::app::App;

fn main() -> ExitCode {
    App::with_builtins().main()
}
