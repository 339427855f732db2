//! `[data] mask_value`: padding is left out of the scaling, the layers and the loss.

use chainrule_tests::runner::Runner;
use serde_json::Value as Json;

/// A sequence of up to three positions of two numbers, with a target for each position.
const POSITIONS: &str = "dtype = 'f64'
seed = 4
[data]
type = 'inline'
mask_value = -9
scale = 'standard'
x = [[1, 2, 3, 4, 5, 6], [2, 1, 4, 3, -9, -9], [7, 7, -9, -9, -9, -9], [0, 9, 8, 1, 2, -9]]
y = [[1, 2, 3], [3, 2, 0], [1, 0, 0], [2, 1, 2]]
[model]
input_shape = [3, 2]
layers = [{ type = 'dense', name = 'out', units = 1 }]
[loss]
type = 'mse'
[optimizer]
type = 'sgd'
learning_rate = 0.05
[train]
epochs = 20
batch_size = 2
[predict]
x = [[1, 2, 3, 4, -9, -9]]
";

/// The same with a recurrent layer and one target a sample.
fn recurrent() -> String {
    POSITIONS
        .replace("y = [[1, 2, 3], [3, 2, 0], [1, 0, 0], [2, 1, 2]]", "y = [[1], [0], [0.5], [2]]")
        .replace("layers = [", "layers = [{ type = 'lstm', name = 'memory', units = 3 }, ")
}

fn trained(text: &str) -> (Runner, Json) {
    let runner = Runner::new();
    runner.write("x.toml", text);
    runner.done(["train", "x.toml", "--out", "run"]);
    let result = runner.json("run/result.json");
    (runner, result)
}

fn card(runner: &Runner) -> Json {
    let bytes = runner.bytes("run/model.safetensors");
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).expect("safetensors");
    let metadata = metadata.metadata().as_ref().expect("metadata");
    serde_json::from_str(&metadata["chainrule"]).expect("JSON")
}

#[test]
fn what_stands_in_place_of_padding_does_not_matter() {
    // Targets of padding are not compared with; another mark of it gives the same network.
    let changed = POSITIONS.replace("[3, 2, 0], [1, 0, 0]", "[3, 2, 77], [1, -5, 1000]");
    // The real -9 is no padding: the other number of its position is none.
    let marked = POSITIONS
        .replace("mask_value = -9", "mask_value = 50")
        .replace("4, 3, -9, -9", "4, 3, 50, 50")
        .replace("-9, -9, -9, -9", "50, 50, 50, 50");
    assert_ne!(POSITIONS, marked);
    let digest = |text: &str| trained(text).1["parameters_blake3"].clone();
    assert_eq!(digest(POSITIONS), digest(&changed));
    assert_eq!(digest(POSITIONS), digest(&marked));
    assert_ne!(digest(POSITIONS), digest(&POSITIONS.replace("mask_value = -9\n", "")));
}

#[test]
fn the_scaling_is_that_of_the_positions_that_count() {
    let (runner, _) = trained(POSITIONS);
    let card = card(&runner);
    let shift: Vec<f64> = serde_json::from_value(card["preprocessing"]["shift"].clone()).expect("numbers");
    let expected = [10.0 / 4.0, 19.0 / 4.0, 5.0, 8.0 / 3.0, 3.5, -1.5];
    for (shift, expected) in shift.iter().zip(expected) {
        assert!((shift - expected).abs() < 1e-15, "{shift} {expected}");
    }
    assert_eq!(card["preprocessing"]["mask"]["positions"], 3);
}

#[test]
fn a_position_that_counts_is_not_taken_for_padding_when_it_is_scaled() {
    // Centered, the middle position of the first sample is zero in all numbers, as padding is.
    let text = POSITIONS
        .replace("mask_value = -9", "mask_value = 0")
        .replace("scale = 'standard'", "scale = 'center'")
        .replace(
            "x = [[1, 2, 3, 4, 5, 6], [2, 1, 4, 3, -9, -9], [7, 7, -9, -9, -9, -9], [0, 9, 8, 1, 2, -9]]",
            "x = [[1, 2, 3, 4, 5, 6], [2, 1, 2, 3, 0, 0], [7, 7, 4, 5, 0, 0]]",
        )
        .replace("y = [[1, 2, 3], [3, 2, 0], [1, 0, 0], [2, 1, 2]]", "y = [[1, 2, 3], [3, 2, 0], [1, 0, 0]]")
        .replace("epochs = 20", "epochs = 1");
    let loss = |dtype: &str, text: &str| {
        let (_, result) = trained(&text.replace("'f64'", dtype));
        result["metrics"]["train"]["loss"].as_f64().expect("a number")
    };
    for dtype in ["'f64'", "'f32'"] {
        let with_middle = loss(dtype, &text);
        // If it were padding, its target would not matter.
        let other = loss(dtype, &text.replace("y = [[1, 2, 3]", "y = [[1, 9, 3]"));
        assert!((with_middle - other).abs() > 0.1, "{with_middle} {other}");
    }
}

