//! Correlations in stride 1 without unfolding: blocks of maps and places whose sums stay in registers.

use std::ops::Range;

use super::frame::Frame;
use crate::simd::{FusedWork, Vectors};
use crate::{Float, Rows};

/// Maps of a block, at most.
pub(super) const MAPS: usize = 6;

/// Numbers of a vector of 32 bytes.
pub(super) const fn lanes<F: Float>() -> usize {
    32 / F::BYTES
}

/// Vectors of places, or taps, that go with so many maps. Their sums, the vectors themselves and a weight must fit the 16
/// registers of AVX2 with one to spare, or the compiler keeps a sum in memory, which halves the speed; and eight sums
/// are needed to hide the time that a multiply-add takes.
const fn wide(maps: usize) -> usize {
    match maps {
        1 => 8,
        2 => 4,
        3 => 3,
        _ => 2,
    }
}

/// Numbers that are read and written behind a line, at most.
pub(super) const fn slack<F: Float>() -> usize {
    wide(1) * lanes::<F>()
}

/// Cuts `maps` into as few blocks as there can be, all about equal: first map and number of maps.
pub(super) fn blocks(maps: usize) -> impl Iterator<Item = (usize, usize)> {
    let blocks = maps.div_ceil(MAPS);
    (0..blocks).map(move |block| {
        let (start, end) = (block * maps / blocks, (block + 1) * maps / blocks);
        (start, end - start)
    })
}

/// Copies the weights of a group, `w(map, tap)`, so that those that are used together lie together: for each block of
/// maps `[taps, maps of the block]`.
pub(super) fn pack<F: Float>(maps: usize, taps: usize, w: impl Fn(usize, usize) -> F, packed: &mut [F]) {
    let mut rest = packed;
    for (first, count) in blocks(maps) {
        let (block, after) = rest.split_at_mut(count * taps);
        for (tap, block) in block.chunks_exact_mut(count).enumerate() {
            block.iter_mut().enumerate().for_each(|(map, packed)| *packed = w(first + map, tap));
        }
        rest = after;
    }
}

/// `z += w ⋆ x` of one group, from framed channels.
pub(super) struct Product<'a, F> {
    pub(super) frame: &'a Frame,
    pub(super) maps: usize,
    /// By [`pack`].
    pub(super) w: &'a [F],
    /// `[channels, frame.plane()]`, and [`slack`].
    pub(super) x: &'a [F],
    pub(super) z: &'a mut [F],
    /// For [`MAPS`] lines.
    pub(super) lines: &'a mut [F],
}

impl<F: Float> FusedWork<F> for Product<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vectors<F>>(self, vectors: V) {
        let Self { frame, maps, w, x, z, lines } = self;
        let taps = w.len() / maps;
        let len = lines.len() / MAPS;
        for (first, count) in blocks(maps) {
            let w = &w[first * taps..][..count * taps];
            fill::<F, V, 1>(vectors, (frame, count), (w, x), 0..frame.reach(), (lines, 0));
            for (map, line) in lines.chunks_exact(len).take(count).enumerate() {
                frame.add_line(line, &mut z[(first + map) * frame.places()..][..frame.places()]);
            }
        }
    }
}

/// Writes the sums of a block of `maps` maps at a run of places to `lines`, from the place `to` of each on.
#[inline(always)]
pub(super) fn fill<F: Float, V: Vectors<F>, const S: usize>(
    vectors: V,
    (frame, maps): (&Frame, usize),
    w_x: (&[F], &[F]),
    run: Range<usize>,
    lines: (&mut [F], usize),
) {
    match maps {
        1 => fill_lines::<F, V, S, 1, { wide(1) }>(vectors, frame, w_x, run, lines),
        2 => fill_lines::<F, V, S, 2, { wide(2) }>(vectors, frame, w_x, run, lines),
        3 => fill_lines::<F, V, S, 3, { wide(3) }>(vectors, frame, w_x, run, lines),
        4 => fill_lines::<F, V, S, 4, { wide(4) }>(vectors, frame, w_x, run, lines),
        5 => fill_lines::<F, V, S, 5, { wide(5) }>(vectors, frame, w_x, run, lines),
        _ => fill_lines::<F, V, S, 6, { wide(6) }>(vectors, frame, w_x, run, lines),
    }
}

/// [`fill`] of `M` maps, `N` vectors at a time.
#[inline(always)]
fn fill_lines<F: Float, V: Vectors<F>, const S: usize, const M: usize, const N: usize>(
    vectors: V,
    frame: &Frame,
    (w, x): (&[F], &[F]),
    run: Range<usize>,
    (lines, to): (&mut [F], usize),
) {
    let w = w.as_chunks::<M>().0;
    let mut start = run.start;
    while start < run.end {
        let to = to + start - run.start;
        // The end vector by vector, where that is less than half a block.
        if run.end - start > N / 2 * V::LANES {
            fill_block::<F, V, S, M, N>(vectors, frame, (w, x), start, (lines, to));
            start += N * V::LANES;
        } else {
            fill_block::<F, V, S, M, 1>(vectors, frame, (w, x), start, (lines, to));
            start += V::LANES;
        }
    }
}

