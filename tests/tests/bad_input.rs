//! What is wrong with a file, an argument or a run: a message with the place, the exit code of the contract, nothing
//! left behind.

use std::fs;

use chainrule_runner::registry::Registry;
use chainrule_tests::runner::{Ended, GENDER, Runner, XOR, check, ended};
use safetensors::tensor::{Dtype as TensorDtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde_json::Value as Json;

/// A text with pieces of it replaced, each of which must be there once.
fn edited(base: &str, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(base.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "`{from}` in {text}");
        text.replace(from, to)
    })
}

/// `gender.toml` with other layers.
fn with_layers(layers: &str) -> String {
    let (before, rest) = GENDER.split_once("layers = [\n").expect("layers");
    let (_, after) = rest.split_once("]\n\n[loss]").expect("the end of the layers");
    format!("{before}layers = [\n{layers}]\n\n[loss]{after}")
}

#[track_caller]
fn assert_says(stderr: &str, fragments: &[&str]) {
    for fragment in fragments {
        assert!(stderr.contains(fragment), "no `{fragment}` in:\n{stderr}");
    }
}

/// Runs `check` and `train` on an experiment: both refuse it in the same words, print no result and leave nothing.
#[track_caller]
fn refused(text: impl AsRef<[u8]>, code: i32, fragments: &[&str]) -> String {
    let runner = Runner::new();
    runner.write("x.toml", text);
    let trained = runner.run(["train", "x.toml"]);
    assert_says(&trained.stderr, fragments);
    assert_eq!((trained.code, trained.stdout.as_str()), (code, ""), "{}", trained.stderr);
    assert_eq!(runner.run(["check", "x.toml"]), trained);
    assert_eq!(runner.entries(), ["x.toml"]);
    trained.stderr
}

/// Runs arguments that fail in the folder and leave it as it is.
#[track_caller]
fn fails(runner: &Runner, arguments: &[&str], code: i32, fragments: &[&str]) -> String {
    let before = runner.entries();
    let Ended { code: found, stdout, stderr } = runner.run(arguments);
    assert_says(&stderr, fragments);
    assert_eq!((found, stdout.as_str()), (code, ""), "{arguments:?}: {stderr}");
    assert_eq!(runner.entries(), before, "{arguments:?}");
    stderr
}

#[test]
fn a_misspelt_key_is_shown_as_rustc_would() {
    let stderr = refused(edited(GENDER, &[("learning_rate", "lr")]), 2, &[]);
    let expected = "\
error: unknown key `lr` in [optimizer]
  --> x.toml:28:1
   |
28 | lr = 0.1
   | ^^
   |
   = help: did you mean `learning_rate`?

";
    assert_eq!(stderr, expected);
}

#[test]
fn names_the_right_word_for_a_wrong_one() {
    let cases: [(&str, &str, &[&str]); 14] = [
        (
            "units = 2",
            "unit = 2",
            &["unknown key `unit` in model.layers[0] (dense \"hidden\")", "--> x.toml:19:38", "`units`?"],
        ),
        ("units = 2", "num_output = 2", &["unknown key `num_output`", "--> x.toml:19:38", "`units`?"]),
        (
            "epochs     = 1000",
            "max_iter = 1000",
            &["unknown key `max_iter` in [train]", "--> x.toml:31:1", "`epochs`?"],
        ),
        ("learning_rate", "alpha", &["unknown key `alpha` in [optimizer]", "`learning_rate`?"]),
        (
            "learning_rate",
            "learning-rate",
            &["unknown key `learning-rate` in [optimizer]", "`learning_rate`?"],
        ),
        ("[loss]", "[los]", &["unknown key `los`", "--> x.toml:23:2", "did you mean `loss`?"]),
        (
            "\"hidden\", units",
            "\"hidden\", momentum = 1, units",
            &["unknown key `momentum`", "`momentum` belongs in [optimizer]"],
        ),
        (
            "\"dense\", name = \"hidden\"",
            "\"dens\", name = \"hidden\"",
            &[
                "unknown type `dens` in model.layers[0]",
                "--> x.toml:19:12",
                "did you mean `dense`? the choices are `dense`",
            ],
        ),
        (
            "\"mse\"",
            "\"mean_squared_error\"",
            &["unknown type `mean_squared_error` in [loss]", "--> x.toml:24:8", "did you mean `mse`?"],
        ),
        (
            "\"sgd\"",
            "\"SGD\"",
            &["unknown type `SGD` in [optimizer]", "--> x.toml:27:8", "did you mean `sgd`?"],
        ),
        (
            "units = 1, activation = \"sigmoid\"",
            "units = 1, activation = \"logistic\"",
            &["unknown activation `logistic`", "--> x.toml:20:62", "did you mean `sigmoid`?"],
        ),
        (
            "weight_init = { type = \"normal\", std = 1.0 }",
            "weight_init = \"glorot_uniform\"",
            &["unknown weight_init `glorot_uniform`", "--> x.toml:16:15", "did you mean `xavier_uniform`?"],
        ),
        ("\"inline\"", "\"inlined\"", &["unknown type `inlined` in [data]", "--> x.toml:8:12"]),
        ("\"f64\"  ", "\"float64\"", &["unknown dtype `float64`", "--> x.toml:5:9", "did you mean `f64`?"]),
    ];
    for (from, to, fragments) in cases {
        refused(edited(GENDER, &[(from, to)]), 2, fragments);
    }
}

