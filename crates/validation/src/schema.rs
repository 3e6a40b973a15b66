//! What of a rule set JSON Schema (draft 2020-12) can express.
//!
//! Every value that passes the rules and is not blank passes the schema; what the schema cannot say is
//! listed, so that nobody takes it for the whole.

use serde_json::{Map, Value as Json, json};

use crate::evaluate::SizeKind;
use crate::rule::RuleName;
use crate::set::{Rule, RuleSet};

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
    let mut schema = Map::new();
    let mut left_out = Vec::new();
    let only_text = rules.contains(RuleName::String);
    let only_numbers = rules.rules().iter().any(|rule| {
        matches!(rule.name(), RuleName::Integer | RuleName::Numeric) && is_strict(rule)
    });
    let mut all_of = Vec::new();
    for rule in rules.rules() {
        match keywords(rule, rules, only_text, only_numbers) {
            Some(found) => {
                for (name, value) in found {
                    if schema.contains_key(&name) && schema.get(&name) != Some(&value) {
                        let mut one = Map::new();
                        one.insert(name, value);
                        all_of.push(Json::Object(one));
                    } else {
                        schema.insert(name, value);
                    }
                }
            }
            None => left_out.push(rule.segment().to_owned()),
        }
    }
    if !all_of.is_empty() {
        schema.insert("allOf".to_owned(), Json::Array(all_of));
    }
    let required = rules.contains(RuleName::Required);
    let mut schema = Json::Object(schema);
    if !required && schema.as_object().is_some_and(|it| !it.is_empty()) {
        // Blank text passes every rule that does not ask for a value.
        let mut blank = vec![json!({"type": "string", "pattern": "^[ \\t\\n\\r\\u0000\\u000b]*$"})];
        if rules.contains(RuleName::Nullable) {
            blank.push(json!({"type": "null"}));
        }
        blank.push(schema);
        schema = json!({ "anyOf": blank });
    }
    Export {
        schema,
        required,
        left_out,
    }
}

fn is_strict(rule: &Rule) -> bool {
    rule.parameter(0) == Some("strict")
}

/// What one rule says in the words of JSON Schema; `None` when it cannot be said.
fn keywords(
    rule: &Rule,
    rules: &RuleSet,
    only_text: bool,
    only_numbers: bool,
) -> Option<Vec<(String, Json)>> {
    let say = |pairs: &[(&str, Json)]| {
        Some(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        )
    };
    let number = |at: usize| -> Option<Json> {
        serde_json::from_str::<serde_json::Number>(rule.parameter(at)?.trim())
            .ok()
            .map(Json::Number)
    };
    let count = |at: usize| -> Option<Json> {
        rule.parameter(at)?
            .trim()
            .parse::<u64>()
            .ok()
            .map(Json::from)
    };
    match rule.name() {
        RuleName::Bail | RuleName::Nullable | RuleName::Sometimes | RuleName::Distinct => say(&[]),
        RuleName::Required => say(&[("not", json!({"enum": [null, "", [], {}]}))]),
        RuleName::String => say(&[("type", json!("string"))]),
        RuleName::Integer if is_strict(rule) => say(&[("type", json!("integer"))]),
        RuleName::Integer => say(&[("type", json!(["integer", "string", "boolean"]))]),
        RuleName::Numeric if is_strict(rule) => say(&[("type", json!("number"))]),
        RuleName::Numeric | RuleName::Decimal => say(&[("type", json!(["number", "string"]))]),
        RuleName::Boolean if is_strict(rule) => say(&[("type", json!("boolean"))]),
        RuleName::Boolean => say(&[("enum", json!([true, false, 0, 1, "0", "1"]))]),
        RuleName::Accepted => say(&[("enum", json!(["yes", "on", "1", 1, true, "true"]))]),
        RuleName::Declined => say(&[("enum", json!(["no", "off", "0", 0, false, "false"]))]),
        RuleName::Array | RuleName::List => say(&[("type", json!(["array", "object"]))]),
        RuleName::In if only_text => {
            let values: Vec<&str> = rule.parameters().collect();
            say(&[("enum", json!(values))])
        }
        RuleName::NotIn if only_text => {
            let values: Vec<&str> = rule.parameters().collect();
            say(&[("not", json!({ "enum": values }))])
        }
        name @ (RuleName::Min | RuleName::Max | RuleName::Between | RuleName::Size) => {
            let (low, high) = match name {
                RuleName::Min => (Some(0), None),
                RuleName::Max => (None, Some(0)),
                RuleName::Size => (Some(0), Some(0)),
                _ => (Some(0), Some(1)),
            };
            let (least, most) = match rules.size_kind() {
                SizeKind::Numeric if only_numbers => ("minimum", "maximum"),
                SizeKind::Text if only_text => ("minLength", "maxLength"),
                SizeKind::Array => ("minItems", "maxItems"),
                _ => return None,
            };
            let value = |at| {
                if least == "minimum" {
                    number(at)
                } else {
                    count(at)
                }
            };
            let mut pairs = Vec::new();
            if let Some(at) = low {
                pairs.push((least.to_owned(), value(at)?));
            }
            if let Some(at) = high {
                pairs.push((most.to_owned(), value(at)?));
            }
            Some(pairs)
        }
        RuleName::Ascii => say(&[
            ("type", json!("string")),
            ("pattern", json!("^[\\u0000-\\u007f]*$")),
        ]),
        RuleName::HexColor => say(&[
            ("type", json!("string")),
            (
                "pattern",
                json!("^#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{4}|[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})\\n?$"),
            ),
        ]),
        RuleName::Uuid if rule.parameters.is_empty() => say(&[
            ("type", json!("string")),
            (
                "pattern",
                json!("^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"),
            ),
        ]),
        RuleName::Ulid => say(&[
            ("type", json!("string")),
            (
                "pattern",
                json!("^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$"),
            ),
        ]),
        RuleName::Ipv4 => say(&[("type", json!("string")), ("format", json!("ipv4"))]),
        RuleName::Ipv6 => say(&[("type", json!("string")), ("format", json!("ipv6"))]),
        _ => None,
    }
}
