//! Layers of a few numbers, compiled once for each number of inputs and units: what belongs to them stays in registers.
//!
//! Units go two by two, the lanes of the narrowest vector, whether or not the second is there: of one, `f` takes as long as
//! of two. Whoever reads a vector waits if its numbers were just written one by one, until they have reached the cache; so neighbours
//! are written at once.

use super::{Affine, LANES, Row, set_scaled};
use crate::matmul::{add_dot, add_scaled};
use crate::{Elementwise, Float};

impl Affine {
    /// `y = f(W x + b)`, for callers that run within [`wide`](crate::simd::wide).
    #[inline(always)]
    pub(crate) fn tiny_forward<F: Float, A: Elementwise>(&self, f: &A, row: &mut Row<'_, F>) {
        let Row { theta, tape, .. } = row;
        let z = match self.inputs {
            1 => self.sums_of::<F, 1>(theta, tape),
            2 => self.sums_of::<F, 2>(theta, tape),
            3 => self.sums_of::<F, 3>(theta, tape),
            _ => self.sums_of::<F, LANES>(theta, tape),
        };
        self.activate(f, [z[0], z[1]], tape, 0);
        if self.units > 2 {
            self.activate(f, [z[2], z[3]], tape, 2);
        }
    }

    /// `y = f(z)` of the units `at` and the next.
    #[inline(always)]
    fn activate<F: Float, A: Elementwise>(&self, f: &A, z: [F; 2], tape: &mut [F], at: usize) {
        if A::NEEDS_INPUT
            && let Some(start) = self.z
        {
            *pair_mut(tape, start + at) = z;
        }
        *pair_mut(tape, self.y + at) = [f.f(z[0]), f.f(z[1])];
    }

    #[inline(always)]
    fn sums_of<F: Float, const N: usize>(&self, theta: &[F], tape: &[F]) -> [F; LANES] {
        match self.units {
            1 => self.sums::<F, N, 1>(theta, tape),
            2 => self.sums::<F, N, 2>(theta, tape),
            3 => self.sums::<F, N, 3>(theta, tape),
            _ => self.sums::<F, N, LANES>(theta, tape),
        }
    }

    #[inline(always)]
    fn sums<F: Float, const N: usize, const U: usize>(&self, theta: &[F], tape: &[F]) -> [F; LANES] {
        let x = first::<F, N>(tape, self.x);
        let (w, b) = theta[self.theta..].split_at(U * N);
        let b = if self.bias { first::<F, U>(b, 0) } else { [F::zero(); U] };
        let mut sums = [F::zero(); LANES];
        for ((sum, b), w) in sums.iter_mut().zip(b).zip(w.as_chunks::<N>().0) {
            *sum = add_dot(b, w, &x);
        }
        sums
    }

    /// `dW = dz xᵀ`, `db = dz`, and, if there is a layer below, `dx = Wᵀ dz`, with `dz = dy ⊙ f'(z)`, which replaces `dy`.
    #[inline(always)]
    pub(crate) fn tiny_backward<F: Float, A: Elementwise>(&self, f: &A, row: &mut Row<'_, F>) {
        let mut dz = [F::zero(); LANES];
        [dz[0], dz[1]] = self.dz(f, row.tape, 0);
        if self.units > 2 {
            [dz[2], dz[3]] = self.dz(f, row.tape, 2);
        }
        match self.inputs {
            1 => self.gradients_of::<F, 1>(&dz, row),
            2 => self.gradients_of::<F, 2>(&dz, row),
            3 => self.gradients_of::<F, 3>(&dz, row),
            _ => self.gradients_of::<F, LANES>(&dz, row),
        }
    }

    /// `dz = dy ⊙ f'(z)` of the units `at` and the next.
    #[inline(always)]
    fn dz<F: Float, A: Elementwise>(&self, f: &A, tape: &mut [F], at: usize) -> [F; 2] {
        let z = match self.z {
            Some(start) if A::NEEDS_INPUT => *pair_mut(tape, start + at),
            _ => [F::nan(); 2],
        };
        let (y, dy) = (*pair_mut(tape, self.y + at), pair_mut(tape, self.dy + at));
        let slopes = [f.df(z[0], y[0]), f.df(z[1], y[1])];
        let second = if self.units > at + 1 { dy[1] } else { F::zero() };
        let dz = [dy[0] * slopes[0], second * slopes[1]];
        *dy = dz;
        dz
    }

    #[inline(always)]
    fn gradients_of<F: Float, const N: usize>(&self, dz: &[F; LANES], row: &mut Row<'_, F>) {
        match self.units {
            1 => self.gradients::<F, N, 1>(dz, row),
            2 => self.gradients::<F, N, 2>(dz, row),
            3 => self.gradients::<F, N, 3>(dz, row),
            _ => self.gradients::<F, N, LANES>(dz, row),
        }
    }

    #[inline(always)]
    fn gradients<F: Float, const N: usize, const U: usize>(&self, dz: &[F; LANES], row: &mut Row<'_, F>) {
        let Row { theta, tape, dtheta } = row;
        let x = first::<F, N>(tape, self.x);
        let (dw, db) = dtheta[self.theta..].split_at_mut(U * N);
        for (dw, &dz) in dw.as_chunks_mut::<N>().0.iter_mut().zip(dz) {
            set_scaled(dz, &x, dw);
        }
        if self.bias {
            set_scaled(F::one(), dz, &mut db[..U]);
        }
        if let Some(at) = self.dx {
            let mut dx = [F::zero(); N];
            let (w, _) = theta[self.theta..].split_at(U * N);
            for (w, &dz) in w.as_chunks::<N>().0.iter().zip(dz) {
                add_scaled(dz, w, &mut dx);
            }
            tape[at..][..N].copy_from_slice(&dx);
        }
    }
}

/// The first numbers from a place on.
#[inline(always)]
fn first<F: Float, const N: usize>(numbers: &[F], at: usize) -> [F; N] {
    let mut first = [F::zero(); N];
    first.copy_from_slice(&numbers[at..][..N]);
    first
}

/// What is written at once.
#[inline(always)]
fn pair_mut<F: Float>(tape: &mut [F], at: usize) -> &mut [F; 2] {
    &mut tape[at..].as_chunks_mut().0[0]
}
