//! The published JSON Schema under a validator that is not ours: what is right passes, what is broken does not.

use std::fs;
use std::path::{Path, PathBuf};

use chainrule_runner::registry::Registry;
use chainrule_runner::schema;
use chainrule_tests::little::little;
use chainrule_tests::runner::Runner;
use jsonschema::Validator;
use serde_json::Value as Json;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace")
}

fn published() -> Json {
    schema::published(&Registry::standard())
}

fn validator() -> Validator {
    let schema = published();
    jsonschema::draft202012::meta::validate(&schema).expect("a schema of draft 2020-12");
    jsonschema::draft202012::new(&schema).expect("a schema that compiles")
}

fn json(toml: &str) -> Json {
    toml::from_str(toml).expect("TOML")
}

/// The `.toml` files of a folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(root().join(folder)).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    files.sort();
    files
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("text")
}

#[test]
fn the_file_in_configs_is_what_the_program_prints() {
    let path = root().join("configs/experiment.schema.json");
    let printed = Runner::new().done(["schema"]).stdout;
    let update = "cargo run -- schema > configs/experiment.schema.json";
    assert!(text(&path) == printed, "configs/experiment.schema.json is out of date; update it by `{update}`");
    assert_eq!(serde_json::from_str::<Json>(&printed).expect("JSON"), published());
    assert_eq!(published()["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn every_config_validates_and_names_the_schema() {
    let validator = validator();
    for (folder, schema) in
        [("configs", "./experiment.schema.json"), ("configs/bench", "../experiment.schema.json")]
    {
        for path in files(folder) {
            let text = text(&path);
            assert!(text.starts_with(&format!("#:schema {schema}\n")), "{}", path.display());
            if let Err(error) = validator.validate(&json(&text)) {
                panic!("{}: {} {error}", path.display(), error.instance_path());
            }
        }
    }
}

#[test]
fn every_valid_file_validates_and_passes_check() {
    let (validator, runner) = (validator(), Runner::new());
    for path in files("tests/schema/accepted") {
        assert!(validator.is_valid(&json(&text(&path))), "{}", path.display());
        runner.done([Path::new("check"), &path]);
    }
}

#[test]
fn every_broken_file_fails_in_the_validator_and_in_the_program() {
    let (validator, runner) = (validator(), Runner::new());
    let files = files("tests/schema/refused");
    assert!(files.len() >= 19, "{}", files.len());
    for path in files {
        assert!(!validator.is_valid(&json(&text(&path))), "{} validates", path.display());
        let ended = runner.run([Path::new("check"), &path]);
        assert_eq!(ended.code, 2, "{}: {}", path.display(), ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn a_file_that_inherits_may_hold_any_part_but_nothing_wrong() {
    let validator = validator();
    let valid = |toml| validator.is_valid(&json(toml));
    assert!(valid("extends = 'base.toml'\n[train]\nbatch_size = 3\n[optimizer]\nlearning_rate = 0.2"));
    assert!(valid("extends = 'base.toml'"));
    assert!(!valid("[train]\nbatch_size = 3"));
    assert!(!valid("extends = 'base.toml'\n[train]\nbatch_size = 0"));
    assert!(!valid("extends = 'base.toml'\n[train]\nbatch = 3"));
    assert!(!valid("extends = 'base.toml'\n[model]\nlayers = [{ type = 'dense' }]"));
}

#[test]
fn the_resolved_file_validates_and_is_resolved_already() {
    let (validator, runner) = (validator(), Runner::new());
    for path in files("configs") {
        let resolved = runner.done([Path::new("check"), &path, Path::new("--resolved")]).stdout;
        assert!(validator.is_valid(&json(&resolved)), "{}", path.display());
        runner.write("resolved.toml", &resolved);
        assert_eq!(runner.done(["check", "resolved.toml", "--resolved"]).stdout, resolved);
        let little = little(path.to_str().expect("text"));
        let train = |file: &Path, out: &str| {
            let arguments = ["--set", "train.epochs=2", "--progress", "none", "--out", out];
            let sets = little.iter().flat_map(|set| ["--set", set]);
            runner.done([file.to_str().expect("text")].into_iter().chain(arguments).chain(sets));
            let digest = runner.json(format!("{out}/result.json"))["parameters_blake3"].clone();
            fs::remove_dir_all(runner.path(out)).expect("a run to remove");
            digest
        };
        assert_eq!(train(&path, "a"), train(&runner.path("resolved.toml"), "b"), "{}", path.display());
    }
}

/// A value for every key that has a default, in each table and layer of a minimal file.
#[test]
fn the_resolved_file_has_every_default() {
    let runner = Runner::new();
    let minimal = "data = { type = 'inline', x = [[0], [1]], y = [[0], [1]] }
        model.layers = [{ type = 'dense', units = 1, activation = { type = 'leaky_relu' } }]
        loss.type = 'binary_cross_entropy'
        optimizer = { type = 'sgd', learning_rate = 0.1 }
        train.epochs = 2";
    runner.write("minimal.toml", minimal);
    let resolved = json(&runner.done(["check", "minimal.toml", "--resolved"]).stdout);
    let expected = json(
        "name = 'minimal'
        seed = 0
        dtype = 'f32'
        schema_version = 1
        runtime.threads = 0
        train = { epochs = 2, batch_size = 32, shuffle = true, log_every = 1, evaluate_train = false, accumulate = 1, on_nonfinite = 'stop' }
        loss = { type = 'binary_cross_entropy', from_logits = false }
        [optimizer]
        type = 'sgd'
        learning_rate = 0.1
        momentum = 0.0
        nesterov = false
        weight_decay = 0.0
        weight_decay_on = 'all'
        l1 = 0.0
        [[model.layers]]
        type = 'dense'
        name = 'dense_0'
        units = 1
        bias = true
        activation = { type = 'leaky_relu', slope = 0.01 }
        weight_init = 'xavier_uniform'
        bias_init = 'zeros'
        trainable = true
        lr_mult = 1.0",
    );
    // Later tables and keys may add their defaults: what is here must stay.
    for (table, keys) in expected.as_object().expect("tables") {
        assert_eq!(resolved[table], *keys, "[{table}]");
    }
}
