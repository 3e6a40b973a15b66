//! Scenarios of the rule engine, and what holds of all rules and values.

use std::collections::BTreeMap;

use plugyard_validation::{
    Context, FieldType, Lang, RuleName, RuleSet, Value, explain, reference, register, schema,
};
use proptest::prelude::*;

fn failed(rules: &str, value: impl Into<Option<Value>>) -> Vec<&'static str> {
    let mut data = BTreeMap::new();
    if let Some(value) = value.into() {
        data.insert("field".to_owned(), value);
    }
    let set = RuleSet::parse(rules).unwrap_or_else(|problems| panic!("{rules}: {problems:?}"));
    let verdict = set.evaluate("field", &data, &(), 1_790_000_000);
    verdict.failed.iter().map(|it| it.rule.studly()).collect()
}

fn text(text: &str) -> Value {
    Value::from(text)
}

#[test]
fn scenario_26_nullable_lets_null_pass() {
    assert!(failed("nullable|url", Value::Null).is_empty());
    assert!(failed("nullable|url", text("")).is_empty());
    assert_eq!(failed("nullable|url", text("x")), ["Url"]);
    assert_eq!(failed("url", Value::Null), ["Url"]);
}

#[test]
fn scenario_27_length_counts_characters() {
    assert!(failed("string|max:3", text("中文字")).is_empty());
    assert_eq!(failed("string|max:3", text("中文字符")), ["Max"]);
}

#[test]
fn scenario_28_bail_stops_at_the_first_failure() {
    assert_eq!(failed("bail|string|min:5", Value::Int(1)), ["String"]);
    assert_eq!(failed("string|min:5", Value::Int(1)), ["String", "Min"]);
}

#[test]
fn scenario_29_numbers_are_measured_when_a_rule_makes_them_numbers() {
    assert!(failed("min:3", Value::Int(300)).is_empty());
    assert_eq!(failed("integer|max:3", Value::Int(4)), ["Max"]);
    assert_eq!(failed("max:3|integer", Value::Int(4)), ["Max"]);
}

#[test]
fn scenario_30_parameters_are_comma_separated_values() {
    assert!(failed("in:\"a,b\",c", text("a,b")).is_empty());
    assert!(failed("in:a, b", text(" b")).is_empty());
    assert_eq!(failed("in:a, b", text("b")), ["In"]);
}

/// What generated cases found against Laravel 13.31: dates that are not written as dates.
#[test]
fn numbers_and_odd_texts_are_dates_as_carbon_reads_them() {
    // Numbers count seconds, however many digits they have.
    assert!(failed("date_equals:@100", Value::Int(100)).is_empty());
    assert_eq!(failed("before:1970-01-01", Value::Int(1)), ["Before"]);
    assert!(failed("date_equals:1969-12-31T23:59:58Z", Value::Float(-1.5)).is_empty());
    // Runs of digits in a number or after `@` are added up.
    assert!(failed("date_equals:@15", text("1e14")).is_empty());
    assert!(failed("date_equals:@31", text("@IX-31st")).is_empty());
    assert!(failed("date_equals:@-401", text("-1e-400")).is_empty());
    // Words that Carbon knows besides PHP's.
    assert!(failed("date_equals:2024-01-01 10:00", text("2024-01-01 at 10:00")).is_empty());
    // Nothing equals what is no date but what is none either.
    assert_eq!(
        failed("date_equals:1970-01-01", text("abc")),
        ["DateEquals"]
    );
    assert!(failed("date_equals:abc", text("xyz1")).is_empty());
    // What a zone leaves open is as it is now in that zone.
    assert!(failed("date_equals:now", text("Pacific/Honolulu")).is_empty());
    // Formats: noon and midnight as hour 0, and `*` for at least one character.
    assert!(failed("date_format:g", text("12")).is_empty());
    assert_eq!(
        failed("date_format:g a|before:1970-01-02", text("0 pm")),
        ["DateFormat"]
    );
    assert_eq!(
        failed("date_format:Y*m|before:2024-01-01", text("20231")),
        ["DateFormat", "Before"]
    );
}