#[test]
fn names_the_value_that_is_of_a_wrong_type_or_out_of_range() {
    let cases: [(&str, &str, &[&str]); 18] = [
        (
            "learning_rate = 0.1",
            "learning_rate = \"fast\"",
            &["optimizer.learning_rate must be a number, found a string", "--> x.toml:28:17"],
        ),
        (
            "epochs     = 1000",
            "epochs = \"1000\"",
            &[
                "train.epochs must be an integer, found a string",
                "--> x.toml:31:10",
                "write 1000 without the quotes",
            ],
        ),
        (
            "epochs     = 1000",
            "epochs = 10.0",
            &["train.epochs must be an integer, found 10.0", "--> x.toml:31:10", "write 10"],
        ),
        (
            "shuffle    = false",
            "shuffle = 0",
            &["train.shuffle must be a boolean, found an integer", "--> x.toml:33:11"],
        ),
        (
            "learning_rate = 0.1",
            "learning_rate = -0.1",
            &["optimizer.learning_rate must be greater than 0, found -0.1", "--> x.toml:28:17"],
        ),
        (
            "learning_rate = 0.1",
            "learning_rate = 0",
            &["optimizer.learning_rate must be greater than 0, found 0"],
        ),
        (
            "learning_rate = 0.1",
            "learning_rate = nan",
            &["optimizer.learning_rate must be finite, found nan"],
        ),
        (
            "learning_rate = 0.1",
            "learning_rate = 0.1\nmomentum = 1.0",
            &["optimizer.momentum must be less than 1, found 1.0", "--> x.toml:29:12"],
        ),
        ("epochs     = 1000", "epochs = 0", &["train.epochs must be at least 1, found 0"]),
        ("batch_size = 1", "batch_size = 0", &["train.batch_size must be at least 1, found 0"]),
        ("log_every  = 10", "log_every = 0", &["train.log_every must be at least 1, found 0"]),
        (
            "units = 2",
            "units = 0",
            &["model.layers[0].units must be at least 1, found 0", "--> x.toml:19:46"],
        ),
        (
            "units = 2",
            "units = 9223372036854775808",
            &["this integer does not fit into 64 bits", "--> x.toml:19:46"],
        ),
        ("seed  = 42", "seed = -1", &["seed must be at least 0, found -1", "--> x.toml:4:8"]),
        (
            "schema_version = 1",
            "schema_version = 2",
            &["schema_version must be at most 1, found 2", "--> x.toml:2:18"],
        ),
        (
            "weight_init = { type = \"normal\", std = 1.0 }",
            "weight_init = { type = \"normal\", std = -1 }",
            &["model.weight_init.std must be at least 0, found -1", "--> x.toml:16:40"],
        ),
        ("65, 185", "65, nan", &["data.x[1][1] must be finite, found nan", "--> x.toml:11:22"]),
        ("65, 185", "65, -inf", &["data.x[1][1] must be finite, found -inf", "--> x.toml:11:22"]),
    ];
    for (from, to, fragments) in cases {
        refused(edited(GENDER, &[(from, to)]), 2, fragments);
    }
}

#[test]
fn names_the_third_layer_as_exactly_as_the_first() {
    let hidden = "  { type = \"dense\", name = \"a\", units = 2 },\n  { type = \"dense\", units = 2 },\n";
    let third = |layer: &str| with_layers(&format!("{hidden}  {layer},\n"));
    refused(
        third("{ type = \"dense\", name = \"c\", unit = 1 }"),
        2,
        &["unknown key `unit` in model.layers[2] (dense \"c\")", "--> x.toml:21:33"],
    );
    refused(
        third("{ type = \"dense\", units = -1 }"),
        2,
        &["model.layers[2].units must be at least 1, found -1", "--> x.toml:21:29"],
    );
    refused(
        third("{ type = \"dense\" }"),
        2,
        &["missing key `units` in model.layers[2] (dense)", "--> x.toml:21:3"],
    );
    refused(
        third("{ units = 1 }"),
        2,
        &["missing key `type` in model.layers[2]", "--> x.toml:21:3", "the choices are `dense`"],
    );
    refused(
        third("{ type = \"dense\", units = 1, inputs = [\"b\"] }"),
        2,
        &["model.layers[2] (dense \"dense_2\") reads \"b\"", "--> x.toml:21:42"],
    );
}

#[test]
fn reports_every_mistake_of_a_file_at_once() {
    let text = edited(
        GENDER,
        &[
            ("learning_rate = 0.1", "learning_rate = -0.1"),
            ("units = 2", "unit = 2"),
            ("units = 1", "units = \"one\""),
            ("batch_size", "batchsize"),
            ("\"mse\"", "\"mean\""),
            ("65, 185", "65, inf"),
        ],
    );
    let stderr = refused(text, 2, &[]);
    let firsts: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    let expected = [
        "error: data.x[1][1] must be finite, found inf",
        "error: unknown key `unit` in model.layers[0] (dense \"hidden\")",
        "error: model.layers[1].units must be an integer, found a string",
        "error: unknown type `mean` in [loss]",
        "error: optimizer.learning_rate must be greater than 0, found -0.1",
        "error: unknown key `batchsize` in [train]",
    ];
    assert_eq!(firsts, expected);
}

