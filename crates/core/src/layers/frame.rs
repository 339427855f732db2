//! Channels with their zeros around them, of one sample or of several side by side, and long lines of places.

use std::ops::Range;

use super::unfold::copy;
use super::window::Window;
use crate::Float;

/// A window in stride 1 without gaps, over channels that are stored with the zeros of the padding around them.
///
/// In such a **frame** of `line()` columns, the number that place `(i, j)` reads at tap `(c, u, v)` is
/// `x[c plane + (i + u) line + j + v]`: the sum of a number for the place, `i line + j`, and one for the tap. So the
/// places are one **long line**, along which every tap reads a run: rows of `z`, `line()` apart, with as many places that
/// are nobody's between two rows as the kernel is wide, less one. They are computed and dropped, or are zero.
///
/// Of several samples **side by side**, each number is followed by those of the other samples at the same cell, so all
/// steps are as many times as long, and a row of places is a run of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    window: Window,
    /// Samples side by side: numbers from one column to the next.
    samples: usize,
}

impl Frame {
    /// `None` if the window has another stride or gaps.
    pub(super) fn new(window: Window) -> Option<Self> {
        let fits = [window.rows, window.columns].into_iter().all(|axis| {
            let framed = axis.output.saturating_add(axis.kernel - 1);
            axis.stride == 1 && axis.dilation == 1 && axis.before + axis.input <= framed
        });
        fits.then_some(Self { window, samples: 1 })
    }

    /// The frame of so many samples side by side.
    pub(super) fn of_samples(self, samples: usize) -> Self {
        Self { samples, ..self }
    }

    /// Numbers from one row to the next.
    #[inline]
    pub(super) fn line(&self) -> usize {
        (self.window.columns.output + self.window.columns.kernel - 1) * self.samples
    }

    /// Rows of a framed channel, and numbers of a row.
    #[inline]
    pub(super) fn size(&self) -> [usize; 2] {
        [self.window.rows.output + self.window.rows.kernel - 1, self.line()]
    }

    /// Numbers of a framed channel.
    #[inline]
    pub(super) fn plane(&self) -> usize {
        let [rows, columns] = self.size();
        rows * columns
    }

    /// Numbers of a long line, up to the last place.
    #[inline]
    pub(super) fn reach(&self) -> usize {
        (self.window.rows.output - 1) * self.line() + self.row()
    }

    /// Numbers of the places of a row.
    #[inline]
    pub(super) fn row(&self) -> usize {
        self.window.columns.output * self.samples
    }

    /// Rows of places.
    #[inline]
    pub(super) fn rows(&self) -> usize {
        self.window.rows.output
    }

    /// Places of a map.
    #[inline]
    pub(super) fn places(&self) -> usize {
        self.window.outputs()
    }

    /// Rows and columns of the window.
    #[inline]
    pub(super) fn kernel(&self) -> [usize; 2] {
        [self.window.rows.kernel, self.window.columns.kernel]
    }

    /// The rows of the window that read something else than padding at any of these places of the line.
    #[inline]
    pub(super) fn rows_read(&self, places: Range<usize>) -> Range<usize> {
        let rows = self.window.rows;
        let (first, last) = (places.start / self.line(), (places.end - 1) / self.line());
        let end = (rows.before + rows.input).saturating_sub(first).min(rows.kernel);
        rows.before.saturating_sub(last).min(end)..end
    }

    /// The columns of the window that read something else than padding at any of these places of the line; all, where
    /// they go on into the next row.
    #[inline]
    pub(super) fn columns_read(&self, places: Range<usize>) -> Range<usize> {
        let columns = self.window.columns;
        let start = places.start % self.line();
        let end = start + places.len();
        if end > self.line() {
            return 0..columns.kernel;
        }
        let (first, last) = (start / self.samples, (end - 1) / self.samples);
        let end = (columns.before + columns.input).saturating_sub(first).min(columns.kernel);
        columns.before.saturating_sub(last).min(end)..end
    }

    /// Where a tap reads at the first place.
    #[inline]
    pub(super) fn offset(&self, tap: usize) -> usize {
        let (channel, row, column) = self.window.split_tap(tap);
        channel * self.plane() + row * self.line() + column * self.samples
    }

    /// Copies channels of a sample alone into their frames; what is around them stays.
    pub(super) fn copy_inside<F: Float>(&self, x: &[F], framed: &mut [F]) {
        debug_assert_eq!(self.samples, 1);
        let Window { rows, columns } = self.window;
        if columns.input == self.line() {
            let (step, len) = (self.plane(), self.window.inputs());
            for (x, framed) in x.chunks_exact(len).zip(framed.chunks_mut(step)) {
                framed[rows.before * self.line()..][..len].copy_from_slice(x);
            }
            return;
        }
        for (x, framed) in x.chunks_exact(self.window.inputs()).zip(framed.chunks_mut(self.plane())) {
            let inside = framed[rows.before * self.line() + columns.before..].chunks_mut(self.line());
            for (x, framed) in x.chunks_exact(columns.input).zip(inside) {
                copy(x, &mut framed[..x.len()]);
            }
        }
    }

    /// Numbers of a channel of one sample, without what is around it.
    #[inline]
    pub(super) fn inputs(&self) -> usize {
        self.window.inputs()
    }

    /// The runs of a channel that lie within its frame: where they begin in the frame, and how many cells they are.
    #[inline]
    pub(super) fn runs_inside(&self) -> impl Iterator<Item = (usize, usize)> {
        let Window { rows, columns } = self.window;
        let is_whole = columns.input * self.samples == self.line();
        let (runs, len) = if is_whole { (1, self.inputs()) } else { (rows.input, columns.input) };
        let first = rows.before * self.line() + columns.before * self.samples;
        let line = self.line();
        (0..runs).map(move |run| (first + run * line, len))
    }

    /// Spreads the rows of a map along a line; what is between them stays.
    pub(super) fn copy_to_line<F: Float>(&self, z: &[F], line: &mut [F]) {
        debug_assert_eq!(self.samples, 1);
        let width = self.window.columns.output;
        for (z, line) in z.chunks_exact(width).zip(line.chunks_mut(self.line())) {
            copy(z, &mut line[..width]);
        }
    }

    /// Adds the places of a line to a map.
    #[inline(always)]
    pub(super) fn add_line<F: Float>(&self, line: &[F], z: &mut [F]) {
        debug_assert_eq!(self.samples, 1);
        let width = self.window.columns.output;
        for (z, line) in z.chunks_exact_mut(width).zip(line.chunks(self.line())) {
            z.iter_mut().zip(&line[..width]).for_each(|(z, &line)| *z += line);
        }
    }
}
