//! How a layer offers its work to threads without knowing them.
//!
//! Core knows no threads. A layer cuts the buffer that it writes at places that are a function of shapes alone and
//! lends each piece to one call of a closure; whoever hands in the [`Executor`] decides which thread makes the call.
//! As every number is written by one call, from start to end, in an order that no thread count changes, results are
//! the same bits for any executor. What is summed in parts is cut by shapes alone, and one call adds the parts in their order.

use std::sync::{Mutex, PoisonError};

use crate::Float;

/// Runs the pieces of one piece of work, on one thread or on several.
pub trait Executor<F>: Sync {
    /// Cuts `data` into consecutive chunks of `chunk` numbers (the last may be shorter) and calls `work(i, chunk_i)`
    /// once for each, in any order, perhaps at the same time. Returns when all calls have returned.
    fn for_each_chunk(&self, data: &mut [F], chunk: usize, work: &(dyn Fn(usize, &mut [F]) + Sync));

    /// Calls `work(i)` once for each `i` below `count`, as [`for_each_chunk`](Executor::for_each_chunk) does: for pieces
    /// that are no chunks of one buffer.
    fn for_each(&self, count: usize, work: &(dyn Fn(usize) + Sync));
}

/// Runs everything on the calling thread, in order.
#[derive(Clone, Copy, Debug)]
pub struct Inline;

impl<F> Executor<F> for Inline {
    fn for_each_chunk(&self, data: &mut [F], chunk: usize, work: &(dyn Fn(usize, &mut [F]) + Sync)) {
        for (index, piece) in data.chunks_mut(chunk).enumerate() {
            work(index, piece);
        }
    }

    fn for_each(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(work);
    }
}

/// Work, in multiply-adds, below which a tile is not worth handing to another thread: waking one costs 5 to 10
/// microseconds, in which a core does about this many.
pub(crate) const MIN_TILE_WORK: usize = 1 << 19;

/// Rows below which a tile makes a matrix product thin and slow.
const MIN_TILE_ROWS: usize = 32;

/// How many rows one tile takes, if a row costs `work_per_row` multiply-adds: a function of shapes alone.
pub fn tile_rows(work_per_row: usize) -> usize {
    MIN_TILE_WORK.div_ceil(work_per_row.max(1)).next_multiple_of(MIN_TILE_ROWS)
}

/// Cuts `data`, rows of `width` numbers, into tiles by [`tile_rows`] and calls `work(first_row, tile)` for each.
///
/// What fits one tile runs on the calling thread at once: a step of a small net wakes nobody.
#[inline]
pub fn for_each_tile<F: Float>(
    executor: &dyn Executor<F>,
    data: &mut [F],
    width: usize,
    work_per_row: usize,
    work: impl Fn(usize, &mut [F]) + Sync,
) {
    // The common case of small nets, decided without a division.
    if data.len().saturating_mul(work_per_row) <= MIN_TILE_WORK * width {
        return work(0, data);
    }
    let rows = data.len() / width;
    let tile = tile_rows(work_per_row);
    if rows <= tile {
        return work(0, data);
    }
    executor.for_each_chunk(data, tile * width, &|index, piece| work(index * tile, piece));
}

/// As [`for_each_tile`], for rows that no matrix product joins, such as the statistics of one channel or the products of one head: a tile may be a
/// single row.
#[inline]
pub fn for_each_item<F: Float>(
    executor: &dyn Executor<F>,
    data: &mut [F],
    width: usize,
    work_per_row: usize,
    work: impl Fn(usize, &mut [F]) + Sync,
) {
    let rows = data.len() / width;
    let tile = MIN_TILE_WORK.div_ceil(work_per_row.max(1));
    if rows <= tile {
        return work(0, data);
    }
    executor.for_each_chunk(data, tile * width, &|index, piece| work(index * tile, piece));
}

/// Numbers of a piece that is set to zero: some microseconds' work.
const ZEROS: usize = 1 << 16;

