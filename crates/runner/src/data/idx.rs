//! `type = "idx"`: images and labels in files of the format of MNIST.

use std::path::Path;

use chainrule_trainer::metrics::Task;
use schemars::JsonSchema;
use serde::Deserialize;

use super::idx_file::IdxFile;
use super::{Context, DataError, Kept, Numbers, Parts, Raw, RawTargets, Samples, keys};
use crate::diagnostic::Diagnostics;
use crate::document::Node;
use crate::memory;
use crate::registry::Spec;

/// Samples in IDX files, the format of MNIST, also gzipped: one of numbers, whose first axis counts samples, and one of
/// whole numbers, the classes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IdxData {
    /// The file of the inputs, relative to this one.
    #[schemars(length(min = 1))]
    images: String,
    /// The file of the classes.
    #[schemars(length(min = 1))]
    labels: String,
    /// The inputs of the test part.
    #[schemars(length(min = 1))]
    test_images: Option<String>,
    /// The classes of the test part.
    #[schemars(length(min = 1))]
    test_labels: Option<String>,
    /// Use at most so many samples of images, from the start.
    #[schemars(range(min = 1))]
    limit: Option<usize>,
    /// What every input is divided by: 255 makes grey values numbers from 0 to 1.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    divide_by: f64,
}

fn one() -> f64 {
    1.0
}

impl Spec for IdxData {
    const TYPE: &'static str = "idx";
}

/// Reads the files of a `[data]` table that conforms to the schema.
pub(super) fn read(node: &Node, context: &Context<'_>) -> Result<Raw, DataError> {
    let data: IdxData = keys(node)?;
    let test = check(&data, context)?;
    let mut train = Part::open(&data.images, &data.labels)?;
    let mut test = test.map(|(images, labels)| Part::open(images, labels)).transpose()?;
    let samples = train.images.samples().min(data.limit.unwrap_or(usize::MAX));
    let test_samples = test.as_ref().map_or(0, |test| test.images.samples());
    let width = check_sizes(&train, test.as_ref(), samples + test_samples, context)?;

    let mut numbers = train.images.kind().none();
    let mut labels = train.read(samples, &mut numbers)?;
    if let Some(test) = &mut test {
        labels.extend(test.read(test_samples, &mut numbers)?);
    }
    let parts = if test.is_some() { Parts::TestFrom(samples) } else { Parts::Drawn };
    let divide_by = Some(data.divide_by).filter(|&divisor| divisor != 1.0);
    let raw = Raw::of_rows(Vec::new(), width, targets(labels, &train, context.task)?);
    Ok(Raw { x: Samples::rows(numbers, width), parts, kept: Kept { divide_by, ..Kept::default() }, ..raw })
}

/// The files of the test part, if the keys fit together.
fn check<'a>(data: &'a IdxData, context: &Context<'_>) -> Result<Option<(&'a str, &'a str)>, DataError> {
    let mut mistakes = Diagnostics::new();
    let mut keep = |error| {
        if let DataError::File(found) = error {
            mistakes.append(found);
        }
    };
    let test = match (&data.test_images, &data.test_labels) {
        (Some(images), Some(labels)) => Some((images.as_str(), labels.as_str())),
        (None, None) => None,
        (Some(_), None) => {
            let message = "data.test_images is there, but not data.test_labels";
            keep(context.mistake("test_images", message, "give both or none"));
            None
        }
        (None, Some(_)) => {
            let message = "data.test_labels is there, but not data.test_images";
            keep(context.mistake("test_labels", message, "give both or none"));
            None
        }
    };
    if test.is_some() && context.common.test > 0.0 {
        let message = "data.test is a share of the samples, but data.test_images is the test part";
        keep(context.mistake("test", message, "remove one of them"));
    }
    if mistakes.is_empty() { Ok(test) } else { Err(DataError::File(mistakes)) }
}

/// Two files that belong together.
struct Part {
    images: IdxFile,
    labels: IdxFile,
}