#[test]
fn reports_at_once_what_does_not_fit_together() {
    let text = edited(
        GENDER,
        &[
            ("learning_rate = 0.1", "learning_rate = 0.1\nnesterov = true"),
            ("77, 173]", "77]"),
            ("units = 1", "units = 1, weight_init = { type = \"uniform\", low = 1, high = 1 }"),
        ],
    );
    let stderr = refused(text, 2, &[]);
    let firsts: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    let expected = [
        "error: model.layers[1] (dense \"output\"): a uniform distribution needs low < high, found 1 and 1",
        "error: [optimizer]: nesterov needs a momentum greater than 0",
        "error: predict.x[1] has 1 number, but the data have 2 a sample",
    ];
    assert_eq!(firsts, expected);
}

#[test]
fn refuses_a_network_that_no_memory_holds_before_it_asks_for_memory() {
    refused(
        edited(GENDER, &[("units = 2", "units = 1099511627776")]),
        2,
        &[
            "the network needs 80.0 TiB of memory for 4398046511105 parameters",
            "--> x.toml:19:46",
            "model.layers[0] (dense \"hidden\") has 3298534883328 of the parameters",
        ],
    );
    refused(
        edited(GENDER, &[("units = 2", "units = 4611686018427387904")]),
        2,
        &[
            "model.layers[0] (dense \"hidden\"): the shape [4611686018427387904] has more elements than memory can hold",
            "--> x.toml:19:46",
        ],
    );
    refused(
        edited(GENDER, &[("units = 2", "units = 1099511627776"), ("units = 1,", "units = 1099511627776,")]),
        2,
        &["model.layers[1] (dense \"output\"): the shape [1099511627776, 1099511627776]", "--> x.toml:20:46"],
    );
}

/// The kernel kills or refuses what asks for more than it may: so nothing may ask.
#[cfg(target_os = "linux")]
#[test]
fn refuses_a_network_of_2_to_the_40_units_within_little_memory() {
    let runner = Runner::new();
    runner.write("x.toml", edited(GENDER, &[("units = 2", "units = 1099511627776")]));
    let program = runner.command([""; 0]);
    let limited = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 1000000 && exec \"$0\" x.toml --threads 1"])
        .arg(program.get_program())
        .current_dir(runner.folder())
        .output()
        .expect("a shell");
    let ended = ended(limited);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert_says(&ended.stderr, &["the network needs 80.0 TiB of memory"]);
}

#[test]
fn refuses_a_model_without_layers() {
    refused(with_layers(""), 2, &["model.layers must have at least 1 item, found 0", "--> x.toml:18:10"]);
    let (before, rest) = GENDER.split_once("layers = [").unwrap();
    let (_, after) = rest.split_once("]\n\n").unwrap();
    refused(format!("{before}\n{after}"), 2, &["missing key `layers` in [model]", "--> x.toml:15:1"]);
}

#[test]
fn refuses_data_that_are_no_samples() {
    let x = "x = [[54, 168], [65, 185], [62, 179], [47, 152]]";
    let y = "y = [[1], [0], [0], [1]]";
    refused(
        edited(GENDER, &[(x, "x = []"), (y, "y = []")]),
        2,
        &[
            "data.x must have at least 1 item",
            "--> x.toml:11:5",
            "data.y must have at least 1 item",
            "--> x.toml:12:5",
        ],
    );
    refused(
        edited(GENDER, &[(x, "x = [[], [], [], []]")]),
        2,
        &["data.x[0] holds no number", "--> x.toml:11:6"],
    );
    refused(
        edited(GENDER, &[(y, "y = [[], [], [], []]")]),
        2,
        &["data.y[0] must have at least 1 item", "--> x.toml:12:6"],
    );
    refused(
        edited(GENDER, &[("[65, 185]", "[65]"), (y, "y = [[1], [0], [0], [1, 2]]")]),
        2,
        &[
            "data.x[1] has 1 number, but data.x[0] has 2",
            "--> x.toml:11:17",
            "every row must have the same length",
            "data.y[3] has 2 numbers, but data.y[0] has 1",
            "--> x.toml:12:21",
        ],
    );
    refused(
        edited(GENDER, &[(y, "y = [[1], [0], [1]]")]),
        2,
        &["data.x has 4 samples, but data.y has 3", "--> x.toml:12:5"],
    );
    refused(
        edited(GENDER, &[(y, "y = [[1], 0, [0], \"1\"]")]),
        2,
        &["data.y[1] is an integer, but data.y[0] is an array", "--> x.toml:12:11"],
    );
    refused(
        edited(GENDER, &[("\"weight_kg\", \"height_cm\"", "\"weight_kg\"")]),
        2,
        &["data.features has 1 name, but the rows have 2 numbers", "--> x.toml:9:12"],
    );
    refused(
        edited(GENDER, &[("\"weight_kg\", \"height_cm\"", "\"a\", \"a\"")]),
        2,
        &["data.features[0] and data.features[1] are both \"a\"", "--> x.toml:9:18"],
    );
    refused(
        edited(GENDER, &[("[\"female\"]", "[\"female\", \"male\"]")]),
        2,
        &["data.targets has 2 names, but the rows have 1 number", "--> x.toml:10:12"],
    );
}

