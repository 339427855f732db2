//! Channels with their zeros around them, and long lines of places.

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
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    window: Window,
}

impl Frame {
    /// `None` if the window has another stride or gaps.
    pub(super) fn new(window: Window) -> Option<Self> {
        let fits = [window.rows, window.columns].into_iter().all(|axis| {
            let framed = axis.output.saturating_add(axis.kernel - 1);
            axis.stride == 1 && axis.dilation == 1 && axis.before + axis.input <= framed
        });
        fits.then_some(Self { window })
    }

    /// Numbers from one row to the next.
    #[inline]
    pub(super) fn line(&self) -> usize {
        self.window.columns.output + self.window.columns.kernel - 1
    }

    /// Rows and columns of a framed channel.
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
        (self.window.rows.output - 1) * self.line() + self.window.columns.output
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

    /// Where a tap reads at the first place.
    #[inline]
    pub(super) fn offset(&self, tap: usize) -> usize {
        let (channel, row, column) = self.window.split_tap(tap);
        channel * self.plane() + row * self.line() + column
    }

    /// Copies channels into their frames; what is around them stays.
    pub(super) fn copy_inside<F: Float>(&self, x: &[F], framed: &mut [F]) {
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

    /// Spreads the rows of a map along a line; what is between them stays.
    pub(super) fn copy_to_line<F: Float>(&self, z: &[F], line: &mut [F]) {
        let width = self.window.columns.output;
        for (z, line) in z.chunks_exact(width).zip(line.chunks_mut(self.line())) {
            copy(z, &mut line[..width]);
        }
    }

    /// Adds the places of a line to a map.
    #[inline(always)]
    pub(super) fn add_line<F: Float>(&self, line: &[F], z: &mut [F]) {
        let width = self.window.columns.output;
        for (z, line) in z.chunks_exact_mut(width).zip(line.chunks(self.line())) {
            z.iter_mut().zip(&line[..width]).for_each(|(z, &line)| *z += line);
        }
    }
}
