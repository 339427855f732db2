//! The widest instructions of the machine, chosen while the program runs.

use crate::Float;

/// Runs `work` compiled for the widest instructions that the machine has: AVX2 on x86, NEON on ARM, and what every
/// machine of the kind has elsewhere.
///
/// `work` should be a closure marked `#[inline(always)]` that calls only functions that are inlined: what is called and
/// not inlined is compiled for every machine, hence narrowly.
///
/// **The bits are the same on every path.** A vector instruction rounds every lane as the scalar one does, and the
/// compiler may neither reorder a sum nor contract `a * b + c` to one rounding: only a written `mul_add` is fused, and
/// what runs here writes none.
#[inline(always)]
pub fn wide<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// How a kernel multiplies and adds.
pub trait Arithmetic: Copy {
    /// `a b + c`.
    fn mul_add<F: Float>(a: F, b: F, c: F) -> F;
}

/// One rounding, by an instruction that the machine has.
#[derive(Clone, Copy, Debug)]
pub struct Fused;

/// Two roundings. Where no instruction fuses them, the library does so in software, far slower than both.
#[derive(Clone, Copy, Debug)]
pub struct Separate;

impl Arithmetic for Fused {
    #[inline(always)]
    fn mul_add<F: Float>(a: F, b: F, c: F) -> F {
        a.mul_add(b, c)
    }
}

impl Arithmetic for Separate {
    #[inline(always)]
    fn mul_add<F: Float>(a: F, b: F, c: F) -> F {
        a * b + c
    }
}

/// Work of [`fused`]: a closure that is generic over the arithmetic.
pub trait FusedWork {
    /// What it gives.
    type Output;

    /// Does it; marked `#[inline(always)]`, with all that it calls.
    fn run<A: Arithmetic>(self) -> Self::Output;
}

/// Runs `work` as [`wide`] does, with multiplications and additions fused where the machine has an instruction for it.
///
/// **The bits may differ between machines**, as those of the matrix kernel do; on one machine they are always the same,
/// for any number of threads.
#[inline(always)]
pub fn fused<W: FusedWork>(work: W) -> W::Output {
    pulp::Arch::new().dispatch(ByInstructions(work))
}

/// Chooses the arithmetic by the instructions that it is compiled for.
struct ByInstructions<W>(W);

impl<W: FusedWork> pulp::WithSimd for ByInstructions<W> {
    type Output = W::Output;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) -> W::Output {
        // Of what pulp is built with here, AVX2 comes with FMA, and NEON always has it.
        let can_fuse = cfg!(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64"));
        if can_fuse && S::F32_LANES > 1 { self.0.run::<Fused>() } else { self.0.run::<Separate>() }
    }
}
