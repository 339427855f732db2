//! IDX files, and synthetic samples of the same shape: parts, scaling, mistakes in keys and files.

use std::io::Write;

use chainrule_tests::runner::{Ended, Runner};

#[track_caller]
fn assert_fails(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "`{word}` is not in: {}", ended.stderr);
    }
}

const DIGITS: &str = r#"name = "digits"
dtype = "f64"

[data]
type = "idx"
images = "data/images"
labels = "data/labels"
divide_by = 255.0

[model]
layers = [{ type = "dense", units = 3 }]

[loss]
type = "cross_entropy"

[optimizer]
type = "sgd"
learning_rate = 0.5

[train]
epochs = 2
"#;

const TEST_PART: [&str; 4] =
    ["--set", "data.test_images=\"data/images.gz\"", "--set", "data.test_labels=\"data/labels.gz\""];

/// A file of bytes.
fn idx(axes: &[u32], content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, axes.len() as u8];
    axes.iter().for_each(|axis| bytes.extend(axis.to_be_bytes()));
    bytes.extend(content);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(bytes).expect("memory");
    gzip.finish().expect("memory")
}

/// Twelve images of two by three grey values, of three classes.
fn pixels() -> Vec<u8> {
    (0..72u32).map(|index| (index * 37 % 256) as u8).collect()
}

fn classes() -> Vec<u8> {
    (0..12).map(|index| index % 3).collect()
}

fn digits() -> Runner {
    let runner = Runner::new();
    runner.write("digits.toml", DIGITS);
    for (name, content) in [("images", idx(&[12, 2, 3], &pixels())), ("labels", idx(&[12], &classes()))] {
        runner.write(&format!("data/{name}.gz"), gzip(&content));
        runner.write(&format!("data/{name}"), content);
    }
    runner
}

fn check(runner: &Runner, changes: &[&str]) -> Ended {
    runner
        .run(["check", "digits.toml"].into_iter().chain(changes.iter().flat_map(|&change| ["--set", change])))
}

#[test]
fn compressed_or_not_the_model_is_that_of_the_same_numbers_inline() {
    let runner = digits();
    let gz = ["--set", "data.images=\"data/images.gz\"", "--set", "data.labels=\"data/labels.gz\""];
    runner.done(["train", "digits.toml", "--out", "plain"]);
    runner.done(["train", "digits.toml", "--out", "gz"].into_iter().chain(gz));
    assert_eq!(runner.bytes("plain/model.safetensors"), runner.bytes("gz/model.safetensors"));

    let scaled: Vec<Vec<f64>> =
        pixels().chunks(6).map(|row| row.iter().map(|&x| f64::from(x) / 255.0).collect()).collect();
    let data = format!("type = \"inline\"\nx = {scaled:?}\ny = {:?}\n", classes());
    let (before, rest) = DIGITS.split_once("type = \"idx\"").expect("the type");
    let (_, after) = rest.split_once("\n\n[model]").expect("the model");
    runner.write("inline.toml", format!("{before}{data}\n[model]{after}"));
    runner.done(["train", "inline.toml", "--out", "inline"]);
    let digest = |run: &str| runner.json(format!("{run}/result.json"))["parameters_blake3"].clone();
    assert_eq!(digest("plain"), digest("inline"));
}

#[test]
fn predict_divides_as_training_did() {
    let runner = digits();
    runner.done(["train", "digits.toml", "--out", "run"]);
    assert!(String::from_utf8_lossy(&runner.bytes("run/model.safetensors")).contains("divide_by"));
    let row = |divisor: f64| {
        let row: Vec<String> = pixels()[..6].iter().map(|&x| (f64::from(x) / divisor).to_string()).collect();
        row.join(",")
    };
    runner.write("row.csv", row(1.0));
    let predicted = runner.done(["predict", "run", "--input", "row.csv"]).stdout;
    runner.done(["train", "digits.toml", "--out", "raw", "--set", "data.divide_by=1.0"]);
    assert!(!String::from_utf8_lossy(&runner.bytes("raw/model.safetensors")).contains("divide_by"));
    let raw = runner.done(["predict", "raw", "--input", "row.csv"]).stdout;
    assert_ne!(predicted, raw);
    assert!(predicted.starts_with("class,p_0,p_1,p_2\n"), "{predicted}");
}

