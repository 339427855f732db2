use schemars::schema_for;

use super::example::{File, GOOD, Train};
use super::*;
use crate::diagnostic::render;
use crate::document::{Sources, apply_override, deserialize, parse, to_json};

fn schema() -> serde_json::Value {
    schema_for!(File).to_value()
}

fn mistakes_with(text: &str, argument: Option<&str>) -> String {
    let mut sources = Sources::new();
    let source = sources.add_file("a.toml".into(), text.into());
    let (mut root, mut errors) = parse(&sources, source);
    if let Some(argument) = argument {
        errors.append(apply_override(&mut root, &mut sources, argument));
    }
    assert!(errors.is_empty(), "{}", render(&errors, &sources, false));
    render(&conform(&root, &schema()), &sources, false)
}

/// The mistakes of the good file with one line replaced.
fn spoilt(line: &str, by: &str) -> String {
    assert_eq!(GOOD.matches(&format!("{line}\n")).count(), 1, "{line}");
    mistakes_with(&GOOD.replace(&format!("{line}\n"), &format!("{by}\n")), None)
}

/// Expects one mistake with this message and, in its help, these words.
fn expect(text: String, message: &str, help: &str) {
    assert_eq!(text.matches("error: ").count(), 1, "{text}");
    assert!(text.starts_with(&format!("error: {message}\n")), "expected {message}, got {text}");
    assert!(text.contains(help), "expected {help}, got {text}");
}

#[test]
fn accepts_a_good_file() {
    assert_eq!(mistakes_with(GOOD, None), "");
}

#[test]
fn names_the_key_that_is_unknown() {
    let text = spoilt("learning_rate = 1", "lr = 0.1");
    expect(text.clone(), "unknown key `lr` in [optimizer]", "= help: did you mean `learning_rate`?");
    assert!(text.contains("--> a.toml:7:1"), "{text}");
    expect(spoilt("name = \"n\"", "sed = 1"), "unknown key `sed`", "did you mean `seed`?");
    expect(
        spoilt("epochs = 10", "epochs = 1\nzzz = 1"),
        "unknown key `zzz` in [train]",
        "the keys here are `epochs`, `batch_size`",
    );
    let message = "unknown key `alpha` in model.layers[1].activation (elu)";
    expect(
        spoilt("activation = { type = \"elu\" }", "activation = { type = \"elu\", alpha = 2 }"),
        message,
        "`slope`",
    );
    let message = "unknown key `size` in model.layers[1] (dense \"output\")";
    expect(spoilt("units = 1", "units = 1\nsize = 3"), message, "`units` is set already");
}

#[test]
fn says_which_table_a_key_belongs_in() {
    let text = spoilt("learning_rate = 1", "learning_rate = 1\nepochs = 3");
    expect(text, "unknown key `epochs` in [optimizer]", "`epochs` belongs in [train]");
}

#[test]
fn places_a_missing_key_at_its_table() {
    let text = spoilt("units = 1", "");
    expect(
        text.clone(),
        "missing key `units` in model.layers[1] (dense \"output\")",
        "`units`: The width of the output.",
    );
    assert!(text.contains("--> a.toml:14:1") && text.contains("^^^^^^^^^^^^^^^^"), "{text}");
    expect(spoilt("epochs = 10", ""), "missing key `epochs` in [train]", "--> a.toml:8:1");
    let no_train = GOOD.replace("[train]\nepochs = 10\n", "");
    expect(mistakes_with(&no_train, None), "missing table [train]", "--> a.toml\n");
}

#[test]
fn says_what_kind_a_value_must_be() {
    let text = spoilt("units = 2", "units = \"two\"");
    expect(text, "model.layers[0].units must be an integer, found a string", "--> a.toml:12:9");
    expect(
        spoilt("units = 2", "units = \"2\""),
        "model.layers[0].units must be an integer, found a string",
        "write 2 without",
    );
    expect(
        spoilt("epochs = 10", "epochs = 10.0"),
        "train.epochs must be an integer, found 10.0",
        "= help: write 10",
    );
    expect(
        spoilt("epochs = 10", "epochs = 1e3"),
        "train.epochs must be an integer, found 1000.0",
        "= help: write 1000",
    );
    expect(spoilt("epochs = 10", "epochs = 1.5"), "train.epochs must be an integer, found 1.5", "");
    expect(spoilt("name = \"n\"", "dtype = 32"), "dtype must be a string, found an integer", "`f32`, `f64`");
    expect(
        spoilt("activation = \"sigmoid\"", "activation = 3"),
        "model.layers[0].activation must be a string or a table, found an integer",
        "",
    );
    expect(
        spoilt("x = [[54, 168.5], [65, 185]]", "x = [[1, 2], [3, true]]"),
        "data.x[1][1] must be a number, found a boolean",
        "a.toml:3:18",
    );
    expect(
        spoilt("learning_rate = 1", "learning_rate = 1\nnesterov = \"true\""),
        "optimizer.nesterov must be a boolean, found a string",
        "write true",
    );
    expect(
        spoilt("units = 2", "units = 1979-05-27"),
        "model.layers[0].units must be an integer, found a date",
        "",
    );
    let scalar = GOOD.replace("[train]\nepochs = 10\n", "").replace("[data]", "train = 3\n[data]");
    expect(mistakes_with(&scalar, None), "train must be a table, found an integer", "");
}

