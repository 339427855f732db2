//! `runner schema`: the JSON Schema of experiment files.

use super::print_data;
use crate::console::Console;
use crate::error::Failure;
use crate::registry::Registry;
use crate::schema;

/// Prints the schema of files that may name the types of `registry`.
///
/// # Errors
/// [`Failure::Io`] if stdout cannot be written.
pub fn run(registry: &Registry, console: Console) -> Result<(), Failure> {
    print_data(console, &format!("{:#}", schema::published(registry)))
}
