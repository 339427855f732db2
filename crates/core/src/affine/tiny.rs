//! Layers of a few numbers, compiled once for each number of inputs and units: what belongs to them stays in registers, also
//! from one layer to the next.
//!
//! Units go two by two, the lanes of the narrowest vector, whether or not the second is there: of one, `f` takes as long as
//! of two. Whoever reads a vector waits if its numbers were just written one by one, until they have reached the cache; so neighbours
//! are written at once.

use super::{Affine, LANES, Row, set_scaled};
use crate::matmul::{add_dot, add_scaled};
use crate::{Elementwise, Float};

impl Affine {
    /// `x`, for the first layer of a run, and zeros.
    #[inline(always)]
    pub(crate) fn tiny_inputs<F: Float>(&self, tape: &[F]) -> [F; LANES] {
        lanes(tape, self.x, self.inputs)
    }

    /// `dy`, for the last layer of a run, and zeros.
    #[inline(always)]
    pub(crate) fn tiny_output_gradient<F: Float>(&self, tape: &[F]) -> [F; LANES] {
        lanes(tape, self.dy, self.units)
    }

    /// `y = f(W x + b)`, on the tape and for the next layer, for callers that run within [`wide`](crate::simd::wide).
    #[inline(always)]
    pub(crate) fn tiny_forward<F: Float, A: Elementwise>(
        &self,
        f: &A,
        x: [F; LANES],
        row: &mut Row<'_, F>,
    ) -> [F; LANES] {
        let z = match self.inputs {
            1 => self.sums_of::<F, 1>(x, row.theta),
            2 => self.sums_of::<F, 2>(x, row.theta),
            3 => self.sums_of::<F, 3>(x, row.theta),
            _ => self.sums_of::<F, LANES>(x, row.theta),
        };
        let mut y = [F::zero(); LANES];
        [y[0], y[1]] = self.activate(f, [z[0], z[1]], row.tape, 0);
        if self.units > 2 {
            [y[2], y[3]] = self.activate(f, [z[2], z[3]], row.tape, 2);
        }
        y
    }

    /// `y = f(z)` of the units `at` and the next.
    #[inline(always)]
    fn activate<F: Float, A: Elementwise>(&self, f: &A, z: [F; 2], tape: &mut [F], at: usize) -> [F; 2] {
        if A::NEEDS_INPUT
            && let Some(start) = self.z
        {
            *pair_mut(tape, start + at) = z;
        }
        let y = [f.f(z[0]), f.f(z[1])];
        *pair_mut(tape, self.y + at) = y;
        y
    }

    #[inline(always)]
    fn sums_of<F: Float, const N: usize>(&self, x: [F; LANES], theta: &[F]) -> [F; LANES] {
        match self.units {
            1 => self.sums::<F, N, 1>(x, theta),
            2 => self.sums::<F, N, 2>(x, theta),
            3 => self.sums::<F, N, 3>(x, theta),
            _ => self.sums::<F, N, LANES>(x, theta),
        }
    }

    #[inline(always)]
    fn sums<F: Float, const N: usize, const U: usize>(&self, x: [F; LANES], theta: &[F]) -> [F; LANES] {
        let (w, b) = theta[self.theta..].split_at(U * N);
        let b = if self.bias { first::<F, U>(b, 0) } else { [F::zero(); U] };
        let mut sums = [F::zero(); LANES];
        for ((sum, b), w) in sums.iter_mut().zip(b).zip(w.as_chunks::<N>().0) {
            *sum = add_dot(b, w, &x[..N]);
        }
        sums
    }

    /// `dW = dz xᵀ`, `db = dz`, and, if there is a layer below, `dx = Wᵀ dz`, on the tape and for that layer, with
    /// `dz = dy ⊙ f'(z)`, which replaces `dy` on the tape.
    #[inline(always)]
    pub(crate) fn tiny_backward<F: Float, A: Elementwise>(
        &self,
        f: &A,
        dy: [F; LANES],
        row: &mut Row<'_, F>,
    ) -> [F; LANES] {
        let mut dz = [F::zero(); LANES];
        [dz[0], dz[1]] = self.gradient_by_sums(f, [dy[0], dy[1]], row.tape, 0);
        if self.units > 2 {
            [dz[2], dz[3]] = self.gradient_by_sums(f, [dy[2], dy[3]], row.tape, 2);
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
    fn gradient_by_sums<F: Float, A: Elementwise>(
        &self,
        f: &A,
        dy: [F; 2],
        tape: &mut [F],
        at: usize,
    ) -> [F; 2] {
        let z = match self.z {
            Some(start) if A::NEEDS_INPUT => *pair_mut(tape, start + at),
            _ => [F::nan(); 2],
        };
        let y = *pair_mut(tape, self.y + at);
        let slopes = [f.df(z[0], y[0]), f.df(z[1], y[1])];
        let dz = [dy[0] * slopes[0], dy[1] * slopes[1]];
        *pair_mut(tape, self.dy + at) = dz;
        dz
    }

    #[inline(always)]
    fn gradients_of<F: Float, const N: usize>(&self, dz: &[F; LANES], row: &mut Row<'_, F>) -> [F; LANES] {
        match self.units {
            1 => self.gradients::<F, N, 1>(dz, row),
            2 => self.gradients::<F, N, 2>(dz, row),
            3 => self.gradients::<F, N, 3>(dz, row),
            _ => self.gradients::<F, N, LANES>(dz, row),
        }
    }

    #[inline(always)]
    fn gradients<F: Float, const N: usize, const U: usize>(
        &self,
        dz: &[F; LANES],
        row: &mut Row<'_, F>,
    ) -> [F; LANES] {
        let Row { theta, tape, dtheta } = row;
        let x = first::<F, N>(tape, self.x);
        let (dw, db) = dtheta[self.theta..].split_at_mut(U * N);
        for (dw, &dz) in dw.as_chunks_mut::<N>().0.iter_mut().zip(dz) {
            set_scaled(dz, &x, dw);
        }
        if self.bias {
            set_scaled(F::one(), dz, &mut db[..U]);
        }
        let mut dx = [F::zero(); LANES];
        if let Some(at) = self.dx {
            let (w, _) = theta[self.theta..].split_at(U * N);
            for (w, &dz) in w.as_chunks::<N>().0.iter().zip(dz) {
                add_scaled(dz, w, &mut dx[..N]);
            }
            tape[at..][..N].copy_from_slice(&dx[..N]);
        }
        dx
    }
}

/// The first numbers from a place on.
#[inline(always)]
fn first<F: Float, const N: usize>(numbers: &[F], at: usize) -> [F; N] {
    let mut first = [F::zero(); N];
    first.copy_from_slice(&numbers[at..][..N]);
    first
}

/// So many numbers from a place on, at most all lanes, and zeros.
#[inline(always)]
fn lanes<F: Float>(numbers: &[F], at: usize, len: usize) -> [F; LANES] {
    let (numbers, zero) = (&numbers[at..][..len], F::zero());
    match *numbers {
        [a] => [a, zero, zero, zero],
        [a, b] => [a, b, zero, zero],
        [a, b, c] => [a, b, c, zero],
        [a, b, c, d, ..] => [a, b, c, d],
        [] => [zero; LANES],
    }
}

/// What is written at once.
#[inline(always)]
fn pair_mut<F: Float>(tape: &mut [F], at: usize) -> &mut [F; 2] {
    &mut tape[at..].as_chunks_mut().0[0]
}
