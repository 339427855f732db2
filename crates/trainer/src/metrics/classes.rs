//! Metrics that count right answers.

use super::{Metric, Score};

/// How often each class was meant, said, and said rightly.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counts {
    meant: Vec<u64>,
    said: Vec<u64>,
    right: Vec<u64>,
    /// The whole table, a row a class that was meant, only where it is asked for: it is the square of the others.
    table: Option<Vec<u64>>,
}

impl Counts {
    /// No answer yet.
    pub(super) fn new(classes: usize, with_table: bool) -> Self {
        let zeros = || vec![0; classes];
        let table = with_table.then(|| vec![0; classes * classes]);
        Self { meant: zeros(), said: zeros(), right: zeros(), table }
    }

    /// Counts one answer.
    pub(super) fn add(&mut self, meant: usize, said: usize) {
        let classes = self.meant.len();
        self.meant[meant] += 1;
        self.said[said] += 1;
        self.right[meant] += u64::from(meant == said);
        if let Some(table) = &mut self.table {
            table[meant * classes + said] += 1;
        }
    }

    /// Adds the answers of `other`, which is of the same classes.
    pub(super) fn append(&mut self, other: &Self) {
        let add = |own: &mut [u64], other: &[u64]| {
            own.iter_mut().zip(other).for_each(|(own, other)| *own += other);
        };
        add(&mut self.meant, &other.meant);
        add(&mut self.said, &other.said);
        add(&mut self.right, &other.right);
        if let (Some(own), Some(other)) = (&mut self.table, &other.table) {
            add(own, other);
        }
    }

    /// The value of a metric that counts; none of one that does not, or of a table that was not kept.
    pub(super) fn score(&self, metric: Metric) -> Option<Score> {
        let number = match metric {
            Metric::Accuracy => ratio(self.right.iter().sum(), self.meant.iter().sum()),
            Metric::Precision => self.average(|class| ratio(self.right[class], self.said[class])),
            Metric::Recall => self.average(|class| ratio(self.right[class], self.meant[class])),
            Metric::F1 => self.average(|class| {
                // 2 p r / (p + r), with p = right / said and r = right / meant.
                ratio(2 * self.right[class], self.said[class] + self.meant[class])
            }),
            Metric::ConfusionMatrix => {
                let counts = self.table.clone()?;
                return Some(Score::Matrix { counts, classes: self.meant.len() });
            }
            _ => return None,
        };
        Some(Score::Number(number))
    }

    /// Of two classes that of the second, of more the mean over those that occur.
    fn average(&self, of_class: impl Fn(usize) -> f64) -> f64 {
        let classes = self.meant.len();
        if classes == 2 {
            return of_class(1);
        }
        let occurs = |&class: &usize| self.meant[class] + self.said[class] > 0;
        let values: Vec<f64> = (0..classes).filter(occurs).map(of_class).collect();
        values.iter().sum::<f64>() / values.len() as f64
    }
}

/// 0 where there is nothing to divide by.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(classes: usize, answers: &[(usize, usize)]) -> Counts {
        let mut counts = Counts::new(classes, true);
        answers.iter().for_each(|&(meant, said)| counts.add(meant, said));
        counts
    }

    fn number(counts: &Counts, metric: Metric) -> f64 {
        match counts.score(metric) {
            Some(Score::Number(number)) => number,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_two_classes_the_second_is_meant() {
        let counts = counts(2, &[(0, 0), (0, 1), (1, 1), (1, 1), (1, 0), (1, 0)]);
        assert_eq!(number(&counts, Metric::Accuracy), 0.5);
        assert_eq!(number(&counts, Metric::Precision), 2.0 / 3.0);
        assert_eq!(number(&counts, Metric::Recall), 0.5);
        assert_eq!(number(&counts, Metric::F1), 4.0 / 7.0);
        let table = Score::Matrix { counts: vec![1, 1, 2, 2], classes: 2 };
        assert_eq!(counts.score(Metric::ConfusionMatrix), Some(table));
    }

    #[test]
    fn of_more_classes_only_those_that_occur_are_averaged() {
        // Class 3 is neither meant nor said; class 2 is said but never meant: its recall is 0.
        let counts = counts(4, &[(0, 0), (1, 1), (1, 2), (0, 0)]);
        assert_eq!(number(&counts, Metric::Precision), 2.0 / 3.0);
        assert_eq!(number(&counts, Metric::Recall), 0.5);
    }

    #[test]
    fn parts_add_up() {
        let mut left = counts(3, &[(0, 1), (2, 2)]);
        left.append(&counts(3, &[(1, 1)]));
        assert_eq!(left, counts(3, &[(1, 1), (0, 1), (2, 2)]));
    }
}
