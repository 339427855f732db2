//! Whatever the bytes, reading, merging, checking, filling and rendering them never panics.

use serde_json::json;

use super::Schema;
use crate::diagnostic::render;
use crate::document::{Sources, apply_override, merge, parse, to_toml_string};

/// A valid file, to be spoilt.
const FILE: &str = r#"
# comment
name = "é\n" # more
seed = 42
[data]
x = [[54, 168.5], [-1e3, inf]]
when = 1979-05-27T07:32:00Z
[optimizer]
type = "sgd"
learning_rate = 0.1
[[model.layers]]
type = "dense"
units = 2
[[model.layers]]
inner = { a.b = 1, c = '''x''' }
"#;

/// Pieces that a parser may trip over.
const PIECES: [&str; 24] = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "\\",
    "#",
    "\n",
    "\r",
    "\0",
    "\u{feff}",
    "nan",
    "99999999999999999999",
    "1e999",
    "ü",
    "type",
];

/// Knuth's generator: repeatable, and needs no crate.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

fn schema() -> Schema {
    let sgd = json!({
        "type": "object",
        "required": ["type", "learning_rate"],
        "additionalProperties": false,
        "properties": {"type": {"const": "sgd"}, "learning_rate": {"type": "number", "exclusiveMinimum": 0}},
    });
    let adam = json!({"type": "object", "required": ["type"], "properties": {"type": {"const": "adam"}}});
    let inner =
        json!({"anyOf": [{"type": "string", "enum": ["a", "b"]}, {"type": "object"}, {"type": "null"}]});
    let layer = json!({
        "type": "object",
        "properties": {"type": {"enum": ["dense", "dropout"], "default": "dense"}, "inner": inner},
    });
    let layers = json!({"type": "array", "default": [{"type": "dense"}], "items": layer});
    let x = json!({"type": "array", "items": {"type": "array", "items": {"type": "number"}}});
    Schema::new(&json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["data"],
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "seed": {"type": "integer", "minimum": 0},
            "data": {"type": "object", "properties": {"x": x}},
            "optimizer": {"oneOf": [sgd, adam]},
            "model": {"type": "object", "default": {}, "properties": {"layers": layers}},
        }
    }))
}

fn survive(schema: &Schema, first: &str, second: &str, argument: &str) {
    let mut sources = Sources::new();
    let (first, second) = (
        sources.add_file("a.toml".into(), first.into()),
        sources.add_file("b\x1b.toml".into(), second.into()),
    );
    let (base, mut mistakes) = parse(&sources, first);
    let (child, more) = parse(&sources, second);
    mistakes.append(more);
    let mut root = merge(base, child);
    mistakes.append(apply_override(&mut root, &mut sources, argument));
    mistakes.append(schema.check(&root));
    schema.fill_defaults(&mut root);
    mistakes.append(schema.check(&root));
    let _ = to_toml_string(root.as_table().expect("the root is a table"));
    for colour in [false, true] {
        let _ = render(&mistakes, &sources, colour);
    }
}

fn spoil(random: &mut Lcg) -> String {
    let mut bytes = FILE.as_bytes().to_vec();
    for _ in 0..=random.below(5) {
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] = random.below(256) as u8,
            1 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].bytes())),
            2 => drop(bytes.drain(at..(at + random.below(9)).min(bytes.len()))),
            _ => {
                let piece = bytes[at..(at + random.below(40)).min(bytes.len())].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn survives_spoilt_files() {
    let (schema, mut random) = (schema(), Lcg(1));
    for _ in 0..3000 {
        let (first, second) = (spoil(&mut random), spoil(&mut random));
        let at = random.below(first.len());
        let argument: String = first.chars().skip(at).take(20).collect();
        survive(&schema, &first, &second, &argument);
    }
}

#[test]
fn survives_noise() {
    let (schema, mut random) = (schema(), Lcg(2));
    for round in 0..3000 {
        let bytes: Vec<u8> = (0..random.below(60)).map(|_| random.below(256) as u8).collect();
        let pieces: String = (0..random.below(30)).map(|_| PIECES[random.below(PIECES.len())]).collect();
        let noise = String::from_utf8_lossy(&bytes).into_owned();
        survive(&schema, &noise, &pieces, if round % 2 == 0 { &noise } else { &pieces });
    }
}
