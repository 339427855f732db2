//! The linear map inside convolutions in stride 1, and its adjoints, without unfolding.

use std::ops::Range;

use super::abreast::{self, Framing, Samples};
use super::correlation::{RowStep, start_with};
use super::frame::Frame;
use super::sliding::{MAPS, Product, WeightSums, lanes, pack, slack};
use super::unfold::add;
use super::window::Window;
use crate::executor::{MAX_TILES, MIN_TILE_WORK, even_tile, for_each_tile_with};
use crate::{Executor, Float, Rows, Shape};

/// Tiles of the weight gradient, about as many: each frames anew what it reads.
const WEIGHT_TILES: usize = 8;

/// Taps of a tile of the weight gradient, at least: what is framed for fewer takes as long as the sums.
const MIN_TAPS: usize = 12;

/// Partial sums of all weights beyond which they are kept once and not for every tile of rows.
const MAX_SUMS: usize = 1 << 16;

/// The correlation of a group in one direction.
#[derive(Clone, Copy, Debug)]
struct Direction {
    frame: Frame,
    channels: usize,
    maps: usize,
}

impl Direction {
    /// Numbers of the framed channels, and of what may be read behind them.
    fn framed<F: Float>(&self) -> usize {
        self.channels * self.frame.plane() + slack::<F>()
    }

    /// Scratch of a tile: framed channels and lines.
    fn patch<F: Float>(&self) -> usize {
        self.framed::<F>() + MAPS * (self.frame.reach() + slack::<F>())
    }

    /// The same of as many samples side by side as a vector has lanes, if that fits a cache.
    fn side_by_side<F: Float>(&self, rows: usize) -> Option<Self> {
        let side = Self { frame: self.frame.of_samples(lanes::<F>()), ..*self };
        (rows >= lanes::<F>() && side.is_small()).then_some(side)
    }

    /// Scratch of a tile of samples side by side.
    fn patch_side_by_side<F: Float>(&self) -> usize {
        self.side_by_side::<F>(usize::MAX)
            .map_or(0, |side| side.framed::<F>() + abreast::lines::<F>(&side.frame))
    }

    /// Samples that the weight gradient takes at once.
    fn samples(&self) -> usize {
        (LINE / self.frame.reach()).clamp(1, MAX_SAMPLES)
    }

    /// Whether the scratch of a tile is small.
    fn is_small(&self) -> bool {
        let [rows, columns] = self.frame.size();
        Shape::new([self.channels + MAPS, rows, columns]).is_ok_and(|all| all.len() <= MAX_PATCH)
    }
}

/// Framed numbers of a sample beyond which unfolding in blocks takes less memory, and its blocks stay in the cache.
const MAX_PATCH: usize = 1 << 17;

/// The weight gradient loads and stores its sums after so many places, or so many samples.
const LINE: usize = 1 << 9;
const MAX_SAMPLES: usize = 8;

/// `z = w ⋆ x` as in `correlation.rs`, for a window in stride 1 without gaps.
///
/// # Derivation
/// In a frame (`frame.rs`) every tap reads the places of a long line in one run, so the sums are
/// ```text
/// z_m,p  = Σ_t w_mt x_p+o(t)                   p along the line, o(t) where tap t reads at p = 0
/// dw_mt  = Σ_p dz_mp x_p+o(t)                  dz zero between its rows
/// ```
/// The adjoint is the same product. With `p' = p + u`, the places that read an input, last tap first, are those of the
/// window turned around:
/// ```text
/// dx_cq  = Σ_m Σ_uv [p + (u, v) = q] w_mcuv dz_mp = Σ_m Σ_uv w_m,c,kh-1-u,kw-1-v dz_m,q+(u,v)-(kh-1,kw-1)
/// ```
/// # Blocks
/// `sliding.rs` computes six maps times two vectors of places at once (fewer maps, more vectors), over all taps: twelve sums
/// in registers, and a tap costs two loads of `x`, six weights and twelve multiply-adds. Of the weight gradient it computes
/// six maps times two taps along the line; each lane of a sum adds the places of its number, and lanes are added after the
/// last row of the batch. So weights lie as `[map blocks, taps, maps of a block]`, and sums as `[maps, taps, lanes]`.
///
/// The weight gradient is cut into tiles of maps, so that what a tile prepares of `z` is prepared once, and where there are few
/// maps of taps too.
#[derive(Debug)]
pub(super) struct Framed {
    there: Direction,
    back: Direction,
    groups: usize,
    tiles: WeightTiles,
}

