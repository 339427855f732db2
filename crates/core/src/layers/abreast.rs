//! Correlations in stride 1 of several samples side by side: every vector holds one place of each.

use std::ops::Range;

use super::frame::Frame;
use super::sliding::{Block, MAPS, blocks, fill, lanes, slack};
use crate::simd::{FusedWork, Vectors};
use crate::{Float, Rows};

/// Bytes of the places of a map that are summed before they are spread over the samples: those of [`MAPS`] maps and
/// what they read stay in a core's first cache.
const LINE_BYTES: usize = 2560;

/// Rows of places that are summed at once.
fn rows_at_once<F: Float>(frame: &Frame) -> usize {
    (LINE_BYTES / (frame.row() * F::BYTES)).clamp(1, frame.rows())
}

/// Scratch for [`Product`] and [`WeightSums`]: [`MAPS`] lines.
pub(super) fn lines<F: Float>(frame: &Frame) -> usize {
    MAPS * (rows_at_once::<F>(frame) * frame.row() + slack::<F>())
}

/// Without the few numbers before the first at which a vector lies in one line of the cache.
pub(super) fn aligned<F: Float>(numbers: &mut [F]) -> &mut [F] {
    let skipped = numbers.as_ptr().align_offset(32);
    &mut numbers[skipped.min(lanes::<F>())..]
}

/// Cuts the rows of places as [`rows_at_once`] says.
fn parts<F: Float>(frame: &Frame) -> impl Iterator<Item = Range<usize>> {
    let (rows, step) = (frame.rows(), rows_at_once::<F>(frame));
    (0..rows).step_by(step).map(move |first| first..rows.min(first + step))
}

/// The samples of a pass side by side, as many as a vector of 32 bytes has lanes, and the part of each that is meant.
pub(super) struct Samples<'a, F> {
    pub(super) rows: Rows<'a, F>,
    pub(super) part: Range<usize>,
}

impl<'a, F: Float> Samples<'a, F> {
    /// Numbers `at` of each one's part.
    #[inline(always)]
    fn slices<const S: usize>(&self, at: Range<usize>) -> [&'a [F]; S] {
        let (data, width, first) = (self.rows.data(), self.rows.width(), self.part.start);
        std::array::from_fn(|sample| &data[sample * width + first..][at.clone()])
    }

    /// The parts, channels without their zeros, into frames; what is around them stays.
    #[inline(always)]
    fn copy_inside<const S: usize>(&self, frame: &Frame, framed: &mut [F]) {
        let mut first = 0;
        for channel in framed.chunks_exact_mut(frame.plane()).take(self.part.len() / frame.inputs()) {
            for (at, run) in frame.runs_inside() {
                let to = &mut channel[at..][..run * S];
                interleave::<F, S>(self.slices(first..first + run), to);
                first += run;
            }
        }
    }
}

/// `to_is = from_si`, a row for each place.
#[inline(always)]
fn interleave<F: Float, const S: usize>(from: [&[F]; S], to: &mut [F]) {
    let to = to.as_chunks_mut::<S>().0;
    let from: [&[F]; S] = std::array::from_fn(|sample| &from[sample][..to.len()]);
    for (place, to) in to.iter_mut().enumerate() {
        *to = std::array::from_fn(|sample| from[sample][place]);
    }
}

/// Frames the channels of a group of the samples.
pub(super) struct Framing<'a, F> {
    pub(super) frame: &'a Frame,
    pub(super) samples: Samples<'a, F>,
    /// `[channels, plane, samples]`, zero around the channels.
    pub(super) framed: &'a mut [F],
}

impl<F: Float> FusedWork<F> for Framing<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vectors<F>>(self, _vectors: V) {
        match lanes::<F>() {
            8 => self.samples.copy_inside::<8>(self.frame, self.framed),
            _ => self.samples.copy_inside::<4>(self.frame, self.framed),
        }
    }
}

/// `z = bias + w ⋆ x` of a group of the samples.
pub(super) struct Product<'a, F> {
    pub(super) frame: &'a Frame,
    pub(super) maps: usize,
    /// By [`pack`](super::sliding::pack).
    pub(super) w: &'a [F],
    /// By [`Framing`], and [`slack`].
    pub(super) x: &'a [F],
    /// A number for each map, or none.
    pub(super) bias: &'a [F],
    /// The samples, and where the group begins in each.
    pub(super) z: (&'a mut [F], usize),
    /// As many as [`lines`] says.
    pub(super) lines: &'a mut [F],
}

impl<F: Float> FusedWork<F> for Product<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vectors<F>>(self, vectors: V) {
        match lanes::<F>() {
            8 => self.add::<V, 8>(vectors),
            _ => self.add::<V, 4>(vectors),
        }
    }
}

impl<F: Float> Product<'_, F> {
    #[inline(always)]
    fn add<V: Vectors<F>, const S: usize>(self, vectors: V) {
        let Self { frame, maps, w, x, bias, z: (z, group), lines } = self;
        let (taps, places) = (w.len() / maps, frame.places());
        let (width, len) = (z.len() / S, lines.len() / MAPS);
        for (first, count) in blocks(maps) {
            let w = &w[first * taps..][..count * taps];
            for rows in parts::<F>(frame) {
                for (at, row) in rows.clone().enumerate() {
                    let run = row * frame.line()..row * frame.line() + frame.row();
                    fill::<F, V, S>(vectors, (frame, count), (w, x), run, (lines, at * frame.row()));
                }
                let at = rows.start * frame.row() / S..rows.end * frame.row() / S;
                for (map, line) in lines.chunks_exact(len).take(count).enumerate() {
                    let start = group + (first + map) * places + at.start;
                    let line = &line.as_chunks::<S>().0[..at.len()];
                    let bias = bias.get(first + map).copied().unwrap_or(F::zero());
                    for sample in 0..S {
                        let z = &mut z[sample * width + start..][..at.len()];
                        z.iter_mut().zip(line).for_each(|(z, line)| *z = bias + line[sample]);
                    }
                }
            }
        }
    }
}

