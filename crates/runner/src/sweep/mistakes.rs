//! What of `[sweep]` contradicts itself, as far as it can be seen without its trials.

use super::plan::{count, float};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{KeyPath, Node, Place};
use crate::spec::{Sweep, SweepScale, Vary};

/// The most trials of a sweep; their numbers have as many digits as fit.
const MOST: usize = 100_000;

/// What is no part of a trial, and why.
const FIXED: [(&str, &str); 5] = [
    ("extends", "files are merged before there are trials"),
    ("sweep", "a trial has no [sweep]"),
    ("name", "each trial has a name of its own, made of that of the sweep and its number"),
    ("runtime", "it changes no result"),
    ("checkpoint", "it says what is stored, and changes no result"),
];

/// A mistake of an entry of `vary`, at one of its keys.
struct Mistake {
    key: &'static str,
    message: String,
    help: Option<&'static str>,
}

impl Mistake {
    fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self { key, message: message.into(), help: None }
    }
}

/// The mistakes of a table that conforms to the schema.
pub(crate) fn mistakes(sweep: &Sweep, root: &Node) -> Diagnostics {
    let place = |path: &[&str]| root.at(path).map_or(Place::none(), |node| node.place);
    let mut found = Diagnostics::new();
    let paths: Vec<Option<KeyPath>> =
        sweep.vary().iter().map(|vary| KeyPath::parse(&vary.key).ok()).collect();
    for (index, vary) in sweep.vary().iter().enumerate() {
        let of_key = key_mistake(vary, index, &paths);
        let of_values = values_mistake(vary, matches!(sweep, Sweep::Grid(_)));
        for Mistake { key, message, help } in of_key.into_iter().chain(of_values) {
            let number = index.to_string();
            let entry = ["sweep", "vary", &number];
            // A key that is missing is missing in its entry.
            let at = [place(&[&entry[..], &[key]].concat()), place(&entry)];
            let at = at.into_iter().find(|place| !place.is_none()).unwrap_or(Place::none());
            let help = help.map(str::to_owned);
            found.push(Diagnostic::new(format!("sweep.vary[{index}]: {message}")).at(at).maybe_help(help));
        }
    }
    if count(sweep).is_none_or(|count| count > MOST) {
        let at = if matches!(sweep, Sweep::Grid(_)) { "vary" } else { "trials" };
        let message = format!("the sweep has more than {MOST} trials");
        found.push(Diagnostic::new(message).at(place(&["sweep", at])));
    }
    found
}

/// A key is one, is that of a trial, and is varied once.
fn key_mistake(vary: &Vary, index: usize, paths: &[Option<KeyPath>]) -> Option<Mistake> {
    let Some(path) = &paths[index] else {
        let reason = KeyPath::parse(&vary.key).err().unwrap_or_default();
        return Some(Mistake::new("key", format!("`{}` is no key: {reason}", vary.key)));
    };
    if let Some((_, reason)) = FIXED.iter().find(|(fixed, _)| path.first() == *fixed) {
        let message = format!("`{}` cannot be varied: {reason}", vary.key);
        return Some(Mistake { help: Some("remove the entry"), ..Mistake::new("key", message) });
    }
    let before = paths[..index].iter().flatten().enumerate();
    let (other, same) = before
        .filter(|(_, other)| path.is_within(other) || other.is_within(path))
        .map(|(number, other)| (number, path.is_within(other) && other.is_within(path)))
        .next()?;
    let message = match same {
        true => format!("`{}` is varied by sweep.vary[{other}] already", vary.key),
        false => format!("`{}` and the key of sweep.vary[{other}] are within each other", vary.key),
    };
    Some(Mistake { help: Some("vary every key once"), ..Mistake::new("key", message) })
}

