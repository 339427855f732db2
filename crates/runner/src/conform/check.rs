//! The walk over the tree that finds what does not conform.

use serde_json::Value as Json;

use super::schema::{Bounds, Extra, Kind, Rule, RuleId, Schema};
use super::words::{Step, alternatives, found, in_table, listed, path_words, short, table_example};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Entry, Node, Place, Table, Value};
use crate::suggest::{alias, nearest, suggest};

pub(super) fn check(schema: &Schema, root: &Node) -> Diagnostics {
    check_at(schema, schema.root, root)
}

/// A part of the tree against the rule for it.
pub(super) fn check_at(schema: &Schema, rule: RuleId, root: &Node) -> Diagnostics {
    let mut checker = Checker {
        schema,
        path: Vec::new(),
        owner: root,
        owner_depth: 0,
        place: root.place,
        mistakes: Diagnostics::new(),
    };
    checker.check(rule, root);
    checker.mistakes
}

struct Checker<'a> {
    schema: &'a Schema,
    path: Vec<Step<'a>>,
    /// The table that holds what is checked, and the length of its path.
    owner: &'a Node,
    owner_depth: usize,
    /// The place of the last table that has one, for mistakes in values that have none.
    place: Place,
    mistakes: Diagnostics,
}

impl<'a> Checker<'a> {
    fn check(&mut self, rule: RuleId, node: &'a Node) {
        match self.schema.choose(rule, node) {
            Some(leaf) => self.check_plain(leaf, node),
            None => self.check_misfit(rule, node),
        }
    }

    /// A value against a rule without branches.
    fn check_plain(&mut self, id: RuleId, node: &'a Node) {
        let rule = &self.schema.rules[id];
        if !rule.holds_kind(node) {
            return self.report_kind(&[id], node);
        }
        if let Value::Float(value) = node.value
            && !value.is_finite()
        {
            return self.report_value(node, format!("must be finite, found {value:?}").to_lowercase());
        }
        if rule.choices.as_ref().is_some_and(|choices| !choices.iter().any(|choice| equals(choice, node))) {
            return self.report_choice(&[id], node);
        }
        match &node.value {
            Value::String(text) => self.check_length(rule, text, node),
            Value::Integer(value) => self.check_bounds(&rule.bounds, *value as f64, node),
            Value::Float(value) => self.check_bounds(&rule.bounds, *value, node),
            Value::Array(items) => self.check_items(rule, items, node),
            Value::Table(table) => self.check_table(rule, table, node),
            Value::Boolean(_) | Value::Datetime(_) => {}
        }
    }

    /// A value that fits into no branch: says why not into the nearest.
    fn check_misfit(&mut self, rule: RuleId, node: &'a Node) {
        let leaves = self.schema.leaves(rule);
        let number = matches!(node.value, Value::Integer(_) | Value::Float(_));
        let near = |leaf: &RuleId| {
            let rule = &self.schema.rules[*leaf];
            rule.holds_kind(node) || number && rule.kinds.contains(&Kind::Integer)
        };
        let near: Vec<RuleId> = leaves.iter().copied().filter(near).collect();
        match (&node.value, &near[..]) {
            (_, []) => self.report_kind(&leaves, node),
            (Value::String(_), near) => self.report_choice(near, node),
            (Value::Table(table), near) => self.report_tag(near, table, node),
            (_, [first, ..]) => self.check_plain(*first, node),
        }
    }

    fn check_length(&mut self, rule: &Rule, text: &str, node: &Node) {
        if (text.chars().count() as u64) >= rule.min_length {
            return;
        }
        self.report_value(
            node,
            match rule.min_length {
                1 => "must not be empty".into(),
                length => format!("must have at least {length} characters"),
            },
        );
    }

    fn check_bounds(&mut self, bounds: &Bounds, value: f64, node: &Node) {
        let wrong = [
            (bounds.at_least.filter(|&bound| value < bound), "at least"),
            (bounds.above.filter(|&bound| value <= bound), "greater than"),
            (bounds.at_most.filter(|&bound| value > bound), "at most"),
            (bounds.below.filter(|&bound| value >= bound), "less than"),
        ];
        for (bound, relation) in wrong {
            if let Some(bound) = bound {
                return self.report_value(node, format!("must be {relation} {bound}, found {}", found(node)));
            }
        }
    }

    fn check_items(&mut self, rule: &Rule, items: &'a [Node], node: &Node) {
        let (count, least, most) = (items.len() as u64, rule.min_items, rule.max_items);
        if count < least || most.is_some_and(|most| count > most) {
            let bound = match most {
                Some(most) if most == least => format!("exactly {}", counted(least)),
                _ if count < least => format!("at least {}", counted(least)),
                most => format!("at most {}", counted(most.unwrap_or(0))),
            };
            self.report_value(node, format!("must have {bound}, found {count}"));
        }
        for (index, item) in items.iter().enumerate() {
            let Some(rule) = rule.first_items.get(index).copied().or(rule.items) else { return };
            self.path.push(Step::Index(index));
            self.check(rule, item);
            self.path.pop();
        }
    }

