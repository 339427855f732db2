use super::*;
use crate::diagnostic::render;
use crate::document::{deserialize, to_json};

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn load_first(files: &[(&str, &str)], overrides: &[&str]) -> (Loaded, String) {
    let folder = folder(files);
    let overrides: Vec<String> = overrides.iter().map(|text| text.to_string()).collect();
    let loaded = load(&folder.path().join(files[0].0), &overrides).unwrap();
    let text = render(&loaded.diagnostics, &loaded.sources, false);
    (loaded, text)
}

fn with(text: &str, argument: &str) -> Result<serde_json::Value, String> {
    let (loaded, errors) = load_first(&[("a.toml", text)], &[argument]);
    if loaded.diagnostics.is_empty() { Ok(to_json(&loaded.root)) } else { Err(errors) }
}

#[test]
fn merges_tables_and_replaces_everything_else() {
    let child = "extends = 'base/b.toml'\n[a]\nx = 1\nlist = [9]\n[new]";
    let base = "name = 'b'\n[a]\nx = 0\ny = 2\nlist = [1, 2]\n";
    let (loaded, errors) = load_first(&[("a.toml", child), ("base/b.toml", base)], &[]);
    assert_eq!(errors, "");
    let expected = serde_json::json!({"name": "b", "a": {"x": 1, "y": 2, "list": [9]}, "new": {}});
    assert_eq!(to_json(&loaded.root), expected);
    let file_of = |path: &[&str]| {
        let place = loaded.root.at(path).unwrap().place;
        loaded.sources.path(place.source().unwrap()).unwrap().file_name().unwrap().to_owned()
    };
    assert_eq!(file_of(&["a", "x"]), "a.toml");
    assert_eq!(file_of(&["a", "y"]), "b.toml");
}

#[test]
fn replaces_a_table_of_another_type() {
    let child = "extends = 'b.toml'\noptimizer = { type = 'sgd' }\nloss = { type = 'mse', x = 1 }";
    let base = "optimizer = { type = 'adam', beta1 = 0.9 }\nloss = { type = 'mse', y = 2 }";
    let (loaded, _) = load_first(&[("a.toml", child), ("b.toml", base)], &[]);
    let expected = serde_json::json!({"optimizer": {"type": "sgd"}, "loss": {"type": "mse", "x": 1, "y": 2}});
    assert_eq!(to_json(&loaded.root), expected);
}

#[test]
fn follows_a_chain_relative_to_each_file() {
    let files = [
        ("a.toml", "extends = 'd/b.toml'\na = 1"),
        ("d/b.toml", "extends = '../c.toml'\nb = 1"),
        ("c.toml", "c = 1"),
    ];
    let (loaded, errors) = load_first(&files, &[]);
    assert_eq!(errors, "");
    assert_eq!(to_json(&loaded.root), serde_json::json!({"a": 1, "b": 1, "c": 1}));
}

#[test]
fn points_at_the_extends_that_closes_a_circle() {
    let files = [("a.toml", "x = 1\nextends = './b.toml'"), ("b.toml", "extends = 'a.toml'")];
    let (_, errors) = load_first(&files, &[]);
    assert!(errors.contains("extends itself") && errors.contains("b.toml:1:1"), "{errors}");
    let (_, errors) = load_first(&[("a.toml", "x = 1\nextends = 'a.toml'")], &[]);
    assert!(errors.contains("a.toml:2:1"), "{errors}");
}

#[test]
fn reports_a_base_that_cannot_be_read_at_its_key() {
    let (loaded, errors) = load_first(&[("a.toml", "extends = 'no.toml'\nx = 1")], &[]);
    assert!(errors.contains("there is no file") && errors.contains("a.toml:1:1"), "{errors}");
    assert_eq!(to_json(&loaded.root), serde_json::json!({"x": 1}));
    let (_, errors) = load_first(&[("a.toml", "extends = 3")], &[]);
    assert!(errors.contains("extends must be a string, found an integer"), "{errors}");
}

