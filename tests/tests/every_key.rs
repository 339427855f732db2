//! For every key of every table and variant of the schema: misspelt, of a wrong type, out of range, missing. Each time
//! the message names it and points at its line and column. What is not registered yet is tested once it is.

use std::collections::HashMap;

use chainrule_runner::experiment::Experiment;
use chainrule_runner::registry::Registry;
use chainrule_runner::schema;
use chainrule_tests::runner::Runner;
use serde_json::{Map, Value as Json, json};

/// Where the key and the value of a path stand in a text.
type Places = HashMap<String, (usize, usize)>;

/// One table, or list, of the experiment: where it is, what it may hold, and a file in which it is whole.
struct Place<'a> {
    pointer: String,
    schema: &'a Json,
    file: Json,
}

struct Walk<'a> {
    root: &'a Json,
    runner: Runner,
    registry: Registry,
    cases: usize,
}

impl<'a> Walk<'a> {
    fn resolve(&self, mut schema: &'a Json) -> &'a Json {
        while let Some(reference) = schema["$ref"].as_str() {
            schema = self
                .root
                .pointer(reference.trim_start_matches('#'))
                .expect("a reference that leads somewhere");
        }
        schema
    }

    /// The schemas that a value may follow.
    fn leaves(&self, schema: &'a Json) -> Vec<&'a Json> {
        let schema = self.resolve(schema);
        let branches = ["oneOf", "anyOf"].iter().filter_map(|key| schema[*key].as_array()).flatten();
        let branches: Vec<&Json> = branches.filter(|branch| branch["type"] != "null").collect();
        match branches.is_empty() {
            true => vec![schema],
            false => branches.into_iter().flat_map(|branch| self.leaves(branch)).collect(),
        }
    }

    /// A value that conforms.
    fn sample(&self, schema: &'a Json) -> Json {
        let schema = self.leaves(schema)[0];
        let bound = |key: &str| schema[key].as_f64();
        if !schema["const"].is_null() {
            return schema["const"].clone();
        }
        if let Some(first) = schema["enum"].as_array().and_then(|choices| choices.first()) {
            return first.clone();
        }
        match kinds(schema).first().map(String::as_str) {
            Some("integer") => json!(bound("minimum").unwrap_or(1.0) as i64),
            Some("number") => json!(bound("minimum").unwrap_or(0.0) + 0.5),
            Some("string") => json!("s"),
            Some("boolean") => json!(true),
            Some("array") => json!([self.sample(&schema["items"])]),
            _ => self.table(schema, |required| required),
        }
    }

    /// A table with its required keys, or with all.
    fn table(&self, schema: &'a Json, with: impl Fn(bool) -> bool) -> Json {
        let required =
            |key: &str| schema["required"].as_array().is_some_and(|keys| keys.iter().any(|k| k == key));
        let properties = schema["properties"].as_object().into_iter().flatten();
        properties
            .filter(|(key, _)| with(required(key)))
            .map(|(key, property)| (key.clone(), self.sample(property)))
            .collect::<Map<String, Json>>()
            .into()
    }

    /// The table at a place with all its keys.
    fn whole(&self, file: &Json, pointer: &str, schema: &'a Json) -> Json {
        let mut file = file.clone();
        *file.pointer_mut(pointer).expect(pointer) = self.table(schema, |_| true);
        file
    }

    fn walk(&mut self, place: &Place<'a>) {
        for (key, property) in place.schema["properties"].as_object().into_iter().flatten() {
            // `extends` is taken out before the schema is asked; `bad_input` has its mistakes.
            if key == "extends" {
                continue;
            }
            let pointer = format!("{}/{key}", place.pointer);
            self.misspell(place, key);
            self.mistype(&place.file, &pointer, property);
            self.leave_range(&place.file, &pointer, property);
            if place.schema["required"].as_array().is_some_and(|keys| keys.iter().any(|k| k == key.as_str()))
            {
                self.leave_out(place, key);
            }
            for leaf in self.leaves(property) {
                self.descend(&place.file, &pointer, leaf);
            }
        }
    }

    fn descend(&mut self, file: &Json, pointer: &str, leaf: &'a Json) {
        if leaf["properties"].is_object() {
            let file = self.whole(file, pointer, leaf);
            self.walk(&Place { pointer: pointer.to_owned(), schema: leaf, file });
        }
        // A list of layers within a layer takes what the outer one takes, without end.
        let is_nested = pointer.matches("/layers").count() > 1;
        if leaf["items"].is_object() && !is_nested {
            for item in self.leaves(&leaf["items"]) {
                // The third of three, which is named as exactly as the first.
                let mut file = file.clone();
                let sample = self.sample(item);
                *file.pointer_mut(pointer).expect(pointer) = json!([sample, sample, sample]);
                let pointer = format!("{pointer}/2");
                self.mistype(&file, &pointer, &leaf["items"]);
                self.leave_range(&file, &pointer, item);
                self.descend(&file, &pointer, item);
            }
        }
    }

    fn misspell(&mut self, place: &Place<'_>, key: &str) {
        let misspelt = match key.len() {
            1 | 2 => key.to_uppercase(),
            length => format!("{}{}", &key[..length / 2 + 1], &key[length / 2..]),
        };
        let mut file = place.file.clone();
        let table = file.pointer_mut(&place.pointer).expect("a table").as_object_mut().expect("a table");
        let value = table.remove(key).expect(key);
        table.insert(misspelt.clone(), value);
        let help = format!("did you mean `{key}`?");
        let pointer = format!("{}/{misspelt}", place.pointer);
        self.refused(&file, &pointer, true, &[&format!("unknown key `{misspelt}`"), &help]);
    }

    fn mistype(&mut self, file: &Json, pointer: &str, property: &'a Json) {
        let allowed: Vec<String> = self.leaves(property).into_iter().flat_map(kinds).collect();
        let has = |kind: &str| allowed.iter().any(|other| other == kind);
        let wrong = match (has("boolean"), has("integer") || has("number")) {
            (false, _) => json!(true),
            (true, false) => json!(7),
            (true, true) => json!({}),
        };
        let mut file = file.clone();
        *file.pointer_mut(pointer).expect(pointer) = wrong;
        // A tag is named with its table.
        let words = if pointer.ends_with("/type") { "type".to_owned() } else { words(pointer) };
        self.refused(&file, pointer, false, &[&words, " must be ", "found "]);
    }

    fn leave_range(&mut self, file: &Json, pointer: &str, property: &'a Json) {
        for schema in self.leaves(property) {
            let whole = kinds(schema).iter().any(|kind| kind == "integer");
            let number = |value: f64| if whole { json!(value as i64) } else { json!(value) };
            let bounds = [
                ("minimum", -1.0, "at least"),
                ("exclusiveMinimum", 0.0, "greater than"),
                ("maximum", 1.0, "at most"),
                ("exclusiveMaximum", 0.0, "less than"),
            ];
            for (bound, beyond, relation) in bounds {
                // Above the largest integer of TOML there is nothing to write.
                let Some(limit) = schema[bound].as_f64().filter(|limit| limit.abs() < 9e18) else { continue };
                let mut file = file.clone();
                *file.pointer_mut(pointer).expect(pointer) = number(limit + beyond);
                let words = format!("{} must be {relation} {limit}, found ", words(pointer));
                self.refused(&file, pointer, false, &[&words]);
            }
        }
    }

    fn leave_out(&mut self, place: &Place<'_>, key: &str) {
        let mut file = place.file.clone();
        let table = file.pointer_mut(&place.pointer).expect("a table").as_object_mut().expect("a table");
        table.remove(key);
        // One of the two is there.
        if place.pointer.is_empty() && key == "loss" {
            table.remove("outputs");
        }
        let message = if place.pointer.is_empty() {
            format!("missing table [{key}]")
        } else {
            format!("missing key `{key}`")
        };
        self.refused(&file, &place.pointer, false, &[&message]);
    }

    /// The file is refused in these words, all in one message, with the place of the key or value.
    fn refused(&mut self, file: &Json, pointer: &str, at_key: bool, fragments: &[&str]) {
        self.cases += 1;
        let (text, places) = written(file);
        self.runner.write("x.toml", &text);
        let failure = Experiment::load(&self.runner.path("x.toml"), &[], &self.registry).expect_err(&text);
        assert_eq!(failure.code(), 2);
        let rendered = failure.render(false);
        let place = match places.get(pointer) {
            Some(&(key, value)) => {
                let before = &text[..if at_key { key } else { value }];
                let line = before.matches('\n').count() + 1;
                format!("x.toml:{line}:{}\n", before.chars().rev().take_while(|&c| c != '\n').count() + 1)
            }
            None => "x.toml\n".to_owned(),
        };
        let says = |message: &str| {
            fragments.iter().all(|fragment| message.contains(fragment)) && message.contains(&place)
        };
        assert!(
            rendered.split("error: ").any(says),
            "{pointer}: no message has {fragments:?} and {place}in:\n{rendered}\nof:\n{text}"
        );
    }
}

fn kinds(schema: &Json) -> Vec<String> {
    let kind = &schema["type"];
    let all = kind.as_array().into_iter().flatten().chain(kind.is_string().then_some(kind));
    let named: Vec<String> =
        all.filter_map(Json::as_str).filter(|kind| *kind != "null").map(str::to_owned).collect();
    let of_choice =
        if schema["const"].is_string() || schema["enum"].is_array() { "string" } else { "object" };
    if named.is_empty() { vec![of_choice.to_owned()] } else { named }
}

/// `/model/layers/2/units` as a message has it: `model.layers[2].units`.
fn words(pointer: &str) -> String {
    let mut words = String::new();
    for step in pointer.split('/').skip(1) {
        match step.parse::<usize>() {
            Ok(index) => words += &format!("[{index}]"),
            Err(_) if words.is_empty() => words += step,
            Err(_) => words += &format!(".{step}"),
        }
    }
    words
}

/// TOML with a line a key of the root, and where everything stands in it.
fn written(file: &Json) -> (String, Places) {
    let (mut text, mut places) = (String::new(), Places::new());
    for (key, value) in file.as_object().expect("a table") {
        write_entry(key, value, "", &mut text, &mut places);
        text.push('\n');
    }
    (text, places)
}

fn write_entry(key: &str, value: &Json, pointer: &str, text: &mut String, places: &mut Places) {
    let pointer = format!("{pointer}/{key}");
    let start = text.len();
    *text += &format!("{key} = ");
    let value_start = text.len();
    write_value(value, &pointer, text, places);
    places.insert(pointer, (start, value_start));
}

fn write_value(value: &Json, pointer: &str, text: &mut String, places: &mut Places) {
    match value {
        Json::Object(entries) => {
            *text += "{ ";
            for (rank, (key, value)) in entries.iter().enumerate() {
                *text += if rank > 0 { ", " } else { "" };
                write_entry(key, value, pointer, text, places);
            }
            *text += " }";
        }
        Json::Array(items) => {
            *text += "[";
            for (index, item) in items.iter().enumerate() {
                *text += if index > 0 { ", " } else { "" };
                let pointer = format!("{pointer}/{index}");
                let start = text.len();
                write_value(item, &pointer, text, places);
                places.insert(pointer, (start, start));
            }
            *text += "]";
        }
        // Strings, numbers and booleans are written as in JSON.
        scalar => *text += &scalar.to_string(),
    }
}

#[test]
fn every_key_of_every_table_has_its_messages() {
    let registry = Registry::standard();
    let schema = schema::experiment(&registry);
    let mut walk = Walk { root: &schema, runner: Runner::new(), registry, cases: 0 };
    let file = walk.table(&schema, |_| true);
    let mut file = file;
    file.as_object_mut().expect("a table").remove("extends");
    walk.walk(&Place { pointer: String::new(), schema: &schema, file });
    assert!(walk.cases > 500, "{} cases", walk.cases);
}
