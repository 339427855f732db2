//! Layers that move or average numbers of a sample: linear maps without parameters, the same for every row.

use std::fmt;

use crate::executor::for_each_tile;
use crate::{Ctx, Derivation, Float, Layer, Parameter, Pass, Rows, RowsMut, Shape};

/// `y = A x` for a fixed matrix `A` that nobody forms. A type that says how a row goes up and down is a layer.
///
/// # Derivation
/// `∂y_p/∂x_q = A_pq` whatever `x` is, so `dx = Aᵀ dy`, and nothing needs to be kept.
pub(super) trait RowMap: fmt::Debug + Send + Sync {
    /// The shape of `x`.
    fn input(&self) -> &Shape;

    /// The shape of `y`.
    fn output(&self) -> &Shape;

    /// Additions or copies of a row.
    fn work(&self) -> usize {
        self.output().len()
    }

    /// Forward, its partial derivative, and backward, as equations.
    fn equations(&self) -> [String; 3];

    /// `y = A x`.
    fn forward_row<F: Float>(&self, x: &[F], y: &mut [F]);

    /// `dx = Aᵀ dy`.
    fn backward_row<F: Float>(&self, dy: &[F], dx: &mut [F]);
}

impl<F: Float, M: RowMap> Layer<F> for M {
    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.input().clone()]
    }

    fn output_shape(&self) -> &Shape {
        self.output()
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    fn multiply_adds(&self) -> usize {
        0
    }

    fn derivation(&self) -> Derivation {
        let [forward, local, input] = self.equations();
        Derivation {
            forward: vec![forward],
            local: vec![local],
            inputs: vec![input],
            ..Derivation::new([("x", self.input()), ("y", self.output())])
        }
    }

    fn forward(
        &self,
        _theta: &[F],
        inputs: &[Rows<'_, F>],
        y: RowsMut<'_, F>,
        _tape: &mut [F],
        ctx: &mut Ctx<'_, F>,
    ) {
        let width = self.output().len();
        for_each_tile(ctx.executor, y.into_data(), width, self.work(), |first, y| {
            let x = inputs[0].slice(first, y.len() / width);
            x.iter().zip(y.chunks_exact_mut(width)).for_each(|(x, y)| self.forward_row(x, y));
        });
    }

    fn backward(
        &self,
        _theta: &[F],
        _pass: Pass<'_, F>,
        dy: RowsMut<'_, F>,
        dx: &mut [Option<RowsMut<'_, F>>],
        ctx: &mut Ctx<'_, F>,
    ) {
        let Some(dx) = &mut dx[0] else { return };
        let width = self.input().len();
        for_each_tile(ctx.executor, dx.data(), width, self.work(), |first, dx| {
            let dy = dy.as_rows().slice(first, dx.len() / width);
            dy.iter().zip(dx.chunks_exact_mut(width)).for_each(|(dy, dx)| self.backward_row(dy, dx));
        });
    }

    fn accumulate(
        &self,
        _theta: &[F],
        _pass: Pass<'_, F>,
        _dy: Rows<'_, F>,
        _dtheta: &mut [F],
        _ctx: &mut Ctx<'_, F>,
    ) {
    }
}
