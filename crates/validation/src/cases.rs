//! Cases of validation as JSON: what `plugyard validate` reads line by line and `POST /v1/validate` takes.
//!
//! A case is `{"rules", "value"?, "others"?}`: the attribute is called `field`, is absent when `value` is,
//! and is the only one with rules. The answer is `{"passes", "failed", "excluded"?}`, or
//! `{"error": {"code", …}}` for rules that Laravel would not run either.

use serde_json::{Map, Value as Json, json};

use crate::evaluate::Verdict;
use crate::messages::Lang;
use crate::problem::RuleProblem;
use crate::set::RuleSet;
use crate::value::{Data, Value};

/// What the attribute of a case is called.
pub const ATTRIBUTE: &str = "field";

/// The data of a case.
struct Case {
    value: Option<Value>,
    others: Vec<(String, Value)>,
}

impl Data for Case {
    fn value(&self, name: &str) -> Option<&Value> {
        if name == ATTRIBUTE && self.value.is_some() {
            return self.value.as_ref();
        }
        self.others.value(name)
    }
}

/// Answers a case.
pub fn answer(case: &Json, lang: Lang, now: i64) -> Json {
    let Some(case) = case.as_object() else {
        return error(
            "case_invalid",
            &[("reason", "not an object")],
            lang,
            "a case is an object",
            "用例必须是对象",
        );
    };
    let Some(rules) = case.get("rules").and_then(Json::as_str) else {
        return error(
            "case_invalid",
            &[("reason", "rules")],
            lang,
            "`rules` must be text",
            "`rules` 必须是字符串",
        );
    };
    let others = match case.get("others") {
        None | Some(Json::Null) => Vec::new(),
        // PHP writes a map without entries as `[]`.
        Some(Json::Array(items)) if items.is_empty() => Vec::new(),
        Some(Json::Object(others)) => others
            .iter()
            .map(|(name, value)| (name.clone(), Value::from_json(value)))
            .collect(),
        Some(_) => {
            return error(
                "case_invalid",
                &[("reason", "others")],
                lang,
                "`others` must be an object",
                "`others` 必须是对象",
            );
        }
    };
    match RuleSet::parse(rules) {
        Err(problems) => refused(&problems, lang),
        Ok(set) => {
            let data = Case {
                value: case.get("value").map(Value::from_json),
                others,
            };
            verdict(&set.evaluate(ATTRIBUTE, &data, &(), now))
        }
    }
}

/// Answers a text that should be a case.
pub fn answer_text(text: &str, lang: Lang, now: i64) -> Json {
    match serde_json::from_str(text) {
        Ok(case) => answer(&case, lang, now),
        Err(syntax) => error(
            "json_syntax",
            &[("reason", &syntax.to_string())],
            lang,
            "the case is not JSON",
            "用例不是有效的 JSON",
        ),
    }
}

fn verdict(verdict: &Verdict) -> Json {
    let failed: Vec<&str> = verdict.failed.iter().map(|it| it.rule.studly()).collect();
    let mut answer = json!({"passes": verdict.passes(), "failed": failed});
    if verdict.excluded && verdict.passes() {
        answer["excluded"] = Json::Bool(true);
    }
    answer
}

fn refused(problems: &[RuleProblem], lang: Lang) -> Json {
    let Some(problem) = problems.first() else {
        return Json::Null;
    };
    let mut params = Map::new();
    for (name, value) in problem.params.iter().rev() {
        params.insert((*name).to_owned(), Json::String(value.clone()));
    }
    json!({"error": {
        "code": problem.code.as_str(),
        "message": problem.text(lang),
        "segment": problem.segment,
        "index": problem.index,
        "params": params,
    }})
}

fn error(code: &str, params: &[(&str, &str)], lang: Lang, en: &str, zh: &str) -> Json {
    let params: Map<String, Json> = params
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Json::String((*value).to_owned())))
        .collect();
    let message = match lang {
        Lang::En => en,
        Lang::ZhCn => zh,
    };
    json!({"error": {"code": code, "message": message, "params": params}})
}
