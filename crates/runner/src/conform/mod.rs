//! Checks an experiment's tree against its JSON Schema, and fills in the defaults.
//!
//! The schema is made by `schemars` from the structs that the program works with, so that what an editor
//! completes, what `runner schema` prints, what is checked and what is defaulted can never differ. A general
//! validator would do for the checking, but its messages ("does not match any of the schemas under oneOf")
//! help nobody: this one chooses the branch as a reader would and says what is wrong in it.

mod check;
mod schema;
mod words;

#[cfg(test)]
mod example;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

pub use schema::Schema;

use crate::diagnostic::Diagnostics;
use crate::document::{Node, Value};
use schema::{Extra, RuleId};

/// All that does not conform to the schema, each mistake at its place.
pub fn conform(root: &Node, schema: &serde_json::Value) -> Diagnostics {
    Schema::new(schema).check(root)
}

/// Adds every key that has a default and is absent; see [`Schema::fill_defaults`].
pub fn fill_defaults(root: &mut Node, schema: &serde_json::Value) {
    Schema::new(schema).fill_defaults(root);
}

impl Schema {
    /// All that does not conform to the schema, each mistake at its place.
    pub fn check(&self, root: &Node) -> Diagnostics {
        check::check(self, root)
    }

    /// Whether there is something at a path of keys, and it conforms.
    pub fn conforms_at(&self, root: &Node, path: &[&str]) -> bool {
        let (mut rule, mut node) = (self.root, root);
        for key in path {
            let Some(leaf) = self.choose(rule, node) else { return false };
            let property = self.rules[leaf].properties.get(*key);
            let (Some(property), Some(child)) = (property, node.at(&[key])) else { return false };
            (rule, node) = (property.rule, child);
        }
        check::check_at(self, rule, node).is_empty()
    }

    /// Adds every key that has a default (other than null) and is absent, within tables added so too. What is
    /// added has no place. Called for a tree that conforms.
    pub fn fill_defaults(&self, root: &mut Node) {
        self.fill(self.root, root, crate::document::MAX_DEPTH);
    }

    /// `depth` bounds a table whose default holds, by default, itself.
    fn fill(&self, rule: RuleId, node: &mut Node, depth: usize) {
        let Some(leaf) = self.choose(rule, node).filter(|_| depth > 0) else { return };
        match &mut node.value {
            Value::Array(items) => self.fill_items(leaf, items, depth),
            Value::Table(table) => {
                let rule = &self.rules[leaf];
                for (key, property) in &rule.properties {
                    if let Some(default) = property.default.as_ref().filter(|_| !table.contains_key(key)) {
                        table.insert(key.as_str(), default.place, default.clone());
                    }
                }
                for entry in table.iter_mut() {
                    let property = rule.properties.get(&entry.key).map(|property| property.rule);
                    let extra = if let Extra::Like(rule) = rule.extra { Some(rule) } else { None };
                    if let Some(rule) = property.or(extra) {
                        self.fill(rule, &mut entry.node, depth - 1);
                    }
                }
            }
            _ => {}
        }
    }

    fn fill_items(&self, leaf: RuleId, items: &mut [Node], depth: usize) {
        let rule = &self.rules[leaf];
        for (index, item) in items.iter_mut().enumerate() {
            // Data are numbers, millions perhaps, and have no defaults.
            if !matches!(item.value, Value::Array(_) | Value::Table(_)) {
                continue;
            }
            if let Some(rule) = rule.first_items.get(index).copied().or(rule.items) {
                self.fill(rule, item, depth - 1);
            }
        }
    }
}
