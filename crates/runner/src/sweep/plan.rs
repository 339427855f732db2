//! Which values are tried: a function of the experiment and its seed alone.

use chainrule_core::random::{Purpose, Rng, generator};
use ndarray_rand::rand::Rng as _;
use toml::Value as Toml;

use crate::document::Value;
use crate::spec::{Number, Scalar, Sweep, SweepScale, Vary};

/// A combination of values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trial {
    /// Its number, from 0.
    pub(crate) index: usize,
    /// A value for each key.
    pub(crate) choices: Vec<Choice>,
}

/// A value of a key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    value: Scalar,
    /// Which of the `values` it is; none, if it was drawn from the `range`.
    pub(crate) item: Option<usize>,
}

impl Choice {
    #[cfg(test)]
    pub(super) fn of(value: Scalar) -> Self {
        Self { value, item: None }
    }

    /// As it stands in a document.
    pub(crate) fn value(&self) -> Value {
        match &self.value {
            Scalar::Boolean(value) => Value::Boolean(*value),
            Scalar::Integer(value) => Value::Integer(*value),
            Scalar::Float(value) => Value::Float(*value),
            Scalar::Text(value) => Value::String(value.clone()),
        }
    }

    /// As TOML writes it.
    pub(crate) fn text(&self) -> String {
        match &self.value {
            Scalar::Boolean(value) => value.to_string(),
            Scalar::Integer(value) => value.to_string(),
            // With a point or an exponent, however large.
            Scalar::Float(value) => format!("{value:?}"),
            Scalar::Text(value) => Toml::String(value.clone()).to_string(),
        }
    }
}

/// All trials of a sweep without mistakes.
pub(crate) fn trials(sweep: &Sweep, seed: u64) -> Vec<Trial> {
    let vary = sweep.vary();
    let seed = if matches!(sweep, Sweep::Grid(_)) { None } else { Some(seed) };
    (0..count(sweep).unwrap_or(0)).map(|index| trial(vary, index, seed)).collect()
}

/// How many trials a sweep has; none, if they cannot be counted.
pub(super) fn count(sweep: &Sweep) -> Option<usize> {
    let values = |vary: &Vary| vary.values.as_ref().map_or(1, Vec::len);
    match sweep {
        Sweep::Grid(spec) => spec.vary.iter().try_fold(1usize, |all, vary| all.checked_mul(values(vary))),
        Sweep::Random(spec) => Some(spec.trials),
        Sweep::Halving(spec) => Some(spec.trials),
    }
}

/// Of a grid, without a seed, or drawn.
fn trial(vary: &[Vary], index: usize, seed: Option<u64>) -> Trial {
    // The last key changes fastest: it takes the lowest digit.
    let mut rest = index;
    let mut choices: Vec<Choice> = Vec::with_capacity(vary.len());
    for (number, one) in vary.iter().enumerate().rev() {
        choices.push(match (seed, &one.values) {
            (None, Some(values)) => {
                let item = rest % values.len();
                rest /= values.len();
                Choice { value: values[item].clone(), item: Some(item) }
            }
            (Some(seed), _) => draw(one, &mut generator(seed, Purpose::Sweep, index as u64, number as u64)),
            // A grid has values: `mistakes`.
            (None, None) => NOTHING,
        });
    }
    choices.reverse();
    Trial { index, choices }
}

/// In the place of a value that a sweep without mistakes has.
const NOTHING: Choice = Choice { value: Scalar::Boolean(false), item: None };

fn draw(vary: &Vary, rng: &mut Rng) -> Choice {
    if let Some(values) = &vary.values {
        let item = rng.random_range(0..values.len());
        return Choice { value: values[item].clone(), item: Some(item) };
    }
    let Some(&[low, high]) = vary.range.as_deref() else { return NOTHING };
    let whole = matches!((low, high), (Number::Integer(_), Number::Integer(_)));
    let (low, high) = (float(low), float(high));
    let share: f64 = rng.random();
    // Whole numbers have half of one more at each end, so that the ends are as likely as the others.
    let margin = if whole { 0.5 } else { 0.0 };
    let drawn = match vary.scale {
        SweepScale::Linear => low - margin + share * (high - low + 2.0 * margin),
        SweepScale::Log => {
            ((low - margin).max(low / 2.0).ln() * (1.0 - share) + (high + margin).ln() * share).exp()
        }
    };
    let drawn = if whole { drawn.round() } else { drawn }.clamp(low, high);
    let value = if whole { Scalar::Integer(drawn as i64) } else { Scalar::Float(drawn) };
    Choice { value, item: None }
}

pub(super) fn float(number: Number) -> f64 {
    match number {
        Number::Integer(number) => number as f64,
        Number::Float(number) => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{GridSpec, RandomSpec};

    fn vary(key: &str, values: &[i64]) -> Vary {
        let values = values.iter().map(|&value| Scalar::Integer(value)).collect();
        Vary { key: key.into(), values: Some(values), range: None, scale: SweepScale::Linear }
    }

    fn range(low: Number, high: Number, scale: SweepScale) -> Vary {
        Vary { key: "r".into(), values: None, range: Some(vec![low, high]), scale }
    }

    fn random(vary: Vary, trials: usize) -> Sweep {
        Sweep::Random(RandomSpec { vary: vec![vary], trials, monitor: None })
    }

    fn texts(trial: &Trial) -> Vec<String> {
        trial.choices.iter().map(Choice::text).collect()
    }

    #[test]
    fn a_grid_has_every_combination_and_the_last_key_changes_fastest() {
        let grid =
            Sweep::Grid(GridSpec { vary: vec![vary("a", &[1, 2]), vary("b", &[3, 4, 5])], monitor: None });
        let found: Vec<String> = trials(&grid, 0).iter().map(|trial| texts(trial).join(" ")).collect();
        assert_eq!(found, ["1 3", "1 4", "1 5", "2 3", "2 4", "2 5"]);
        assert_eq!(trials(&grid, 0)[4].choices[1].item, Some(1));
    }

    #[test]
    fn drawn_values_lie_in_their_range_and_depend_on_the_seed_alone() {
        let sweep = random(range(Number::Float(1e-4), Number::Float(1e-1), SweepScale::Log), 200);
        let values = |seed| -> Vec<f64> {
            trials(&sweep, seed).iter().map(|trial| texts(trial)[0].parse().unwrap()).collect()
        };
        let found = values(3);
        assert_eq!(found, values(3));
        assert_ne!(found, values(4));
        assert!(found.iter().all(|value| (1e-4..=1e-1).contains(value)));
        let below = |limit: f64| found.iter().filter(|&&value| value < limit).count();
        // A third in each of the three orders of magnitude.
        assert!((40..95).contains(&below(1e-3)) && (105..160).contains(&below(1e-2)), "{}", below(1e-3));
    }

    #[test]
    fn whole_numbers_stay_whole_and_reach_both_ends() {
        for scale in [SweepScale::Linear, SweepScale::Log] {
            let sweep = random(range(Number::Integer(1), Number::Integer(4), scale), 200);
            let mut values: Vec<String> =
                trials(&sweep, 0).iter().map(|trial| texts(trial).remove(0)).collect();
            values.sort_unstable();
            values.dedup();
            assert_eq!(values, ["1", "2", "3", "4"]);
        }
    }
}
