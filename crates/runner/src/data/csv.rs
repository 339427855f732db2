//! `type = "csv"`: the samples stand in a file with a header, a row a sample.

use std::collections::HashMap;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use chainrule_trainer::metrics::Task;

use super::csv_file::{CsvFile, FirstLine, shown};
use super::labels::{LabelColumn, Labels, MOST_LABELS};
use super::windows::{InOrder, in_order};
use super::{Context, DataError, Kept, Parts, Raw, RawTargets, Window, keys};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::Node;
use crate::registry::Spec;
use crate::suggest;

/// So many names of columns are listed or compared.
const LISTED: usize = 12;
const COMPARED: usize = 10_000;

/// Samples in a CSV file, also gzipped; columns are named by its first line.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CsvData {
    /// The file, relative to this one.
    #[schemars(length(min = 1))]
    path: String,
    /// The columns that are inputs; all but the target, if not given.
    #[schemars(length(min = 1))]
    features: Option<Vec<String>>,
    /// The column that is predicted: numbers, or the labels of classes; a list for several columns of numbers.
    target: Columns,
    /// Takes the rows for a time series in the order of the file: a sample is length consecutive rows of the features, its
    /// target stands horizon rows after the last of them. validation and test are then cut from the end, in order, and the
    /// target may be a feature too.
    window: Option<Window>,
}

impl Spec for CsvData {
    const TYPE: &'static str = "csv";
}

/// One name or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Columns {
    One(String),
    Several(Vec<String>),
}

impl Columns {
    fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

impl JsonSchema for Columns {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Columns".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            ],
        })
    }
}

/// Reads the file of a `[data]` table that conforms to the schema.
pub(super) fn read(node: &Node, context: &Context<'_>) -> Result<Raw, DataError> {
    let data: CsvData = keys(node)?;
    let path = Path::new(&data.path);
    // A pipe without a writer would be waited for.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err(DataError::Content { path: path.to_owned(), message: "this is not a file".into() });
    }
    let mut file = CsvFile::open(path, FirstLine::Names)?;
    let (features, targets) = columns(&data, node, &file, context)?;
    let mut reading = Reading::new(&targets, context.task);
    let mut x = Vec::new();
    while file.next_row()? {
        for &column in &features {
            x.push(file.number(column)?);
        }
        reading.take(&mut file)?;
    }
    if x.is_empty() {
        return Err(file.wrong("there are no rows below the header"));
    }
    let names = |columns: &[usize]| columns.iter().map(|&column| file.header()[column].clone()).collect();
    let raw = Raw {
        features: Some(names(&features)),
        targets: Some(names(&targets)),
        ..Raw::of_rows(x, features.len(), reading.targets(&file)?)
    };
    match data.window {
        Some(window) => series(raw, window, context),
        None => Ok(raw),
    }
}

/// The rows of `raw` as a time series.
fn series(raw: Raw, window: Window, context: &Context<'_>) -> Result<Raw, DataError> {
    let (rows, features) = (raw.x.len(), raw.x.width());
    let windows = (window.extent(), window.stride);
    let InOrder { starts, split, training } = in_order(rows, windows, context, ("window", "rows"))?;
    let target = |start: &usize| (start + window.extent() - 1) as u32;
    Ok(Raw {
        y_rows: Some(starts.iter().map(target).collect()),
        x: raw
            .x
            .into_windows(window.length * features, starts.iter().map(|start| start * features).collect()),
        shape: Some(vec![window.length, features]),
        parts: Parts::Given(split),
        kept: Kept { window: Some((window, training)), ..Kept::default() },
        ..raw
    })
}

/// The columns of inputs and targets; every name that is not right is a mistake of the experiment file.
fn columns(
    data: &CsvData,
    node: &Node,
    file: &CsvFile,
    context: &Context<'_>,
) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (column, name) in file.header().iter().enumerate() {
        if let Some(first) = places.insert(name, column) {
            let (first, second) = (first + 1, column + 1);
            return Err(
                file.wrong(format!("columns {first} and {second} are both called \"{}\"", shown(name)))
            );
        }
    }
    let mut mistakes = Diagnostics::new();
    let mut used: HashMap<usize, &str> = HashMap::new();
    let mut find = |key: &'static str, names: &[String]| -> Vec<usize> {
        let mut found = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let place = node.at(&[key, &index.to_string()]).or(node.at(&[key])).unwrap_or(node).place;
            match places.get(name.as_str()) {
                None => {
                    let message = format!("{} has no column `{}`", file_name(&data.path), shown(name));
                    mistakes.push(Diagnostic::new(message).at(place).help(column_help(name, file.header())));
                }
                Some(&column) => match used.insert(column, key) {
                    None => found.push(column),
                    // What a series was is known when it is asked what it will be.
                    Some(other) if data.window.is_some() && other != key => found.push(column),
                    Some(other) => {
                        let message =
                            format!("the column `{}` is in `{other}` and again in `{key}`", shown(name));
                        mistakes.push(Diagnostic::new(message).at(place).help("name each column once"));
                    }
                },
            }
        }
        found
    };
    let targets = find("target", data.target.names());
    let features = match &data.features {
        Some(names) => find("features", names),
        None => (0..file.header().len()).filter(|column| !targets.contains(column)).collect(),
    };
    if context.task == Task::Classes && targets.len() > 1 {
        let place = node.at(&["target"]).unwrap_or(node).place;
        let message = "the loss compares classes, of which a sample has one, but there are several targets";
        mistakes.push(Diagnostic::new(message).at(place).help("name one column"));
    }
    if !mistakes.is_empty() {
        return Err(DataError::File(mistakes));
    }
    if features.is_empty() {
        let help = match data.window {
            Some(_) => "; list it in `features`, if its own past is to foretell it",
            None => "",
        };
        return Err(file.wrong(format!("there is no column beside the target{help}")));
    }
    if let (None, Some(column)) =
        (&data.features, features.iter().find(|&&column| file.header()[column].is_empty()))
    {
        let message = format!("column {} has no name; list the columns to use in `features`", column + 1);
        return Err(file.wrong(message));
    }
    Ok((features, targets))
}

