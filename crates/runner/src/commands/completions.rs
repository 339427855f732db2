//! `runner completions`: what a shell completes.

use clap::CommandFactory;

use super::print_data;
use crate::cli::{Cli, CompletionsArgs};
use crate::console::Console;
use crate::error::Failure;

/// Prints the completions of a shell.
///
/// # Errors
/// [`Failure::Io`] if stdout cannot be written.
pub fn run(arguments: &CompletionsArgs, console: Console) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "runner", &mut script);
    print_data(console, String::from_utf8_lossy(&script).trim_end())
}