#[test]
fn control_characters_and_long_labels_fail_as_in_laravel() {
    assert!(failed("ascii", text("a\t\r\n~")).is_empty());
    assert_eq!(failed("ascii", text("a\u{b}")), ["Ascii"]);
    assert_eq!(failed("ascii", text("\u{7f}")), ["Ascii"]);
    // The dot before a label counts as a part of it.
    let address =
        |first: usize, last: usize| text(&format!("a@{}.{}", "b".repeat(first), "c".repeat(last)));
    assert!(failed("email", address(63, 62)).is_empty());
    assert_eq!(failed("email", address(64, 2)), ["Email"]);
    assert_eq!(failed("email", address(1, 63)), ["Email"]);
}

#[test]
fn scenario_31_a_hostile_pattern_ends_undecided() {
    let hostile = format!("{}!", "a".repeat(40));
    assert_eq!(failed("regex:/^(a+)+$/", text(&hostile)), ["Regex"]);
    // Undecided fails both ways, which only the bound on steps can bring about.
    let pattern = "/^((?=a)a+)+$/";
    assert_eq!(
        failed(&format!("regex:{pattern}"), text(&hostile)),
        ["Regex"]
    );
    assert_eq!(
        failed(&format!("not_regex:{pattern}"), text(&hostile)),
        ["NotRegex"]
    );
}

fn codes(rules: &str, field: FieldType) -> Vec<&'static str> {
    let sibling = |name: &str| matches!(name, "OWN" | "OTHER").then_some(FieldType::Text);
    let context = Context {
        key: "OWN",
        field,
        required: None,
        options: &["a", "b"],
        sibling: &sibling,
    };
    match register(rules, &context) {
        Ok(registered) => registered
            .warnings
            .iter()
            .map(|it| it.code.as_str())
            .collect(),
        Err(problems) => problems.iter().map(|it| it.code.as_str()).collect(),
    }
}

#[test]
fn what_a_definition_must_not_hold_is_named() {
    use FieldType::{Checkbox, Number, Select, Text};
    for (rules, field, expected) in [
        ("requierd", Text, &["rule_unknown"][..]),
        ("REQUIRED", Text, &["rule_unknown"]),
        ("not-regex:/a/", Text, &["rule_unknown"]),
        ("regex:/^(a|b)$/", Text, &["rule_regex_pipe"]),
        ("regex:/[/", Text, &["rule_regex_invalid"]),
        ("min", Text, &["rule_param_missing"]),
        ("max:3kb", Text, &["rule_param_not_number"]),
        ("between:1", Text, &["rule_param_missing"]),
        ("exists:users,id", Text, &["rule_unsupported"]),
        ("image", Text, &["rule_unsupported"]),
        ("active_url", Text, &["rule_unsupported"]),
        ("email:dns", Text, &["rule_unsupported"]),
        ("enum:X", Text, &["rule_unsupported"]),
        ("email:foo", Text, &["rule_param_invalid"]),
        ("uuid:9", Text, &["rule_param_invalid"]),
        ("timezone:per_country,XX", Text, &["rule_param_invalid"]),
        ("date_format:k", Text, &["rule_param_invalid"]),
        ("required_if:NOPE,1", Text, &["rule_field_unknown"]),
        ("same:OWN", Text, &["rule_field_self"]),
        ("gt:NOPE", Number, &["rule_field_unknown"]),
        ("array", Text, &["rule_type_incompatible"]),
        ("string", Number, &["rule_type_incompatible"]),
        ("min:1", Checkbox, &["rule_type_incompatible"]),
        ("min:1|max:300", Number, &["rule_missing_numeric"]),
        ("after:2024-01-01", Text, &["rule_date_unguarded"]),
        ("between:4,2", Text, &["between_empty"]),
        ("min:1|min:2", Text, &["rule_duplicate"]),
        ("missing", Text, &["field_never_valid"]),
        ("in:a", Select, &["option_unreachable"]),
        ("required|string|same:OTHER", Text, &[]),
    ] {
        assert_eq!(codes(rules, field), expected, "{rules}");
    }
}