fn file_name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.into(), |name| name.to_string_lossy().into_owned())
}

/// Which column was meant.
fn column_help(name: &str, header: &[String]) -> String {
    if header.iter().all(|name| name.parse::<f64>().is_ok()) {
        return "the first line of the file must hold the names of the columns".into();
    }
    if let [only] = header
        && only.contains([';', '\t'])
    {
        return "the cells of the file must be separated by commas".into();
    }
    // Comparing takes time in proportion to the length.
    let candidates = header.iter().take(COMPARED).map(String::as_str).filter(|name| name.len() <= 64);
    let mut columns: Vec<String> =
        header.iter().take(LISTED).map(|name| format!("`{}`", shown(name))).collect();
    if header.len() > LISTED {
        columns.push("...".into());
    }
    let columns = format!("the columns are {}", columns.join(", "));
    match suggest::nearest(name, candidates) {
        Some(near) => format!("did you mean `{near}`? {columns}"),
        None => columns,
    }
}

/// The targets, row by row.
enum Reading<'a> {
    Numbers { columns: &'a [usize], data: Vec<f64> },
    Labels { column: usize, labels: LabelColumn },
    YesNo(YesNo),
}

/// One column for a loss that tells yes from no: two labels, or probabilities.
struct YesNo {
    column: usize,
    /// None once there are too many to be labels.
    labels: Option<LabelColumn>,
    /// None once a cell is not a number between 0 and 1.
    probabilities: Option<Vec<f64>>,
}

impl<'a> Reading<'a> {
    fn new(columns: &'a [usize], task: Task) -> Self {
        match (task, columns) {
            (Task::Classes, &[column, ..]) => Self::Labels { column, labels: LabelColumn::of_csv() },
            (Task::Binary { threshold }, &[column]) if threshold > 0.0 => {
                let (labels, probabilities) = (Some(LabelColumn::of_csv()), Some(Vec::new()));
                Self::YesNo(YesNo { column, labels, probabilities })
            }
            _ => Self::Numbers { columns, data: Vec::new() },
        }
    }

    /// Takes the targets of the current row.
    fn take(&mut self, file: &mut CsvFile) -> Result<(), DataError> {
        match self {
            Self::Numbers { columns, data } => {
                for &column in *columns {
                    data.push(file.number(column)?);
                }
            }
            Self::Labels { column, labels } => {
                if !labels.push(file.label(*column)?) {
                    return Err(too_many(file, *column));
                }
            }
            Self::YesNo(reading) => {
                let label = file.label(reading.column)?;
                reading.labels = reading.labels.take().and_then(|mut labels| {
                    let kept = labels.push(label);
                    kept.then_some(labels)
                });
                let probability = label.parse().ok().filter(|probability| (0.0..=1.0).contains(probability));
                reading.probabilities =
                    reading.probabilities.take().zip(probability).map(|(mut all, probability)| {
                        all.push(probability);
                        all
                    });
            }
        }
        Ok(())
    }

    /// All targets.
    fn targets(self, file: &CsvFile) -> Result<RawTargets, DataError> {
        match self {
            Self::Numbers { columns, data } => Ok(RawTargets::Values { data, width: columns.len() }),
            Self::Labels { labels, .. } => Ok(RawTargets::Labels(labels)),
            Self::YesNo(YesNo { column, labels, probabilities }) => {
                if let Some(data) = probabilities
                    && data.iter().any(|&probability| probability != 0.0 && probability != 1.0)
                {
                    return Ok(RawTargets::Values { data, width: 1 });
                }
                let labels = labels.ok_or_else(|| too_many(file, column))?;
                match Labels::of(&labels).names() {
                    names if names.len() == 2 => Ok(RawTargets::YesNo(labels)),
                    names => {
                        let shown: Vec<String> =
                            names.iter().take(LISTED).map(|name| format!("\"{}\"", shown(name))).collect();
                        Err(file.wrong(format!(
                            "column \"{}\" must hold two labels, or probabilities between 0 and 1, for this loss, but it holds {}: {}; `cross_entropy` takes any number of labels",
                            file.header()[column],
                            names.len(),
                            shown.join(", "),
                        )))
                    }
                }
            }
        }
    }
}

fn too_many(file: &CsvFile, column: usize) -> DataError {
    file.wrong(format!(
        "column \"{}\" holds more than {MOST_LABELS} different labels; if they are numbers to predict, use the loss `mse`",
        shown(&file.header()[column])
    ))
}
