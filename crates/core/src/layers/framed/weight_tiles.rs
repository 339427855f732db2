//! How the weight gradient of one sample after the other is cut.

use std::ops::Range;

use super::super::sliding::MAPS;

/// Tiles of the weight gradient, about as many: each frames anew what it reads.
pub(super) const WEIGHT_TILES: usize = 8;

/// Taps of a tile, at least: what is framed for fewer takes as long as the sums.
const MIN_TAPS: usize = 12;

/// Tile `i` has the maps from `i / parts * maps` on and the taps from `i % parts * taps` on,
/// and its sums lie as `[maps, taps, lanes]` where its part of the scratch begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct WeightTiles {
    /// Maps of a tile, of all groups; the last tiles may have fewer.
    pub(super) maps: usize,
    /// Taps of a tile; the last part may have fewer.
    pub(super) taps: usize,
    /// Parts of the taps.
    pub(super) parts: usize,
    /// Tiles of maps.
    pub(super) blocks: usize,
}

impl WeightTiles {
    /// One tile.
    pub(super) fn one(maps: usize, taps: usize) -> Self {
        Self { maps, taps, parts: 1, blocks: 1 }
    }

    /// About [`WEIGHT_TILES`] for `maps` maps in each of `groups` groups.
    pub(super) fn several(maps: usize, groups: usize, taps: usize) -> Self {
        let all = maps * groups;
        let block = maps.div_ceil(maps.div_ceil(MAPS));
        let tile = all.div_ceil(WEIGHT_TILES).next_multiple_of(block).min(all);
        let blocks = all.div_ceil(tile);
        let parts = (WEIGHT_TILES / blocks).min(taps / MIN_TAPS).max(1);
        // Even, as two at a time are summed.
        let part = if parts > 1 { taps.div_ceil(parts).next_multiple_of(2) } else { taps };
        Self { maps: tile, taps: part, parts: taps.div_ceil(part), blocks }
    }

    pub(super) fn count(&self) -> usize {
        self.blocks * self.parts
    }

    /// Sums of a tile.
    pub(super) fn len(&self) -> usize {
        self.maps * self.taps
    }

    /// The maps and the taps of a tile, of so many in all.
    pub(super) fn of(&self, tile: usize, maps: usize, taps: usize) -> [Range<usize>; 2] {
        let (map, tap) = (tile / self.parts * self.maps, tile % self.parts * self.taps);
        [map..maps.min(map + self.maps), tap..taps.min(tap + self.taps)]
    }
}
