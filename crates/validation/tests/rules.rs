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
fn patterns_mean_what_they_mean_to_pcre() {
    for (pattern, matching, other) in [
        // Flags end with their group, whatever sort of group it is.
        ("/^((?i)b)?a$/", &["a", "ba", "Ba"][..], &["A", "bA"][..]),
        ("/^(x(?i)y)a$/", &["xya", "xYa"], &["xyA", "XYa"]),
        ("/^(?i:b)a$/", &["ba", "Ba"], &["BA"]),
        // Properties and classes have no other case, letters have.
        ("/^\\p{Lu}$/iu", &["A", "É"], &["a", "é"]),
        ("/^[\\p{Lu}x]$/iu", &["A", "x", "X"], &["a"]),
        ("/^[^\\p{Lu}x]$/iu", &["a", "1"], &["A", "x", "X"]),
        ("/^[[:upper:]]$/i", &["a", "A"], &["1"]),
        // A look-around may be repeated, which is of no use, and so may nothing.
        ("/^(?=a)*a$/", &["a"], &["b"]),
        ("/^(?!a)+b$/", &["b"], &["a"]),
        ("/^(?!a)?a$/", &["a"], &["b"]),
        ("/^(?:(?<=x))??a$/", &["a"], &["b"]),
        ("/^(?:)*a$/", &["a"], &["b"]),
        ("/^(?=a){0}b$/", &["b"], &["a"]),
    ] {
        let rule = format!("regex:{pattern}");
        for value in matching {
            assert!(failed(&rule, text(value)).is_empty(), "{pattern} {value}");
        }
        for value in other {
            assert_eq!(failed(&rule, text(value)), ["Regex"], "{pattern} {value}");
        }
    }
    // What PCRE does not compile would raise an exception at run time.
    for pattern in [
        "/^*/",
        "/$+/",
        "/\\b?/",
        "/\\A{2}/",
        "/a\\z*/",
        "/(?(1)a)/",
        "/\\N{,2}/",
        "/a{2,1}/",
        "/(a/",
    ] {
        assert!(
            RuleSet::parse(&format!("regex:{pattern}")).is_err(),
            "{pattern}"
        );
    }
}

