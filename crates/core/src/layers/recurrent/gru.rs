//! The gated recurrent unit.

use super::Recurrent;
use super::cell::{Cell, CellText, InputBlock, Step, StepBack};
use crate::Float;
use crate::activation::{Sigmoid, Tanh, apply};

/// A GRU layer; see [`GruCell`].
pub type Gru = Recurrent<GruCell>;

/// A state that one gate resets and another keeps (Cho et al., 2014), with the reset gate on the hidden product as in
/// PyTorch and cuDNN.
///
/// | symbol | shape | is |
/// |---|---|---|
/// | `x_t` | `[in]` | the input of step `t` |
/// | `W_ih`, `W_hh` | `[3 units, in]`, `[3 units, units]` | weights of the gates r, z, n, one below the other |
/// | `b_ih`, `b_hh` | `[3 units]` | biases |
/// | `a_r`, `a_z` | `[units]` | sums of the reset and the update gate |
/// | `q`, `p` | `[units]` | the candidate's sums by the state and by the input, which the reset gate keeps apart |
/// | `r, z = σ(a)`, `n` | `[units]` | reset and update gate; the candidate |
/// | `h_t` | `[units]` | the state, and the output; `h_0 = 0` |
///
/// # Derivation
/// ```text
/// a_r = W_ir x_t + b_ir + W_hr h_(t-1) + b_hr         a_z = W_iz x_t + b_iz + W_hz h_(t-1) + b_hz
/// p   = W_in x_t + b_in                               q   = W_hn h_(t-1) + b_hn
/// n   = tanh(p + r ⊙ q)
/// h_t = (1 - z) ⊙ n + z ⊙ h_(t-1)
/// ```
/// `h_(t-1)` reaches `h_t` directly, by `z`, and through the three sums `a_r`, `a_z`, `q`. With `da_h = (da_r, da_z,
/// dq)` for the sums that the state adds to and `da_x = (da_r, da_z, dp)` for those that the input adds to, from the
/// last step to the first:
/// ```text
/// dh_t = dy_t + dh_(t+1) ⊙ z_(t+1) + W_hhᵀ da_h,(t+1)
/// dn   = dh_t ⊙ ∂h_t/∂n   = dh_t ⊙ (1 - z)
/// dz   = dh_t ⊙ ∂h_t/∂z   = dh_t ⊙ (h_(t-1) - n)
/// dp   = dn ⊙ ∂n/∂p       = dn ⊙ (1 - n²)             tanh' = 1 - tanh²
/// dq   = dn ⊙ ∂n/∂q       = dp ⊙ r
/// dr   = dn ⊙ ∂n/∂r       = dp ⊙ q
/// da_r = dr ⊙ r (1 - r)        da_z = dz ⊙ z (1 - z)   σ' = σ (1 - σ)
/// dx_t = W_ihᵀ da_x    dW_ih = Σ_t da_x x_tᵀ    dW_hh = Σ_t da_h h_(t-1)ᵀ    db_ih = Σ_t da_x    db_hh = Σ_t da_h
/// ```
/// The sums of a step lie as `r, z, q, p`: the first three are those of the state. `r`, `z`, `n` take the places of
/// `a_r`, `a_z`, `p`, and the four gradients those of the four numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GruCell;

impl Cell for GruCell {
    const NAME: &'static str = "gru";
    const GATES: usize = 3;
    const SUMS: usize = 4;
    const INPUT: &'static [InputBlock] =
        &[InputBlock { first: 0, count: 2, at: 0 }, InputBlock { first: 2, count: 1, at: 3 }];
    const MEMORY: usize = 0;
    const CARRIED: usize = 0;

