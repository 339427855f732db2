//! The linear map inside convolutions in stride 1, and its adjoints, without unfolding.

mod direction;
mod weight_tiles;

use std::ops::Range;

use direction::{Direction, makes_tiles};
use weight_tiles::{WEIGHT_TILES, WeightTiles};

use super::abreast::{self, Framing, Samples};
use super::correlation::{RowStep, start_with};
use super::frame::Frame;
use super::sliding::{Product, WeightSums, lanes, pack};
use super::unfold::add;
use super::window::Window;
use crate::executor::{MAX_TILES, MIN_TILE_WORK, even_tile, for_each_tile_with};
use crate::{Executor, Float, Rows};

/// Partial sums of all weights beyond which they are kept once and not for every tile of rows.
const MAX_SUMS: usize = 1 << 16;

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
/// Its weight gradient is cut into tiles of maps, so that what a tile prepares of `z` is prepared once, and where there are few
/// maps of taps too.
///
/// # Samples side by side
/// As many samples as a vector has lanes may lie side by side (`abreast.rs`), so that a vector holds one place of each: only what
/// fills a block is computed beyond a row, and every read is aligned. Laying them out and apart again costs about two numbers' copying for
/// each input and output, so a product does it where rows are short, and the weight gradient, whose lanes and taps gain the
/// more, wherever the frames fit. A place is the same sum either way, term by term, so a sample alone has the bits that it has in a batch.
#[derive(Debug)]
pub(super) struct Framed {
    there: Direction,
    back: Direction,
    groups: usize,
    tiles: WeightTiles,
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
        let tile = even_tile(rows, work);
        let side = direction.product_side_by_side::<F>(rows, rows.div_ceil(tile));
        let at_once = if side.is_some() { lanes::<F>() } else { 1 };
        let tile = (width, tile.next_multiple_of(at_once));
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
        direction: Direction,
        (packed, x): (&[F], Rows<'_, F>),
        z: &mut [F],
        patch: &mut [F],
        (bias, finish): (&[F], &impl RowStep<F>),
    ) {
        let weights = packed.len() / self.groups;
        let Direction { frame, maps, .. } = direction;
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
        let (framed, lines) = abreast::aligned(patch).split_at_mut(side.framed::<F>());
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

    /// As [`Correlation::add_weight_gradient`](super::correlation::Correlation::add_weight_gradient), in tiles.
    pub(super) fn add_weight_gradient<F: Float>(
        &self,
        executor: &dyn Executor<F>,
        (x, dz): (Rows<'_, F>, Rows<'_, F>),
        dw: &mut [F],
        scratch: &mut [F],
    ) {
        if let Some(side) = self.there.side_by_side::<F>().filter(|_| x.len() >= lanes::<F>()) {
            return self.add_gradient_side_by_side(side, executor, (x, dz), dw, scratch);
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

    /// [`add_weight_gradient`](Self::add_weight_gradient) of as many samples side by side as a vector has lanes.
    ///
    /// Tiles are of rows, so that everything is laid out once, and their sums are added in the order of the rows. Where
    /// weights are many or rows few, they are of maps.
    fn add_gradient_side_by_side<F: Float>(
        &self,
        side: Direction,
        executor: &dyn Executor<F>,
        (x, dz): (Rows<'_, F>, Rows<'_, F>),
        dw: &mut [F],
        scratch: &mut [F],
    ) {
        let (rows, maps) = (x.len(), self.groups * self.there.maps);
        let (strip, len) = (self.taps() * lanes::<F>(), self.weights() * lanes::<F>());
        let work = rows.saturating_mul(self.there.frame.places()).saturating_mul(self.weights());
        let tiles = (work / (MIN_TILE_WORK / 2)).clamp(1, WEIGHT_TILES);
        let patch = side.patch_side_by_side::<F>().max(self.there.samples() * self.there.patch::<F>());
        if self.has_few_weights::<F>() && makes_tiles::<F>(rows, tiles) {
            let tile = rows.div_ceil(tiles).next_multiple_of(lanes::<F>());
            let (sums, scratch) = scratch.split_at_mut(rows.div_ceil(tile) * len);
            for_each_tile_with(executor, sums, (len, 1), (scratch, patch), |index, sums, patch| {
                let count = tile.min(rows - index * tile);
                let (x, dz) = (x.slice(index * tile, count), dz.slice(index * tile, count));
                self.gradient_side_by_side(side, 0..maps, (x, dz), sums, patch);
            });
            let (sums, others) = sums.split_at_mut(len);
            others.chunks_exact(len).for_each(|tile| add(tile, sums));
        } else {
            let (sums, scratch) = scratch.split_at_mut(len);
            let tile = if tiles > 1 { self.tiles.maps } else { maps };
            for_each_tile_with(executor, sums, (strip, tile), (scratch, patch), |first, sums, patch| {
                self.gradient_side_by_side(side, first..first + sums.len() / strip, (x, dz), sums, patch);
            });
        }
        let sums = scratch[..len].chunks_exact(lanes::<F>());
        dw.iter_mut().zip(sums).for_each(|(dw, sums)| *dw += sums.iter().copied().sum::<F>());
    }

    /// The sums of some maps at all taps, over all rows; of those that fill no vector one after the other.
    fn gradient_side_by_side<F: Float>(
        &self,
        side: Direction,
        maps: Range<usize>,
        (x, dz): (Rows<'_, F>, Rows<'_, F>),
        sums: &mut [F],
        patch: &mut [F],
    ) {
        let Direction { frame, maps: maps_of_group, .. } = side;
        let (inputs, places) = (x.width() / self.groups, frame.places());
        sums.fill(F::zero());
        let (framed, lines) = abreast::aligned(patch).split_at_mut(side.framed::<F>());
        let lines = &mut lines[..abreast::lines::<F>(&frame)];
        framed.fill(F::zero());
        let whole = x.len() / lanes::<F>() * lanes::<F>();
        for first in (0..whole).step_by(lanes::<F>()) {
            let (x, dz) = (x.slice(first, lanes::<F>()), dz.slice(first, lanes::<F>()));
            let (mut map, mut sums) = (maps.start, &mut *sums);
            while map < maps.end {
                // What lies in one group.
                let group = map / maps_of_group;
                let to = maps.end.min((group + 1) * maps_of_group);
                let (own, rest) = sums.split_at_mut((to - map) * self.taps() * lanes::<F>());
                let samples = Samples { rows: x, part: group * inputs..(group + 1) * inputs };
                F::fused(Framing { frame: &frame, samples, framed });
                let dz = Samples { rows: dz, part: map * places..to * places };
                F::fused(abreast::WeightSums { frame: &frame, x: framed, dz, sums: own, lines });
                (map, sums) = (to, rest);
            }
        }
        if whole < x.len() {
            let rest = (x.slice(whole, x.len() - whole), dz.slice(whole, x.len() - whole));
            self.sum_tile([maps, 0..self.taps()], rest, sums, patch);
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
mod tests;
