//! `W x + b` of one row over plain slices, as small dense layers compute it.

use std::slice::Iter;

use crate::Float;
use crate::matmul::{add_dot, add_scaled};

mod tiny;

/// What one row through dense layers reads and writes: for [`Activation`](crate::Activation)'s own methods, which have
/// defaults.
#[derive(Debug)]
pub struct Row<'a, F> {
    /// The parameters of all layers.
    pub(crate) theta: &'a [F],
    /// The inputs of all layers and their outputs, with the gradients by them, one layer after the other.
    pub(crate) tape: &'a mut [F],
    /// The gradient by the parameters.
    pub(crate) dtheta: &'a mut [F],
}

/// A dense layer among others that one row goes through: its sizes, and where its numbers lie. As [`Row`], not for use
/// elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Affine {
    inputs: usize,
    units: usize,
    bias: bool,
    tiny: bool,
    /// Where `W`, `[units, inputs]`, and after it `b`, `[units]`, begin in `theta`.
    theta: usize,
    /// Where `x`, `[inputs]`, begins on the tape: the outputs of the layer below, if there is one.
    x: usize,
    /// Where the gradient by `x` is to be written: nowhere, if nothing is below.
    dx: Option<usize>,
    /// Where `W x + b`, `[units]`, is kept for the way back, if it is, and then `y`, `[units]`, and the gradient by it.
    z: Option<usize>,
    y: usize,
    dy: usize,
}

/// The most inputs or units of a tiny layer; everything on a tape takes a multiple of it, so that vectors lie within a line.
pub(crate) const LANES: usize = 4;

/// Where the tape ends, and the next number of parameters, as layers are added.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    theta: usize,
    end: usize,
    last: Option<Affine>,
}

impl Tape {
    /// A tape with the inputs, as many numbers, at its beginning.
    pub(crate) fn new(inputs: usize) -> Self {
        Self { theta: 0, end: inputs.next_multiple_of(LANES), last: None }
    }

    /// The next layer; `keeps_sums`, if the derivative of its activation needs them.
    pub(crate) fn push(&mut self, inputs: usize, units: usize, bias: bool, keeps_sums: bool) -> Affine {
        let (x, dx) = self.last.map_or((0, None), |below| (below.y, Some(below.dy)));
        let theta = self.theta;
        self.theta += units * inputs + if bias { units } else { 0 };
        let z = keeps_sums.then(|| self.take(units));
        let (y, dy) = (self.take(units), self.take(units));
        let tiny = inputs <= LANES && units <= LANES;
        let layer = Affine { inputs, units, bias, tiny, theta, x, dx, z, y, dy };
        self.last = Some(layer);
        layer
    }

    fn take(&mut self, units: usize) -> usize {
        let start = self.end;
        self.end += units.next_multiple_of(LANES);
        start
    }

    /// Numbers of the whole tape.
    pub(crate) fn len(&self) -> usize {
        self.end
    }
}

/// The part of a tape that a layer's activation is about.
#[derive(Debug)]
pub(crate) struct Own<'a, F> {
    /// `W x + b`, if it is kept; else empty.
    pub(crate) z: &'a [F],
    pub(crate) y: &'a mut [F],
    pub(crate) dy: &'a mut [F],
}

impl Affine {
    /// Numbers of `x`.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Numbers of `y`.
    pub(crate) fn units(&self) -> usize {
        self.units
    }

    /// Whether it has so few numbers that they stay in registers.
    pub(crate) fn is_tiny(&self) -> bool {
        self.tiny
    }

