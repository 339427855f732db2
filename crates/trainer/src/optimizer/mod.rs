//! Optimisers: from a gradient to new parameters, number by number, or of all together ([`Joint`]).
//!
//! An optimiser knows no network. Its memory is a list of flat vectors as long as the parameters and some single numbers,
//! lent like everything else, so that checkpoints can store them without knowing what they mean.

use std::fmt;
use std::ops::Range;

use chainrule_core::{Float, Parameter, Role};

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod amsgrad;
mod clip;
mod l1;
mod lbfgs;
mod lion;
mod max_norm;
mod memory;
mod moments;
mod nadam;
mod rmsprop;
mod rprop;
mod sgd;
mod update;

pub use adadelta::Adadelta;
pub use adagrad::Adagrad;
pub use adam::Adam;
pub use adamax::Adamax;
pub use amsgrad::AmsGrad;
pub use clip::Clip;
pub use l1::l1;
pub use lbfgs::Lbfgs;
pub use lion::Lion;
pub use max_norm::MaxNorm;
pub use memory::Memory;
pub use moments::Moments;
pub use nadam::Nadam;
pub use rmsprop::RmsProp;
pub use rprop::Rprop;
pub use sgd::Sgd;
pub use update::update;
pub(crate) use update::update_groups;

/// What one step applies to a range of parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step<'a> {
    /// The step over all epochs, counted from 1.
    pub number: u64,
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// Whether these parameters decay.
    pub decays: bool,
    /// Their weight decay, in place of the optimiser's.
    pub weight_decay: Option<f64>,
    /// The single numbers that the optimiser remembers, as [`Optimizer::begin`] left them.
    pub numbers: &'a [f64],
}

impl Step<'_> {
    /// Whether it is the first: then the memory is zero, and what is to start otherwise is set now, when the learning
    /// rate is known.
    pub fn is_first(&self) -> bool {
        self.number == 1
    }

    /// The weight decay of these parameters, if an optimiser's is `own`.
    pub fn weight_decay(&self, own: f64) -> f64 {
        if self.decays { self.weight_decay.unwrap_or(own) } else { 0.0 }
    }
}

/// A rule that moves parameters against their gradient.
pub trait Optimizer<F: Float>: fmt::Debug + Send + Sync {
    /// The names of its flat vectors, each as long as the parameters and zero at first; at most [`MAX_SLOTS`], unless its
    /// steps are [`joint`](Self::joint).
    fn slots(&self) -> &'static [&'static str];

    /// The names of its single numbers, each zero at first.
    fn numbers(&self) -> &'static [&'static str] {
        &[]
    }

    /// Brings the single numbers to step `number`, before any parameter is moved by it.
    fn begin(&self, _number: u64, _numbers: &mut [f64]) {}

    /// Which learning rates it reads.
    fn rates(&self) -> Rates {
        Rates::Every
    }

    /// If a step looks at all parameters together, what makes it; then neither [`begin`](Self::begin) nor
    /// [`update`](Self::update) is called, and every step must be of the whole training set.
    fn joint(&self) -> Option<&dyn Joint<F>> {
        None
    }

    /// Moves some parameters by one step, each by its own gradient and memory. All slices are as long as `theta`.
    fn update(&self, step: Step<'_>, theta: &mut [F], gradient: &[F], slots: &mut [&mut [F]]);
}

/// Which learning rates of a schedule an optimiser reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rates {
    /// That of every step.
    Every,
    /// That of the first step only: what comes after, it finds out itself.
    First,
    /// That of every step; the first also gives the scale of those that follow, and must not be 0.
    ScaledByFirst,
}

/// A rule whose step is a function of all parameters that are trained, which cannot be made in pieces.
pub trait Joint<F: Float> {
    /// Moves the parameters of every group by step `number` at a learning rate; those in no group are frozen.
    /// `moved` is `theta` and the gradient, of one length.
    ///
    /// # Panics
    /// If a group reaches beyond them, or the memory is of another optimiser.
    fn update(&self, groups: &[Group], step: (u64, f64), moved: (&mut [F], &[F]), memory: &mut Memory<F>);
}

/// The most vectors that an optimiser remembers of parameters that are moved one by one.
pub const MAX_SLOTS: usize = 4;

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
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Their numbers in the flat vector.
    pub range: Range<usize>,
    /// Whether they decay.
    pub decays: bool,
    /// The factor of their learning rate.
    pub rate: f64,
    /// Their weight decay, in place of the optimiser's.
    pub weight_decay: Option<f64>,
}

impl Group {
    /// Parameters that are trained by the optimiser's own settings.
    pub fn new(range: Range<usize>) -> Self {
        Self { range, decays: true, rate: 1.0, weight_decay: None }
    }

    /// Whether `other` comes right after and is trained alike.
    fn is_followed_by(&self, other: &Self) -> bool {
        self.range.end == other.range.start
            && (self.decays, self.rate, self.weight_decay) == (other.decays, other.rate, other.weight_decay)
    }

    /// What a step applies to them.
    pub fn step<'a>(&self, number: u64, learning_rate: f64, numbers: &'a [f64]) -> Step<'a> {
        let Self { decays, weight_decay, .. } = *self;
        Step { number, learning_rate: learning_rate * self.rate, decays, weight_decay, numbers }
    }
}