#[test]
fn refuses_data_that_do_not_fit_the_network() {
    let wide = [
        ("targets  = [\"female\"]\n", ""),
        ("y = [[1], [0], [0], [1]]", "y = [[1, 0], [0, 1], [0, 1], [1, 0]]"),
    ];
    refused(
        edited(GENDER, &wide),
        2,
        &[
            "the network takes 1 target a sample, but the data have 2",
            "--> x.toml:11:5",
            "give the last layer `units = 2`",
        ],
    );
    refused(
        edited(GENDER, &[("77, 173]", "77]")]),
        2,
        &["predict.x[1] has 1 number, but the data have 2 a sample", "--> x.toml:38:21"],
    );
    refused(
        edited(GENDER, &[("[\"female\", \"male\"]", "[\"female\"]")]),
        2,
        &["predict.names has 1 name, but predict.x has 2 samples", "--> x.toml:39:9"],
    );
    refused(
        edited(GENDER, &[("[model]\n", "[model]\ninput_shape = [3]\n")]),
        2,
        &["model.input_shape [3] holds 3 numbers, but the data have 2 a sample", "--> x.toml:16:15"],
    );
    refused(
        edited(GENDER, &[("[model]\n", "[model]\ninput_shape = [4294967296, 4294967296]\n")]),
        2,
        &["model.input_shape", "--> x.toml:16:15"],
    );
}

#[test]
fn refuses_targets_that_the_loss_cannot_compare() {
    let labels = "[\"equal\", \"different\", \"different\", \"equal\"]";
    refused(
        edited(GENDER, &[("[[1], [0], [0], [1]]", "[1, 0, 0, 1]")]),
        2,
        &["y holds classes, but the loss compares numbers", "--> x.toml:12:6", "`cross_entropy`"],
    );
    refused(
        edited(XOR, &[(labels, "[[0], [1], [1], [0]]")]),
        2,
        &["y holds rows of numbers, but the loss compares classes", "--> x.toml:10:6"],
    );
    refused(
        edited(XOR, &[(labels, "[0, 1, 2, 1]")]),
        2,
        &["sample 2 is of class 2, but the network has scores for 2", "--> x.toml:10:12"],
    );
    refused(
        edited(XOR, &[(labels, "[0, 1, -1, 1]")]),
        2,
        &["data.y[2] must be at least 0, found -1", "--> x.toml:10:12"],
    );
    refused(
        edited(XOR, &[(labels, "[\"a\", \"b\", \"c\", \"b\"]")]),
        2,
        &[
            "the data have 3 different labels, but the last layer has 2 outputs",
            "--> x.toml:10:5",
            "give the last layer `units = 3`",
        ],
    );
    refused(edited(XOR, &[(labels, "[0.5, 1, 1, 0]")]), 2, &["data.y[0]", "--> x.toml:10:6"]);
}

#[test]
fn refuses_probabilities_where_the_loss_takes_scores() {
    let help = "the loss applies it itself, and so does `predict`";
    refused(
        edited(XOR, &[("units = 2 }", "units = 2, activation = \"softmax\" }")]),
        2,
        &[
            "the loss takes scores (logits), but the last layer makes them probabilities by softmax",
            "--> x.toml:15:62",
            help,
        ],
    );
    refused(
        edited(XOR, &[("units = 2 }", "units = 2, activation = { type = \"softmax\" } }")]),
        2,
        &["probabilities by softmax", "--> x.toml:15:62"],
    );
    refused(
        edited(GENDER, &[("\"mse\"", "\"binary_cross_entropy\"\nfrom_logits = true")]),
        2,
        &["probabilities by sigmoid", "--> x.toml:20:62", help],
    );
}

#[test]
fn names_what_is_wrong_with_the_table_of_an_activation() {
    let cases: [(&str, &[&str]); 5] = [
        ("{ type = \"elux\" }", &["unknown type `elux`", "--> --set:1:36", "did you mean `elu`?"]),
        (
            "{ type = \"elu\", alpha = 1.0 }",
            &["unknown key `alpha`", "--> --set:1:43", "did you mean `slope`?"],
        ),
        ("{ type = \"relu\", slope = 1.0 }", &["unknown key `slope`", "--> --set:1:44"]),
        ("{ slope = 1.0 }", &["missing key `type`", "--> --set:1:27"]),
        (
            "5",
            &["model.layers[0].activation must be a string or a table, found an integer", "--> --set:1:27"],
        ),
    ];
    let runner = Runner::with_gender();
    for (activation, fragments) in cases {
        let set = format!("model.layers.0.activation={activation}");
        fails(&runner, &["check", "gender.toml", "--set", &set], 2, fragments);
    }
    for activation in
        ["{ type = \"elu\", slope = 0.5 }", "{ type = \"elu\" }", "{ type = \"relu\" }", "leaky_relu"]
    {
        runner.done(["check", "gender.toml", "--set", &format!("model.layers.0.activation={activation}")]);
    }
}

#[test]
fn refuses_keys_that_contradict_each_other() {
    refused(
        edited(GENDER, &[("learning_rate = 0.1", "learning_rate = 0.1\nnesterov = true")]),
        2,
        &["[optimizer]: nesterov needs a momentum greater than 0", "--> x.toml:29:12"],
    );
    let uniform = "weight_init = { type = \"uniform\", low = 2, high = 1 }";
    let stderr = refused(
        edited(GENDER, &[("units = 2", &format!("units = 2, {uniform}"))]),
        2,
        &[
            "model.layers[0] (dense \"hidden\"): a uniform distribution needs low < high, found 2 and 1",
            "--> x.toml:19:63",
        ],
    );
    assert!(!stderr.contains("help"), "{stderr}");
    refused(
        edited(GENDER, &[("weight_init = { type = \"normal\", std = 1.0 }", uniform)]),
        2,
        &["a uniform distribution needs low < high, found 2 and 1", "--> x.toml:16:15"],
    );
}

