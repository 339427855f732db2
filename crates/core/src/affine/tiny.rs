//! Layers of a few numbers, compiled once for each number of inputs and units: what belongs to them stays in registers, also
//! from one layer to the next.
//!
//! Numbers are written as they will be read, several at once: whoever reads a vector whose numbers were just written one by
//! one waits until they have reached the cache.

use super::{Affine, LANES, Row, add_zero, set_products, set_scaled};
use crate::matmul::add_dot;
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
        match self.units {
            1 => self.forward_of::<F, A, 1>(f, x, row),
            2 => self.forward_of::<F, A, 2>(f, x, row),
            3 => self.forward_of::<F, A, 3>(f, x, row),
            _ => self.forward_of::<F, A, LANES>(f, x, row),
        }
    }

    /// The same for a number of units.
    #[inline(always)]
    fn forward_of<F: Float, A: Elementwise, const U: usize>(
        &self,
        f: &A,
        x: [F; LANES],
        row: &mut Row<'_, F>,
    ) -> [F; LANES] {
        let z = match self.inputs {
            1 => self.sums::<F, 1, U>(x, row.theta),
            2 => self.sums::<F, 2, U>(x, row.theta),
            3 => self.sums::<F, 3, U>(x, row.theta),
            _ => self.sums::<F, LANES, U>(x, row.theta),
        };
        if A::NEEDS_INPUT
            && let Some(start) = self.z
        {
            row.tape[start..][..U].copy_from_slice(&z);
        }
        let mut y = z;
        for y in &mut y {
            *y = f.f(*y);
        }
        row.tape[self.y..][..U].copy_from_slice(&y);
        lanes(&y, 0, U)
    }

    /// `W x + b`.
    #[inline(always)]
    fn sums<F: Float, const N: usize, const U: usize>(&self, x: [F; LANES], theta: &[F]) -> [F; U] {
        let (w, b) = theta[self.theta..].split_at(U * N);
        let b = if self.bias { first::<F, U>(b, 0) } else { [F::zero(); U] };
        let mut sums = [F::zero(); U];
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
        match self.units {
            1 => self.backward_of::<F, A, 1>(f, dy, row),
            2 => self.backward_of::<F, A, 2>(f, dy, row),
            3 => self.backward_of::<F, A, 3>(f, dy, row),
            _ => self.backward_of::<F, A, LANES>(f, dy, row),
        }
    }

    /// The same for a number of units.
    #[inline(always)]
    fn backward_of<F: Float, A: Elementwise, const U: usize>(
        &self,
        f: &A,
        dy: [F; LANES],
        row: &mut Row<'_, F>,
    ) -> [F; LANES] {
        let z = match self.z {
            Some(start) if A::NEEDS_INPUT => first::<F, U>(row.tape, start),
            _ => [F::nan(); U],
        };
        let y = first::<F, U>(row.tape, self.y);
        let mut dz = first::<F, U>(&dy, 0);
        for ((dz, &z), &y) in dz.iter_mut().zip(&z).zip(&y) {
            *dz *= f.df(z, y);
        }
        row.tape[self.dy..][..U].copy_from_slice(&dz);
        match self.inputs {
            1 => self.gradients::<F, 1, U>(&dz, row),
            2 => self.gradients::<F, 2, U>(&dz, row),
            3 => self.gradients::<F, 3, U>(&dz, row),
            _ => self.gradients::<F, LANES, U>(&dz, row),
        }
    }

    /// What follows from `dz`.
    #[inline(always)]
    fn gradients<F: Float, const N: usize, const U: usize>(
        &self,
        dz: &[F; U],
        row: &mut Row<'_, F>,
    ) -> [F; LANES] {
        let Row { theta, tape, dtheta } = row;
        let x = first::<F, N>(tape, self.x);
        let (dw, db) = dtheta[self.theta..].split_at_mut(U * N);
        for (dw, &dz) in dw.as_chunks_mut::<N>().0.iter_mut().zip(dz) {
            set_scaled(dz, &x, dw);
        }
        if self.bias {
            add_zero(dz, &mut db[..U]);
        }
        let mut dx = [F::zero(); LANES];
        if let Some(at) = self.dx {
            let (w, _) = theta[self.theta..].split_at(U * N);
            set_products(w.as_chunks::<N>().0.iter().map(<[F; N]>::as_slice), dz, &mut dx[..N]);
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