#[test]
fn a_number_that_is_a_date_must_come_out_as_the_same_number() {
    let of = |number: f64| failed("date_format:U", Value::Float(number));
    assert!(of(31_184_967_329_063.0).is_empty());
    assert_eq!(of(31_184_967_329_063.418), ["DateFormat"]);
    assert!(failed("date_format:Ymd", Value::Int(20_240_229)).is_empty());
    assert_eq!(
        failed("date_format:Ymd", Value::Int(20_240_230)),
        ["DateFormat"]
    );
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
    let sibling = |name: &str| matches!(name, "OWN" | "OTHER" | "today").then_some(FieldType::Text);
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
        ("date|after:today", Text, &["rule_param_ambiguous"]),
        ("date|after:OTHER", Text, &[]),
        ("in_array:OTHER.*", Text, &["rule_unsupported"]),
        ("min:", Number, &["rule_param_not_number"]),
        ("digits:1.5", Number, &["rule_param_not_number"]),
        ("multiple_of:x", Number, &["rule_param_not_number"]),
        ("max:1e3", Number, &["rule_param_not_number"]),
        ("boolean:strict", Checkbox, &["rule_type_incompatible"]),
        ("integer:strict", Text, &["rule_type_incompatible"]),
        ("integer:strict", Number, &[]),
        ("alpha:latin", Text, &["rule_param_invalid"]),
        ("integer:loose", Number, &["rule_param_invalid"]),
        ("url:ht tp, https", Text, &[]),
        ("url:1http", Text, &["rule_param_invalid"]),
        ("confirmed", Text, &["rule_field_unknown"]),
        ("confirmed:OTHER", Text, &[]),
        ("email:spoof", Text, &["rule_unsupported"]),
        ("encoding:UTF-8", Text, &["rule_unsupported"]),
        ("regex:abc", Text, &["rule_regex_invalid"]),
        ("regex:/a/k", Text, &["rule_regex_invalid"]),
        ("starts_with", Text, &["rule_param_missing"]),
        ("required_if:OTHER", Text, &["rule_param_missing"]),
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
fn a_pattern_is_as_long_as_it_may_be() {
    let pattern = |length: usize| format!("regex:/{}/", "a".repeat(length - 2));
    assert_eq!(codes(&pattern(1024), FieldType::Text), [""; 0]);
    assert_eq!(
        codes(&pattern(1025), FieldType::Text),
        ["rule_regex_unsafe"]
    );
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
    let nothing = RuleSet::parse("|").unwrap();
    assert_eq!(
        explain::explain(&nothing, Lang::En),
        ["There are no rules: any value passes."]
    );
    let first = RuleSet::parse("bail|required").unwrap();
    assert_eq!(
        explain::explain(&first, Lang::En),
        [
            "The check stops at the first failure.",
            "The value is required."
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
    fn bail_leaves_the_first_failure(rules in prop::collection::vec(rule(), 1..6), value in scalar()) {
        let rules = rules.join("|");
        let all = failed(&rules, value.clone());
        let first: Vec<_> = all.into_iter().take(1).collect();
        prop_assert_eq!(failed(&format!("bail|{rules}"), value), first);
    }

    #[test]
    fn nullable_lets_null_pass_and_changes_nothing_else(rules in prop::collection::vec(rule(), 1..4), value in scalar()) {
        let rules = rules.join("|");
        let expected = if matches!(value, Value::Null) {
            Vec::new()
        } else {
            failed(&rules, value.clone())
        };
        prop_assert_eq!(failed(&format!("{rules}|nullable"), value), expected);
    }

    #[test]
    fn blank_text_passes_every_rule_that_is_about_a_value(rule in rule(), blank in "[ \\t\\n\\r]{0,4}") {
        prop_assert_eq!(failed(&rule, text(&blank)), Vec::<&str>::new());
        prop_assert_eq!(failed(&format!("{rule}|required"), text(&blank)), ["Required"]);
    }

    #[test]
    fn sizes_between_are_at_least_and_at_most(value in scalar(), kind in prop::sample::select(vec!["numeric", "string"]), low in -9_i64..9, high in -9_i64..9) {
        let holds = |rule: String| failed(&format!("{kind}|{rule}"), value.clone()).iter().all(|it| it.eq_ignore_ascii_case(kind));
        let both = holds(format!("min:{low}")) && holds(format!("max:{high}"));
        prop_assert_eq!(holds(format!("between:{low},{high}")), both);
        if low == high {
            prop_assert_eq!(holds(format!("size:{low}")), both);
        }
    }

    #[test]
    fn nothing_is_both_accepted_and_declined(value in scalar()) {
        let verdict = failed("accepted", value.clone()).len() + failed("declined", value).len();
        prop_assert!(verdict >= 1);
    }

    #[test]
    fn a_text_that_must_not_begin_so_is_one_that_does_not(value in "[ab1]{1,4}", list in "[ab1,]{1,4}") {
        for (rule, opposite) in [("starts_with", "doesnt_start_with"), ("ends_with", "doesnt_end_with")] {
            let with = failed(&format!("{rule}:{list}"), text(&value)).is_empty();
            prop_assert_eq!(failed(&format!("{opposite}:{list}"), text(&value)).is_empty(), !with);
        }
    }

    #[test]
    fn fields_that_no_rule_names_do_not_matter(rules in prop::collection::vec(rule(), 1..4), value in scalar(), other in scalar()) {
        let set = RuleSet::parse(&rules.join("|")).unwrap();
        let alone = set.evaluate("field", &[("field", value.clone())], &(), 0);
        let beside = set.evaluate("field", &[("other", other), ("field", value)], &(), 0);
        prop_assert_eq!(alone, beside);
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
