//! The linear map inside every convolution, and its two adjoints.

use std::ops::Range;

use super::framed::Framed;
use super::window::Window;
use super::{direct, unfold};
use crate::elementary::sum;
use crate::executor::{MAX_TILES, even_tile, for_each_tile, for_each_tile_with};
use crate::simd::MAX_LANES;
use crate::{Error, Executor, Float, Rows, Shape};
use crate::{Panel, PanelMut, matmul};

/// Numbers of a block of unfolded places: what stays in a core's second cache.
const BLOCK: usize = 1 << 15;

/// Places of a block below which its products become thin.
const MIN_BLOCK: usize = 64;

/// Strips, rows of `dwᵀ`, that a tile has at least, and that are enough for one where there is more work.
const MIN_TILE_STRIPS: usize = 16;
const MAX_TILE_STRIPS: usize = 64;

/// `z = w ⋆ x`: at every place of a window, for every map, the sum of what it sees of `x` times the map's weights.
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x` | `[channels, h, w]` | the side that the window slides over |
/// | `z` | `[maps, oh, ow]` | the side with a number for every place `p` |
/// | `w` | `[maps, channels/groups, kh, kw]` | the weights of a map |
/// | `X` | `[taps, places]` | what the window sees of a group's channels: `X_tp = x[c, i_p s + u d - b, ...]`, `t = (c, u, v)` |
///
/// # Derivation
/// Unfolded, the correlation of a group is a matrix product, `z = w X`, and each number of `X` is one of `x` or zero, so
/// ```text
/// z_mp    = Σ_t w_mt X_tp
/// dL/dw   = dz Xᵀ                                           as in a dense layer
/// dL/dX   = wᵀ dz
/// dL/dx_q = Σ over the (t, p) that read x_q of dL/dX_tp     the fold, adjoint of unfolding
/// ```
/// A convolution uses the first line forward and the others backward; a transposed convolution is the last two forward.
///
/// `X` is as large as the input times the cells of the window, so it is made in blocks of places that fit a cache, anew
/// on the way back: cheaper than reading it from memory. (Chellapilla, Puri & Simard, 2006.) In stride 1 without gaps, where
/// a tap reads its places in long runs, nothing is unfolded at all (`framed.rs`); a window of one cell needs neither, and
/// depthwise maps with a stride or gaps are summed place by place (`direct.rs`).
#[derive(Debug)]
pub(super) struct Correlation {
    window: Window,
    /// Channels of `x` in a group.
    channels: usize,
    /// Maps of `z` in a group.
    maps: usize,
    groups: usize,
    /// Places that are unfolded at a time.
    block: usize,
    /// The way without unfolding, where it is the faster one.
    framed: Option<Framed>,
}

/// What happens to a row after the map: the activation.
pub(super) trait RowStep<F>: Fn(&mut [F]) + Sync {}

impl<F, T: Fn(&mut [F]) + Sync> RowStep<F> for T {}

/// Fills each channel with its bias, or with 0.
pub(super) fn start_with<F: Float>(bias: &[F], places: usize, z: &mut [F]) {
    if bias.is_empty() {
        return z.fill(F::zero());
    }
    z.chunks_exact_mut(places).zip(bias).for_each(|(z, &b)| z.fill(b));
}

impl Correlation {
    /// Slides `window` over `channels` channels and gives `maps` maps, both in `groups` groups that divide them.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if weights or scratch exceed the address space.
    pub(super) fn new(window: Window, channels: usize, maps: usize, groups: usize) -> Result<Self, Error> {
        let (channels, maps) = (channels / groups, maps / groups);
        let taps = Shape::new([channels, window.rows.kernel, window.columns.kernel])?.len();
        let places = window.outputs();
        let most = (BLOCK / taps).max(MIN_BLOCK).min(places);
        let (height, width) = (window.rows.output, window.columns.output);
        // Whole rows of places, where several fit: their runs are then as long as they can be.
        let block = match most / width {
            0 => places.div_ceil(places.div_ceil(most)),
            rows => height.div_ceil(height.div_ceil(rows)) * width,
        };
        Shape::new([MAX_TILES, taps, block])?;
        Shape::new([groups, maps, taps, MAX_LANES])?;
        let unfolding = Self { window, channels, maps, groups, block, framed: None };
        if unfolding.is_pointwise() {
            return Ok(unfolding);
        }
        Ok(Self { framed: Framed::new(window, channels, maps, groups), ..unfolding })
    }