#[test]
fn the_effective_rules_of_a_number_are_numeric() {
    let context = Context {
        key: "N",
        field: FieldType::Number,
        required: Some(true),
        options: &[],
        sibling: &|_| None,
    };
    let set = register("min:1|max:300", &context).unwrap().set;
    let verdict = set.evaluate("N", &[("N", Value::Int(500))], &(), 0);
    assert_eq!(verdict.failed[0].rule, RuleName::Max);
    assert_eq!(
        plugyard_validation::messages::render(
            &verdict.failed[0],
            "请求超时",
            &|_| None,
            Lang::ZhCn
        ),
        "请求超时不能大于300。"
    );
    let verdict = set.evaluate("N", &(), &(), 0);
    assert_eq!(verdict.failed[0].rule, RuleName::Required);
}

#[test]
fn rules_are_explained_and_exported() {
    let set = RuleSet::parse("required|integer|min:3").unwrap();
    assert_eq!(
        explain::explain(&set, Lang::En),
        [
            "The value is required.",
            "The value must be a whole number.",
            "The value must be 3 or more."
        ]
    );
    let export = schema::export(&RuleSet::parse("required|string|max:5|email").unwrap());
    assert_eq!(export.schema["maxLength"], 5);
    assert!(export.required);
    assert_eq!(export.left_out, ["email"]);
}

#[test]
fn the_tables_of_rules_in_the_documentation_are_the_crate_s() {
    for (file, lang) in [
        ("docs/validation-rules.md", Lang::En),
        ("docs/zh-CN/validation-rules.md", Lang::ZhCn),
    ] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(file);
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(
            written.contains(&reference::table(lang)),
            "{file} differs from the table of rules"
        );
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>()
            .prop_filter("JSON has no others", |it| it.is_finite())
            .prop_map(Value::Float),
        "[ -~中é\\n]{0,12}".prop_map(Value::Text),
        "[0-9+.eE-]{0,8}".prop_map(Value::Text),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "string",
        "integer",
        "numeric",
        "boolean",
        "min:3",
        "max:5",
        "between:2,4",
        "in:a,1",
        "alpha",
        "email",
        "url",
        "date",
        "json",
        "digits:3",
        "regex:/^a/",
        "uuid",
        "timezone",
        "decimal:0,2",
        "lowercase",
        "ip",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(rules in "[ -~中|:,\"]{0,80}", value in scalar()) {
        if let Ok(set) = RuleSet::parse(&rules) {
            let data = [("field", value)];
            let verdict = set.evaluate("field", &data, &(), 0);
            prop_assert_eq!(&verdict, &set.evaluate("field", &data, &(), 0));
        }
    }

    #[test]
    fn not_in_is_the_negation_of_in(value in scalar().prop_filter("it runs", |it| !it.is_empty()), list in "[a1,.\"]{0,6}") {
        let within = failed(&format!("in:{list}"), value.clone()).is_empty();
        prop_assert_eq!(failed(&format!("not_in:{list}"), value).is_empty(), !within);
    }

    #[test]
    fn the_order_of_rules_is_only_the_order_of_failures(rules in prop::collection::vec(rule(), 1..6), value in scalar()) {
        let mut forwards = failed(&rules.join("|"), value.clone());
        let backwards: Vec<_> = rules.iter().rev().map(String::as_str).collect();
        let mut backwards = failed(&backwards.join("|"), value);
        forwards.sort_unstable();
        backwards.sort_unstable();
        prop_assert_eq!(forwards, backwards);
    }

    #[test]
    fn any_date_text_is_read_or_refused(text in "[0-9a-zA-Z@+:./, -]{0,40}", format in "[a-zA-Z0-9!?+*#. -]{0,10}") {
        let rules = format!("date|after:2024-01-01|date_format:{format}");
        if let Ok(set) = RuleSet::parse(&rules) {
            set.evaluate("field", &[("field", Value::Text(text))], &(), 1_790_000_000);
        }
    }

    #[test]
    fn any_pattern_is_compiled_or_refused(pattern in "[a-c\\\\()\\[\\]{}*+?^$.0-9:<>=!-]{0,20}", text in "[a-c0-9]{0,10}") {
        if let Ok(set) = RuleSet::parse(&format!("regex:/{pattern}/u")) {
            set.evaluate("field", &[("field", Value::Text(text))], &(), 0);
        }
    }
}