/// 1, -1, or 0 of zero and of what is no number.
#[inline(always)]
fn sign<F: Float>(number: F) -> F {
    let (zero, one) = (F::zero(), F::one());
    if number > zero {
        one
    } else if number < zero {
        -one
    } else {
        zero
    }
}

/// How some layers are trained otherwise than the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// The layers, by the part of their tensors' names before the last `.` or an earlier one: `block.inner`, `block`.
    pub layers: Vec<String>,
    /// A factor of their learning rate.
    pub rate: f64,
    /// Their weight decay, in place of the optimiser's.
    pub weight_decay: Option<f64>,
}

impl Tuning {
    /// Whether a tensor of this name is one of these layers'.
    pub fn has(&self, tensor: &str) -> bool {
        let is_of =
            |layer: &String| tensor.strip_prefix(layer.as_str()).is_some_and(|rest| rest.starts_with('.'));
        self.layers.iter().any(is_of)
    }
}

/// The longest runs of parameters that are trained alike; those that are frozen are in none. Of several tunings of a
/// tensor the first counts.
pub fn groups(parameters: &[Parameter], decay_on: DecayOn, tunings: &[Tuning]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut start = 0;
    for parameter in parameters {
        let range = start..start + parameter.shape.len();
        start = range.end;
        if !parameter.trainable {
            continue;
        }
        let tuning = tunings.iter().find(|tuning| tuning.has(&parameter.name));
        let new = Group {
            range,
            decays: decay_on == DecayOn::All || parameter.role == Role::Weight,
            rate: parameter.rate * tuning.map_or(1.0, |tuning| tuning.rate),
            weight_decay: tuning.and_then(|tuning| tuning.weight_decay),
        };
        match groups.last_mut() {
            Some(last) if last.is_followed_by(&new) => last.range.end = new.range.end,
            _ => groups.push(new),
        }
    }
    groups
}

#[cfg(test)]
mod check {
    use chainrule_core::Inline;

    use super::{Group, Memory, Optimizer, update};

    /// Where `steps` of 0.1 lead on the bowl `L = θ²/2`, whose gradient is `θ`, from 1.
    pub(super) fn descend(optimizer: &dyn Optimizer<f64>, steps: u64) -> f64 {
        follow(optimizer, steps, |theta| theta)
    }

    /// Where `steps` of 0.1 lead from 1 with the gradient that a function of the parameter gives.
    pub(super) fn follow(optimizer: &dyn Optimizer<f64>, steps: u64, slope: impl Fn(f64) -> f64) -> f64 {
        let mut theta = [1.0];
        let mut memory = Memory::new(optimizer, 1);
        let groups = [Group::new(0..1)];
        for number in 1..=steps {
            let gradient = theta.map(&slope);
            update(&Inline, optimizer, &groups, (number, 0.1), (&mut theta, &gradient), &mut memory);
        }
        theta[0]
    }
}

#[cfg(test)]
mod tests {
    use chainrule_core::{Fans, Initializer, Shape};

    use super::*;

    fn parameter(len: usize, role: Role, trainable: bool, rate: f64) -> Parameter {
        let (shape, fans) = (Shape::vector(len).unwrap(), Fans { fan_in: 1, fan_out: 1 });
        Parameter { trainable, rate, ..Parameter::new("p", shape, role, Initializer::Zeros, fans) }
    }

    #[test]
    fn leaves_out_what_is_frozen_and_joins_what_is_alike() {
        let parameters = [
            parameter(3, Role::Weight, true, 1.0),
            parameter(2, Role::Bias, true, 1.0),
            parameter(4, Role::Weight, false, 1.0),
            parameter(1, Role::Weight, true, 1.0),
            parameter(1, Role::Weight, true, 0.5),
        ];
        let found = |decay_on| -> Vec<(Range<usize>, bool, f64)> {
            let all = groups(&parameters, decay_on, &[]).into_iter();
            all.map(|group| (group.range, group.decays, group.rate)).collect()
        };
        assert_eq!(found(DecayOn::All), [(0..5, true, 1.0), (9..10, true, 1.0), (10..11, true, 0.5)]);
        let weights = found(DecayOn::Weights);
        assert_eq!(weights[..2], [(0..3, true, 1.0), (3..5, false, 1.0)]);
        assert_eq!(weights.len(), 4);
    }

    #[test]
    fn tunes_the_layers_that_are_named_with_those_within() {
        let named = |name: &str| Parameter { name: name.into(), ..parameter(2, Role::Weight, true, 0.5) };
        let names = ["block.inner.weight", "block.weight", "blocks.weight", "head.weight"];
        let tuning = |layers: &[&str], rate, weight_decay| Tuning {
            layers: layers.iter().map(|&layer| layer.into()).collect(),
            rate,
            weight_decay,
        };
        let tunings = [tuning(&["block"], 4.0, None), tuning(&["head"], 1.0, Some(0.25))];
        let found = groups(&names.map(named), DecayOn::All, &tunings);
        let expected = [(0..4, 2.0, None), (4..6, 0.5, None), (6..8, 0.5, Some(0.25))];
        assert_eq!(found.len(), expected.len());
        for (group, (range, rate, weight_decay)) in found.iter().zip(expected) {
            assert_eq!(*group, Group { range, decays: true, rate, weight_decay });
        }
        assert_eq!(found[2].step(1, 1.0, &[]).weight_decay(0.5), 0.25);
        assert_eq!(found[1].step(1, 1.0, &[]).weight_decay(0.5), 0.5);
    }
}
