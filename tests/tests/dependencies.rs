//! What other people's code may be, as `deny.toml` says it for cargo-deny: licences, versions, sources. Checked here too
//! and without a network, as not every machine has cargo-deny.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;
use toml::{Table, Value};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The workspace, and the fuzzer's own.
const LOCKS: [&str; 2] = ["Cargo.lock", "fuzz/Cargo.lock"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(name: &str) -> Table {
    let path = root().join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The texts at `path` of `deny.toml`, or at `key` of the tables there.
fn denied(path: [&str; 2], key: Option<&str>) -> BTreeSet<String> {
    let deny = read("deny.toml");
    let text = |value: &Value| key.map_or(value, |key| &value[key]).as_str().expect("a text").to_owned();
    deny[path[0]][path[1]].as_array().expect("a list").iter().map(text).collect()
}

/// Name, version and source of every package of a lock file.
fn packages(lock: &str) -> Vec<(String, String, Option<String>)> {
    let text = |package: &Value, key: &str| package.get(key).and_then(Value::as_str).map(str::to_owned);
    let package = |package: &Value| {
        let (name, version) = (text(package, "name"), text(package, "version"));
        (name.expect("a name"), version.expect("a version"), text(package, "source"))
    };
    read(lock)["package"].as_array().expect("a list").iter().map(package).collect()
}

#[test]
fn all_code_of_others_is_from_crates_io() {
    for lock in LOCKS {
        for (name, version, source) in packages(lock) {
            assert!(
                source.as_deref().is_none_or(|source| source == CRATES_IO),
                "{name} {version}: {source:?}"
            );
        }
    }
    let allowed = denied(["sources", "allow-registry"], None);
    assert_eq!(allowed.iter().map(String::as_str).collect::<Vec<_>>(), [&CRATES_IO["registry+".len()..]]);
}

#[test]
fn no_crate_has_two_versions_without_a_reason() {
    let skipped = denied(["bans", "skip"], Some("crate"));
    assert_eq!(denied(["bans", "skip"], Some("reason")).iter().find(|reason| reason.is_empty()), None);
    let mut needed = BTreeSet::new();
    for lock in LOCKS {
        let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, version, _) in packages(lock) {
            versions.entry(name).or_default().push(version);
        }
        for (name, versions) in versions.into_iter().filter(|(_, versions)| versions.len() > 1) {
            let of_name = versions.into_iter().map(|version| format!("{name}@{version}"));
            let (old, others): (Vec<_>, Vec<_>) = of_name.partition(|version| skipped.contains(version));
            assert!(others.len() <= 1, "{lock}: {others:?}, see `skip` in deny.toml");
            needed.extend(old);
        }
    }
    assert_eq!(skipped, needed, "deny.toml skips what there is no second version of");
}

/// Whether a licence as SPDX writes it, with `/` for OR as older crates do, leaves a choice of allowed ones only.
fn is_allowed(licence: &str, allowed: &BTreeSet<String>) -> bool {
    let licence = licence.replace('/', " OR ");
    let all = |choice: &str| choice.split(" AND ").all(|one| allowed.contains(one.trim()));
    // One pair of parentheses, as in `(MIT OR Apache-2.0) AND Unicode-3.0`; others are refused until someone looks.
    match licence.strip_prefix('(').and_then(|rest| rest.split_once(") AND ")) {
        Some((choices, rest)) => choices.split(" OR ").any(all) && all(rest),
        None => licence.split(" OR ").any(all),
    }
}

#[test]
fn every_licence_asks_for_a_notice_only() {
    let allowed = denied(["licenses", "allow"], None);
    let host = env!("CARGO_MANIFEST_DIR");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Of this platform: what others need has not been downloaded.
    let target = Command::new("rustc").arg("-vV").output().expect("rustc").stdout;
    let target = String::from_utf8(target).expect("UTF-8");
    let target = target.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let output = Command::new(cargo)
        .args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", target])
        .current_dir(host)
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    assert!(packages.len() > 100, "{}", packages.len());
    for package in packages {
        let licence = package["license"].as_str().unwrap_or_else(|| panic!("{} has none", package["name"]));
        assert!(is_allowed(licence, &allowed), "{}: {licence}", package["name"]);
    }
}

#[test]
fn a_licence_that_leaves_no_choice_is_refused() {
    let allowed = ["MIT", "Zlib"].map(String::from).into();
    for licence in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(GPL-3.0 OR MIT) AND Zlib", "MIT AND Zlib"] {
        assert!(is_allowed(licence, &allowed), "{licence}");
    }
    for licence in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Zlib) AND GPL-3.0", "MIT-0", ""] {
        assert!(!is_allowed(licence, &allowed), "{licence}");
    }
}

/// Every line of a folder's Rust files, with the path.
fn lines(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).expect("a folder to read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            lines(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            found.extend(text.lines().map(|line| (path.clone(), line.to_owned())));
        }
    }
}

#[test]
fn the_program_has_one_place_of_unsafe_code_starts_no_program_and_knows_no_network() {
    let mut found = Vec::new();
    lines(&root().join("crates"), &mut found);
    assert!(found.len() > 10_000, "{}", found.len());
    let is_allowed = |path: &Path| path.ends_with("crates/trainer/src/huge_pages.rs");
    let (allowing, found): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(path, line)| is_allowed(path) && line.contains("allow(unsafe_code)"));
    assert_eq!(allowing.len(), 1);
    let forbidden = ["allow(unsafe_code)", "process::Command", "std::net", "libloading", "UnixStream"];
    for (path, line) in found {
        assert!(!forbidden.iter().any(|word| line.contains(word)), "{}: {line}", path.display());
    }
}
