//! L-BFGS: Newton's step with a Hessian guessed from the last gradients.

use std::sync::LazyLock;

use chainrule_core::Float;

use super::{Group, Joint, Memory, Optimizer, Rates, Step};
use crate::Error;

/// How many pairs are remembered at most.
const MAX_HISTORY: usize = 100;

/// Vectors before those of the history: the last step and the gradient that it followed.
const LAST: usize = 2;

/// Numbers before the curvatures of the history: how many pairs there are, where the next goes, and the scale.
const COUNTS: usize = 3;

/// How many sums run side by side, so that a loop has no chain of additions: the order stays fixed.
const LANES: usize = 8;

/// `θ <- θ - η H g`, with `H` an estimate of the inverse Hessian: PyTorch's L-BFGS with one iteration a step,
/// without line search and with its tolerances at 0. All parameters that are trained are one vector.
///
/// # Update
/// With the gradient `g` of the loss over the whole training set, learning rate `η`, and of the last `h` steps the pairs
/// of a step `s` and the change `y` of the gradient along it (Nocedal, 1980; Liu & Nocedal, 1989):
/// ```text
/// first step:       d = -g,  t = η min(1, 1/|g|₁)
/// after, once:      s = the last step,  y = g - the last gradient
///                   if yᵀs > 1e-10:  remember (s, y, ρ = 1/yᵀs), forget the oldest of more than h;  γ = yᵀs / yᵀy
/// two loops:        q = -g
///                   newest to oldest:  αᵢ = ρᵢ sᵢᵀq,  q <- q - αᵢ yᵢ
///                   d = γ q
///                   oldest to newest:  d <- d + (αᵢ - ρᵢ yᵢᵀd) sᵢ
///                   t = η
/// move:             θ <- θ + t d, unless gᵀd > 0, which would lead uphill
/// ```
/// Why: of a quadratic loss `y = B s`, with `B` its Hessian. The two loops multiply by the `H` that BFGS makes of `γ I` by
/// one update a pair, `H <- (I - ρ s yᵀ) H (I - ρ y sᵀ) + ρ s sᵀ`, the symmetric matrix nearest to the one before that
/// maps this `y` to its `s`; the matrix itself is never formed. `yᵀs > 0` keeps it positive definite, so that `d` leads
/// downhill, and `γ`, a curvature along the last step, gives it its size. Only differences of gradients of the same
/// function mean anything, hence the whole training set in every step; dropout or noise make it another function each time,
/// and most pairs are not remembered then.
///
/// Sums over the parameters are f64, in an order that depends on nothing but their number. A layer's own rate scales
/// its part of `t d`; `s` is the step as it was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lbfgs {
    history: usize,
}

impl Lbfgs {
    /// L-BFGS that remembers 10 pairs.
    pub fn new() -> Self {
        Self { history: 10 }
    }

    /// With another number of pairs.
    ///
    /// # Errors
    /// [`Error::Optimizer`] unless it is from 1 to 100.
    pub fn with_history(self, history: usize) -> Result<Self, Error> {
        if (1..=MAX_HISTORY).contains(&history) {
            return Ok(Self { history });
        }
        Err(Error::Optimizer("the history must be of 1 to 100 steps"))
    }
}

impl Default for Lbfgs {
    fn default() -> Self {
        Self::new()
    }
}

/// The names of a full history and what is before it; a shorter one has the first of them.
static SLOTS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let pair = |index| [format!("step_{index}"), format!("gradient_change_{index}")];
    // They live as long as the program, which makes them once.
    let pairs = (0..MAX_HISTORY).flat_map(pair).map(|name| &*name.leak());
    ["last_step", "last_gradient"].into_iter().chain(pairs).collect()
});

static NUMBERS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let curvatures = (0..MAX_HISTORY).map(|index| &*format!("inverse_curvature_{index}").leak());
    ["pairs", "next", "scale"].into_iter().chain(curvatures).collect()
});

/// The pairs, by age.
#[derive(Clone, Copy)]
struct Ring {
    size: usize,
    pairs: usize,
    next: usize,
}

impl Ring {
    /// As the numbers of a memory say. They may come from a file that anybody wrote: whatever they are, every place is one
    /// of the history.
    fn of(numbers: &[f64], size: usize) -> Self {
        // Counts are small whole numbers, which f64 holds exactly; a cast ends at its limits.
        Self { size, pairs: (numbers[0] as usize).min(size), next: numbers[1] as usize % size }
    }

    /// The place of a pair, 0 the oldest.
    fn place(self, age: usize) -> usize {
        (self.next + self.size - self.pairs + age) % self.size
    }
}

