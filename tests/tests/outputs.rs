//! Several inputs, several outputs with a loss each, and tied layers, as a run shows them.

use chainrule_tests::runner::Runner;
use serde_json::{Value as Json, json};

const TWO_OUTPUTS: &str = include_str!("../../configs/two_outputs.toml");

fn number(json: &Json) -> f64 {
    json.as_f64().unwrap_or_else(|| panic!("{json} is no number"))
}

/// What a mistake is called, of a change of the experiment; it ends with 2.
fn refused(from: &str, to: &str) -> String {
    assert!(TWO_OUTPUTS.contains(from), "{from}");
    let runner = Runner::new();
    runner.write("x.toml", TWO_OUTPUTS.replacen(from, to, 1));
    let ended = runner.run(["check", "x.toml"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    ended.stderr
}

#[test]
fn every_output_has_its_own_loss_and_metrics_and_all_add_up() {
    let runner = Runner::new();
    runner.write("x.toml", TWO_OUTPUTS);
    let validated = ["--set", "data.validation=0.25", "--set", "train.log_every=1"];
    runner.done(["train", "x.toml", "--out", "run", "--set", "train.epochs=5"].into_iter().chain(validated));
    let lines = runner.json_lines("run/metrics.jsonl");
    assert_eq!(lines.len(), 5);
    for line in &lines {
        for part in ["train", "validation"] {
            let loss = |output: &str| number(&line[format!("{part}_loss{output}")]);
            let sum = loss("_kind") + 0.5 * loss("_price");
            assert!((loss("") - sum).abs() <= 1e-15 * sum.abs().max(1.0), "{line}");
            assert!((0.0..=1.0).contains(&number(&line[format!("{part}_accuracy_kind")])));
            let rmse = number(&line[format!("{part}_rmse_price")]);
            assert!((rmse * rmse - loss("_price")).abs() < 1e-12, "{line}");
        }
        assert!(line["train_accuracy_price"].is_null() && line["train_accuracy"].is_null());
    }
    let metrics = &runner.json("run/result.json")["metrics"];
    for key in ["loss", "loss_kind", "loss_price", "accuracy_kind", "rmse_price"] {
        assert_eq!(metrics["validation"][key], lines[4][format!("validation_{key}")], "{key}");
    }
    // Of each kind its share is held out.
    assert_eq!(runner.done(["eval", "run"]).stdout.lines().count(), 2);
}

#[test]
fn predictions_name_output_and_number() {
    let runner = Runner::new();
    runner.write("x.toml", TWO_OUTPUTS);
    runner.done(["train", "x.toml", "--out", "run"]);
    let result = runner.json("run/result.json");
    let of_garden = &result["predictions"][1]["prediction"];
    assert_eq!(of_garden["kind"]["class"], "1");
    runner.write("in.csv", "rooms,area,garden,age\n3,75,0,20\n5,160,5,15\n");
    let predict = |format| runner.done(["predict", "run", "--input", "in.csv", "--format", format]).stdout;
    let lines: Vec<Json> =
        predict("jsonl").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[1], *of_garden);
    let table = predict("csv");
    assert!(table.starts_with("kind.class,kind.p_0,kind.p_1,kind.p_2,price.price\n0,"), "{table}");
    let price: f64 = table.lines().nth(2).and_then(|line| line.rsplit(',').next()).unwrap().parse().unwrap();
    assert_eq!(price, number(&of_garden["price"]["price"]));
}

#[test]
fn gradients_and_their_explanation_agree() {
    let runner = Runner::new();
    runner.write("x.toml", TWO_OUTPUTS);
    let ended = runner.done(["gradcheck", "x.toml"]);
    assert!(ended.stdout.contains("no gradient is wrong"), "{}", ended.stdout);
    runner.done(["explain", "x.toml", "--sample", "5", "--json", "explained.json"]);
    let explained = runner.json("explained.json");
    assert_eq!(explained["losses"][1]["output"], "price");
    assert_eq!(explained["sample"]["targets"].as_array().map(Vec::len), Some(2));
    let tensors = explained["sample"]["tensors"].as_array().expect("tensors");
    for parameter in tensors.iter().flat_map(|tensor| tensor["parameters"].as_array().expect("parameters")) {
        let (backward, product) = (number(&parameter["backward"]), number(&parameter["derivative"]["value"]));
        assert!((backward - product).abs() < 1e-12, "{parameter}");
        assert!((backward - number(&parameter["difference"])).abs() < 1e-6, "{parameter}");
    }
    let summary = runner.done(["summary", "x.toml"]).stdout;
    assert!(summary.contains("\nsize") && summary.contains("\nage"), "{summary}");
}

/// One network with one output, as [loss] and as [[outputs]], from CSV.
#[test]
fn one_output_of_a_list_is_the_loss_of_the_table() {
    let runner = Runner::new();
    runner.write("d.csv", "a,b,t\n1,2,x\n2,1,y\n3,5,x\n0,1,y\n");
    let experiment = |loss: &str| {
        format!(
            "seed = 3\ndata = {{ type = 'csv', path = 'd.csv', target = 't' }}\n\
             model.layers = [{{ type = 'dense', name = 'out', units = 2 }}]\n\
             optimizer = {{ type = 'sgd', learning_rate = 0.1 }}\ntrain.epochs = 3\n{loss}\n"
        )
    };
    runner.write("a.toml", experiment("loss.type = 'cross_entropy'"));
    runner.write("b.toml", experiment("outputs = [{ layer = 'out', loss = { type = 'cross_entropy' } }]"));
    for name in ["a", "b"] {
        runner.done(["train", &format!("{name}.toml"), "--out", name]);
    }
    let result = |name: &str| runner.json(format!("{name}/result.json"));
    assert_eq!(result("a")["parameters_blake3"], result("b")["parameters_blake3"]);
    assert_eq!(result("a")["metrics"]["train"]["loss"], result("b")["metrics"]["train"]["loss_out"]);
}

#[test]
fn columns_of_a_file_are_labels_answers_and_numbers() {
    let runner = Runner::new();
    runner.write(
        "d.csv",
        "x,colour,sold,price,size\n1,red,yes,1.5,2\n2,blue,no,2.5,3\n3,red,no,3.5,4\n4,green,yes,0.5,5\n",
    );
    let text = "dtype = 'f64'
        data = { type = 'csv', path = 'd.csv', target = ['colour', 'sold', 'price', 'size'] }
        model.layers = [
          { type = 'dense', name = 'stem', units = 3, activation = 'tanh' },
          { type = 'dense', name = 'colour', units = 3 },
          { type = 'dense', name = 'sold', units = 1, activation = 'sigmoid', inputs = ['stem'] },
          { type = 'dense', name = 'size', units = 2, inputs = ['stem', ] },
        ]
        optimizer = { type = 'sgd', learning_rate = 0.1 }
        train.epochs = 2
        outputs = [
          { layer = 'colour', loss = { type = 'cross_entropy' } },
          { layer = 'sold', loss = { type = 'binary_cross_entropy' }, weight = 2 },
          { layer = 'size', loss = { type = 'mae' } },
        ]
        predict.x = [[1]]
        ";
    runner.write("x.toml", text);
    runner.done(["train", "x.toml", "--out", "run"]);
    let prediction = runner.json("run/result.json")["predictions"][0]["prediction"].clone();
    let keys = |json: &Json| json.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>());
    assert_eq!(
        keys(&prediction["colour"]["probabilities"]),
        Some(["blue", "green", "red"].map(String::from).into())
    );
    assert_eq!(keys(&prediction["sold"]["probabilities"]), Some(["no", "yes"].map(String::from).into()));
    assert_eq!(keys(&prediction["size"]), Some(["price", "size"].map(String::from).into()));
    assert!(runner.done(["gradcheck", "x.toml"]).stdout.contains("no gradient is wrong"));
    // The model file has all that prediction needs, and the whole run can be evaluated again.
    runner.write("in.csv", "x\n1\n");
    let line = runner.done(["predict", "run", "--input", "in.csv", "--format", "jsonl"]).stdout;
    assert_eq!(serde_json::from_str::<Json>(&line).expect("JSON"), prediction);
    runner.done(["eval", "run"]);

    let wrong = |from: &str, to: &str| {
        runner.write("y.toml", text.replacen(from, to, 1));
        runner.run(["check", "y.toml"])
    };
    let ended = wrong("'price', 'size'] }", "'price'] }");
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("1 (\"colour\") + 1 (\"sold\") + 2 (\"size\") = 4 targets"),
        "{}",
        ended.stderr
    );
    let ended = wrong("'colour', 'sold', 'price', 'size'] }", "'sold', 'price', 'size', 'colour'] }");
    assert_eq!(ended.code, 3, "{}", ended.stderr);
}

