//! Data in CSV files as a user has them: splits, labels, metrics, mistakes in the file and in what names it.

use std::io::Write;
use std::path::Path;

use chainrule_tests::runner::{Ended, Runner};
use serde_json::Value as Json;

const POINTS: &str = "x1,x2,kind\n0,1,a\n1,0,b\n2,1,a\n1,2,b\n3,1,a\n1,3,b\n4,1,a\n1,4,b\n5,1,a\n1,5,b\n";

const POINTS_TOML: &str = r#"name = "points"

[data]
type   = "csv"
path   = "data/points.csv"
target = "kind"
scale  = "standard"
validation = 0.2
test   = 0.2

[model]
layers = [{ type = "dense", units = 2 }]

[loss]
type = "cross_entropy"

[optimizer]
type = "sgd"
learning_rate = 0.5

[train]
epochs = 5
evaluate_train = true

[metrics]
report = ["accuracy"]
"#;

/// A folder with `points.toml` and its data.
fn points() -> Runner {
    let runner = Runner::new();
    runner.write("points.toml", POINTS_TOML);
    runner.write("data/points.csv", POINTS);
    runner
}

/// The end of `check` over these data.
fn check_data(content: impl AsRef<[u8]>) -> Ended {
    let runner = points();
    runner.write("data/points.csv", content);
    runner.run(["check", "points.toml"])
}

/// The end of `check` with keys of the experiment changed.
fn check_with(changes: &[&str]) -> Ended {
    points()
        .run(["check", "points.toml"].into_iter().chain(changes.iter().flat_map(|&change| ["--set", change])))
}

#[track_caller]
fn assert_fails(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "`{word}` is not in: {}", ended.stderr);
    }
}

fn config(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs").join(name).display().to_string()
}

/// The accuracy on the test part, mean of five seeds.
fn mean_accuracy(name: &str) -> f64 {
    let runner = Runner::new();
    let accuracy = |seed: u32| {
        let (out, seed) = (format!("run-{seed}"), format!("seed={seed}"));
        runner.done(["train", &config(name), "--set", &seed, "--out", &out, "-q"]);
        let result = runner.json(format!("{out}/result.json"));
        result["metrics"]["test"]["accuracy"].as_f64().expect("an accuracy")
    };
    (0..5).map(accuracy).sum::<f64>() / 5.0
}

#[test]
fn iris_is_told_apart() {
    let accuracy = mean_accuracy("iris.toml");
    assert!(accuracy >= 0.95, "{accuracy}");
}

#[test]
fn breast_cancer_is_found() {
    let accuracy = mean_accuracy("breast_cancer.toml");
    assert!(accuracy >= 0.96, "{accuracy}");
}

#[test]
fn every_part_has_its_metrics() {
    let runner = points();
    assert!(
        runner.done(["check", "points.toml"]).stdout.contains("6 training samples, 2 validation, 2 test")
    );
    let changes = ["--set", "metrics.report=[\"accuracy\", \"confusion_matrix\"]", "--out", "run"];
    let ended = runner.done(["train", "points.toml"].into_iter().chain(changes));
    assert!(ended.stderr.contains("validation_accuracy"), "{}", ended.stderr);
    let metrics = &runner.json("run/result.json")["metrics"];
    for part in ["train", "validation", "test"] {
        let part = &metrics[part];
        assert!(part["loss"].is_f64() && part["accuracy"].is_f64(), "{metrics}");
        assert_eq!(part["confusion_matrix"]["labels"], serde_json::json!(["a", "b"]));
    }
    for line in runner.json_lines("run/metrics.jsonl") {
        for key in ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"] {
            assert!(line[key].is_f64(), "{line}");
        }
        assert!(line["validation_confusion_matrix"].is_array(), "{line}");
        assert!(line.get("test_accuracy").is_none(), "{line}");
    }
    // `eval` splits the data as `train` did.
    let eval = runner.done(["eval", "run"]).stdout;
    for part in ["train", "validation", "test"] {
        let loss = metrics[part]["loss"].as_f64().expect("a loss");
        assert!(eval.contains(&format!("{part}  loss {loss}  accuracy ")), "{eval}");
    }
}

