//! What experiments are checked against, made once for any number of files.

use crate::conform::Schema;
use crate::document::Node;
use crate::registry::Registry;
use crate::schema;

/// The schema of a file with `[loss]`, and that of one with `[[outputs]]`.
///
/// To make them takes longer than to check a short file, so who reads many files makes them once.
#[derive(Debug)]
pub struct Schemas {
    with_loss: Schema,
    with_outputs: Schema,
}

impl Schemas {
    /// Those of files that may name the types of `registry`.
    pub fn new(registry: &Registry) -> Self {
        let mut json = schema::experiment(registry);
        let with_loss = Schema::new(&json);
        schema::without_loss(&mut json);
        Self { with_loss, with_outputs: Schema::new(&json) }
    }

    /// The schema that this file is to conform to.
    pub(super) fn of(&self, root: &Node) -> &Schema {
        if root.at(&["outputs"]).is_some() { &self.with_outputs } else { &self.with_loss }
    }
}
