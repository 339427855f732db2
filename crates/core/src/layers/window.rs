//! The geometry of everything that slides a window over a sample: convolutions and pools.

use std::ops::Range;

use crate::{Error, Shape};

/// How far a window reaches over the edges, where it reads zeros (a pool of maxima: nothing).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Padding {
    /// Cells on either side of each axis, `[height, width]`.
    Cells([usize; 2]),
    /// As many that, with stride 1, the output is as large as the input; the extra one at the end.
    Same,
}

/// A window over two axes, `[height, width]`; that over one axis has height 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its cells.
    pub size: [usize; 2],
    /// From one place to the next.
    pub stride: [usize; 2],
    /// Over the edges.
    pub padding: Padding,
    /// From one cell to the next.
    pub dilation: [usize; 2],
}

impl Kernel {
    /// A window of `size` cells that moves by 1, stays within the edges, and has no gaps.
    pub fn new(size: [usize; 2]) -> Self {
        Self { size, stride: [1, 1], padding: Padding::Cells([0, 0]), dilation: [1, 1] }
    }

    /// The same, moving by `stride`.
    pub fn with_stride(self, stride: [usize; 2]) -> Self {
        Self { stride, ..self }
    }

    /// The same, reaching over the edges.
    pub fn with_padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    /// The same with gaps: `dilation` cells from one to the next.
    pub fn with_dilation(self, dilation: [usize; 2]) -> Self {
        Self { dilation, ..self }
    }
}

/// A window along one axis: output `o` reads the inputs `o · stride + tap · dilation - before` for every tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    pub(super) before: usize,
}

/// The name of an axis in messages.
fn name_of(layer: &str, index: usize) -> &'static str {
    match index {
        0 => "height",
        _ if layer.ends_with("1d") => "length",
        _ => "width",
    }
}

fn error(layer: &'static str, message: String) -> Error {
    Error::Layer { layer, message }
}

impl Axis {
    /// Reads axis `index` of `kernel`: its extent, and the cells before and after the input.
    fn margins(layer: &'static str, kernel: &Kernel, index: usize) -> Result<(usize, [usize; 2]), Error> {
        let name = name_of(layer, index);
        let (size, stride, dilation) = (kernel.size[index], kernel.stride[index], kernel.dilation[index]);
        for (key, value) in [("the window", size), ("stride", stride), ("dilation", dilation)] {
            if value == 0 {
                return Err(error(layer, format!("{key} must be at least 1, found 0 along its {name}")));
            }
        }
        let reach = (size - 1).checked_mul(dilation).filter(|&reach| reach < isize::MAX as usize / 4);
        let reach = reach.ok_or_else(|| Error::TooLarge { axes: vec![size, dilation] })?;
        let margins = match kernel.padding {
            Padding::Cells(cells) => [cells[index]; 2],
            Padding::Same if stride == 1 => [reach / 2, reach - reach / 2],
            Padding::Same => {
                let need =
                    format!("padding \"same\" needs stride 1, found {stride}; give the padding as a number");
                return Err(error(layer, need));
            }
        };
        if margins[0] >= isize::MAX as usize / 4 {
            return Err(Error::TooLarge { axes: vec![margins[0]] });
        }
        Ok((reach + 1, margins))
    }

    /// A window over `input` numbers.
    fn over(layer: &'static str, kernel: &Kernel, index: usize, input: usize) -> Result<Self, Error> {
        let (extent, [before, after]) = Self::margins(layer, kernel, index)?;
        let padded = input.saturating_add(before).saturating_add(after);
        if extent > padded {
            let (name, dilation) = (name_of(layer, index), kernel.dilation[index]);
            let with = |key: &str, is: bool, value: usize| {
                if is { format!(" with {key} {value}") } else { String::new() }
            };
            return Err(error(
                layer,
                format!(
                    "a window of {}{} is larger than its input, whose {name} is {input}{}; at most {padded} fit",
                    kernel.size[index],
                    with("dilation", dilation > 1, dilation),
                    with("padding", before + after > 0, before),
                ),
            ));
        }
        let stride = kernel.stride[index];
        let output = (padded - extent) / stride + 1;
        let (kernel, dilation) = (kernel.size[index], kernel.dilation[index]);
        Ok(Self { input, output, kernel, stride, dilation, before })
    }

    /// The window whose *outputs* are `output` numbers, over an input as large as it reaches and `extra` cells more.
    fn onto(
        layer: &'static str,
        kernel: &Kernel,
        index: usize,
        output: usize,
        extra: usize,
    ) -> Result<Self, Error> {
        let (extent, [before, after]) = Self::margins(layer, kernel, index)?;
        let (stride, dilation) = (kernel.stride[index], kernel.dilation[index]);
        if extra >= stride.max(dilation) {
            return Err(error(
                layer,
                format!(
                    "output_padding must be below the stride {stride} or the dilation {dilation}, found {extra}"
                ),
            ));
        }
        let large = (output - 1).checked_mul(stride).and_then(|reach| reach.checked_add(extent + extra));
        let large = large.ok_or_else(|| Error::TooLarge { axes: vec![output, stride] })?;
        let Some(input) = large.checked_sub(before + after).filter(|&input| input > 0) else {
            let name = name_of(layer, index);
            return Err(error(
                layer,
                format!(
                    "a padding of {before} leaves nothing of an output whose {name} is {large} without it"
                ),
            ));
        };
        Ok(Self { input, output, kernel: kernel.size[index], stride, dilation, before })
    }

