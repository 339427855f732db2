//! `W x + b` of one row over plain slices, as small dense layers compute it.

use std::slice::Iter;

use crate::Float;
use crate::matmul::{add_dot, add_scaled};

/// The sizes of `W`, `[units, inputs]`, and whether `b`, `[units]`, follows it in `theta`.
#[derive(Clone, Copy, Debug)]
pub struct Affine {
    /// Numbers of `x`.
    pub inputs: usize,
    /// Numbers of `y`.
    pub units: usize,
    /// Whether there is a `b`.
    pub bias: bool,
}

/// What one row through `y = f(W x + b)` reads and writes.
#[derive(Debug)]
pub struct RowForward<'a, F> {
    /// `W`, `[units, inputs]`, then `b`, `[units]`, if there is one.
    pub theta: &'a [F],
    /// The inputs, `[inputs]`.
    pub x: &'a [F],
    /// `W x + b`, `[units]`, if the derivative of `f` needs it; else empty.
    pub z: &'a mut [F],
    /// The outputs, `[units]`.
    pub y: &'a mut [F],
}

/// What the way back of one row reads and writes.
#[derive(Debug)]
pub struct RowBackward<'a, F> {
    /// `W`, `[units, inputs]`, then `b`, `[units]`, if there is one.
    pub theta: &'a [F],
    /// The inputs, `[inputs]`.
    pub x: &'a [F],
    /// What [`RowForward::z`] holds.
    pub z: &'a [F],
    /// The outputs, `[units]`.
    pub y: &'a [F],
    /// The gradient by the outputs, `[units]`, which becomes that by `z`.
    pub dy: &'a mut [F],
    /// That by the inputs, `[inputs]`, written; empty where it is not asked for.
    pub dx: &'a mut [F],
    /// That by `theta`, as long, written.
    pub dtheta: &'a mut [F],
}

impl Affine {
    /// Numbers of `W` and `b`.
    pub(crate) fn parameters(&self) -> usize {
        self.units * self.inputs + if self.bias { self.units } else { 0 }
    }

    /// `y = W x + b`, also in `z` if that is kept.
    #[inline(always)]
    pub(crate) fn forward<F: Float>(&self, row: &mut RowForward<'_, F>) {
        let mut sums = self.sums(row.theta, row.x);
        for y in row.y.iter_mut() {
            *y = sums.next();
        }
        if !row.z.is_empty() {
            row.z.copy_from_slice(row.y);
        }
    }

    /// `y = f(W x + b)` of a few units, two at a time: they take the two lanes of the narrowest vectors, and are not
    /// written between their sum and `f`. Vectors that read what was just written number by number would wait for it.
    #[inline(always)]
    pub(crate) fn forward_of_few<F: Float>(&self, row: &mut RowForward<'_, F>, f: impl Fn(F) -> F) {
        let mut sums = self.sums(row.theta, row.x);
        let mut z = row.z.iter_mut();
        let mut keep = |sum| {
            if let Some(z) = z.next() {
                *z = sum;
            }
            sum
        };
        let (pairs, last) = row.y.as_chunks_mut::<2>();
        for pair in pairs {
            let (first, second) = (keep(sums.next()), keep(sums.next()));
            *pair = [f(first), f(second)];
        }
        if let [last] = last {
            *last = f(keep(sums.next()));
        }
    }

    #[inline(always)]
    fn sums<'a, F: Float>(&self, theta: &'a [F], x: &'a [F]) -> Sums<'a, F> {
        let (w, b) = theta.split_at(self.units * self.inputs);
        Sums { w, b: b.iter(), x: &x[..self.inputs] }
    }

    /// `dW = dz xᵀ`, `db = dz`, and `dx = Wᵀ dz` unless it is empty, with `dz = dy ⊙ slope(z, y)`, which is left in `dy`.
    /// Where `z` is not kept, `slope` is given NaN.
    #[inline(always)]
    pub(crate) fn backward<F: Float>(&self, row: &mut RowBackward<'_, F>, slope: impl Fn(F, F) -> F) {
        match self.inputs {
            1 => self.backward_to::<F, 1>(row, slope),
            2 => self.backward_to::<F, 2>(row, slope),
            3 => self.backward_to::<F, 3>(row, slope),
            4 => self.backward_to::<F, 4>(row, slope),
            _ => {
                let (mut z, mut y) = (row.z.iter(), row.y.iter());
                for dy in row.dy.iter_mut() {
                    *dy *= slope(next_or_nan(&mut z), next_or_nan(&mut y));
                }
                self.backward_to_many(row);
            }
        }
    }

