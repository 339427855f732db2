//! A correlation in one of its two directions, and the memory that it takes.

use super::super::abreast;
use super::super::frame::Frame;
use super::super::sliding::{MAPS, lanes, slack};
use crate::{Float, Shape};

/// Framed numbers of a sample beyond which unfolding in blocks takes less memory, and its blocks stay in the cache.
const MAX_PATCH: usize = 1 << 17;

/// The weight gradient loads and stores its sums after so many places, or so many samples.
const LINE: usize = 1 << 9;
const MAX_SAMPLES: usize = 8;

/// The part of a line that is nobody's, one in so many, from which on a product is faster of samples side by side: below
/// it, laying them out takes longer than the dropped places.
const DROPPED: usize = 8;

/// Tiles that must be left where there could be more, or threads would find no work.
const ENOUGH_TILES: usize = 4;

/// Whether whole vectors of rows make as many tiles as are asked for, or enough.
pub(super) fn makes_tiles<F: Float>(rows: usize, tiles: usize) -> bool {
    rows / lanes::<F>() >= tiles.clamp(1, ENOUGH_TILES)
}

/// The correlation of a group in one direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Direction {
    pub(super) frame: Frame,
    pub(super) channels: usize,
    pub(super) maps: usize,
}

impl Direction {
    /// Numbers of the framed channels, and of what may be read behind them.
    pub(super) fn framed<F: Float>(&self) -> usize {
        self.channels * self.frame.plane() + slack::<F>()
    }

    /// Scratch of a tile: framed channels and lines.
    pub(super) fn patch<F: Float>(&self) -> usize {
        self.framed::<F>() + MAPS * (self.frame.reach() + slack::<F>())
    }

    /// The same of as many samples side by side as a vector has lanes, if that fits a cache.
    pub(super) fn side_by_side<F: Float>(&self) -> Option<Self> {
        let side = Self { frame: self.frame.of_samples(lanes::<F>()), ..*self };
        side.is_small().then_some(side)
    }

    /// [`side_by_side`](Self::side_by_side), if it is the faster way for a product of so many rows, which are `tiles` tiles.
    pub(super) fn product_side_by_side<F: Float>(&self, rows: usize, tiles: usize) -> Option<Self> {
        let [_, width] = self.frame.kernel();
        let drops_many = DROPPED * (width - 1) >= self.frame.line();
        if drops_many && makes_tiles::<F>(rows, tiles) { self.side_by_side::<F>() } else { None }
    }

    /// Scratch of a tile of samples side by side.
    pub(super) fn patch_side_by_side<F: Float>(&self) -> usize {
        let patch = |side: Self| lanes::<F>() + side.framed::<F>() + abreast::lines::<F>(&side.frame);
        self.side_by_side::<F>().map_or(0, patch)
    }

    /// Samples that the weight gradient takes at once.
    pub(super) fn samples(&self) -> usize {
        (LINE / self.frame.reach()).clamp(1, MAX_SAMPLES)
    }

    /// Whether the scratch of a tile is small.
    pub(super) fn is_small(&self) -> bool {
        let [rows, columns] = self.frame.size();
        Shape::new([self.channels + MAPS, rows, columns]).is_ok_and(|all| all.len() <= MAX_PATCH)
    }
}
