//! A matrix within a larger one: gates of a recurrent layer, one head's columns, the window of a convolution.

use std::ops::Range;

use crate::{Rows, RowsMut};

/// `rows` rows of `columns` numbers, only read: row `i` starts at number `i · pitch`.
#[derive(Debug)]
pub struct Panel<'a, F> {
    data: &'a [F],
    rows: usize,
    columns: usize,
    pitch: usize,
}

// Not derived: a view is copied whether or not its numbers are.
impl<F> Copy for Panel<'_, F> {}

impl<F> Clone for Panel<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'a, F> Panel<'a, F> {
    /// `rows` rows of `columns` numbers, a row every `pitch` numbers.
    ///
    /// # Panics
    /// If the rows overlap or `data` ends before the last of them.
    #[inline]
    pub fn new(data: &'a [F], rows: usize, columns: usize, pitch: usize) -> Self {
        check(data.len(), rows, columns, pitch);
        Self { data, rows, columns, pitch }
    }

    /// Some columns of a batch.
    ///
    /// # Panics
    /// If there are none, or fewer than that.
    #[inline]
    pub fn of_columns(rows: Rows<'a, F>, columns: Range<usize>) -> Self {
        assert!(!columns.is_empty() && columns.end <= rows.width(), "{columns:?} of {}", rows.width());
        let data = rows.data().get(columns.start..).unwrap_or_default();
        Self { data, rows: rows.len(), columns: columns.len(), pitch: rows.width() }
    }

    /// The number of rows.
    #[inline]
    pub fn rows(self) -> usize {
        self.rows
    }

    /// Numbers in a row.
    #[inline]
    pub fn columns(self) -> usize {
        self.columns
    }

    /// Numbers from the start of a row to the start of the next.
    #[inline]
    pub fn pitch(self) -> usize {
        self.pitch
    }

    /// All numbers from the first of the first row on, those between rows too.
    #[inline]
    pub fn data(self) -> &'a [F] {
        self.data
    }

    /// The rows in order.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = &'a [F]> {
        self.data.chunks(self.pitch).take(self.rows).map(move |row| &row[..self.columns])
    }
}

impl<'a, F> From<Rows<'a, F>> for Panel<'a, F> {
    #[inline]
    fn from(rows: Rows<'a, F>) -> Self {
        Self { data: rows.data(), rows: rows.len(), columns: rows.width(), pitch: rows.width() }
    }
}

/// A [`Panel`] that is written; the numbers between its rows are left alone.
#[derive(Debug)]
pub struct PanelMut<'a, F> {
    data: &'a mut [F],
    rows: usize,
    columns: usize,
    pitch: usize,
}

impl<'a, F> PanelMut<'a, F> {
    /// As [`Panel::new`].
    ///
    /// # Panics
    /// As [`Panel::new`].
    #[inline]
    pub fn new(data: &'a mut [F], rows: usize, columns: usize, pitch: usize) -> Self {
        check(data.len(), rows, columns, pitch);
        Self { data, rows, columns, pitch }
    }

    /// As [`Panel::of_columns`].
    ///
    /// # Panics
    /// As [`Panel::of_columns`].
    #[inline]
    pub fn of_columns(rows: RowsMut<'a, F>, columns: Range<usize>) -> Self {
        let (count, width, data) = (rows.len(), rows.width(), rows.into_data());
        assert!(!columns.is_empty() && columns.end <= width, "{columns:?} of {width}");
        let data = data.get_mut(columns.start..).unwrap_or_default();
        Self { data, rows: count, columns: columns.len(), pitch: width }
    }

    /// The number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers in a row.
    #[inline]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Numbers from the start of a row to the start of the next.
    #[inline]
    pub fn pitch(&self) -> usize {
        self.pitch
    }

    /// As [`Panel::data`].
    #[inline]
    pub fn into_data(self) -> &'a mut [F] {
        self.data
    }

    /// The rows in order.
    #[inline]
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut [F]> {
        let columns = self.columns;
        self.data.chunks_mut(self.pitch).take(self.rows).map(move |row| &mut row[..columns])
    }
}

impl<'a, F> From<RowsMut<'a, F>> for PanelMut<'a, F> {
    #[inline]
    fn from(rows: RowsMut<'a, F>) -> Self {
        let (count, width) = (rows.len(), rows.width());
        Self { rows: count, columns: width, pitch: width, data: rows.into_data() }
    }
}

#[inline]
fn check(len: usize, rows: usize, columns: usize, pitch: usize) {
    assert!(columns <= pitch, "rows of {columns} numbers every {pitch}");
    let fits = rows == 0 || columns == 0 || (rows - 1) * pitch + columns <= len;
    assert!(fits, "{rows} rows of {columns} every {pitch} in {len} numbers");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_some_columns_of_each_row() {
        let mut data = [1, 2, 3, 4, 5, 6];
        let panel = Panel::of_columns(Rows::new(&data, 3), 1..3);
        assert_eq!((panel.rows(), panel.columns(), panel.pitch()), (2, 2, 3));
        assert_eq!(panel.iter().collect::<Vec<_>>(), [[2, 3], [5, 6]]);
        let mut panel = PanelMut::of_columns(RowsMut::new(&mut data, 3), 0..2);
        panel.iter_mut().for_each(|row| row.fill(0));
        assert_eq!(data, [0, 0, 3, 0, 0, 6]);
    }

    #[test]
    fn may_have_no_rows() {
        let none: [f64; 0] = [];
        assert_eq!(Panel::of_columns(Rows::new(&none, 3), 1..3).iter().count(), 0);
        assert_eq!(Panel::new(&none, 0, 2, 3).iter().count(), 0);
    }

    #[test]
    #[should_panic(expected = "of 3")]
    fn refuses_columns_that_are_not_there() {
        let _ = Panel::of_columns(Rows::new(&[1, 2, 3], 3), 2..4);
    }

    #[test]
    #[should_panic(expected = "2 rows of 3 every 4 in 6 numbers")]
    fn refuses_rows_that_are_not_there() {
        let _ = Panel::new(&[0; 6], 2, 3, 4);
    }
}
