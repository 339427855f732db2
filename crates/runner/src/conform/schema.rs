//! A JSON Schema made ready: references resolved, keywords read once, so that checking a million numbers
//! does not look up a keyword a million times.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value as Json};

use crate::document::{Node, Value, from_json};

/// References that refer to references; more is a circle.
const MAX_HOPS: usize = 32;

/// The schema of the experiment file, ready to check trees with.
#[derive(Debug, Clone)]
pub struct Schema {
    pub(super) rules: Vec<Rule>,
    pub(super) root: RuleId,
}

pub(super) type RuleId = usize;

/// What a schema says about one value.
#[derive(Debug, Clone, Default)]
pub(super) struct Rule {
    /// The kinds that are allowed; none: all.
    pub(super) kinds: Vec<Kind>,
    /// `enum` and `const`.
    pub(super) choices: Option<Vec<Json>>,
    pub(super) bounds: Bounds,
    pub(super) min_length: u64,
    pub(super) min_items: u64,
    pub(super) max_items: Option<u64>,
    pub(super) items: Option<RuleId>,
    pub(super) first_items: Vec<RuleId>,
    pub(super) properties: BTreeMap<String, Property>,
    pub(super) required: Vec<String>,
    pub(super) extra: Extra,
    /// `oneOf` and `anyOf`, without null, which TOML does not have.
    pub(super) branches: Vec<RuleId>,
    pub(super) description: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Property {
    pub(super) rule: RuleId,
    pub(super) default: Option<Node>,
}

/// What may be set besides the properties.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Extra {
    #[default]
    Anything,
    Nothing,
    Like(RuleId),
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bounds {
    pub(super) at_least: Option<f64>,
    pub(super) at_most: Option<f64>,
    pub(super) above: Option<f64>,
    pub(super) below: Option<f64>,
}

/// The kinds of JSON Schema, except null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Table,
}

impl Kind {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "string" => Some(Self::String),
            "integer" => Some(Self::Integer),
            "number" => Some(Self::Number),
            "boolean" => Some(Self::Boolean),
            "array" => Some(Self::Array),
            "object" => Some(Self::Table),
            _ => None,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Array => "an array",
            Self::Table => "a table",
        }
    }

    pub(super) fn holds(self, node: &Node) -> bool {
        match &node.value {
            Value::String(_) => self == Self::String,
            Value::Integer(_) => matches!(self, Self::Integer | Self::Number),
            Value::Float(_) => self == Self::Number,
            Value::Boolean(_) => self == Self::Boolean,
            Value::Datetime(_) => false,
            Value::Array(_) => self == Self::Array,
            Value::Table(_) => self == Self::Table,
        }
    }
}

impl Rule {
    pub(super) fn holds_kind(&self, node: &Node) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|kind| kind.holds(node))
    }

    /// The choices that are text.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.choices.iter().flatten().filter_map(Json::as_str)
    }
}

impl Schema {
    /// Makes a schema ready.
    ///
    /// # Panics
    /// When a `$ref` leads nowhere or in a circle. The schema is part of the program, not of its input.
    pub fn new(schema: &Json) -> Self {
        let mut compiler = Compiler { document: schema, rules: Vec::new(), done: HashMap::new() };
        let root = compiler.rule(schema);
        Self { rules: compiler.rules, root }
    }

    /// Visits the rules that a rule leaves a choice of, itself if it leaves none, until one is taken.
    pub(super) fn leaf(&self, rule: RuleId, take: &mut dyn FnMut(RuleId) -> bool) -> Option<RuleId> {
        self.leaf_within(rule, MAX_HOPS, take)
    }

    fn leaf_within(&self, id: RuleId, hops: usize, take: &mut dyn FnMut(RuleId) -> bool) -> Option<RuleId> {
        let rule = &self.rules[id];
        if rule.branches.is_empty() || hops == 0 {
            return take(id).then_some(id);
        }
        rule.branches.iter().find_map(|&branch| self.leaf_within(branch, hops - 1, take))
    }