impl Lbfgs {
    /// Takes the last step and what the gradient made of it into the history, if they say anything.
    fn remember<F: Float>(
        &self,
        groups: &[Group],
        gradient: &[F],
        memory: &mut Memory<F>,
        mut ring: Ring,
    ) -> Ring {
        let (last, history) = memory.slots.split_at_mut(LAST);
        let [step, before] = last else { unreachable!("two vectors before the history") };
        let change = |i: usize| (gradient[i] - before[i]).as_f64();
        let along = sum(groups, |i| change(i) * step[i].as_f64());
        // Nor does what is no number.
        if along.is_nan() || along <= 1e-10 {
            return ring;
        }
        memory.numbers[2] = along / sum(groups, |i| change(i) * change(i));
        memory.numbers[COUNTS + ring.next] = 1.0 / along;
        let [s, y] = &mut history[2 * ring.next..][..2] else { unreachable!("two vectors a pair") };
        for range in ranges(groups) {
            s[range.clone()].copy_from_slice(&step[range.clone()]);
            for i in range {
                y[i] = gradient[i] - before[i];
            }
        }
        ring.next = (ring.next + 1) % ring.size;
        ring.pairs = (ring.pairs + 1).min(ring.size);
        ring
    }

    /// Turns `d = -g` into the direction.
    fn turn<F: Float>(groups: &[Group], d: &mut [F], history: &[Vec<F>], numbers: &[f64], ring: Ring) {
        let pair = |age: usize| {
            let place = ring.place(age);
            (&history[2 * place][..], &history[2 * place + 1][..], numbers[COUNTS + place])
        };
        let mut alphas = [0.0; MAX_HISTORY];
        for age in (0..ring.pairs).rev() {
            let (s, y, rho) = pair(age);
            alphas[age] = rho * dot(groups, s, d);
            add(groups, d, -alphas[age], y);
        }
        let scale = F::of(numbers[2]);
        ranges(groups).for_each(|range| d[range].iter_mut().for_each(|d| *d *= scale));
        for (age, &alpha) in alphas[..ring.pairs].iter().enumerate() {
            let (s, y, rho) = pair(age);
            let beta = rho * dot(groups, y, d);
            add(groups, d, alpha - beta, s);
        }
    }
}

impl<F: Float> Joint<F> for Lbfgs {
    fn update(
        &self,
        groups: &[Group],
        (number, learning_rate): (u64, f64),
        (theta, gradient): (&mut [F], &[F]),
        memory: &mut Memory<F>,
    ) {
        let mut ring = Ring::of(&memory.numbers, self.history);
        let mut rate = learning_rate;
        if number == 1 {
            ring = Ring { size: self.history, pairs: 0, next: 0 };
            memory.numbers[2] = 1.0;
            rate *= (1.0 / sum(groups, |i| gradient[i].as_f64().abs())).min(1.0);
        } else {
            ring = self.remember(groups, gradient, memory, ring);
        }
        (memory.numbers[0], memory.numbers[1]) = (ring.pairs as f64, ring.next as f64);

        let (last, history) = memory.slots.split_at_mut(LAST);
        let [d, before] = last else { unreachable!("two vectors before the history") };
        for range in ranges(groups) {
            before[range.clone()].copy_from_slice(&gradient[range.clone()]);
            d[range.clone()].iter_mut().zip(&gradient[range]).for_each(|(d, &g)| *d = -g);
        }
        Self::turn(groups, d, history, &memory.numbers, ring);
        if dot(groups, gradient, d) > 0.0 {
            rate = 0.0;
        }
        for group in groups {
            let rate = F::of(rate * group.rate);
            let (theta, d) = (&mut theta[group.range.clone()], &mut d[group.range.clone()]);
            for (theta, d) in theta.iter_mut().zip(d) {
                *d *= rate;
                *theta += *d;
            }
        }
    }
}

impl<F: Float> Optimizer<F> for Lbfgs {
    fn slots(&self) -> &'static [&'static str] {
        &SLOTS[..LAST + 2 * self.history]
    }

    fn numbers(&self) -> &'static [&'static str] {
        &NUMBERS[..COUNTS + self.history]
    }

    fn rates(&self) -> Rates {
        Rates::ScaledByFirst
    }

    fn joint(&self) -> Option<&dyn Joint<F>> {
        Some(self)
    }

    fn update(&self, _step: Step<'_>, _theta: &mut [F], _gradient: &[F], _slots: &mut [&mut [F]]) {
        unreachable!("its steps are of all parameters together")
    }
}

fn ranges(groups: &[Group]) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    groups.iter().map(|group| group.range.clone())
}

