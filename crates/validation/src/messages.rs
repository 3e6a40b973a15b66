//! Failures in words, in Chinese and English.

mod texts;

use crate::evaluate::{Failure, SizeKind};
use crate::problem::fill;
use crate::rule::{RuleName, Shape};

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
    words(
        failure.rule,
        &failure.parameters,
        failure.kind,
        label,
        label_of,
        lang,
    )
}

/// The sentence of a rule.
pub(crate) fn words(
    rule: RuleName,
    parameters: &[String],
    kind: SizeKind,
    label: &str,
    label_of: &dyn Fn(&str) -> Option<String>,
    lang: Lang,
) -> String {
    let named = |name: &String| label_of(name).unwrap_or_else(|| name.clone());
    let parameter = |at: usize| parameters.get(at).cloned().unwrap_or_default();
    let between = match lang {
        Lang::En => ", ",
        Lang::ZhCn => "、",
    };
    let of_fields = matches!(rule.shape(), Shape::Fields);
    let first_is_field = of_fields
        || matches!(
            rule.shape(),
            Shape::FieldThenValues | Shape::NumberOrField | Shape::DateOrField
        );
    let other = match (rule, parameters.first()) {
        (RuleName::Confirmed, None) => String::new(),
        (_, Some(first)) if first_is_field => named(first),
        (_, first) => first.cloned().unwrap_or_default(),
    };
    let listed: Vec<String> = match rule.shape() {
        Shape::Fields => parameters.iter().map(named).collect(),
        Shape::FieldThenValues => parameters.iter().skip(1).cloned().collect(),
        _ => parameters.to_vec(),
    };
    fill(
        texts::template(rule, kind, parameters.len(), lang),
        &[
            ("a", label.to_owned()),
            ("o", other),
            ("n", parameter(0)),
            ("m", parameter(1)),
            ("values", listed.join(between)),
        ],
    )
}
