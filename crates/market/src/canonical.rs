//! Canonical JSON as TUF signs it (the rules of OLPC): one spelling for each value, so that who signs and
//! who checks hash the same bytes.
//!
//! Objects are sorted by the bytes of their keys, nothing stands between the tokens, strings escape `"` and
//! `\` alone, and numbers are whole.

use serde_json::Value;

/// A value that has no canonical form: a number with a fraction or beyond 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signed document has whole numbers only")]
pub(crate) struct NotCanonical;

/// The canonical bytes of a value.
///
/// # Errors
/// [`NotCanonical`].
pub(crate) fn to_bytes(value: &Value) -> Result<Vec<u8>, NotCanonical> {
    let mut bytes = Vec::new();
    write(value, &mut bytes)?;
    Ok(bytes)
}

// As deep as the parser let the value be.
fn write(value: &Value, to: &mut Vec<u8>) -> Result<(), NotCanonical> {
    match value {
        Value::Null => to.extend_from_slice(b"null"),
        Value::Bool(true) => to.extend_from_slice(b"true"),
        Value::Bool(false) => to.extend_from_slice(b"false"),
        Value::Number(number) => {
            if !(number.is_i64() || number.is_u64()) {
                return Err(NotCanonical);
            }
            to.extend_from_slice(number.to_string().as_bytes());
        }
        Value::String(text) => string(text, to),
        Value::Array(items) => {
            to.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    to.push(b',');
                }
                write(item, to)?;
            }
            to.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|one, other| one.0.as_bytes().cmp(other.0.as_bytes()));
            to.push(b'{');
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    to.push(b',');
                }
                string(key, to);
                to.push(b':');
                write(item, to)?;
            }
            to.push(b'}');
        }
    }
    Ok(())
}

fn string(text: &str, to: &mut Vec<u8>) {
    to.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            to.push(b'\\');
        }
        to.push(byte);
    }
    to.push(b'"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: &Value, expect: &str) {
        assert_eq!(
            to_bytes(value).map(|bytes| String::from_utf8(bytes).unwrap()),
            Ok(expect.to_owned())
        );
    }

    #[test]
    fn each_value_has_one_spelling() {
        check(
            &json!({"b": 1, "a": [true, null, -3]}),
            r#"{"a":[true,null,-3],"b":1}"#,
        );
        check(&json!("a\"b\\c\nd é"), "\"a\\\"b\\\\c\nd é\"");
        check(&json!({"é": 0, "z": 0, "Z": 0}), r#"{"Z":0,"z":0,"é":0}"#);
        check(&json!(u64::MAX), "18446744073709551615");
    }

    #[test]
    fn a_fraction_is_never_signed() {
        assert_eq!(to_bytes(&json!({"a": 1.5})), Err(NotCanonical));
        assert_eq!(to_bytes(&json!([1e30])), Err(NotCanonical));
    }
}