/// Adds the samples to the partial sums of the weight gradient of the maps of a group.
pub(super) struct WeightSums<'a, F> {
    pub(super) frame: &'a Frame,
    /// By [`Framing`], and [`slack`].
    pub(super) x: &'a [F],
    /// The maps of the group.
    pub(super) dz: Samples<'a, F>,
    /// `[maps, taps, lanes]`.
    pub(super) sums: &'a mut [F],
    /// As many as [`lines`] says.
    pub(super) lines: &'a mut [F],
}

impl<F: Float> FusedWork<F> for WeightSums<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vectors<F>>(self, vectors: V) {
        match lanes::<F>() {
            8 => self.add::<V, 8>(vectors),
            _ => self.add::<V, 4>(vectors),
        }
    }
}

impl<F: Float> WeightSums<'_, F> {
    #[inline(always)]
    fn add<V: Vectors<F>, const S: usize>(self, vectors: V) {
        let Self { frame, x, dz, sums, lines } = self;
        let (places, len) = (frame.places(), lines.len() / MAPS);
        let maps = dz.part.len() / places;
        let strip = sums.len() / maps;
        for rows in parts::<F>(frame) {
            let at = rows.start * frame.row() / S..rows.end * frame.row() / S;
            for (first, count) in blocks(maps) {
                for (map, line) in lines.chunks_exact_mut(len).take(count).enumerate() {
                    let start = (first + map) * places;
                    let dz = dz.slices(start + at.start..start + at.end);
                    interleave::<F, S>(dz, &mut line[..at.len() * S]);
                }
                let sums = &mut sums[first * strip..][..count * strip];
                let runs = rows.clone().enumerate().map(|(at, row)| (row * frame.line(), at * frame.row()));
                let dz = (&*lines, len);
                Block { frame, runs, len: frame.row(), first_tap: 0, x, dz, sums }.add_maps(vectors, count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sliding::pack;
    use super::super::window::{Kernel, Padding, Window};
    use super::*;
    use crate::simd::Separate;

    fn numbers<F: Float>(len: usize, seed: usize) -> Vec<F> {
        (0..len).map(|i| F::of(((i * 7919 + seed * 31) % 1009) as f64 / 1009.0 - 0.5)).collect()
    }

    fn run<F: Float>(is_fused: bool, work: impl FusedWork<F>) {
        if is_fused {
            F::fused(work);
        } else {
            work.run(Separate);
        }
    }

    /// A product and the weight gradient of one vector of samples.
    fn results<F: Float>(maps: usize, is_fused: bool) -> [Vec<F>; 2] {
        let kernel = Kernel::new([3, 2]).with_padding(Padding::Same);
        let window = Window::over("conv2d", &kernel, [5, 9]).unwrap();
        let frame = &Frame::new(window).unwrap().of_samples(lanes::<F>());
        let (channels, taps, samples) = (2, 12, lanes::<F>());
        let (x_len, z_len) = (channels * frame.inputs(), maps * frame.places());
        let (x, dz) = (numbers::<F>(samples * x_len, 1), numbers::<F>(samples * z_len, 2));
        let (w, mut packed) = (numbers::<F>(maps * taps, 3), vec![F::nan(); maps * taps]);
        pack(maps, taps, |map, tap| w[map * taps + tap], &mut packed);
        let mut framed = vec![F::zero(); channels * frame.plane() + slack::<F>()];
        let mut scratch = vec![F::nan(); lines::<F>(frame)];
        let (mut z, mut sums) = (vec![F::nan(); dz.len()], vec![F::zero(); w.len() * lanes::<F>()]);
        let rows = Samples { rows: Rows::new(&x, x_len), part: 0..x_len };
        run(is_fused, Framing { frame, samples: rows, framed: &mut framed });
        let bias = &numbers::<F>(maps, 4)[..];
        let (z_part, lines) = ((&mut z[..], 0), &mut scratch[..]);
        run(is_fused, Product { frame, maps, w: &packed, x: &framed, bias, z: z_part, lines });
        let dz = Samples { rows: Rows::new(&dz, z_len), part: 0..z_len };
        run(is_fused, WeightSums { frame, x: &framed, dz, sums: &mut sums, lines });
        [z, sums.chunks_exact(lanes::<F>()).map(|lanes| lanes.iter().copied().sum()).collect()]
    }

    fn assert_same<F: Float>(tolerance: f64) {
        for maps in 1..=9 {
            let (fused, separate) = (results::<F>(maps, true), results::<F>(maps, false));
            for (fused, separate) in fused.iter().flatten().zip(separate.iter().flatten()) {
                assert!((fused.as_f64() - separate.as_f64()).abs() < tolerance, "{fused} {separate} {maps}");
            }
        }
    }

    #[test]
    fn is_the_same_fused_and_in_narrower_vectors() {
        assert_same::<f32>(1e-4);
        assert_same::<f64>(1e-12);
    }
}
