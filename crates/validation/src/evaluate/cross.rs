//! Rules that look at other fields.

use std::borrow::Cow;

use super::{Scope, resolve};
use crate::rule::RuleName;
use crate::set::Rule;
use crate::value::Value;

/// Whether a value counts as switched on.
pub(super) fn is_accepted(value: &Value) -> bool {
    match value {
        Value::Bool(it) => *it,
        Value::Int(it) => *it == 1,
        Value::Text(it) => matches!(it.as_str(), "yes" | "on" | "1" | "true"),
        _ => false,
    }
}

/// Whether a value counts as switched off.
pub(super) fn is_declined(value: &Value) -> bool {
    match value {
        Value::Bool(it) => !*it,
        Value::Int(it) => *it == 0,
        Value::Text(it) => matches!(it.as_str(), "no" | "off" | "0" | "false"),
        _ => false,
    }
}

impl Scope<'_> {
    /// Evaluates a rule that looks at other fields; `None` for other rules.
    pub(super) fn cross_passes(&self, name: RuleName, rule: &Rule, value: &Value) -> Option<bool> {
        use RuleName as N;
        let present = self.value.is_some();
        let filled = !value.is_empty();
        let accepted = || is_accepted(self.get(rule.parameter(0).unwrap_or("")));
        let declined = || is_declined(self.get(rule.parameter(0).unwrap_or("")));
        Some(match name {
            N::Required => filled,
            N::Filled => !present || filled,
            N::Present => present,
            N::Missing => !present,
            N::Prohibited => !filled,
            N::AcceptedIf => !self.condition(rule) || is_accepted(value),
            N::DeclinedIf => !self.condition(rule) || is_declined(value),
            N::RequiredIf => filled || !self.known_condition(rule),
            N::RequiredUnless => filled || self.condition(rule),
            N::RequiredIfAccepted => filled || !accepted(),
            N::RequiredIfDeclined => filled || !declined(),
            N::RequiredWith => filled || self.all_empty(rule),
            N::RequiredWithAll => filled || self.any_empty(rule),
            N::RequiredWithout => filled || !self.any_empty(rule),
            N::RequiredWithoutAll => filled || !self.all_empty(rule),
            N::PresentIf => present || !self.condition(rule),
            N::PresentUnless => present || self.condition(rule),
            N::PresentWith => present || !rule.parameters().any(|it| self.has(it)),
            N::PresentWithAll => present || !rule.parameters().all(|it| self.has(it)),
            N::MissingIf => !present || !self.condition(rule),
            N::MissingUnless => !present || self.condition(rule),
            N::MissingWith => !present || !rule.parameters().any(|it| self.has(it)),
            N::MissingWithAll => !present || !rule.parameters().all(|it| self.has(it)),
            N::ProhibitedIf => !filled || !self.condition(rule),
            N::ProhibitedUnless => !filled || self.condition(rule),
            N::ProhibitedIfAccepted => !filled || !accepted(),
            N::ProhibitedIfDeclined => !filled || !declined(),
            N::Prohibits => !filled || self.all_empty(rule),
            N::Same => value.is_identical(self.get(rule.parameter(0).unwrap_or(""))),
            N::Confirmed => match rule.parameter(0) {
                Some(other) => value.is_identical(self.get(other)),
                None => value.is_identical(self.get(&format!("{}_confirmation", self.attribute))),
            },
            N::Different => !rule
                .parameters()
                .filter_map(|name| resolve(self.data, name))
                .any(|other| value.is_identical(other)),
            N::InArray => self.in_array(rule.parameter(0).unwrap_or(""), value),
            _ => return None,
        })
    }

    /// Whether a rule of the exclude family drops the attribute.
    pub(super) fn excludes(&self, rule: &Rule) -> bool {
        match rule.name() {
            RuleName::Exclude => true,
            RuleName::ExcludeIf => self.known_condition(rule),
            RuleName::ExcludeUnless => !self.condition(rule),
            RuleName::ExcludeWith => self.has(rule.parameter(0).unwrap_or("")),
            _ => self.any_empty(rule),
        }
    }

    fn all_empty(&self, rule: &Rule) -> bool {
        rule.parameters().all(|name| self.get(name).is_empty())
    }

    fn any_empty(&self, rule: &Rule) -> bool {
        rule.parameters().any(|name| self.get(name).is_empty())
    }

    /// As [`condition`](Self::condition), and the field is there.
    fn known_condition(&self, rule: &Rule) -> bool {
        self.has(rule.parameter(0).unwrap_or("")) && self.condition(rule)
    }

    /// Whether the field that the first parameter names has one of the values that follow.
    fn condition(&self, rule: &Rule) -> bool {
        let name = rule.parameter(0).unwrap_or("");
        let other = self.get(name);
        let booleans = matches!(other, Value::Bool(_))
            || self.rules_of(name).is_some_and(|set| set.flags.boolean);
        rule.parameters.iter().skip(1).any(|entry| {
            let boolean = match entry.as_deref() {
                Some("true") if booleans => Some(true),
                Some("false") if booleans => Some(false),
                _ => None,
            };
            match (other, boolean, entry.as_deref()) {
                (Value::Bool(it), Some(entry), _) => *it == entry,
                (Value::Bool(_), None, _) | (Value::Null, Some(_), _) => false,
                (Value::Null, None, entry) => {
                    entry.is_none_or(|entry| entry.to_lowercase() == "null")
                }
                (other, Some(entry), _) => other.is_truthy() == entry,
                (other, None, Some(entry)) => other.is_loosely_text(entry),
                (other, None, None) => other.is_loosely(&Value::Null),
            }
        })
    }

    /// Whether a value is loosely equal to another field's value, or to one of the leaves that a
    /// pattern with `*` names.
    fn in_array(&self, pattern: &str, value: &Value) -> bool {
        let explicit = pattern
            .split_once('*')
            .map_or(pattern, |(path, _)| path.trim_end_matches('.'));
        let Some(root) = resolve(self.data, explicit) else {
            return false;
        };
        leaves(root, Cow::Borrowed(explicit), &mut |path, leaf| {
            wildcard(pattern, path) && value.is_loosely(leaf)
        })
    }
}

/// Visits the leaves below a value with their dotted paths, until one is found. Empty arrays are
/// leaves.
fn leaves(value: &Value, path: Cow<'_, str>, found: &mut impl FnMut(&str, &Value) -> bool) -> bool {
    if value.entries().is_some_and(|count| count > 0) {
        value
            .keyed()
            .any(|(key, item)| leaves(item, Cow::Owned(format!("{path}.{key}")), &mut *found))
    } else {
        found(&path, value)
    }
}

/// Whether a text matches a pattern in which `*` stands for anything.
fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
    }
    match last {
        None => rest.is_empty(),
        Some(last) => rest.ends_with(last),
    }
}