    /// `y` and the gradient by it.
    #[inline(always)]
    pub(crate) fn outputs<'a, F>(&self, tape: &'a mut [F]) -> (&'a [F], &'a mut [F]) {
        let (front, dy) = tape.split_at_mut(self.dy);
        (&front[self.y..][..self.units], &mut dy[..self.units])
    }

    /// What is on the tape for the activation.
    #[inline(always)]
    pub(crate) fn own<'a, F>(&self, tape: &'a mut [F]) -> Own<'a, F> {
        let (front, dy) = tape.split_at_mut(self.dy);
        let (front, y) = front.split_at_mut(self.y);
        let z = self.z.map_or(&[][..], |z| &front[z..][..self.units]);
        Own { z, y: &mut y[..self.units], dy: &mut dy[..self.units] }
    }

    /// `y = W x + b`, also in `z` if that is kept.
    #[inline(always)]
    pub(crate) fn forward<F: Float>(&self, row: &mut Row<'_, F>) {
        let Row { theta, tape, .. } = row;
        let (w, b) = self.parameters(theta);
        let (front, y) = tape.split_at_mut(self.y);
        let (x, y) = (&front[self.x..][..self.inputs], &mut y[..self.units]);
        // Of constant length, a sum is compiled without being a loop.
        match self.inputs {
            1 => sums(y, w.as_chunks::<1>().0, b, x),
            2 => sums(y, w.as_chunks::<2>().0, b, x),
            3 => sums(y, w.as_chunks::<3>().0, b, x),
            4 => sums(y, w.as_chunks::<4>().0, b, x),
            inputs => {
                let mut b = b.iter();
                for (y, w) in y.iter_mut().zip(w.chunks_exact(inputs)) {
                    *y = add_dot(next_or_zero(&mut b), w, x);
                }
            }
        }
        if let Some(z) = self.z {
            front[z..][..self.units].copy_from_slice(y);
        }
    }

    /// From `dz` in `dy`: `dW = dz xᵀ`, `db = dz`, and, if there is a layer below, `dx = Wᵀ dz`.
    #[inline(always)]
    pub(crate) fn backward<F: Float>(&self, row: &mut Row<'_, F>) {
        let Row { theta, tape, dtheta } = row;
        let (front, dz) = tape.split_at_mut(self.dy);
        let (x, dz) = (&front[self.x..][..self.inputs], &dz[..self.units]);
        let (dw, db) = dtheta[self.theta..].split_at_mut(self.units * self.inputs);
        match self.inputs {
            1 => products(dw.as_chunks_mut::<1>().0, dz, x),
            2 => products(dw.as_chunks_mut::<2>().0, dz, x),
            3 => products(dw.as_chunks_mut::<3>().0, dz, x),
            4 => products(dw.as_chunks_mut::<4>().0, dz, x),
            inputs => {
                for (dw, &dz) in dw.chunks_exact_mut(inputs).zip(dz) {
                    set_scaled(dz, x, dw);
                }
            }
        }
        if self.bias {
            add_zero(dz, db);
        }
        if let Some(dx) = self.dx {
            self.input_gradient(theta, dz, &mut front[dx..][..self.inputs]);
        }
    }

    /// `dx = Wᵀ dz`.
    #[inline(always)]
    pub(crate) fn input_gradient<F: Float>(&self, theta: &[F], dz: &[F], dx: &mut [F]) {
        let (w, _) = self.parameters(theta);
        set_products(w.chunks_exact(self.inputs), dz, dx);
    }

    /// `W` and `b`, which may be empty.
    #[inline(always)]
    fn parameters<'a, F>(&self, theta: &'a [F]) -> (&'a [F], &'a [F]) {
        let (w, rest) = theta[self.theta..].split_at(self.units * self.inputs);
        (w, if self.bias { &rest[..self.units] } else { &[] })
    }
}

/// `y = W x + b` for a few inputs.
#[inline(always)]
fn sums<F: Float, const N: usize>(y: &mut [F], w: &[[F; N]], b: &[F], x: &[F]) {
    let (x, mut b) = (&x[..N], b.iter());
    for (y, w) in y.iter_mut().zip(w) {
        *y = add_dot(next_or_zero(&mut b), w, x);
    }
}

/// `dW = dz xᵀ` for a few inputs.
#[inline(always)]
fn products<F: Float, const N: usize>(dw: &mut [[F; N]], dz: &[F], x: &[F]) {
    let x = &x[..N];
    for (dw, &dz) in dw.iter_mut().zip(dz) {
        set_scaled(dz, x, dw);
    }
}

/// `dx = Wᵀ dz`, from the rows of `W`.
#[inline(always)]
fn set_products<'a, F: Float>(mut w: impl Iterator<Item = &'a [F]>, dz: &[F], dx: &mut [F]) {
    let mut dz = dz.iter();
    if let (Some(w), Some(&dz)) = (w.next(), dz.next()) {
        set_scaled(dz, w, dx);
    }
    for (w, &dz) in w.zip(dz) {
        add_scaled(dz, w, dx);
    }
}

/// The next bias, if there is one.
#[inline(always)]
fn next_or_zero<F: Float>(b: &mut Iter<'_, F>) -> F {
    b.next().copied().unwrap_or(F::zero())
}

/// `b = factor a`, added to zero as layers do, in one step: no negative zeros but where the product is too small to be written.
#[inline(always)]
fn set_scaled<F: Float>(factor: F, a: &[F], b: &mut [F]) {
    for (b, &a) in b.iter_mut().zip(a) {
        *b = factor.mul_add(a, F::zero());
    }
}

/// `b = a`, without negative zeros.
#[inline(always)]
fn add_zero<F: Float>(a: &[F], b: &mut [F]) {
    for (b, &a) in b.iter_mut().zip(a) {
        *b = F::zero() + a;
    }
}
