//! `runner man`: manual pages, made from the command line's own description.

use std::fs;
use std::io;

use clap::CommandFactory;
use clap_mangen::Man;

use super::print;
use crate::cli::{Cli, ManArgs};
use crate::console::Console;
use crate::error::Failure;
use crate::storage::{Disk, write_atomically};
use crate::suggest::nearest;

/// Prints one page, or writes all into a directory.
///
/// # Errors
/// [`Failure::Usage`] for a verb that there is not; [`Failure::Io`] if a file or stdout cannot be written.
pub fn run(arguments: &ManArgs, console: Console) -> Result<(), Failure> {
    let pages = pages();
    if let Some(out) = &arguments.out {
        fs::create_dir_all(out).map_err(Failure::io("create", out))?;
        for (name, page) in &pages {
            write_atomically(&Disk, &out.join(format!("{name}.1")), &render(page)?)?;
        }
        console.note(&format!("wrote {} pages to {}", pages.len(), out.display()));
        return Ok(());
    }
    let name = arguments.verb.as_ref().map_or_else(|| "runner".into(), |verb| format!("runner-{verb}"));
    match pages.iter().find(|(other, _)| *other == name) {
        Some((_, page)) => print(console, String::from_utf8_lossy(&render(page)?).trim_end()),
        None => Err(unknown(&name, &pages)),
    }
}

fn unknown(name: &str, pages: &[(String, Man)]) -> Failure {
    let verbs: Vec<&str> = pages.iter().filter_map(|(name, _)| name.strip_prefix("runner-")).collect();
    let verb = name.strip_prefix("runner-").unwrap_or(name);
    let meant = nearest(verb, verbs.iter().copied()).map(|verb| format!("did you mean `{verb}`? "));
    Failure::Usage {
        message: format!("there is no verb `{verb}`"),
        help: format!("{}the verbs are {}", meant.unwrap_or_default(), verbs.join(", ")),
    }
}

/// The program's page and one for each verb, by name.
fn pages() -> Vec<(String, Man)> {
    // `help` is clap's own verb: it has nothing to say.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let verbs: Vec<clap::Command> = command.get_subcommands().cloned().collect();
    let page = |verb: clap::Command| {
        let name = format!("runner-{}", verb.get_name());
        (name, Man::new(verb))
    };
    std::iter::once(("runner".into(), Man::new(command))).chain(verbs.into_iter().map(page)).collect()
}

fn render(page: &Man) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    page.render(&mut text).map_err(|source: io::Error| Failure::io("format", "a manual page")(source))?;
    Ok(text)
}