    /// All rules that a rule leaves a choice of, itself if it leaves none.
    pub(super) fn leaves(&self, rule: RuleId) -> Vec<RuleId> {
        let mut leaves = Vec::new();
        let _ = self.leaf(rule, &mut |leaf| {
            leaves.push(leaf);
            false
        });
        leaves
    }

    /// The values of `type` that lead to this rule, if it is of a table that has them.
    pub(super) fn tags(&self, rule: RuleId) -> Option<&Rule> {
        let tag = self.rules[rule].properties.get("type")?;
        let tag = &self.rules[tag.rule];
        tag.names().next().is_some().then_some(tag)
    }

    /// The branch that a value belongs to: by its kind, its `type`, its first item. Without branches, `rule`.
    pub(super) fn choose(&self, rule: RuleId, node: &Node) -> Option<RuleId> {
        if self.rules[rule].branches.is_empty() {
            return Some(rule);
        }
        self.leaf(rule, &mut |leaf| self.fits(leaf, node))
    }

    fn fits(&self, id: RuleId, node: &Node) -> bool {
        let rule = &self.rules[id];
        if !rule.holds_kind(node) {
            return false;
        }
        match &node.value {
            Value::String(text) => rule.choices.is_none() || rule.names().any(|name| name == text),
            Value::Array(items) => match (items.first(), rule.items) {
                (Some(first), Some(items)) => {
                    self.choose(items, first).is_some_and(|leaf| self.fits(leaf, first))
                }
                _ => true,
            },
            Value::Table(table) => match (self.tags(id), table.get("type").map(Node::as_str)) {
                (Some(tag), Some(Some(name))) => tag.names().any(|other| other == name),
                (Some(_), Some(None)) => false,
                (Some(_), None) => !rule.required.iter().any(|key| key == "type"),
                (None, _) => true,
            },
            _ => true,
        }
    }

    /// The names that can be written at a path of keys (`*` for the items of an array), with their
    /// descriptions: the values of `type` where tables stand, the choices where strings do. For example
    /// `["model", "layers", "*"]`: all types of layers.
    pub fn choices(&self, path: &[&str]) -> Vec<(String, Option<String>)> {
        let mut here = vec![self.root];
        for key in path {
            here = here
                .iter()
                .flat_map(|&rule| self.leaves(rule))
                .flat_map(|leaf| self.step(leaf, key))
                .collect();
            here.sort_unstable();
            here.dedup();
        }
        let mut found: Vec<(String, Option<String>)> = Vec::new();
        for leaf in here.iter().flat_map(|&rule| self.leaves(rule)) {
            let rule = &self.rules[leaf];
            for name in self.tags(leaf).unwrap_or(rule).names() {
                if found.iter().all(|(other, _)| other != name) {
                    found.push((name.to_owned(), rule.description.clone()));
                }
            }
        }
        found
    }

    fn step(&self, leaf: RuleId, key: &str) -> Option<RuleId> {
        match key {
            "*" => self.rules[leaf].items,
            _ => self.rules[leaf].properties.get(key).map(|property| property.rule),
        }
    }
}

struct Compiler<'a> {
    document: &'a Json,
    rules: Vec<Rule>,
    /// By address, which is what makes a schema within the document unique; a schema may contain itself.
    done: HashMap<*const Json, RuleId>,
}

impl<'a> Compiler<'a> {
    fn rule(&mut self, schema: &'a Json) -> RuleId {
        if let Some(&id) = self.done.get(&std::ptr::from_ref(schema)) {
            return id;
        }
        let id = self.rules.len();
        self.rules.push(Rule::default());
        self.done.insert(schema, id);
        let mut rule = Rule::default();
        self.absorb(&mut rule, schema, 0);
        self.rules[id] = rule;
        id
    }

    /// Adds what a schema says to a rule.
    fn absorb(&mut self, rule: &mut Rule, schema: &'a Json, hops: usize) {
        let Some(object) = schema.as_object() else { return };
        assert!(hops < MAX_HOPS, "the schema refers to itself: {schema}");
        if let Some(reference) = object.get("$ref").and_then(Json::as_str) {
            self.absorb(rule, self.resolve(reference), hops + 1);
        }
        for part in list(object, "allOf") {
            self.absorb(rule, part, hops + 1);
        }
        absorb_scalars(rule, object);
        self.absorb_children(rule, object);
        self.absorb_branches(rule, object, hops);
    }

