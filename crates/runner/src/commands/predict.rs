//! `runner predict`: the rows of a CSV file through a run's model.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::print;
use crate::cli::PredictArgs;
use crate::console::Console;
use crate::data::Preprocessing;
use crate::error::Failure;
use crate::predictor::{Card, Predictor};
use crate::registry::{Number, Registry};
use crate::run_dir::{MODEL, RunDir};
use crate::session::read_weights;
use crate::spec::Dtype;
use crate::suggest;

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
    let rows = read_rows(&arguments.input, &card.preprocessing, console)?;
    let text = match card.dtype {
        Dtype::F32 => {
            predict(Predictor::<f32>::load(&bytes, registry).map_err(|error| unfit(&error))?, rows, arguments)
        }
        Dtype::F64 => {
            predict(Predictor::<f64>::load(&bytes, registry).map_err(|error| unfit(&error))?, rows, arguments)
        }
    };
    print(console, &text)
}

/// The model of a run, or a model file on its own.
fn model_path(run: &Path) -> Result<PathBuf, Failure> {
    if run.is_file() { Ok(run.to_owned()) } else { Ok(RunDir::open(run)?.file(MODEL)) }
}

fn predict<F: Number>(mut predictor: Predictor<F>, rows: Vec<f64>, arguments: &PredictArgs) -> String {
    let outputs = predictor.predict(rows);
    let mut predictions =
        outputs.chunks_exact(predictor.width()).map(|outputs| predictor.prediction(outputs));
    match arguments.format {
        Format::Jsonl => {
            let lines: Vec<String> = predictions.map(|prediction| prediction.to_json().to_string()).collect();
            lines.join("\n")
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            let class = predictor.classifies().then(|| "class".to_owned());
            let prefix = if predictor.classifies() { "p_" } else { "" };
            let names = predictor.output_names().into_iter().map(|name| format!("{prefix}{name}"));
            let header: Vec<String> = class.into_iter().chain(names).collect();
            let written = writer.write_record(&header).and_then(|()| {
                predictions.try_for_each(|prediction| {
                    let values = prediction.outputs.iter().map(|(_, value)| value.to_string());
                    writer.write_record(prediction.class.into_iter().chain(values))
                })
            });
            written.expect("writing to memory does not fail, and every row has the header's length");
            let bytes = writer.into_inner().unwrap_or_default();
            String::from_utf8_lossy(&bytes).trim_end().to_owned()
        }
    }
}

/// Reads the inputs of a CSV file, row after row: the columns of the model's features by name, or all columns if its
/// features have no names.
fn read_rows(path: &Path, preprocessing: &Preprocessing, console: Console) -> Result<Vec<f64>, Failure> {
    let data = |message: String| Failure::Data { path: path.to_owned(), message };
    let unreadable = |error: csv::Error| data(error.to_string());
    let named = preprocessing.features.is_some();
    let mut reader = csv::ReaderBuilder::new().has_headers(named).from_path(path).map_err(unreadable)?;
    let columns = match &preprocessing.features {
        Some(features) => {
            let header = reader.headers().map_err(unreadable)?.clone();
            let header: Vec<&str> = header.iter().map(str::trim).collect();
            find_columns(features, &header, console).map_err(data)?
        }
        None => (0..preprocessing.inputs).collect(),
    };
    let mut rows = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(unreadable)?;
        if !named && record.len() != columns.len() {
            let (found, expected) = (record.len(), columns.len());
            return Err(data(format!(
                "row {} has {found} columns, but the model takes {expected} inputs",
                index + 1
            )));
        }
        for &column in &columns {
            let cell = record.get(column).unwrap_or_default().trim();
            let number = cell.parse::<f64>().ok().filter(|number| number.is_finite());
            let message =
                || format!("row {}, column {}: \"{cell}\" is not a finite number", index + 1, column + 1);
            rows.push(number.ok_or_else(|| data(message()))?);
        }
    }
    if rows.is_empty() { Err(data("there are no rows to predict".into())) } else { Ok(rows) }
}

/// Where each feature stands in the header; columns that are no features are named, not silently passed over.
fn find_columns(features: &[String], header: &[&str], console: Console) -> Result<Vec<usize>, String> {
    let mut columns = Vec::with_capacity(features.len());
    for feature in features {
        let mut found = header.iter().enumerate().filter(|(_, name)| *name == feature);
        let Some((column, _)) = found.next() else {
            let near = suggest::nearest(feature, header.iter().copied());
            let hint = near.map_or_else(String::new, |near| format!("; the nearest is \"{near}\""));
            return Err(format!("there is no column \"{feature}\", which the model takes{hint}"));
        };
        if found.next().is_some() {
            return Err(format!("there are several columns \"{feature}\""));
        }
        columns.push(column);
    }
    let others: Vec<&str> =
        header.iter().copied().filter(|name| !features.iter().any(|feature| feature == name)).collect();
    if !others.is_empty() {
        console.note(&crate::diagnostic::visible(&format!("not used by the model: {}", others.join(", "))));
    }
    Ok(columns)
}