#[test]
fn stops_a_long_chain() {
    let names: Vec<String> = (0..40).map(|index| format!("{index}.toml")).collect();
    let texts: Vec<String> = (1..41).map(|index| format!("extends = '{index}.toml'")).collect();
    let files: Vec<_> = names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
    let (_, errors) = load_first(&files, &[]);
    assert!(errors.contains("more than 16 files"), "{errors}");
}

#[test]
fn sets_values_of_every_kind() {
    let text =
        "[model]\nlayers = [{ units = 1 }, { units = 2 }]\nrow = [1, 2]\n[optimizer]\nlearning_rate = 1";
    let set = |argument| with(text, argument).unwrap();
    assert_eq!(set("optimizer.learning_rate=0.1")["optimizer"]["learning_rate"], 0.1);
    assert_eq!(set("optimizer.type=adam_w-2")["optimizer"]["type"], "adam_w-2");
    assert_eq!(set("optimizer.nesterov = true")["optimizer"]["nesterov"], true);
    assert_eq!(set("model.layers.1.units=8")["model"]["layers"][1]["units"], 8);
    assert_eq!(set("model.row.1=[3]")["model"]["row"], serde_json::json!([1, [3]]));
    assert_eq!(set("train.deep.er={ a = 1 }")["train"]["deep"]["er"]["a"], 1);
    assert_eq!(set("\"a=b.c\".'d \"'=\"x=y\"")["a=b.c"]["d \""], "x=y");
    assert_eq!(set("name=\"ü \\n\"")["name"], "ü \n");
}

#[test]
fn points_into_the_argument() {
    let text = "[model]\nlayers = [{ units = 1 }]\nempty = []\nname = 'x'";
    for (argument, message, column) in [
        ("model.layers.7.units=8", "no item 7: it has one item, 0", 14),
        ("model.empty.0=8", "no item 0: it is empty", 13),
        ("model.layers.first=8", "a list has no key `first`", 14),
        ("model.name.x=8", "`x` cannot be set within a string", 12),
        ("model..x=8", "a key is missing", 7),
        ("=8", "a key is missing", 1),
        ("extends=\"b.toml\"", "can only be set in a file", 1),
        ("", "a key is missing", 1),
        ("model.x", "there is no `=`", 1),
        ("model x=1", "cannot be in a bare key", 7),
        ("a\u{e9}=1", "cannot be in a bare key", 2),
        ("model.x=", "there is no value", 9),
        ("model.x=8 9", "", 9),
        ("model.x=data/iris.csv", "", 9),
        ("model.x=99999999999999999999", "does not fit into 64 bits", 9),
        ("model.x=[1, 2", "", 14),
        ("\"model.x=1", "quoted key", 1),
        ("a=1\nb=2", "", 4),
        ("a=[1] [2]", "unexpected content\n", 6),
    ] {
        let errors = with(text, argument).unwrap_err();
        assert!(errors.contains(message), "{argument}: {errors}");
        let origin = format!("--> --set:1:{column}\n");
        assert!(errors.contains(&origin), "{argument}: {errors}");
    }
}

#[test]
fn places_a_set_value_in_the_argument() {
    let (loaded, _) = load_first(&[("a.toml", "")], &["a.b= 12"]);
    let entry = loaded.root.at(&["a"]).unwrap().as_table().unwrap().entry("b").unwrap().clone();
    assert_eq!((entry.key_place.span(), entry.node.place.span()), (2..3, 5..7));
    assert_eq!(loaded.sources.origin(entry.node.place.source().unwrap()), "--set");
}

#[test]
fn merges_long_tables_in_linear_time() {
    let text: String = (0..200_000).map(|index| format!("k{index} = 1\n")).collect();
    let mut sources = Sources::new();
    let source = sources.add_file("a.toml".into(), text);
    let (root, _) = parse(&sources, source);
    let merged = merge(root.clone(), root);
    let read: HashMap<String, i64> = deserialize(&merged).unwrap();
    assert_eq!(read.len(), 200_000);
}