#[test]
fn says_what_range_a_value_must_be_in() {
    let rate = |value: &str| spoilt("learning_rate = 1", &format!("learning_rate = {value}"));
    expect(rate("-1"), "optimizer.learning_rate must be greater than 0, found -1", "");
    expect(rate("0.0"), "optimizer.learning_rate must be greater than 0, found 0.0", "");
    expect(rate("nan"), "optimizer.learning_rate must be finite, found nan", "");
    expect(rate("-inf"), "optimizer.learning_rate must be finite, found -inf", "");
    expect(spoilt("epochs = 10", "epochs = -1"), "train.epochs must be at least 0, found -1", "");
    expect(
        spoilt("epochs = 10", "epochs = 1\n[runtime]\nthreads = 70000"),
        "runtime.threads must be at most 65535, found 70000",
        "",
    );
    expect(spoilt("name = \"n\"", "name = \"\""), "name must not be empty", "");
    expect(spoilt("name = \"n\"", "schema_version = 2"), "schema_version must be 1, found 2", "");
    expect(spoilt("y = [[1], [0]]", "pair = [1, 2, 3]"), "data.pair must have exactly 2 items, found 3", "");
    expect(spoilt("y = [[1], [0]]", "pair = [1, 256]"), "data.pair[1] must be at most 255, found 256", "");
    let dropout =
        GOOD.replace("type = \"dense\"\nunits = 2\nactivation = \"sigmoid\"", "type = 'dropout'\nrate = 1.0");
    expect(mistakes_with(&dropout, None), "model.layers[0].rate must be less than 1, found 1.0", "");
}

#[test]
fn chooses_the_branch_by_type() {
    expect(
        spoilt("type = \"sgd\"", ""),
        "missing key `type` in [optimizer]",
        "the choices are `sgd`, `adam`",
    );
    expect(
        spoilt("type = \"sgd\"", "type = 3"),
        "`type` in [optimizer] must be a string, found an integer",
        "`adam`",
    );
    let text = spoilt("type = \"sgd\"", "type = \"adamm\"");
    expect(
        text.clone(),
        "unknown type `adamm` in [optimizer]",
        "did you mean `adam`? the choices are `sgd`, `adam`",
    );
    assert!(text.contains("--> a.toml:6:8"), "{text}");
    let linear = GOOD.replace("type = \"dense\"\nname", "type = \"Linear\"\nname");
    expect(mistakes_with(&linear, None), "unknown type `Linear` in model.layers[1]", "did you mean `dense`?");
    let text = spoilt("activation = { type = \"elu\" }", "activation = { type = \"celu\" }");
    expect(text, "unknown type `celu` in model.layers[1].activation", "did you mean `elu`?");
}

#[test]
fn chooses_the_branch_by_kind() {
    let text = spoilt("activation = \"sigmoid\"", "activation = \"logistic\"");
    expect(text, "unknown activation `logistic` in model.layers[0] (dense)", "did you mean `sigmoid`?");
    expect(spoilt("name = \"n\"", "dtype = \"float64\""), "unknown dtype `float64`", "did you mean `f64`?");
    for labels in ["[0, 1]", "[\"a\", \"b\"]", "[]", "[[]]"] {
        assert_eq!(spoilt("y = [[1], [0]]", &format!("y = {labels}")), "", "{labels}");
    }
    expect(spoilt("y = [[1], [0]]", "y = [\"a\", 1]"), "data.y[1] must be a string, found an integer", "");
    expect(spoilt("y = [[1], [0]]", "y = [[1], 1]"), "data.y[1] must be an array, found an integer", "");
}

#[test]
fn checks_tables_within_tables() {
    let text = spoilt(
        "units = 2",
        "units = 2\n[[model.layers]]\ntype = \"residual\"\nlayers = [{ type = \"dropout\" }]",
    );
    assert!(text.contains("missing key `rate` in model.layers[1].layers[0] (dropout)"), "{text}");
}

