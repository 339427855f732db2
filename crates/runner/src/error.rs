//! What ends a command early, and the exit code that it gives.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::data::DataError;
use crate::diagnostic::{self, Diagnostics};
use crate::document::{ReadError, Sources};

/// Why a command could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Mistakes in the experiment file or in `--set`.
    #[error("{}", diagnostic::render(.0, .1, false))]
    Experiment(Diagnostics, Sources),
    /// The experiment file cannot be read.
    #[error("error: {0}")]
    Unreadable(#[from] ReadError),
    /// The command line does not fit the experiment or the file system.
    #[error("error: {message}\n  = help: {help}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        help: String,
    },
    /// A data or weights file.
    #[error("error: {path}: {message}", path = .path.display())]
    Data {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A loss or a gradient is no longer finite.
    #[error(
        "error: diverged: {found}\n  = help: lower `learning_rate`, scale the inputs (`scale` in [data]), limit the gradient (`clip_grad_norm` in [optimizer]), or start from smaller weights\n  = help: step {step} is kept: `runner resume {run} --set optimizer.learning_rate=... --allow optimizer.learning_rate`", run = .run.display()
    )]
    Diverged {
        /// What was not finite.
        found: Box<chainrule_trainer::Divergence>,
        /// The run.
        run: PathBuf,
        /// The step of its last checkpoint.
        step: u64,
    },
    /// Every trial of a sweep diverged; the ranking has been printed.
    #[error(
        "error: every trial diverged\n  = help: try smaller learning rates, scale the inputs (`scale` in [data]), or limit the gradient (`clip_grad_norm` in [optimizer])"
    )]
    AllDiverged,
    /// A signal ended training; the state is stored.
    #[error("interrupted after step {step}; go on with `{resume}`")]
    Interrupted {
        /// Its number.
        signal: u8,
        /// The last step.
        step: u64,
        /// The command that goes on.
        resume: String,
    },
    /// A run directory that is not one, or does not fit.
    #[error("error: {path}: {message}", path = .path.display())]
    Run {
        /// The directory or a file of it.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A gradient is not what differences say; the table has been printed.
    #[error("error: a gradient is wrong")]
    Gradcheck,
    /// Reading or writing failed.
    #[error("error: cannot {action} {path}: {source}", path = .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Training failed for another reason.
    #[error("error: {0}")]
    Training(chainrule_trainer::Error),
}

impl Failure {
    /// The exit code of the contract.
    pub fn code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::Training(_) | Self::Gradcheck => 1,
            Self::Experiment(..) | Self::Unreadable(_) | Self::Usage { .. } => 2,
            Self::Data { .. } => 3,
            Self::Diverged { .. } | Self::AllDiverged => 4,
            Self::Run { .. } => 5,
            Self::Interrupted { signal, .. } => 128 + signal,
        }
    }

    /// The message as a user reads it, with colours on a terminal.
    pub fn render(&self, colour: bool) -> String {
        match self {
            Self::Experiment(diagnostics, sources) => diagnostic::render(diagnostics, sources, colour),
            other => diagnostic::visible(&other.to_string()),
        }
    }

    /// An I/O failure.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

impl From<DataError> for Failure {
    /// Of a data file; mistakes of the experiment file need its text, see [`Failure::Experiment`].
    fn from(error: DataError) -> Self {
        match error {
            DataError::File(mistakes) => Self::Experiment(mistakes, Sources::new()),
            DataError::Io { path, source } => Self::Data { path, message: source.to_string() },
            DataError::Content { path, message } => Self::Data { path, message },
        }
    }
}

impl From<chainrule_trainer::Error> for Failure {
    fn from(error: chainrule_trainer::Error) -> Self {
        Self::Training(error)
    }
}

impl From<&Failure> for ExitCode {
    fn from(failure: &Failure) -> Self {
        Self::from(failure.code())
    }
}
