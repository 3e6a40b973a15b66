//! Rows as eKuiper sends them: JSON with sorted names and without spaces, `<`, `>` and `&` escaped.
//!
//! JSON that passes is rewritten without building a tree; numbers keep their text (HOST-23).

use std::io::Write as _;

use plugyard_symbol::{Body, Row, Value};

/// Deepest nesting that is written.
const MAX_DEPTH: usize = 128;

/// A value is nested deeper than anybody can want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a value is nested more than {MAX_DEPTH} levels deep")]
pub(crate) struct TooDeep;

/// Writes an object.
pub(crate) fn body(body: &Body, out: &mut Vec<u8>) -> Result<(), TooDeep> {
    match body {
        Body::Json(text) => Rewriter::new(text.as_bytes()).value(out, 0),
        Body::Row(columns) => row(columns, out),
    }
}

/// Writes an object.
pub(crate) fn row(row: &Row, out: &mut Vec<u8>) -> Result<(), TooDeep> {
    object(row, out, 0)
}

/// Writes any value.
pub(crate) fn json(it: &Value, out: &mut Vec<u8>) -> Result<(), TooDeep> {
    value(it, out, 0)
}

fn object(row: &Row, out: &mut Vec<u8>, depth: usize) -> Result<(), TooDeep> {
    let mut entries: Vec<_> = row.iter().collect();
    entries.sort_by(|a, b| a.0.cmp(b.0));
    out.push(b'{');
    for (index, (name, entry)) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(name, out);
        out.push(b':');
        value(entry, out, depth + 1)?;
    }
    out.push(b'}');
    Ok(())
}

fn value(it: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), TooDeep> {
    if depth > MAX_DEPTH {
        return Err(TooDeep);
    }
    match it {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(number) => out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes()),
        Value::Number(text) => out.extend_from_slice(text.as_bytes()),
        Value::Float(number) => float(*number, out),
        Value::Text(text) => string(text, out),
        Value::Bytes(_) => {
            // Base64 needs no escaping; writing into memory does not fail.
            let _ = serde_json::to_writer(&mut *out, it);
        }
        Value::List(values) => {
            out.push(b'[');
            for (index, entry) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                value(entry, out, depth + 1)?;
            }
            out.push(b']');
        }
        Value::Object(row) => object(row, out, depth)?,
        Value::Json(text) => Rewriter::new(text.as_bytes()).value(out, depth)?,
    }
    Ok(())
}

/// A float as Go writes it: `2`, `0.5`, `1e+21`, `1e-7`.
fn float(number: f64, out: &mut Vec<u8>) {
    let size = number.abs();
    // Writing into memory does not fail.
    let _ = if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        match text.split_once('e') {
            Some((digits, power)) if !power.starts_with('-') => write!(out, "{digits}e+{power}"),
            _ => write!(out, "{text}"),
        }
    } else {
        write!(out, "{number}")
    };
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !special(byte) {
            continue;
        }
        let line_end = bytes[at..].starts_with("\u{2028}".as_bytes())
            || bytes[at..].starts_with("\u{2029}".as_bytes());
        if byte == LINE_END && !line_end {
            continue;
        }
        out.extend_from_slice(&bytes[from..at]);
        from = at + if line_end { 3 } else { 1 };
        let short = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            _ => "",
        };
        if short.is_empty() {
            let code = if line_end {
                0x2028 + u32::from(bytes[at + 2] & 1)
            } else {
                byte.into()
            };
            let _ = write!(out, "\\u{code:04x}");
        } else {
            out.extend_from_slice(short.as_bytes());
        }
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

/// First byte of U+2028 and U+2029, which Go escapes.
const LINE_END: u8 = 0xe2;

const fn special(byte: u8) -> bool {
    byte < 0x20 || matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | LINE_END)
}

/// Goes once through JSON text that is known to be valid.
struct Rewriter<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Rewriter<'a> {
    const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    fn value(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), TooDeep> {
        if depth > MAX_DEPTH {
            return Err(TooDeep);
        }
        match self.peek() {
            Some(b'{') => self.object(out, depth),
            Some(b'[') => self.list(out, depth),
            Some(b'"') => {
                self.string(out);
                Ok(())
            }
            _ => {
                let from = self.at;
                while self.text.get(self.at).is_some_and(|byte| {
                    !matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')
                }) {
                    self.at += 1;
                }
                out.extend_from_slice(&self.text[from..self.at]);
                Ok(())
            }
        }
    }

    fn list(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), TooDeep> {
        out.push(b'[');
        self.at += 1;
        loop {
            match self.peek() {
                None => break,
                Some(b']') => {
                    self.at += 1;
                    break;
                }
                Some(b',') => {
                    self.at += 1;
                    out.push(b',');
                }
                Some(_) => self.value(out, depth + 1)?,
            }
        }
        out.push(b']');
        Ok(())
    }

    /// Writes the members as they come and puts them into order afterwards, if they were not.
    fn object(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), TooDeep> {
        out.push(b'{');
        let start = out.len();
        let mut members: Vec<Member<'a>> = Vec::new();
        self.at += 1;
        loop {
            match self.peek() {
                None => break,
                Some(b'}') => {
                    self.at += 1;
                    break;
                }
                Some(b',') => self.at += 1,
                Some(_) => {
                    if !members.is_empty() {
                        out.push(b',');
                    }
                    let from = out.len();
                    let name = self.string(out);
                    if self.peek() == Some(b':') {
                        self.at += 1;
                    }
                    out.push(b':');
                    self.value(out, depth + 1)?;
                    members.push(Member {
                        name,
                        from,
                        to: out.len(),
                    });
                }
            }
        }
        if members.windows(2).any(|pair| pair[0].name >= pair[1].name) {
            reorder(out, start, members);
        }
        out.push(b'}');
        Ok(())
    }

    /// Writes a string in its canonical form and gives what it says.
    fn string(&mut self, out: &mut Vec<u8>) -> Name<'a> {
        let from = self.at;
        self.at += 1;
        let mut plain = true;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'"' => break,
                b'\\' => {
                    plain = false;
                    self.at += 1;
                }
                _ => plain &= !special(byte),
            }
            self.at += 1;
        }
        self.at = (self.at + 1).min(self.text.len());
        let raw = &self.text[from..self.at];
        let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        if plain {
            out.extend_from_slice(raw);
            return Name::Borrowed(inner);
        }
        match serde_json::from_slice::<String>(raw) {
            Ok(text) => {
                string(&text, out);
                Name::Owned(text.into_bytes())
            }
            // Half a surrogate pair: no text, but passes as it came.
            Err(_) => {
                out.extend_from_slice(raw);
                Name::Borrowed(inner)
            }
        }
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }
}