/// Sets all of `data` to zero.
pub(crate) fn fill_zero<F: Float>(executor: &dyn Executor<F>, data: &mut [F]) {
    if data.len() <= ZEROS {
        return data.fill(F::zero());
    }
    executor.for_each_chunk(data, ZEROS, &|_, piece| piece.fill(F::zero()));
}

/// The most tiles that [`for_each_tile_with`] makes.
pub const MAX_TILES: usize = 32;

/// How many rows a tile takes if all tiles are to be about equal, worth a thread, and at most [`MAX_TILES`]: a function
/// of shapes alone.
pub fn even_tile(rows: usize, work_per_row: usize) -> usize {
    let tiles = (rows.saturating_mul(work_per_row) / MIN_TILE_WORK).clamp(1, MAX_TILES);
    rows.div_ceil(tiles).max(1)
}

/// Cuts `data`, rows of `width` numbers, into tiles of `tile` rows and calls `work(first_row, tile, scratch)` for each,
/// with a part of `scratch` that is `scratch_len` long and the call's own.
///
/// # Panics
/// If there are more than [`MAX_TILES`] tiles, or `scratch` is not that many times `scratch_len` long.
pub fn for_each_tile_with<F: Float>(
    executor: &dyn Executor<F>,
    data: &mut [F],
    (width, tile): (usize, usize),
    (scratch, scratch_len): (&mut [F], usize),
    work: impl Fn(usize, &mut [F], &mut [F]) + Sync,
) {
    if data.len() <= tile * width {
        return work(0, data, &mut scratch[..scratch_len]);
    }
    // The compiler cannot know that only one call uses a part of the scratch; a lock that nobody waits for tells it.
    let mut rest = scratch;
    let parts: [Mutex<&mut [F]>; MAX_TILES] = std::array::from_fn(|_| {
        let (part, after) = std::mem::take(&mut rest).split_at_mut(scratch_len);
        rest = after;
        Mutex::new(part)
    });
    executor.for_each_chunk(data, tile * width, &|index, piece| {
        let mut scratch = parts[index].lock().unwrap_or_else(PoisonError::into_inner);
        work(index * tile, piece, &mut scratch);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_belongs_to_one_tile() {
        let mut data = vec![0.0f64; 1000 * 3];
        for_each_tile(&Inline, &mut data, 3, 1 << 14, |first, tile| {
            for (row, values) in tile.chunks_mut(3).enumerate() {
                values.iter_mut().for_each(|value| *value += (first + row) as f64);
            }
        });
        let expected = (0..1000).flat_map(|row| [row as f64; 3]);
        assert!(data.into_iter().eq(expected));
    }

    #[test]
    fn an_item_may_be_a_tile_of_its_own() {
        let mut data = vec![f64::NAN; 3 * 2];
        for_each_item(&Inline, &mut data, 2, 1 << 20, |item, values| {
            assert_eq!(values.len(), 2);
            values.fill(item as f64);
        });
        assert_eq!(data, [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
    }

    #[test]
    fn every_tile_has_scratch_of_its_own() {
        for rows in [1, 5, 32, 33, 100] {
            let (mut data, mut scratch) = (vec![0.0f64; rows * 3], vec![0.0f64; MAX_TILES * 2]);
            let tile = (3, even_tile(rows, 1 << 20));
            for_each_tile_with(&Inline, &mut data, tile, (&mut scratch, 2), |first, tile, scratch| {
                assert_eq!(scratch, [0.0, 0.0]);
                scratch.fill(1.0);
                for (row, values) in tile.chunks_mut(3).enumerate() {
                    values.iter_mut().for_each(|value| *value += (first + row) as f64);
                }
            });
            assert!(data.into_iter().eq((0..rows).flat_map(|row| [row as f64; 3])));
        }
    }

    #[test]
    fn cuts_where_only_shapes_say() {
        assert_eq!(tile_rows(784 * 128), 32);
        assert_eq!(tile_rows(64), 8192);
        assert_eq!(tile_rows(0), MIN_TILE_WORK);
    }
}