    fn check_table(&mut self, rule: &'a Rule, table: &'a Table, node: &'a Node) {
        let outer = (self.owner, self.owner_depth, self.place);
        (self.owner, self.owner_depth) = (node, self.path.len());
        if !node.place.is_none() {
            self.place = node.place;
        }
        let mut meant = Vec::new();
        for entry in table.iter() {
            match (rule.properties.get(&entry.key), rule.extra) {
                (Some(property), _) => self.check_entry(property.rule, entry),
                (None, Extra::Like(rule)) => self.check_entry(rule, entry),
                (None, Extra::Nothing) => meant.extend(self.report_unknown_key(rule, table, entry)),
                (None, Extra::Anything) => {}
            }
        }
        for key in &rule.required {
            // A misspelt key is not missing as well.
            if !table.contains_key(key) && !meant.contains(&key.as_str()) {
                self.report_missing_key(rule, key);
            }
        }
        (self.owner, self.owner_depth, self.place) = outer;
    }

    fn check_entry(&mut self, rule: RuleId, entry: &'a Entry) {
        self.path.push(Step::Key(&entry.key));
        self.check(rule, &entry.node);
        self.path.pop();
    }

    fn report(&mut self, diagnostic: Diagnostic, place: Place) {
        let place = if place.is_none() { self.place } else { place };
        self.mistakes.push(diagnostic.at(place));
    }

    /// ` in [optimizer]`: the table that holds what is checked.
    fn within(&self) -> String {
        in_table(&self.path[..self.owner_depth], self.owner)
    }

    /// The path of what is checked, as the subject of a sentence.
    fn subject(&self) -> String {
        if self.path.is_empty() { "the experiment".into() } else { path_words(&self.path) }
    }

    fn report_value(&mut self, node: &Node, predicate: String) {
        let diagnostic = Diagnostic::new(format!("{} {predicate}", self.subject()));
        self.report(diagnostic, node.place);
    }

