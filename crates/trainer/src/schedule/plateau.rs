//! A learning rate that falls when training no longer gets better.

use super::Schedule;

/// Times a factor after epochs that were not better: PyTorch's `ReduceLROnPlateau` with a relative threshold.
///
/// # Formula
/// With the monitored value `m` of an epoch, the best one `b`, the threshold `t` and, in the state, the share `s` of the
/// learning rate, 1 at first:
/// ```text
/// better:  m < b (1 - t)        (m > b (1 + t) where more is better): b <- m, no epoch is bad
/// else one more epoch is bad; in a cooldown none is
/// more than `patience` bad:     s <- max(s · factor, least), a cooldown begins, no epoch is bad
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    /// What the learning rate is multiplied by, less than 1.
    pub factor: f64,
    /// Bad epochs that are borne.
    pub patience: u64,
    /// The least relative improvement that counts.
    pub threshold: f64,
    /// Epochs after a fall in which none is bad.
    pub cooldown: u64,
    /// The least share of the learning rate.
    pub final_factor: f64,
}

/// Where a [`Plateau`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlateauState {
    /// The best value so far.
    pub best: Option<f64>,
    /// Bad epochs since the last better one, or the last fall.
    pub bad: u64,
    /// Epochs that the cooldown still lasts.
    pub cooldown: u64,
    /// The share of the learning rate.
    pub share: f64,
}

impl Default for PlateauState {
    fn default() -> Self {
        Self { best: None, bad: 0, cooldown: 0, share: 1.0 }
    }
}

impl Plateau {
    /// Takes the value of an epoch; one that is not defined is not better.
    pub fn observe(&self, state: &mut PlateauState, value: Option<f64>, larger_is_better: bool) {
        let better = |best: f64, value: f64| match larger_is_better {
            true => value > best * (1.0 + self.threshold),
            false => value < best * (1.0 - self.threshold),
        };
        match value {
            Some(value) if state.best.is_none_or(|best| better(best, value)) => {
                state.best = Some(value);
                state.bad = 0;
            }
            _ => state.bad += 1,
        }
        if state.cooldown > 0 {
            state.cooldown -= 1;
            state.bad = 0;
        }
        if state.bad > self.patience {
            state.share = (state.share * self.factor).max(self.final_factor);
            state.cooldown = self.cooldown;
            state.bad = 0;
        }
    }
}

/// The same learning rate always, but for its [`Plateau`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReduceOnPlateau {
    /// The learning rate at first.
    pub rate: f64,
    /// When it falls.
    pub plateau: Plateau,
}

impl Schedule for ReduceOnPlateau {
    fn rate(&self, _step: u64) -> f64 {
        self.rate
    }

    fn plateau(&self) -> Option<Plateau> {
        Some(self.plateau)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(plateau: Plateau, values: &[f64], larger_is_better: bool) -> Vec<f64> {
        let mut state = PlateauState::default();
        let share = |&value: &f64| {
            plateau.observe(&mut state, Some(value), larger_is_better);
            state.share
        };
        values.iter().map(share).collect()
    }

    const PLATEAU: Plateau =
        Plateau { factor: 0.5, patience: 1, threshold: 0.1, cooldown: 1, final_factor: 0.3 };

    #[test]
    fn falls_after_more_bad_epochs_than_are_borne() {
        // Better, bad, bad: falls; in the cooldown; bad, bad: falls to the least.
        let values = [1.0, 0.95, 0.92, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95];
        let expected = [1.0, 1.0, 0.5, 0.5, 0.5, 0.3, 0.3, 0.3, 0.3];
        assert_eq!(shares(PLATEAU, &values, false), expected);
    }

    #[test]
    fn waits_where_more_is_better() {
        assert_eq!(shares(PLATEAU, &[1.0, 1.2, 1.25, 1.4, 1.5], true), [1.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(shares(PLATEAU, &[1.0, 1.05, 1.05], true), [1.0, 1.0, 0.5]);
    }
}
