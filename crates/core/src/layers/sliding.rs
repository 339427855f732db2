//! Correlations in stride 1 without unfolding: blocks of maps and places whose sums stay in registers.

use super::frame::Frame;
use crate::Float;
use crate::simd::{Arithmetic, FusedWork, fused};

/// Maps of a block, at most.
pub(super) const MAPS: usize = 4;

/// Numbers of a vector: 32 bytes.
pub(super) const fn lanes<F: Float>() -> usize {
    32 / F::BYTES
}

/// Vectors of places, or taps, that go with so many maps: `MAPS · VECTORS` sums and what is multiplied fill the 16
/// registers of AVX2, and there are enough of them to hide the time that a multiply-add takes.
const fn vectors(maps: usize) -> usize {
    match maps {
        1 => 8,
        2 => 6,
        3 => 4,
        _ => 3,
    }
}

/// Numbers that a product may read and write behind a line.
pub(super) const fn slack<F: Float>() -> usize {
    8 * lanes::<F>()
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

impl<F: Float> Product<'_, F> {
    pub(super) fn add(self) {
        fused(self);
    }
}

impl<F: Float> FusedWork for Product<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        // A constant in each instance; only as a literal it may be the length of an array.
        if F::BYTES == 4 { self.run_lanes::<A, 8>() } else { self.run_lanes::<A, 4>() }
    }
}

impl<F: Float> Product<'_, F> {
    #[inline(always)]
    fn run_lanes<A: Arithmetic, const L: usize>(self) {
        let Self { frame, maps, w, x, z, lines } = self;
        let taps = w.len() / maps;
        let len = lines.len() / MAPS;
        for (first, count) in blocks(maps) {
            let w = &w[first * taps..][..count * taps];
            match count {
                1 => fill_lines::<A, F, L, 1, { vectors(1) }>(frame, w, x, lines),
                2 => fill_lines::<A, F, L, 2, { vectors(2) }>(frame, w, x, lines),
                3 => fill_lines::<A, F, L, 3, { vectors(3) }>(frame, w, x, lines),
                _ => fill_lines::<A, F, L, 4, { vectors(4) }>(frame, w, x, lines),
            }
            for (map, line) in lines.chunks_exact(len).take(count).enumerate() {
                frame.add_line(line, &mut z[(first + map) * frame.places()..][..frame.places()]);
            }
        }
    }
}

/// Writes the sums of `M` maps along their lines.
#[inline(always)]
fn fill_lines<A: Arithmetic, F: Float, const L: usize, const M: usize, const V: usize>(
    frame: &Frame,
    w: &[F],
    x: &[F],
    lines: &mut [F],
) {
    let w = w.as_chunks::<M>().0;
    let (reach, len) = (frame.reach(), lines.len() / MAPS);
    let mut start = 0;
    while start < reach {
        // The end vector by vector, where that is less than a block.
        if reach - start > V * L / 2 {
            let block = sums::<A, F, L, M, V>(frame, w, &x[start..]);
            for (map, sums) in block.iter().enumerate() {
                lines[map * len + start..][..V * L].copy_from_slice(sums.as_flattened());
            }
            start += V * L;
        } else {
            let block = sums::<A, F, L, M, 1>(frame, w, &x[start..]);
            for (map, sums) in block.iter().enumerate() {
                lines[map * len + start..][..L].copy_from_slice(sums.as_flattened());
            }
            start += L;
        }
    }
}

/// The sums of `M` maps at the first `V · L` places of `x`'s lines.
#[inline(always)]
fn sums<A: Arithmetic, F: Float, const L: usize, const M: usize, const V: usize>(
    frame: &Frame,
    w: &[[F; M]],
    x: &[F],
) -> [[[F; L]; V]; M] {
    let mut sums = [[[F::zero(); L]; V]; M];
    let [height, width] = frame.kernel();
    for (channel, w) in w.chunks_exact(height * width).enumerate() {
        for (row, w) in w.chunks_exact(width).enumerate() {
            let x = &x[channel * frame.plane() + row * frame.line()..][..V * L + width - 1];
            for (column, w) in w.iter().enumerate() {
                let x = &x[column..][..V * L].as_chunks::<L>().0[..V];
                for map in 0..M {
                    for vector in 0..V {
                        for lane in 0..L {
                            let sum = &mut sums[map][vector][lane];
                            *sum = A::mul_add(w[map], x[vector][lane], *sum);
                        }
                    }
                }
            }
        }
    }
    sums
}

