//! Which values are tried: a function of the experiment and its seed alone.

use chainrule_core::random::{Purpose, Rng, generator};
use ndarray_rand::rand::Rng as _;
use toml::Value as Toml;

use crate::spec::{Number, Scalar, Sweep, SweepScale, Vary};

/// The most trials of a sweep.
const MOST: usize = 100_000;

/// A combination of values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trial {
    /// Its number, from 0.
    pub(crate) index: usize,
    /// As an argument of `--set` each.
    pub(crate) sets: Vec<String>,
    /// The values alone, in the order of the keys.
    pub(crate) values: Vec<String>,
}

/// A mistake in `[[sweep.vary]]`: of which entry, of which of its keys, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlanError {
    pub(crate) entry: usize,
    pub(crate) key: &'static str,
    pub(crate) message: String,
}

/// All trials of a sweep.
pub(crate) fn trials(sweep: &Sweep, seed: u64) -> Result<Vec<Trial>, PlanError> {
    let vary = sweep.vary();
    for (entry, one) in vary.iter().enumerate() {
        check(one, matches!(sweep, Sweep::Grid(_))).map_err(|(key, message)| PlanError {
            entry,
            key,
            message,
        })?;
    }
    let count = match sweep {
        Sweep::Grid(_) => {
            vary.iter().try_fold(1usize, |all, one| all.checked_mul(one.values.as_ref().map_or(1, Vec::len)))
        }
        Sweep::Random(spec) => Some(spec.trials),
        Sweep::Halving(spec) => Some(spec.trials),
    };
    let count = count.filter(|&count| count <= MOST).ok_or_else(|| PlanError {
        entry: 0,
        key: "key",
        message: format!("the sweep has more than {MOST} trials"),
    })?;
    let grid = matches!(sweep, Sweep::Grid(_));
    Ok((0..count).map(|index| trial(vary, index, if grid { None } else { Some(seed) })).collect())
}

/// Of a grid, without a seed, or drawn.
fn trial(vary: &[Vary], index: usize, seed: Option<u64>) -> Trial {
    // The last key changes fastest: it takes the lowest digit.
    let mut rest = index;
    let mut values: Vec<String> = Vec::with_capacity(vary.len());
    for (number, one) in vary.iter().enumerate().rev() {
        let scalar = match (seed, &one.values) {
            (None, Some(values)) => {
                let chosen = values[rest % values.len()].clone();
                rest /= values.len();
                chosen
            }
            (Some(seed), _) => draw(one, &mut generator(seed, Purpose::Sweep, index as u64, number as u64)),
            // A grid has values: `check`.
            (None, None) => Scalar::Boolean(false),
        };
        values.push(text(&scalar));
    }
    values.reverse();
    let sets = vary.iter().zip(&values).map(|(one, value)| format!("{}={value}", one.key)).collect();
    Trial { index, sets, values }
}

fn check(vary: &Vary, grid: bool) -> Result<(), (&'static str, String)> {
    match (&vary.values, &vary.range) {
        (Some(_), Some(_)) => Err(("range", "`values` and `range` exclude each other".into())),
        (None, None) => Err(("key", "give `values`, or a `range` to draw from".into())),
        (None, Some(_)) if grid => {
            Err(("range", "a grid takes `values`; a `range` is for `random` and `halving`".into()))
        }
        (Some(_), None) if vary.scale == SweepScale::Log => {
            Err(("scale", "`scale` is of a `range`, and here are `values`".into()))
        }
        (Some(_), None) => Ok(()),
        (None, Some(range)) => {
            let (low, high) = (float(range[0]), float(range[1]));
            if low >= high {
                return Err(("range", "a range goes from a number to a larger one".into()));
            }
            match vary.scale == SweepScale::Log && low <= 0.0 {
                true => Err(("range", "with `scale = \"log\"` a range begins above 0".into())),
                false => Ok(()),
            }
        }
    }
}

fn draw(vary: &Vary, rng: &mut Rng) -> Scalar {
    if let Some(values) = &vary.values {
        return values[rng.random_range(0..values.len())].clone();
    }
    let Some(&[low, high]) = vary.range.as_deref() else { return Scalar::Boolean(false) };
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
    if whole { Scalar::Integer(drawn as i64) } else { Scalar::Float(drawn) }
}

fn float(number: Number) -> f64 {
    match number {
        Number::Integer(number) => number as f64,
        Number::Float(number) => number,
    }
}

/// As TOML writes it.
fn text(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Boolean(value) => value.to_string(),
        Scalar::Integer(value) => value.to_string(),
        // With a point or an exponent, however large.
        Scalar::Float(value) => format!("{value:?}"),
        Scalar::Text(value) => Toml::String(value.clone()).to_string(),
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

    #[test]
    fn a_grid_has_every_combination_and_the_last_key_changes_fastest() {
        let grid =
            Sweep::Grid(GridSpec { vary: vec![vary("a", &[1, 2]), vary("b", &[3, 4, 5])], monitor: None });
        let sets: Vec<String> =
            trials(&grid, 0).unwrap().into_iter().map(|trial| trial.sets.join(" ")).collect();
        assert_eq!(sets, ["a=1 b=3", "a=1 b=4", "a=1 b=5", "a=2 b=3", "a=2 b=4", "a=2 b=5"]);
    }

    #[test]
    fn drawn_values_lie_in_their_range_and_depend_on_the_seed_alone() {
        let sweep = random(range(Number::Float(1e-4), Number::Float(1e-1), SweepScale::Log), 200);
        let values = |seed| -> Vec<f64> {
            trials(&sweep, seed).unwrap().iter().map(|trial| trial.values[0].parse().unwrap()).collect()
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
                trials(&sweep, 0).unwrap().into_iter().map(|mut trial| trial.values.remove(0)).collect();
            values.sort_unstable();
            values.dedup();
            assert_eq!(values, ["1", "2", "3", "4"]);
        }
    }

    #[test]
    fn contradictions_are_named() {
        let message = |vary: Vary, grid: bool| {
            let sweep = match grid {
                true => Sweep::Grid(GridSpec { vary: vec![vary], monitor: None }),
                false => random(vary, 1),
            };
            trials(&sweep, 0).unwrap_err().message
        };
        let (one, two) = (Number::Integer(1), Number::Integer(2));
        assert!(message(range(one, two, SweepScale::Linear), true).contains("a grid takes `values`"));
        assert!(message(range(two, one, SweepScale::Linear), false).contains("to a larger one"));
        assert!(message(range(Number::Integer(0), one, SweepScale::Log), false).contains("above 0"));
        let none = Vary { key: "k".into(), values: None, range: None, scale: SweepScale::Linear };
        assert!(message(none, false).contains("give `values`"));
        let both = Vary { range: Some(vec![one, two]), ..vary("k", &[1]) };
        assert!(message(both, false).contains("exclude each other"));
        let many = vary("k", &[0; 400]);
        let sweep = Sweep::Grid(GridSpec { vary: vec![many.clone(), many], monitor: None });
        assert!(trials(&sweep, 0).unwrap_err().message.contains("more than 100000 trials"));
    }
}