/// The sum of a term over all parameters that are trained.
#[inline(always)]
fn sum(groups: &[Group], term: impl Fn(usize) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    for range in ranges(groups) {
        let whole = range.start + range.len() / LANES * LANES;
        for start in (range.start..whole).step_by(LANES) {
            for (lane, sum) in lanes.iter_mut().enumerate() {
                *sum += term(start + lane);
            }
        }
        lanes[0] += (whole..range.end).map(&term).sum::<f64>();
    }
    lanes.into_iter().sum()
}

fn dot<F: Float>(groups: &[Group], a: &[F], b: &[F]) -> f64 {
    sum(groups, |i| a[i].as_f64() * b[i].as_f64())
}

/// `to += factor from`.
fn add<F: Float>(groups: &[Group], to: &mut [F], factor: f64, from: &[F]) {
    let factor = F::of(factor);
    for range in ranges(groups) {
        to[range.clone()].iter_mut().zip(&from[range]).for_each(|(to, &from)| *to += factor * from);
    }
}

#[cfg(test)]
mod tests {
    use chainrule_core::Inline;

    use super::*;
    use crate::optimizer::update;

    /// `½ Σ aᵢ (θᵢ - 1)²` with curvatures from 1 to 100.
    const CURVATURES: [f64; 5] = [1.0, 3.0, 10.0, 40.0, 100.0];

    fn gradient(theta: &[f64]) -> Vec<f64> {
        theta.iter().zip(CURVATURES).map(|(theta, a)| a * (theta - 1.0)).collect()
    }

    /// Goes on from a state by the steps of these numbers.
    fn go(
        steps: std::ops::RangeInclusive<u64>,
        groups: &[Group],
        theta: &mut [f64],
        memory: &mut Memory<f64>,
    ) {
        for number in steps {
            let mut gradient = gradient(theta);
            update(&Inline, &Lbfgs::new(), groups, (number, 1.0), (theta, &mut gradient), memory);
        }
    }

    #[test]
    fn finds_the_minimum_of_a_bowl_that_descent_would_take_long_for() {
        let (mut theta, mut memory) = ([0.0; 5], Memory::new(&Lbfgs::new(), 5));
        go(1..=30, &[Group::new(0..5)], &mut theta, &mut memory);
        assert!(theta.iter().all(|theta| (theta - 1.0).abs() < 1e-6), "{theta:?}");
    }

    #[test]
    fn leaves_frozen_parameters_out() {
        let (mut theta, mut memory) = ([0.0; 5], Memory::new(&Lbfgs::new(), 5));
        go(1..=30, &[Group::new(0..2), Group::new(3..5)], &mut theta, &mut memory);
        assert_eq!(theta[2], 0.0);
        assert!([0, 1, 3, 4].iter().all(|&i| (theta[i] - 1.0).abs() < 1e-6), "{theta:?}");
    }

    #[test]
    fn the_first_step_is_no_longer_than_the_learning_rate() {
        let (mut theta, mut memory) = ([0.0; 5], Memory::new(&Lbfgs::new(), 5));
        go(1..=1, &[Group::new(0..5)], &mut theta, &mut memory);
        assert!((theta.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_minimum_is_not_left() {
        let (mut theta, mut memory) = ([1.0; 5], Memory::new(&Lbfgs::new(), 5));
        go(1..=3, &[Group::new(0..5)], &mut theta, &mut memory);
        assert_eq!(theta, [1.0; 5]);
    }

    #[test]
    fn a_history_of_nothing_is_refused() {
        assert!(Lbfgs::new().with_history(0).is_err() && Lbfgs::new().with_history(101).is_err());
        assert_eq!(Optimizer::<f64>::slots(&Lbfgs::new().with_history(1).unwrap()).len(), 4);
    }

    #[test]
    fn a_memory_of_any_numbers_is_none_to_fall_over() {
        let lbfgs = Lbfgs::new().with_history(3).unwrap();
        for wild in [f64::NAN, f64::INFINITY, -1.0, 3.0, 4.0, 1e300] {
            let mut memory = Memory::<f64>::new(&lbfgs, 2);
            memory.numbers.fill(wild);
            let (mut theta, gradient) = ([1.0, 2.0], [0.5, 0.25]);
            Joint::update(&lbfgs, &[Group::new(0..2)], (5, 0.1), (&mut theta, &gradient), &mut memory);
            Joint::update(&lbfgs, &[Group::new(0..2)], (6, 0.1), (&mut theta, &gradient), &mut memory);
            assert!(memory.numbers[0] <= 3.0 && memory.numbers[1] < 3.0, "{wild}: {:?}", memory.numbers);
        }
    }
}