#[test]
fn every_command_knows_the_mask() {
    for text in [POSITIONS.to_owned(), recurrent()] {
        let (runner, result) = trained(&text);
        runner.write("in.csv", "1,2,3,4,-9,-9\n");
        let line = runner.done(["predict", "run", "--input", "in.csv", "--format", "jsonl"]).stdout;
        let predicted: Json = serde_json::from_str(&line).expect("JSON");
        assert_eq!(predicted, result["predictions"][0]["prediction"]);
        let eval = runner.done(["eval", "run"]).stdout;
        let loss = result["metrics"]["train"]["loss"].to_string();
        assert!(eval.contains(&loss), "{eval} {loss}");
        assert!(runner.done(["gradcheck", "x.toml"]).stdout.contains("no gradient is wrong"));
        runner.done(["explain", "x.toml", "--sample", "1", "--json", "explained.json"]);
        let explained = runner.json("explained.json");
        let tensors = explained["sample"]["tensors"].as_array().expect("tensors");
        for parameter in
            tensors.iter().flat_map(|tensor| tensor["parameters"].as_array().expect("parameters"))
        {
            let number = |key: &str| parameter[key].as_f64().expect("a number");
            assert!((number("backward") - number("difference")).abs() < 1e-6, "{parameter}");
            if let Some(value) = parameter["derivative"]["value"].as_f64() {
                assert!((value - number("backward")).abs() < 1e-12, "{parameter}");
            }
        }
        runner.done(["summary", "x.toml"]);
    }
}

/// Without `mask_value`, the padding of an embedding is used in the same way.
#[test]
fn an_embedding_marks_padding_too() {
    let text = "dtype = 'f64'
        data = { type = 'inline', x = [[1, 2, 3], [2, 1, 0], [3, 0, 0]], y = [[1, 2, 3], [3, 2, 0], [1, 0, 0]] }
        model.layers = [
          { type = 'embedding', name = 'tokens', vocabulary = 4, units = 2, padding_index = 0 },
          { type = 'dense', name = 'out', units = 1 },
        ]
        loss.type = 'mse'
        optimizer = { type = 'sgd', learning_rate = 0.1 }
        train = { epochs = 3, batch_size = 2 }";
    let changed = text.replace("[3, 2, 0], [1, 0, 0]]", "[3, 2, 55], [1, 7, -9]]");
    assert_ne!(text, changed);
    let (runner, result) = trained(text);
    assert_eq!(result["parameters_blake3"], trained(&changed).1["parameters_blake3"]);
    assert!(runner.done(["gradcheck", "x.toml"]).stdout.contains("no gradient is wrong"));
    runner.done(["eval", "run"]);
}

#[test]
fn accuracy_counts_no_padding() {
    let classes = |padding: &str| {
        POSITIONS
            .replace(
                "y = [[1, 2, 3], [3, 2, 0], [1, 0, 0], [2, 1, 2]]",
                &format!("y = [[1, {padding}], [0, 1]]"),
            )
            .replace(
                "x = [[1, 2, 3, 4, 5, 6], [2, 1, 4, 3, -9, -9], [7, 7, -9, -9, -9, -9], [0, 9, 8, 1, 2, -9]]",
                "x = [[1, 2, -9, -9], [3, 4, 5, 6]]",
            )
            .replace("input_shape = [3, 2]", "input_shape = [2, 2]")
            .replace("units = 1", "units = 1, activation = 'sigmoid'")
            .replace("type = 'mse'", "type = 'binary_cross_entropy'")
            .replace("x = [[1, 2, 3, 4, -9, -9]]", "x = [[1, 2, -9, -9]]")
            .replace("[optimizer]", "[metrics]\nreport = ['accuracy']\n[optimizer]")
    };
    let accuracy = |padding| trained(&classes(padding)).1["metrics"]["train"]["accuracy"].clone();
    assert_eq!(accuracy("0"), accuracy("1"));
}

#[test]
fn mistakes_are_named_at_their_place() {
    let refused = |text: &str, words: &str| {
        let runner = Runner::new();
        runner.write("x.toml", text);
        let ended = runner.run(["check", "x.toml"]);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
        ended.stderr
    };
    let stderr = refused(&POSITIONS.replace("input_shape = [3, 2]\n", ""), "a sample has the shape [6]");
    assert!(
        stderr.contains("x.toml:5:14") && stderr.contains("input_shape = [positions, features]"),
        "{stderr}"
    );
    let metric = POSITIONS.replace("[optimizer]", "[metrics]\nreport = ['rmse']\n[optimizer]");
    refused(&metric, "`rmse` is not possible of positions that may be padding");
    let flat = POSITIONS
        .replace("layers = [", "layers = [{ type = 'flatten' }, ")
        .replace("y = [[1, 2, 3], [3, 2, 0], [1, 0, 0], [2, 1, 2]]", "y = [[1], [0], [0.5], [2]]");
    refused(&flat, "nothing in this network would skip it");
    // A layer between input and memory makes other positions of them.
    let other = recurrent().replace("layers = [", "layers = [{ type = 'reshape', shape = [2, 3] }, ");
    let stderr = refused(&other, "padding is marked for the 3 positions of the input");
    assert!(stderr.contains("(lstm \"memory\"), which skips it, goes over 2"), "{stderr}");
}
