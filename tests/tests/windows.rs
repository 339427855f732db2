//! CSV files as time series: windows, parts in order, one scale a column, prediction of rows to come.

use chainrule_tests::runner::{Ended, Runner};

#[track_caller]
fn assert_fails(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "`{word}` is not in: {}", ended.stderr);
    }
}

const SERIES: &str = r#"name = "series"
dtype = "f64"

[data]
type = "csv"
path = "series.csv"
features = ["a", "b"]
target = "b"
window = { length = 3 }

[model]
layers = [{ type = "dense", units = 1 }]

[loss]
type = "mse"

[optimizer]
type = "sgd"
learning_rate = 0.01

[train]
epochs = 5

[metrics]
report = ["rmse"]
"#;

fn rows(range: std::ops::Range<u32>) -> String {
    let rows = range.map(|row| format!("{row},{}\n", row * row % 7));
    "a,b\n".to_owned() + &rows.collect::<String>()
}

fn series() -> Runner {
    let runner = Runner::new();
    runner.write("series.toml", SERIES.replace("[model]\n", "[model]\ninput_shape = [6]\n"));
    runner.write("series.csv", rows(0..20));
    runner
}

fn check(runner: &Runner, changes: &[&str]) -> Ended {
    runner
        .run(["check", "series.toml"].into_iter().chain(changes.iter().flat_map(|&change| ["--set", change])))
}

#[test]
fn windows_of_the_parts_follow_each_other_in_time() {
    let runner = series();
    let ended = check(&runner, &[]);
    assert!(ended.stdout.contains("17 training samples"), "{}{}", ended.stdout, ended.stderr);
    // 10, 5 and 5 rows, of which a sample and its target take 4.
    let ended = check(&runner, &["data.validation=0.25", "data.test=0.25"]);
    assert!(ended.stdout.contains("7 training samples, 2 validation, 2 test"), "{}", ended.stdout);
    let ended = check(&runner, &["data.window={ length = 3, horizon = 2, stride = 3 }"]);
    assert!(ended.stdout.contains("6 training samples"), "{}", ended.stdout);
    let short = check(&runner, &["data.test=0.1"]);
    assert_fails(&short, 2, &["the test part has 2 of the 20 rows, but a sample and its target take 4"]);
    let long = check(&runner, &["data.window={ length = 20 }"]);
    assert_fails(&long, 2, &["the training part has 20 of the 20 rows, but a sample and its target take 21"]);
}

#[test]
fn the_shape_of_a_sample_is_that_of_its_window() {
    let runner = series();
    runner.write("series.toml", SERIES);
    // A dense layer works on the last axis: the three rows would have an output each.
    assert_fails(&check(&runner, &[]), 2, &["the network takes 3 targets a sample, but the data have 1"]);
    let wrong = check(&runner, &["model.input_shape=[3, 3]"]);
    assert_fails(&wrong, 2, &["[3, 3] holds 9 numbers, but the data have 6 a sample"]);
}

#[test]
fn a_window_is_the_same_as_its_row_written_out() {
    let runner = series();
    let rows: Vec<[u32; 2]> = (0..20).map(|row| [row, row * row % 7]).collect();
    let x: Vec<Vec<u32>> = rows.windows(3).take(17).map(<[_]>::concat).collect();
    let y: Vec<[u32; 1]> = rows[3..].iter().map(|row| [row[1]]).collect();
    let data = format!("type = \"inline\"\nx = {x:?}\ny = {y:?}\n");
    let (before, rest) = SERIES.split_once("type = \"csv\"").expect("the type");
    let (_, after) = rest.split_once("\n\n[model]").expect("the model");
    runner.write("inline.toml", format!("{before}{data}\n[model]{after}"));
    runner.done(["train", "series.toml", "--set", "optimizer.learning_rate=0.001", "--out", "series"]);
    runner.done(["train", "inline.toml", "--set", "optimizer.learning_rate=0.001", "--out", "inline"]);
    let digest = |run: &str| runner.json(format!("{run}/result.json"))["parameters_blake3"].clone();
    assert_eq!(digest("series"), digest("inline"));
}

#[test]
fn a_column_has_one_scale_fitted_on_the_training_rows() {
    let runner = series();
    let changes = ["--set", "data.scale=\"minmax\"", "--set", "data.test=0.25", "--out", "run"];
    runner.done(["train", "series.toml"].into_iter().chain(changes));
    let model = String::from_utf8_lossy(&runner.bytes("run/model.safetensors")).replace('\\', "");
    // Rows 0 to 14: a to 14, b to 4.
    assert!(model.contains(r#""shift":[0.0,0.0]"#) && model.contains(r#""divisor":[14.0,4.0]"#), "{model}");
    let test = runner.json("run/result.json")["metrics"]["test"]["rmse"].clone();
    assert!(runner.done(["eval", "run"]).stdout.contains(&format!("rmse {test}")));
}

#[test]
fn predict_takes_windows_of_the_rows_that_it_is_given() {
    let runner = series();
    runner.done(["train", "series.toml", "--set", "data.scale=\"standard\"", "--out", "run"]);
    runner.write("new.csv", rows(20..25));
    let all = runner.done(["predict", "run", "--input", "new.csv"]).stdout;
    assert_eq!(all.lines().count(), 1 + 3, "{all}");
    // The last window alone is the last prediction.
    runner.write("new.csv", rows(22..25));
    assert_eq!(
        all.lines().last(),
        runner.done(["predict", "run", "--input", "new.csv"]).stdout.lines().last()
    );
    runner.write("new.csv", rows(22..24));
    assert_fails(
        &runner.run(["predict", "run", "--input", "new.csv"]),
        3,
        &["there are 2 rows, but the model takes 3"],
    );
}

#[test]
fn a_series_of_one_column_is_foretold_from_its_past() {
    let runner = series();
    runner.write("series.csv", "b\n".to_owned() + &"1\n2\n3\n".repeat(5));
    let ended = check(&runner, &["data.features=[\"b\"]", "model.input_shape=[3]"]);
    assert!(ended.stdout.contains("12 training samples"), "{}{}", ended.stdout, ended.stderr);
    let data = "data={ type = \"csv\", path = \"series.csv\", target = \"b\", window = { length = 3 } }";
    assert_fails(&check(&runner, &[data]), 3, &["list it in `features`, if its own past is to foretell it"]);
    let without = "data={ type = \"csv\", path = \"series.csv\", target = \"b\", features = [\"b\"] }";
    assert_fails(&check(&runner, &[without]), 2, &["the column `b` is in `target` and again in `features`"]);
}
