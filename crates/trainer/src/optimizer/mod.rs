//! Optimisers: from a gradient to new parameters, number by number.
//!
//! An optimiser knows no network. Its memory is a list of flat vectors as long as the parameters, lent like everything
//! else, so that checkpoints can store them without knowing what they mean.

use std::fmt;
use std::ops::Range;

use chainrule_core::{Float, Parameter, Role};

mod sgd;

pub use sgd::Sgd;

/// What one step applies to a range of parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The step over all epochs, counted from 1.
    pub number: u64,
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// Whether these parameters decay.
    pub decays: bool,
}

/// A rule that moves parameters against their gradient.
pub trait Optimizer<F: Float>: fmt::Debug + Send + Sync {
    /// The names of its flat vectors, each as long as the parameters and zero at first.
    fn slots(&self) -> &'static [&'static str];

    /// Moves the parameters in `range` by one step. All slices are whole vectors.
    fn update(&self, step: Step, range: Range<usize>, theta: &mut [F], gradient: &[F], slots: &mut [Vec<F>]);
}

/// Which parameters `weight_decay` shrinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecayOn {
    /// Every parameter, as PyTorch does.
    #[default]
    All,
    /// Weights only, no biases.
    Weights,
}

/// Parameters that a step treats alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) range: Range<usize>,
    pub(crate) decays: bool,
}

/// The longest runs of parameters that are treated alike.
pub(crate) fn groups(parameters: &[Parameter], decay_on: DecayOn) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut start = 0;
    for parameter in parameters {
        let end = start + parameter.shape.len();
        let decays = decay_on == DecayOn::All || parameter.role != Role::Bias;
        match groups.last_mut() {
            Some(last) if last.decays == decays => last.range.end = end,
            _ => groups.push(Group { range: start..end, decays }),
        }
        start = end;
    }
    groups
}