    /// The same for so few inputs that all that belongs to them is kept in registers.
    #[inline(always)]
    fn backward_to<F: Float, const N: usize>(&self, row: &mut RowBackward<'_, F>, slope: impl Fn(F, F) -> F) {
        let (dw, db) = row.dtheta.split_at_mut(self.units * N);
        let (mut w, mut dw, mut db) = (row.theta, dw, db.iter_mut());
        let (x, mut sums) = (copied::<F, N>(row.x), [F::zero(); N]);
        let (mut z, mut y) = (row.z.iter(), row.y.iter());
        for dy in row.dy.iter_mut() {
            let dz = *dy * slope(next_or_nan(&mut z), next_or_nan(&mut y));
            *dy = dz;
            let (own_w, rest_of_w) = w.split_at(N);
            let (own_dw, rest_of_dw) = dw.split_at_mut(N);
            (w, dw) = (rest_of_w, rest_of_dw);
            add_scaled(dz, own_w, &mut sums);
            set_scaled(dz, &x, own_dw);
            if let Some(db) = db.next() {
                *db = F::zero() + dz;
            }
        }
        if !row.dx.is_empty() {
            row.dx.copy_from_slice(&sums);
        }
    }

    /// The same from `dz` in `dy`.
    #[inline(always)]
    pub(crate) fn backward_of_sums<F: Float>(&self, row: &mut RowBackward<'_, F>) {
        self.backward(
            row,
            #[inline(always)]
            |_, _| F::one(),
        );
    }

    #[inline(always)]
    fn backward_to_many<F: Float>(&self, row: &mut RowBackward<'_, F>) {
        let (mut dw, db) = row.dtheta.split_at_mut(self.units * self.inputs);
        for &dz in &*row.dy {
            let (own, rest) = dw.split_at_mut(self.inputs);
            dw = rest;
            set_scaled(dz, row.x, own);
        }
        for (db, &dz) in db.iter_mut().zip(&*row.dy) {
            *db = F::zero() + dz;
        }
        if row.dx.is_empty() {
            return;
        }
        row.dx.fill(F::zero());
        let mut w = row.theta;
        for &dz in &*row.dy {
            let (own, rest) = w.split_at(self.inputs);
            w = rest;
            add_scaled(dz, own, row.dx);
        }
    }
}

/// `b = factor a`, added to zero as layers do, which gives no negative zeros.
#[inline(always)]
fn set_scaled<F: Float>(factor: F, a: &[F], b: &mut [F]) {
    for (b, &a) in b.iter_mut().zip(a) {
        *b = F::zero() + factor * a;
    }
}

/// The next number of one that may have none.
#[inline(always)]
fn next_or_nan<F: Float>(numbers: &mut Iter<'_, F>) -> F {
    numbers.next().copied().unwrap_or(F::nan())
}

/// `b_i + w_i x` for one row of `W` after the other.
struct Sums<'a, F> {
    w: &'a [F],
    b: Iter<'a, F>,
    x: &'a [F],
}

impl<F: Float> Sums<'_, F> {
    #[inline(always)]
    fn next(&mut self) -> F {
        let (own, rest) = self.w.split_at(self.x.len());
        self.w = rest;
        let bias = self.b.next().copied().unwrap_or(F::zero());
        // Of constant length, a sum is compiled without being a loop.
        match self.x.len() {
            1 => add_dot(bias, &own[..1], &self.x[..1]),
            2 => add_dot(bias, &own[..2], &self.x[..2]),
            3 => add_dot(bias, &own[..3], &self.x[..3]),
            4 => add_dot(bias, &own[..4], &self.x[..4]),
            _ => add_dot(bias, own, self.x),
        }
    }
}

/// The first numbers of a slice.
#[inline(always)]
fn copied<F: Float, const N: usize>(numbers: &[F]) -> [F; N] {
    let mut copy = [F::zero(); N];
    copy.copy_from_slice(numbers);
    copy
}
