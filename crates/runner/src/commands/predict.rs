//! `runner predict`: the rows of a CSV file through a run's model.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::print_data;
use crate::cli::PredictArgs;
use crate::console::Console;
use crate::data::{self, CsvFile, FirstLine, Preprocessing, Vocabulary, Window};
use crate::diagnostic::counted;
use crate::error::Failure;
use crate::memory;
use crate::predictor::{Card, Prediction, Predictor};
use crate::registry::{Number, Registry};
use crate::run_dir::{MODEL, RunDir};
use crate::session::read_weights;
use crate::spec::Dtype;
use crate::suggest;
use crate::terminal::{harmless_json, in_one_line};

/// So many columns are compared with a name, or listed.
const COMPARED: usize = 10_000;
const LISTED: usize = 20;

/// How predictions are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A header, then a row a sample.
    #[default]
    Csv,
    /// A JSON object a sample.
    Jsonl,
}

/// Predicts every row of the input file.
///
/// # Errors
/// [`Failure::Run`] if the model cannot be used, [`Failure::Data`] if the input cannot.
pub fn run(arguments: &PredictArgs, registry: &Registry, console: Console) -> Result<(), Failure> {
    let model = model_path(&arguments.run.run)?;
    let unfit =
        |error: &dyn std::fmt::Display| Failure::Run { path: model.clone(), message: error.to_string() };
    let bytes = read_weights(&model, 1 << 32).map_err(|_| unfit(&"there is no readable model"))?;
    let card = Card::of(&bytes).map_err(|error| unfit(&error))?;
    let rows = read_inputs(&arguments.input, &card.preprocessing, console)?;
    let text = match card.dtype {
        Dtype::F32 => predict(
            Predictor::<f32>::load(&bytes, registry).map_err(|error| unfit(&error))?,
            rows,
            arguments,
        )?,
        Dtype::F64 => predict(
            Predictor::<f64>::load(&bytes, registry).map_err(|error| unfit(&error))?,
            rows,
            arguments,
        )?,
    };
    print_data(console, &text)
}

/// The model of a run, or a model file on its own.
pub(super) fn model_path(run: &Path) -> Result<PathBuf, Failure> {
    if run.is_file() { Ok(run.to_owned()) } else { Ok(RunDir::open(run)?.file(MODEL)) }
}

fn predict<F: Number>(
    mut predictor: Predictor<F>,
    rows: Vec<f64>,
    arguments: &PredictArgs,
) -> Result<String, Failure> {
    let count = rows.len() / predictor.preprocessing().inputs;
    memory::require(predictor.memory(count)).map_err(|needs| {
        let message = format!("to predict {} needs {needs}", counted(count, "sample"));
        in_file(&arguments.input, message)
    })?;
    let outputs = predictor.predict(rows).map_err(|error| in_file(&arguments.input, error.to_string()))?;
    let mut predictions =
        outputs.chunks_exact(predictor.width()).map(|outputs| predictor.prediction(outputs));
    Ok(match arguments.format {
        Format::Jsonl => {
            let line = |prediction: Prediction| harmless_json(&prediction.to_json().to_string()).into_owned();
            let lines: Vec<String> = predictions.map(line).collect();
            lines.join("\n")
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            let written = writer.write_record(predictor.columns()).and_then(|()| {
                predictions.try_for_each(|prediction| {
                    let cells = prediction.outputs.into_iter().flat_map(|output| {
                        let values = output.outputs.into_iter().map(|(_, value)| value.to_string());
                        output.class.into_iter().chain(values)
                    });
                    writer.write_record(cells)
                })
            });
            written.expect("writing to memory does not fail, and every row has the header's length");
            let bytes = writer.into_inner().unwrap_or_default();
            String::from_utf8_lossy(&bytes).trim_end().to_owned()
        }
    })
}

/// Reads the samples of the input file: the rows of a CSV file, or windows of them or of a text.
fn read_inputs(path: &Path, preprocessing: &Preprocessing, console: Console) -> Result<Vec<f64>, Failure> {
    if let Some(vocabulary) = &preprocessing.vocabulary {
        return read_text(path, vocabulary, preprocessing.inputs, console);
    }
    let rows = read_rows(path, preprocessing, console)?;
    match preprocessing.window {
        None => Ok(rows),
        Some(window) => windows(&rows, preprocessing.columns(), window, "row", console)
            .map_err(|message| in_file(path, message)),
    }
}

