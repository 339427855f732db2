//! When the state of a run is stored. How and where is for others to know.

use std::error::Error;

use crate::State;

/// How often a run stores its state; at its end and when it is interrupted it does in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// After so many epochs, at least 1.
    Epochs(u64),
    /// After so many steps, at least 1: within an epoch too.
    Steps(u64),
}

/// Stores the states of a run.
pub trait Checkpoints<F> {
    /// Stores the state that the run is to go on from.
    ///
    /// # Errors
    /// Any error ends the run.
    fn save(&mut self, state: &State<F>) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// Stores the best state so far.
    ///
    /// # Errors
    /// Any error ends the run.
    fn save_best(&mut self, state: &State<F>) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// Stores nothing.
#[derive(Clone, Copy, Debug)]
pub struct Forget;

impl<F> Checkpoints<F> for Forget {
    fn save(&mut self, _state: &State<F>) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }

    fn save_best(&mut self, _state: &State<F>) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}
