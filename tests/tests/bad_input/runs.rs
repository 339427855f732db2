//! Runs and models that are damaged, incomplete or of another network, and rows to predict.

use std::fs;

use chainrule_tests::runner::{GENDER, Runner};
use safetensors::tensor::{Dtype as TensorDtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde_json::Value as Json;

use super::{edited, fails};

/// A run, and a file to predict.
fn trained() -> Runner {
    let runner = Runner::with_gender();
    runner.done(["gender.toml", "--out", "run", "--set", "train.epochs=2"]);
    runner.write("people.csv", "weight_kg,height_cm\n50,168\n");
    runner
}

const EVAL: &[&str] = &["eval", "run"];
const PREDICT: &[&str] = &["predict", "run", "--input", "people.csv"];

#[test]
fn names_the_file_that_a_run_lacks() {
    let runner = trained();
    for verb in [EVAL, PREDICT] {
        let nowhere: Vec<&str> =
            verb.iter().map(|&word| if word == "run" { "nowhere" } else { word }).collect();
        assert_eq!(fails(&runner, &nowhere, 5, &[]), "error: nowhere: there is no such run directory\n");
        for file in ["config.toml", "metrics.jsonl", "model.safetensors"] {
            let path = format!("run/{file}");
            let content = runner.bytes(&path);
            fs::remove_file(runner.path(&path)).unwrap();
            fails(
                &runner,
                verb,
                5,
                &[
                    if file == "model.safetensors" {
                        "error: run/model.safetensors: "
                    } else {
                        "error: run: this is not a run directory: it has no "
                    },
                    file,
                ],
            );
            runner.write(&path, content);
        }
    }
    fails(&runner, &["eval", "."], 5, &["error: .: this is not a run directory: it has no config.toml"]);
    fails(&runner, &["eval", "gender.toml"], 5, &["error: gender.toml: this is not a run directory"]);
    fails(
        &runner,
        &["predict", "gender.toml", "--input", "people.csv"],
        5,
        &["error: gender.toml: this is not a whole safetensors file"],
    );
    runner.done(EVAL);
    runner.done(PREDICT);
}

#[test]
fn refuses_a_model_file_that_is_not_whole() {
    let runner = trained();
    let whole = runner.bytes("run/model.safetensors");
    for length in [0, 4, 8, 100, whole.len() - 8, whole.len() - 1] {
        runner.write("run/model.safetensors", &whole[..length]);
        for verb in [EVAL, PREDICT] {
            fails(&runner, verb, 5, &["error: run/model.safetensors: this is not a whole safetensors file"]);
        }
    }
}

#[test]
fn refuses_a_model_of_other_shapes_or_without_a_description() {
    let runner = trained();
    let whole = runner.bytes("run/model.safetensors");
    let (_, header) = SafeTensors::read_metadata(&whole).unwrap();
    let metadata = header.metadata().clone();
    let file = SafeTensors::deserialize(&whole).unwrap();
    let (three, zeros) = (vec![3, 2], [0; 48]);
    let other = TensorView::new(TensorDtype::F64, three, &zeros).unwrap();
    let views = file.tensors().into_iter().map(|(name, tensor)| {
        let tensor = if name == "hidden.weight" { other.clone() } else { tensor };
        (name, tensor)
    });
    runner.write("run/model.safetensors", serialize(views, metadata).unwrap());
    for verb in [EVAL, PREDICT] {
        fails(
            &runner,
            verb,
            5,
            &[
                "error: run/model.safetensors: `hidden.weight` is [3, 2] in the file, but [2, 2] in the network",
            ],
        );
    }
    runner.write("run/model.safetensors", serialize(file.tensors(), None).unwrap());
    for verb in [EVAL, PREDICT] {
        fails(
            &runner,
            verb,
            5,
            &["error: run/model.safetensors: the file does not say which network its tensors belong to"],
        );
    }
}

#[test]
fn refuses_a_model_whose_description_does_not_fit() {
    let runner = trained();
    let whole = runner.bytes("run/model.safetensors");
    let (_, header) = SafeTensors::read_metadata(&whole).unwrap();
    let text = header.metadata().clone().unwrap().remove("chainrule").unwrap();
    let file = SafeTensors::deserialize(&whole).unwrap();
    let describe = |text: String| {
        let metadata = Some([("chainrule".to_owned(), text)].into());
        runner.write("run/model.safetensors", serialize(file.tensors(), metadata).unwrap());
    };
    let change = |pointer: &str, value: Json| {
        let mut card: Json = serde_json::from_str(&text).unwrap();
        *card.pointer_mut(pointer).expect(pointer) = value;
        describe(card.to_string());
    };
    let changes = [
        ("/format", 2.into()),
        ("/dtype", "f16".into()),
        ("/input_shape", serde_json::json!([])),
        ("/input_shape", serde_json::json!([0])),
        ("/input_shape", serde_json::json!([3])),
        ("/input_shape", serde_json::json!([4294967296u64, 4294967296u64])),
        ("/layers", serde_json::json!([])),
        ("/layers", 5.into()),
        ("/layers/0", 5.into()),
        ("/layers/0/units", 3.into()),
        ("/layers/0/units", (1u64 << 40).into()),
        ("/layers/0/units", "two".into()),
        ("/layers/0/type", "conv9".into()),
        ("/layers/1/activation", "sigmoit".into()),
        ("/outputs", "things".into()),
        ("/preprocessing/inputs", 0.into()),
        ("/preprocessing/inputs", 3.into()),
        ("/preprocessing/shift", serde_json::json!([1.0])),
        ("/preprocessing/divisor", serde_json::json!([])),
        ("/preprocessing/features", serde_json::json!(["weight_kg"])),
        ("", serde_json::json!({})),
        ("", 5.into()),
    ];
    for (pointer, value) in changes {
        change(pointer, value);
        for verb in [EVAL, PREDICT] {
            fails(&runner, verb, 5, &["error: run/model.safetensors: "]);
        }
    }
    describe("nonsense".into());
    for verb in [EVAL, PREDICT] {
        fails(&runner, verb, 5, &["the file's description of the network cannot be read"]);
    }
    describe(text.clone());
    runner.done(EVAL);
    runner.done(PREDICT);
}

#[test]
fn refuses_to_evaluate_a_network_that_is_not_that_of_the_model() {
    let runner = trained();
    let config = runner.text("run/config.toml");
    for (from, to) in [
        ("units = 2", "units = 3"),
        ("activation = \"sigmoid\"", "activation = \"tanh\""),
        ("dtype = \"f64\"", "dtype = \"f32\""),
    ] {
        runner.write("run/config.toml", config.replacen(from, to, 1));
        fails(
            &runner,
            EVAL,
            5,
            &["error: run/model.safetensors: the network of the model is not that of config.toml"],
        );
        runner.done(PREDICT);
    }
}

#[test]
fn a_broken_config_in_a_run_is_a_run_that_does_not_match() {
    let runner = trained();
    let config = runner.text("run/config.toml");
    for (from, to, message) in [
        ("learning_rate", "lr", "unknown key `lr` in [optimizer]"),
        ("units = 2", "units = 0", "model.layers[0].units must be at least 1"),
        ("[train]", "[train", "--> run/config.toml:"),
    ] {
        assert!(config.contains(from), "{config}");
        runner.write("run/config.toml", config.replacen(from, to, 1));
        fails(&runner, EVAL, 5, &["error: run/config.toml: this is not the experiment of a run", message]);
    }
    runner.write("run/config.toml", [0xff]);
    fails(&runner, EVAL, 5, &["error: run/config.toml: ", "is not UTF-8 text"]);
}

#[test]
fn names_what_is_wrong_with_the_rows_to_predict() {
    let runner = trained();
    let cases: [(&[u8], &str); 17] = [
        (b"", "the file is empty"),
        (b"weight_kg,height_cm\n", "there are no rows to predict"),
        (
            b"weight_kg,hight_cm\n50,168\n",
            "there is no column \"height_cm\", which the model takes; the nearest is \"hight_cm\"",
        ),
        (b"weight_kg;height_cm\n50;168\n", "there is no column \"weight_kg\", which the model takes"),
        (b"weight_kg,height_cm,weight_kg\n50,168,51\n", "there are several columns \"weight_kg\""),
        (
            b"weight_kg,height_cm\n50,168\n51,tall\n",
            "row 2, column 2 \"height_cm\": \"tall\" is not a finite number",
        ),
        (
            b"height_cm,weight_kg\n168,50\ntall,51\n",
            "row 2, column 1 \"height_cm\": \"tall\" is not a finite number",
        ),
        (b"weight_kg,height_cm\n50,\n", "row 1, column 2 \"height_cm\": there is no number (\"\")"),
        (b"weight_kg,height_cm\n50,nan\n", "row 1, column 2 \"height_cm\": there is no number (\"nan\")"),
        (b"weight_kg,height_cm\ninf,168\n", "row 1, column 1 \"weight_kg\": \"inf\" is not a finite number"),
        (
            b"weight_kg,height_cm\n50,1e999\n",
            "row 1, column 2 \"height_cm\": 1e999 is too large for a number",
        ),
        (
            b"weight_kg,height_cm\n\"50,5\",168\n",
            "row 1, column 1 \"weight_kg\": \"50,5\" is not a finite number",
        ),
        (
            b"weight_kg,height_cm\n0x32,168\n",
            "row 1, column 1 \"weight_kg\": \"0x32\" is not a finite number",
        ),
        (b"weight_kg,height_cm\n50\n", "row 1: 1 cells, but the header has 2"),
        (b"weight_kg,height_cm\n50,168,1\n", "row 1: 3 cells, but the header has 2"),
        (b"weight_kg,height_cm\n50,\xe9\n", "row 1, column 2 \"height_cm\": the cell is not UTF-8 text"),
        (b"\x00\x01\x02\xff\xfe", "the name of column 1 is not UTF-8 text"),
    ];
    for (bytes, message) in cases {
        runner.write("people.csv", bytes);
        let stderr = fails(&runner, PREDICT, 3, &[]);
        let expected = format!("error: people.csv: {message}");
        assert!(stderr.starts_with(&expected), "{stderr}, not {expected}");
    }
    fails(&runner, &["predict", "run", "--input", "no.csv"], 3, &["error: no.csv: "]);
    fails(&runner, &["predict", "run", "--input", "run"], 3, &["error: run: "]);
}

#[test]
fn a_row_without_names_must_have_the_width_of_the_model() {
    let runner = Runner::new();
    runner.write("x.toml", edited(GENDER, &[("features = [\"weight_kg\", \"height_cm\"]\n", "")]));
    runner.done(["x.toml", "--out", "run", "--set", "train.epochs=1"]);
    for text in ["50,168,1\n", "50\n"] {
        runner.write("people.csv", text);
        fails(
            &runner,
            PREDICT,
            3,
            &["error: people.csv: row 1 has ", " columns, but the model takes 2 inputs"],
        );
    }
}
