//! `runner list`: what an experiment may name.

use clap::ValueEnum;

use super::print;
use crate::catalog::{Key, Kind, Type, types};
use crate::cli::ListArgs;
use crate::console::{Console, Verbosity};
use crate::error::Failure;
use crate::registry::Registry;
use crate::schema;
use crate::suggest::suggest;
use crate::table::Table;

/// Lists the kinds, the types of a kind, or the keys of a type.
///
/// # Errors
/// [`Failure::Usage`] for a type that there is not; [`Failure::Io`] if stdout cannot be written.
pub fn run(arguments: &ListArgs, registry: &Registry, console: Console) -> Result<(), Failure> {
    let Some(kind) = arguments.kind else { return print(console, &kinds()) };
    let types = types(&schema::experiment(registry), kind);
    if let Some(name) = &arguments.name {
        let found =
            types.iter().find(|found| found.name == *name).ok_or_else(|| unknown(kind, name, &types))?;
        return print(console, &with_keys(found));
    }
    if console.verbosity() == Verbosity::Verbose {
        return print(console, &types.iter().map(with_keys).collect::<Vec<_>>().join("\n\n"));
    }
    let mut table = Table::without_headings();
    types.iter().for_each(|found| table.row([&found.name, &found.description]));
    print(console, &table.render())
}

fn kinds() -> String {
    let mut table = Table::without_headings();
    for kind in Kind::value_variants().iter().filter_map(Kind::to_possible_value) {
        let help = kind.get_help().map(ToString::to_string).unwrap_or_default();
        table.row([kind.get_name(), &help]);
    }
    table.render()
}

fn unknown(kind: Kind, name: &str, types: &[Type]) -> Failure {
    let names: Vec<&str> = types.iter().map(|found| found.name.as_str()).collect();
    let meant = suggest(name, names.iter().copied()).map(|meant| format!("did you mean `{meant}`? "));
    Failure::Usage {
        message: format!("there is no `{name}` among the {}", kind.name()),
        help: format!("{}there are {}", meant.unwrap_or_default(), names.join(", ")),
    }
}

fn with_keys(found: &Type) -> String {
    let title = format!("{}: {}", found.name, found.description);
    if found.keys.is_empty() {
        return format!("{title}\n(no keys)");
    }
    let mut table = Table::new(&["key", "value", "range", "default", ""]);
    for Key { name, value, range, default, description } in &found.keys {
        table.row([name, value, range, default, description]);
    }
    format!("{title}\n{}", table.render())
}
