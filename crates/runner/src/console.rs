//! The one module that prints. Results go to stdout, progress and messages to stderr.

// Everywhere else the lints forbid it.
#![allow(clippy::print_stderr)]

use std::io::{self, IsTerminal, Write};

use crate::terminal::{harmless, harmless_json};

/// How much a user wants to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Results and errors only: `-q`.
    Quiet,
    /// What a user needs.
    #[default]
    Normal,
    /// And what was decided for him: `-v`.
    Verbose,
}

/// The two streams of the program.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    verbosity: Verbosity,
}

impl Console {
    /// A console that says as much as `verbosity` asks for.
    pub fn new(verbosity: Verbosity) -> Self {
        Self { verbosity }
    }

    /// Writes words and tables for people to stdout; what would drive a terminal is escaped, wherever they go.
    ///
    /// # Errors
    /// As [`Console::data`]'s.
    pub fn result(&self, text: &str) -> io::Result<()> {
        self.write(&harmless(text))
    }

    /// Writes to stdout what programs read: exact, unless it goes to a terminal. A reader that has gone away (`| head`) is
    /// not an error.
    ///
    /// # Errors
    /// Any other failure of the stream: a result that cannot be written is not delivered.
    pub fn data(&self, text: &str) -> io::Result<()> {
        if io::stdout().is_terminal() { self.result(text) } else { self.write(text) }
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Tells the user something on stderr, unless quiet.
    pub fn note(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            line_to_stderr(&harmless(text));
        }
    }

    /// Tells the user a detail on stderr, if verbose.
    pub fn detail(&self, text: &str) {
        if self.verbosity >= Verbosity::Verbose {
            line_to_stderr(&harmless(text));
        }
    }

    /// Writes a JSON object to stderr, quiet or not: only who asked for JSON gets one.
    pub fn event(&self, event: &serde_json::Value) {
        line_to_stderr(&harmless_json(&event.to_string()));
    }

    /// Writes an error to stderr, quiet or not: as [`Failure::render`](crate::error::Failure::render) gives it, harmless and
    /// perhaps with colours.
    pub fn error(&self, text: &str) {
        line_to_stderr(text);
    }

    /// How much the user wants to read.
    pub fn verbosity(&self) -> Verbosity {
        self.verbosity
    }
}

/// There is nobody to tell if stderr cannot be written.
pub(crate) fn line_to_stderr(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether messages may be coloured: on a terminal, unless NO_COLOR is set to anything (no-color.org).
pub fn colours_stderr() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
