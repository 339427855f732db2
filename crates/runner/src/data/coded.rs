//! Targets as they were read, as numbers and classes.

use std::borrow::Cow;

use chainrule_core::Float;
use chainrule_trainer::TargetData;
use chainrule_trainer::metrics::Task;

use super::csv_file::shown;
use super::labels::MOST_LABELS;
use super::prepare::{OutputTargets, PrepareError};
use super::{LabelColumn, Labels, OutputNames, Preprocessing, Raw, RawTargets, TargetColumn};

/// So many labels are shown.
const LISTED: usize = 12;

/// The targets of one output, of all rows.
enum Codes<'a> {
    Values { data: Cow<'a, [f64]>, width: usize },
    Classes { data: Cow<'a, [u32]>, width: usize },
    YesNo(Vec<u32>),
    NextTokens,
}

/// The targets of all samples, output by output.
pub(super) struct Coded<'a> {
    codes: Vec<Codes<'a>>,
    raw: &'a Raw,
}

impl<'a> Coded<'a> {
    /// Codes the targets of `outputs` and names them: by the labels that are `stored`, or by those of all samples, held
    /// out or not, so that every part has the same classes.
    pub(super) fn new(
        raw: &'a Raw,
        outputs: &[OutputTargets],
        stored: Option<&Preprocessing>,
    ) -> Result<(Self, Vec<OutputNames>), PrepareError> {
        let known = |index| stored.map(|stored| stored.of_output(index).labels);
        let mut coded: Vec<(Codes<'a>, OutputNames)> = Vec::with_capacity(outputs.len());
        if let [_] = outputs {
            coded.push(one(raw, known(0))?);
        } else {
            let mut start = 0;
            check_columns(raw, outputs)?;
            for (index, output) in outputs.iter().enumerate() {
                coded.push(of_several(raw, output, start, known(index))?);
                start += output.columns;
            }
        }
        let (codes, names) = coded.into_iter().unzip();
        Ok((Self { codes, raw }, names))
    }

    /// Targets of one sample.
    pub(super) fn per_sample(&self) -> usize {
        let of = |codes: &Codes<'_>| match codes {
            Codes::Values { width, .. } | Codes::Classes { width, .. } => *width,
            Codes::YesNo(_) => 1,
            Codes::NextTokens => self.raw.x.width(),
        };
        self.codes.iter().map(of).sum()
    }

    /// The class of each row, of the first output that has classes.
    pub(super) fn classes(&self, outputs: &[OutputTargets]) -> Option<Cow<'_, [u32]>> {
        for (codes, output) in self.codes.iter().zip(outputs) {
            match (codes, output.task) {
                (Codes::Classes { data, width: 1 }, _) => return Some(Cow::Borrowed(data)),
                (Codes::YesNo(classes), _) => return Some(Cow::Borrowed(classes)),
                (Codes::Values { data, width: 1 }, Task::Binary { threshold }) => {
                    return Some(data.iter().map(|&value| u32::from(value >= threshold)).collect());
                }
                _ => {}
            }
        }
        None
    }

    /// The targets of some samples, output by output.
    pub(super) fn data<F: Float>(&self, samples: &[u32]) -> Vec<TargetData<F>> {
        let of_rows: Vec<u32>;
        let rows_of = match &self.raw.y_rows {
            Some(rows) => {
                of_rows = samples.iter().map(|&sample| rows[sample as usize]).collect();
                &of_rows
            }
            None => samples,
        };
        let data = |codes: &Codes<'_>| match codes {
            Codes::Values { data, width } => {
                let values = rows(data, *width, rows_of).into_iter().map(F::of);
                TargetData::Values { data: values.collect(), width: *width }
            }
            Codes::Classes { data, width } => {
                TargetData::Classes { data: rows(data, *width, rows_of), per_sample: *width }
            }
            Codes::YesNo(all) => {
                let values = rows(all, 1, rows_of).into_iter().map(|class| F::of(f64::from(class)));
                TargetData::Values { data: values.collect(), width: 1 }
            }
            Codes::NextTokens => {
                let x = &self.raw.x;
                TargetData::Classes { data: x.next_tokens(samples), per_sample: x.width() }
            }
        };
        self.codes.iter().map(data).collect()
    }
}

/// The rows of these numbers, one after the other.
fn rows<T: Copy>(data: &[T], width: usize, of: &[u32]) -> Vec<T> {
    let mut rows = Vec::with_capacity(of.len() * width);
    for &row in of {
        let start = row as usize * width;
        rows.extend_from_slice(&data[start..start + width]);
    }
    rows
}

/// The classes of a column of labels, and the labels: those that are known, or its own.
fn classes(column: &LabelColumn, known: Option<Option<Labels>>) -> Result<(Vec<u32>, Labels), PrepareError> {
    let labels = known.flatten().unwrap_or_else(|| Labels::of(column));
    let classes = labels.classes(column).map_err(PrepareError::Label)?;
    Ok((classes, labels))
}

