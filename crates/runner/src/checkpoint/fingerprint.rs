//! What a checkpoint remembers of the experiment and the data that it belongs to.

use std::collections::BTreeMap;

use chainrule_core::{Float, TargetData};
use chainrule_trainer::Dataset;

use crate::document::{Node, Table, Value};

/// Keys that change no result, and so may change between a run and its continuation.
const FREE: [&str; 2] = ["runtime", "checkpoint"];

/// Hexadecimal digits of a key's digest: enough that two values of one key never share it.
const DIGITS: usize = 16;

/// A digest of every key of a resolved experiment, by its path.
pub(crate) type Fingerprint = BTreeMap<String, String>;

/// The digests of an experiment.
pub(crate) fn fingerprint(resolved: &Node) -> Fingerprint {
    let mut found = Fingerprint::new();
    for entry in resolved.as_table().into_iter().flat_map(Table::iter) {
        if !FREE.contains(&entry.key.as_str()) {
            collect(&entry.key, &entry.node, &mut found);
        }
    }
    found
}

/// The paths of keys that differ, in order.
pub(crate) fn changed(before: &Fingerprint, now: &Fingerprint) -> Vec<String> {
    let differs = |path: &&String| before.get(*path) != now.get(*path);
    let mut paths: Vec<&String> = before.keys().chain(now.keys()).filter(differs).collect();
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter().cloned().collect()
}

/// Tables, and lists of tables, are entered; every other value is hashed as a whole.
fn collect(path: &str, node: &Node, found: &mut Fingerprint) {
    match &node.value {
        Value::Table(table) => {
            for entry in table.iter() {
                collect(&format!("{path}.{}", entry.key), &entry.node, found);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.as_table().is_some()) => {
            for (index, item) in items.iter().enumerate() {
                collect(&format!("{path}.{index}"), item, found);
            }
        }
        _ => {
            let mut hasher = blake3::Hasher::new();
            hash(node, &mut hasher);
            found.insert(path.to_owned(), hasher.finalize().to_hex()[..DIGITS].to_owned());
        }
    }
}

/// A letter for the kind, then the value, so that no two values give the same bytes.
fn hash(node: &Node, hasher: &mut blake3::Hasher) {
    let mut text = |kind: &[u8], text: &str| {
        hasher.update(kind).update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    };
    match &node.value {
        Value::String(value) => text(b"s", value),
        Value::Datetime(value) => text(b"d", value),
        // A whole number and the same number with a point are one value to every key that takes numbers.
        Value::Integer(value) => text(b"n", &value.to_string()),
        Value::Float(value) => text(b"n", &value.to_string()),
        Value::Boolean(value) => text(b"b", if *value { "true" } else { "false" }),
        Value::Array(items) => {
            hasher.update(b"a").update(&(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| hash(item, hasher));
        }
        Value::Table(table) => {
            hasher.update(b"t").update(&(table.iter().count() as u64).to_le_bytes());
            for entry in table.iter() {
                hasher.update(&(entry.key.len() as u64).to_le_bytes()).update(entry.key.as_bytes());
                hash(&entry.node, hasher);
            }
        }
    }
}

/// A digest of all samples of the parts of the data, as the network takes them.
pub(crate) fn data_digest<'a, F: Float>(
    parts: impl Iterator<Item = (&'static str, &'a Dataset<F>)>,
) -> String {
    /// Numbers that are turned into bytes at a time.
    const CHUNK: usize = 1 << 16;
    let mut hasher = blake3::Hasher::new();
    let mut bytes = Vec::new();
    let mut numbers = |hasher: &mut blake3::Hasher, numbers: &[F]| {
        hasher.update(&(numbers.len() as u64).to_le_bytes());
        for chunk in numbers.chunks(CHUNK) {
            bytes.clear();
            F::append_le_bytes(chunk, &mut bytes);
            hasher.update(&bytes);
        }
    };
    for (name, part) in parts {
        hasher.update(name.as_bytes()).update(&(part.len() as u64).to_le_bytes());
        numbers(&mut hasher, part.batch(0..part.len()).0.data());
        for targets in part.targets() {
            match targets {
                TargetData::Values { data, .. } => numbers(&mut hasher, data),
                TargetData::Classes { data, .. } => {
                    for class in data {
                        hasher.update(&class.to_le_bytes());
                    }
                }
            }
        }
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Sources, parse};

    fn of(text: &str) -> Fingerprint {
        let mut sources = Sources::new();
        let source = sources.add_argument(text.into());
        let (root, mistakes) = parse(&sources, source);
        assert!(mistakes.is_empty());
        fingerprint(&root)
    }

    #[test]
    fn names_the_keys_that_differ() {
        let before = of("seed = 1\n[train]\nepochs = 5\n[model]\nlayers = [{ units = 2 }, { units = 1 }]\n");
        let now = of(
            "seed = 1\n[train]\nepochs = 6\n[model]\nlayers = [{ units = 2 }, { units = 3 }]\n[metrics]\nreport = []\n",
        );
        assert_eq!(changed(&before, &now), ["metrics.report", "model.layers.1.units", "train.epochs"]);
        assert!(changed(&before, &before).is_empty());
    }

    #[test]
    fn what_changes_no_result_may_change() {
        let before = of("seed = 1\n[runtime]\nthreads = 1\n");
        assert_eq!(before, of("seed = 1\n[runtime]\nthreads = 4\n[checkpoint]\nevery_steps = 3\n"));
    }

    #[test]
    fn values_of_different_kinds_differ() {
        let fingerprints =
            [of("a = \"1\""), of("a = 1"), of("a = [1]"), of("a = true"), of("a = [[1], [1]]")];
        for (index, one) in fingerprints.iter().enumerate() {
            assert!(fingerprints[..index].iter().all(|other| other != one));
        }
        assert_eq!(of("a = 1.0"), of("a = 1"));
    }
}
