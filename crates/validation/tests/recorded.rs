//! The engine against recorded verdicts of Laravel's own validator.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use plugyard_validation::{RuleSet, Value};
use serde_json::Value as Json;

/// Any time will do: the recorded comparisons with words like `today` are with dates far from it.
const NOW: i64 = 1_790_000_000;

fn data(case: &Json) -> BTreeMap<String, Value> {
    let mut data = BTreeMap::new();
    if let Some(others) = case.get("others").and_then(Json::as_object) {
        for (name, value) in others {
            data.insert(name.clone(), Value::from_json(value));
        }
    }
    if let Some(value) = case.get("value") {
        data.insert("field".to_owned(), Value::from_json(value));
    }
    data
}

/// What the engine says, in the form of the recording.
fn verdict(case: &Json) -> String {
    let rules = case["rules"].as_str().expect("every case has rules");
    let set = match RuleSet::parse(rules) {
        Ok(set) => set,
        Err(problems) => return format!("refused: {}", problems[0].code.as_str()),
    };
    let verdict = set.evaluate("field", &data(case), &(), NOW);
    let failed: Vec<_> = verdict
        .failed
        .iter()
        .map(|failure| failure.rule.studly())
        .collect();
    format!("{failed:?} {}", verdict.excluded && verdict.passes())
}

fn recorded(case: &Json) -> String {
    let failed: Vec<_> = case["failed"]
        .as_array()
        .expect("every case has failures")
        .iter()
        .map(|it| it.as_str().expect("failures are names"))
        .collect();
    assert_eq!(case["passes"], failed.is_empty());
    format!("{failed:?} {}", case["excluded"] == true)
}

/// Every line of a recording that is judged otherwise here.
#[track_caller]
fn check(lines: &str) {
    let mut disagreeing = String::new();
    let mut count = 0;
    for (number, line) in lines.lines().enumerate() {
        let case: Json = serde_json::from_str(line).expect("every line is JSON");
        let (ours, theirs) = (verdict(&case), recorded(&case));
        if ours != theirs {
            count += 1;
            writeln!(disagreeing, "{}: {line}\n    ours {ours}", number + 1)
                .expect("a String takes text");
        }
    }
    assert!(disagreeing.is_empty(), "{count} disagree:\n{disagreeing}");
}

#[test]
fn scenario_25_every_recorded_verdict_is_reproduced() {
    check(include_str!("../testdata/laravel-validation.jsonl"));
}

/// Generated rules on generated values, as Laravel 13.31 with Carbon 3.15 on PHP 8.2 judged them. Rules
/// that compare with `in_array` or `contains` are not among them: 13.31 compares strictly where the
/// recording above, which is of an earlier 13, compares loosely.
#[test]
fn scenario_25_generated_cases_are_judged_as_laravel_judged_them() {
    check(include_str!("../testdata/laravel-13.31.jsonl"));
}
