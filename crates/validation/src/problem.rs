//! What is wrong with a rule string.

use crate::messages::Lang;

macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident $code:literal $en:literal $zh:literal;)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable code.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }

            /// The text with `{…}` in the place of parameters.
            pub const fn template(self, lang: Lang) -> &'static str {
                match (self, lang) {
                    $((Self::$variant, Lang::En) => $en, (Self::$variant, Lang::ZhCn) => $zh,)*
                }
            }
        }
    };
}
pub(crate) use codes;

codes! {
    /// A stable code for what is wrong with a rule.
    ProblemCode {
        /// There is no such rule.
        Unknown "rule_unknown"
            "there is no rule `{rule}`" "没有名为“{rule}”的规则";
        /// The rule exists in Laravel, but cannot be judged here.
        Unsupported "rule_unsupported"
            "rule `{rule}` is not available here ({reason})" "此处不支持规则“{rule}”（{reason}）";
        /// The rule cannot hold on this type of field.
        TypeIncompatible "rule_type_incompatible"
            "rule `{rule}` cannot be used on a field of type `{type}`" "规则“{rule}”不能用于类型为“{type}”的字段";
        /// Fewer parameters than the rule needs.
        ParamMissing "rule_param_missing"
            "rule `{rule}` needs at least {needed} parameter(s)" "规则“{rule}”至少需要 {needed} 个参数";
        /// A parameter that must be a number is none.
        ParamNotNumber "rule_param_not_number"
            "parameter `{param}` of rule `{rule}` is not a number" "规则“{rule}”的参数“{param}”不是数字";
        /// A parameter that is none of the words that the rule knows.
        ParamInvalid "rule_param_invalid"
            "rule `{rule}` does not know the parameter `{param}`" "规则“{rule}”不认识参数“{param}”";
        /// A parameter that names a field which does not exist.
        FieldUnknown "rule_field_unknown"
            "rule `{rule}` refers to `{field}`, which is no field" "规则“{rule}”引用了不存在的字段“{field}”";
        /// A parameter that names the rule's own field.
        FieldSelf "rule_field_self"
            "rule `{rule}` refers to its own field" "规则“{rule}”引用了字段自身";
        /// A pattern that contains `|`, which ends every rule.
        RegexPipe "rule_regex_pipe"
            "a pattern cannot contain `|`, which ends a rule; use `in:`, a character class or two fields" "正则表达式中不能含有“|”，它会结束规则；请改用 `in:`、字符类或拆成两个字段";
        /// A pattern that is no regular expression.
        RegexInvalid "rule_regex_invalid"
            "the pattern of rule `{rule}` is not valid: {reason}" "规则“{rule}”的正则表达式无效：{reason}";
        /// A pattern that is too large.
        RegexUnsafe "rule_regex_unsafe"
            "the pattern of rule `{rule}` is longer than {limit} characters" "规则“{rule}”的正则表达式超过 {limit} 个字符";
    }
}

/// Something wrong with one rule of a rule string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleProblem {
    /// What it is.
    pub code: ProblemCode,
    /// The piece between the pipes that is wrong.
    pub segment: String,
    /// The place of that piece between the pipes, from 0.
    pub index: usize,
    /// What the text says, by name; `suggestion` may be among them.
    pub params: Vec<(&'static str, String)>,
}

impl RuleProblem {
    pub(crate) fn new(code: ProblemCode, segment: &str, index: usize) -> Self {
        Self {
            code,
            segment: segment.to_owned(),
            index,
            params: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.params.push((name, value.to_string()));
        self
    }

    /// A parameter of the text.
    pub fn param(&self, name: &str) -> Option<&str> {
        param(&self.params, name)
    }

    /// The text in a language.
    pub fn text(&self, lang: Lang) -> String {
        let text = fill(self.code.template(lang), &self.params);
        match (self.param("suggestion"), lang) {
            (None, _) => text,
            (Some(it), Lang::En) => format!("{text}; did you mean `{it}`?"),
            (Some(it), Lang::ZhCn) => format!("{text}，是否想写“{it}”？"),
        }
    }
}

pub(crate) fn param<'p>(params: &'p [(&'static str, String)], name: &str) -> Option<&'p str> {
    params
        .iter()
        .find(|(it, _)| *it == name)
        .map(|(_, value)| value.as_str())
}

/// Puts parameters in the places of their names.
pub(crate) fn fill(template: &str, params: &[(&'static str, String)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        text.push_str(&rest[..start]);
        let after = &rest[start + 1..];
        let Some(end) = after.find('}') else {
            rest = &rest[start..];
            break;
        };
        match param(params, &after[..end]) {
            Some(value) => text.push_str(value),
            None => text.push_str(&rest[start..start + end + 2]),
        }
        rest = &after[end + 1..];
    }
    text.push_str(rest);
    text
}
