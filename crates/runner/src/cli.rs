//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::catalog::Kind;
use crate::commands::new::Template;
use crate::commands::predict::Format;
use crate::progress::Style;
use crate::suggest;

/// Train neural networks from TOML experiment files, with every gradient derived by hand.
#[derive(Debug, Parser)]
#[command(name = "runner", version, arg_required_else_help = true, after_help = SHORT_FORM)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const SHORT_FORM: &str = "`runner x.toml` is short for `runner train x.toml`.";

/// Puts `train` in front of arguments that name no verb. A word that only resembles a verb is left to clap, which
/// suggests the verb.
pub(crate) fn with_verb(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let names_none = |first: &OsString| {
        let word = first.to_string_lossy();
        let command = Cli::command();
        let is_verb = word == "help" || command.get_subcommands().any(|verb| verb.get_name() == word);
        let is_global = ["-h", "--help", "-V", "--version"].contains(&word.as_ref());
        let verbs = || command.get_subcommands().map(clap::Command::get_name);
        let resembles = || !word.contains(['.', '/', '-']) && suggest::nearest(&word, verbs()).is_some();
        !is_verb && !is_global && !resembles()
    };
    if arguments.get(1).is_some_and(names_none) {
        arguments.insert(1, "train".into());
    }
    arguments
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train an experiment; `runner x.toml` is short for `runner train x.toml`.
    Train(TrainArgs),
    /// Go on with a run that was interrupted; what comes out is the same as without the interruption.
    Resume(ResumeArgs),
    /// Train all trials of an experiment's sweep side by side, and rank them; again, to go on where it stopped.
    Sweep(SweepArgs),
    /// Check an experiment and its data without training.
    Check(CheckArgs),
    /// Show the layers, their shapes and parameters.
    Summary(ExperimentArgs),
    /// Derive the chain rule of a network: every formula, and with a sample every number.
    Explain(ExplainArgs),
    /// Check the gradients of an experiment against differences; without one, those of every registered type.
    Gradcheck(GradcheckArgs),
    /// Evaluate a run's model on its data.
    Eval(RunArgs),
    /// Predict the rows of a CSV file with a run's model.
    Predict(PredictArgs),
    /// Continue a text with a run's model, token by token.
    Generate(GenerateArgs),
    /// Print the JSON Schema of experiment files, for editors.
    Schema(SchemaArgs),
    /// List what an experiment may name: layers, losses, ...; and the keys of each.
    List(ListArgs),
    /// Write a commented experiment file that trains, to start from.
    New(NewArgs),
    /// Print the completions of a shell.
    Completions(CompletionsArgs),
    /// Print a manual page, or write them all.
    Man(ManArgs),
}

/// An experiment and what to change in it.
#[derive(Debug, Args)]
pub struct ExperimentArgs {
    /// The experiment file.
    #[arg(value_name = "EXPERIMENT.toml")]
    pub experiment: PathBuf,
    /// Change a key: `optimizer.learning_rate=0.5`, `model.layers.0.units=8`; checked like the file.
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub overrides: Vec<String>,
    /// How much to say.
    #[command(flatten)]
    pub verbosity: VerbosityArgs,
}

/// How much to say.
#[derive(Clone, Copy, Debug, Args)]
pub struct VerbosityArgs {
    /// Say nothing but results and errors.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say what was decided.
    #[arg(short, long)]
    pub verbose: bool,
}

/// `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The experiment.
    #[command(flatten)]
    pub experiment: ExperimentArgs,
    /// The run directory; by default runs/NAME, a number added when taken.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace a run that is there.
    #[arg(long)]
    pub force: bool,
    /// How to train.
    #[command(flatten)]
    pub training: TrainingArgs,
}

/// What a run may be told that changes no result.
#[derive(Clone, Copy, Debug, Args)]
pub struct TrainingArgs {
    /// Threads, 0 for all cores; never changes a result.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub threads: Option<u16>,
    /// What to show while training.
    #[arg(long, value_enum, default_value_t, value_name = "STYLE")]
    pub progress: Style,
}

/// `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The run directory.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Change a key of the run's experiment, as for `train`; it has to be allowed too.
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Go on though this key, or one within this table, has changed.
    #[arg(long, value_name = "KEY.PATH")]
    pub allow: Vec<String>,
    /// How to train.
    #[command(flatten)]
    pub training: TrainingArgs,
    /// How much to say.
    #[command(flatten)]
    pub verbosity: VerbosityArgs,
}

