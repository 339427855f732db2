//! What a run shows while it trains: a bar on a terminal, plain lines elsewhere, JSON on request.

use std::error::Error;
use std::io::{self, IsTerminal};

use chainrule_trainer::metrics::Score;
use chainrule_trainer::{Observer, Progress, Record};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::{Verbosity, colours_stderr, line_to_stderr};
use crate::run_dir::{MetricsFile, metrics_line};

/// `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Style {
    /// A bar on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// A bar with ETA, loss and samples a second.
    Bar,
    /// A line a logged epoch.
    Plain,
    /// A JSON object a logged epoch, as in metrics.jsonl; whatever else is said on stderr is a JSON object with `event`.
    Json,
    /// Nothing.
    None,
}

enum Display {
    Bar(ProgressBar),
    Plain,
    Json,
    None,
}

/// Shows progress and writes `metrics.jsonl`.
pub struct Watcher<'a> {
    display: Display,
    metrics: MetricsFile<'a>,
    epochs: u64,
}

impl<'a> Watcher<'a> {
    /// A watcher of a run over `epochs` passes of `samples` samples.
    pub fn new(
        style: Style,
        verbosity: Verbosity,
        metrics: MetricsFile<'a>,
        epochs: u64,
        samples: u64,
    ) -> Self {
        let display = match style {
            Style::None => Display::None,
            // A style that was asked for is shown even so.
            Style::Auto if verbosity == Verbosity::Quiet => Display::None,
            Style::Json => Display::Json,
            Style::Plain => Display::Plain,
            Style::Bar => Display::Bar(bar(epochs.saturating_mul(samples))),
            Style::Auto if io::stderr().is_terminal() => Display::Bar(bar(epochs.saturating_mul(samples))),
            Style::Auto => Display::Plain,
        };
        Self { display, metrics, epochs }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
    }
}

fn bar(samples: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(samples), ProgressDrawTarget::stderr());
    let template = match colours_stderr() {
        true => "{msg}  {wide_bar:.cyan/blue}  {percent:>3} %  {per_sec}  ETA {eta}",
        false => "{msg}  {wide_bar}  {percent:>3} %  {per_sec}  ETA {eta}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let per_second = |state: &indicatif::ProgressState, text: &mut dyn std::fmt::Write| {
        // Infallible: into the bar's own buffer.
        let _ = write!(text, "{:.0} samples/s", state.per_sec());
    };
    bar.set_style(style.with_key("per_sec", per_second));
    bar
}

/// A number with four digits that mean something.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        magnitude if (1e-3..1e5).contains(&magnitude) => format!("{value:.4}"),
        _ => format!("{value:.3e}"),
    }
}

fn plain_line(record: &Record, epochs: u64) -> String {
    let width = epochs.to_string().len();
    let mut line =
        format!("epoch {:>width$}/{epochs}  running_loss {}", record.epoch, short(record.running_loss));
    let parts = [
        ("train", record.train_loss, &record.train_losses, &record.train_scores),
        ("validation", record.validation_loss, &record.validation_losses, &record.validation_scores),
    ];
    for (part, loss, losses, scores) in parts {
        if let Some(loss) = loss {
            line += &format!("  {part}_loss {}", short(loss));
        }
        for (output, loss) in losses {
            line += &format!("  {part}_loss_{output} {}", short(*loss));
        }
        for scored in scores {
            // A table does not fit into a line.
            if let Score::Number(number) = scored.score {
                line += &format!("  {part}_{} {}", scored.key(), short(number));
            }
        }
    }
    line
}

impl Observer for Watcher<'_> {
    fn progressed(&mut self, progress: Progress) {
        if let Display::Bar(bar) = &self.display {
            bar.set_position(progress.samples);
            let epochs = self.epochs;
            bar.set_message(format!("epoch {}/{epochs}  loss {}", progress.epoch, short(progress.loss)));
        }
    }

    fn logged(&mut self, record: &Record) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.metrics.append(record).map_err(|error| format!("cannot write metrics.jsonl: {error}"))?;
        match &self.display {
            Display::Bar(bar) => {
                let loss = record.validation_loss.or(record.train_loss).unwrap_or(record.running_loss);
                bar.set_message(format!("epoch {}/{}  loss {}", record.epoch, self.epochs, short(loss)));
            }
            Display::Plain => line_to_stderr(&plain_line(record, self.epochs)),
            Display::Json => line_to_stderr(&metrics_line(record)),
            Display::None => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chainrule_trainer::metrics::Scored;

    use super::*;

    #[test]
    fn shows_the_digits_that_matter() {
        assert_eq!(
            ["0", "0.2345", "1.234e-5"],
            [short(0.0), short(0.23451), short(1.2341e-5)].map(|text| text)
        );
    }

    #[test]
    fn a_plain_line_names_every_loss_and_metric() {
        let record = Record {
            epoch: 11,
            step: 44,
            running_loss: 0.25,
            train_loss: Some(0.23),
            validation_loss: None,
            train_losses: vec![("kind".into(), 0.5)],
            validation_losses: Vec::new(),
            train_scores: vec![Scored {
                metric: chainrule_trainer::metrics::Metric::Accuracy,
                output: String::new(),
                score: Score::Number(0.75),
            }],
            validation_scores: Vec::new(),
            learning_rate: 0.1,
            train_seconds: 0.0,
            epochs_since: 10,
        };
        assert_eq!(
            plain_line(&record, 1000),
            "epoch   11/1000  running_loss 0.2500  train_loss 0.2300  train_loss_kind 0.5000  train_accuracy 0.7500"
        );
    }
}
