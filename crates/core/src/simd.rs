//! The widest instructions of the machine, chosen while the program runs.

/// Runs `work` compiled for the widest instructions that the machine has: AVX2 on x86, NEON on ARM, and what every
/// machine of the kind has elsewhere.
///
/// `work` should be a closure marked `#[inline(always)]` that calls only functions that are inlined: what is called and
/// not inlined is compiled for every machine, hence narrowly.
///
/// **The bits are the same on every path.** A vector instruction rounds every lane as the scalar one does, and the
/// compiler may neither reorder a sum nor contract `a * b + c` to one rounding: only a written `mul_add` is fused, and
/// the kernels write none. A test of [`elementary`](crate::elementary) compares the paths.
#[inline(always)]
pub fn wide<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}