#[test]
fn reports_every_mistake_at_once() {
    let text = GOOD
        .replace("learning_rate = 1", "learning_rate = -1\nmomentun = 0.9")
        .replace("units = 2", "units = 0\nunit = 3")
        .replace("epochs = 10", "");
    assert_eq!(mistakes_with(&text, None).matches("error: ").count(), 5);
}

#[test]
fn points_into_the_argument_of_set() {
    let text = mistakes_with(GOOD, Some("train.epochs=-5"));
    expect(text, "train.epochs must be at least 0, found -5", "--> --set:1:14");
    expect(mistakes_with(GOOD, Some("train.epoch=5")), "unknown key `epoch` in [train]", "--> --set:1:7");
    let text = mistakes_with(GOOD, Some("new.table.x=5"));
    expect(text, "unknown key `new`", "--> --set:1:1");
}

#[test]
fn fills_in_every_default() {
    let mut sources = Sources::new();
    let source = sources.add_file("a.toml".into(), GOOD.into());
    let (mut root, _) = parse(&sources, source);
    fill_defaults(&mut root, &schema());
    assert!(conform(&root, &schema()).is_empty());
    let json = to_json(&root);
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["dtype"], "f32");
    assert_eq!(json["train"]["batch_size"], 32);
    assert_eq!(json["runtime"]["threads"], 0);
    assert_eq!(
        (&json["optimizer"]["momentum"], &json["optimizer"]["nesterov"]),
        (&0.0.into(), &false.into())
    );
    assert_eq!(json["model"]["layers"][1]["activation"]["slope"], 1.0);
    assert!(json["data"].get("pair").is_none() && json["model"]["layers"][0].get("name").is_none());
    assert!(root.at(&["train", "batch_size"]).unwrap().place.is_none());
    let file: File = deserialize(&root).unwrap();
    assert_eq!(file.train, Train { epochs: 10, batch_size: 32 });
}

#[test]
fn fills_a_table_that_is_absent() {
    let runtime = serde_json::json!({"default": {}, "$ref": "#/$defs/Runtime"});
    let threads = serde_json::json!({"type": "integer", "default": 0});
    let schema = serde_json::json!({
        "type": "object",
        "properties": {"runtime": runtime},
        "$defs": {"Runtime": {"type": "object", "properties": {"threads": threads, "deep": runtime}}},
    });
    let mut root = Node::new(Value::Table(Default::default()), crate::document::Place::none());
    // The default of `deep` holds itself: filled as deep as a tree may be.
    fill_defaults(&mut root, &schema);
    assert_eq!(to_json(&root)["runtime"]["deep"]["threads"], 0);
}

#[test]
fn shares_common_keys_among_branches() {
    let schema = serde_json::json!({"type": "object", "additionalProperties": false,
        "properties": {"name": {"type": "string"}}, "oneOf": [
            {"properties": {"type": {"const": "a"}, "x": {"type": "integer", "default": 3}}, "required": ["type"]},
            {"properties": {"type": {"const": "b"}}, "required": ["type"]}]});
    let check = |text: &str| {
        let mut sources = Sources::new();
        let source = sources.add_file("a.toml".into(), text.into());
        let (root, _) = parse(&sources, source);
        render(&conform(&root, &schema), &sources, false)
    };
    assert_eq!(check("type = 'a'\nname = 'n'\nx = 1"), "");
    expect(check("type = 'b'\nname = 'n'\nx = 1"), "unknown key `x`", "`type`");
}

#[test]
fn lists_the_choices_with_their_descriptions() {
    let schema = Schema::new(&schema());
    let names = |path: &[&str]| schema.choices(path).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(&["model", "layers", "*"]), ["dense", "dropout", "residual"]);
    assert_eq!(names(&["model", "layers", "*", "activation"]), ["linear", "sigmoid", "leaky_relu", "elu"]);
    assert_eq!(schema.choices(&["dtype"])[0], ("f32".into(), Some("32 bits.".into())));
    assert_eq!(schema.choices(&["model", "layers", "*"])[0].1.as_deref(), Some("A matrix and a bias."));
    assert!(schema.choices(&["no", "such"]).is_empty());
}

#[test]
fn checks_a_million_numbers_quickly() {
    let rows = "[1, 2.5, 3, 4, 5, 6, 7, 8, 9, 10],".repeat(100_000);
    let start = std::time::Instant::now();
    assert_eq!(spoilt("x = [[54, 168.5], [65, 185]]", &format!("x = [{rows}]")), "");
    let wrong = "['a'],".repeat(200_000);
    let text = spoilt("x = [[54, 168.5], [65, 185]]", &format!("x = [{wrong}]"));
    assert!(text.ends_with("... and 199900 more\n"));
    assert!(start.elapsed().as_secs() < 60);
}
