//! What a run leaves behind, file by file, and what `eval` and `predict` make of it.

use std::collections::HashMap;
use std::fs;

use chainrule_tests::runner::{Ended, GENDER, Runner, XOR};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde_json::Value as Json;

/// The files of a run.
const FILES: [&str; 6] = [
    "checkpoints/last",
    "checkpoints/step-000000000000",
    "config.toml",
    "metrics.jsonl",
    "model.safetensors",
    "result.json",
];

/// The tensors of the notebook's network in the order of its layers, with their shapes and the places of their
/// numbers in the reference (w1 w2 w3 w4 w5 w6 b1 b2 b3).
const TENSORS: [(&str, &[usize], &[usize]); 4] = [
    ("hidden.weight", &[2, 2], &[0, 1, 2, 3]),
    ("hidden.bias", &[2], &[6, 7]),
    ("output.weight", &[1, 2], &[4, 5]),
    ("output.bias", &[1], &[8]),
];

/// A folder with a run of `gender.toml` in `run`, and what the program said.
fn trained() -> (Runner, Ended) {
    let runner = Runner::with_gender();
    let ended = runner.done(["train", "gender.toml", "--out", "run"]);
    (runner, ended)
}

fn number(value: &Json) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

fn keys(value: &Json) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn sorted<const N: usize>(mut names: [&str; N]) -> [&str; N] {
    names.sort_unstable();
    names
}

