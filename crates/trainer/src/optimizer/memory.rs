//! What an optimiser remembers from one step to the next.

use chainrule_core::Float;

use super::Optimizer;

/// The memory of an optimiser, lent to it step by step. Whoever stores it need not know what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory<F> {
    /// The vectors that [`Optimizer::slots`] names, each as long as the parameters.
    pub slots: Vec<Vec<F>>,
    /// The single numbers that [`Optimizer::numbers`] names.
    pub numbers: Vec<f64>,
}

impl<F: Float> Memory<F> {
    /// What `optimizer` remembers of so many parameters before the first step.
    pub fn new(optimizer: &dyn Optimizer<F>, parameters: usize) -> Self {
        let zeros = |_: &&str| vec![F::zero(); parameters];
        let numbers = vec![0.0; optimizer.numbers().len()];
        Self { slots: optimizer.slots().iter().map(zeros).collect(), numbers }
    }
}