    /// The outputs whose cell `tap` lies within the input.
    #[inline]
    pub(super) fn valid(&self, tap: usize) -> Range<usize> {
        let shift = tap * self.dilation;
        let first = self.before.saturating_sub(shift).div_ceil(self.stride);
        let end = (self.input + self.before).saturating_sub(shift).div_ceil(self.stride).min(self.output);
        first.min(end)..end
    }

    /// The input that output `output` reads at cell `tap`; `output` is one of [`valid`](Self::valid).
    #[inline]
    pub(super) fn position(&self, output: usize, tap: usize) -> usize {
        output * self.stride + tap * self.dilation - self.before
    }

    /// The taps at which output `output` reads within the input.
    #[inline]
    pub(super) fn taps(&self, output: usize) -> Range<usize> {
        let at = output * self.stride;
        let first = self.before.saturating_sub(at).div_ceil(self.dilation);
        let end = (self.input + self.before).saturating_sub(at).div_ceil(self.dilation).min(self.kernel);
        first.min(end)..end
    }

    /// In stride 1, the window that sees from an input all outputs that read it, its last tap first.
    pub(super) fn turned(&self) -> Option<Self> {
        let before = ((self.kernel - 1) * self.dilation).checked_sub(self.before)?;
        (self.stride == 1).then_some(Self { input: self.output, output: self.input, before, ..*self })
    }

    /// Where the last output stops to read.
    #[inline]
    fn position_end(&self) -> usize {
        (self.output - 1) * self.stride + (self.kernel - 1) * self.dilation + 1 - self.before
    }

    /// The inputs that output `output` of a window without gaps reads.
    #[inline]
    pub(super) fn reads(&self, output: usize) -> Range<usize> {
        let first = output * self.stride;
        first.saturating_sub(self.before)..(first + self.kernel - self.before).min(self.input)
    }
}

/// A window along height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) rows: Axis,
    pub(super) columns: Axis,
}

impl Window {
    /// `kernel` over `[height, width]`.
    pub(super) fn over(
        layer: &'static str,
        kernel: &Kernel,
        [height, width]: [usize; 2],
    ) -> Result<Self, Error> {
        let rows = Axis::over(layer, kernel, 0, height)?;
        Ok(Self { rows, columns: Axis::over(layer, kernel, 1, width)? })
    }

    /// `kernel` with `[height, width]` outputs, and `extra` inputs at the end of each axis that it does not reach.
    pub(super) fn onto(
        layer: &'static str,
        kernel: &Kernel,
        [height, width]: [usize; 2],
        extra: [usize; 2],
    ) -> Result<Self, Error> {
        let rows = Axis::onto(layer, kernel, 0, height, extra[0])?;
        Ok(Self { rows, columns: Axis::onto(layer, kernel, 1, width, extra[1])? })
    }

    /// The channel, the row and the column of a tap.
    #[inline]
    pub(super) fn split_tap(&self, tap: usize) -> (usize, usize, usize) {
        let (channel, cell) = (tap / self.cells(), tap % self.cells());
        (channel, cell / self.columns.kernel, cell % self.columns.kernel)
    }

    /// Whether it may read over the edges.
    #[inline]
    pub(super) fn is_padded(&self) -> bool {
        let over = |axis: &Axis| axis.before > 0 || axis.position_end() > axis.input;
        over(&self.rows) || over(&self.columns)
    }

    /// The numbers of one channel that it slides over.
    #[inline]
    pub(super) fn inputs(&self) -> usize {
        self.rows.input * self.columns.input
    }

    /// The places where it stops.
    #[inline]
    pub(super) fn outputs(&self) -> usize {
        self.rows.output * self.columns.output
    }

    /// Its cells.
    #[inline]
    pub(super) fn cells(&self) -> usize {
        self.rows.kernel * self.columns.kernel
    }
}

/// How many axes a window slides along, and how channels and axes stand in a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planes {
    pub(super) channels: usize,
    pub(super) size: [usize; 2],
    /// Whether there is no height.
    pub(super) line: bool,
}

impl Planes {
    /// Reads `[channels, length]`.
    pub(super) fn line(layer: &'static str, shape: &Shape) -> Result<Self, Error> {
        match *shape.axes() {
            [channels, length] => Ok(Self { channels, size: [1, length], line: true }),
            _ => Err(error(layer, format!("takes samples of shape [channels, length], found {shape}"))),
        }
    }

    /// Reads `[channels, height, width]`.
    pub(super) fn plane(layer: &'static str, shape: &Shape) -> Result<Self, Error> {
        match *shape.axes() {
            [channels, height, width] => Ok(Self { channels, size: [height, width], line: false }),
            _ => {
                Err(error(layer, format!("takes samples of shape [channels, height, width], found {shape}")))
            }
        }
    }