/// Writes the sums of `M` maps at `N` vectors of places from `start` on.
#[inline(always)]
fn fill_block<F: Float, V: Vectors<F>, const S: usize, const M: usize, const N: usize>(
    vectors: V,
    frame: &Frame,
    (w, x): (&[[F; M]], &[F]),
    start: usize,
    (lines, to): (&mut [F], usize),
) {
    let mut sums = [[vectors.splat(F::zero()); N]; M];
    let [height, width] = frame.kernel();
    let places = start..start + N * V::LANES;
    let rows = frame.rows_read(places.clone());
    let columns = if S == 1 { 0..width } else { frame.columns_read(places) };
    let x = &x[start + columns.start * S..];
    let read = N * V::LANES + (columns.len().max(1) - 1) * S;
    for (channel, w) in w.chunks_exact(height * width).enumerate() {
        let x = &x[channel * frame.plane()..];
        for row in rows.clone() {
            let (w, x) = (&w[row * width..][columns.clone()], &x[row * frame.line()..][..read]);
            for (column, w) in w.iter().enumerate() {
                let x = &vectors.split(&x[column * S..])[..N];
                let x: [V::Vector; N] = std::array::from_fn(|at| x[at]);
                for map in 0..M {
                    let w = vectors.splat(w[map]);
                    for at in 0..N {
                        sums[map][at] = vectors.mul_add(w, x[at], sums[map][at]);
                    }
                }
            }
        }
    }
    let len = lines.len() / MAPS;
    for (map, sums) in sums.iter().enumerate() {
        vectors.split_mut(&mut lines[map * len + to..])[..N].copy_from_slice(sums);
    }
}

/// Adds a few samples to the partial sums of the weight gradient of a few maps of one group.
pub(super) struct WeightSums<'a, F> {
    pub(super) frame: &'a Frame,
    /// For each sample `[channels, frame.plane()]`, and [`slack`].
    pub(super) x: &'a [F],
    /// The samples, of all groups.
    pub(super) dz: Rows<'a, F>,
    /// The maps in `dz`.
    pub(super) maps: Range<usize>,
    /// The taps that are summed.
    pub(super) taps: Range<usize>,
    /// `[maps, taps, lanes]`; narrower vectors leave the last lanes as they are.
    pub(super) sums: &'a mut [F],
    /// For each sample [`MAPS`] lines, zero between the rows.
    pub(super) lines: &'a mut [F],
}

impl<F: Float> FusedWork<F> for WeightSums<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vectors<F>>(self, vectors: V) {
        let Self { frame, x, dz, maps, taps, sums, lines } = self;
        let strip = sums.len() / maps.len();
        let (samples, places) = (dz.len(), frame.places());
        let len = lines.len() / (samples * MAPS);
        for (first, count) in blocks(maps.len()) {
            for (dz, lines) in dz.iter().zip(lines.chunks_exact_mut(MAPS * len)) {
                let dz = dz[(maps.start + first) * places..].chunks_exact(places).take(count);
                dz.zip(lines.chunks_exact_mut(len)).for_each(|(dz, line)| frame.copy_to_line(dz, line));
            }
            let sums = &mut sums[first * strip..][..count * strip];
            let (x_step, dz_step) = (x.len() / samples, lines.len() / samples);
            let runs = (0..samples).map(|sample| (sample * x_step, sample * dz_step));
            let (dz, first_tap) = ((&*lines, len), taps.start);
            Block { frame, runs, len: frame.reach(), first_tap, x, dz, sums }.add_maps(vectors, count);
        }
    }
}

/// Adds runs of places to the partial sums of the weight gradient of a block of maps.
pub(super) struct Block<'a, F, R> {
    pub(super) frame: &'a Frame,
    /// Where each run begins in `x`, of a tap at the first place, and in the line of the first map.
    pub(super) runs: R,
    /// Numbers of a run; what is read beyond, up to a whole vector, is zero in `dz`.
    pub(super) len: usize,
    /// The tap of the first sums.
    pub(super) first_tap: usize,
    pub(super) x: &'a [F],
    /// A line for each map, and numbers from one to the next.
    pub(super) dz: (&'a [F], usize),
    /// `[maps, taps, lanes]`.
    pub(super) sums: &'a mut [F],
}

