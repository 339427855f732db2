//! `runner explain`: the text is read back, its factors are multiplied, and the product must be what it says.

use chainrule_tests::runner::{Runner, XOR};
use serde_json::Value as Json;

/// What the text says of one derivative, from its first line on: the products of its terms, and its value.
struct Read {
    name: String,
    products: Vec<f64>,
    value: f64,
}

/// All numbers in parentheses of a line, multiplied.
fn product(line: &str) -> f64 {
    let number = |part: &str| part.split(')').next().and_then(|inner| inner.parse::<f64>().ok());
    line.split('(').skip(1).filter_map(number).product()
}

/// The derivatives of the text that have factors, in order.
fn derivatives(text: &str) -> Vec<Read> {
    let mut found: Vec<Read> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let content = line.trim_start();
        if content.starts_with("dL/d") && content.contains(" * ") {
            let name = content.split(' ').next().unwrap().to_owned();
            found.push(Read { name, products: Vec::new(), value: f64::NAN });
            open = true;
        }
        let Some(last) = found.last_mut().filter(|_| open) else { continue };
        let value = content.strip_prefix("= ").and_then(|number| number.parse::<f64>().ok());
        if let Some(value) = value {
            last.value = value;
            open = false;
        } else if let Some(product_so_far) = last.products.last_mut().filter(|_| content.starts_with("* (")) {
            *product_so_far *= product(content);
        } else if content.contains('(') {
            last.products.push(product(content));
        }
    }
    found
}

/// The number after a label, in order.
fn labelled(text: &str, label: &str) -> Vec<f64> {
    let number = |line: &str| line.trim_start().strip_prefix(label).map(|rest| rest.trim().parse().unwrap());
    text.lines().filter_map(number).collect()
}

fn assert_near(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!(
        (found - expected).abs() <= tolerance * expected.abs().max(1e-3),
        "{what}: {found} against {expected}"
    );
}

/// Multiplies all factors of a text and compares; gives the derivatives by parameters in order.
fn check(text: &str, parameters: usize) -> Vec<f64> {
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let all = derivatives(text);
    for Read { name, products, value } in &all {
        assert!(!products.is_empty(), "{name}");
        let mut sum = 0.0;
        products.iter().for_each(|product| sum += product);
        assert_near(sum, *value, 1e-15, name);
    }
    let by_parameters: Vec<f64> = all[all.len() - parameters..].iter().map(|read| read.value).collect();
    let (backward, difference) =
        (labelled(text, "matrix backward pass"), labelled(text, "central difference"));
    assert_eq!((backward.len(), difference.len()), (parameters, parameters), "{text}");
    for ((slope, backward), difference) in by_parameters.iter().zip(&backward).zip(&difference) {
        assert_near(*slope, *backward, 1e-12, "the backward pass");
        assert_near(*slope, *difference, 1e-6, "the central difference");
    }
    by_parameters
}

#[test]
fn the_notebooks_network_has_its_nine_products() {
    let runner = Runner::with_gender();
    for sample in ["0", "1", "2", "3"] {
        let text = runner.done(["explain", "gender.toml", "--sample", sample]).stdout;
        let slopes = check(&text, 9);
        assert!(slopes.iter().all(|slope| *slope != 0.0));
        for equation in [
            "dL/dw1 = dL/dy * dy/dh1 * dh1/dw1",
            "dL/dw2 = dL/dy * dy/dh1 * dh1/dw2",
            "dL/dw3 = dL/dy * dy/dh2 * dh2/dw3",
            "dL/dw4 = dL/dy * dy/dh2 * dh2/dw4",
            "dL/dw5 = dL/dy * dy/dw5",
            "dL/dw6 = dL/dy * dy/dw6",
            "dL/db1 = dL/dy * dy/dh1 * dh1/db1",
            "dL/db2 = dL/dy * dy/dh2 * dh2/db2",
            "dL/db3 = dL/dy * dy/db3",
        ] {
            assert!(text.lines().any(|line| line.trim() == equation), "{equation}\n{text}");
        }
    }
}

#[test]
fn the_update_is_what_the_first_step_of_the_training_does() {
    let runner = Runner::with_gender();
    runner.done(["explain", "gender.toml", "--sample", "0", "--json", "explained.json", "-q"]);
    let explained = runner.json("explained.json");
    // One epoch over one sample is one step.
    let one_sample = ["--set", "data.x=[[54, 168], [54, 168]]", "--set", "data.y=[[1], [1]]"];
    let shifted =
        ["--set", "data.scale=\"center\"", "--set", "train.epochs=1", "--set", "train.batch_size=2"];
    let again = ["explain", "gender.toml", "--sample", "0", "--json", "step.json"];
    runner.done(again.iter().chain(&one_sample).chain(&shifted));
    runner.done(["train", "gender.toml", "--out", "run"].iter().chain(&one_sample).chain(&shifted));
    let trained = runner.bytes("run/model.safetensors");
    let file = safetensors::SafeTensors::deserialize(&trained).unwrap();
    for tensor in runner.json("step.json")["sample"]["tensors"].as_array().unwrap() {
        let bytes = file.tensor(tensor["name"].as_str().unwrap()).unwrap().data().to_vec();
        let trained = bytes.chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()));
        for (trained, parameter) in trained.zip(tensor["parameters"].as_array().unwrap()) {
            assert_near(trained, parameter["updated"].as_f64().unwrap(), 1e-14, "the trained parameter");
            assert_eq!(parameter["optimizer"], Json::Null);
        }
    }
    let rate = explained["sample"]["learning_rate"].as_f64().unwrap();
    for tensor in explained["sample"]["tensors"].as_array().unwrap() {
        for parameter in tensor["parameters"].as_array().unwrap() {
            let number = |key: &str| parameter[key].as_f64().unwrap();
            let slope = parameter["derivative"]["value"].as_f64().unwrap();
            assert_eq!(number("updated"), number("value") - rate * slope);
        }
    }
}

