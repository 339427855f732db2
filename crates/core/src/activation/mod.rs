//! Activations: functions of a row, most of them of one number at a time.
//!
//! `y = f(x)` on the way up, `dx = J' dy` on the way down, both in place over whole buffers, so that a dynamic call is
//! paid once a buffer and the loop inside is compiled for the function. Each function has its file, with its
//! derivation.

use std::any::Any;
use std::fmt;

use crate::affine::{Affine, Own, Row};
use crate::layers::flat::Above;
use crate::simd::{WORTH_WIDE, wide};
use crate::{Float, Formula, Rule};

/// What one activation costs, in multiply-adds of a matrix product: exponentials are dear.
pub(crate) const WORK: usize = 64;

/// A function from rows to rows of the same width, without parameters.
///
/// Implement [`Elementwise`] instead if every number of `y` depends on the number of `x` in its place only: it is two
/// scalar functions, and this trait comes for free.
pub trait Activation<F: Float>: fmt::Debug + Any + Send + Sync {
    /// Whether [`backward`](Activation::backward) reads `x`. If not, whoever applies the function need not keep it.
    fn needs_input(&self) -> bool;

    /// Replaces the rows `x` in `values` by `y = f(x)`.
    fn forward(&self, width: usize, values: &mut [F]);

    /// Replaces `dy` by `dx`, with `dx_i = sum over j of dy_j * dy_j/dx_i` in every row. `x` is empty unless
    /// [`needs_input`](Activation::needs_input).
    fn backward(&self, width: usize, x: &[F], y: &[F], dy: &mut [F]);

    /// The same as text, of an argument that is called `x`.
    fn rule(&self, x: &str) -> Rule;

    /// One row through small dense layers that follow one another and all have this function, then through what is above
    /// them, and the way back: their sums, [`forward`](Activation::forward) and [`backward`](Activation::backward) in one call;
    /// gives the sum of the loss. The default is right for every function; there is no need for another.
    ///
    /// # Panics
    /// If there is no layer.
    fn row_gradient(&self, layers: &[Affine], row: &mut Row<'_, F>, above: Above<'_, F>) -> f64 {
        for layer in layers {
            wide(
                #[inline(always)]
                || layer.forward(row),
            );
            self.forward(layer.units(), layer.own(row.tape).y);
        }
        let sum = above.gradient(last(layers), row);
        for layer in layers.iter().rev() {
            let Own { z, y, dy } = layer.own(row.tape);
            self.backward(layer.units(), z, y, dy);
            wide(
                #[inline(always)]
                || layer.backward(row),
            );
        }
        sum
    }

    /// Whether `other` is the same function: then neighbouring layers may go through one call. Of a function that does not
    /// say so, each layer has its own.
    fn is_same(&self, _other: &dyn Activation<F>) -> bool {
        false
    }
}

/// A scalar function `y = f(x)` and its derivative, from which the loops over buffers are compiled.
///
/// Both are total: no input but NaN gives NaN. The loops run within [`wide`]: they become vector instructions if both are marked
/// `#[inline(always)]` and have selections in place of calls and branches, as the functions of [`elementary`](crate::elementary) have. Where
/// those are called and not inlined, each of their fused multiply-adds is a call of the library.
///
/// Values that are equal ([`PartialEq`], derived as a rule) are the same function to the bit: neighbouring layers of equal ones
/// are computed by the first's.
pub trait Elementwise: fmt::Debug + PartialEq + Send + Sync + 'static {
    /// Whether [`df`](Elementwise::df) reads `x`; if not, it is given NaN there.
    const NEEDS_INPUT: bool;

    /// The function.
    fn f<F: Float>(&self, x: F) -> F;

    /// Its derivative at `x`, where `y = f(x)`. At a kink, a value between the one-sided derivatives.
    fn df<F: Float>(&self, x: F, y: F) -> F;

    /// Both as text, of an argument that is called `x` and a value that is called `y`.
    fn formula(&self, x: &str) -> Formula;
}

impl<F: Float, A: Elementwise> Activation<F> for A {
    fn needs_input(&self) -> bool {
        A::NEEDS_INPUT
    }

    fn forward(&self, _width: usize, values: &mut [F]) {
        wide(
            #[inline(always)]
            || {
                if values.len() < WORTH_WIDE {
                    apply_to_few(self, values);
                } else {
                    apply(self, values);
                }
            },
        );
    }

    fn backward(&self, _width: usize, x: &[F], y: &[F], dy: &mut [F]) {
        wide(
            #[inline(always)]
            || apply_backward(self, x, y, dy),
        );
    }

