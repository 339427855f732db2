//! Correlations of one channel with one map, without unfolding: sums of shifted rows.

use std::ops::Range;

use super::unfold::for_each_run;
use super::window::Window;
use crate::{Float, matmul};

/// `z += w ⋆ x`.
pub(super) fn add_product<F: Float>(window: &Window, w: &[F], x: &[F], z: &mut [F]) {
    let stride = window.columns.stride;
    for (tap, &w) in w.iter().enumerate() {
        for_each_run(window, tap, &(0..window.outputs()), |run, at| {
            let z = &mut z[run];
            if stride == 1 {
                matmul::add_scaled(w, &x[at..at + z.len()], z);
            } else {
                z.iter_mut().zip(x[at..].iter().step_by(stride)).for_each(|(z, &x)| *z += w * x);
            }
        });
    }
}

/// `x += wᵀ ⋆ z`.
pub(super) fn add_adjoint<F: Float>(window: &Window, w: &[F], z: &[F], x: &mut [F]) {
    let stride = window.columns.stride;
    for (tap, &w) in w.iter().enumerate() {
        for_each_run(window, tap, &(0..window.outputs()), |run, at| {
            let z = &z[run];
            if stride == 1 {
                matmul::add_scaled(w, z, &mut x[at..at + z.len()]);
            } else {
                x[at..].iter_mut().step_by(stride).zip(z).for_each(|(x, &z)| *x += w * z);
            }
        });
    }
}

/// `dw_tm += Σ_p X_tp dz_mp` for some taps and all maps: `[taps, maps]`.
pub(super) fn add_to_strips<F: Float>(window: &Window, taps: Range<usize>, x: &[F], dz: &[F], dwt: &mut [F]) {
    let (stride, places) = (window.columns.stride, window.outputs());
    let maps = dz.len() / places;
    for (tap, dwt) in taps.zip(dwt.chunks_exact_mut(maps)) {
        for (dz, dw) in dz.chunks_exact(places).zip(dwt) {
            for_each_run(window, tap, &(0..places), |run, at| {
                let dz = &dz[run];
                *dw += if stride == 1 {
                    matmul::long_dot(&x[at..at + dz.len()], dz)
                } else {
                    dz.iter().zip(x[at..].iter().step_by(stride)).map(|(&dz, &x)| dz * x).sum()
                };
            });
        }
    }
}