/// The numbers of a tensor of f64.
fn numbers(tensor: &TensorView<'_>) -> Vec<f64> {
    assert_eq!(tensor.dtype(), Dtype::F64);
    let (chunks, rest) = tensor.data().as_chunks::<8>();
    assert!(rest.is_empty());
    chunks.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

#[track_caller]
fn assert_close(what: &str, found: f64, expected: f64) {
    let error = (found - expected).abs();
    assert!(error <= 1e-9 * expected.abs(), "{what} is {found}, not {expected}: off by {error:e}");
}

#[test]
fn a_run_has_its_files_and_no_other() {
    let (runner, _) = trained();
    let mut expected: Vec<String> = FILES.iter().map(|name| format!("run/{name}")).collect();
    expected.insert(0, "run/checkpoints/".into());
    expected.insert(0, "run/".into());
    expected.insert(0, "gender.toml".into());
    assert_eq!(runner.entries(), expected);
}

#[cfg(unix)]
#[test]
fn a_run_is_as_readable_as_any_other_file() {
    use std::os::unix::fs::PermissionsExt;
    let (runner, _) = trained();
    runner.write("usual/file", "");
    let mode = |name: &str| fs::metadata(runner.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("run"), mode("usual"));
    for file in FILES {
        assert_eq!(mode(&format!("run/{file}")), mode("usual/file"), "{file}");
    }
}

#[test]
fn metrics_hold_a_line_a_logged_epoch() {
    let (runner, _) = trained();
    let lines = runner.json_lines("run/metrics.jsonl");
    let mut epochs: Vec<u64> = (0..100).map(|index| 1 + 10 * index).collect();
    epochs.push(1000);
    let whole = |line: &Json, key: &str| line[key].as_u64().expect("a whole number");
    assert_eq!(lines.iter().map(|line| whole(line, "epoch")).collect::<Vec<_>>(), epochs);
    let mut previous = 0;
    for line in &lines {
        let names =
            ["epoch", "step", "running_loss", "train_loss", "learning_rate", "train_seconds", "epochs_since"];
        assert_eq!(keys(line), sorted(names));
        let epoch = whole(line, "epoch");
        assert_eq!(whole(line, "step"), 4 * epoch);
        assert_eq!(whole(line, "epochs_since"), epoch - previous);
        previous = epoch;
        assert_eq!(number(&line["learning_rate"]), 0.1);
        assert!(number(&line["train_seconds"]) >= 0.0);
        assert!(number(&line["running_loss"]) > 0.0 && number(&line["train_loss"]) > 0.0);
    }
    assert_eq!(previous, 1000);
    assert!(number(&lines[100]["train_loss"]) < number(&lines[0]["train_loss"]) / 10.0);
}

#[test]
fn metrics_have_no_train_loss_that_was_not_asked_for() {
    let runner = Runner::with_gender();
    runner.done(["gender.toml", "--out", "run", "--set", "train.evaluate_train=false"]);
    for line in runner.json_lines("run/metrics.jsonl") {
        assert!(line.get("train_loss").is_none() && line.get("validation_loss").is_none(), "{line}");
    }
}

#[test]
fn steps_count_batches_and_the_last_smaller_one() {
    let runner = Runner::with_gender();
    runner.done(["gender.toml", "--out", "run", "--set", "train.batch_size=3", "--set", "train.epochs=21"]);
    let lines = runner.json_lines("run/metrics.jsonl");
    let pairs: Vec<_> = lines.iter().map(|line| (line["epoch"].as_u64(), line["step"].as_u64())).collect();
    assert_eq!(pairs, [1, 11, 21].map(|epoch| (Some(epoch), Some(2 * epoch))));
    assert_eq!(runner.json("run/result.json")["steps"], 42);
}

#[test]
fn the_model_has_the_names_and_shapes_of_pytorch() {
    let (runner, _) = trained();
    let bytes = runner.bytes("run/model.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = file.names();
    names.sort_unstable();
    assert_eq!(names, sorted(TENSORS.map(|(name, ..)| name)));
    for (name, shape, _) in TENSORS {
        let tensor = file.tensor(name).unwrap();
        assert_eq!((tensor.shape(), tensor.dtype()), (shape, Dtype::F64), "{name}");
    }
}

#[test]
fn a_network_of_f32_is_stored_as_f32() {
    let runner = Runner::with_gender();
    runner.done(["gender.toml", "--out", "run", "--set", "dtype=f32", "--set", "train.epochs=1"]);
    let bytes = runner.bytes("run/model.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert!(file.tensors().iter().all(|(_, tensor)| tensor.dtype() == Dtype::F32));
}

/// Whether the keys of every object in a JSON text stand in order. serde_json's own map would hide it, so the text is
/// written again from sorted maps and compared.
fn has_sorted_keys(text: &str) -> bool {
    let value: Json = serde_json::from_str(text).expect("JSON");
    fn sort(value: &Json) -> String {
        match value {
            Json::Object(map) => {
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort();
                let entry = |key: &&String| format!("{}:{}", Json::from(key.as_str()), sort(&map[*key]));
                format!("{{{}}}", keys.iter().map(entry).collect::<Vec<_>>().join(","))
            }
            Json::Array(items) => format!("[{}]", items.iter().map(sort).collect::<Vec<_>>().join(",")),
            other => other.to_string(),
        }
    }
    sort(&value) == text
}

#[test]
fn the_model_describes_itself_in_one_key_and_nothing_that_differs_between_equal_runs() {
    assert!(has_sorted_keys(r#"{"a":{"b":1,"c":[{"d":1,"e":2}]}}"#));
    assert!(!has_sorted_keys(r#"{"a":{"b":1,"c":[{"e":1,"d":2}]}}"#));

    let (runner, _) = trained();
    let bytes = runner.bytes("run/model.safetensors");
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().expect("metadata");
    assert_eq!(metadata.keys().collect::<Vec<_>>(), ["chainrule"]);
    let text = &metadata["chainrule"];
    assert!(has_sorted_keys(text), "{text}");
    let folder = runner.folder().to_string_lossy().into_owned();
    for word in ["time", "date", "seconds", "thread", "path", "seed", "epochs", "/", folder.as_str()] {
        assert!(!text.contains(word), "`{word}` in {text}");
    }
    let card: Json = serde_json::from_str(text).unwrap();
    assert_eq!(keys(&card), ["dtype", "format", "input_shape", "layers", "outputs", "preprocessing"]);
    assert_eq!(card["layers"][0]["units"], 2);
    assert_eq!(card["layers"][1]["activation"], "sigmoid");
    let preprocessing = &card["preprocessing"];
    assert_eq!(preprocessing["features"], serde_json::json!(["weight_kg", "height_cm"]));
    assert_eq!(preprocessing["shift"], serde_json::json!([57.0, 171.0]));

    // And so another folder, another number of threads and another moment give the same bytes.
    let other = Runner::with_gender();
    other.done(["gender.toml", "--threads", "2", "-q"]);
    assert!(other.bytes("runs/gender/model.safetensors") == bytes);
}

#[test]
fn the_result_has_the_metrics_the_predictions_and_a_digest_of_the_parameters() {
    let (runner, ended) = trained();
    let result = runner.json("run/result.json");
    let names = [
        "name",
        "metrics",
        "predictions",
        "epochs",
        "steps",
        "train_seconds",
        "parameters",
        "parameters_blake3",
    ];
    assert_eq!(keys(&result), sorted(names));
    assert_eq!(result["name"], "gender");
    assert_eq!(
        (&result["epochs"], &result["steps"], &result["parameters"]),
        (&1000.into(), &4000.into(), &9.into())
    );
    assert!(number(&result["train_seconds"]) >= 0.0);
    let last = runner.json_lines("run/metrics.jsonl").pop().unwrap();
    assert_eq!(result["metrics"], serde_json::json!({ "train": { "loss": last["train_loss"] } }));

    let predictions = result["predictions"].as_array().unwrap();
    let named: Vec<_> =
        predictions.iter().map(|prediction| (&prediction["name"], &prediction["x"])).collect();
    let expected =
        [("female", [50.0, 168.0]), ("male", [77.0, 173.0])].map(|(name, x)| (Json::from(name), x.into()));
    assert_eq!(named, expected.iter().map(|(name, x): &(Json, Json)| (name, x)).collect::<Vec<_>>());
    let (female, male) = (&predictions[0]["prediction"], &predictions[1]["prediction"]);
    assert_eq!((keys(female), keys(male)), (vec!["female"], vec!["female"]));
    let (female, male) = (number(&female["female"]), number(&male["female"]));
    assert!(female > 0.9 && male < 0.1, "{female} {male}");
    let table = format!(
        "sample  x        prediction
female  50, 168  female {female:.3}
male    77, 173  female {male:.3}
"
    );
    assert_eq!(ended.stdout, table);

    let bytes = runner.bytes("run/model.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut hasher = blake3::Hasher::new();
    for (name, ..) in TENSORS {
        hasher.update(file.tensor(name).unwrap().data());
    }
    assert_eq!(result["parameters_blake3"], hasher.finalize().to_hex().as_str());
}

/// Start weights of the notebook as a safetensors file.
fn start_weights(start: &[f64]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = TENSORS
        .iter()
        .map(|(_, _, places)| places.iter().flat_map(|&place| start[place].to_le_bytes()).collect())
        .collect();
    let views = TENSORS.iter().zip(&bytes).map(|(&(name, shape, _), bytes)| {
        (name, TensorView::new(Dtype::F64, shape.to_vec(), bytes).unwrap())
    });
    serialize(views, None).unwrap()
}

#[test]
fn the_notebook_comes_out_of_raw_kilograms_and_centimetres() {
    let reference: Json = serde_json::from_str(include_str!("../notebook/reference.json")).unwrap();
    assert_eq!(reference["order"], "w1 w2 w3 w4 w5 w6 b1 b2 b3");
    let list = |value: &Json| value.as_array().expect("a list").iter().map(number).collect::<Vec<f64>>();
    let runs = reference["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 4);
    for (index, expected) in runs.iter().enumerate() {
        let runner = Runner::with_gender();
        runner.write("start.safetensors", start_weights(&list(&expected["start"])));
        runner.done(["gender.toml", "--out", "run", "--set", "model.initial_weights=\"start.safetensors\""]);

        let lines = runner.json_lines("run/metrics.jsonl");
        let losses = expected["losses"].as_array().unwrap();
        let counted = |pair: &Json| pair[0].as_u64().unwrap() + 1;
        assert_eq!(losses.iter().map(counted).collect::<Vec<_>>(), [1, 11, 21, 991]);
        for pair in losses {
            let line = lines.iter().find(|line| line["epoch"] == counted(pair)).expect("a logged epoch");
            let what = format!("start {index}: the loss of epoch {}", counted(pair));
            assert_close(&what, number(&line["train_loss"]), number(&pair[1]));
        }

        let bytes = runner.bytes("run/model.safetensors");
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let end = list(&expected["end"]);
        for (name, _, places) in TENSORS {
            let found = numbers(&file.tensor(name).unwrap());
            assert_eq!(found.len(), places.len());
            for (found, &place) in found.into_iter().zip(places) {
                assert_close(&format!("start {index}: {name}"), found, end[place]);
            }
        }

        let result = runner.json("run/result.json");
        for (place, name) in ["female", "male"].into_iter().enumerate() {
            let found = number(&result["predictions"][place]["prediction"]["female"]);
            assert_close(&format!("start {index}: {name}"), found, number(&expected[name]));
        }
    }
}

#[test]
fn start_weights_are_relative_to_the_file_and_absolute_in_the_run() {
    let runner = Runner::new();
    let text = GENDER.replace("[model]\n", "[model]\ninitial_weights = \"start.safetensors\"\n");
    runner.write("here/gender.toml", text);
    runner.write("here/start.safetensors", start_weights(&[0.5; 9]));
    runner.done(["here/gender.toml", "--out", "run", "--set", "train.epochs=1"]);
    let absolute = runner.path("here/start.safetensors");
    let config = runner.text("run/config.toml");
    assert!(config.contains(&format!("initial_weights = \"{}\"", absolute.display())), "{config}");
}

#[test]
fn pytorchs_batch_counter_is_no_stranger_in_start_weights() {
    let runner = Runner::with_gender();
    let bytes = start_weights(&[0.5; 9]);
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let counter = TensorView::new(Dtype::I64, vec![], &[0; 8]).unwrap();
    let views = file.tensors().into_iter().chain([("norm.num_batches_tracked".to_owned(), counter)]);
    runner.write("start.safetensors", serialize(views, None).unwrap());
    runner.done(["check", "gender.toml", "--set", "model.initial_weights=\"start.safetensors\""]);
}

#[test]
fn runs_are_numbered_while_the_name_is_taken() {
    let runner = Runner::with_gender();
    for out in ["runs/gender", "runs/gender-2", "runs/gender-3"] {
        assert!(!runner.path(out).exists());
        let ended = runner.done(["gender.toml", "--set", "train.epochs=1"]);
        assert!(ended.stderr.ends_with(&format!("wrote {out}\n")), "{}", ended.stderr);
        assert!(FILES.iter().all(|file| runner.path(out).join(file).is_file()));
    }
    runner.done(["gender.toml", "--set", "train.epochs=1", "--set", "name=other"]);
    assert!(runner.path("runs/other/result.json").is_file());
}

#[test]
fn an_experiment_without_a_name_has_that_of_its_file() {
    let runner = Runner::new();
    runner.write("a file.toml", GENDER.replace("name  = \"gender\"\n", ""));
    runner.done(["a file.toml", "--set", "train.epochs=1"]);
    assert_eq!(runner.json("runs/a file/result.json")["name"], "a file");
}

#[test]
fn a_run_is_replaced_only_by_force() {
    let (runner, _) = trained();
    let before = runner.bytes("run/result.json");
    let ended = runner.run(["gender.toml", "--out", "run", "--set", "train.epochs=1"]);
    assert_eq!(ended.code, 2);
    let message =
        "error: run already holds a run\n  = help: choose another --out, or replace it with --force\n";
    assert_eq!(ended.stderr, message);
    assert_eq!(runner.bytes("run/result.json"), before);

    runner.write("run/notes.txt", "of the old run");
    runner.done(["gender.toml", "--out", "run", "--set", "train.epochs=1", "--force"]);
    assert_eq!(runner.json("run/result.json")["epochs"], 1);
    assert_eq!(runner.json_lines("run/metrics.jsonl").len(), 1);
    assert_eq!(runner.entries().len(), 3 + FILES.len(), "{:?}", runner.entries());
}

#[test]
fn force_without_out_replaces_the_run_of_the_name() {
    let runner = Runner::with_gender();
    runner.done(["gender.toml", "--set", "train.epochs=1"]);
    runner.done(["gender.toml", "--set", "train.epochs=2", "--force"]);
    assert_eq!(runner.json("runs/gender/result.json")["epochs"], 2);
    assert_eq!(fs::read_dir(runner.path("runs")).unwrap().count(), 1);
}

#[test]
fn force_replaces_no_folder_and_no_file_that_is_not_a_run() {
    for force in [&["--force"][..], &[]] {
        let runner = Runner::with_gender();
        runner.write("folder/precious.txt", "mine");
        runner.write("half/config.toml", "mine");
        runner.write("file", "mine");
        let before = runner.entries();
        for out in ["folder", "half", "file", "gender.toml"] {
            let ended = runner.run(["gender.toml", "--out", out].iter().chain(force));
            assert_eq!(ended.code, 2, "{out}: {}", ended.stderr);
            let message = format!(
                "error: {out} exists and is not a run directory\n  = help: choose another --out; --force replaces only runs\n"
            );
            assert_eq!(ended.stderr, message);
        }
        assert_eq!(runner.entries(), before);
        assert_eq!(runner.text("folder/precious.txt"), "mine");
        assert_eq!(runner.text("file"), "mine");
    }
}

#[cfg(unix)]
#[test]
fn force_follows_no_link_out_of_the_way() {
    let (runner, _) = trained();
    let before = runner.bytes("run/result.json");
    std::os::unix::fs::symlink("run", runner.path("link")).unwrap();
    let ended = runner.run(["gender.toml", "--out", "link", "--set", "train.epochs=1", "--force"]);
    assert_ne!(ended.code, 0);
    assert_eq!(runner.bytes("run/result.json"), before);
    assert!(!runner.entries().iter().any(|name| name.contains(".run-")), "{:?}", runner.entries());
}

#[test]
fn an_empty_folder_takes_a_run() {
    let runner = Runner::with_gender();
    fs::create_dir(runner.path("empty")).unwrap();
    runner.done(["gender.toml", "--out", "empty", "--set", "train.epochs=1"]);
    assert!(FILES.iter().all(|file| runner.path("empty").join(file).is_file()));
    assert_eq!(runner.entries().len(), 3 + FILES.len(), "{:?}", runner.entries());
}

#[test]
fn out_makes_the_folders_above_it() {
    let runner = Runner::with_gender();
    runner.done(["gender.toml", "--out", "a/b/c/", "--set", "train.epochs=1"]);
    assert!(FILES.iter().all(|file| runner.path("a/b/c").join(file).is_file()));
}

#[test]
fn eval_prints_the_loss_of_the_result() {
    for (text, name) in [(GENDER, "gender"), (XOR, "xor")] {
        let runner = Runner::new();
        runner.write("x.toml", text);
        runner.done(["x.toml", "--out", "run", "--set", "train.epochs=30"]);
        let loss = number(&runner.json("run/result.json")["metrics"]["train"]["loss"]);
        let ended = runner.done(["eval", "run"]);
        assert_eq!(ended.stdout, format!("train  loss {loss}\n"), "{name}");
        assert_eq!(ended.stderr, "");
        // The experiment it came from is no longer needed.
        fs::remove_file(runner.path("x.toml")).unwrap();
        assert_eq!(runner.done(["eval", "run"]), ended);
    }
}

/// What was fitted is stored to the last digit: thirds and roots have no short decimal form.
#[test]
fn scales_come_back_without_a_change() {
    let runner = Runner::new();
    let x =
        |row: usize| format!("[{}, {}]", (row as f64 * 0.7).sin() * 100.0, (row as f64 * 1.3).cos() / 3.0);
    let (x, rows) =
        ((0..50).map(x).collect::<Vec<_>>().join(", "), (0..50).map(|row| format!("[{}]", row % 2)));
    let y = rows.collect::<Vec<_>>().join(", ");
    for scale in ["center", "standard", "minmax"] {
        let text = GENDER
            .replace("[[54, 168], [65, 185], [62, 179], [47, 152]]", &format!("[{x}]"))
            .replace("[[1], [0], [0], [1]]", &format!("[{y}]"))
            .replace("scale = \"center\"", &format!("scale = \"{scale}\""))
            .replace("[[50, 168], [77, 173]]", &format!("[{x}]"))
            .replace("names = [\"female\", \"male\"]", "");
        runner.write("x.toml", text);
        runner.done(["x.toml", "--out", "run", "--set", "train.epochs=5", "--force"]);
        let result = runner.json("run/result.json");
        let loss = number(&result["metrics"]["train"]["loss"]);
        assert_eq!(runner.done(["eval", "run"]).stdout, format!("train  loss {loss}\n"), "{scale}");

        let rows = x.replace("], [", "\n").replace(['[', ']', ' '], "");
        runner.write("rows.csv", format!("weight_kg,height_cm\n{rows}\n"));
        let lines = runner.done(["predict", "run", "--input", "rows.csv", "--format", "jsonl"]);
        let lines = chainrule_tests::runner::json_lines(&lines.stdout);
        let predictions = result["predictions"].as_array().unwrap();
        assert_eq!(lines.len(), 50);
        assert!(predictions.iter().map(|row| &row["prediction"]).eq(&lines), "{scale}");
    }
}

#[test]
fn predict_gives_what_the_run_predicted() {
    let (runner, _) = trained();
    let result = runner.json("run/result.json");
    let expected: Vec<f64> =
        (0..2).map(|row| number(&result["predictions"][row]["prediction"]["female"])).collect();
    runner.write("people.csv", "weight_kg,height_cm\n50,168\n77,173\n");
    let ended = runner.done(["predict", "run", "--input", "people.csv"]);
    assert_eq!(ended.stdout, format!("female\n{}\n{}\n", expected[0], expected[1]));
    assert_eq!(ended.stderr, "");

    let lines = runner.done(["predict", "run", "--input", "people.csv", "--format", "jsonl"]);
    let lines = chainrule_tests::runner::json_lines(&lines.stdout);
    assert_eq!(lines, [0, 1].map(|row| result["predictions"][row]["prediction"].clone()));

    // A model file is enough.
    fs::copy(runner.path("run/model.safetensors"), runner.path("alone.safetensors")).unwrap();
    assert_eq!(runner.done(["predict", "alone.safetensors", "--input", "people.csv"]), ended);
}

#[test]
fn predict_finds_columns_by_name_and_names_those_it_does_not_use() {
    let (runner, _) = trained();
    runner.write("people.csv", "weight_kg,height_cm\n50,168\n77,173\n");
    let expected = runner.done(["predict", "run", "--input", "people.csv"]);
    for (text, others) in [
        ("height_cm,weight_kg\n168,50\n173,77\n", ""),
        (" height_cm , weight_kg \r\n 168 , 5e1 \r\n173.0,77\r\n", ""),
        ("\u{feff}weight_kg,height_cm\n50,168\n77,173\n", ""),
        ("who,height_cm,age,weight_kg\nx,168,,50\ny,173,?,77", "not used by the model: who, age\n"),
        ("\"weight_kg\",\"height_cm\"\n\"50\",\"168\"\n\n77,173\n", ""),
    ] {
        runner.write("people.csv", text);
        let ended = runner.done(["predict", "run", "--input", "people.csv"]);
        assert_eq!(
            (ended.stdout.as_str(), ended.stderr.as_str()),
            (expected.stdout.as_str(), others),
            "{text:?}"
        );
        let quiet = runner.done(["predict", "run", "--input", "people.csv", "-q"]);
        assert_eq!(
            (quiet.stdout.as_str(), quiet.stderr.as_str()),
            (expected.stdout.as_str(), ""),
            "{text:?}"
        );
    }
}

#[test]
fn predict_without_names_takes_the_columns_as_they_come() {
    let runner = Runner::new();
    let nameless: String = GENDER
        .lines()
        .filter(|line| !line.starts_with("features") && !line.starts_with("targets"))
        .map(|line| format!("{line}\n"))
        .collect();
    runner.write("x.toml", nameless);
    runner.done(["x.toml", "--out", "run", "--set", "train.epochs=5"]);
    let result = runner.json("run/result.json");
    let expected: Vec<f64> =
        (0..2).map(|row| number(&result["predictions"][row]["prediction"]["y0"])).collect();
    runner.write("rows.csv", "50,168\n77,173\n");
    let ended = runner.done(["predict", "run", "--input", "rows.csv"]);
    assert_eq!(ended.stdout, format!("y0\n{}\n{}\n", expected[0], expected[1]));
}

#[test]
fn labels_come_back_as_classes_with_probabilities() {
    let runner = Runner::new();
    runner.write("xor.toml", XOR);
    let ended = runner.done(["xor.toml", "--out", "run"]);
    let names = ["0 xor 0", "0 xor 1", "1 xor 0", "1 xor 1"];
    let classes = ["equal", "different", "different", "equal"];
    let rows = ended.stdout.lines().skip(1).zip(names.iter().zip(classes));
    for (line, (name, class)) in rows.clone() {
        assert!(line.starts_with(name) && line.contains(&format!("  {class}: different ")), "{line}");
    }
    assert_eq!(rows.count(), 4);

    let result = runner.json("run/result.json");
    for (row, class) in classes.into_iter().enumerate() {
        let prediction = &result["predictions"][row]["prediction"];
        assert_eq!(prediction["class"], class);
        let probabilities = &prediction["probabilities"];
        assert_eq!(keys(probabilities), ["different", "equal"]);
        let sum = number(&probabilities["different"]) + number(&probabilities["equal"]);
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        assert!(number(&probabilities[class]) > 0.9, "{probabilities}");
    }

    runner.write("rows.csv", "b,a\n0,0\n1,0\n0,1\n1,1\n");
    let ended = runner.done(["predict", "run", "--input", "rows.csv"]);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines[0], "class,p_different,p_equal");
    let found: Vec<&str> = lines[1..].iter().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(found, classes);

    let lines = runner.done(["predict", "run", "--input", "rows.csv", "--format", "jsonl"]);
    let lines = chainrule_tests::runner::json_lines(&lines.stdout);
    assert_eq!(lines, [0, 1, 2, 3].map(|row| result["predictions"][row]["prediction"].clone()));
}

#[test]
fn class_indices_come_back_as_indices() {
    let runner = Runner::new();
    runner.write("xor.toml", XOR.replace(r#"["equal", "different", "different", "equal"]"#, "[0, 1, 1, 0]"));
    runner.done(["xor.toml", "--out", "run"]);
    let result = runner.json("run/result.json");
    for (row, class) in ["0", "1", "1", "0"].into_iter().enumerate() {
        assert_eq!(result["predictions"][row]["prediction"]["class"], class);
    }
}

#[test]
fn logits_of_binary_cross_entropy_are_predicted_as_probabilities() {
    let runner = Runner::new();
    let text = GENDER
        .replace("units = 1, activation = \"sigmoid\"", "units = 1")
        .replace("type = \"mse\"", "type = \"binary_cross_entropy\"\nfrom_logits = true");
    runner.write("logits.toml", text);
    runner.write("fused.toml", GENDER.replace("type = \"mse\"", "type = \"binary_cross_entropy\""));
    runner.done(["logits.toml", "--out", "logits"]);
    runner.done(["fused.toml", "--out", "fused"]);
    // Sigmoid and binary cross entropy are one formula, whichever way they were written.
    let result = |run: &str| runner.json(format!("{run}/result.json"));
    assert_eq!(result("logits")["parameters_blake3"], result("fused")["parameters_blake3"]);
    assert_eq!(result("logits")["predictions"], result("fused")["predictions"]);
    let female = number(&result("logits")["predictions"][0]["prediction"]["female"]);
    assert!(female > 0.9 && female < 1.0, "{female}");
    runner.write("people.csv", "weight_kg,height_cm\n50,168\n");
    let ended = runner.done(["predict", "logits", "--input", "people.csv"]);
    assert_eq!(ended.stdout, format!("female\n{female}\n"));
}

/// A slope that its table sets is trained, stored and predicted with.
#[test]
fn an_activation_may_be_a_table() {
    let runner = Runner::with_gender();
    let digest = |activation: &str, out: &str| {
        let set = format!("model.layers.0.activation={activation}");
        runner.done(["gender.toml", "--set", "train.epochs=20", "--set", &set, "--out", out]);
        runner.json(format!("{out}/result.json"))["parameters_blake3"].clone()
    };
    let [name, table, slope] = [
        digest("leaky_relu", "name"),
        digest("{ type = \"leaky_relu\" }", "table"),
        digest("{ type = \"leaky_relu\", slope = 0.5 }", "slope"),
    ];
    assert_eq!(name, table);
    assert_ne!(name, slope);
    let female = number(&runner.json("slope/result.json")["predictions"][0]["prediction"]["female"]);
    runner.write("people.csv", "weight_kg,height_cm\n50,168\n");
    let ended = runner.done(["predict", "slope", "--input", "people.csv"]);
    assert_eq!(ended.stdout, format!("female\n{female}\n"));
}

#[test]
fn a_graph_of_named_layers_trains_and_predicts() {
    let runner = Runner::new();
    let layers = r#"layers = [
  { type = "dense", name = "left", units = 3, activation = "tanh" },
  { type = "dense", name = "right", inputs = ["input"], units = 3, activation = "tanh" },
  { type = "add", name = "sum", inputs = ["left", "right"] },
  { type = "concat", name = "both", inputs = ["sum", "input"], activation = "relu" },
  { type = "dense", name = "output", units = 1, activation = "sigmoid" },
]
"#;
    let (before, rest) = GENDER.split_once("layers = [").unwrap();
    let (_, after) = rest.split_once("]\n\n").unwrap();
    runner.write("graph.toml", format!("{before}{layers}\n{after}"));
    runner.done(["graph.toml", "--out", "run", "--set", "train.epochs=50"]);
    let bytes = runner.bytes("run/model.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let shapes: HashMap<String, Vec<usize>> =
        file.tensors().into_iter().map(|(name, tensor)| (name, tensor.shape().to_vec())).collect();
    let expected: HashMap<String, Vec<usize>> = [
        ("left.weight", vec![3, 2]),
        ("left.bias", vec![3]),
        ("right.weight", vec![3, 2]),
        ("right.bias", vec![3]),
        ("output.weight", vec![1, 5]),
        ("output.bias", vec![1]),
    ]
    .map(|(name, shape)| (name.to_owned(), shape))
    .into();
    assert_eq!(shapes, expected);
    let female = number(&runner.json("run/result.json")["predictions"][0]["prediction"]["female"]);
    runner.write("people.csv", "weight_kg,height_cm\n50,168\n");
    let ended = runner.done(["predict", "run", "--input", "people.csv"]);
    assert_eq!(ended.stdout, format!("female\n{female}\n"));
    let loss = number(&runner.json("run/result.json")["metrics"]["train"]["loss"]);
    assert_eq!(runner.done(["eval", "run"]).stdout, format!("train  loss {loss}\n"));
}