impl Part {
    fn open(images: &str, labels: &str) -> Result<Self, DataError> {
        let part =
            Self { images: IdxFile::open(Path::new(images))?, labels: IdxFile::open(Path::new(labels))? };
        let (count, labels) = (part.images.samples(), &part.labels);
        if !labels.shape().is_empty() {
            let axes = labels.shape().len() + 1;
            let exchanged =
                if part.images.shape().is_empty() { "; are images and labels exchanged?" } else { "" };
            return Err(labels.wrong(format!("labels have one axis, but this file has {axes}{exchanged}")));
        }
        if labels.samples() != count {
            let message = format!("it has {} labels, but {images} has {count} samples", labels.samples());
            return Err(labels.wrong(message));
        }
        Ok(part)
    }

    /// Adds the first samples to `numbers` and gives their labels.
    fn read(&mut self, samples: usize, numbers: &mut Numbers) -> Result<Vec<u32>, DataError> {
        let mut labels = self.labels.kind().none();
        self.labels.read(samples, &mut labels)?;
        let labels = self.whole(labels)?;
        self.images.read(samples, numbers)?;
        Ok(labels)
    }

    /// Labels as classes.
    fn whole(&self, labels: Numbers) -> Result<Vec<u32>, DataError> {
        let class = |(index, label): (usize, f64)| match label >= 0.0 && label.fract() == 0.0 && label < 4e9 {
            true => Ok(label as u32),
            false => Err(self
                .labels
                .wrong(format!("label {index} is {label}; labels must be whole numbers from 0 on"))),
        };
        match labels {
            Numbers::U8(labels) => Ok(labels.into_iter().map(u32::from).collect()),
            Numbers::F32(labels) => labels.into_iter().map(f64::from).enumerate().map(class).collect(),
            Numbers::F64(labels) => labels.into_iter().enumerate().map(class).collect(),
            _ => unreachable!("these are the types of IDX files"),
        }
    }
}

/// The width of a sample: both parts have the same, and all samples can be held in memory.
fn check_sizes(
    train: &Part,
    test: Option<&Part>,
    samples: usize,
    context: &Context<'_>,
) -> Result<usize, DataError> {
    if let Some(Part { images, .. }) = test {
        let (shape, expected) = (images.shape(), train.images.shape());
        if shape != expected {
            return Err(images.wrong(format!(
                "its samples are of shape {shape:?}, but those to train on of {expected:?}"
            )));
        }
        if images.kind() != train.images.kind() {
            return Err(images.wrong(format!(
                "its numbers are of type {:?}, but those to train on of {:?}; save both as one type",
                images.kind(),
                train.images.kind()
            )));
        }
    }
    if u32::try_from(samples).is_err() {
        return Err(train.images.wrong(format!("{samples} samples are too many; set `limit`")));
    }
    // Each number as it was read and as the network takes it; each label as read, as a class, and of its part.
    let width = train.images.shape().iter().try_fold(1usize, |width, &axis| width.checked_mul(axis));
    let bytes = (train.images.kind().bytes_read() + context.bytes) as u128;
    let needed = width
        .and_then(|width| (width as u128).checked_mul(bytes)?.checked_add(16)?.checked_mul(samples as u128));
    match needed.map_or_else(|| Err("more memory than there is".into()), memory::require) {
        Ok(()) => Ok(width.unwrap_or(1)),
        Err(needs) => Err(train.images.wrong(format!("{samples} samples need {needs}; set `limit`"))),
    }
}

/// The labels as the loss takes them.
fn targets(labels: Vec<u32>, part: &Part, task: Task) -> Result<RawTargets, DataError> {
    match task {
        Task::Classes => Ok(RawTargets::Indices(labels)),
        Task::Binary { .. } if labels.iter().any(|&label| label > 1) => {
            let message = "this loss takes labels 0 and 1, but there are others; use `cross_entropy`";
            Err(part.labels.wrong(message))
        }
        Task::Binary { threshold } if threshold <= 0.0 => {
            let message =
                "this loss takes targets -1 and 1, but labels are 0 and 1; use `binary_cross_entropy`";
            Err(part.labels.wrong(message))
        }
        _ => Ok(RawTargets::Values { data: labels.into_iter().map(f64::from).collect(), width: 1 }),
    }
}
