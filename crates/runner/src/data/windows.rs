//! Data in an order, of time or of a text: samples are windows, and what is held out is cut from the end.

use chainrule_trainer::{Fractions, Split};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, DataError};

/// How samples are taken from the rows of a time series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Rows of a sample.
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    pub length: usize,
    /// How many rows after the last of the sample the target stands: 1 is the next.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    pub horizon: usize,
    /// Rows from the begin of a sample to that of the next.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    pub stride: usize,
}

fn one() -> usize {
    1
}

impl Window {
    /// Rows from the first of a sample to its target.
    pub(super) fn extent(self) -> usize {
        self.length.saturating_add(self.horizon)
    }

    /// Where samples begin in `rows` rows, of which no target has to be there.
    pub(crate) fn starts(self, rows: usize) -> impl ExactSizeIterator<Item = usize> + Clone {
        let count = (rows + 1).saturating_sub(self.length).div_ceil(self.stride);
        (0..count).map(move |index| index * self.stride)
    }
}

/// Windows of data in an order: those of each part lie within it, so that none sees what another part is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InOrder {
    /// Where each begins: first those of the training part, then of validation and test.
    pub(super) starts: Vec<usize>,
    /// Which are of which part.
    pub(super) split: Split,
    /// How much of the data is the training part.
    pub(super) training: usize,
}

/// A part that is shorter than a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Short {
    part: &'static str,
    found: usize,
}

/// Cuts `total` of something, `things`, into a training part, then validation, then test, and each into windows of `extent`
/// that begin `stride` apart.
///
/// # Errors
/// A part that is asked for and is shorter than a window: the training part is a fault of the data at `key`.
pub(super) fn in_order(
    total: usize,
    (extent, stride): (usize, usize),
    context: &Context<'_>,
    (key, things): (&str, &str),
) -> Result<InOrder, DataError> {
    cut(total, (extent, stride), context.common.fractions()).map_err(|Short { part, found }| {
        let message = format!(
            "the {part} part has {found} of the {total} {things}, but a sample and its target take {extent}"
        );
        match part {
            "training" => context.mistake(key, message, "use more data, shorter samples, or hold out less"),
            part => context.mistake(part, message, "hold out more, or use shorter samples"),
        }
    })
}

fn cut(total: usize, (extent, stride): (usize, usize), fractions: Fractions) -> Result<InOrder, Short> {
    // Shares of 1 and more together are a mistake that is known already.
    let Fractions { validation, test } = match fractions.validation + fractions.test < 1.0 {
        true => fractions,
        false => Fractions::default(),
    };
    let share = |fraction: f64| (fraction * total as f64).round() as usize;
    let test_from = total.saturating_sub(share(test));
    let validation_from = test_from.saturating_sub(share(validation));
    let mut starts = Vec::new();
    let mut windows = |part, is_asked_for: bool, from: usize, to: usize| {
        let first = starts.len() as u32;
        if !is_asked_for {
            return Ok(Vec::new());
        }
        if to - from < extent {
            return Err(Short { part, found: to - from });
        }
        starts.extend((from..=to - extent).step_by(stride));
        Ok((first..starts.len() as u32).collect())
    };
    let split = Split {
        train: windows("training", true, 0, validation_from)?,
        validation: windows("validation", validation > 0.0, validation_from, test_from)?,
        test: windows("test", test > 0.0, test_from, total)?,
    };
    Ok(InOrder { starts, split, training: validation_from })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fractions(validation: f64, test: f64) -> Fractions {
        Fractions { validation, test }
    }

    #[test]
    fn parts_follow_each_other_and_no_window_reaches_into_another() {
        let InOrder { starts, split, training } = cut(20, (4, 2), fractions(0.25, 0.3)).unwrap();
        assert_eq!(training, 9);
        let of = |part: &[u32]| part.iter().map(|&sample| starts[sample as usize]).collect::<Vec<_>>();
        assert_eq!(of(&split.train), [0, 2, 4]);
        assert_eq!(of(&split.validation), [9]);
        assert_eq!(of(&split.test), [14, 16]);
    }

    #[test]
    fn a_part_shorter_than_a_window_is_named() {
        let short = |total, validation, test| cut(total, (4, 1), fractions(validation, test)).unwrap_err();
        assert_eq!(short(3, 0.0, 0.0), Short { part: "training", found: 3 });
        assert_eq!(short(20, 0.1, 0.0), Short { part: "validation", found: 2 });
        assert_eq!(short(20, 0.2, 0.1), Short { part: "test", found: 2 });
    }

    #[test]
    fn new_rows_are_cut_without_a_target() {
        let starts = |rows, stride| Window { length: 3, horizon: 9, stride }.starts(rows).collect::<Vec<_>>();
        assert_eq!(starts(5, 1), [0, 1, 2]);
        assert_eq!(starts(6, 2), [0, 2]);
        assert!(starts(2, 1).is_empty());
    }
}