#[test]
fn the_whole_text_of_the_notebooks_network() {
    let runner = Runner::with_gender();
    let text = runner.done(["explain", "gender.toml", "--sample", "0"]).stdout;
    let expected = include_str!("explain_gender.txt");
    // Another processor or C library may round the last digits otherwise; the central difference is the sum of such.
    let number = |word: &str| word.trim_matches(['(', ')', '[', ']', ',']).parse::<f64>().ok();
    for (found, expected) in text.lines().zip(expected.lines()) {
        let (words, wanted): (Vec<_>, Vec<_>) = (found.split(' ').collect(), expected.split(' ').collect());
        assert_eq!(words.len(), wanted.len(), "{found}");
        for (word, wanted) in words.into_iter().zip(wanted) {
            match (number(word), number(wanted)) {
                (Some(word), Some(wanted)) => assert_near(word, wanted, 1e-6, found),
                _ => assert_eq!(word, wanted, "{found}"),
            }
        }
    }
    assert_eq!(text.lines().count(), expected.lines().count());
}

#[test]
fn without_a_sample_there_are_formulas_and_shapes_only() {
    let runner = Runner::with_gender();
    let text = runner.done(["explain", "gender.toml"]).stdout;
    for part in ["z = x Wᵀ + b", "f'(z) = y (1 - y)", "dW = dzᵀ x", "[2, 2]", "(y - t)²"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("  numbers") && !text.contains("central difference"), "{text}");
}

const GRAPH: &str = r#"
[data]
type = "inline"
x = [[1, 2], [0.5, -1]]
y = [[1], [0]]
[model]
layers = [
  { type = "dense", name = "a", units = 2, activation = "gelu" },
  { type = "dense", name = "gate", units = 2, activation = "sigmoid", inputs = ["a"], bias = false },
  { type = "multiply", name = "product", inputs = ["a", "gate"] },
  { type = "add", name = "sum", inputs = ["product", "a"], activation = "tanh" },
  { type = "concat", name = "all", inputs = ["sum", "gate", "input"] },
  { type = "dense", name = "out", units = 1, activation = "sigmoid" },
]
[loss]
type = "binary_cross_entropy"
[optimizer]
type = "sgd"
learning_rate = 0.1
weight_decay = 0.01
[train]
epochs = 1
"#;

#[test]
fn a_fan_out_adds_up_its_paths() {
    let runner = Runner::new();
    runner.write("graph.toml", GRAPH);
    let text = runner.done(["explain", "graph.toml", "--sample", "1"]).stdout;
    check(&text, 6 + 4 + 7);
    assert!(text.contains("+ dL/dproduct[0] * dproduct[0]/da[0]"), "{text}");
    assert!(text.contains("optimizer's step"), "weight decay is another step\n{text}");
    assert!(text.contains("the loss and the sigmoid are computed as"), "{text}");
}

#[test]
fn scores_and_classes_are_explained_as_they_are_computed() {
    let runner = Runner::new();
    runner.write("xor.toml", XOR);
    let small = ["--set", "model.layers.0.units=3"];
    let text = runner.done(["explain", "xor.toml", "--sample", "1"].iter().chain(&small)).stdout;
    check(&text, 17);
    assert!(text.contains("class [0] [\"different\"]") && text.contains("softmax itself"), "{text}");
}

#[test]
fn a_wide_layer_is_abridged_and_not_wrong() {
    let runner = Runner::with_gender();
    let wide = ["--set", "model.layers.0.units=300", "--json", "wide.json"];
    let text = runner.done(["explain", "gender.toml", "--sample", "2"].iter().chain(&wide)).stdout;
    check(&text, 3 + 3 + 3 + 1);
    assert!(text.contains("... and 597 more; the 3 with the largest derivatives are shown"), "{text}");
    assert!(text.lines().count() < 200, "{}", text.lines().count());
    for tensor in runner.json("wide.json")["sample"]["tensors"].as_array().unwrap() {
        let size: u64 =
            tensor["shape"].as_array().unwrap().iter().map(|axis| axis.as_u64().unwrap()).product();
        let shown = tensor["parameters"].as_array().unwrap().len() as u64;
        assert_eq!(shown + tensor["left_out"].as_u64().unwrap(), size);
    }
}

#[test]
fn a_sum_over_many_outputs_keeps_its_largest_terms() {
    let runner = Runner::with_gender();
    let more = "model.layers=[{type=\"dense\",name=\"a\",units=2},{type=\"dense\",name=\"b\",units=40},\
                {type=\"dense\",name=\"c\",units=1}]";
    let arguments = ["explain", "gender.toml", "--sample", "0", "--set", more];
    let text = runner.done(arguments).stdout;
    check(&text, 4 + 2 + 3 + 3 + 3 + 1);
    assert!(text.contains("+ 36 smaller terms = ("), "{text}");
}

#[test]
fn a_sample_that_is_not_there_is_a_usage_error() {
    let runner = Runner::with_gender();
    let ended = runner.run(["explain", "gender.toml", "--sample", "4"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(ended.stderr.contains("4 training samples, numbered 0 to 3"), "{}", ended.stderr);
}