    #[inline(always)]
    fn forward<F: Float>(&self, step: Step<'_, F>) {
        let Step { sums, h_before, h, .. } = step;
        let units = h.len();
        let (reset_update, rest) = sums.split_at_mut(2 * units);
        let (q, n) = rest.split_at_mut(units);
        apply(&Sigmoid, reset_update);
        let (r, z) = reset_update.split_at(units);
        let (q, z, h_before) = (&q[..units], &z[..units], &h_before[..units]);
        for unit in 0..units {
            n[unit] += r[unit] * q[unit];
        }
        apply(&Tanh, n);
        for unit in 0..units {
            h[unit] = (F::one() - z[unit]) * n[unit] + z[unit] * h_before[unit];
        }
    }

    #[inline(always)]
    fn backward<F: Float>(&self, step: StepBack<'_, F>) {
        let StepBack { sums, h_before, dh, .. } = step;
        let units = dh.len();
        let (r, rest) = sums.split_at_mut(units);
        let (z, rest) = rest.split_at_mut(units);
        let (q, n) = rest.split_at_mut(units);
        // All of one length, which the loop's bounds checks are compiled away by.
        let (n, h_before) = (&mut n[..units], &h_before[..units]);
        let one = F::one();
        for unit in 0..units {
            let (reset, update, candidate) = (r[unit], z[unit], n[unit]);
            let dh_here = dh[unit];
            let dp = dh_here * (one - update) * (one - candidate * candidate);
            r[unit] = dp * q[unit] * reset * (one - reset);
            z[unit] = dh_here * (h_before[unit] - candidate) * update * (one - update);
            q[unit] = dp * reset;
            n[unit] = dp;
            dh[unit] = dh_here * update;
        }
    }

    fn text(&self) -> CellText {
        CellText {
            forward: vec![
                "r, z = σ(W_ir x_t + b_ir + W_hr h_(t-1) + b_hr), σ(W_iz x_t + b_iz + W_hz h_(t-1) + b_hz)"
                    .into(),
                "p = W_in x_t + b_in,  q = W_hn h_(t-1) + b_hn".into(),
                "n = tanh(p + r ⊙ q)".into(),
                "h_t = (1 - z) ⊙ n + z ⊙ h_(t-1)".into(),
            ],
            local: vec![
                "∂h_t/∂n = 1 - z   ∂h_t/∂z = h_(t-1) - n   ∂h_t/∂h_(t-1) = z, directly".into(),
                "∂n/∂p = 1 - n²   ∂n/∂q = (1 - n²) r   ∂n/∂r = (1 - n²) q".into(),
                "∂r/∂a_r = r (1 - r)   ∂z/∂a_z = z (1 - z)".into(),
                "∂(a_r, a_z, q)/∂h_(t-1) = W_hh   ∂(a_r, a_z, p)/∂x_t = W_ih".into(),
            ],
            between: vec![
                "dh_t = dy_t + dh_(t+1) ⊙ z_(t+1) + W_hhᵀ da_h,(t+1), from the last step to the first".into(),
                "dp = dh_t ⊙ (1 - z) ⊙ (1 - n²)   dq = dp ⊙ r".into(),
                "da_r = dp ⊙ q ⊙ r (1 - r)   da_z = dh_t ⊙ (h_(t-1) - n) ⊙ z (1 - z)".into(),
                "da_x = (da_r, da_z, dp)   da_h = (da_r, da_z, dq)".into(),
            ],
            gradients: ["da_x", "da_h"],
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
            -0.2459170638545452,
            -0.1488419616802581,
            -0.371939289381866,
            -0.15940178551817621,
            -0.4437410353865923,
            -0.13933879482155517,
        ];
        check::sequence(GruCell, &states);
    }

    #[test]
    fn stacked_both_ways_and_padded_gives_pytorchs_packed_sequences() {
        let sequences = [
            [0.1118103610367539, -0.303753020980738],
            [0.1928111144024105, -0.23379203799738518],
            [0.24112689856855324, -0.13979457525041494],
            [-0.01950637944712404, -0.43565987759114977],
            [-0.0054921795427338126, -0.2631306703375422],
            [0.0, 0.0],
        ];
        check::padded(GruCell, &sequences);
    }

    #[test]
    fn gradients_equal_central_differences() {
        check::gradients(GruCell);
    }
}
