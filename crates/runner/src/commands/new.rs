//! `runner new`: an experiment file to start from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use clap::ValueEnum;

use crate::cli::NewArgs;
use crate::console::Console;
use crate::error::Failure;
use crate::storage::{Disk, write_atomically};

/// The files that there are to start from. Each trains as it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// Classes by their labels: softmax and cross-entropy.
    #[default]
    Classification,
    /// Yes or no: one sigmoid and binary cross-entropy.
    Binary,
    /// A number from numbers: mean squared error.
    Regression,
    /// Layers wired into a graph by `inputs`: a skip connection, two branches.
    Graph,
}

impl Template {
    /// The file.
    pub fn text(self) -> &'static str {
        match self {
            Self::Classification => include_str!("../templates/classification.toml"),
            Self::Binary => include_str!("../templates/binary.toml"),
            Self::Regression => include_str!("../templates/regression.toml"),
            Self::Graph => include_str!("../templates/graph.toml"),
        }
    }
}

/// Writes a template.
///
/// # Errors
/// [`Failure::Usage`] if the file exists and is not to be replaced; [`Failure::Io`] if it cannot be written.
pub fn run(arguments: &NewArgs, console: Console) -> Result<(), Failure> {
    let (path, text) = (arguments.file.as_path(), arguments.template.text());
    match arguments.force {
        true => write_atomically(&Disk, path, text.as_bytes())?,
        false => create(path, text)?,
    }
    let file = path.display();
    console.note(&format!("wrote {file}\ntrain it: runner {file}"));
    if let Some(folder) = path.parent().filter(|folder| !folder.join("experiment.schema.json").exists()) {
        let schema = folder.join("experiment.schema.json");
        console.note(&format!("for completion in an editor: runner schema > {}", schema.display()));
    }
    Ok(())
}

/// The system decides whether the name is free, so that nobody's file is lost between question and answer.
fn create(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Failure::Usage {
                message: format!("{} exists", path.display()),
                help: "--force replaces it".into(),
            },
            _ => Failure::io("write", path)(error),
        })?;
    file.write_all(text.as_bytes()).map_err(Failure::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_begins_with_its_schema_and_says_what_it_is() {
        for template in Template::value_variants() {
            let mut lines = template.text().lines();
            assert_eq!(lines.next(), Some("#:schema ./experiment.schema.json"), "{template:?}");
            assert!(lines.next().is_some_and(|line| line.starts_with("# ")), "{template:?}");
        }
    }
}