    /// The same map, by unfolding.
    #[cfg(test)]
    pub(super) fn unfolding(self) -> Self {
        Self { framed: None, ..self }
    }

    /// Weights of a map.
    fn taps(&self) -> usize {
        self.channels * self.window.cells()
    }

    /// Numbers of all weights.
    pub(super) fn weights(&self) -> usize {
        self.groups * self.maps * self.taps()
    }

    /// Multiply-adds of one sample.
    pub(super) fn work(&self) -> usize {
        self.weights().saturating_mul(self.window.outputs())
    }

    /// Scratch of a tile.
    fn patch(&self) -> usize {
        if self.is_direct() { 0 } else { self.taps() * self.block }
    }

    /// Numbers that every call wants as `scratch`.
    pub(super) fn scratch<F: Float>(&self) -> usize {
        if let Some(framed) = &self.framed {
            return framed.scratch::<F>();
        }
        MAX_TILES * self.patch() + self.weights()
    }

    /// Numbers of one sample of `x` and of `z`.
    fn widths(&self) -> (usize, usize) {
        let (inputs, outputs) = (self.window.inputs(), self.window.outputs());
        (self.groups * self.channels * inputs, self.groups * self.maps * outputs)
    }

    /// Whether the window is one cell that sees everything once: then `X` is `x`.
    fn is_pointwise(&self) -> bool {
        let one = |axis: super::window::Axis| axis.kernel == 1 && axis.stride == 1 && axis.before == 0;
        one(self.window.rows) && one(self.window.columns) && self.window.inputs() == self.window.outputs()
    }

    /// Whether a group is so small (depthwise: one channel, one map) that unfolding would cost more than the product.
    fn is_direct(&self) -> bool {
        self.channels == 1 && self.maps <= 2
    }

