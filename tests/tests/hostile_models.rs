//! Model files whose description asks for more than the file holds or the machine has: each is refused in words.

use chainrule_runner::predictor::Predictor;
use chainrule_runner::registry::Registry;
use chainrule_tests::runner::{Ended, Runner};
use safetensors::tensor::TensorView;
use safetensors::{SafeTensors, serialize};
use serde_json::{Value as Json, json};

/// Two classes of 2 x 2 images.
const IMAGES: &str = r#"
[data]
type = "inline"
x = [[1, 2, 3, 4], [4, 3, 2, 1]]
y = [0, 1]
[model]
input_shape = [1, 2, 2]
layers = [
  { type = "upsample2d", factor = 2 },
  { type = "global_avg_pool" },
  { type = "batch_norm", affine = false },
  { type = "dense", units = 2 },
]
[loss]
type = "cross_entropy"
[optimizer]
type = "sgd"
learning_rate = 0.1
[train]
epochs = 1
"#;

/// The model of a run whose description is changed.
fn hostile(experiment: &str, change: impl FnOnce(&mut Json)) -> Vec<u8> {
    let runner = Runner::new();
    runner.write("x.toml", experiment);
    runner.write("series.csv", "y\n1\n2\n3\n4\n5\n6\n7\n");
    runner.done(["train", "x.toml", "--out", "run"]);
    let bytes = runner.bytes("run/model.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let mut metadata = header.metadata().clone().unwrap();
    let mut card: Json = serde_json::from_str(&metadata["chainrule"]).unwrap();
    change(&mut card);
    metadata.insert("chainrule".into(), card.to_string());
    let tensors: Vec<(String, TensorView<'_>)> = file.tensors();
    serialize(tensors, Some(metadata)).unwrap()
}

/// Predicts a row with it.
fn predict(change: impl FnOnce(&mut Json)) -> Ended {
    let runner = Runner::new();
    runner.write("x.safetensors", hostile(IMAGES, change));
    runner.write("rows.csv", "1,2,3,4\n");
    runner.run(["predict", "x.safetensors", "--input", "rows.csv"])
}

#[track_caller]
fn assert_refused(change: impl FnOnce(&mut Json), code: i32, message: &str) {
    let ended = predict(change);
    assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{}", ended.stderr);
    assert!(ended.stderr.contains(message), "{}", ended.stderr);
}

#[test]
fn a_description_that_is_not_changed_predicts() {
    let ended = predict(|_| {});
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn activations_that_no_memory_holds_are_refused_before_they_are_made() {
    let huge = |card: &mut Json| card["layers"][0]["factor"] = json!(10_000_000);
    assert_refused(huge, 3, "to predict 1 sample needs ");
    let beyond = |card: &mut Json| card["layers"][0]["factor"] = json!(4_000_000_000u64);
    assert_refused(beyond, 5, "the file's network cannot be built");
}

#[test]
fn statistics_and_inputs_that_no_file_holds_are_refused_before_room_is_made() {
    let inputs = 1u64 << 40;
    let change = |card: &mut Json| {
        card["input_shape"] = json!([inputs, 1, 1]);
        card["preprocessing"]["inputs"] = json!(inputs);
        card["layers"] = json!([card["layers"][2], { "type": "flatten", "name": "flat" }]);
    };
    assert_refused(change, 3, "row 1 has 4 columns, but the model takes 1099511627776 inputs");
    let bytes = hostile(IMAGES, change);
    let error = Predictor::<f32>::load(&bytes, &Registry::standard()).unwrap_err().to_string();
    assert!(error.ends_with("running statistics, more than the file holds"), "{error}");
}

/// Windows of four rows of a series.
const SERIES: &str = r#"
[data]
type = "csv"
path = "series.csv"
features = ["y"]
target = "y"
window = { length = 4, horizon = 1, stride = 1 }
[model]
layers = [{ type = "flatten" }, { type = "dense", units = 1 }]
[loss]
type = "mse"
[optimizer]
type = "sgd"
learning_rate = 0.1
[train]
epochs = 1
"#;

#[test]
fn windows_of_any_numbers_are_no_harm() {
    let with = |key: &str, value: u64| {
        let change = |card: &mut Json| card["preprocessing"]["window"][key] = json!(value);
        let runner = Runner::new();
        runner.write("x.safetensors", hostile(SERIES, change));
        runner.write("rows.csv", "y\n1\n2\n3\n4\n5\n6\n");
        runner.run(["predict", "x.safetensors", "--input", "rows.csv"])
    };
    let whole = with("length", 4);
    assert_eq!((whole.code, whole.stdout.lines().count()), (0, 4), "{}", whole.stderr);
    let refused = with("length", 1 << 62);
    assert_eq!(refused.code, 5);
    assert!(refused.stderr.contains("its samples do not fit its inputs"), "{}", refused.stderr);
    // How far ahead they foretell changes no number.
    assert_eq!(with("horizon", u64::MAX).stdout, whole.stdout);
    // There is no second window.
    let first = with("stride", u64::MAX).stdout;
    assert_eq!(first.lines().count(), 2);
    assert!(whole.stdout.starts_with(first.trim_end()));
}
