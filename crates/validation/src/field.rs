//! Types of configuration fields, as far as rules depend on them.

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