#[test]
fn a_compressed_file_gives_the_same_model() {
    let runner = points();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(POINTS.as_bytes()).expect("memory");
    runner.write("data/points.csv.gz", gzip.finish().expect("memory"));
    runner.done(["train", "points.toml", "--out", "plain"]);
    runner.done(["train", "points.toml", "--set", "data.path=\"data/points.csv.gz\"", "--out", "gz"]);
    assert_eq!(runner.bytes("plain/model.safetensors"), runner.bytes("gz/model.safetensors"));
}

#[test]
fn predict_finds_columns_by_name_and_gives_classes_and_probabilities() {
    let runner = points();
    runner.done(["train", "points.toml", "--set", "train.epochs=200", "--out", "run", "-q"]);
    runner.write("new.csv", "id,\"x2\",x1\r\n7,\"1\",9\r\n8,9,1\r\n");
    let predicted = runner.done(["predict", "run", "--input", "new.csv"]);
    let mut lines = predicted.stdout.lines();
    assert_eq!(lines.next(), Some("class,p_a,p_b"));
    assert!(lines.next().is_some_and(|line| line.starts_with("a,")), "{}", predicted.stdout);
    assert!(lines.next().is_some_and(|line| line.starts_with("b,")), "{}", predicted.stdout);
    assert!(predicted.stderr.contains("not used by the model: id"));
    let lines = runner.done(["predict", "run", "--input", "new.csv", "--format", "jsonl"]).stdout;
    let first: Json = serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["class"], "a");
    runner.write("new.csv", "x1,x3\n1,2\n");
    assert_fails(&runner.run(["predict", "run", "--input", "new.csv"]), 3, &["there is no column \"x2\""]);
    runner.write("new.csv", "x1,x2\n1,2\n3,?\n");
    let ended = runner.run(["predict", "run", "--input", "new.csv"]);
    assert_fails(&ended, 3, &["new.csv: row 2, column 2 \"x2\": there is no number"]);
}

#[test]
fn one_output_tells_two_labels_apart() {
    let runner = points();
    let changes = [
        "--set",
        "loss={ type = \"binary_cross_entropy\" }",
        "--set",
        "model.layers=[{ type = \"dense\", units = 1, activation = \"sigmoid\" }]",
        "--set",
        "train.epochs=200",
        "--set",
        "metrics.report=[\"accuracy\", \"f1\"]",
    ];
    runner.done(["train", "points.toml", "--out", "run", "-q"].into_iter().chain(changes));
    assert_eq!(runner.json("run/result.json")["metrics"]["train"]["accuracy"], 1.0);
    runner.write("new.csv", "x1,x2\n9,1\n1,9\n");
    let predicted = runner.done(["predict", "run", "--input", "new.csv"]).stdout;
    let lines: Vec<&str> = predicted.lines().collect();
    assert_eq!(lines[0], "class,p_a,p_b");
    assert!(lines[1].starts_with("a,") && lines[2].starts_with("b,"), "{predicted}");
}

#[test]
fn numbers_are_predicted_from_several_columns() {
    let runner = points();
    runner.write("data/points.csv", "a,b,c,d\n1,2,3,5\n2,3,5,8\n3,1,4,5\n4,4,8,12\n5,2,7,9\n");
    let changes = [
        "data.target=[\"c\", \"d\"]",
        "loss.type=\"mse\"",
        "metrics.report=[\"rmse\", \"mae\", \"r2\"]",
        "optimizer.learning_rate=0.1",
        "train.epochs=300",
    ];
    let sets = changes.iter().flat_map(|&change| ["--set", change]);
    runner.done(["train", "points.toml", "--out", "run", "-q"].into_iter().chain(sets));
    let train = &runner.json("run/result.json")["metrics"]["train"];
    assert!(train["r2"].as_f64().is_some_and(|r2| r2 > 0.99), "{train}");
}

#[test]
fn a_wrong_name_is_shown_in_the_experiment() {
    let wrong = POINTS_TOML.replace("\"kind\"", "\"kindd\"");
    let runner = points();
    runner.write("points.toml", wrong);
    assert_fails(
        &runner.run(["check", "points.toml"]),
        2,
        &["points.toml:6:10", "points.csv has no column `kindd`", "did you mean `kind`?"],
    );
    let features = "data.features=[\"x1\", \"X3\", \"x1\", \"kind\"]";
    assert_fails(
        &check_with(&[features]),
        2,
        &["no column `X3`", "`x1` is in `features` and again in `features`", "`kind` is in `target`"],
    );
    assert_fails(&check_with(&["data.target=[\"x1\", \"kind\"]"]), 2, &["several targets"]);
}

