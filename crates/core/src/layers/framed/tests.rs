//! Tests of [`Framed`].

use super::super::correlation::Correlation;
use super::super::window::{Kernel, Padding, Window};
use super::*;
use proptest::prelude::*;

use crate::Inline;

fn numbers<F: Float>(len: usize, seed: usize) -> Vec<F> {
    (0..len).map(|i| F::of(((i * 7919 + seed * 31) % 1009) as f64 / 1009.0 - 0.5)).collect()
}

/// A product, its adjoint and its weights' gradient, with memory that starts as NaN.
fn results<F: Float>(map: &Correlation, [x, z]: [usize; 2], biases: [usize; 2], rows: usize) -> [Vec<F>; 3] {
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
        // Many weights.
        ([5, 4], Padding::Same, [48, 40, 1], [3, 3], 9),
        ([4, 4], Padding::Same, [96, 72, 2], [3, 3], 13),
        // Much work of few rows.
        ([14, 14], cells([0, 0]), [6, 16, 1], [5, 5], 9),
        // A block that reaches beyond a whole line.
        ([1, 5], Padding::Same, [1, 2, 1], [1, 3], 17),
        ([3, 2], Padding::Same, [1, 1, 1], [3, 3], 9),
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
        agrees::<F>(size, &kernel, [channels, maps, groups], rows, tolerance);
    }
}

fn agrees<F: Float>(
    size: [usize; 2],
    kernel: &Kernel,
    [channels, maps, groups]: [usize; 3],
    rows: usize,
    tolerance: f64,
) {
    let window = Window::over("conv2d", kernel, size).unwrap();
    let map = || Correlation::new(window, channels, maps, groups).unwrap();
    let widths = [channels * window.inputs(), maps * window.outputs()];
    let biases = if rows.is_multiple_of(2) { [channels, maps] } else { [0; 2] };
    let found = results::<F>(&map(), widths, biases, rows);
    let expected = results::<F>(&map().unfolding(), widths, biases, rows);
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        let (found, expected) = (found.as_f64(), expected.as_f64());
        let close = (found - expected).abs() <= tolerance * (1.0 + expected.abs());
        assert!(close, "{found} is not {expected}: {window:?}, {channels}, {maps}, {groups}");
    }
}

#[test]
fn agrees_with_unfolding_on_odd_shapes() {
    assert_agrees::<f64>(1e-12);
    assert_agrees::<f32>(1e-4);
}

#[test]
fn every_weight_is_of_one_tile() {
    for (maps, groups, taps) in [(6, 1, 25), (16, 1, 150), (1, 7, 9), (7, 1, 1), (64, 1, 576), (3, 5, 14)] {
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

#[test]
fn a_sample_has_the_same_bits_alone_and_among_others() {
    for (size, padding, [channels, maps, groups], kernel) in
        [([14, 14], [0, 0], [6, 16, 1], [5, 5]), ([5, 4], [2, 1], [4, 6, 2], [3, 3])]
    {
        let kernel = Kernel::new(kernel).with_padding(Padding::Cells(padding));
        let window = Window::over("conv2d", &kernel, size).unwrap();
        let map = Correlation::new(window, channels, maps, groups).unwrap();
        let [x, z] = [channels * window.inputs(), maps * window.outputs()];
        let (w, all) = (numbers::<f32>(map.weights(), 1), numbers::<f32>(19 * x, 2));
        let mut scratch = vec![f32::NAN; map.scratch::<f32>()];
        let mut product = |x: Rows<'_, f32>| {
            let mut sums = vec![f32::NAN; x.len() * z];
            let ends = (&numbers::<f32>(maps, 3)[..], |_: &mut [f32]| {});
            map.product(&Inline, (&w, x), &mut sums, &mut scratch, ends);
            sums
        };
        let together = product(Rows::new(&all, x));
        for (row, together) in together.chunks_exact(z).enumerate() {
            let alone = product(Rows::new(&all[row * x..][..x], x));
            assert!(alone.iter().zip(together).all(|(a, b)| a.to_bits() == b.to_bits()), "{window:?}, {row}");
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_unfolding_on_any_shape(
        size in [1usize..10, 1usize..12],
        kernel in [1usize..5, 1usize..5],
        padding in [0usize..4, 0usize..4],
        (channels, maps, groups) in (1usize..4, 1usize..8, 1usize..3),
        rows in 1usize..20,
    ) {
        let fits = |axis: usize| kernel[axis] <= size[axis] + 2 * padding[axis];
        prop_assume!(fits(0) && fits(1));
        let kernel = Kernel::new(kernel).with_padding(Padding::Cells(padding));
        agrees::<f32>(size, &kernel, [channels * groups, maps * groups, groups], rows, 1e-4);
        agrees::<f64>(size, &kernel, [channels * groups, maps * groups, groups], rows, 1e-12);
    }
}
