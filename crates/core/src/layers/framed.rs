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
/// The weight gradient is cut into tiles of maps: what a tile prepares of `z` is then prepared once.
#[derive(Debug)]
pub(super) struct Framed {
    there: Direction,
    back: Direction,
    groups: usize,
}

impl Framed {
    /// `None` where the window has a stride or gaps, reaches over the edge with all its cells, or the frames take too much
    /// memory: elsewhere this was the faster way at all sizes that were measured, from 25 places to 1024, 1 channel to 64.
    pub(super) fn new(window: Window, channels: usize, maps: usize, groups: usize) -> Option<Self> {
        let turned = Window { rows: window.rows.turned()?, columns: window.columns.turned()? };
        let there = Direction { frame: Frame::new(window)?, channels, maps };
        let back = Direction { frame: Frame::new(turned)?, channels: maps, maps: channels };
        (there.is_small() && back.is_small()).then_some(Self { there, back, groups })
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
        let patch = (self.there.samples() * self.there.patch::<F>()).max(self.back.patch::<F>());
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

    /// `z = start + w ⋆ x` with packed weights.
    fn run<F: Float>(
        &self,
        direction: Direction,
        executor: &dyn Executor<F>,
        (packed, x): (&[F], Rows<'_, F>),
        z: &mut [F],
        scratch: &mut [F],
        (start, finish): (impl RowStep<F>, impl RowStep<F>),
    ) {
        let Direction { frame, maps, .. } = direction;
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
                let groups = x.chunks_exact(x.len() / self.groups).zip(packed.chunks_exact(weights));
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
        let samples = self.there.samples();
        let patch = (scratch, samples * self.there.patch::<F>());
        for_each_tile_with(executor, sums, (width, tile), patch, |first, sums, patch| {
            sums.fill(F::zero());
            patch.fill(F::zero());
            let (framed, lines) = patch.split_at_mut(samples * self.there.framed::<F>());
            let (framed_len, lines_len) = (framed.len() / samples, lines.len() / samples);
            let end = first + sums.len() / width;
            for start in (0..x.len()).step_by(samples) {
                let count = samples.min(x.len() - start);
                let (x, dz) = (x.slice(start, count), dz.slice(start, count));
                let framed = &mut framed[..count * framed_len];
                let mut map = first;
                while map < end {
                    // What lies in one group.
                    let group = map / maps;
                    let to = end.min((group + 1) * maps);
                    for (x, framed) in x.iter().zip(framed.chunks_exact_mut(framed_len)) {
                        frame.copy_inside(&x[group * x_len..][..x_len], framed);
                    }
                    let sums = &mut sums[(map - first) * width..(to - first) * width];
                    let lines = &mut lines[..count * lines_len];
                    F::fused(WeightSums { frame: &frame, x: framed, dz, maps: map..to, sums, lines });
                    map = to;
                }
            }
        });
        for (dw, lanes) in dw.iter_mut().zip(sums.chunks_exact(lanes::<F>())) {
            *dw += lanes.iter().copied().sum::<F>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::correlation::Correlation;
    use super::super::window::{Kernel, Padding, Window};
    use crate::{Float, Inline, Rows};

    fn numbers<F: Float>(len: usize, seed: usize) -> Vec<F> {
        (0..len).map(|i| F::of(((i * 7919 + seed * 31) % 1009) as f64 / 1009.0 - 0.5)).collect()
    }

    /// A product, its adjoint and its weights' gradient, with memory that starts as NaN.
    fn results<F: Float>(map: &Correlation, [x, z]: [usize; 2], rows: usize) -> [Vec<F>; 3] {
        let w = numbers::<F>(map.weights(), 1);
        let (x, z) = (numbers::<F>(rows * x, 2), numbers::<F>(rows * z, 3));
        let (x_rows, z_rows) = (Rows::new(&x, x.len() / rows), Rows::new(&z, z.len() / rows));
        let mut scratch = vec![F::nan(); map.scratch::<F>()];
        let steps = || (|row: &mut [F]| row.fill(F::one()), |row: &mut [F]| row[0] += F::one());
        let [mut product, mut adjoint, mut dw] = [z.clone(), x.clone(), w.clone()];
        map.product(&Inline, (&w, x_rows), &mut product, &mut scratch, steps());
        map.adjoint(&Inline, (&w, z_rows), &mut adjoint, &mut scratch, steps());
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
            ([9, 7], Padding::Same, [6, 6, 6], [3, 4], 4),
            ([9, 7], Padding::Same, [4, 8, 4], [3, 4], 4),
            ([28, 28], cells([2, 2]), [1, 6, 1], [5, 5], 2),
            ([14, 14], cells([0, 0]), [6, 16, 1], [5, 5], 3),
            ([31, 45], cells([1, 0]), [5, 5, 1], [3, 2], 1),
        ] {
            let kernel = Kernel::new(kernel).with_padding(padding);
            let window = Window::over("conv2d", &kernel, size).unwrap();
            let map = || Correlation::new(window, channels, maps, groups).unwrap();
            let widths = [channels * window.inputs(), maps * window.outputs()];
            let found = results::<F>(&map(), widths, rows);
            let expected = results::<F>(&map().unfolding(), widths, rows);
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
    fn is_chosen_by_shape_alone() {
        let framed = |size, kernel: Kernel| {
            let window = Window::over("conv2d", &kernel, size).unwrap();
            super::Framed::new(window, 8, 8, 1).is_some()
        };
        let kernel = Kernel::new([3, 3]);
        assert!(framed([20, 20], kernel));
        assert!(!framed([20, 20], kernel.with_stride([1, 2])));
        assert!(!framed([20, 20], kernel.with_dilation([2, 1])));
        assert!(!framed([20, 20], kernel.with_padding(Padding::Cells([3, 0]))));
        assert!(!framed([2000, 2000], kernel));
    }
}