/// How the weight gradient is cut: tile `i` has the maps from `i / parts * maps` on and the taps from `i % parts * taps` on,
/// and its sums lie as `[maps, taps, lanes]` where its part of the scratch begins.
#[derive(Clone, Copy, Debug, PartialEq)]
struct WeightTiles {
    /// Maps of a tile, of all groups; the last tiles may have fewer.
    maps: usize,
    /// Taps of a tile; the last part may have fewer.
    taps: usize,
    /// Parts of the taps.
    parts: usize,
    /// Tiles of maps.
    blocks: usize,
}

impl WeightTiles {
    /// One tile.
    fn one(maps: usize, taps: usize) -> Self {
        Self { maps, taps, parts: 1, blocks: 1 }
    }

    /// About [`WEIGHT_TILES`] for `maps` maps in each of `groups` groups.
    fn several(maps: usize, groups: usize, taps: usize) -> Self {
        let all = maps * groups;
        let block = maps.div_ceil(maps.div_ceil(MAPS));
        let tile = all.div_ceil(WEIGHT_TILES).next_multiple_of(block).min(all);
        let blocks = all.div_ceil(tile);
        let parts = (WEIGHT_TILES / blocks).min(taps / MIN_TAPS).max(1);
        // Even, as two at a time are summed.
        let part = if parts > 1 { taps.div_ceil(parts).next_multiple_of(2) } else { taps };
        Self { maps: tile, taps: part, parts: taps.div_ceil(part), blocks }
    }

    fn count(&self) -> usize {
        self.blocks * self.parts
    }

    /// Sums of a tile.
    fn len(&self) -> usize {
        self.maps * self.taps
    }

    /// The maps and the taps of a tile, of so many in all.
    fn of(&self, tile: usize, maps: usize, taps: usize) -> [Range<usize>; 2] {
        let (map, tap) = (tile / self.parts * self.maps, tile % self.parts * self.taps);
        [map..maps.min(map + self.maps), tap..taps.min(tap + self.taps)]
    }
}

impl Framed {
    /// `None` where the window has a stride or gaps, reaches over the edge with all its cells, or the frames take too much
    /// memory: elsewhere this was the faster way at all sizes that were measured, from 25 places to 1024, 1 channel to 64.
    pub(super) fn new(window: Window, channels: usize, maps: usize, groups: usize) -> Option<Self> {
        let turned = Window { rows: window.rows.turned()?, columns: window.columns.turned()? };
        let there = Direction { frame: Frame::new(window)?, channels, maps };
        let back = Direction { frame: Frame::new(turned)?, channels: maps, maps: channels };
        let [height, width] = there.frame.kernel();
        let tiles = WeightTiles::several(maps, groups, channels * height * width);
        (there.is_small() && back.is_small()).then_some(Self { there, back, groups, tiles })
    }

    /// Weights of a map.
    fn taps(&self) -> usize {
        let [height, width] = self.there.frame.kernel();
        self.there.channels * height * width
    }

    fn weights(&self) -> usize {
        self.groups * self.there.maps * self.taps()
    }

    /// Whether each tile of rows may have sums of its own of all weights.
    fn has_few_weights<F: Float>(&self) -> bool {
        self.weights().saturating_mul(lanes::<F>()) <= MAX_SUMS
    }

