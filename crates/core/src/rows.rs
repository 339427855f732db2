//! A batch as a matrix: one row a sample, rows one after the other in memory.

use ndarray::{ArrayView2, ArrayViewMut2};

/// A matrix `[rows, width]`, row-major and without gaps, that is only read.
///
/// A sample of shape `[c, h, w]` is a row of `c * h * w` numbers, last axis fastest.
/// That rows are contiguous is a promise of the type, so that loops over them vectorise.
#[derive(Debug)]
pub struct Rows<'a, F> {
    data: &'a [F],
    width: usize,
    /// Kept, since a division costs as much as a neuron.
    len: usize,
}

// Not derived: a view is copied whether or not its numbers are.
impl<F> Copy for Rows<'_, F> {}

impl<F> Clone for Rows<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'a, F> Rows<'a, F> {
    /// Reads `data` as rows of `width` numbers.
    ///
    /// # Panics
    /// If `width` is zero or does not divide the length of `data`.
    #[inline]
    pub fn new(data: &'a [F], width: usize) -> Self {
        assert!(width > 0 && data.len().is_multiple_of(width), "{} is no multiple of {width}", data.len());
        Self { data, width, len: data.len() / width }
    }

    /// Reads `data` as `len` rows.
    ///
    /// # Panics
    /// If `width` is zero or `data` does not hold that many numbers.
    #[inline]
    pub fn counted(data: &'a [F], len: usize, width: usize) -> Self {
        assert!(width > 0 && data.len() == len * width, "{} is not {len} times {width}", data.len());
        Self { data, width, len }
    }

    /// Reads all of `data` as one row.
    ///
    /// # Panics
    /// If there is nothing.
    #[inline(always)]
    pub fn one(data: &'a [F]) -> Self {
        assert!(!data.is_empty(), "a row has at least one number");
        Self { data, width: data.len(), len: 1 }
    }

    /// All numbers, row after row.
    #[inline]
    pub fn data(self) -> &'a [F] {
        self.data
    }

    /// Numbers in a row.
    #[inline]
    pub fn width(self) -> usize {
        self.width
    }

    /// The number of rows.
    #[inline]
    pub fn len(self) -> usize {
        self.len
    }

    /// Whether there are no rows.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.data.is_empty()
    }

    /// The rows in order, each a slice of `width` numbers.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = &'a [F]> {
        each(self.data, self.width)
    }

    /// `count` rows from row `start`.
    #[inline]
    pub fn slice(self, start: usize, count: usize) -> Self {
        if start == 0 && count == self.len {
            return self;
        }
        let data = &self.data[start * self.width..(start + count) * self.width];
        Self { data, width: self.width, len: count }
    }

    /// The same numbers as rows of another width.
    #[inline]
    pub fn with_width(self, width: usize) -> Self {
        if width == self.width { self } else { Self::new(self.data, width) }
    }

    /// The matrix as ndarray sees it.
    pub fn view(self) -> ArrayView2<'a, F> {
        ArrayView2::from_shape((self.len, self.width), self.data).expect("width divides the length: see new")
    }
}

/// A matrix `[rows, width]` as in [`Rows`] that is written.
#[derive(Debug)]
pub struct RowsMut<'a, F> {
    data: &'a mut [F],
    width: usize,
    len: usize,
}

impl<'a, F> RowsMut<'a, F> {
    /// Reads `data` as rows of `width` numbers to write.
    ///
    /// # Panics
    /// If `width` is zero or does not divide the length of `data`.
    #[inline]
    pub fn new(data: &'a mut [F], width: usize) -> Self {
        assert!(width > 0 && data.len().is_multiple_of(width), "{} is no multiple of {width}", data.len());
        Self { len: data.len() / width, data, width }
    }

    /// Reads `data` as `len` rows to write.
    ///
    /// # Panics
    /// As [`Rows::counted`].
    #[inline]
    pub fn counted(data: &'a mut [F], len: usize, width: usize) -> Self {
        assert!(width > 0 && data.len() == len * width, "{} is not {len} times {width}", data.len());
        Self { data, width, len }
    }

    /// Reads all of `data` as one row to write.
    ///
    /// # Panics
    /// As [`Rows::one`].
    #[inline(always)]
    pub fn one(data: &'a mut [F]) -> Self {
        assert!(!data.is_empty(), "a row has at least one number");
        Self { len: 1, width: data.len(), data }
    }

    /// All numbers, row after row.
    #[inline]
    pub fn data(&mut self) -> &mut [F] {
        self.data
    }

    /// All numbers, for as long as the batch lives.
    #[inline]
    pub fn into_data(self) -> &'a mut [F] {
        self.data
    }

    /// Numbers in a row.
    #[inline]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of rows.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no rows.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The same batch, lent on.
    #[inline]
    pub fn reborrow(&mut self) -> RowsMut<'_, F> {
        RowsMut { data: self.data, width: self.width, len: self.len }
    }

    /// The same batch, only read.
    #[inline]
    pub fn as_rows(&self) -> Rows<'_, F> {
        Rows { data: self.data, width: self.width, len: self.len }
    }

    /// The rows in order, each a slice of `width` numbers.
    #[inline]
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut [F]> {
        each_mut(self.data, self.width)
    }

    /// The matrix as ndarray sees it.
    pub fn view_mut(&mut self) -> ArrayViewMut2<'_, F> {
        ArrayViewMut2::from_shape((self.len, self.width), self.data)
            .expect("width divides the length: see new")
    }
}

/// Row after row of `width` numbers. The standard library's `chunks_exact` begins with a division.
#[inline(always)]
fn each<F>(data: &[F], width: usize) -> impl Iterator<Item = &[F]> {
    Each { rest: data, width }
}

/// The same, to be written.
#[inline(always)]
fn each_mut<F>(data: &mut [F], width: usize) -> impl Iterator<Item = &mut [F]> {
    EachMut { rest: data, width }
}

struct Each<'a, F> {
    rest: &'a [F],
    width: usize,
}

impl<'a, F> Iterator for Each<'a, F> {
    type Item = &'a [F];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [F]> {
        let (row, rest) = self.rest.split_at_checked(self.width)?;
        self.rest = rest;
        Some(row)
    }
}

struct EachMut<'a, F> {
    rest: &'a mut [F],
    width: usize,
}

impl<'a, F> Iterator for EachMut<'a, F> {
    type Item = &'a mut [F];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a mut [F]> {
        let (row, rest) = std::mem::take(&mut self.rest).split_at_mut_checked(self.width)?;
        self.rest = rest;
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_rows_in_order() {
        let rows = Rows::new(&[1, 2, 3, 4, 5, 6], 3);
        assert_eq!((rows.len(), rows.width()), (2, 3));
        assert_eq!(rows.iter().collect::<Vec<_>>(), [&[1, 2, 3][..], &[4, 5, 6]]);
        assert_eq!(rows.slice(1, 1).data(), [4, 5, 6]);
        assert_eq!(rows.view()[(1, 0)], 4);
    }

    #[test]
    #[should_panic(expected = "no multiple")]
    fn refuses_a_ragged_batch() {
        let _ = Rows::new(&[1, 2, 3], 2);
    }
}