#[test]
fn refuses_names_that_are_none() {
    for name in ["hid.den", "", "a b", "größe", "a/b"] {
        let text = edited(GENDER, &[("\"hidden\"", &format!("\"{name}\""))]);
        refused(
            text,
            2,
            &[
                &format!("the name \"{name}\" of model.layers[0]"),
                "--> x.toml:19:28",
                "letters, digits, `_` and `-`",
            ],
        );
    }
    refused(
        edited(GENDER, &[("\"hidden\"", "\"input\"")]),
        2,
        &["no layer can be named \"input\"", "--> x.toml:19:28"],
    );
    refused(
        edited(GENDER, &[("\"output\"", "\"hidden\"")]),
        2,
        &["model.layers[0] and model.layers[1] are both named \"hidden\"", "--> x.toml:20:28"],
    );
    refused(
        edited(GENDER, &[("name = \"hidden\", ", ""), ("\"output\"", "\"dense_0\"")]),
        2,
        &["model.layers[0] and model.layers[1] are both named \"dense_0\"", "--> x.toml:20:28"],
    );
    for name in ["a/b", "..", "", "a\\u0000b", "a\\\\b", &"x".repeat(101)] {
        refused(
            edited(GENDER, &[("\"gender\"", &format!("\"{name}\""))]),
            2,
            &["the name of the experiment", "--> x.toml:3:9", "set `name`"],
        );
    }
}

#[test]
fn refuses_wires_that_lead_nowhere() {
    let hidden = "  { type = \"dense\", name = \"hidden\", units = 2 },\n";
    let output = |inputs: &str| {
        format!("  {{ type = \"dense\", name = \"output\", inputs = {inputs}, units = 1 }},\n")
    };
    let wired = |inputs: &str| with_layers(&format!("{hidden}{}", output(inputs)));
    refused(
        wired("[\"hiden\"]"),
        2,
        &[
            "model.layers[1] (dense \"output\") reads \"hiden\", but no layer has that name",
            "--> x.toml:20:48",
            "did you mean \"hidden\"?",
        ],
    );
    refused(
        wired("[\"output\"]"),
        2,
        &["model.layers[1] (dense \"output\") reads its own output", "--> x.toml:20:48"],
    );
    refused(
        wired("[]"),
        2,
        &["model.layers[1].inputs must have at least 1 item, found 0", "--> x.toml:20:47"],
    );
    refused(
        wired("[\"input\"]"),
        2,
        &[
            "nothing uses the output of model.layers[0] (dense \"hidden\")",
            "--> x.toml:19:3",
            "the last layer is the output",
        ],
    );
    refused(
        wired("[\"hidden\", \"input\"]"),
        2,
        &[
            "dense takes one input, but is given 2",
            "--> x.toml:20:48",
            "it reads model.layers[0] (dense \"hidden\") [2] and the network's input [2]",
        ],
    );
    let cycle = with_layers(&format!(
        "  {{ type = \"dense\", name = \"hidden\", inputs = [\"mid\"], units = 2 }},\n  {{ type = \"dense\", name = \"mid\", units = 2 }},\n{}",
        output("[\"mid\"]")
    ));
    refused(
        cycle,
        2,
        &["layers read each other in a circle: \"hidden\" reads \"mid\" reads \"hidden\"", "--> x.toml:19:3"],
    );
    let last_is_read = with_layers(&format!(
        "  {{ type = \"dense\", name = \"hidden\", inputs = [\"output\"], units = 2 }},\n{}",
        output("[\"input\"]")
    ));
    refused(
        last_is_read,
        2,
        &[
            "nothing uses the output of model.layers[0]",
            "model.layers[1] (dense \"output\") is the output, but another layer reads it",
        ],
    );
}

#[test]
fn names_both_layers_and_both_shapes_that_cannot_be_added() {
    let sum = |layer: &str| {
        with_layers(&format!(
            "  {{ type = \"dense\", name = \"a\", units = 2 }},\n  {{ type = \"dense\", name = \"b\", inputs = [\"input\"], units = 3 }},\n  {{ {layer}, name = \"sum\", inputs = [\"a\", \"b\"] }},\n  {{ type = \"dense\", name = \"output\", units = 1 }},\n"
        ))
    };
    let both = "it reads model.layers[0] (dense \"a\") [2] and model.layers[1] (dense \"b\") [3]";
    refused(
        sum("type = \"add\""),
        2,
        &[
            "model.layers[2] (add \"sum\"): add needs inputs of one shape, but they are [2] and [3]",
            "--> x.toml:21:",
            both,
        ],
    );
    refused(sum("type = \"multiply\""), 2, &["model.layers[2] (multiply \"sum\")", "[2] and [3]", both]);
    refused(sum("type = \"concat\", axis = 1"), 2, &["model.layers[2] (concat \"sum\")", both]);
}