/// `sweep`.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// The experiment, with its table `sweep`.
    #[command(flatten)]
    pub experiment: ExperimentArgs,
    /// The directory of the runs; by default runs/NAME-sweep. What is finished there is not trained again.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Threads of all trials together, 0 for all cores; never changes a result.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub threads: Option<u16>,
    /// Train only every N-th trial, from this one on: for the jobs of an array.
    #[arg(long, value_name = "I", requires = "of")]
    pub index: Option<usize>,
    /// How many jobs the array has.
    #[arg(long, value_name = "N", requires = "index")]
    pub of: Option<usize>,
}

/// `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The experiment.
    #[command(flatten)]
    pub experiment: ExperimentArgs,
    /// Print the experiment with every default filled in.
    #[arg(long)]
    pub resolved: bool,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The experiment.
    #[command(flatten)]
    pub experiment: ExperimentArgs,
    /// Put in the numbers of this training sample, counted from 0, at the start weights.
    #[arg(long, value_name = "N")]
    pub sample: Option<usize>,
    /// Write the same as JSON too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// `gradcheck`.
#[derive(Debug, Args)]
pub struct GradcheckArgs {
    /// The experiment; without one, every registered layer, activation and loss is checked on its own.
    #[arg(value_name = "EXPERIMENT.toml")]
    pub experiment: Option<PathBuf>,
    /// Change a key, as for `train`.
    #[arg(long = "set", value_name = "KEY.PATH=VALUE", requires = "experiment")]
    pub overrides: Vec<String>,
    /// Write the report as JSON too.
    #[arg(long, value_name = "FILE", requires = "experiment")]
    pub json: Option<PathBuf>,
    /// Samples that the loss is taken over, the first of the training set.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = at_least_one, requires = "experiment")]
    pub samples: usize,
    /// Entries that are checked of each tensor, chosen by the seed; the table states the share.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = at_least_one, requires = "experiment")]
    pub entries: usize,
    /// How much to say.
    #[command(flatten)]
    pub verbosity: VerbosityArgs,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("{error}")),
    }
}

/// A run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The run directory.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// How much to say.
    #[command(flatten)]
    pub verbosity: VerbosityArgs,
}

/// `predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
    /// A CSV file with a row a sample; columns are found by the names of the features, if the model has them.
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// How to write the predictions.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
    /// The text to continue.
    #[arg(long, value_name = "TEXT")]
    pub prompt: String,
    /// How many tokens to add.
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub tokens: usize,
    /// Below 1 the probable becomes more probable; at 0 the most probable is always taken.
    #[arg(long, value_name = "T", default_value_t = 1.0, value_parser = temperature)]
    pub temperature: f64,
    /// Choose among so many of the most probable tokens.
    #[arg(long, alias = "top_k", value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub top_k: Option<u32>,
    /// Decides every choice.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// A temperature: a number from 0 on.
fn temperature(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("a temperature is a number from 0 on".into()),
    }
}

/// `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// How much to say.
    #[command(flatten)]
    pub verbosity: VerbosityArgs,
}

/// `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list; without it, what can be listed.
    pub kind: Option<Kind>,
    /// Show the keys of this type; those of every type with -v.
    #[arg(requires = "kind")]
    pub name: Option<String>,
    /// How much to say.
    #[command(flatten)]
    pub verbosity: VerbosityArgs,
}

/// `new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The file to write.
    #[arg(value_name = "EXPERIMENT.toml")]
    pub file: PathBuf,
    /// What to start from.
    #[arg(long, short, value_enum, default_value_t, value_name = "TEMPLATE")]
    pub template: Template,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
    /// How much to say.
    #[command(flatten)]
    pub verbosity: VerbosityArgs,
}

/// `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// For which shell.
    #[arg(value_enum)]
    pub shell: Shell,
    /// How much to say.
    #[command(flatten)]
    pub verbosity: VerbosityArgs,
}

/// `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Print the page of this verb.
    #[arg(conflicts_with = "out")]
    pub verb: Option<String>,
    /// Write a page for the program and one for each verb into this directory.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How much to say.
    #[command(flatten)]
    pub verbosity: VerbosityArgs,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(line: &str) -> String {
        let arguments = with_verb(line.split(' ').map(OsString::from));
        arguments.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_experiment_alone_is_trained() {
        assert_eq!(completed("runner x.toml --force"), "runner train x.toml --force");
        assert_eq!(completed("runner -q x.toml"), "runner train -q x.toml");
        assert_eq!(completed("runner check x.toml"), "runner check x.toml");
        assert_eq!(completed("runner --version"), "runner --version");
        assert_eq!(completed("runner sumary x.toml"), "runner sumary x.toml");
        Cli::command().debug_assert();
    }
}
