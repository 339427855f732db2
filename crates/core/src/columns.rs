//! Some columns of a batch: gates of a recurrent layer, or one of its directions.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2, s};

use crate::{Rows, RowsMut};

/// The columns `columns` of [`Rows`], only read.
#[derive(Clone, Debug)]
pub struct Columns<'a, F> {
    rows: Rows<'a, F>,
    columns: Range<usize>,
}

impl<'a, F> Columns<'a, F> {
    /// The columns `columns` of `rows`.
    ///
    /// # Panics
    /// If there are none, or fewer than that.
    #[inline]
    pub fn new(rows: Rows<'a, F>, columns: Range<usize>) -> Self {
        assert!(!columns.is_empty() && columns.end <= rows.width(), "{columns:?} of {}", rows.width());
        Self { rows, columns }
    }

    /// Numbers in a row.
    #[inline]
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// The number of rows.
    #[inline]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows in order, each a slice of `width` numbers.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &'a [F]> + use<'a, F> {
        let columns = self.columns.clone();
        self.rows.iter().map(move |row| &row[columns.clone()])
    }

    /// The matrix as ndarray sees it.
    pub fn view(&self) -> ArrayView2<'a, F> {
        self.rows.view().slice_move(s![.., self.columns.clone()])
    }
}

impl<'a, F> From<Rows<'a, F>> for Columns<'a, F> {
    fn from(rows: Rows<'a, F>) -> Self {
        Self { columns: 0..rows.width(), rows }
    }
}

impl<'a, F> From<RowsMut<'a, F>> for ColumnsMut<'a, F> {
    fn from(rows: RowsMut<'a, F>) -> Self {
        Self { columns: 0..rows.width(), rows }
    }
}

/// The columns `columns` of [`RowsMut`], written; the others are left alone.
#[derive(Debug)]
pub struct ColumnsMut<'a, F> {
    rows: RowsMut<'a, F>,
    columns: Range<usize>,
}

impl<'a, F> ColumnsMut<'a, F> {
    /// The columns `columns` of `rows`.
    ///
    /// # Panics
    /// If there are none, or fewer than that.
    #[inline]
    pub fn new(rows: RowsMut<'a, F>, columns: Range<usize>) -> Self {
        assert!(!columns.is_empty() && columns.end <= rows.width(), "{columns:?} of {}", rows.width());
        Self { rows, columns }
    }

    /// Numbers in a row.
    #[inline]
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// The rows in order, each a slice of `width` numbers.
    #[inline]
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut [F]> {
        let columns = self.columns.clone();
        self.rows.iter_mut().map(move |row| &mut row[columns.clone()])
    }

    /// The matrix as ndarray sees it.
    pub fn view_mut(&mut self) -> ArrayViewMut2<'_, F> {
        self.rows.view_mut().slice_move(s![.., self.columns.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_some_of_each_row() {
        let mut data = [1, 2, 3, 4, 5, 6];
        let columns = Columns::new(Rows::new(&data, 3), 1..3);
        assert_eq!((columns.len(), columns.width(), columns.is_empty()), (2, 2, false));
        assert_eq!(columns.iter().collect::<Vec<_>>(), [[2, 3], [5, 6]]);
        assert_eq!(columns.view()[(1, 0)], 5);
        let mut columns = ColumnsMut::new(RowsMut::new(&mut data, 3), 0..2);
        columns.iter_mut().for_each(|row| row.fill(0));
        columns.view_mut()[(0, 1)] = 7;
        assert_eq!(data, [0, 7, 3, 0, 0, 6]);
    }

    #[test]
    #[should_panic(expected = "of 3")]
    fn refuses_columns_that_are_not_there() {
        let _ = Columns::new(Rows::new(&[1, 2, 3], 3), 2..4);
    }
}