#[test]
fn refuses_files_that_are_no_experiment() {
    for text in ["", "\n\n", "# only words\n", "\u{feff}"] {
        let missing =
            ["data", "model", "loss", "optimizer", "train"].map(|table| format!("missing table [{table}]"));
        refused(text, 2, &missing.iter().map(String::as_str).chain(["--> x.toml"]).collect::<Vec<_>>());
    }
    refused(
        (0..=255).collect::<Vec<u8>>(),
        2,
        &["x.toml is not UTF-8 text: line 2 has a byte that cannot be read"],
    );
    refused(vec![0; 1000], 2, &["--> x.toml:1:1"]);
    refused(edited(GENDER, &[("[loss]", "[loss]\0")]), 2, &["--> x.toml:23:7"]);
    refused(
        edited(GENDER, &[("learning_rate = 0.1", "learning_rate = 0.1\nlearning_rate = 0.2")]),
        2,
        &["duplicate key `learning_rate`", "--> x.toml:29:1"],
    );
    refused(format!("{GENDER}\n[train]\nepochs = 1\n"), 2, &["duplicate key `train`", "--> x.toml:41:2"]);
    refused(edited(GENDER, &[("\"sgd\"", "sgd")]), 2, &["string values must be quoted", "--> x.toml:27:8"]);
    refused(
        edited(GENDER, &[("learning_rate = 0.1", "learning_rate =")]),
        2,
        &["a value is missing", "--> x.toml:28:"],
    );
    refused(format!("a = {}", "[".repeat(100_000)), 2, &["--> x.toml:1:"]);
    refused("<html>\n<body>not found</body>\n", 2, &["--> x.toml:1:"]);
}

#[test]
fn a_byte_order_mark_is_no_mistake() {
    let runner = Runner::new();
    runner.write("x.toml", format!("\u{feff}{GENDER}"));
    runner.done(["check", "x.toml"]);
    let bad = edited(GENDER, &[("schema_version", "schema")]);
    refused(format!("\u{feff}{bad}"), 2, &["unknown key `schema`"]);
}

#[test]
fn a_file_of_windows_is_read_and_its_places_are_right() {
    let runner = Runner::new();
    runner.write("x.toml", GENDER.replace('\n', "\r\n"));
    runner.done(["check", "x.toml"]);
    let bad = edited(GENDER, &[("learning_rate", "lr")]).replace('\n', "\r\n");
    let stderr = refused(bad, 2, &["--> x.toml:28:1", "28 | lr = 0.1\n"]);
    assert!(!stderr.contains('\r'), "{stderr:?}");
}