/// An output that other layers read gives them what it gives the user, not the scores that its loss takes.
#[test]
fn an_output_may_feed_other_layers() {
    let runner = Runner::new();
    let text = "dtype = 'f64'
        data = { type = 'inline', x = [[0, 1], [1, 2], [3, 1]], y = [[0, 1.5], [1, 2.5], [1, 0.5]] }
        model.layers = [
          { type = 'dense', name = 'sure', units = 1, activation = 'sigmoid' },
          { type = 'dense', name = 'much', units = 1 },
        ]
        optimizer = { type = 'sgd', learning_rate = 0.1 }
        train = { epochs = 2, shuffle = false }
        outputs = [
          { layer = 'sure', loss = { type = 'binary_cross_entropy' } },
          { layer = 'much', loss = { type = 'mse' } },
        ]
        predict.x = [[0, 1]]
        ";
    runner.write("x.toml", text);
    runner.done(["train", "x.toml", "--out", "run"]);
    assert!(runner.done(["gradcheck", "x.toml"]).stdout.contains("no gradient is wrong"));
    // `much` is a function of `sure`, which is between 0 and 1 for whoever reads it.
    let prediction = &runner.json("run/result.json")["predictions"][0]["prediction"];
    let sure = number(&prediction["sure"]["y0"]);
    assert!((0.0..1.0).contains(&sure));
    let model = runner.bytes("run/model.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(&model).expect("safetensors");
    let value = |name: &str| {
        let (chunks, _) = tensors.tensor(name).expect(name).data().as_chunks::<8>();
        f64::from_le_bytes(chunks[0])
    };
    let much = value("much.weight") * sure + value("much.bias");
    assert!((number(&prediction["much"]["y0"]) - much).abs() < 1e-15);
}

#[test]
fn a_tied_layer_shares_one_tensor_and_one_gradient() {
    let runner = Runner::new();
    let text = "dtype = 'f64'
        data = { type = 'inline', x = [[0, 1], [1, 2], [3, 1]], y = [[1, 0], [0, 1], [1, 1]] }
        model.layers = [
          { type = 'dense', name = 'one', units = 2, bias = false, activation = 'tanh' },
          { type = 'dense', name = 'two', units = 2, bias = false, tie = 'one' },
        ]
        loss.type = 'mse'
        optimizer = { type = 'sgd', learning_rate = 0.1 }
        train.epochs = 3
        ";
    runner.write("x.toml", text);
    runner.done(["train", "x.toml", "--out", "run"]);
    let model = runner.bytes("run/model.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(&model).expect("safetensors");
    assert_eq!(tensors.names(), ["one.weight"]);
    assert_eq!(runner.json("run/result.json")["parameters"], json!(4));
    assert!(runner.done(["gradcheck", "x.toml"]).stdout.contains("no gradient is wrong"));
    runner.done(["eval", "run"]);
    runner.done(["explain", "x.toml", "--sample", "1"]);
    assert!(runner.done(["summary", "x.toml"]).stdout.contains("4 parameters"));
    let refused = |from: &str, to: &str, words: &[&str]| {
        runner.write("y.toml", text.replacen(from, to, 1));
        let ended = runner.run(["check", "y.toml"]);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        words.iter().for_each(|words| assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr));
    };
    refused("tie = 'one'", "tie = 'two'", &["is tied to itself", "y.toml:5:"]);
    refused("tie = 'one'", "tie = 'onn'", &["no layer has that name", "did you mean \"one\"?"]);
    refused("bias = false, act", "bias = false, tie = 'two', act", &["which comes after it"]);
    refused(
        "bias = false, tie",
        "tie",
        &["[2, 2] [2]", "has [2, 2]", "\"two\"", "\"one\"", "`bias = false`"],
    );
    let third = "{ type = 'dense', name = 'three', units = 2, bias = false, tie = 'two' },\n        ]";
    refused(
        "]\n        loss",
        &format!("{third}\n        loss"),
        &["which is tied itself", "tie both to \"one\""],
    );
}

/// GPT-2's head: the scores of the tokens are products with their embeddings.
#[test]
fn a_head_may_be_tied_to_the_embedding() {
    let runner = Runner::new();
    let text = "dtype = 'f64'
        data = { type = 'inline', x = [[0, 1, 2], [3, 1, 0]], y = [1, 2] }
        model.layers = [
          { type = 'embedding', name = 'tokens', vocabulary = 4, units = 3 },
          { type = 'simple_rnn', name = 'memory', units = 3 },
          { type = 'dense', name = 'head', units = 4, bias = false, tie = 'tokens' },
        ]
        loss.type = 'cross_entropy'
        optimizer = { type = 'sgd', learning_rate = 0.1 }
        train.epochs = 3
        ";
    runner.write("x.toml", text);
    runner.done(["train", "x.toml", "--out", "run"]);
    let model = runner.bytes("run/model.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(&model).expect("safetensors");
    assert!(tensors.tensor("tokens.weight").is_ok() && tensors.tensor("head.weight").is_err());
    assert!(runner.done(["gradcheck", "x.toml"]).stdout.contains("no gradient is wrong"));
}

/// Indices are checked, and no slope is asked for along them, in a part of the input as in the whole.
#[test]
fn a_named_input_may_be_indices() {
    let runner = Runner::new();
    let text = "dtype = 'f64'
        data = { type = 'inline', x = [[0.5, 0, 1], [1.5, 3, 1], [2.5, 2, 2]], y = [[1], [2], [3]] }
        inputs = [{ name = 'age', shape = [1] }, { name = 'words', shape = [2] }]
        model.layers = [
          { type = 'embedding', name = 'tokens', vocabulary = 4, units = 3, inputs = ['words'] },
          { type = 'flatten', name = 'flat' },
          { type = 'concat', name = 'all', axis = 0, inputs = ['flat', 'age'] },
          { type = 'dense', name = 'out', units = 1 },
        ]
        loss.type = 'mse'
        optimizer = { type = 'sgd', learning_rate = 0.1 }
        train.epochs = 3
        ";
    runner.write("x.toml", text);
    runner.done(["train", "x.toml", "--out", "run"]);
    assert!(runner.done(["gradcheck", "x.toml"]).stdout.contains("no gradient is wrong"));
    runner.write("y.toml", text.replace("[1.5, 3, 1]", "[1.5, 4, 1]"));
    let ended = runner.run(["check", "y.toml"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("sample 1 holds 4 where the network takes an index"), "{}", ended.stderr);
}

#[test]
fn mistakes_of_inputs_and_outputs_are_named_at_their_place() {
    let cases = [
        (
            "[[outputs]]  ",
            "[loss]\ntype = \"mse\"\n[[outputs]]  ",
            "[loss] and [[outputs]] exclude each other",
        ),
        ("layer = \"kind\"", "layer = \"kins\"", "outputs[0]: no layer is named \"kins\""),
        ("layer = \"kind\"", "layer = \"kins\"", "did you mean \"kind\"?"),
        ("layer  = \"price\"", "layer = \"kind\"", "outputs[0] and outputs[1] are both the layer \"kind\""),
        ("weight = 0.5", "weight = 0", "must be greater than 0"),
        ("name  = \"age\"", "name = \"size\"", "inputs[0] and inputs[1] are both named \"size\""),
        ("name  = \"age\"", "name = \"a b\"", "the name \"a b\" is not allowed"),
        ("shape = [1]", "shape = [2]", "[[inputs]] hold 3 (\"size\") + 2 (\"age\") = 5 numbers"),
        ("inputs = [\"size\"]\n", "", "the network has several inputs"),
        (
            "inputs = [\"rooms\", \"age\"]",
            "inputs = [\"rooms\", \"rooms\"]",
            "no layer reads the input \"age\"",
        ),
        ("name = \"rooms\"", "name = \"size\"", "it is the name of an input"),
        ("[data]", "[model]\ninput_shape = [4]\n[data]", "model.input_shape and [[inputs]] exclude"),
        ("[0, 2.0]", "[0.5, 2.0]", "0.5 is no class of the output \"kind\""),
        ("[0, 2.0]", "[3, 2.0]", "output \"kind\": sample 0 is of class 3"),
        ("report = [\"accuracy\", \"rmse\"]", "report = [\"accuracy\", \"rmse\", \"rmse\"]", "rmse"),
        ("units = 1\n", "units = 2\n", "1 (\"kind\") + 2 (\"price\") = 3 targets"),
    ];
    for (from, to, expected) in cases {
        let stderr = refused(from, to);
        assert!(stderr.contains(expected), "{expected}:\n{stderr}");
    }
    let unused = refused("[[outputs]]  ", "[[model.layers]]\ntype = \"dense\"\nunits = 1\n\n[[outputs]]  ");
    assert!(unused.contains("nothing uses the output of model.layers[4]"), "{unused}");
    let softmax = refused("units = 3\n", "units = 3\nactivation = \"softmax\"\n");
    assert!(softmax.contains("the loss of \"kind\" takes scores"), "{softmax}");
    let neither = refused("[[outputs]]                           # in", "[[outpits]] # in");
    assert!(neither.contains("outpits"), "{neither}");
}
