//! What of a rule set JSON Schema (draft 2020-12) can express.

use serde_json::Value as Json;

use crate::set::RuleSet;

/// A schema and what it leaves out.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    /// The schema of a value.
    pub schema: Json,
    /// Whether an object that holds the field must have it.
    pub required: bool,
    /// The rules that the schema says nothing of, as they are written.
    pub left_out: Vec<String>,
}

/// Exports a set.
pub fn export(rules: &RuleSet) -> Export {
    let _ = rules;
    Export { schema: Json::Object(serde_json::Map::new()), required: false, left_out: Vec::new() }
}
