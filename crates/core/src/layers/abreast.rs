//! Correlations in stride 1 of several samples side by side: every vector holds one place of each.

use std::ops::Range;

use super::frame::Frame;
use super::sliding::{MAPS, blocks, fill, lanes, slack, wide};
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
#[derive(Clone)]
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
                let block = Block { frame, rows: rows.clone(), x, dz: lines, sums };
                match count {
                    1 => block.add::<V, 1, { wide(1) }>(vectors),
                    2 => block.add::<V, 2, { wide(2) }>(vectors),
                    3 => block.add::<V, 3, { wide(3) }>(vectors),
                    4 => block.add::<V, 4, { wide(4) }>(vectors),
                    5 => block.add::<V, 5, { wide(5) }>(vectors),
                    _ => block.add::<V, 6, { wide(6) }>(vectors),
                }
            }
        }
    }
}

/// [`WeightSums`] of a block of maps at some rows of places, whose lines are filled.
struct Block<'a, F> {
    frame: &'a Frame,
    rows: Range<usize>,
    x: &'a [F],
    dz: &'a [F],
    sums: &'a mut [F],
}

impl<F: Float> Block<'_, F> {
    /// All taps of `M` maps, `T` taps at a time.
    #[inline(always)]
    fn add<V: Vectors<F>, const M: usize, const T: usize>(mut self, vectors: V) {
        let taps = self.sums.len() / (M * lanes::<F>());
        let mut tap = 0;
        while tap < taps {
            if taps - tap >= T {
                self.add_taps::<V, M, T>(vectors, tap);
                tap += T;
            } else {
                self.add_taps::<V, M, 1>(vectors, tap);
                tap += 1;
            }
        }
    }

    /// `T` taps of `M` maps, from `first` on.
    #[inline(always)]
    fn add_taps<V: Vectors<F>, const M: usize, const T: usize>(&mut self, vectors: V, first: usize) {
        let (strip, len, row_len) = (self.sums.len() / M, self.dz.len() / MAPS, self.frame.row());
        let at = |map: usize, tap: usize| map * strip + (first + tap) * lanes::<F>();
        let mut sums: [[V::Vector; T]; M] = std::array::from_fn(|map| {
            std::array::from_fn(|tap| vectors.split(&self.sums[at(map, tap)..])[0])
        });
        let offsets: [usize; T] = std::array::from_fn(|tap| self.frame.offset(first + tap));
        for (index, row) in self.rows.clone().enumerate() {
            let start = row * self.frame.line();
            let x: [&[V::Vector]; T] =
                std::array::from_fn(|tap| vectors.split(&self.x[offsets[tap] + start..][..row_len]));
            let dz: [&[V::Vector]; M] =
                std::array::from_fn(|map| vectors.split(&self.dz[map * len + index * row_len..][..row_len]));
            let count = x[0].len();
            let (x, dz) = (x.map(|x| &x[..count]), dz.map(|dz| &dz[..count]));
            for at in 0..count {
                let x: [V::Vector; T] = std::array::from_fn(|tap| x[tap][at]);
                for map in 0..M {
                    let dz = dz[map][at];
                    for tap in 0..T {
                        sums[map][tap] = vectors.mul_add(dz, x[tap], sums[map][tap]);
                    }
                }
            }
        }
        for (map, sums) in sums.iter().enumerate() {
            for (tap, &sum) in sums.iter().enumerate() {
                vectors.split_mut(&mut self.sums[at(map, tap)..])[0] = sum;
            }
        }
    }
}