    /// `z = bias + w ⋆ x` for every row, with a number for each map or none, and `finish` is applied to it at the end.
    pub(super) fn product<F: Float>(
        &self,
        executor: &dyn Executor<F>,
        (w, x): (&[F], Rows<'_, F>),
        z: &mut [F],
        scratch: &mut [F],
        (bias, finish): (&[F], impl RowStep<F>),
    ) {
        let (x_width, width) = self.widths();
        let tile = (width, even_tile(z.len() / width, self.work()));
        let x = x.with_width(x_width);
        if let Some(framed) = &self.framed {
            return framed.product(executor, (w, x), z, scratch, (bias, finish));
        }
        for_each_tile_with(executor, z, tile, (scratch, self.patch()), |first, z, patch| {
            let x = x.slice(first, z.len() / width);
            for (x, z) in x.iter().zip(z.chunks_exact_mut(width)) {
                start_with(bias, self.window.outputs(), z);
                for (w, x, z) in self.groups_of(w, x, z) {
                    self.add_product(w, x, z, patch);
                }
                finish(z);
            }
        });
    }

    /// `x = bias + wᵀ ⋆ z` for every row, the adjoint of [`product`](Self::product).
    pub(super) fn adjoint<F: Float>(
        &self,
        executor: &dyn Executor<F>,
        (w, z): (&[F], Rows<'_, F>),
        x: &mut [F],
        scratch: &mut [F],
        (bias, finish): (&[F], impl RowStep<F>),
    ) {
        let (width, z_width) = self.widths();
        let tile = (width, even_tile(x.len() / width, self.work()));
        let z = z.with_width(z_width);
        if let Some(framed) = &self.framed {
            return framed.adjoint(executor, (w, z), x, scratch, (bias, finish));
        }
        for_each_tile_with(executor, x, tile, (scratch, self.patch()), |first, x, patch| {
            let z = z.slice(first, x.len() / width);
            for (z, x) in z.iter().zip(x.chunks_exact_mut(width)) {
                start_with(bias, self.window.inputs(), x);
                for (w, z, x) in self.groups_of(w, z, x) {
                    self.add_adjoint(w, z, x, patch);
                }
                finish(x);
            }
        });
    }

    /// `dw += Σ_rows dz Xᵀ`. A tile of `dwᵀ`, rows of `maps` numbers, sums over all rows: no sum is cut.
    pub(super) fn add_weight_gradient<F: Float>(
        &self,
        executor: &dyn Executor<F>,
        (x, dz): (Rows<'_, F>, Rows<'_, F>),
        dw: &mut [F],
        scratch: &mut [F],
    ) {
        let (x_width, z_width) = self.widths();
        let (x, dz) = (x.with_width(x_width), dz.with_width(z_width));
        if let Some(framed) = &self.framed {
            return framed.add_weight_gradient(executor, (x, dz), dw, scratch);
        }
        let (dwt, scratch) = scratch.split_at_mut(self.weights());
        let strips = dwt.len() / self.maps;
        let work = x.len().saturating_mul(self.window.outputs()).saturating_mul(self.maps);
        // Thick, as every tile packs `dz` anew; the kernel takes eight strips at a time.
        let thick = strips.div_ceil(4).next_multiple_of(8).clamp(MIN_TILE_STRIPS, MAX_TILE_STRIPS);
        let tile = even_tile(strips, work).max(thick).next_multiple_of(8);
        for_each_tile_with(executor, dwt, (self.maps, tile), (scratch, self.patch()), |first, dwt, patch| {
            dwt.fill(F::zero());
            for (x, dz) in x.iter().zip(dz.iter()) {
                self.add_to_strips(first, (x, dz), dwt, patch);
            }
        });
        let group = self.maps * self.taps();
        for (dw, dwt) in dw.chunks_exact_mut(group).zip(dwt.chunks_exact(group)) {
            for (tap, dwt) in dwt.chunks_exact(self.maps).enumerate() {
                for (map, &dwt) in dwt.iter().enumerate() {
                    dw[map * self.taps() + tap] += dwt;
                }
            }
        }
    }

    /// The weights, what is read and what is written of each group.
    fn groups_of<'a, F>(
        &self,
        w: &'a [F],
        read: &'a [F],
        written: &'a mut [F],
    ) -> impl Iterator<Item = (&'a [F], &'a [F], &'a mut [F])> {
        let (read_len, written_len) = (read.len() / self.groups, written.len() / self.groups);
        let pairs = read.chunks_exact(read_len).zip(written.chunks_exact_mut(written_len));
        w.chunks_exact(self.maps * self.taps()).zip(pairs).map(|(w, (read, written))| (w, read, written))
    }

    /// The blocks of places.
    fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (places, block) = (self.window.outputs(), self.block);
        (0..places).step_by(block).map(move |start| start..(start + block).min(places))
    }

    /// `z += w X` of one group.
    fn add_product<F: Float>(&self, w: &[F], x: &[F], z: &mut [F], patch: &mut [F]) {
        let (taps, places) = (self.taps(), self.window.outputs());
        if self.is_direct() {
            for (w, z) in w.chunks_exact(taps).zip(z.chunks_exact_mut(places)) {
                direct::add_product(&self.window, w, x, z);
            }
            return;
        }
        let w = Panel::new(w, self.maps, taps, taps);
        for block in self.blocks() {
            let unfolded = self.unfolded(x, 0..taps, &block, patch);
            let z = PanelMut::new(&mut z[block.start..], self.maps, block.len(), places);
            matmul::add_w_x(w, unfolded, z);
        }
    }

