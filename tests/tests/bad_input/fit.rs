//! What does not fit together: sizes, data, targets, names, wires.

use chainrule_tests::runner::{GENDER, Runner, XOR, ended};

use super::{assert_says, edited, fails, refused, with_layers};

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