type Name<'a> = std::borrow::Cow<'a, [u8]>;

struct Member<'a> {
    name: Name<'a>,
    from: usize,
    to: usize,
}

/// Sorts written members by name; of equal names the last one stays.
fn reorder(out: &mut Vec<u8>, start: usize, mut members: Vec<Member<'_>>) {
    let written = out[start..].to_vec();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    out.truncate(start);
    for index in 0..members.len() {
        let member = &members[index];
        if members
            .get(index + 1)
            .is_some_and(|next| next.name == member.name)
        {
            continue;
        }
        if out.len() > start {
            out.push(b',');
        }
        out.extend_from_slice(&written[member.from - start..member.to - start]);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::{Map, Value as Json};

    use super::*;

    fn rewritten(text: &str) -> Result<String, TooDeep> {
        let body = Body::from_json_object(Bytes::from(text.to_owned())).unwrap();
        let mut out = Vec::new();
        super::body(&body, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn names_are_sorted_at_every_level_and_the_last_of_equal_ones_stays() {
        assert_eq!(
            rewritten(r#"{"b":{"z":1,"a":[{"d":1,"c":2}]},"a":1,"b":2,"a":{"y":1,"x":2}}"#),
            Ok(r#"{"a":{"x":2,"y":1},"b":2}"#.to_owned())
        );
        assert_eq!(
            rewritten(r#"{"\u0062":1,"a":2,"b":3}"#),
            Ok(r#"{"a":2,"b":3}"#.to_owned())
        );
    }

    #[test]
    fn half_a_surrogate_pair_passes_as_it_came() {
        assert_eq!(
            rewritten(r#"{"a" : "\ud800"}"#),
            Ok(r#"{"a":"\ud800"}"#.to_owned())
        );
    }

    #[test]
    fn what_is_nested_too_deep_is_not_followed() {
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
        assert_eq!(rewritten(&deep), Err(TooDeep));
        let deep = format!("{}1{}", r#"{"a":"#.repeat(5000), "}".repeat(5000));
        assert_eq!(rewritten(&deep), Err(TooDeep));
    }

    #[test]
    fn floats_are_written_as_go_does() {
        for (number, text) in [
            (2.0, "2"),
            (-0.5, "-0.5"),
            (0.0, "0"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (1e-6, "0.000001"),
            (1.25e-7, "1.25e-7"),
        ] {
            let mut out = Vec::new();
            float(number, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            (-1e9..1e9_f64).prop_map(Json::from),
            "[a-z<>&\"\\\\\n\u{1}\u{e9}\u{2028}\u{4f60}\u{1f980}]{0,6}".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::hash_map("[a-c<\"é]{0,2}", inner, 0..4)
                    .prop_map(|map| Json::Object(map.into_iter().collect())),
            ]
        })
    }

    /// What serde_json writes with names in order, escaped as Go does.
    fn model(tree: &Json) -> String {
        fn sorted(tree: &Json) -> Json {
            match tree {
                Json::Array(list) => list.iter().map(sorted).collect(),
                Json::Object(map) => {
                    let mut entries: Vec<_> = map.iter().collect();
                    entries.sort_by_key(|(name, _)| *name);
                    entries
                        .into_iter()
                        .map(|(name, value)| (name.clone(), sorted(value)))
                        .collect::<Map<_, _>>()
                        .into()
                }
                other => other.clone(),
            }
        }
        serde_json::to_string(&sorted(tree))
            .unwrap()
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026")
            .replace('\u{2028}', "\\u2028")
    }

    proptest! {
        #[test]
        fn rewriting_says_the_same_in_canonical_form(tree in any_json(), pretty: bool) {
            let tree = Json::Object(Map::from_iter([("k".to_owned(), tree)]));
            let text = if pretty {
                serde_json::to_string_pretty(&tree).unwrap()
            } else {
                serde_json::to_string(&tree).unwrap()
            };
            prop_assert_eq!(rewritten(&text).unwrap(), model(&tree));
            let decoded = Body::from_json_object(Bytes::from(text)).unwrap();
            let mut out = Vec::new();
            row(&decoded.row(), &mut out).unwrap();
            let back: Json = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(back, tree);
        }

        #[test]
        fn no_object_makes_it_panic(text in "\\{[\\{\\}\\[\\]\":,a\\\\u0-9 ]{0,40}\\}") {
            if let Ok(body) = Body::from_json_object(Bytes::from(text)) {
                let _ = super::body(&body, &mut Vec::new());
            }
        }
    }
}