    /// A pool's window over these planes: what all kinds of pools check.
    pub(super) fn pool(&self, layer: &'static str, kernel: &Kernel) -> Result<Window, Error> {
        if let Padding::Cells(cells) = kernel.padding {
            for (cells, size) in cells.into_iter().zip(kernel.size) {
                if cells > size / 2 {
                    let message =
                        format!("padding may be at most half of pool_size, {}, found {cells}", size / 2);
                    return Err(error(layer, message));
                }
            }
        }
        Window::over(layer, kernel, self.size)
    }

    /// A shape with `first` as the channels' axis (or several), and `size` behind.
    pub(super) fn shape(&self, first: &[usize], size: [usize; 2]) -> Result<Shape, Error> {
        Shape::new([first, if self.line { &size[1..] } else { &size }].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(input: usize, size: usize, stride: usize, padding: usize, dilation: usize) -> Axis {
        let kernel = Kernel::new([1, size])
            .with_stride([1, stride])
            .with_padding(Padding::Cells([0, padding]))
            .with_dilation([1, dilation]);
        Axis::over("conv1d", &kernel, 1, input).unwrap()
    }

    #[test]
    fn output_sizes_are_pytorchs() {
        // torch.nn.Conv1d(1, 1, size, stride, padding, dilation) on so many numbers.
        for ((input, size, stride, padding, dilation), output) in [
            ((28, 5, 1, 2, 1), 28),
            ((28, 5, 1, 0, 1), 24),
            ((10, 3, 2, 1, 1), 5),
            ((11, 3, 3, 0, 2), 3),
            ((5, 2, 7, 0, 1), 1),
            ((4, 4, 1, 3, 2), 4),
        ] {
            assert_eq!(axis(input, size, stride, padding, dilation).output, output);
        }
    }

    #[test]
    fn every_tap_is_valid_where_it_falls_into_the_input() {
        for input in 1..9 {
            for (size, stride, padding, dilation) in
                [(3, 1, 1, 1), (2, 3, 2, 2), (3, 2, 5, 3), (1, 2, 0, 1), (4, 5, 4, 1)]
            {
                if (size - 1) * dilation + 1 > input + 2 * padding {
                    continue;
                }
                let axis = axis(input, size, stride, padding, dilation);
                for tap in 0..size {
                    let inside = |&output: &usize| {
                        let at = (output * stride + tap * dilation) as isize - padding as isize;
                        at >= 0 && at < input as isize
                    };
                    let expected: Vec<usize> = (0..axis.output).filter(inside).collect();
                    assert_eq!(axis.valid(tap).collect::<Vec<_>>(), expected, "{axis:?}, tap {tap}");
                    let by_output = (0..axis.output).filter(|&output| axis.taps(output).contains(&tap));
                    assert!(by_output.eq(expected.iter().copied()), "{axis:?}, tap {tap}");
                    for (&output, turned) in expected.iter().zip(std::iter::repeat(axis.turned())) {
                        let Some(turned) = turned else { continue };
                        let input = axis.position(output, tap);
                        assert_eq!(turned.position(input, size - 1 - tap), output);
                    }
                }
            }
        }
    }

    #[test]
    fn same_puts_the_extra_cell_at_the_end() {
        let kernel = Kernel::new([1, 4]).with_padding(Padding::Same);
        let axis = Axis::over("conv1d", &kernel, 1, 7).unwrap();
        assert_eq!((axis.output, axis.before), (7, 1));
        let strided = kernel.with_stride([1, 2]);
        let message = Axis::over("conv1d", &strided, 1, 7).unwrap_err().to_string();
        assert_eq!(message, "conv1d: padding \"same\" needs stride 1, found 2; give the padding as a number");
    }

    #[test]
    fn says_how_large_a_window_may_be() {
        let kernel = Kernel::new([1, 5]).with_padding(Padding::Cells([0, 1])).with_dilation([1, 2]);
        let message = Axis::over("conv1d", &kernel, 1, 4).unwrap_err().to_string();
        assert_eq!(
            message,
            "conv1d: a window of 5 with dilation 2 is larger than its input, whose length is 4 with padding 1; at most 6 fit"
        );
    }

    #[test]
    fn sizes_that_no_memory_holds_do_not_overflow() {
        let max = usize::MAX;
        for kernel in [
            Kernel::new([1, max]).with_dilation([1, max]),
            Kernel::new([1, max]).with_padding(Padding::Cells([0, max])),
            Kernel::new([1, 2]).with_padding(Padding::Cells([0, max / 2])),
            Kernel::new([1, max]),
        ] {
            assert!(Axis::over("conv1d", &kernel, 1, 3).is_err());
            assert!(Axis::onto("conv1d", &kernel, 1, 3, 0).is_err());
        }
        assert_eq!(Axis::over("c", &Kernel::new([1, 2]).with_stride([1, max]), 1, 3).unwrap().output, 1);
        assert!(Axis::onto("c", &Kernel::new([1, 2]).with_stride([1, max]), 1, 3, 0).is_err());
    }
}
