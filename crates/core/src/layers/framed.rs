//! The linear map inside convolutions in stride 1, and its adjoints, without unfolding.

use super::correlation::RowStep;
use super::frame::Frame;
use super::sliding::{MAPS, Product, WeightSums, lanes, pack, slack};
use super::window::Window;
use crate::executor::{MAX_TILES, even_tile, for_each_tile_with};
use crate::{Executor, Float, Rows, Shape};

/// Tiles of the weight gradient, at most: each frames the input anew.
const MAX_WEIGHT_TILES: usize = 8;

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

    /// The same, if it can be counted.
    fn is_small(&self) -> bool {
        let Ok(plane) = Shape::new([self.channels + MAPS, self.frame.plane()]) else { return false };
        plane.len() <= MAX_PATCH
    }
}

/// Numbers of a tile's scratch beyond which unfolding in blocks takes less memory, and its blocks stay in the cache.
const MAX_PATCH: usize = 1 << 16;

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
/// `sliding.rs` computes four maps times three vectors of places at once (fewer maps, more vectors), over all taps: twelve
/// sums in registers, and a tap costs three loads of `x`, four weights and twelve multiply-adds. Of the weight gradient it
/// computes four maps times three taps; each lane of a sum adds the places of its number, and lanes are added at the
/// end, after the last row. So weights and sums are `[map blocks, taps, maps of a block]` and `[maps, taps, lanes]`.
#[derive(Debug)]
pub(super) struct Framed {
    there: Direction,
    back: Direction,
    groups: usize,
}

impl Framed {
    /// `None` where the window has a stride or gaps, or unfolding is known to be faster or to take less memory.
    pub(super) fn new(window: Window, channels: usize, maps: usize, groups: usize) -> Option<Self> {
        let turned = Window { rows: window.rows.turned()?, columns: window.columns.turned()? };
        let there = Direction { frame: Frame::new(window)?, channels, maps };
        let back = Direction { frame: Frame::new(turned)?, channels: maps, maps: channels };
        let is_worth_it = there.is_small() && back.is_small();
        is_worth_it.then_some(Self { there, back, groups })
    }

    /// Weights of a map.
    fn taps(&self) -> usize {
        let [height, width] = self.there.frame.kernel();
        self.there.channels * height * width
    }

    fn weights(&self) -> usize {
        self.groups * self.there.maps * self.taps()
    }

    /// Numbers that every call wants as `scratch`.
    pub(super) fn scratch<F: Float>(&self) -> usize {
        let patch = self.there.patch::<F>().max(self.back.patch::<F>());
        self.weights() * lanes::<F>() + MAX_TILES * patch
    }

    /// As [`Correlation::product`](super::correlation::Correlation::product).
    pub(super) fn product<F: Float>(
        &self,
        executor: &dyn Executor<F>,
        (w, x): (&[F], Rows<'_, F>),
        z: &mut [F],
        scratch: &mut [F],
        steps: (impl RowStep<F>, impl RowStep<F>),
    ) {
        let (maps, taps) = (self.there.maps, self.taps());
        let (packed, scratch) = scratch.split_at_mut(self.weights());
        for (w, packed) in w.chunks_exact(maps * taps).zip(packed.chunks_exact_mut(maps * taps)) {
            pack(maps, taps, |map, tap| w[map * taps + tap], packed);
        }
        self.run(self.there, executor, (packed, x), z, scratch, steps);
    }

    /// As [`Correlation::adjoint`](super::correlation::Correlation::adjoint).
    pub(super) fn adjoint<F: Float>(
        &self,
        executor: &dyn Executor<F>,
        (w, z): (&[F], Rows<'_, F>),
        x: &mut [F],
        scratch: &mut [F],
        steps: (impl RowStep<F>, impl RowStep<F>),
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
        self.run(self.back, executor, (packed, z), x, scratch, steps);
    }

    fn run<F: Float>(
        &self,
        Direction { frame, channels, maps }: Direction,
        executor: &dyn Executor<F>,
        (packed, x): (&[F], Rows<'_, F>),
        z: &mut [F],
        scratch: &mut [F],
        (start, finish): (impl RowStep<F>, impl RowStep<F>),
    ) {
        let direction = Direction { frame, channels, maps };
        let x_width = x.data().len() / x.len().max(1);
        let width = self.groups * maps * frame.places();
        let weights = packed.len() / self.groups;
        let work = packed.len().saturating_mul(frame.places());
        let tile = (width, even_tile(z.len() / width, work));
        for_each_tile_with(executor, z, tile, (scratch, direction.patch::<F>()), |first, z, patch| {
            patch.fill(F::zero());
            let (framed, lines) = patch.split_at_mut(direction.framed::<F>());
            let x = x.slice(first, z.len() / width);
            for (x, z) in x.iter().zip(z.chunks_exact_mut(width)) {
                start(z);
                let groups = x.chunks_exact(x_width / self.groups).zip(packed.chunks_exact(weights));
                for ((x, w), z) in groups.zip(z.chunks_exact_mut(maps * frame.places())) {
                    frame.copy_inside(x, framed);
                    F::fused(Product { frame: &frame, maps, w, x: framed, z, lines });
                }
                finish(z);
            }
        });
    }

    /// As [`Correlation::add_weight_gradient`](super::correlation::Correlation::add_weight_gradient), with tiles of maps.
    pub(super) fn add_weight_gradient<F: Float>(
        &self,
        executor: &dyn Executor<F>,
        (x, dz): (Rows<'_, F>, Rows<'_, F>),
        dw: &mut [F],
        scratch: &mut [F],
    ) {
        let Direction { frame, maps, .. } = self.there;
        let (taps, places) = (self.taps(), frame.places());
        let width = taps * lanes::<F>();
        let (sums, scratch) = scratch.split_at_mut(self.weights() * lanes::<F>());
        let all = self.groups * maps;
        let work = x.len().saturating_mul(places).saturating_mul(taps);
        let block = maps.div_ceil(maps.div_ceil(MAPS));
        let tile = even_tile(all, work).max(all.div_ceil(MAX_WEIGHT_TILES)).next_multiple_of(block);
        let x_len = x.width() / self.groups;
        let patch = (scratch, self.there.patch::<F>());
        for_each_tile_with(executor, sums, (width, tile), patch, |first, sums, patch| {
            sums.fill(F::zero());
            patch.fill(F::zero());
            let (framed, lines) = patch.split_at_mut(self.there.framed::<F>());
            let end = first + sums.len() / width;
            for (x, dz) in x.iter().zip(dz.iter()) {
                let mut map = first;
                while map < end {
                    // What lies in one group.
                    let group = map / maps;
                    let to = end.min((group + 1) * maps);
                    frame.copy_inside(&x[group * x_len..][..x_len], framed);
                    let dz = &dz[map * places..to * places];
                    let sums = &mut sums[(map - first) * width..(to - first) * width];
                    F::fused(WeightSums { frame: &frame, x: framed, dz, sums, lines });
                    map = to;
                }
            }
        });
        for (dw, lanes) in dw.iter_mut().zip(sums.chunks_exact(lanes::<F>())) {
            *dw += lanes.iter().copied().sum::<F>();
        }
    }
}
