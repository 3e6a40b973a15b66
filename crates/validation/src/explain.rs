//! What a set of rules asks for, in words.

use crate::messages::{self, Lang};
use crate::rule::RuleName;
use crate::set::RuleSet;

/// One sentence for each rule, in their order, and what holds for blank values at the end.
pub fn explain(rules: &RuleSet, lang: Lang) -> Vec<String> {
    let subject = match lang {
        Lang::En => "The value",
        Lang::ZhCn => "该值",
    };
    let mut sentences: Vec<String> = rules
        .rules()
        .iter()
        .map(|rule| {
            let parameters: Vec<String> = rule.parameters().map(str::to_owned).collect();
            match (rule.name(), lang) {
                // What a failure leaves unsaid, so that a list of values is not repeated at people.
                (RuleName::In, Lang::En) => {
                    format!("{subject} must be one of: {}.", parameters.join(", "))
                }
                (RuleName::In, Lang::ZhCn) => {
                    format!("{subject}必须是以下之一：{}。", parameters.join("、"))
                }
                (RuleName::NotIn, Lang::En) => {
                    format!("{subject} must be none of: {}.", parameters.join(", "))
                }
                (RuleName::NotIn, Lang::ZhCn) => {
                    format!("{subject}不能是：{}。", parameters.join("、"))
                }
                (RuleName::Regex, Lang::En) => {
                    format!("{subject} must match {}.", parameters.join(","))
                }
                (RuleName::Regex, Lang::ZhCn) => {
                    format!("{subject}必须匹配 {}。", parameters.join(","))
                }
                (RuleName::NotRegex, Lang::En) => {
                    format!("{subject} must not match {}.", parameters.join(","))
                }
                (RuleName::NotRegex, Lang::ZhCn) => {
                    format!("{subject}不能匹配 {}。", parameters.join(","))
                }
                (RuleName::Distinct, Lang::En) => format!("{subject} must not repeat entries."),
                (RuleName::Distinct, Lang::ZhCn) => format!("{subject}的各项不得重复。"),
                (RuleName::Confirmed, Lang::En) => {
                    format!("{subject} must be the same as its confirmation.")
                }
                (RuleName::Confirmed, Lang::ZhCn) => format!("{subject}必须与确认字段一致。"),
                (name, lang) => messages::words(
                    name,
                    &parameters,
                    rules.size_kind(),
                    subject,
                    &|_| None,
                    lang,
                ),
            }
        })
        .collect();
    if rules.rules().is_empty() {
        let anything = match lang {
            Lang::En => "There are no rules: any value passes.",
            Lang::ZhCn => "没有规则：任何值都通过。",
        };
        sentences.push(anything.to_owned());
    } else if !rules.rules().iter().any(|rule| rule.name().is_implicit()) {
        sentences.push(
            match lang {
                Lang::En => "A value that is absent or blank passes.",
                Lang::ZhCn => "不存在或空白的值视为通过。",
            }
            .to_owned(),
        );
    }
    sentences
}
