//! The widest instructions of the machine, chosen while the program runs.

use crate::Float;

/// Runs `work` compiled for the widest instructions that the machine has: AVX2 on x86, NEON on ARM, and what every
/// machine of the kind has elsewhere.
///
/// `work` should be a closure marked `#[inline(always)]` that calls only functions that are inlined: what is called and
/// not inlined is compiled for every machine, hence narrowly, and with a call of the library for every `mul_add`.
///
/// **The bits are the same on every path**, but for which NaN it is. A vector instruction rounds every lane as the scalar one does, and the
/// compiler may neither reorder a sum nor contract `a * b + c` to one rounding: only a written `mul_add` is fused, and that
/// is fused everywhere, by an instruction here and by the library on machines without it, which is many times slower.
/// So `mul_add` is written only in what runs within `wide`. A test of [`elementary`](crate::elementary) compares the paths.
#[inline(always)]
pub fn wide<R>(work: impl FnOnce() -> R) -> R {
    let arch = pulp::Arch::new();
    if matches!(arch, pulp::Arch::Scalar) { narrow(work) } else { arch.dispatch(work) }
}

/// Apart, so that the way to the wide instructions is a few instructions and has no frame.
#[cold]
#[inline(never)]
fn narrow<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Numbers below which loops for the widest vectors take longer to begin than the work takes; the bits are the same either
/// way.
pub(crate) const WORTH_WIDE: usize = 8;

/// The vectors of a kind of machine, as a kernel sees them.
pub trait Vectors<F>: Copy {
    /// Neighbouring numbers that one instruction computes with: at most 32 bytes.
    type Vector: Copy;

    /// Numbers of a vector.
    const LANES: usize = size_of::<Self::Vector>() / size_of::<F>();

    /// The same number in each lane.
    fn splat(self, number: F) -> Self::Vector;

    /// The whole vectors of a slice, without what is left over.
    fn split(self, numbers: &[F]) -> &[Self::Vector];

    /// As [`split`](Self::split), to be written.
    fn split_mut(self, numbers: &mut [F]) -> &mut [Self::Vector];

    /// `a b + c`, lane by lane.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
}

/// The most lanes of any vector of any type.
pub(crate) const MAX_LANES: usize = 8;

/// Work of [`Fusing::fused`]: a closure that is generic over the vectors.
pub trait FusedWork<F> {
    /// What it gives.
    type Output;

    /// Does it; marked `#[inline(always)]`, with all that it calls.
    fn run<V: Vectors<F>>(self, vectors: V) -> Self::Output;
}

/// Runs work as [`wide`] does, with multiplications and additions fused where the machine has an instruction for it.
///
/// **The bits may differ between machines**, as those of the matrix kernel do; on one machine they are always the same,
/// for any number of threads.
pub trait Fusing: Sized {
    /// Runs `work` with the widest vectors of the machine.
    fn fused<W: FusedWork<Self>>(work: W) -> W::Output;
}

/// One rounding, by an instruction that the machine has.
#[derive(Clone, Copy, Debug)]
struct Fused<S>(S);

/// Two roundings. Where no instruction fuses them, the library does so in software, far slower than both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Separate;

impl<F: Float> Vectors<F> for Separate {
    /// What the narrowest vector instructions take as singles.
    type Vector = [F; 4];

    #[inline(always)]
    fn splat(self, number: F) -> [F; 4] {
        [number; 4]
    }

    #[inline(always)]
    fn split(self, numbers: &[F]) -> &[[F; 4]] {
        numbers.as_chunks().0
    }

    #[inline(always)]
    fn split_mut(self, numbers: &mut [F]) -> &mut [[F; 4]] {
        numbers.as_chunks_mut().0
    }

    #[inline(always)]
    fn mul_add(self, a: [F; 4], b: [F; 4], c: [F; 4]) -> [F; 4] {
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }
}

macro_rules! impl_fusing {
    ($type:ty, $vector:ident, $work:ident, $splat:ident, $split:ident, $split_mut:ident, $mul_add:ident) => {
        impl<S: pulp::Simd> Vectors<$type> for Fused<S> {
            type Vector = S::$vector;

            #[inline(always)]
            fn splat(self, number: $type) -> S::$vector {
                self.0.$splat(number)
            }

            #[inline(always)]
            fn split(self, numbers: &[$type]) -> &[S::$vector] {
                S::$split(numbers).0
            }

            #[inline(always)]
            fn split_mut(self, numbers: &mut [$type]) -> &mut [S::$vector] {
                S::$split_mut(numbers).0
            }

            #[inline(always)]
            fn mul_add(self, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                self.0.$mul_add(a, b, c)
            }
        }

        /// Chooses the arithmetic by the instructions that it is compiled for.
        struct $work<W>(W);

        impl<W: FusedWork<$type>> pulp::WithSimd for $work<W> {
            type Output = W::Output;

            #[inline(always)]
            fn with_simd<S: pulp::Simd>(self, simd: S) -> W::Output {
                // Of what pulp is built with here, AVX2 comes with FMA, and NEON always has it.
                let can_fuse =
                    cfg!(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64"));
                if can_fuse && S::F32_LANES > 1 { self.0.run(Fused(simd)) } else { self.0.run(Separate) }
            }
        }

        impl Fusing for $type {
            #[inline(always)]
            fn fused<W: FusedWork<$type>>(work: W) -> W::Output {
                pulp::Arch::new().dispatch($work(work))
            }
        }
    };
}

impl_fusing!(f32, f32s, OfSingles, splat_f32s, as_simd_f32s, as_mut_simd_f32s, mul_add_f32s);
impl_fusing!(f64, f64s, OfDoubles, splat_f64s, as_simd_f64s, as_mut_simd_f64s, mul_add_f64s);
