//! Keys and values of an experiment file: misspelt, of a wrong type, out of range.

use chainrule_tests::runner::GENDER;

use super::{edited, refused, with_layers};

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