    /// Numbers that every call wants as `scratch`.
    pub(super) fn scratch<F: Float>(&self) -> usize {
        let patch = (self.there.samples() * self.there.patch::<F>()).max(self.back.patch::<F>());
        let side = self.there.patch_side_by_side::<F>().max(self.back.patch_side_by_side::<F>());
        let tiles = if self.has_few_weights::<F>() { WEIGHT_TILES } else { 1 };
        let sums = (self.tiles.count() * self.tiles.len()).max(tiles * self.weights());
        sums * lanes::<F>() + MAX_TILES * patch.max(side)
    }

    /// As [`Correlation::product`](super::correlation::Correlation::product).
    pub(super) fn product<F: Float>(
        &self,
        executor: &dyn Executor<F>,
        (w, x): (&[F], Rows<'_, F>),
        z: &mut [F],
        scratch: &mut [F],
        ends: (&[F], impl RowStep<F>),
    ) {
        let (maps, taps) = (self.there.maps, self.taps());
        let (packed, scratch) = scratch.split_at_mut(self.weights());
        for (w, packed) in w.chunks_exact(maps * taps).zip(packed.chunks_exact_mut(maps * taps)) {
            pack(maps, taps, |map, tap| w[map * taps + tap], packed);
        }
        self.run(self.there, executor, (packed, x), z, scratch, ends);
    }

    /// As [`Correlation::adjoint`](super::correlation::Correlation::adjoint).
    pub(super) fn adjoint<F: Float>(
        &self,
        executor: &dyn Executor<F>,
        (w, z): (&[F], Rows<'_, F>),
        x: &mut [F],
        scratch: &mut [F],
        ends: (&[F], impl RowStep<F>),
    ) {
        let (maps, taps) = (self.there.maps, self.taps());
        let cells = taps / self.there.channels;
        let (packed, scratch) = scratch.split_at_mut(self.weights());
        for (w, packed) in w.chunks_exact(maps * taps).zip(packed.chunks_exact_mut(maps * taps)) {
            let turned = |channel: usize, tap: usize| {
                w[tap / cells * taps + channel * cells + cells - 1 - tap % cells]
            };
            pack(self.there.channels, maps * cells, turned, packed);
        }
        self.run(self.back, executor, (packed, z), x, scratch, ends);
    }

    /// `z = bias + w ⋆ x` with packed weights.
    fn run<F: Float>(
        &self,
        direction: Direction,
        executor: &dyn Executor<F>,
        (packed, x): (&[F], Rows<'_, F>),
        z: &mut [F],
        scratch: &mut [F],
        (bias, finish): (&[F], impl RowStep<F>),
    ) {
        let Direction { frame, maps, .. } = direction;
        let width = self.groups * maps * frame.places();
        let work = packed.len().saturating_mul(frame.places());
        let rows = z.len() / width;
        let side = direction.side_by_side::<F>(rows);
        let at_once = if side.is_some() { lanes::<F>() } else { 1 };
        let tile = (width, even_tile(rows, work).next_multiple_of(at_once));
        let patch = direction.patch::<F>().max(direction.patch_side_by_side::<F>());
        for_each_tile_with(executor, z, tile, (scratch, patch), |first, z, patch| {
            let count = z.len() / width;
            let x = x.slice(first, count);
            let whole = if side.is_some() { count / at_once * at_once } else { 0 };
            let (together, alone) = z.split_at_mut(whole * width);
            if let Some(side) = side {
                self.run_side_by_side(side, (packed, x), together, patch, (bias, &finish));
            }
            if !alone.is_empty() {
                let x = x.slice(whole, count - whole);
                self.run_alone(direction, (packed, x), alone, patch, (bias, &finish));
            }
        });
    }

    /// [`run`](Self::run), sample by sample.
    fn run_alone<F: Float>(
        &self,
        Direction { frame, channels, maps }: Direction,
        (packed, x): (&[F], Rows<'_, F>),
        z: &mut [F],
        patch: &mut [F],
        (bias, finish): (&[F], &impl RowStep<F>),
    ) {
        let weights = packed.len() / self.groups;
        let direction = Direction { frame, channels, maps };
        let patch = &mut patch[..direction.patch::<F>()];
        patch.fill(F::zero());
        let (framed, lines) = patch.split_at_mut(direction.framed::<F>());
        for (x, z) in x.iter().zip(z.chunks_exact_mut(self.groups * maps * frame.places())) {
            start_with(bias, frame.places(), z);
            let groups = x.chunks_exact(x.len() / self.groups).zip(packed.chunks_exact(weights));
            for ((x, w), z) in groups.zip(z.chunks_exact_mut(maps * frame.places())) {
                frame.copy_inside(x, framed);
                F::fused(Product { frame: &frame, maps, w, x: framed, z, lines });
            }
            finish(z);
        }
    }

    /// [`run`](Self::run), as many samples side by side as a vector has lanes.
    fn run_side_by_side<F: Float>(
        &self,
        side: Direction,
        (packed, x): (&[F], Rows<'_, F>),
        z: &mut [F],
        patch: &mut [F],
        (bias, finish): (&[F], &impl RowStep<F>),
    ) {
        let Direction { frame, maps, .. } = side;
        let (weights, inputs) = (packed.len() / self.groups, x.width() / self.groups);
        let width = self.groups * maps * frame.places();
        let (framed, lines) = patch.split_at_mut(side.framed::<F>());
        let lines = &mut lines[..abreast::lines::<F>(&frame)];
        framed.fill(F::zero());
        for (index, z) in z.chunks_exact_mut(lanes::<F>() * width).enumerate() {
            let rows = x.slice(index * lanes::<F>(), lanes::<F>());
            for (group, w) in packed.chunks_exact(weights).enumerate() {
                let samples = Samples { rows, part: group * inputs..(group + 1) * inputs };
                F::fused(Framing { frame: &frame, samples, framed });
                let z = (&mut *z, group * maps * frame.places());
                let bias = if bias.is_empty() { bias } else { &bias[group * maps..][..maps] };
                F::fused(abreast::Product { frame: &frame, maps, w, x: framed, bias, z, lines });
            }
            z.chunks_exact_mut(width).for_each(finish);
        }
    }

    /// As [`Correlation::add_weight_gradient`](super::correlation::Correlation::add_weight_gradient), with tiles of maps.
    pub(super) fn add_weight_gradient<F: Float>(
        &self,
        executor: &dyn Executor<F>,
        (x, dz): (Rows<'_, F>, Rows<'_, F>),
        dw: &mut [F],
        scratch: &mut [F],
    ) {
        if let Some(side) = self.there.side_by_side::<F>(x.len()).filter(|_| self.has_few_weights::<F>()) {
            return self.add_side_by_side(side, executor, (x, dz), dw, scratch);
        }
        let (maps, taps) = (self.groups * self.there.maps, self.taps());
        let work = x.len().saturating_mul(self.there.frame.places()).saturating_mul(self.weights());
        // A tile pays for what it frames only if it is long.
        let tiles = match work / self.tiles.count() >= MIN_TILE_WORK / 2 {
            true => self.tiles,
            false => WeightTiles::one(maps, taps),
        };
        let len = tiles.len() * lanes::<F>();
        let (sums, scratch) = scratch.split_at_mut(tiles.count() * len);
        let patch = (scratch, self.there.samples() * self.there.patch::<F>());
        for_each_tile_with(executor, sums, (len, 1), patch, |tile, sums, patch| {
            sums.fill(F::zero());
            self.sum_tile(tiles.of(tile, maps, taps), (x, dz), sums, patch);
        });
        for (tile, sums) in sums.chunks_exact(len).enumerate() {
            let [maps, taps_of_it] = tiles.of(tile, maps, taps);
            let mut sums = sums.chunks_exact(lanes::<F>());
            for map in maps {
                let dw = &mut dw[map * taps..][taps_of_it.clone()];
                dw.iter_mut().zip(&mut sums).for_each(|(dw, sums)| *dw += sums.iter().copied().sum::<F>());
            }
        }
    }

    /// [`add_weight_gradient`](Self::add_weight_gradient) of as many samples side by side as a vector has lanes, in tiles
    /// of rows, whose sums are added in their order.
    fn add_side_by_side<F: Float>(
        &self,
        side: Direction,
        executor: &dyn Executor<F>,
        (x, dz): (Rows<'_, F>, Rows<'_, F>),
        dw: &mut [F],
        scratch: &mut [F],
    ) {
        let (rows, len) = (x.len(), self.weights() * lanes::<F>());
        let work = rows.saturating_mul(self.there.frame.places()).saturating_mul(self.weights());
        let tiles = (work / (MIN_TILE_WORK / 2)).clamp(1, WEIGHT_TILES);
        let tile = rows.div_ceil(tiles).next_multiple_of(lanes::<F>());
        let (sums, scratch) = scratch.split_at_mut(rows.div_ceil(tile) * len);
        let patch = side.patch_side_by_side::<F>().max(self.there.samples() * self.there.patch::<F>());
        for_each_tile_with(executor, sums, (len, 1), (scratch, patch), |index, sums, patch| {
            let count = tile.min(rows - index * tile);
            let (x, dz) = (x.slice(index * tile, count), dz.slice(index * tile, count));
            sums.fill(F::zero());
            let whole = count / lanes::<F>() * lanes::<F>();
            self.sum_side_by_side(side, (x.slice(0, whole), dz), sums, patch);
            if whole < count {
                let rest = (x.slice(whole, count - whole), dz.slice(whole, count - whole));
                self.sum_tile([0..self.groups * self.there.maps, 0..self.taps()], rest, sums, patch);
            }
        });
        let (sums, others) = sums.split_at_mut(len);
        others.chunks_exact(len).for_each(|tile| add(tile, sums));
        let sums = sums.chunks_exact(lanes::<F>());
        dw.iter_mut().zip(sums).for_each(|(dw, sums)| *dw += sums.iter().copied().sum::<F>());
    }

    /// Adds rows, whole vectors of them, to the sums of all weights.
    fn sum_side_by_side<F: Float>(
        &self,
        side: Direction,
        (x, dz): (Rows<'_, F>, Rows<'_, F>),
        sums: &mut [F],
        patch: &mut [F],
    ) {
        let Direction { frame, maps, .. } = side;
        let inputs = x.width() / self.groups;
        let outputs = maps * frame.places();
        let (framed, lines) = patch.split_at_mut(side.framed::<F>());
        let lines = &mut lines[..abreast::lines::<F>(&frame)];
        framed.fill(F::zero());
        for first in (0..x.len()).step_by(lanes::<F>()) {
            let (x, dz) = (x.slice(first, lanes::<F>()), dz.slice(first, lanes::<F>()));
            for (group, sums) in sums.chunks_exact_mut(maps * self.taps() * lanes::<F>()).enumerate() {
                let samples = Samples { rows: x, part: group * inputs..(group + 1) * inputs };
                F::fused(Framing { frame: &frame, samples, framed });
                let dz = Samples { rows: dz, part: group * outputs..(group + 1) * outputs };
                F::fused(abreast::WeightSums { frame: &frame, x: framed, dz, sums, lines });
            }
        }
    }

    /// Adds the sums of some maps of all groups at some taps, over all rows.
    fn sum_tile<F: Float>(
        &self,
        [maps, taps]: [Range<usize>; 2],
        (x, dz): (Rows<'_, F>, Rows<'_, F>),
        sums: &mut [F],
        patch: &mut [F],
    ) {
        let Direction { frame, maps: maps_of_group, .. } = self.there;
        let (samples, x_len) = (self.there.samples(), x.width() / self.groups);
        // Only these channels are read.
        let cells = self.taps() / self.there.channels;
        let channels = taps.start / cells..taps.end.div_ceil(cells);
        let inputs = x_len / self.there.channels;
        let inputs = channels.start * inputs..channels.end * inputs;
        let patch = &mut patch[..samples * self.there.patch::<F>()];
        patch.fill(F::zero());
        let (framed, lines) = patch.split_at_mut(samples * self.there.framed::<F>());
        let (framed_len, lines_len) = (framed.len() / samples, lines.len() / samples);
        for start in (0..x.len()).step_by(samples) {
            let count = samples.min(x.len() - start);
            let (x, dz) = (x.slice(start, count), dz.slice(start, count));
            let framed = &mut framed[..count * framed_len];
            let (mut map, mut sums) = (maps.start, &mut *sums);
            while map < maps.end {
                // What lies in one group.
                let group = map / maps_of_group;
                let to = maps.end.min((group + 1) * maps_of_group);
                for (x, framed) in x.iter().zip(framed.chunks_exact_mut(framed_len)) {
                    let framed = &mut framed[channels.start * frame.plane()..];
                    frame.copy_inside(&x[group * x_len..][inputs.clone()], framed);
                }
                let (own, rest) = sums.split_at_mut((to - map) * taps.len() * lanes::<F>());
                let (x, lines) = (&*framed, &mut lines[..count * lines_len]);
                F::fused(WeightSums {
                    frame: &frame,
                    x,
                    dz,
                    maps: map..to,
                    taps: taps.clone(),
                    sums: own,
                    lines,
                });
                (map, sums) = (to, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::correlation::Correlation;
    use super::super::window::{Kernel, Padding, Window};
    use super::*;
    use crate::Inline;

    fn numbers<F: Float>(len: usize, seed: usize) -> Vec<F> {
        (0..len).map(|i| F::of(((i * 7919 + seed * 31) % 1009) as f64 / 1009.0 - 0.5)).collect()
    }

    /// A product, its adjoint and its weights' gradient, with memory that starts as NaN.
    fn results<F: Float>(
        map: &Correlation,
        [x, z]: [usize; 2],
        biases: [usize; 2],
        rows: usize,
    ) -> [Vec<F>; 3] {
        let w = numbers::<F>(map.weights(), 1);
        let (x, z) = (numbers::<F>(rows * x, 2), numbers::<F>(rows * z, 3));
        let (x_rows, z_rows) = (Rows::new(&x, x.len() / rows), Rows::new(&z, z.len() / rows));
        let mut scratch = vec![F::nan(); map.scratch::<F>()];
        let ends = |row: &mut [F]| row[0] += F::one();
        let [x_bias, z_bias] = biases.map(|len| numbers::<F>(len, 4));
        let [mut product, mut adjoint, mut dw] = [z.clone(), x.clone(), w.clone()];
        map.product(&Inline, (&w, x_rows), &mut product, &mut scratch, (&z_bias, ends));
        map.adjoint(&Inline, (&w, z_rows), &mut adjoint, &mut scratch, (&x_bias, ends));
        map.add_weight_gradient(&Inline, (x_rows, z_rows), &mut dw, &mut scratch);
        [product, adjoint, dw]
    }

    fn assert_agrees<F: Float>(tolerance: f64) {
        let cells = |padding| Padding::Cells(padding);
        for (size, padding, [channels, maps, groups], kernel, rows) in [
            ([1, 1], cells([0, 0]), [1, 1, 1], [1, 1], 1),
            ([1, 1], cells([1, 2]), [3, 2, 1], [2, 3], 3),
            ([5, 1], cells([1, 0]), [2, 7, 1], [3, 1], 2),
            ([1, 37], cells([0, 2]), [3, 13, 1], [1, 5], 9),
            ([6, 5], cells([0, 0]), [4, 3, 1], [6, 5], 17),
            ([6, 5], cells([5, 4]), [4, 3, 1], [6, 5], 2),
            ([7, 9], Padding::Same, [2, 12, 2], [4, 2], 5),
            ([7, 9], Padding::Same, [2, 12, 2], [4, 2], 8),
            ([9, 7], Padding::Same, [6, 6, 6], [3, 4], 22),
            ([1, 1], cells([1, 2]), [3, 2, 1], [2, 3], 12),
            ([11, 9], cells([1, 4]), [9, 5, 1], [2, 6], 10),
            ([9, 7], Padding::Same, [6, 6, 6], [3, 4], 4),
            ([9, 7], Padding::Same, [4, 8, 4], [3, 4], 4),
            ([28, 28], cells([2, 2]), [1, 6, 1], [5, 5], 2),
            ([14, 14], cells([0, 0]), [6, 16, 1], [5, 5], 3),
            ([31, 45], cells([1, 0]), [5, 5, 1], [3, 2], 1),
            // In several tiles.
            ([28, 28], cells([2, 2]), [1, 6, 1], [5, 5], 40),
            ([14, 14], cells([0, 0]), [6, 16, 1], [5, 5], 100),
            ([20, 18], Padding::Same, [4, 8, 4], [3, 4], 80),
        ] {
            let kernel = Kernel::new(kernel).with_padding(padding);
            let window = Window::over("conv2d", &kernel, size).unwrap();
            let map = || Correlation::new(window, channels, maps, groups).unwrap();
            let widths = [channels * window.inputs(), maps * window.outputs()];
            let biases = if rows % 2 == 0 { [channels, maps] } else { [0; 2] };
            let found = results::<F>(&map(), widths, biases, rows);
            let expected = results::<F>(&map().unfolding(), widths, biases, rows);
            for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                let (found, expected) = (found.as_f64(), expected.as_f64());
                let close = (found - expected).abs() <= tolerance * (1.0 + expected.abs());
                assert!(close, "{found} is not {expected}: {window:?}, {channels}, {maps}, {groups}");
            }
        }
    }

    #[test]
    fn agrees_with_unfolding_on_odd_shapes() {
        assert_agrees::<f64>(1e-12);
        assert_agrees::<f32>(1e-4);
    }

    #[test]
    fn every_weight_is_of_one_tile() {
        for (maps, groups, taps) in [(6, 1, 25), (16, 1, 150), (1, 7, 9), (7, 1, 1), (64, 1, 576), (3, 5, 14)]
        {
            let all = maps * groups;
            for tiles in [WeightTiles::several(maps, groups, taps), WeightTiles::one(all, taps)] {
                assert!(tiles.count() <= MAX_TILES, "{tiles:?}");
                let mut seen = vec![0; all * taps];
                for tile in 0..tiles.count() {
                    let [maps, own] = tiles.of(tile, all, taps);
                    assert!(!maps.is_empty() && !own.is_empty() && maps.len() * own.len() <= tiles.len());
                    maps.for_each(|map| own.clone().for_each(|tap| seen[map * taps + tap] += 1));
                }
                assert!(seen.iter().all(|&times| times == 1), "{tiles:?}");
            }
        }
        assert_eq!(WeightTiles::several(6, 1, 25), WeightTiles { maps: 6, taps: 14, parts: 2, blocks: 1 });
        assert_eq!(WeightTiles::several(16, 1, 150), WeightTiles { maps: 6, taps: 76, parts: 2, blocks: 3 });
    }

    #[test]
    fn is_chosen_by_shape_alone() {
        let framed = |size, kernel: Kernel| {
            let window = Window::over("conv2d", &kernel, size).unwrap();
            Framed::new(window, 8, 8, 1).is_some()
        };
        let kernel = Kernel::new([3, 3]);
        assert!(framed([20, 20], kernel));
        assert!(!framed([20, 20], kernel.with_stride([1, 2])));
        assert!(!framed([20, 20], kernel.with_dilation([2, 1])));
        assert!(!framed([20, 20], kernel.with_padding(Padding::Cells([3, 0]))));
        assert!(!framed([2000, 2000], kernel));
    }
}