/// Adds a sample to the partial sums of the weight gradient of a few maps of one group.
pub(super) struct WeightSums<'a, F> {
    pub(super) frame: &'a Frame,
    /// `[channels, frame.plane()]`, and [`slack`].
    pub(super) x: &'a [F],
    /// The maps, `[maps, places]`.
    pub(super) dz: &'a [F],
    /// `[maps, taps, lanes]`.
    pub(super) sums: &'a mut [F],
    /// For [`MAPS`] lines, zero between the rows.
    pub(super) lines: &'a mut [F],
}

impl<F: Float> WeightSums<'_, F> {
    pub(super) fn add(self) {
        fused(self);
    }
}

impl<F: Float> FusedWork for WeightSums<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        if F::BYTES == 4 { self.run_lanes::<A, 8>() } else { self.run_lanes::<A, 4>() }
    }
}

impl<F: Float> WeightSums<'_, F> {
    #[inline(always)]
    fn run_lanes<A: Arithmetic, const L: usize>(self) {
        let Self { frame, x, dz, sums, lines } = self;
        let maps = dz.len() / frame.places();
        let sums = sums.as_chunks_mut::<L>().0;
        let taps = sums.len() / maps;
        let len = lines.len() / MAPS;
        for (first, count) in blocks(maps) {
            for (map, line) in lines.chunks_exact_mut(len).take(count).enumerate() {
                frame.copy_to_line(&dz[(first + map) * frame.places()..][..frame.places()], line);
            }
            let sums = &mut sums[first * taps..][..count * taps];
            match count {
                1 => add_block::<A, F, L, 1, { vectors(1) }>(frame, x, lines, sums),
                2 => add_block::<A, F, L, 2, { vectors(2) }>(frame, x, lines, sums),
                3 => add_block::<A, F, L, 3, { vectors(3) }>(frame, x, lines, sums),
                _ => add_block::<A, F, L, 4, { vectors(4) }>(frame, x, lines, sums),
            }
        }
    }
}

/// All taps of `M` maps, `T` taps at a time.
#[inline(always)]
fn add_block<A: Arithmetic, F: Float, const L: usize, const M: usize, const T: usize>(
    frame: &Frame,
    x: &[F],
    dz: &[F],
    sums: &mut [[F; L]],
) {
    let taps = sums.len() / M;
    let mut tap = 0;
    while tap < taps {
        if taps - tap >= T {
            add_taps::<A, F, L, M, T>(frame, tap, x, dz, sums);
            tap += T;
        } else {
            add_taps::<A, F, L, M, 1>(frame, tap, x, dz, sums);
            tap += 1;
        }
    }
}

/// `T` taps of `M` maps.
#[inline(always)]
fn add_taps<A: Arithmetic, F: Float, const L: usize, const M: usize, const T: usize>(
    frame: &Frame,
    first: usize,
    x: &[F],
    dz: &[F],
    all: &mut [[F; L]],
) {
    let (taps, len) = (all.len() / M, dz.len() / MAPS);
    let count = frame.reach().div_ceil(L);
    let x: [&[[F; L]]; T] =
        std::array::from_fn(|tap| &x[frame.offset(first + tap)..].as_chunks::<L>().0[..count]);
    let dz: [&[[F; L]]; M] = std::array::from_fn(|map| &dz[map * len..].as_chunks::<L>().0[..count]);
    let mut sums: [[[F; L]; T]; M] =
        std::array::from_fn(|map| std::array::from_fn(|tap| all[map * taps + first + tap]));
    for at in 0..count {
        for map in 0..M {
            for tap in 0..T {
                for lane in 0..L {
                    let sum = &mut sums[map][tap][lane];
                    *sum = A::mul_add(dz[map][at][lane], x[tap][at][lane], *sum);
                }
            }
        }
    }
    for (map, sums) in sums.iter().enumerate() {
        all[map * taps + first..][..T].copy_from_slice(sums);
    }
}