#[test]
fn a_test_part_of_its_own_leaves_validation_to_the_seed() {
    let runner = digits();
    let changes = ["--set", "data.validation=0.25", "--out", "run"];
    let ended =
        runner.done(["check", "digits.toml", "--set", "data.validation=0.25"].into_iter().chain(TEST_PART));
    assert!(ended.stdout.contains("9 training samples, 3 validation, 12 test"), "{}", ended.stdout);
    runner.done(["train", "digits.toml"].into_iter().chain(TEST_PART).chain(changes));
    let test = runner.json("run/result.json")["metrics"]["test"]["loss"].clone();
    let eval = runner.done(["eval", "run"]).stdout;
    assert!(eval.contains(&format!("test  loss {test}")), "{eval}");

    let limited = TEST_PART.into_iter().chain(["--set", "data.limit=5"]);
    let ended = runner.done(["check", "digits.toml"].into_iter().chain(limited));
    assert!(ended.stdout.contains("5 training samples, 12 test"), "{}", ended.stdout);
}

#[test]
fn keys_that_do_not_fit_together_are_mistakes_of_the_file() {
    let runner = digits();
    let half = check(&runner, &["data.test_images=\"data/images\""]);
    assert_fails(&half, 2, &["data.test_images is there, but not data.test_labels", "give both or none"]);
    let twice =
        runner.run(["check", "digits.toml"].into_iter().chain(TEST_PART).chain(["--set", "data.test=0.5"]));
    assert_fails(&twice, 2, &["data.test is a share of the samples", "remove one of them"]);
    let units = check(&runner, &["model.layers.0.units=2"]);
    assert_fails(&units, 2, &["is of class 2, but the network has scores for 2", "digits.toml:7:10"]);
}

#[test]
fn damaged_or_exchanged_files_are_named() {
    let runner = digits();
    let exchanged = check(&runner, &["data.images=\"data/labels\"", "data.labels=\"data/images\""]);
    assert_fails(
        &exchanged,
        3,
        &["labels have one axis, but this file has 3; are images and labels exchanged?"],
    );
    assert_fails(&check(&runner, &["data.images=\"data/no\""]), 3, &["data/no", "No such file"]);
    assert_fails(&check(&runner, &["data.images=\"data\""]), 3, &["this is not a file"]);
    runner.write("data/labels", idx(&[11], &classes()[..11]));
    assert_fails(&check(&runner, &[]), 3, &["it has 11 labels, but", "has 12 samples"]);
    runner.write("data/images", &idx(&[12, 2, 3], &pixels())[..50]);
    assert_fails(&check(&runner, &[]), 3, &["need 88 bytes, but the file has 50: it is cut off"]);
    // A compressed file that says of itself that it is huge, and one that is: a thousand times its size.
    runner.write("data/images", gzip(&idx(&[u32::MAX, u32::MAX, u32::MAX], &[])));
    assert_fails(&check(&runner, &[]), 3, &["more than a compressed file of this size can hold"]);
    runner.write("data/images", gzip(&idx(&[12, 2, 3], &vec![0; 1 << 22])));
    runner.write("data/labels", idx(&[12], &classes()));
    assert_fails(&check(&runner, &[]), 3, &["it is longer than its axes [12, 2, 3] say"]);
}

const NOISE: &str = r#"name = "noise"

[data]
type = "synthetic"
samples = 40
input_shape = [6]
classes = 3
validation = 0.25

[model]
layers = [{ type = "dense", units = 3 }]

[loss]
type = "cross_entropy"

[optimizer]
type = "sgd"
learning_rate = 0.1

[train]
epochs = 1
"#;

#[test]
fn synthetic_samples_are_a_function_of_the_seed() {
    let runner = Runner::new();
    runner.write("noise.toml", NOISE);
    let loss = |out: &str, changes: &[&str]| {
        let sets = changes.iter().flat_map(|&change| ["--set", change]);
        runner.done(["train", "noise.toml", "--out", out].into_iter().chain(sets));
        runner.json(format!("{out}/result.json"))["metrics"]["train"]["loss"].as_f64().expect("a loss")
    };
    let first = loss("first", &[]);
    assert_eq!(first, loss("again", &["data.seed=0"]));
    assert_ne!(first, loss("other", &["data.seed=1"]));
    let wide = loss("wide", &["dtype=\"f64\""]);
    assert!((first - wide).abs() < 1e-6, "{first} {wide}");
}

#[test]
fn synthetic_samples_must_fit_into_memory_and_loss() {
    let runner = Runner::new();
    runner.write("noise.toml", NOISE);
    let check = |changes: &[&str]| {
        let sets = changes.iter().flat_map(|&change| ["--set", change]);
        runner.run(["check", "noise.toml"].into_iter().chain(sets))
    };
    let many = check(&["data.samples=4000000000", "data.input_shape=[1000, 1000]"]);
    assert_fails(&many, 2, &["the samples need", "of memory, but this machine has"]);
    assert_fails(&check(&["loss.type=\"mse\""]), 2, &["but the loss compares numbers", "cross_entropy"]);
}