    fn resolve(&self, reference: &str) -> &'a Json {
        let target = reference.strip_prefix('#').and_then(|pointer| self.document.pointer(pointer));
        target.unwrap_or_else(|| panic!("the schema refers to `{reference}`, which it does not define"))
    }

    fn absorb_children(&mut self, rule: &mut Rule, object: &'a Map<String, Json>) {
        for (key, schema) in object.get("properties").and_then(Json::as_object).into_iter().flatten() {
            let default = schema.get("default").filter(|default| !default.is_null()).map(from_json);
            let property = Property { rule: self.rule(schema), default };
            rule.properties.insert(key.clone(), property);
        }
        if let Some(items) = object.get("items") {
            rule.items = Some(self.rule(items));
        }
        for item in list(object, "prefixItems") {
            let item = self.rule(item);
            rule.first_items.push(item);
        }
        match object.get("additionalProperties").or(object.get("unevaluatedProperties")) {
            Some(Json::Bool(false)) => rule.extra = Extra::Nothing,
            Some(schema @ Json::Object(_)) => rule.extra = Extra::Like(self.rule(schema)),
            _ => {}
        }
    }

    fn absorb_branches(&mut self, rule: &mut Rule, object: &'a Map<String, Json>, hops: usize) {
        let is_null = |branch: &&Json| branch.get("type").is_some_and(|name| name == "null");
        let branches = list(object, "oneOf").chain(list(object, "anyOf")).filter(|branch| !is_null(branch));
        let branches: Vec<&Json> = branches.collect();
        if let [only] = branches[..] {
            return self.absorb(rule, only, hops + 1);
        }
        // Keys that all branches share are part of each.
        let common = (!rule.properties.is_empty()).then(|| rule.clone());
        for branch in branches {
            let id = match &common {
                None => self.rule(branch),
                Some(common) => {
                    let mut whole = common.clone();
                    self.absorb(&mut whole, branch, hops + 1);
                    self.rules.push(whole);
                    self.rules.len() - 1
                }
            };
            rule.branches.push(id);
        }
    }
}

fn absorb_scalars(rule: &mut Rule, object: &Map<String, Json>) {
    match object.get("type") {
        Some(Json::String(name)) => rule.kinds = Kind::from_name(name).into_iter().collect(),
        Some(Json::Array(names)) => {
            rule.kinds = names.iter().filter_map(Json::as_str).filter_map(Kind::from_name).collect();
        }
        _ => {}
    }
    if let Some(only) = object.get("const") {
        rule.choices = Some(vec![only.clone()]);
    }
    if let Some(Json::Array(choices)) = object.get("enum") {
        rule.choices = Some(choices.iter().filter(|choice| !choice.is_null()).cloned().collect());
    }
    let number = |key: &str| object.get(key).and_then(Json::as_f64);
    let length = |key: &str| object.get(key).and_then(Json::as_u64);
    let bounds = &mut rule.bounds;
    bounds.at_least = number("minimum").or(bounds.at_least);
    bounds.at_most = number("maximum").or(bounds.at_most);
    bounds.above = number("exclusiveMinimum").or(bounds.above);
    bounds.below = number("exclusiveMaximum").or(bounds.below);
    rule.min_length = length("minLength").unwrap_or(rule.min_length);
    rule.min_items = length("minItems").unwrap_or(rule.min_items);
    rule.max_items = length("maxItems").or(rule.max_items);
    let required = list(object, "required").filter_map(Json::as_str);
    rule.required.extend(required.map(str::to_owned));
    if let Some(Json::String(description)) = object.get("description") {
        rule.description = Some(description.clone());
    }
}

fn list<'a>(object: &'a Map<String, Json>, key: &str) -> impl Iterator<Item = &'a Json> + use<'a> {
    object.get(key).and_then(Json::as_array).into_iter().flatten()
}