/// There is one thing to take values from, and it has some.
fn values_mistake(vary: &Vary, grid: bool) -> Option<Mistake> {
    let mistake = |key, message: &str| Some(Mistake::new(key, message));
    match (&vary.values, &vary.range) {
        (Some(_), Some(_)) => mistake("range", "`values` and `range` exclude each other"),
        (None, None) => mistake("key", "give `values`, or a `range` to draw from"),
        (None, Some(_)) if grid => {
            mistake("range", "a grid takes `values`; a `range` is for `random` and `halving`")
        }
        (Some(_), None) if vary.scale == SweepScale::Log => {
            mistake("scale", "`scale` is of a `range`, and here are `values`")
        }
        (Some(_), None) => None,
        (None, Some(range)) if float(range[0]) >= float(range[1]) => {
            mistake("range", "a range goes from a number to a larger one")
        }
        (None, Some(range)) if vary.scale == SweepScale::Log && float(range[0]) <= 0.0 => {
            mistake("range", "with `scale = \"log\"` a range begins above 0")
        }
        (None, Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Sources, parse};

    /// The messages of a table, each after what stands at its place.
    fn found(table: &str) -> Vec<String> {
        let mut sources = Sources::new();
        let source = sources.add_file("a.toml".into(), format!("[sweep]\n{table}"));
        let (root, errors) = parse(&sources, source);
        assert!(errors.is_empty(), "{errors:?}");
        let sweep = Sweep::read(root.at(&["sweep"]).unwrap()).unwrap();
        let shown = |mistake: &Diagnostic| {
            let place = mistake.place.unwrap();
            format!("{} <- {}", &sources.text(source)[place.span()], mistake.message)
        };
        mistakes(&sweep, &root).iter().map(shown).collect()
    }

    fn grid(entries: &str) -> Vec<String> {
        found(&format!("type = \"grid\"\nvary = [{entries}]"))
    }

    fn random(entry: &str) -> Vec<String> {
        found(&format!("type = \"random\"\ntrials = 2\nvary = [{entry}]"))
    }

    #[test]
    fn contradictions_are_named_all_at_once() {
        let starts = |found: Vec<String>, start: &str| assert!(found[0].starts_with(start), "{found:?}");
        starts(grid("{ key = \"k\", range = [1, 2] }"), "[1, 2] <- sweep.vary[0]: a grid takes `values`");
        starts(random("{ key = \"k\", range = [2, 1] }"), "[2, 1] <- sweep.vary[0]: a range goes");
        let from_zero = random("{ key = \"k\", range = [0, 1], scale = \"log\" }");
        starts(from_zero, "[0, 1] <- sweep.vary[0]: with `scale = \"log\"`");
        let scaled = random("{ key = \"k\", values = [1], scale = \"log\" }");
        starts(scaled, "\"log\" <- sweep.vary[0]: `scale` is of a `range`");
        let both = random("{ key = \"k\", values = [1], range = [1, 2] }");
        starts(both, "[1, 2] <- sweep.vary[0]: `values` and `range` exclude each other");
        let two = grid("{ key = \"k\" }, { key = \"l\" }");
        assert_eq!(two.len(), 2, "{two:?}");
        starts(two, "\"k\" <- sweep.vary[0]: give `values`");
    }

    #[test]
    fn what_is_no_part_of_a_trial_is_not_varied() {
        for key in ["sweep.monitor", "runtime.threads", "checkpoint.keep_last", "name", "'name'", "extends"] {
            let found = grid(&format!("{{ key = \"{key}\", values = [1] }}"));
            let start = format!("\"{key}\" <- sweep.vary[0]: `{key}` cannot be varied: ");
            assert!(found.len() == 1 && found[0].starts_with(&start), "{found:?}");
        }
        let found = grid("{ key = \"a..b\", values = [1] }");
        assert_eq!(found, ["\"a..b\" <- sweep.vary[0]: `a..b` is no key: a key is missing here"]);
    }

    #[test]
    fn a_key_is_varied_once() {
        let two = |a: &str, b: &str| {
            grid(&format!("{{ key = \"{a}\", values = [1] }}, {{ key = \"{b}\", values = [2] }}"))
        };
        let twice = two("a.b", "'a'.b");
        assert_eq!(twice, ["\"'a'.b\" <- sweep.vary[1]: `'a'.b` is varied by sweep.vary[0] already"]);
        for found in [two("a.b", "a"), two("a", "a.b")] {
            assert!(found[0].contains("are within each other"), "{found:?}");
        }
        assert!(two("a.b", "a.c").is_empty());
    }

    #[test]
    fn more_trials_than_anybody_waits_for_are_refused() {
        let values = vec!["1"; 400].join(", ");
        let entry = |key: &str| format!("{{ key = \"{key}\", values = [{values}] }}");
        let many = grid(&format!("{}, {}", entry("a"), entry("b")));
        assert!(many[0].ends_with("the sweep has more than 100000 trials"), "{many:?}");
        let found = found("type = \"random\"\ntrials = 100001\nvary = [{ key = \"k\", values = [1] }]");
        assert_eq!(found, ["100001 <- the sweep has more than 100000 trials"]);
    }
}
