//! Options of a select, and the values that a field begins with.

use std::collections::HashMap;

use plugyard_model::codes;
use plugyard_model::json::{Node, Object, Position};
use plugyard_validation::{FieldType, Value as EngineValue, is_blank};
use serde_json::json;

use super::forms::scalar;
use super::path::Path;
use super::structure::{Draft, FIELDS_MAX, FieldDraft, Reader};
use super::suggest;
use crate::definition::Choice;
use crate::report::Issue;
use crate::shape;
use crate::value::Value;

const OPTIONS_MAX: usize = 500;
const OPTION_MAX: usize = 255;

const OPTION_KEYS: &[&str] = &["value", "label"];

/// Where a value stands that a field begins with.
pub(super) enum Preset {
    Default,
    Value,
}

impl Preset {
    /// Whether a value means that there is none.
    ///
    /// A default of a checkbox must be one of its words, blank or not.
    fn is_none(&self, field_type: FieldType, value: Option<&EngineValue>) -> bool {
        match (value, self) {
            (Some(EngineValue::Null), _) => true,
            (Some(EngineValue::Text(text)), Self::Default) if field_type == FieldType::Checkbox => {
                text.is_empty()
            }
            (Some(EngineValue::Text(text)), _) => is_blank(text),
            _ => false,
        }
    }
}

impl Reader<'_> {
    pub(super) fn options(
        &mut self,
        object: &Object,
        field_path: &Path<'_>,
        field_type: FieldType,
        field: &mut FieldDraft<'_>,
    ) {
        let path = field_path.key("options");
        let node = match (object.get("options"), field_type) {
            (None, FieldType::Select) => {
                let issue = Issue::new(codes::OPTIONS_MISSING, field_path.pointer(), field.at);
                return self.error(issue.of_field(field.key));
            }
            (None, _) => return,
            (Some(node), FieldType::Select) => node,
            (Some(node), other) => {
                let issue = Issue::new(codes::OPTIONS_NOT_ALLOWED, path.pointer(), node.at);
                return self.error(issue.with("type", other.as_str()).of_field(field.key));
            }
        };
        let Some(items) = node.as_array() else {
            let issue = Issue::new(codes::OPTIONS_TYPE, path.pointer(), node.at)
                .with("expected", "array")
                .with("actual", node.type_name());
            return self.error(issue.of_field(field.key));
        };
        if items.is_empty() {
            let issue = Issue::new(codes::OPTIONS_EMPTY, path.pointer(), node.at);
            return self.error(issue.of_field(field.key));
        }
        if items.len() > OPTIONS_MAX {
            self.error(
                Issue::new(codes::TOO_MANY, path.pointer(), node.at)
                    .with("limit", OPTIONS_MAX)
                    .with("actual", items.len()),
            );
        }
        let mut seen = HashMap::new();
        for (index, item) in items.iter().take(OPTIONS_MAX).enumerate() {
            let path = path.index(index);
            let Some((choice, at)) = self.option(item, &path) else {
                continue;
            };
            let text = choice.text();
            if let Some(first) = seen.get(&text) {
                self.error(
                    Issue::new(codes::OPTION_DUPLICATE, path.key("value").pointer(), at)
                        .with("value", text)
                        .with("first", *first)
                        .of_field(field.key),
                );
            } else {
                seen.insert(text, index);
                field.options.push((choice, at, index));
            }
        }
    }

    /// An option and where its value stands.
    fn option(&mut self, node: &Node, path: &Path<'_>) -> Option<(Choice, Position)> {
        let Some(object) = node.as_object() else {
            self.wrong_type(node, path, "object");
            return None;
        };
        self.known(object, path, OPTION_KEYS);
        for key in OPTION_KEYS {
            self.needs(object, path, node.at, key);
        }
        let label = self.label(object, path);
        let node = object.get("value")?;
        let path = path.key("value");
        let value = match scalar(node) {
            Some(EngineValue::Text(_)) => {
                Value::Text(self.text(node, &path, OPTION_MAX)?.to_owned())
            }
            Some(value) if shape::whole(&value).is_some() => Value::Int(shape::whole(&value)?),
            _ => {
                self.wrong_type(node, &path, "string or integer");
                return None;
            }
        };
        Some((Choice { value, label }, node.at))
    }

    pub(super) fn values<'a>(&mut self, node: &'a Node, draft: &mut Draft<'a>) {
        let path = Path::Root.key("values");
        let places: HashMap<&str, usize> = draft.fields.iter().map(|it| it.key).zip(0..).collect();
        for member in self.members(node, &path, FIELDS_MAX) {
            let key = member.key.as_str();
            let Some(&place) = places.get(key) else {
                // The fields beyond the limit are defined, though nobody looked at them.
                if !draft.keys.contains(&key) {
                    let suggestion = suggest::nearest(key, draft.keys.iter().copied());
                    self.error(
                        Issue::new(
                            codes::VALUE_UNKNOWN_FIELD,
                            path.key(key).pointer(),
                            member.key_at,
                        )
                        .with("key", key)
                        .with("suggestion", suggestion),
                    );
                }
                continue;
            };
            let Some(field) = draft.fields.get(place) else {
                continue;
            };
            let Some(field_type) = field.field_type else {
                continue;
            };
            let preset = self.preset(&member.node, field, field_type, &Preset::Value);
            if let Some(field) = draft.fields.get_mut(place) {
                field.preset = preset;
            }
        }
    }

    /// A default or preset value that the type takes; nothing for one that means "none".
    pub(super) fn preset(
        &mut self,
        node: &Node,
        field: &FieldDraft<'_>,
        field_type: FieldType,
        which: &Preset,
    ) -> Option<(EngineValue, Position)> {
        let value = scalar(node);
        if which.is_none(field_type, value.as_ref()) {
            return None;
        }
        let (path, type_code, option_code) = match which {
            Preset::Default => (
                Path::field(field.key, "default"),
                codes::DEFAULT_TYPE,
                codes::DEFAULT_NOT_IN_OPTIONS,
            ),
            Preset::Value => (
                Path::value(field.key),
                codes::VALUE_TYPE,
                codes::VALUE_NOT_IN_OPTIONS,
            ),
        };
        let options: Vec<Choice> = field.options.iter().map(|it| it.0.clone()).collect();
        let expected = match field_type {
            FieldType::Number => "number or numeric string",
            FieldType::Checkbox => "boolean or one of 0, 1, on, off, yes, no",
            FieldType::Select => "string or integer",
            _ => "string",
        };
        let taken = value.as_ref().is_some_and(|value| match field_type {
            FieldType::Select => {
                matches!(value, EngineValue::Text(_)) || shape::whole(value).is_some()
            }
            other => shape::canonical(other, &options, value).is_some(),
        });
        let Some(value) = value.filter(|_| taken) else {
            self.error(
                Issue::new(type_code, path, node.at)
                    .with("expected", expected)
                    .with("actual", node.type_name())
                    .of_field(field.key),
            );
            return None;
        };
        if field_type == FieldType::Select
            // Nothing can be said about options that could not be read.
            && !options.is_empty()
            && shape::canonical(field_type, &options, &value).is_none()
        {
            let allowed: Vec<String> = options.iter().take(20).map(Choice::text).collect();
            self.error(
                Issue::new(option_code, path, node.at)
                    .with("actual", value.text().unwrap_or_default().into_owned())
                    .with("allowed", json!(allowed))
                    .of_field(field.key),
            );
            return None;
        }
        Some((value, node.at))
    }
}