impl<F: Float, R: Iterator<Item = (usize, usize)> + Clone> Block<'_, F, R> {
    /// All taps of so many maps.
    #[inline(always)]
    pub(super) fn add_maps<V: Vectors<F>>(self, vectors: V, maps: usize) {
        match maps {
            1 => self.add::<V, 1, { wide(1) }>(vectors),
            2 => self.add::<V, 2, { wide(2) }>(vectors),
            3 => self.add::<V, 3, { wide(3) }>(vectors),
            4 => self.add::<V, 4, { wide(4) }>(vectors),
            5 => self.add::<V, 5, { wide(5) }>(vectors),
            _ => self.add::<V, 6, { wide(6) }>(vectors),
        }
    }

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

    /// `T` taps of `M` maps, from tap `first` of the block on.
    #[inline(always)]
    fn add_taps<V: Vectors<F>, const M: usize, const T: usize>(&mut self, vectors: V, first: usize) {
        let (strip, count) = (self.sums.len() / M, self.len.div_ceil(V::LANES));
        let at = |map: usize, tap: usize| map * strip + (first + tap) * lanes::<F>();
        let mut sums: [[V::Vector; T]; M] = std::array::from_fn(|map| {
            std::array::from_fn(|tap| vectors.split(&self.sums[at(map, tap)..])[0])
        });
        let offsets: [usize; T] = std::array::from_fn(|tap| self.frame.offset(self.first_tap + first + tap));
        let (dz, line) = self.dz;
        for (x_start, dz_start) in self.runs.clone() {
            let x: [&[V::Vector]; T] =
                std::array::from_fn(|tap| &vectors.split(&self.x[x_start + offsets[tap]..])[..count]);
            let dz: [&[V::Vector]; M] =
                std::array::from_fn(|map| &vectors.split(&dz[dz_start + map * line..])[..count]);
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

#[cfg(test)]
mod tests {
    use super::super::window::{Kernel, Padding, Window};
    use super::*;
    use crate::simd::{Fusing, Separate};

    fn numbers(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 7919 + seed * 31) % 1009) as f32 / 1009.0 - 0.5).collect()
    }

    fn frame() -> Frame {
        let kernel = Kernel::new([3, 2]).with_padding(Padding::Same);
        Frame::new(Window::over("conv2d", &kernel, [5, 9]).unwrap()).unwrap()
    }

    fn assert_close(a: &[f32], b: &[f32]) {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "{a:?}\n{b:?}");
    }

    #[test]
    fn blocks_are_few_and_even() {
        for maps in 1..40 {
            let all: Vec<_> = blocks(maps).collect();
            assert_eq!(all.len(), maps.div_ceil(MAPS));
            assert_eq!(all.iter().map(|&(_, count)| count).sum::<usize>(), maps);
            assert!(all.iter().all(|&(_, count)| count >= maps / all.len() && count <= MAPS));
        }
    }

    #[test]
    fn products_are_the_same_fused_and_separate() {
        let frame = &frame();
        for maps in 1..=9 {
            let w = &numbers(maps * 2 * 6, 1);
            let x = &mut vec![0.0; 2 * frame.plane() + slack::<f32>()];
            frame.copy_inside(&numbers(2 * 5 * 9, 2), x);
            let mut lines = vec![f32::NAN; MAPS * (frame.reach() + slack::<f32>())];
            let mut product = |z: &mut [f32], is_fused: bool| {
                let work = Product { frame, maps, w, x, z, lines: &mut lines };
                if is_fused { f32::fused(work) } else { work.run(Separate) }
            };
            let mut fused = numbers(maps * frame.places(), 3);
            let mut separate = fused.clone();
            product(&mut fused, true);
            product(&mut separate, false);
            assert_close(&fused, &separate);
        }
    }

    #[test]
    fn weight_sums_are_the_same_fused_and_separate() {
        let frame = &frame();
        for maps in 1..=9 {
            let x = &numbers(2 * (2 * frame.plane() + slack::<f32>()), 1);
            let dz = numbers(2 * maps * frame.places(), 2);
            let sums = |is_fused: bool| {
                let mut lines = vec![0.0; 2 * MAPS * (frame.reach() + slack::<f32>())];
                let mut sums = vec![0.0; maps * 2 * 6 * lanes::<f32>()];
                let dz = Rows::new(&dz, maps * frame.places());
                let work = WeightSums {
                    frame,
                    x,
                    dz,
                    maps: 0..maps,
                    taps: 0..12,
                    sums: &mut sums,
                    lines: &mut lines,
                };
                if is_fused {
                    f32::fused(work);
                } else {
                    work.run(Separate);
                }
                let sums = sums.chunks_exact(lanes::<f32>()).map(|lanes| lanes.iter().sum::<f32>());
                sums.collect::<Vec<_>>()
            };
            assert_close(&sums(true), &sums(false));
        }
    }
}