/// Samples of `context` tokens, one after the other.
fn read_text(
    path: &Path,
    vocabulary: &Vocabulary,
    context: usize,
    console: Console,
) -> Result<Vec<f64>, Failure> {
    let tokens = data::read_tokens(path, vocabulary)?;
    let one_after_the_other = Window { length: context, horizon: 1, stride: context };
    windows(&tokens, 1, one_after_the_other, "token", console).map_err(|message| in_file(path, message))
}

fn in_file(path: &Path, message: String) -> Failure {
    Failure::Data { path: path.to_owned(), message }
}

/// The windows of rows of `columns` numbers; rows at the end that fill none are named, not silently passed over.
fn windows(
    rows: &[f64],
    columns: usize,
    window: Window,
    unit: &'static str,
    console: Console,
) -> Result<Vec<f64>, String> {
    let (count, length) = (rows.len() / columns, window.length);
    let starts = window.starts(count);
    let Some(last) = starts.clone().last() else {
        return Err(format!("there are {}, but the model takes {length}", counted(count, unit)));
    };
    let numbers = starts.len() as u128 * (length * columns) as u128;
    // As they are here and in the network's precision.
    memory::require(numbers * 16).map_err(|needs| format!("its {} windows need {needs}", starts.len()))?;
    let mut samples = Vec::with_capacity(numbers as usize);
    for start in starts {
        samples.extend_from_slice(&rows[start * columns..(start + length) * columns]);
    }
    let left = count - (last + length);
    if left > 0 {
        console.note(&format!("not used, as they fill no sample: the last {}", counted(left, unit)));
    }
    Ok(samples)
}

/// Reads the inputs of a CSV file, row after row: the columns of the model's features by name, or all columns if its
/// features have no names.
fn read_rows(path: &Path, preprocessing: &Preprocessing, console: Console) -> Result<Vec<f64>, Failure> {
    let first = if preprocessing.features.is_some() { FirstLine::Names } else { FirstLine::Row };
    let mut file = CsvFile::open(path, first)?;
    let named = match &preprocessing.features {
        Some(features) => {
            Some(find_columns(features, file.header(), console).map_err(|message| file.wrong(message))?)
        }
        None => None,
    };
    let mut rows = Vec::new();
    while file.next_row()? {
        match &named {
            Some(columns) => {
                for &column in columns {
                    rows.push(file.number(column)?);
                }
            }
            None => {
                // The model's word for its width is not to be trusted with memory before a row is as wide.
                let (found, expected) = (file.columns(), preprocessing.columns());
                if found != expected {
                    let message = format!("row 1 has {found} columns, but the model takes {expected} inputs");
                    return Err(file.wrong(message).into());
                }
                for column in 0..found {
                    rows.push(file.number(column)?);
                }
            }
        }
    }
    if rows.is_empty() { Err(file.wrong("there are no rows to predict").into()) } else { Ok(rows) }
}

/// Where each feature stands in the header; columns that are no features are named, not silently passed over.
fn find_columns(features: &[String], header: &[String], console: Console) -> Result<Vec<usize>, String> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut twice = HashSet::new();
    for (column, name) in header.iter().enumerate() {
        if places.insert(name, column).is_some() {
            twice.insert(name.as_str());
        }
    }
    let mut columns = Vec::with_capacity(features.len());
    for feature in features {
        let Some(&column) = places.get(feature.as_str()) else {
            let near = suggest::nearest(feature, header.iter().map(String::as_str).take(COMPARED));
            let hint = near.map_or_else(String::new, |near| format!("; the nearest is \"{near}\""));
            return Err(format!("there is no column \"{feature}\", which the model takes{hint}"));
        };
        if twice.contains(feature.as_str()) {
            return Err(format!("there are several columns \"{feature}\""));
        }
        columns.push(column);
    }
    let features: HashSet<&str> = features.iter().map(String::as_str).collect();
    let others: Vec<&str> =
        header.iter().map(String::as_str).filter(|name| !features.contains(name)).collect();
    if !others.is_empty() {
        let more = if others.len() > LISTED { ", ..." } else { "" };
        let names = others[..others.len().min(LISTED)].join(", ");
        console.note(&format!("not used by the model: {}{more}", in_one_line(&names)));
    }
    Ok(columns)
}
