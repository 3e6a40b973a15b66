//! The tree that the reader makes.

use super::Position;
use crate::Place;

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where its first character stands.
    pub at: Position,
}

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as it is written.
    Number(Number),
    /// A string, escapes resolved.
    String(String),
    /// An array.
    Array(Vec<Node>),
    /// An object.
    Object(Object),
}

/// A number exactly as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number(pub(super) Box<str>);

impl Number {
    /// The text in the document.
    pub fn as_text(&self) -> &str {
        &self.0
    }

    /// Whether it is written without fraction and exponent; of any length.
    pub fn is_integer(&self) -> bool {
        !self.0.contains(['.', 'e', 'E'])
    }

    /// The integer, when it is written as one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// The non-negative integer, when it is written as one and fits.
    pub fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// The nearest double; always finite.
    pub fn as_f64(&self) -> f64 {
        self.0.parse().unwrap_or(0.0)
    }
}

/// The members of an object in document order, duplicates included.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object {
    /// The members.
    pub members: Vec<Member>,
}

/// One key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The key, escapes resolved.
    pub key: String,
    /// Where the key stands.
    pub key_at: Position,
    /// The value.
    pub node: Node,
}

impl Object {
    /// The member of that key; the last one when there are several.
    pub fn member(&self, key: &str) -> Option<&Member> {
        self.members.iter().rev().find(|member| member.key == key)
    }

    /// The value of that key; the last one when there are several.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.member(key).map(|member| &member.node)
    }

    /// Keys and values in document order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.members.iter().map(|m| (m.key.as_str(), &m.node))
    }
}

impl Node {
    /// The value of a key; `None` when this is no object or lacks it. The last of duplicates.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }

    /// The value a JSON pointer (RFC 6901) leads to; the empty pointer is this value.
    pub fn pointer(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer
            .strip_prefix('/')?
            .split('/')
            .try_fold(self, |node, part| match &node.value {
                Value::Object(object) => object.get(&part.replace("~1", "/").replace("~0", "~")),
                Value::Array(items) if part == "0" || !part.starts_with(['0', '+']) => {
                    items.get(part.parse::<usize>().ok()?)
                }
                _ => None,
            })
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The truth value, when it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The string, when it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, when it is one.
    pub fn as_number(&self) -> Option<&Number> {
        match &self.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The elements, when it is an array.
    pub fn as_array(&self) -> Option<&[Self]> {
        match &self.value {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members, when it is an object.
    pub fn as_object(&self) -> Option<&Object> {
        match &self.value {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// JSON's word for its type: `null`, `boolean`, `number`, `string`, `array` or `object`.
    pub fn type_name(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        }
    }

    /// The place of this value for a finding.
    pub fn place(&self, file: &str, pointer: &str) -> Place {
        Place::pointer(file, pointer).at(self.at.line, self.at.column)
    }

    /// The same value as `serde_json` would have read it: the last of duplicate keys counts, integers
    /// beyond 64 bits become doubles.
    pub fn to_serde(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => serde_json::from_str(number.as_text())
                .map_or(serde_json::Value::Null, serde_json::Value::Number),
            Value::String(text) => text.as_str().into(),
            Value::Array(items) => items.iter().map(Self::to_serde).collect(),
            Value::Object(object) => object
                .iter()
                .map(|(key, node)| (key.to_owned(), node.to_serde()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}