    fn row_gradient(&self, layers: &[Affine], row: &mut Row<'_, F>, above: Above<'_, F>) -> f64 {
        match layers {
            [first, ..] if first.is_tiny() => wide(
                #[inline(always)]
                move || {
                    let mut x = first.tiny_inputs(row.tape);
                    for layer in layers {
                        x = layer.tiny_forward(self, x, row);
                    }
                    let (sum, mut dy) = above.tiny_gradient(last(layers), x, row);
                    for layer in layers.iter().rev() {
                        dy = layer.tiny_backward(self, dy, row);
                    }
                    sum
                },
            ),
            _ => row_gradient_of_many(self, layers, row, above),
        }
    }

    fn is_same(&self, other: &dyn Activation<F>) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref::<A>() == Some(self)
    }

    fn rule(&self, x: &str) -> Rule {
        let Formula { value, derivative } = self.formula(x);
        Rule {
            function: format!("y = f({x}) = {value}"),
            derivative: format!("f'({x}) = {derivative}"),
            gradient: format!("d{x} = dy ⊙ f'({x})"),
            slope: Some(format!("f'({x}_j)")),
        }
    }
}

/// What [`Activation::row_gradient`] does for layers that are not tiny.
#[inline(never)] // Or those that are pay for its frame.
fn row_gradient_of_many<F: Float, A: Elementwise>(
    f: &A,
    layers: &[Affine],
    row: &mut Row<'_, F>,
    above: Above<'_, F>,
) -> f64 {
    wide(
        #[inline(always)]
        || {
            for layer in layers {
                layer.forward(row);
                let y = layer.own(row.tape).y;
                if y.len() < WORTH_WIDE { apply_to_few(f, y) } else { apply(f, y) }
            }
            // Not inlined, so not compiled for these instructions; it has no arithmetic of its own.
            let sum = above.gradient(last(layers), row);
            for layer in layers.iter().rev() {
                let Own { z, y, dy } = layer.own(row.tape);
                apply_backward(f, z, y, dy);
                layer.backward(row);
            }
            sum
        },
    )
}

/// The layer that has the others below it.
#[inline(always)]
fn last(layers: &[Affine]) -> &Affine {
    &layers[layers.len() - 1]
}

/// Numbers whose results are held before they are written.
const PIECE: usize = 32;

/// `x` becomes `f(x)`, for callers that run within [`wide`] already.
///
/// The results take a way round: where `f(x)` may be `x` itself, as with relu, the compiler would leave those numbers out
/// of the write, and a vector write with gaps is slow.
#[inline(always)]
pub(crate) fn apply<F: Float, A: Elementwise>(activation: &A, values: &mut [F]) {
    let mut results = [F::zero(); PIECE];
    let (pieces, rest) = values.as_chunks_mut::<PIECE>();
    for values in pieces {
        for (result, &value) in results.iter_mut().zip(&*values) {
            *result = activation.f(value);
        }
        *values = results;
    }
    let results = &mut results[..rest.len()];
    for (result, &value) in results.iter_mut().zip(&*rest) {
        *result = activation.f(value);
    }
    rest.copy_from_slice(results);
}

/// The same for a few values. Two at a time, they take the two lanes of the narrowest vectors.
#[inline(always)]
fn apply_to_few<F: Float, A: Elementwise>(activation: &A, values: &mut [F]) {
    let (pairs, last) = values.as_chunks_mut::<2>();
    for pair in pairs {
        // Not by `map`, which would not be inlined.
        let [first, second] = *pair;
        *pair = [activation.f(first), activation.f(second)];
    }
    for value in last {
        *value = activation.f(*value);
    }
}

/// `dy` becomes `dy f'(x)`, as [`apply`] does.
#[inline(always)]
pub(crate) fn apply_backward<F: Float, A: Elementwise>(activation: &A, x: &[F], y: &[F], dy: &mut [F]) {
    if A::NEEDS_INPUT {
        for ((dy, &x), &y) in dy.iter_mut().zip(x).zip(y) {
            *dy *= activation.df(x, y);
        }
    } else {
        for (dy, &y) in dy.iter_mut().zip(y) {
            *dy *= activation.df(F::nan(), y);
        }
    }
}

mod elu;
mod gelu;
mod hard_sigmoid;
mod hard_tanh;
mod leaky_relu;
mod linear;
mod relu;
mod selu;
mod sigmoid;
mod silu;
mod softmax;
mod softplus;
mod softsign;
mod tanh;

pub use elu::Elu;
pub use gelu::{Gelu, GeluTanh};
pub use hard_sigmoid::HardSigmoid;
pub use hard_tanh::HardTanh;
pub use leaky_relu::LeakyRelu;
pub use linear::Linear;
pub use relu::Relu;
pub use selu::Selu;
pub use sigmoid::Sigmoid;
pub use silu::Silu;
pub use softmax::Softmax;
pub use softplus::Softplus;
pub use softsign::Softsign;
pub use tanh::Tanh;

#[cfg(test)]
pub(crate) mod check;
