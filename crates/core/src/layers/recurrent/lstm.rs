//! The cell with a long short-term memory.

use super::Recurrent;
use super::cell::{Cell, CellText, InputBlock, Step, StepBack};
use crate::Float;
use crate::activation::{Sigmoid, Tanh, apply};

/// An LSTM layer; see [`LstmCell`].
pub type Lstm = Recurrent<LstmCell>;

/// A cell state `c` that gates write, keep and read (Hochreiter & Schmidhuber, 1997; the forget gate: Gers, Schmidhuber
/// & Cummins, 2000).
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x_t` | `[in]` | the input of step `t` |
/// | `W_ih`, `W_hh` | `[4 units, in]`, `[4 units, units]` | weights of the gates i, f, g, o, one below the other |
/// | `b_ih`, `b_hh` | `[4 units]` | biases |
/// | `a_t = (a_i, a_f, a_g, a_o)` | `[4 units]` | sums |
/// | `i, f, o = σ(a)`, `g = tanh(a_g)` | `[units]` | input, forget and output gate; the candidate |
/// | `c_t`, `h_t` | `[units]` | the cell state; the state, and the output; both 0 at first |
///
/// # Derivation
/// ```text
/// a_t = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh
/// c_t = f ⊙ c_(t-1) + i ⊙ g
/// h_t = o ⊙ tanh(c_t)
/// ```
/// `h_t` reaches the loss as the output and through `a_(t+1)`; `c_t` through `h_t` and through `c_(t+1)`, where
/// `∂c_(t+1)/∂c_t = f_(t+1)`. From the last step to the first, unit by unit but for the product with `W_hh`:
/// ```text
/// dh_t  = dy_t + W_hhᵀ da_(t+1)
/// do    = dh_t ⊙ ∂h_t/∂o                          = dh_t ⊙ tanh(c_t)
/// dc_t  = dc_(t+1) ⊙ f_(t+1) + dh_t ⊙ ∂h_t/∂c_t   = dc_(t+1) ⊙ f_(t+1) + dh_t ⊙ o ⊙ (1 - tanh²(c_t))
/// di    = dc_t ⊙ ∂c_t/∂i                          = dc_t ⊙ g
/// df    = dc_t ⊙ ∂c_t/∂f                          = dc_t ⊙ c_(t-1)
/// dg    = dc_t ⊙ ∂c_t/∂g                          = dc_t ⊙ i
/// ```
/// and with `σ' = σ (1 - σ)` and `tanh' = 1 - tanh²`
/// ```text
/// da_i = di ⊙ i (1 - i)     da_f = df ⊙ f (1 - f)     da_g = dg ⊙ (1 - g²)     da_o = do ⊙ o (1 - o)
/// dx_t = W_ihᵀ da_t         dW_ih = Σ_t da_t x_tᵀ     dW_hh = Σ_t da_t h_(t-1)ᵀ     db_ih = db_hh = Σ_t da_t
/// ```
/// Every slope follows from a gate's value, so the gates take the place of their sums, and `da_t` that of the gates. A
/// step keeps `c_t`, and `tanh(c_t)`, which is dear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LstmCell;

impl Cell for LstmCell {
    const NAME: &'static str = "lstm";
    const GATES: usize = 4;
    const SUMS: usize = 4;
    const INPUT: &'static [InputBlock] = &[InputBlock { first: 0, count: 4, at: 0 }];
    const MEMORY: usize = 2;
    const CARRIED: usize = 1;

    #[inline(always)]
    fn forward<F: Float>(&self, step: Step<'_, F>) {
        let Step { sums, memory_before, memory, h, .. } = step;
        let units = h.len();
        let (input_forget, rest) = sums.split_at_mut(2 * units);
        let (g, o) = rest.split_at_mut(units);
        apply(&Sigmoid, input_forget);
        apply(&Tanh, g);
        apply(&Sigmoid, o);

        let (i, f) = input_forget.split_at(units);
        let (c, tanh_c) = memory.split_at_mut(units);
        let c_before = &memory_before[..units];
        let (g, f, o) = (&g[..units], &f[..units], &o[..units]);
        for unit in 0..units {
            c[unit] = f[unit] * c_before[unit] + i[unit] * g[unit];
        }
        tanh_c.copy_from_slice(c);
        apply(&Tanh, tanh_c);
        for unit in 0..units {
            h[unit] = o[unit] * tanh_c[unit];
        }
    }