    fn report_kind(&mut self, leaves: &[RuleId], node: &Node) {
        let rules = || leaves.iter().map(|&leaf| &self.schema.rules[leaf]);
        let mut kinds: Vec<Kind> = rules().flat_map(|rule| rule.kinds.iter().copied()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        if kinds.contains(&Kind::Number) {
            kinds.retain(|&kind| kind != Kind::Integer);
        }
        let words: Vec<&str> = kinds.iter().map(|kind| kind.words()).collect();
        let found = if matches!(node.value, Value::Float(_)) { found(node) } else { node.kind().into() };
        let message = format!("{} must be {}, found {found}", self.subject(), alternatives(&words));
        let names = listed(rules().flat_map(Rule::names));
        let choices = (!names.is_empty()).then(|| format!("the choices are {names}"));
        let diagnostic = Diagnostic::new(message).maybe_help(choices).maybe_help(kind_help(&kinds, node));
        self.report(diagnostic, node.place);
    }

    /// A scalar that is none of the choices.
    fn report_choice(&mut self, leaves: &[RuleId], node: &Node) {
        let schema = self.schema;
        let rules = || leaves.iter().map(move |&leaf| &schema.rules[leaf]);
        let Some(text) = node.as_str() else {
            let choices: Vec<String> =
                rules().flat_map(|rule| rule.choices.iter().flatten()).map(Json::to_string).collect();
            let choices: Vec<&str> = choices.iter().map(String::as_str).collect();
            return self
                .report_value(node, format!("must be {}, found {}", alternatives(&choices), found(node)));
        };
        let message = match self.path.last() {
            Some(Step::Key(key)) => format!("unknown {} `{}`{}", short(key), short(text), self.within()),
            _ => format!("unknown value `{}` for {}", short(text), self.subject()),
        };
        let names: Vec<&str> = rules().flat_map(Rule::names).collect();
        self.report(Diagnostic::new(message).help(choice_help(text, &names)), node.place);
    }

    /// A table whose `type` leads to no branch.
    fn report_tag(&mut self, leaves: &[RuleId], table: &Table, node: &Node) {
        let tags = leaves.iter().filter_map(|&leaf| self.schema.tags(leaf));
        let names: Vec<&str> = tags.flat_map(Rule::names).collect();
        let within = in_table(&self.path, node);
        let Some(tag) = table.get("type") else {
            if let Some(entry) = table.iter().find(|entry| nearest(&entry.key, ["type"]).is_some()) {
                let message = format!("unknown key `{}`{within}", short(&entry.key));
                let help = format!("did you mean `type`? the choices are {}", listed(names.into_iter()));
                return self.report(Diagnostic::new(message).help(help), entry.key_place);
            }
            let missing = format!("missing key `type`{within}");
            let choices = format!("the choices are {}", listed(names.into_iter()));
            return self.report(Diagnostic::new(missing).help(choices), node.place);
        };
        let Some(name) = tag.as_str() else {
            let wrong = format!("`type`{within} must be a string, found {}", tag.kind());
            let choices = format!("the choices are {}", listed(names.into_iter()));
            return self.report(Diagnostic::new(wrong).help(choices), tag.place);
        };
        // The wrong name is in the message already: not a second time in brackets.
        let within = if within.ends_with(')') { format!(" in {}", path_words(&self.path)) } else { within };
        let message = format!("unknown type `{}`{within}", short(name));
        self.report(Diagnostic::new(message).help(choice_help(name, &names)), tag.place);
    }

    /// Gives the key that was probably meant.
    fn report_unknown_key(&mut self, rule: &'a Rule, table: &Table, entry: &Entry) -> Option<&'a str> {
        let key = entry.key.as_str();
        let allowed = || rule.properties.keys().map(String::as_str);
        let known = |names: &[&str]| allowed().find(|name| names.contains(name));
        let meant = alias(key).iter().find_map(|name| known(&[name]));
        let home = self.home(key);
        // Which table a right key belongs in says more than which wrong key is near.
        let meant = meant.or_else(|| if home.is_none() { nearest(key, allowed()) } else { None });
        let help = match (meant, home) {
            (Some(meant), _) if table.contains_key(meant) => format!("`{meant}` is set already"),
            (Some(meant), _) => format!("did you mean `{meant}`?"),
            (None, Some(home)) => format!("`{key}` belongs in [{home}]"),
            (None, None) => key_help(rule),
        };
        let message = format!("unknown key `{}`{}", short(key), self.within());
        self.report(Diagnostic::new(message).help(help), entry.key_place);
        meant
    }

    /// The table of the file that has a key of this name, if it is not this one.
    fn home(&self, key: &str) -> Option<&'a str> {
        let schema = self.schema;
        let here = path_words(&self.path);
        let has = |rule: RuleId| {
            schema.leaf(rule, &mut |leaf| schema.rules[leaf].properties.contains_key(key)).is_some()
        };
        let tables = schema.rules[schema.root].properties.iter();
        tables.filter(|(name, table)| **name != here && has(table.rule)).map(|(name, _)| name.as_str()).next()
    }

    fn report_missing_key(&mut self, rule: &Rule, key: &str) {
        let within = self.within();
        let property = rule.properties.get(key).map(|property| property.rule);
        let is_table = |rule| {
            self.schema.leaves(rule).iter().all(|&leaf| self.schema.rules[leaf].kinds == [Kind::Table])
        };
        let message = match self.path.is_empty() && property.is_some_and(is_table) {
            true => format!("missing table [{key}]"),
            false => format!("missing key `{key}`{within}"),
        };
        let description = property.and_then(|rule| self.schema.rules[rule].description.as_deref());
        let help = description.and_then(|text| text.lines().next()).map(|line| format!("`{key}`: {line}"));
        let names = property.map(|rule| listed(self.schema.rules[rule].names()));
        let choices = names.filter(|names| !names.is_empty()).map(|names| format!("the choices are {names}"));
        let help = choices.or(help);
        // How a table is written says more than what it is.
        let help =
            table_example(key).filter(|_| message.starts_with("missing table")).map(str::to_owned).or(help);
        self.report(Diagnostic::new(message).maybe_help(help), self.owner.place);
    }
}

fn equals(choice: &Json, node: &Node) -> bool {
    match &node.value {
        Value::String(text) => choice == text,
        Value::Integer(value) => choice.as_f64() == Some(*value as f64),
        Value::Float(value) => choice.as_f64() == Some(*value),
        Value::Boolean(value) => choice == value,
        _ => false,
    }
}

fn counted(count: u64) -> String {
    if count == 1 { "1 item".into() } else { format!("{count} items") }
}

/// How to write what was meant, where only the notation is wrong.
fn kind_help(kinds: &[Kind], node: &Node) -> Option<String> {
    match &node.value {
        Value::Float(value)
            if kinds.contains(&Kind::Integer) && value.fract() == 0.0 && value.abs() < 1e15 =>
        {
            Some(format!("write {value:.0}"))
        }
        Value::String(text) => {
            let is_number = kinds.iter().any(|kind| matches!(kind, Kind::Integer | Kind::Number))
                && text.parse::<f64>().is_ok_and(f64::is_finite);
            let is_boolean = kinds.contains(&Kind::Boolean) && matches!(&**text, "true" | "false");
            (is_number || is_boolean).then(|| format!("write {} without the quotes", short(text)))
        }
        _ => None,
    }
}

fn choice_help(word: &str, names: &[&str]) -> String {
    let choices = format!("the choices are {}", listed(names.iter().copied()));
    match suggest(word, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`? {choices}"),
        None => choices,
    }
}

/// The keys of a table, those first that it must have.
fn key_help(rule: &Rule) -> String {
    let required = rule.required.iter().map(String::as_str);
    let others = rule.properties.keys().filter(|key| !rule.required.contains(key)).map(String::as_str);
    match rule.properties.is_empty() {
        true => "this table has no keys".into(),
        false => format!("the keys here are {}", listed(required.chain(others))),
    }
}