#[test]
fn a_wrong_split_or_metric_is_shown_in_the_experiment() {
    for (changes, words) in [
        (&["data.validation=0.5", "data.test=0.5"][..], "less than 1 together"),
        (&["data.validation=1.0"], "must be less than 1"),
        (&["data.test=0.01"], "test = 0.01 of 10 samples is no sample"),
        (&["data.validation_split=0.1"], "`validation` is set already"),
        (&["metrics.report=[\"acuracy\"]"], "did you mean `accuracy`?"),
        (&["metrics.report=[\"f1\", \"f1\"]"], "has f1 twice"),
        (&["metrics.report=[\"rmse\"]"], "the metric `rmse` does not fit: the loss compares classes"),
        (&["loss.type=\"mse\"", "data.target=\"x1\""], "the metric `accuracy` does not fit"),
    ] {
        assert_fails(&check_with(changes), 2, &[words]);
    }
}

#[test]
fn a_wrong_cell_is_named_by_row_and_column() {
    let row = |row: &str| POINTS.replacen("1,0,b", row, 1);
    for (content, words) in [
        (row("1,,b"), "row 2, column 2 \"x2\": there is no number"),
        (row("1,x,b"), "row 2, column 2 \"x2\": \"x\" is not a finite number"),
        (row("1,inf,b"), "\"inf\" is not a finite number"),
        (row("1,1e400,b"), "1e400 is too large for a number"),
        (row("1,0, "), "row 2, column 3 \"kind\": there is no label"),
        (row("1,0,b,c"), "row 2: 4 cells, but the header has 3"),
        (row("1,0"), "row 2: 2 cells, but the header has 3"),
        (row("1,0,\"b"), "row 2, column 3 \"kind\": the label goes over several lines"),
        (POINTS.replace("x2", "x1"), "columns 1 and 2 are both called \"x1\""),
        (POINTS.replace("x2", ""), "column 2 has no name"),
        ("x1,x2,kind\n".into(), "no rows below the header"),
        (String::new(), "the file is empty"),
        ("kind\na\n".into(), "no column beside the target"),
        (POINTS.replace("1,0,b", "1,0,b\0"), "column 3 \"kind\": the cell holds a zero byte"),
    ] {
        assert_fails(&check_data(content), 3, &[words]);
    }
    assert_fails(&check_data(b"x1,kind\n\xff,a\n"), 3, &["row 1, column 1 \"x1\": the cell is not UTF-8"]);
    assert_fails(&check_data("1,2,3\n4,5,6\n"), 2, &["must hold the names of the columns"]);
    assert_fails(&check_data("x1;x2;kind\n1;2;a\n"), 2, &["must be separated by commas"]);
    assert_fails(&check_with(&["data.path=\"none.csv\""]), 3, &["none.csv"]);
    assert_fails(&check_with(&["data.path=\".\""]), 3, &["this is not a file"]);
}

#[test]
fn a_million_columns_are_answered() {
    let mut content = String::from("kind");
    (0..1_000_000).for_each(|column| content.push_str(&format!(",c{column}")));
    content.push_str("\na\n");
    assert_fails(&check_data(&content), 3, &["row 1: 1 cells, but the header has 1000001"]);
}

#[test]
fn a_bomb_is_refused() {
    // 64 MiB of one cell in 64 KiB.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(b"x1,kind\n\"").expect("memory");
    (0..64).for_each(|_| gzip.write_all(&vec![b'0'; 1 << 20]).expect("memory"));
    assert_fails(&check_data(gzip.finish().expect("memory")), 3, &["the row is longer than 16 MiB"]);
}

#[test]
fn labels_that_do_not_fit_the_network_are_shown_at_the_target() {
    let content = POINTS.replacen("1,0,b", "1,0,c", 1);
    assert_fails(&check_data(content), 2, &["3 different labels", "units = 3", "points.toml:6"]);
}
