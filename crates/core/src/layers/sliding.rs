//! Correlations in stride 1 without unfolding: blocks of maps and places whose sums stay in registers.

use super::frame::Frame;
use crate::Float;
use crate::simd::{FusedWork, Vectors};

/// Maps of a block, at most.
pub(super) const MAPS: usize = 6;

/// Numbers of a vector: 32 bytes.
pub(super) const fn lanes<F: Float>() -> usize {
    32 / F::BYTES
}

/// Vectors of places, or taps, that go with so many maps: their sums and what is multiplied fill the 16
/// registers of AVX2, and there are enough of them to hide the time that a multiply-add takes.
const fn wide(maps: usize) -> usize {
    match maps {
        1 => 8,
        2 => 4,
        3 => 3,
        _ => 2,
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

impl<F: Float> FusedWork<F> for Product<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vectors<F>>(self, vectors: V) {
        let Self { frame, maps, w, x, z, lines } = self;
        let taps = w.len() / maps;
        let len = lines.len() / MAPS;
        for (first, count) in blocks(maps) {
            let w = &w[first * taps..][..count * taps];
            match count {
                1 => fill_lines::<F, V, 1, { wide(1) }>(vectors, frame, w, x, lines),
                2 => fill_lines::<F, V, 2, { wide(2) }>(vectors, frame, w, x, lines),
                3 => fill_lines::<F, V, 3, { wide(3) }>(vectors, frame, w, x, lines),
                4 => fill_lines::<F, V, 4, { wide(4) }>(vectors, frame, w, x, lines),
                5 => fill_lines::<F, V, 5, { wide(5) }>(vectors, frame, w, x, lines),
                _ => fill_lines::<F, V, 6, { wide(6) }>(vectors, frame, w, x, lines),
            }
            for (map, line) in lines.chunks_exact(len).take(count).enumerate() {
                frame.add_line(line, &mut z[(first + map) * frame.places()..][..frame.places()]);
            }
        }
    }
}

/// Writes the sums of `M` maps along their lines, `N` vectors at a time.
#[inline(always)]
fn fill_lines<F: Float, V: Vectors<F>, const M: usize, const N: usize>(
    vectors: V,
    frame: &Frame,
    w: &[F],
    x: &[F],
    lines: &mut [F],
) {
    let w = w.as_chunks::<M>().0;
    let mut start = 0;
    while start < frame.reach() {
        // The end vector by vector, where that is less than half a block.
        if frame.reach() - start > N / 2 * V::LANES {
            fill_block::<F, V, M, N>(vectors, frame, w, x, lines, start);
            start += N * V::LANES;
        } else {
            fill_block::<F, V, M, 1>(vectors, frame, w, x, lines, start);
            start += V::LANES;
        }
    }
}

/// Writes the sums of `M` maps at `N` vectors of places from `start` on.
#[inline(always)]
fn fill_block<F: Float, V: Vectors<F>, const M: usize, const N: usize>(
    vectors: V,
    frame: &Frame,
    w: &[[F; M]],
    x: &[F],
    lines: &mut [F],
    start: usize,
) {
    let mut sums = [[vectors.splat(F::zero()); N]; M];
    let [height, width] = frame.kernel();
    let rows = frame.rows_read(start..start + N * V::LANES);
    for (channel, w) in w.chunks_exact(height * width).enumerate() {
        let w = &w[rows.start * width..rows.end * width];
        for (row, w) in rows.clone().zip(w.chunks_exact(width)) {
            let x = &x[start + channel * frame.plane() + row * frame.line()..];
            let x = &x[..N * V::LANES + width - 1];
            for (column, w) in w.iter().enumerate() {
                let x = &vectors.split(&x[column..])[..N];
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
        vectors.split_mut(&mut lines[map * len + start..])[..N].copy_from_slice(sums);
    }
}

/// Adds a sample to the partial sums of the weight gradient of a few maps of one group.
pub(super) struct WeightSums<'a, F> {
    pub(super) frame: &'a Frame,
    /// `[channels, frame.plane()]`, and [`slack`].
    pub(super) x: &'a [F],
    /// The maps, `[maps, places]`.
    pub(super) dz: &'a [F],
    /// `[maps, taps, lanes]`; narrower vectors leave the last lanes as they are.
    pub(super) sums: &'a mut [F],
    /// For [`MAPS`] lines, zero between the rows.
    pub(super) lines: &'a mut [F],
}

impl<F: Float> FusedWork<F> for WeightSums<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vectors<F>>(self, vectors: V) {
        let Self { frame, x, dz, sums, lines } = self;
        let maps = dz.len() / frame.places();
        let strip = sums.len() / maps;
        let len = lines.len() / MAPS;
        for (first, count) in blocks(maps) {
            for (map, line) in lines.chunks_exact_mut(len).take(count).enumerate() {
                frame.copy_to_line(&dz[(first + map) * frame.places()..][..frame.places()], line);
            }
            let sums = &mut sums[first * strip..][..count * strip];
            match count {
                1 => add_block::<F, V, 1, { wide(1) }>(vectors, frame, x, lines, sums),
                2 => add_block::<F, V, 2, { wide(2) }>(vectors, frame, x, lines, sums),
                3 => add_block::<F, V, 3, { wide(3) }>(vectors, frame, x, lines, sums),
                4 => add_block::<F, V, 4, { wide(4) }>(vectors, frame, x, lines, sums),
                5 => add_block::<F, V, 5, { wide(5) }>(vectors, frame, x, lines, sums),
                _ => add_block::<F, V, 6, { wide(6) }>(vectors, frame, x, lines, sums),
            }
        }
    }
}

/// All taps of `M` maps, `T` taps at a time.
#[inline(always)]
fn add_block<F: Float, V: Vectors<F>, const M: usize, const T: usize>(
    vectors: V,
    frame: &Frame,
    x: &[F],
    dz: &[F],
    sums: &mut [F],
) {
    let taps = sums.len() / (M * lanes::<F>());
    let mut tap = 0;
    while tap < taps {
        if taps - tap >= T {
            add_taps::<F, V, M, T>(vectors, frame, tap, x, dz, sums);
            tap += T;
        } else {
            add_taps::<F, V, M, 1>(vectors, frame, tap, x, dz, sums);
            tap += 1;
        }
    }
}

/// `T` taps of `M` maps, from tap `first` on.
#[inline(always)]
fn add_taps<F: Float, V: Vectors<F>, const M: usize, const T: usize>(
    vectors: V,
    frame: &Frame,
    first: usize,
    x: &[F],
    dz: &[F],
    all: &mut [F],
) {
    let (strip, len) = (all.len() / M, dz.len() / MAPS);
    let count = frame.reach().div_ceil(V::LANES);
    let x: [&[V::Vector]; T] =
        std::array::from_fn(|tap| &vectors.split(&x[frame.offset(first + tap)..])[..count]);
    let dz: [&[V::Vector]; M] = std::array::from_fn(|map| &vectors.split(&dz[map * len..])[..count]);
    let at = |map: usize, tap: usize| map * strip + (first + tap) * lanes::<F>();
    let mut sums: [[V::Vector; T]; M] =
        std::array::from_fn(|map| std::array::from_fn(|tap| vectors.split(&all[at(map, tap)..])[0]));
    for at in 0..count {
        let x: [V::Vector; T] = std::array::from_fn(|tap| x[tap][at]);
        for map in 0..M {
            let dz = dz[map][at];
            for tap in 0..T {
                sums[map][tap] = vectors.mul_add(dz, x[tap], sums[map][tap]);
            }
        }
    }
    for (map, sums) in sums.iter().enumerate() {
        for (tap, &sum) in sums.iter().enumerate() {
            vectors.split_mut(&mut all[at(map, tap)..])[0] = sum;
        }
    }
}