    #[inline(always)]
    fn backward<F: Float>(&self, step: StepBack<'_, F>) {
        let StepBack { sums, memory_before, memory, dh, dmemory: dc, .. } = step;
        let units = dh.len();
        let (i, rest) = sums.split_at_mut(units);
        let (f, rest) = rest.split_at_mut(units);
        let (g, o) = rest.split_at_mut(units);
        let (c_before, tanh_c) = (&memory_before[..units], &memory[units..]);
        // All of one length, which the loop's bounds checks are compiled away by.
        let (o, tanh_c, dc) = (&mut o[..units], &tanh_c[..units], &mut dc[..units]);
        let one = F::one();
        for unit in 0..units {
            let (gate_i, gate_f, candidate, gate_o) = (i[unit], f[unit], g[unit], o[unit]);
            let (dh, tanh_c) = (dh[unit], tanh_c[unit]);
            let dc_here = dc[unit] + dh * gate_o * (one - tanh_c * tanh_c);
            i[unit] = dc_here * candidate * gate_i * (one - gate_i);
            f[unit] = dc_here * c_before[unit] * gate_f * (one - gate_f);
            g[unit] = dc_here * gate_i * (one - candidate * candidate);
            o[unit] = dh * tanh_c * gate_o * (one - gate_o);
            dc[unit] = dc_here * gate_f;
        }
        dh.fill(F::zero());
    }

    fn text(&self) -> CellText {
        CellText {
            forward: vec![
                "a_t = (a_i, a_f, a_g, a_o) = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh".into(),
                "i, f, o = σ(a_i), σ(a_f), σ(a_o),  g = tanh(a_g),  with σ(a) = 1 / (1 + exp(-a))".into(),
                "c_t = f ⊙ c_(t-1) + i ⊙ g".into(),
                "h_t = o ⊙ tanh(c_t)".into(),
            ],
            local: vec![
                "∂h_t/∂o = tanh(c_t)   ∂h_t/∂c_t = o (1 - tanh²(c_t))".into(),
                "∂c_t/∂i = g   ∂c_t/∂f = c_(t-1)   ∂c_t/∂g = i   ∂c_t/∂c_(t-1) = f".into(),
                "∂i/∂a_i = i (1 - i)   ∂f/∂a_f = f (1 - f)   ∂g/∂a_g = 1 - g²   ∂o/∂a_o = o (1 - o)".into(),
                "∂a_t/∂h_(t-1) = W_hh   ∂a_t/∂x_t = W_ih".into(),
            ],
            between: vec![
                "dh_t = dy_t + W_hhᵀ da_(t+1), from the last step to the first".into(),
                "dc_t = dc_(t+1) ⊙ f_(t+1) + dh_t ⊙ o ⊙ (1 - tanh²(c_t))".into(),
                "da_i = dc_t ⊙ g ⊙ i (1 - i)   da_f = dc_t ⊙ c_(t-1) ⊙ f (1 - f)".into(),
                "da_g = dc_t ⊙ i ⊙ (1 - g²)   da_o = dh_t ⊙ tanh(c_t) ⊙ o (1 - o)".into(),
            ],
            gradients: ["da", "da"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::recurrent::check;

    #[test]
    fn gives_pytorchs_states() {
        let states = [
            0.12604260939916156,
            -0.08708674017136078,
            0.17460541610302627,
            -0.11574425391254366,
            0.19519231701767778,
            -0.1281856587025177,
        ];
        check::sequence(LstmCell, &states);
    }

    #[test]
    fn stacked_both_ways_and_padded_gives_pytorchs_packed_sequences() {
        let sequences = [
            [-0.014323796275922037, -0.20649797126117603],
            [-0.021471326042127387, -0.17198150233996984],
            [-0.026936711156866525, -0.10968812983310122],
            [-0.015437034555485118, -0.18240837901757184],
            [-0.019862064962867094, -0.11406578364224837],
            [0.0, 0.0],
        ];
        check::padded(LstmCell, &sequences);
    }

    #[test]
    fn gradients_equal_central_differences() {
        check::gradients(LstmCell);
    }
}
