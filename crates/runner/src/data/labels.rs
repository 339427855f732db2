//! Class labels: sorted, mapped to classes, and back.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// So many different labels are taken for classes; more are numbers in the wrong place.
pub(super) const MOST_LABELS: usize = 1 << 16;

/// The labels of classes, sorted; a class is a position here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Labels {
    /// By value.
    Numbers(Vec<f64>),
    /// By code point.
    Text(Vec<String>),
}

impl Labels {
    /// The labels of a column.
    pub(super) fn of(column: &LabelColumn) -> Self {
        let numbers: Option<Vec<f64>> = column.distinct.iter().map(|label| number(label)).collect();
        match numbers.filter(|_| column.may_be_numbers) {
            Some(mut numbers) => {
                numbers.sort_by(f64::total_cmp);
                numbers.dedup();
                Self::Numbers(numbers)
            }
            None => {
                let mut labels = column.distinct.clone();
                labels.sort_unstable();
                Self::Text(labels)
            }
        }
    }

    /// How many there are.
    #[allow(clippy::len_without_is_empty)] // A column has a label.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Text(labels) => labels.len(),
        }
    }

    /// What the classes are called, in order.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Numbers(numbers) => numbers.iter().map(f64::to_string).collect(),
            Self::Text(labels) => labels.clone(),
        }
    }

    fn class(&self, label: &String) -> Option<u32> {
        let class = match self {
            Self::Numbers(numbers) => {
                let number = number(label)?;
                numbers.binary_search_by(|other| other.total_cmp(&number))
            }
            Self::Text(labels) => labels.binary_search(label),
        };
        class.ok().and_then(|class| u32::try_from(class).ok())
    }

    /// The class of every sample of a column.
    ///
    /// # Errors
    /// The first label that is none of these.
    pub(super) fn classes(&self, column: &LabelColumn) -> Result<Vec<u32>, String> {
        let class = |label: &String| self.class(label).ok_or_else(|| label.clone());
        let classes: Vec<u32> = column.distinct.iter().map(class).collect::<Result<_, _>>()?;
        Ok(column.of.iter().map(|&label| classes[label as usize]).collect())
    }
}

/// A label as a number; 0 and -0 are one.
fn number(label: &str) -> Option<f64> {
    label.parse().ok().filter(|number: &f64| number.is_finite()).map(|number| number + 0.0)
}

/// The label of every sample, each different one kept once.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelColumn {
    distinct: Vec<String>,
    of: Vec<u32>,
    places: HashMap<String, u32>,
    /// Whether labels that are all numbers are sorted by value: in a CSV file nothing tells `1` from `"1"`.
    may_be_numbers: bool,
}

impl LabelColumn {
    /// A column of a CSV file, still empty.
    pub(super) fn of_csv() -> Self {
        Self { may_be_numbers: true, ..Self::default() }
    }

    /// Labels that are written as text.
    pub(super) fn of_text(labels: Vec<String>) -> Self {
        let mut column = Self::default();
        for label in labels {
            // Inline data are bounded by the size of an experiment file.
            column.insert(&label);
        }
        column
    }

    /// Adds the label of the next sample; false if there are too many different ones.
    #[must_use]
    pub(super) fn push(&mut self, label: &str) -> bool {
        if self.distinct.len() >= MOST_LABELS && !self.places.contains_key(label) {
            return false;
        }
        self.insert(label);
        true
    }

    fn insert(&mut self, label: &str) {
        let next = self.distinct.len() as u32;
        let class = self.places.get(label).copied().unwrap_or_else(|| {
            self.places.insert(label.to_owned(), next);
            self.distinct.push(label.to_owned());
            next
        });
        self.of.push(class);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(labels: &[&str]) -> LabelColumn {
        let mut column = LabelColumn::of_csv();
        assert!(labels.iter().all(|label| column.push(label)));
        column
    }

    #[test]
    fn numbers_are_sorted_by_value_and_text_by_code_point() {
        let column = csv(&["10", "9", "-1", "9.0", "10"]);
        let labels = Labels::of(&column);
        assert_eq!(labels.names(), ["-1", "9", "10"]);
        assert_eq!(labels.classes(&column), Ok(vec![2, 1, 0, 1, 2]));
        let column = csv(&["10", "9", "b", "B"]);
        assert_eq!(Labels::of(&column).names(), ["10", "9", "B", "b"]);
        let inline = LabelColumn::of_text(vec!["10".into(), "9".into()]);
        assert_eq!(Labels::of(&inline).names(), ["10", "9"]);
    }

    #[test]
    fn zero_has_no_sign() {
        let column = csv(&["-0", "0", "1"]);
        assert_eq!(Labels::of(&column), Labels::Numbers(vec![0.0, 1.0]));
        assert_eq!(Labels::of(&column).classes(&column), Ok(vec![0, 0, 1]));
    }

    #[test]
    fn a_label_that_was_not_seen_is_named() {
        let labels = Labels::of(&csv(&["a", "b"]));
        assert_eq!(labels.classes(&csv(&["a", "c"])), Err("c".into()));
    }

    #[test]
    fn survive_being_stored() {
        for labels in [Labels::of(&csv(&["1", "2.5"])), Labels::of(&csv(&["1", "x"]))] {
            let text = serde_json::to_string(&labels).unwrap();
            assert_eq!(serde_json::from_str::<Labels>(&text).unwrap(), labels, "{text}");
        }
    }
}