    /// `x += fold(wᵀ z)` of one group.
    fn add_adjoint<F: Float>(&self, w: &[F], z: &[F], x: &mut [F], patch: &mut [F]) {
        let (taps, places) = (self.taps(), self.window.outputs());
        if self.is_direct() {
            for (w, z) in w.chunks_exact(taps).zip(z.chunks_exact(places)) {
                direct::add_adjoint(&self.window, w, z, x);
            }
            return;
        }
        let w = Panel::new(w, self.maps, taps, taps);
        for block in self.blocks() {
            let z = Panel::new(&z[block.start..], self.maps, block.len(), places);
            if self.is_pointwise() {
                matmul::add_wt_z(w, z, PanelMut::new(&mut x[block.start..], taps, block.len(), places));
                continue;
            }
            let patch = &mut patch[..taps * block.len()];
            matmul::wt_z(w, z, PanelMut::new(patch, taps, block.len(), block.len()));
            unfold::fold(&self.window, patch, &block, x);
        }
    }

    /// Adds one sample to the strips of `dwᵀ` from `first` on.
    fn add_to_strips<F: Float>(&self, first: usize, (x, dz): (&[F], &[F]), dwt: &mut [F], patch: &mut [F]) {
        let (taps, places) = (self.taps(), self.window.outputs());
        let (x_len, z_len) = (x.len() / self.groups, dz.len() / self.groups);
        let (mut start, mut rest) = (first, dwt);
        while !rest.is_empty() {
            // What lies in one group.
            let (group, from) = (start / taps, start % taps);
            let to = taps.min(from + rest.len() / self.maps);
            let (dwt, after) = rest.split_at_mut((to - from) * self.maps);
            let (x, dz) = (&x[group * x_len..][..x_len], &dz[group * z_len..][..z_len]);
            if self.is_direct() {
                direct::add_to_strips(&self.window, from..to, x, dz, dwt);
            } else {
                for block in self.blocks() {
                    let unfolded = self.unfolded(x, from..to, &block, patch);
                    let dz = Panel::new(&dz[block.start..], self.maps, block.len(), places);
                    matmul::add_x_dzt(unfolded, dz, PanelMut::new(dwt, to - from, self.maps, self.maps));
                }
            }
            (start, rest) = (start + to - from, after);
        }
    }

    /// `X` at these taps and places.
    fn unfolded<'a, F: Float>(
        &self,
        x: &'a [F],
        taps: Range<usize>,
        places: &Range<usize>,
        patch: &'a mut [F],
    ) -> Panel<'a, F> {
        if self.is_pointwise() {
            let all = self.window.outputs();
            return Panel::new(&x[taps.start * all + places.start..], taps.len(), places.len(), all);
        }
        let patch = &mut patch[..taps.len() * places.len()];
        unfold::unfold(&self.window, x, taps.clone(), places, patch);
        Panel::new(patch, taps.len(), places.len(), places.len())
    }
}

/// Checks that `groups` divide channels and filters.
///
/// # Errors
/// [`Error::Layer`] if not.
pub(super) fn check_groups(
    layer: &'static str,
    channels: usize,
    filters: usize,
    groups: usize,
) -> Result<(), Error> {
    if groups > 0 && channels.is_multiple_of(groups) && filters.is_multiple_of(groups) {
        return Ok(());
    }
    let message =
        format!("groups must divide the {channels} channels and the {filters} filters, found {groups}");
    Err(Error::Layer { layer, message })
}

/// Adds to `db` the sums of the maps of `dz` over rows and places.
pub(super) fn add_bias_gradient<F: Float>(executor: &dyn Executor<F>, dz: Rows<'_, F>, db: &mut [F]) {
    let places = dz.width() / db.len();
    for_each_tile(executor, db, 1, dz.len() * places, |first, db| {
        for dz in dz.iter() {
            let maps = dz[first * places..].chunks_exact(places);
            db.iter_mut().zip(maps).for_each(|(db, map)| *db += sum(map));
        }
    });
}
