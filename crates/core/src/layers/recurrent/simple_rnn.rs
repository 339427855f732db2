//! The simple recurrent cell.

use super::Recurrent;
use super::cell::{Cell, CellText, InputBlock, Step, StepBack};
use crate::activation::{Relu, Tanh, apply, apply_backward};
use crate::{Elementwise, Float};

/// A simple recurrent layer; see [`SimpleRnnCell`].
pub type SimpleRnn = Recurrent<SimpleRnnCell>;

/// `h_t = f(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)` with f = tanh or relu (Elman, 1990).
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x_t` | `[in]` | the input of step `t` |
/// | `W_ih`, `W_hh` | `[units, in]`, `[units, units]` | weights |
/// | `b_ih`, `b_hh` | `[units]` | biases |
/// | `z_t` | `[units]` | sums |
/// | `h_t` | `[units]` | the state, and the output; `h_0 = 0` |
///
/// # Derivation
/// With `z_t = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh`, the state reaches the loss by two ways: as the output of its
/// step, and through `z_(t+1)`. Hence, from the last step to the first,
/// ```text
/// dL/dh_t     = dL/dy_t + Σ_j dL/dz_(t+1),j · ∂z_(t+1),j/∂h_t     = dy_t + W_hhᵀ dz_(t+1)
/// dL/dz_t     = dh_t ⊙ f'(z_t)                                    as h_t = f(z_t), unit by unit
/// dL/dx_t     = W_ihᵀ dz_t
/// dL/dW_ih    = Σ_t dz_t x_tᵀ                                     the same weights in every step: gradients add up
/// dL/dW_hh    = Σ_t dz_t h_(t-1)ᵀ
/// dL/db_ih    = dL/db_hh = Σ_t dz_t
/// ```
/// `f'` follows from `h_t` alone: `1 - h²` of tanh, `[h > 0]` of relu. So the sums need not be kept, and `dz_t` takes
/// their place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SimpleRnnCell {
    /// f = tanh.
    #[default]
    Tanh,
    /// f = max(x, 0).
    Relu,
}

impl Cell for SimpleRnnCell {
    const NAME: &'static str = "simple_rnn";
    const GATES: usize = 1;
    const SUMS: usize = 1;
    const INPUT: &'static [InputBlock] = &[InputBlock { first: 0, count: 1, at: 0 }];
    const MEMORY: usize = 0;
    const CARRIED: usize = 0;

    #[inline(always)]
    fn forward<F: Float>(&self, step: Step<'_, F>) {
        let Step { sums, h, .. } = step;
        h.copy_from_slice(sums);
        match self {
            Self::Tanh => apply(&Tanh, h),
            Self::Relu => apply(&Relu, h),
        }
    }

    #[inline(always)]
    fn backward<F: Float>(&self, step: StepBack<'_, F>) {
        let StepBack { sums: dz, h, dh, .. } = step;
        dz.copy_from_slice(dh);
        match self {
            Self::Tanh => apply_backward(&Tanh, &[], h, dz),
            Self::Relu => apply_backward(&Relu, &[], h, dz),
        }
        dh.fill(F::zero());
    }

    fn text(&self) -> CellText {
        let formula = match self {
            Self::Tanh => Tanh.formula("z_t"),
            Self::Relu => Relu.formula("z_t"),
        };
        CellText {
            forward: vec![
                "z_t = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh".into(),
                format!("h_t = f(z_t) = {}", formula.value),
            ],
            local: vec![
                format!("∂h_t/∂z_t = f'(z_t) = {}", formula.derivative.replace('y', "h_t")),
                "∂z_t/∂h_(t-1) = W_hh   ∂z_t/∂x_t = W_ih".into(),
            ],
            between: vec![
                "dh_t = dy_t + W_hhᵀ dz_(t+1), from the last step to the first".into(),
                "dz_t = dh_t ⊙ f'(z_t)".into(),
            ],
            gradients: ["dz", "dz"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;
    use crate::layers::RecurrentConfig;
    use crate::layers::recurrent::check;

    #[test]
    fn gives_pytorchs_states() {
        let tanh = [
            0.6443782610439008,
            -0.6161344271055263,
            0.23417474884439995,
            -0.2067503423449914,
            0.545912879120001,
            -0.4381486071470656,
        ];
        check::sequence(SimpleRnnCell::Tanh, &tanh);
        check::sequence(SimpleRnnCell::Relu, &[0.765625, 0.0, 0.685546875, 0.0, 0.711181640625, 0.0]);
    }

    #[test]
    fn stacked_both_ways_and_padded_gives_pytorchs_packed_sequences() {
        let sequences = [
            [0.5086954712090154, 0.20056468163944183],
            [0.5451431296805305, 0.3696021152570442],
            [0.6392621778482076, 0.25048500627153025],
            [0.2543588496327116, 0.48764407138481247],
            [0.4138945235572504, 0.4477818202702603],
            [0.0, 0.0],
        ];
        check::padded(SimpleRnnCell::Tanh, &sequences);
    }

    #[test]
    fn gradients_equal_central_differences() {
        check::gradients(SimpleRnnCell::Tanh);
        // Few units might all be off.
        let sequence = Shape::new([3, 2]).unwrap();
        for return_sequences in [false, true] {
            let config = RecurrentConfig { return_sequences, layers: 2, ..RecurrentConfig::new(6) };
            crate::layers::check::gradients(
                &SimpleRnn::new(&sequence, SimpleRnnCell::Relu, config).unwrap(),
                5,
            );
        }
    }
}