#[test]
fn a_file_cannot_drive_the_terminal() {
    let stderr =
        refused(edited(GENDER, &[("[loss]", "\"\\u001b[31mred\" = 1\n[loss]")]), 2, &["unknown key"]);
    assert!(!stderr.contains('\u{1b}'), "{stderr:?}");
    let stderr = refused(edited(GENDER, &[("[loss]", "# \u{1b}[2J\u{7}\nx = 1 # \u{202e}\n[loss]")]), 2, &[]);
    assert!(!stderr.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{stderr:?}");
}

#[test]
fn names_an_experiment_that_cannot_be_read() {
    let runner = Runner::new();
    for verb in ["train", "check", "summary"] {
        assert_eq!(fails(&runner, &[verb, "no.toml"], 2, &[]), "error: there is no file no.toml\n");
        assert_eq!(fails(&runner, &[verb, "."], 2, &[]), "error: . is not a file\n");
    }
    assert_eq!(fails(&runner, &["no.toml"], 2, &[]), "error: there is no file no.toml\n");
    if cfg!(unix) {
        assert_eq!(fails(&runner, &["/dev/null"], 2, &[]), "error: /dev/null is not a file\n");
    }
}

#[test]
fn names_the_file_of_a_chain_of_extends_that_has_the_mistake() {
    let runner = Runner::new();
    runner.write("base/base.toml", edited(GENDER, &[("learning_rate", "lr")]));
    runner.write("x.toml", "extends = \"base/base.toml\"\n[train]\nepoch = 3\n");
    let stderr = fails(
        &runner,
        &["check", "x.toml"],
        2,
        &[
            "unknown key `lr` in [optimizer]",
            "--> base/base.toml:28:1",
            "unknown key `epoch` in [train]",
            "--> x.toml:3:1",
        ],
    );
    assert_eq!(stderr.matches("error: ").count(), 2, "{stderr}");

    runner.write("x.toml", "# first\nextends = \"none.toml\"\n");
    fails(&runner, &["check", "x.toml"], 2, &["there is no file none.toml", "--> x.toml:2:1"]);
    runner.write("x.toml", "extends = \"y.toml\"\n");
    runner.write("y.toml", "\nextends = \"x.toml\"\n");
    fails(&runner, &["check", "x.toml"], 2, &["this file extends itself through `x.toml`", "--> y.toml:2:1"]);
    runner.write("x.toml", "extends = \"./x.toml\"\n");
    fails(
        &runner,
        &["check", "x.toml"],
        2,
        &["this file extends itself through `./x.toml`", "--> x.toml:1:1"],
    );
    runner.write("x.toml", "extends = [\"y.toml\"]\n");
    fails(&runner, &["check", "x.toml"], 2, &["extends must be a string, found an array", "--> x.toml:1:1"]);
}

#[test]
fn extends_takes_the_base_and_changes_it() {
    let runner = Runner::new();
    runner.write("base/base.toml", GENDER);
    runner.write(
        "x.toml",
        "extends = \"base/base.toml\"\n[train]\nepochs = 3\n[data]\nx = [[1, 2], [3, 4]]\ny = [[0], [1]]\n",
    );
    runner.done(["x.toml", "--out", "run"]);
    let result = runner.json("run/result.json");
    assert_eq!((&result["name"], &result["steps"]), (&"gender".into(), &6.into()));
    assert!(!runner.text("run/config.toml").contains("extends"));
}

#[test]
fn points_into_the_argument_that_has_the_mistake() {
    let runner = Runner::with_gender();
    let cases: [(&str, &[&str]); 13] = [
        ("train.epochs=-1", &["train.epochs must be at least 1, found -1", "--> --set:1:14"]),
        ("train.epochs=10.0", &["train.epochs must be an integer, found 10.0", "write 10"]),
        ("train.epoch=1", &["unknown key `epoch` in [train]", "--> --set:1:7"]),
        ("optimizer.lr=1", &["unknown key `lr` in [optimizer]", "--> --set:1:11"]),
        ("train.epochs", &["there is no `=`", "--> --set:1:1", "write --set key.path=value"]),
        ("train.epochs=", &["there is no value after the `=`", "--> --set:1:14"]),
        ("=1", &["a key is missing here", "--> --set:1:1"]),
        ("train.epochs=a b", &["string values must be quoted", "--> --set:1:14"]),
        ("loss.type=mes", &["unknown type `mes` in [loss]", "--> --set:1:11", "did you mean `mse`?"]),
        ("model.layers.5.units=1", &["the list has no item 5: it has 2 items, 0 to 1", "--> --set:1:14"]),
        (
            "model.layers.hidden.units=1",
            &["a list has no key `hidden`; its items are numbered from 0", "--> --set:1:14"],
        ),
        (
            "model.layers.1.unit=1",
            &["unknown key `unit` in model.layers[1] (dense \"output\")", "--> --set:1:16"],
        ),
        ("extends=base.toml", &["extends can only be set in a file", "--> --set:1:1"]),
    ];
    for (argument, fragments) in cases {
        for verb in ["train", "check", "summary"] {
            fails(&runner, &[verb, "gender.toml", "--set", argument], 2, fragments);
        }
    }
    let two = ["check", "gender.toml", "--set", "train.epochs=0", "--set", "optimizer.lr=1"];
    fails(&runner, &two, 2, &["train.epochs must be at least 1", "unknown key `lr`"]);
}

#[test]
fn a_batch_larger_than_any_memory_is_the_whole_set() {
    let runner = Runner::with_gender();
    for (size, out) in [("4", "four"), ("1099511627776", "huge"), ("9223372036854775807", "most")] {
        let size = format!("train.batch_size={size}");
        runner.done(["gender.toml", "--set", "train.epochs=3", "--set", &size, "--out", out]);
        let digest = |run: &str| runner.json(format!("{run}/result.json"))["parameters_blake3"].clone();
        assert_eq!(digest(out), digest("four"));
        assert_eq!(runner.json(format!("{out}/result.json"))["steps"], 3);
    }
}

/// A tensor of a weights file.
struct Tensor {
    name: &'static str,
    dtype: TensorDtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    fn ones(name: &'static str, shape: &[usize]) -> Self {
        let bytes = 1f64.to_le_bytes().repeat(shape.iter().product());
        Self { name, dtype: TensorDtype::F64, shape: shape.to_vec(), bytes }
    }
}

/// The tensors of the notebook's network, all ones.
fn ones() -> Vec<Tensor> {
    let shapes: [(_, &[usize]); 4] = [
        ("hidden.weight", &[2, 2]),
        ("hidden.bias", &[2]),
        ("output.weight", &[1, 2]),
        ("output.bias", &[1]),
    ];
    shapes.map(|(name, shape)| Tensor::ones(name, shape)).into()
}

fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let views = tensors.iter().map(|Tensor { name, dtype, shape, bytes }| {
        (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    serialize(views, None).unwrap()
}

#[test]
fn names_what_is_wrong_with_start_weights() {
    let runner = Runner::with_gender();
    let set = "model.initial_weights=\"w.safetensors\"";
    let path = runner.path("w.safetensors").display().to_string();
    let refuses = |message: &str| {
        for verb in ["check", "train"] {
            let expected = format!("error: {path}: {message}");
            let stderr = fails(&runner, &[verb, "gender.toml", "--set", set], 3, &[]);
            assert!(stderr.starts_with(&expected), "{stderr}");
        }
    };
    refuses("cannot be read: No such file");
    fs::create_dir(runner.path("w.safetensors")).unwrap();
    refuses("cannot be read: is a directory");
    fs::remove_dir(runner.path("w.safetensors")).unwrap();

    let whole = safetensors(&ones());
    let texts: [&[u8]; 5] =
        [b"", b"hello", b"\xff\xff\xff\xff\xff\xff\xff\xff{}", &whole[..whole.len() - 8], &whole[..20]];
    for bytes in texts {
        runner.write("w.safetensors", bytes);
        refuses("this is not a whole safetensors file: ");
    }

    let changed = |change: &dyn Fn(&mut Vec<Tensor>), message: &str| {
        let mut tensors = ones();
        change(&mut tensors);
        runner.write("w.safetensors", safetensors(&tensors));
        refuses(message);
    };
    changed(
        &|tensors| tensors[0].shape = vec![4],
        "`hidden.weight` is [4] in the file, but [2, 2] in the network\n",
    );
    changed(
        &|tensors| tensors[2].shape = vec![2, 1],
        "`output.weight` is [2, 1] in the file, but [1, 2] in the network\n",
    );
    changed(&|tensors| drop(tensors.remove(3)), "the network's `output.bias` [1] is not in the file\n");
    changed(
        &|tensors| tensors[1].name = "hiden.bias",
        "the network's `hidden.bias` [2] is not in the file; the nearest name there is `hiden.bias`\n",
    );
    changed(
        &|tensors| tensors.push(Tensor::ones("third.bias", &[1])),
        "the file's `third.bias` is not in the network\n",
    );
    changed(
        &|tensors| tensors[3].dtype = TensorDtype::I64,
        "`output.bias` holds I64; only F32 and F64 can be loaded\n",
    );
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        changed(
            &|tensors| tensors[3].bytes = bad.to_le_bytes().to_vec(),
            "`output.bias` holds a number that is not finite\n",
        );
    }

    runner.write("w.safetensors", whole);
    runner.done(["check", "gender.toml", "--set", set]);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_io_failure() {
    let runner = Runner::with_gender();
    runner.write("file", "not a folder");
    for out in ["file/run", "file/deeper/run"] {
        fails(&runner, &["gender.toml", "--out", out], 1, &["error: cannot create file"]);
        fails(&runner, &["gender.toml", "--out", out, "--force"], 1, &["error: cannot create file"]);
    }
    let long = "x".repeat(300);
    fails(&runner, &["gender.toml", "--out", &long], 1, &["error: cannot create xxx"]);
    runner.write("runs", "not a folder");
    fails(&runner, &["gender.toml"], 1, &["error: cannot create runs"]);
    assert_eq!(runner.text("file"), "not a folder");
}

/// Root may write to every folder but those of the kernel.
#[cfg(target_os = "linux")]
#[test]
fn a_read_only_folder_is_an_io_failure() {
    let runner = Runner::with_gender();
    for out in ["/proc/run", "/proc/self/run", "/dev/null/run"] {
        let stderr = fails(&runner, &["gender.toml", "--out", out], 1, &["error: cannot create /"]);
        assert!(!stderr.contains("epoch"), "{stderr}");
    }
}

#[test]
fn what_is_taken_is_usage() {
    let runner = Runner::with_gender();
    runner.done(["gender.toml", "--out", "run", "--set", "train.epochs=1"]);
    fails(&runner, &["gender.toml", "--out", "run"], 2, &["error: run already holds a run", "--force"]);
    for out in [".", "..", "/"] {
        fails(&runner, &["gender.toml", "--out", out, "--force"], 2, &["exists and is not a run directory"]);
    }
}

/// What was logged until then stays, to be looked at; but there is no model and no result.
#[test]
fn divergence_has_a_code_of_its_own_and_leaves_no_model() {
    let linear = edited(
        GENDER,
        &[
            ("units = 1, activation = \"sigmoid\"", "units = 1"),
            ("learning_rate = 0.1", "learning_rate = 1e30"),
        ],
    );
    let runner = Runner::new();
    runner.write("x.toml", linear);
    let Ended { code, stdout, stderr } = runner.run(["x.toml", "--out", "run", "--progress", "none"]);
    assert_eq!((code, stdout.as_str()), (4, ""), "{stderr}");
    assert_says(
        &stderr,
        &["error: diverged: the loss became ", " in epoch ", ", step ", "help: lower `learning_rate`"],
    );
    let files = ["run/", "run/checkpoints/", "run/checkpoints/last", "run/config.toml", "run/metrics.jsonl"];
    assert_eq!(runner.entries(), [&files[..], &["x.toml"]].concat());
    fails(&runner, &["eval", "run"], 5, &["error: run/model.safetensors: the run has no readable model"]);

    // The run can be replaced as any other.
    runner.done(["x.toml", "--out", "run", "--force", "--set", "optimizer.learning_rate=0.1"]);
}

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

#[test]
fn no_mutation_of_an_experiment_is_more_than_a_mistake() {
    const PIECES: [&str; 24] = [
        "[",
        "]",
        "{",
        "}",
        "\"",
        "=",
        ",",
        ".",
        "-",
        "0",
        "9",
        "1e308",
        "nan",
        "\n",
        "\0",
        "é",
        "\u{feff}",
        "type",
        "[[model.layers]]\n",
        "inputs = [\"hidden\"]",
        "units",
        "\"\"\"",
        "9223372036854775807",
        "softmax",
    ];
    let runner = Runner::new();
    let registry = Registry::standard();
    // Numerical Recipes' generator (Press et al., 1992): any will do that is the same everywhere.
    let mut state = 1u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((u64::from(state) * below as u64) >> 32) as usize
    };
    let mut codes = [0; 3];
    for round in 0..300 {
        let mut bytes = if round % 2 == 0 { GENDER } else { XOR }.as_bytes().to_vec();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            let end = (at + random(12)).min(bytes.len());
            match random(4) {
                0 => bytes[at] = random(256) as u8,
                1 => drop(bytes.drain(at..end)),
                2 => drop(bytes.splice(at..at, PIECES[random(PIECES.len())].bytes())),
                _ => drop(bytes.splice(at..end, PIECES[random(PIECES.len())].bytes())),
            }
        }
        runner.write("x.toml", &bytes);
        let code = check(&runner.path("x.toml"), &registry);
        assert!(code == 0 || code == 2, "{code}: {}", String::from_utf8_lossy(&bytes));
        codes[usize::from(code)] += 1;
    }
    assert!(codes[0] > 10 && codes[2] > 100, "the mutations are too wild or too tame: {codes:?}");
    assert_eq!(runner.entries(), ["x.toml"]);
}
