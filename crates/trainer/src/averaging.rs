//! Averages of the parameters along the way, which often predict better than where the way ends.

use chainrule_core::Float;
use chainrule_core::simd::wide;

use crate::Values;
use crate::state::{Snapshot, State};

/// How the parameters are averaged while training goes on with the parameters themselves.
///
/// # Formulas
/// With `n` the number of values averaged before and `θ` the new ones, as PyTorch's `swa_utils.AveragedModel` with
/// `use_buffers` has it; the first values are taken as they are:
/// ```text
/// ema   a <- a + (1 - d) (θ - a)       after every step (Polyak & Juditsky, 1992; weights fall as dᵏ)
/// swa   a <- a + (θ - a) / (n + 1)     after every epoch from one on: the mean (Izmailov et al., 2018)
/// ```
/// Running statistics are averaged in the same way, so that no further pass over the data is needed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Averaging {
    /// An exponential moving average over steps.
    Ema {
        /// The share of the old average that is kept, at least 0 and less than 1.
        decay: f64,
    },
    /// The mean over epochs.
    Swa {
        /// The first epoch that counts, from 1.
        from_epoch: u64,
    },
}

impl Averaging {
    /// After a step of the optimiser.
    #[inline]
    pub(crate) fn after_step<F: Float>(self, state: &mut State<F>) {
        if let Self::Ema { decay } = self {
            include(state, 1.0 - decay);
        }
    }

    /// After the epoch of this number.
    pub(crate) fn after_epoch<F: Float>(self, state: &mut State<F>, epoch: u64) {
        if let Self::Swa { from_epoch } = self
            && epoch >= from_epoch
        {
            include(state, 1.0 / (state.counts.averaged + 1) as f64);
        }
    }
}

/// Moves the average by this share of the way to the parameters.
fn include<F: Float>(state: &mut State<F>, share: f64) {
    let values = Values { theta: &state.theta, buffers: &state.buffers };
    match &mut state.average {
        Some(average) => {
            towards(&mut average.theta, values.theta, share);
            towards(&mut average.buffers, values.buffers, share);
        }
        None => state.average = Some(Snapshot::of(values)),
    }
    state.counts.averaged += 1;
}

fn towards<F: Float>(average: &mut [F], values: &[F], share: f64) {
    let share = F::of(share);
    wide(
        #[inline(always)]
        || {
            for (average, &value) in average.iter_mut().zip(values) {
                *average += share * (value - *average);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sgd;

    fn averaged(averaging: Averaging) -> Vec<f64> {
        let mut state = State::new(vec![0.0], vec![0.0], &Sgd::new());
        let mut found = Vec::new();
        for epoch in 1..=4 {
            state.theta[0] = f64::from(epoch as u32) * 8.0;
            state.buffers[0] = -state.theta[0];
            averaging.after_step(&mut state);
            averaging.after_epoch(&mut state, epoch);
            let average = state.current();
            assert_eq!(average.theta[0], -average.buffers[0]);
            found.push(average.theta[0]);
        }
        found
    }

    #[test]
    fn an_exponential_average_starts_at_the_first_step() {
        // 8, 8 + (16 - 8)/4 = 10, 10 + 14/4 = 13.5, 13.5 + 18.5/4 = 18.125.
        assert_eq!(averaged(Averaging::Ema { decay: 0.75 }), [8.0, 10.0, 13.5, 18.125]);
    }

    #[test]
    fn a_mean_starts_at_its_epoch() {
        // The parameters themselves before; then 24, then (24 + 32)/2.
        assert_eq!(averaged(Averaging::Swa { from_epoch: 3 }), [8.0, 16.0, 24.0, 28.0]);
    }
}
