//! The axes of a sample in another order.

use super::row_map::RowMap;
use crate::{Error, Float, Shape};

/// `y[i_0, i_1, ...]`, whose axis `k` is axis `axes[k]` of `x`: `[1, 0]` makes a sequence `[time, features]` the
/// `[channels, length]` of a convolution, and back.
///
/// # Derivation
/// Every number of `x` comes to one place `π(q)`, so `y_π(q) = x_q`, `∂y_p/∂x_q = [p = π(q)]` and `dx_q = dy_π(q)`.
#[derive(Debug)]
pub struct Permute {
    input: Shape,
    output: Shape,
    /// Of each axis of `y` that is longer than 1: its length, and the distance of neighbours in `x`.
    axes: Vec<(usize, usize)>,
}

impl Permute {
    /// Puts axis `axes[k]` of the input, counted without the batch from 0, in place `k`.
    ///
    /// # Errors
    /// [`Error::Layer`] if `axes` does not name every axis once.
    pub fn new(input: &Shape, axes: &[usize]) -> Result<Self, Error> {
        let rank = input.axes().len();
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..rank) {
            let message = format!(
                "axes must name each axis of the input {input} once, that is the numbers 0 to {}, found {axes:?}",
                rank - 1
            );
            return Err(Error::Layer { layer: "permute", message });
        }
        let lengths: Vec<usize> = axes.iter().map(|&axis| input.axes()[axis]).collect();
        let strides = axes.iter().map(|&axis| input.axes()[axis + 1..].iter().product());
        let pairs: Vec<(usize, usize)> =
            lengths.iter().copied().zip(strides).filter(|&(len, _)| len > 1).collect();
        Ok(Self { input: input.clone(), output: Shape::new(lengths)?, axes: pairs })
    }
}

/// Calls `each(p, q)` for every place `p` of `y` in order, from `p` on, and the place `q` of `x` that it comes from.
/// Axes of length 1 are left out, so the depth is at most the bits of a size.
fn walk(axes: &[(usize, usize)], p: usize, q: usize, each: &mut impl FnMut(usize, usize)) {
    match *axes {
        [] => each(p, q),
        [(len, stride)] => (0..len).for_each(|i| each(p + i, q + i * stride)),
        [(len, stride), ref inner @ ..] => {
            let size: usize = inner.iter().map(|&(len, _)| len).product();
            (0..len).for_each(|i| walk(inner, p + i * size, q + i * stride, each));
        }
    }
}

impl RowMap for Permute {
    fn input(&self) -> &Shape {
        &self.input
    }

    fn output(&self) -> &Shape {
        &self.output
    }

    fn equations(&self) -> [String; 3] {
        ["y_π(q) = x_q, π the new order of the axes", "∂y_p/∂x_q = [p = π(q)]", "dx_q = dy_π(q)"]
            .map(Into::into)
    }

    fn forward_row<F: Float>(&self, x: &[F], y: &mut [F]) {
        walk(&self.axes, 0, 0, &mut |p, q| y[p] = x[q]);
    }

    fn backward_row<F: Float>(&self, dy: &[F], dx: &mut [F]) {
        walk(&self.axes, 0, 0, &mut |p, q| dx[q] = dy[p]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    fn shape(axes: &[usize]) -> Shape {
        Shape::new(axes).unwrap()
    }

    #[test]
    fn transposes() {
        let layer = Permute::new(&shape(&[2, 3]), &[1, 0]).unwrap();
        assert_eq!(
            check::forward(&layer, &[], &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]),
            [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]
        );
    }

    #[test]
    fn every_number_is_where_its_indices_say() {
        let layer = Permute::new(&shape(&[2, 3, 1, 4]), &[3, 2, 0, 1]).unwrap();
        assert_eq!(layer.output().axes(), [4, 1, 2, 3]);
        let x: Vec<f64> = (0..24).map(f64::from).collect();
        let y = check::forward(&layer, &[], &[&x]);
        for (a, b, c) in (0..2).flat_map(|a| (0..3).flat_map(move |b| (0..4).map(move |c| (a, b, c)))) {
            assert_eq!(y[c * 6 + a * 3 + b], x[a * 12 + b * 4 + c]);
        }
        check::gradients(&layer, 2);
        check::gradients(&Permute::new(&shape(&[1, 1]), &[1, 0]).unwrap(), 2);
    }

    #[test]
    fn refuses_what_is_no_order() {
        for axes in [&[0, 0][..], &[0], &[1, 2], &[0, 1, 2]] {
            let message = Permute::new(&shape(&[2, 3]), axes).unwrap_err().to_string();
            let expected = "permute: axes must name each axis of the input [2, 3] once, that is the numbers 0 to 1, found";
            assert_eq!(message, format!("{expected} {axes:?}"));
        }
    }
}
