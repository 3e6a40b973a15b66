//! Types of configuration fields, as far as rules depend on them.

use crate::checks::{EmailMode, is_email, is_url};
use crate::messages::Lang;
use crate::rule::RuleName;
use crate::set::RuleSet;
use crate::value::{Value, is_blank, is_numeric_text};

/// The type of a configuration field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldType {
    /// One line of text.
    Text,
    /// A secret.
    Password,
    /// An e-mail address.
    Email,
    /// A URL.
    Url,
    /// A number.
    Number,
    /// Several lines of text.
    Textarea,
    /// A switch.
    Checkbox,
    /// One of several options.
    Select,
}

impl FieldType {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Text,
        Self::Password,
        Self::Email,
        Self::Url,
        Self::Number,
        Self::Textarea,
        Self::Checkbox,
        Self::Select,
    ];

    /// The word in a definition.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Password => "password",
            Self::Email => "email",
            Self::Url => "url",
            Self::Number => "number",
            Self::Textarea => "textarea",
            Self::Checkbox => "checkbox",
            Self::Select => "select",
        }
    }

    /// Reads the word of a definition; case matters.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.as_str() == word)
    }
}

/// The shape of a value does not fit the type of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShapeFailure {
    /// The type.
    pub field: FieldType,
}

impl ShapeFailure {
    /// The stable code: `type_number`, `type_checkbox`, `type_select`, `type_email`, `type_url` or
    /// `type_string`.
    pub const fn code(self) -> &'static str {
        match self.field {
            FieldType::Number => "type_number",
            FieldType::Checkbox => "type_checkbox",
            FieldType::Select => "type_select",
            FieldType::Email => "type_email",
            FieldType::Url => "type_url",
            FieldType::Text | FieldType::Password | FieldType::Textarea => "type_string",
        }
    }

    /// The text in a language.
    pub fn text(self, label: &str, lang: Lang) -> String {
        let (en, zh) = match self.field {
            FieldType::Number => ("must be a number", "必须是数字"),
            FieldType::Checkbox => ("must be on or off", "必须是开启或关闭"),
            FieldType::Select => ("must be one of the options", "必须是选项之一"),
            FieldType::Email => ("must be a valid e-mail address", "必须是有效的邮箱地址"),
            FieldType::Url => ("must be a valid URL", "必须是有效的 URL"),
            FieldType::Text | FieldType::Password | FieldType::Textarea => {
                ("must be text", "必须是字符串")
            }
        };
        match lang {
            Lang::En => format!("{label} {en}."),
            Lang::ZhCn => format!("{label}{zh}。"),
        }
    }
}

/// Checks the shape that a field's type asks for before its rules run. Blank values have every shape.
///
/// An `email` field takes what the rule `email:rfc` takes and a `url` field what `url` takes, unless its
/// own rules have an `email` or `url`. `options` are the values of a select.
///
/// # Errors
///
/// [`ShapeFailure`] when the value does not have the shape; the rules are not to be run then.
pub fn check_shape(
    field: FieldType,
    value: &Value,
    rules: &RuleSet,
    options: &[&str],
) -> Result<(), ShapeFailure> {
    let blank = match value {
        Value::Null => true,
        Value::Text(text) => is_blank(text),
        _ => false,
    };
    let fits = blank
        || match field {
            FieldType::Number => is_finite_number(value),
            FieldType::Checkbox => checkbox_value(value).is_some(),
            FieldType::Select => match value {
                Value::Text(text) => options.contains(&text.as_str()),
                Value::Int(integer) => options.contains(&integer.to_string().as_str()),
                _ => false,
            },
            FieldType::Email => matches!(value, Value::Text(text)
                if rules.contains(RuleName::Email) || is_email(text, EmailMode::Rfc)),
            FieldType::Url => matches!(value, Value::Text(text)
                if rules.contains(RuleName::Url) || is_url(text)),
            FieldType::Text | FieldType::Password | FieldType::Textarea => {
                matches!(value, Value::Text(_))
            }
        };
    if fits {
        Ok(())
    } else {
        Err(ShapeFailure { field })
    }
}

/// What a checkbox is set to: `true`, `1`, `"1"`, `"true"`, `"on"`, `"yes"` and their opposites, the
/// words in any case; `None` for all else, blank text too.
pub fn checkbox_value(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(it) => Some(*it),
        Value::Int(1) => Some(true),
        Value::Int(0) => Some(false),
        Value::Text(text) => {
            let is_one_of =
                |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
            if is_one_of(&["1", "true", "on", "yes"]) {
                Some(true)
            } else if is_one_of(&["0", "false", "off", "no"]) {
                Some(false)
            } else {
                None
            }
        }
        _ => None,
    }
}

fn is_finite_number(value: &Value) -> bool {
    match value {
        Value::Int(_) => true,
        Value::Float(float) => float.is_finite(),
        Value::Text(text) => {
            is_numeric_text(text)
                && text
                    .trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c'])
                    .parse::<f64>()
                    .is_ok_and(f64::is_finite)
        }
        _ => false,
    }
}