/// All targets, for the only output.
fn one<'a>(raw: &'a Raw, known: Option<Option<Labels>>) -> Result<(Codes<'a>, OutputNames), PrepareError> {
    let (codes, labels) = match &raw.y {
        RawTargets::Values { data, width } => (Codes::Values { data: data.into(), width: *width }, None),
        RawTargets::Indices(indices) => (Codes::Classes { data: indices.into(), width: 1 }, None),
        RawTargets::PositionIndices { data, width } => {
            (Codes::Classes { data: data.into(), width: *width }, None)
        }
        RawTargets::Labels(column) => {
            let (classes, labels) = classes(column, known)?;
            (Codes::Classes { data: classes.into(), width: 1 }, Some(labels))
        }
        RawTargets::YesNo(column) => {
            let (classes, labels) = classes(column, known)?;
            (Codes::YesNo(classes), Some(labels))
        }
        RawTargets::NextTokens => (Codes::NextTokens, None),
        RawTargets::Columns(_) => unreachable!("a reader gives columns to several outputs alone"),
    };
    Ok((codes, OutputNames { targets: raw.targets.clone(), labels }))
}

/// The data have as many columns as all outputs take.
fn check_columns(raw: &Raw, outputs: &[OutputTargets]) -> Result<(), PrepareError> {
    let found = match &raw.y {
        RawTargets::Values { width, .. } => *width,
        RawTargets::Columns(columns) => columns.len(),
        _ => return Err(PrepareError::OneOutput),
    };
    let total = outputs.iter().map(|output| output.columns).fold(0, usize::saturating_add);
    if total == found {
        return Ok(());
    }
    let takes = |output: &OutputTargets| format!("{} (\"{}\")", output.columns, output.name);
    let takes: Vec<String> = outputs.iter().map(takes).collect();
    Err(PrepareError::Columns { takes: format!("{} = {total} targets a sample", takes.join(" + ")), found })
}

/// The columns of one of several outputs, from `start` on.
fn of_several<'a>(
    raw: &'a Raw,
    output: &OutputTargets,
    start: usize,
    known: Option<Option<Labels>>,
) -> Result<(Codes<'a>, OutputNames), PrepareError> {
    let range = start..start + output.columns;
    let targets = raw.targets.as_ref().map(|names| names[range.clone()].to_vec());
    let named = |labels| OutputNames { targets: targets.clone(), labels };
    let width = output.columns;
    let numbers: Vec<f64> = match &raw.y {
        RawTargets::Columns(columns) => {
            let own = &columns[range];
            match (output.task, own) {
                (Task::Classes, [column]) => {
                    let labels = column.labels.as_ref().ok_or_else(|| column.too_many())?;
                    let (classes, labels) = classes(labels, known)?;
                    return Ok((Codes::Classes { data: classes.into(), width: 1 }, named(Some(labels))));
                }
                (Task::Binary { threshold }, [column]) if threshold > 0.0 && !column.is_probability() => {
                    let (classes, labels) = classes(column.two_labels()?, known)?;
                    return Ok((Codes::YesNo(classes), named(Some(labels))));
                }
                _ => side_by_side(own)?,
            }
        }
        RawTargets::Values { data, width: all } => {
            data.chunks_exact(*all).flat_map(|row| &row[range.clone()]).copied().collect()
        }
        _ => return Err(PrepareError::OneOutput),
    };
    if output.task != Task::Classes {
        return Ok((Codes::Values { data: numbers.into(), width }, named(None)));
    }
    let class = |(at, &value): (usize, &f64)| match value >= 0.0 && value.fract() == 0.0 && value < 4e9 {
        true => Ok(value as u32),
        false => {
            let (row, column, output) = (at / width, start + at % width, output.name.clone());
            Err(PrepareError::ClassIndex { output, row, column, value })
        }
    };
    let classes: Vec<u32> = numbers.iter().enumerate().map(class).collect::<Result<_, _>>()?;
    Ok((Codes::Classes { data: classes.into(), width }, named(None)))
}

/// The numbers of several columns, row by row.
fn side_by_side(columns: &[TargetColumn]) -> Result<Vec<f64>, PrepareError> {
    let numbers = |column: &'_ TargetColumn| match &column.numbers {
        Ok(numbers) => Ok(numbers.clone()),
        Err(message) => Err(column.wrong(message.clone())),
    };
    let columns: Vec<Vec<f64>> = columns.iter().map(numbers).collect::<Result<_, _>>()?;
    let rows = columns.first().map_or(0, Vec::len);
    Ok((0..rows).flat_map(|row| columns.iter().map(move |column| column[row])).collect())
}

impl TargetColumn {
    fn wrong(&self, message: String) -> PrepareError {
        PrepareError::Content { path: self.path.clone(), message }
    }

    fn too_many(&self) -> PrepareError {
        let name = shown(&self.name);
        self.wrong(format!(
            "column \"{name}\" holds more than {MOST_LABELS} different labels; if they are numbers to predict, use the loss `mse`"
        ))
    }

    /// Whether it holds numbers between 0 and 1 that are not just labels.
    fn is_probability(&self) -> bool {
        let Ok(numbers) = &self.numbers else { return false };
        let within = numbers.iter().all(|number| (0.0..=1.0).contains(number));
        within && numbers.iter().any(|&number| number != 0.0 && number != 1.0)
    }

    /// Its labels, which are two.
    fn two_labels(&self) -> Result<&LabelColumn, PrepareError> {
        let labels = self.labels.as_ref().ok_or_else(|| self.too_many())?;
        let names = Labels::of(labels).names();
        if names.len() == 2 {
            return Ok(labels);
        }
        let listed: Vec<String> =
            names.iter().take(LISTED).map(|name| format!("\"{}\"", shown(name))).collect();
        Err(self.wrong(format!(
            "column \"{}\" must hold two labels, or probabilities between 0 and 1, for this loss, but it holds {}: {}; `cross_entropy` takes any number of labels",
            shown(&self.name),
            names.len(),
            listed.join(", "),
        )))
    }
}
