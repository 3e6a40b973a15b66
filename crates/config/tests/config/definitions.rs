//! What is wrong with definitions, one test for each scenario of the format.

use plugyard_config::{Definition, Value};
use plugyard_model::Lang;
use serde_json::{Value as Json, json};

use crate::support::{
    NOW, definition, errors, field, found, notifications, put, read, refused, service, submit,
    warnings,
};

#[test]
fn scenario_01_both_examples_have_neither_errors_nor_warnings() {
    warnings(&service(), &[]);
    warnings(&notifications(), &[]);
}

#[test]
fn scenario_02_fields_are_mandatory_but_may_be_none() {
    warnings(&json!({ "fields": {} }), &[]);
    let report = read(&json!({}));
    assert_eq!(
        found(&report.errors),
        [("required_key_missing".to_owned(), String::new())]
    );
    assert_eq!(report.errors[0].params["key"], "fields");
    assert!(!report.valid());
}

#[test]
fn scenario_03_types_of_other_systems_are_refused_with_what_was_meant() {
    let report = read(&json!({
        "fields": { "ENABLED": { "type": "boolean", "label": "启用" } }
    }));
    let document = serde_json::to_value(report.document("config.json", Lang::ZhCn)).unwrap();
    assert_eq!(
        document,
        json!({
            "valid": false,
            "file": "config.json",
            "errors": [{
                "path": "/fields/ENABLED/type",
                "code": "field_type_unsupported",
                "message": "字段 ENABLED 使用了不受支持的类型“boolean”，请改用“checkbox”。",
                "messages": {
                    "zh-CN": "字段 ENABLED 使用了不受支持的类型“boolean”，请改用“checkbox”。",
                    "en": "Field ENABLED has unsupported type \"boolean\"; use \"checkbox\"."
                },
                "params": {
                    "actual": "boolean",
                    "suggestion": "checkbox",
                    "allowed": ["text", "password", "select", "checkbox", "number", "email", "url", "textarea"]
                }
            }],
            "warnings": []
        })
    );
    for (word, suggestion) in [
        ("bool", json!("checkbox")),
        ("switch", json!("checkbox")),
        ("toggle", json!("checkbox")),
        ("string", json!("text")),
        ("input", json!("text")),
        ("integer", json!("number")),
        ("int", json!("number")),
        ("float", json!("number")),
        ("numeric", json!("number")),
        ("dropdown", json!("select")),
        ("enum", json!("select")),
        ("radio", json!("select")),
        ("secret", json!("password")),
        ("multiline", json!("textarea")),
        ("button", Json::Null),
        ("data_table", Json::Null),
        ("json", Json::Null),
        ("file", Json::Null),
        ("array", Json::Null),
        ("date", Json::Null),
        ("color", Json::Null),
    ] {
        let report = read(&field(json!({ "type": word })));
        assert_eq!(report.errors[0].params["suggestion"], suggestion, "{word}");
        for lang in [Lang::En, Lang::ZhCn] {
            let text = report.errors[0].text(lang);
            assert!(text.contains(word) && !text.contains("[["), "{text}");
        }
    }
}

#[test]
fn scenario_04_the_case_of_a_type_matters() {
    let report = read(&field(json!({ "type": "Text" })));
    assert_eq!(
        found(&report.errors),
        [(
            "field_type_unsupported".to_owned(),
            "/fields/K/type".to_owned()
        )]
    );
    assert_eq!(report.errors[0].params["suggestion"], "text");
    errors(
        &field(json!({ "type": null })),
        &[("wrong_type", "/fields/K/type")],
    );
}

#[test]
fn scenario_05_rules_are_one_string() {
    for (validation, suggestion) in [
        (json!({ "min": 1, "max": 100 }), json!("min:1|max:100")),
        (
            json!({ "required": true, "email": false, "in": ["a", "b"] }),
            json!("required|in:a,b"),
        ),
        (json!(["required", "string"]), json!("required|string")),
        (json!([1]), Json::Null),
        (json!(true), Json::Null),
        (json!(null), Json::Null),
        (json!(5), Json::Null),
    ] {
        let report = read(&field(json!({ "type": "text", "validation": validation })));
        assert_eq!(
            found(&report.errors),
            [(
                "validation_type".to_owned(),
                "/fields/K/validation".to_owned()
            )]
        );
        assert_eq!(
            report.errors[0].params["suggestion"], suggestion,
            "{validation}"
        );
    }
}

#[test]
fn scenario_06_a_select_needs_an_array_of_options() {
    errors(
        &field(json!({ "type": "select" })),
        &[("options_missing", "/fields/K")],
    );
    let options = |options| field(json!({ "type": "select", "options": options }));
    errors(
        &options(json!([])),
        &[("options_empty", "/fields/K/options")],
    );
    errors(
        &options(json!({ "a": "b" })),
        &[("options_type", "/fields/K/options")],
    );
    errors(
        &options(json!(null)),
        &[("options_type", "/fields/K/options")],
    );
}

#[test]
fn scenario_07_options_have_value_and_label_and_differ() {
    let options = |options| field(json!({ "type": "select", "options": options }));
    let report = read(&options(json!([{ "value": 1 }])));
    assert_eq!(
        found(&report.errors),
        [(
            "required_key_missing".to_owned(),
            "/fields/K/options/0".to_owned()
        )]
    );
    assert_eq!(report.errors[0].params["key"], "label");
    errors(
        &options(json!([{ "value": 1, "label": "a" }, { "value": "1", "label": "b" }])),
        &[("option_duplicate", "/fields/K/options/1/value")],
    );
    errors(
        &options(json!([
            { "value": true, "label": "a" },
            { "value": 1.5, "label": "b" },
            { "value": "x".repeat(256), "label": "c" },
            { "value": "y", "label": " ", "icon": "z" },
            "w"
        ])),
        &[
            ("wrong_type", "/fields/K/options/0/value"),
            ("wrong_type", "/fields/K/options/1/value"),
            ("too_long", "/fields/K/options/2/value"),
            ("blank", "/fields/K/options/3/label"),
            ("unknown_key", "/fields/K/options/3/icon"),
            ("wrong_type", "/fields/K/options/4"),
        ],
    );
}

#[test]
fn scenario_08_only_a_select_has_options() {
    for options in [
        json!([{ "value": "a", "label": "A" }]),
        json!([]),
        json!(null),
    ] {
        errors(
            &field(json!({ "type": "text", "options": options })),
            &[("options_not_allowed", "/fields/K/options")],
        );
    }
}

#[test]
fn scenario_09_everything_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = r#"{
        "fields": {
            "A": { "type": "text" },
            "B": { "label": "B" }
        },
        "extra": 1
    }"#;
    let report = Definition::read(text.as_bytes());
    let told: Vec<_> = report
        .errors
        .iter()
        .map(|issue| (issue.code.as_str(), issue.path.as_str(), issue.at.line))
        .collect();
    assert_eq!(
        told,
        [
            ("required_key_missing", "/fields/A", 3),
            ("required_key_missing", "/fields/B", 4),
            ("unknown_key", "/extra", 6),
        ]
    );
    assert_eq!(report.errors[0].params["key"], "label");
    assert_eq!(report.errors[1].params["key"], "type");
    assert!(report.definition.is_none());
}

#[test]
fn scenario_10_a_group_must_be_defined_unless_it_is_the_general_one() {
    errors(
        &field(json!({ "type": "text", "group": "nope" })),
        &[("group_undefined", "/fields/K/group")],
    );
    warnings(&field(json!({ "type": "text" })), &[]);
    warnings(&field(json!({ "type": "text", "group": "general" })), &[]);
    errors(
        &field(json!({ "type": "text", "group": "a b" })),
        &[("group_key_format", "/fields/K/group")],
    );
}

#[test]
fn scenario_11_a_file_that_is_no_json_says_where() {
    let check = |text: &[u8], code: &str, path: &str, line: u32, column: u32| {
        let report = Definition::read(text);
        assert_eq!(found(&report.errors), [(code.to_owned(), path.to_owned())]);
        let at = report.errors[0].at;
        assert_eq!((at.line, at.column), (line, column), "{code}");
        report.errors[0].params.clone()
    };
    let params = check(b"{\n  \"fields\": {},\n}", "json_syntax", "", 2, 15);
    assert_eq!(
        (&params["line"], &params["column"]),
        (&json!(2), &json!(15))
    );
    check(b"", "json_syntax", "", 1, 1);
    check(b"{ // a comment\n}", "json_syntax", "", 1, 3);
    check(b"{\"fields\": {}}x", "json_syntax", "", 1, 15);
    check(
        b"{\"fields\": {\"A\": {},\n \"A\": {}}}",
        "json_duplicate_key",
        "/fields/A",
        2,
        2,
    );
    check(b"\xef\xbb\xbf{\"fields\": {}}", "json_bom", "", 1, 1);
    check(b"\xef\xbb\xbf{", "json_bom", "", 1, 1);
    check(b"{\"fields\": \"\xff\"}", "json_encoding", "", 1, 13);
    check(b"{\"fields\": \"\\ud800\"}", "json_syntax", "", 1, 13);
    check(b"{\"fields\": 1e999}", "json_number_range", "", 1, 12);
    check(b"[]", "root_type", "", 1, 1);
    let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
    check(&nested(32), "root_type", "", 1, 1);
    check(&nested(33), "json_too_deep", "", 1, 33);
}

#[test]
fn scenario_12_a_default_follows_the_rules_and_an_empty_one_is_none() {
    let number = json!({ "type": "number", "default": "0", "validation": "integer|min:1" });
    let report = read(&field(number));
    assert_eq!(
        found(&report.errors),
        [("default_invalid".to_owned(), "/fields/K/default".to_owned())]
    );
    assert_eq!(report.errors[0].params["rule"], "min");
    for none in [json!(""), json!(null), json!("  ")] {
        let empty = json!({ "type": "text", "default": none, "validation": "required|min:3" });
        let definition = definition(&field(empty));
        assert_eq!(*definition.initial_values().value("K"), Value::Null);
    }
}

#[test]
fn scenario_13_preset_values_follow_the_rules_and_belong_to_fields() {
    let mut json = service();
    json["values"] = json!({ "API_TIMEOUT": 301, "X": 1 });
    let report = read(&json);
    assert_eq!(
        found(&report.errors),
        [
            ("value_invalid".to_owned(), "/values/API_TIMEOUT".to_owned()),
            ("value_unknown_field".to_owned(), "/values/X".to_owned()),
        ]
    );
    assert_eq!(report.errors[0].params["rule"], "max");
    json["values"] = json!({ "API_TIMEOUT": "  ", "API_KEY": null });
    warnings(&json, &[]);
}

#[test]
fn scenario_14_the_default_of_a_select_is_one_of_its_options() {
    let select = |key: &str, value: Json| {
        let mut json = field(json!({
            "type": "select",
            "options": [{ "value": "a", "label": "A" }, { "value": 1, "label": "B" }]
        }));
        if key == "default" {
            json["fields"]["K"]["default"] = value;
        } else {
            json["values"] = json!({ "K": value });
        }
        json
    };
    errors(
        &select("default", json!("c")),
        &[("default_not_in_options", "/fields/K/default")],
    );
    errors(
        &select("default", json!(true)),
        &[("default_type", "/fields/K/default")],
    );
    errors(
        &select("values", json!("c")),
        &[("value_not_in_options", "/values/K")],
    );
    errors(
        &select("values", json!(1.5)),
        &[("value_type", "/values/K")],
    );
    for same in [json!(1), json!("1")] {
        let definition = definition(&select("default", same));
        assert_eq!(*definition.initial_values().value("K"), Value::Int(1));
    }
}

#[test]
fn scenario_15_types_are_not_converted() {
    errors(
        &field(json!({ "type": "text", "required": "true" })),
        &[("wrong_type", "/fields/K/required")],
    );
    errors(
        &field(json!({ "type": "text", "order": "1" })),
        &[("wrong_type", "/fields/K/order")],
    );
    let whole = definition(&field(json!({ "type": "text", "order": 1.0 })));
    assert_eq!(whole.fields()["K"].order, 1);
    for (order, code) in [
        (json!(1.5), "wrong_type"),
        (json!(1_000_001), "out_of_range"),
        (json!(-1e30), "out_of_range"),
    ] {
        errors(
            &field(json!({ "type": "text", "order": order })),
            &[(code, "/fields/K/order")],
        );
    }
}

#[test]
fn scenario_16_versions_and_dates_have_one_form() {
    for (version, code) in [
        (json!("1.0"), "version_format"),
        (json!("v1.0.0"), "version_format"),
        (json!(1), "wrong_type"),
    ] {
        errors(
            &json!({ "fields": {}, "version": version }),
            &[(code, "/version")],
        );
    }
    for (date, code) in [
        (json!("2025-02-30"), "date_format"),
        (json!("2025-2-3"), "date_format"),
        (json!("2023-02-29"), "date_format"),
        (json!("10000-01-01"), "date_format"),
        (json!(20_250_101), "wrong_type"),
    ] {
        errors(
            &json!({ "fields": {}, "last_updated": date }),
            &[(code, "/last_updated")],
        );
    }
    let json = json!({ "fields": {}, "version": "2.0.0-rc.1+x", "last_updated": "2024-02-29" });
    assert_eq!(definition(&json).version().as_str(), "2.0.0-rc.1+x");
}

/// The first error of a rule string on a field of a type: code and parameters.
#[track_caller]
fn rule(field_type: &str, rules: &str) -> (String, Json) {
    let mut json = field(json!({ "type": field_type, "validation": rules }));
    json["fields"]["OTHER"] = json!({ "type": "text", "label": "Other" });
    if field_type == "select" {
        json["fields"]["K"]["options"] = json!([{ "value": "a", "label": "A" }]);
    }
    let report = read(&json);
    let error = report
        .errors
        .first()
        .unwrap_or_else(|| panic!("`{rules}` is accepted"));
    assert_eq!(error.path, "/fields/K/validation");
    for lang in [Lang::En, Lang::ZhCn] {
        let text = error.text(lang);
        assert!(
            !text.contains(['{', '[']) || rules.contains(['{', '[']),
            "{text}"
        );
    }
    (
        error.code.as_str().to_owned(),
        Json::Object(error.params.clone()),
    )
}

#[test]
fn scenario_17_a_rule_nobody_knows_is_told_with_the_nearest() {
    for rules in ["requierd", "REQUIRED", "string|requierd"] {
        let (code, params) = rule("text", rules);
        assert_eq!(code, "rule_unknown");
        assert_eq!(params["suggestion"], "required");
    }
    let (_, params) = rule("text", "string||requierd|max:3");
    assert_eq!(params["segment"], "requierd");
    assert_eq!(params["index"], 2);
    let (code, params) = rule("text", "somethingelse");
    assert_eq!(code, "rule_unknown");
    assert_eq!(params["suggestion"], Json::Null);
}

#[test]
fn scenario_18_patterns_must_be_patterns_and_hold_no_pipe() {
    assert_eq!(rule("text", "regex:/^(a|b)$/").0, "rule_regex_pipe");
    assert_eq!(rule("text", "regex:/[/").0, "rule_regex_invalid");
    assert_eq!(rule("text", "regex:abc").0, "rule_regex_invalid");
    let long = format!("regex:/{}/", "a".repeat(1100));
    assert_eq!(rule("text", &long).0, "rule_regex_unsafe");
}

#[test]
fn scenario_19_rules_have_the_parameters_that_they_need() {
    assert_eq!(rule("text", "min").0, "rule_param_missing");
    assert_eq!(rule("text", "max:3kb").0, "rule_param_not_number");
    assert_eq!(rule("text", "min:").0, "rule_param_not_number");
    assert_eq!(rule("text", "between:1").0, "rule_param_missing");
    assert_eq!(rule("text", "email:nonsense").0, "rule_param_invalid");
}

#[test]
fn scenario_20_rules_that_need_an_application_are_refused_with_the_reason() {
    for (rules, reason) in [
        ("exists:users,id", "needs_database"),
        ("unique:users", "needs_database"),
        ("image", "needs_upload"),
        ("active_url", "needs_network"),
        ("email:dns", "needs_network"),
        ("email:spoof", "needs_icu"),
        ("enum:X", "needs_application"),
        ("encoding:utf8", "redundant"),
    ] {
        let (code, params) = rule("text", rules);
        assert_eq!(code, "rule_unsupported", "{rules}");
        assert_eq!(params["reason"], reason, "{rules}");
    }
}

#[test]
fn scenario_21_rules_name_other_fields_that_exist() {
    let (code, params) = rule("text", "required_if:NOPE,1");
    assert_eq!(code, "rule_field_unknown");
    assert_eq!(params["other"], "NOPE");
    assert_eq!(rule("text", "same:K").0, "rule_field_self");
    assert_eq!(rule("text", "same:NOPE").0, "rule_field_unknown");
    assert_eq!(rule("text", "confirmed").0, "rule_field_unknown");
    let mut json = field(json!({ "type": "text", "validation": "same:OTHER" }));
    json["fields"]["OTHER"] = json!({ "type": "text", "label": "Other" });
    warnings(&json, &[]);
    // A field with faults of its own is there nevertheless.
    json["fields"]["OTHER"] = json!({ "type": "bool", "label": "Other" });
    errors(&json, &[("field_type_unsupported", "/fields/OTHER/type")]);
}

#[test]
fn scenario_22_rules_fit_the_type_of_the_field() {
    // A list fits no type at all, which says more than that it does not fit this one.
    for rules in ["array", "list"] {
        let (code, _) = rule("text", rules);
        assert!(
            code == "rule_type_incompatible" || code == "rule_unsupported",
            "{code}"
        );
    }
    let (code, params) = rule("number", "string");
    assert_eq!(code, "rule_type_incompatible");
    assert_eq!(params["type"], "number");
    assert_eq!(rule("checkbox", "min:1").0, "rule_type_incompatible");
}

#[test]
fn scenario_23_files_and_reports_are_bounded() {
    let mut large = service().to_string().into_bytes();
    large.resize(1 << 20, b' ');
    assert!(Definition::read(&large).valid());
    large.push(b' ');
    let report = Definition::read(&large);
    assert_eq!(
        found(&report.errors),
        [("file_too_large".to_owned(), String::new())]
    );

    let unknown: Vec<String> = (0..10_000).map(|i| format!("\"k{i}\": 0")).collect();
    let report =
        Definition::read(format!("{{\"fields\": {{}}, {}}}", unknown.join(",")).as_bytes());
    assert_eq!(report.errors.len(), 201);
    assert_eq!(report.errors[0].path, "/k0");
    assert_eq!(report.errors[199].path, "/k199");
    assert_eq!(report.errors[200].code.as_str(), "too_many_errors");
}

#[test]
fn scenario_24_sizes_of_numbers_are_those_of_numbers() {
    let json = field(json!({ "type": "number", "validation": "min:1|max:300" }));
    warnings(&json, &[("rule_missing_numeric", "/fields/K/validation")]);
    let definition = definition(&json);
    let stored = definition.initial_values();
    let failed = refused(&definition, &stored, &json!({ "K": 500 }));
    assert_eq!(
        failed,
        [crate::support::failure("/K", "rule_failed", "max")]
    );
    assert_eq!(
        *put(&definition, &stored, &json!({ "K": 300 })).value("K"),
        Value::Int(300)
    );
}

#[test]
fn keys_texts_and_counts_are_bounded() {
    let long = "x".repeat(256);
    errors(
        &json!({
            "fields": {
                "1A": { "type": "text", "label": "a" },
                "A.B": { "type": "text", "label": "a" },
                "C": { "type": "text", "label": " \u{3000}" },
                "D": { "type": "text", "label": long, "placeholder": "y".repeat(1001) },
                "E": { "type": "text", "label": "a", "description": 1, "group": null },
                "F": []
            },
            "groups": {
                "1": { "label": "a" },
                "b": { "icon": "No Icon", "order": 0.5 },
                "c": { "label": "c", "icon": "unicorn" }
            },
            "description": "z".repeat(4001),
            "values": { "C": 1, "D": [] }
        }),
        &[
            ("field_key_format", "/fields/1A"),
            ("field_key_format", "/fields/A.B"),
            ("blank", "/fields/C/label"),
            ("too_long", "/fields/D/label"),
            ("too_long", "/fields/D/placeholder"),
            ("wrong_type", "/fields/E/description"),
            ("wrong_type", "/fields/E/group"),
            ("wrong_type", "/fields/F"),
            ("group_key_format", "/groups/1"),
            ("required_key_missing", "/groups/b"),
            ("icon_format", "/groups/b/icon"),
            ("wrong_type", "/groups/b/order"),
            ("too_long", "/description"),
            ("value_type", "/values/C"),
            ("value_type", "/values/D"),
        ],
    );
    let fields: serde_json::Map<String, Json> = (0..501)
        .map(|i| (format!("K{i}"), json!({ "type": "text", "label": "a" })))
        .collect();
    errors(&json!({ "fields": fields }), &[("too_many", "/fields")]);
}

#[test]
fn defaults_have_the_type_of_their_field() {
    for (field_type, bad) in [
        ("text", json!(1)),
        ("textarea", json!(true)),
        ("email", json!(1)),
        ("number", json!("abc")),
        ("number", json!(true)),
        ("number", json!("1e999")),
        ("checkbox", json!("maybe")),
        ("checkbox", json!(2)),
        ("checkbox", json!(" ")),
        ("password", json!([])),
    ] {
        errors(
            &field(json!({ "type": field_type, "default": bad })),
            &[("default_type", "/fields/K/default")],
        );
    }
    for (field_type, good, initial) in [
        ("number", json!("1.50"), Value::Float(1.5)),
        ("number", json!(1e3), Value::Int(1000)),
        ("checkbox", json!("YES"), Value::Bool(true)),
        ("checkbox", json!(0), Value::Bool(false)),
        ("checkbox", json!(""), Value::Null),
        ("text", json!(" a "), Value::Text(" a ".into())),
    ] {
        let definition = definition(&field(json!({ "type": field_type, "default": good })));
        assert_eq!(*definition.initial_values().value("K"), initial, "{good}");
    }
    let email = read(&field(json!({ "type": "email", "default": "nobody" })));
    assert_eq!(found(&email.errors)[0].0, "default_invalid");
    assert_eq!(email.errors[0].params["rule"], "type");
}

#[test]
fn defaults_see_what_the_other_fields_begin_with() {
    let json = json!({
        "fields": {
            "MODE": { "type": "text", "label": "Mode", "default": "a" },
            "COPY": { "type": "text", "label": "Copy", "default": "a", "validation": "same:MODE" }
        },
        "values": { "MODE": "b" }
    });
    errors(&json, &[("default_invalid", "/fields/COPY/default")]);
}

#[test]
fn a_required_field_without_default_is_no_error() {
    let json = field(json!({ "type": "text", "required": true }));
    let definition = definition(&json);
    let missing = definition.completeness(&definition.initial_values(), NOW);
    assert_eq!(missing[0].rule.as_deref(), Some("required"));
}

#[test]
fn oddities_are_warnings() {
    warnings(
        &json!({
            "fields": {
                "A": { "type": "password", "label": "A", "default": "hunter2" },
                "B": { "type": "text", "label": "B", "required": false, "validation": "required|max:9|max:9" },
                "C": {
                    "type": "select", "label": "C", "validation": "in:a,b",
                    "options": [{ "value": "a", "label": "a" }, { "value": "c", "label": "c" }]
                },
                "D": { "type": "text", "label": "D", "validation": "between:9,1" }
            },
            "groups": { "g": { "label": "G", "icon": "unicorn" } },
            "values": { "A": "hunter3" }
        }),
        &[
            ("password_default", "/fields/A/default"),
            ("required_mismatch", "/fields/B/required"),
            ("rule_duplicate", "/fields/B/validation"),
            ("option_unreachable", "/fields/C/options/1/value"),
            ("between_empty", "/fields/D/validation"),
            ("group_unused", "/groups/g"),
            ("icon_unknown", "/groups/g/icon"),
            ("password_default", "/values/A"),
        ],
    );
}

#[test]
fn reports_never_repeat_a_secret() {
    let json = json!({
        "fields": {
            "A": { "type": "password", "label": "A", "default": "hunter2", "validation": "min:20" },
            "B": { "type": "password", "label": "B", "default": ["hunter2"] }
        },
        "values": { "A": "hunter2" }
    });
    let report = read(&json);
    assert_eq!(report.errors.len(), 3);
    let all = format!(
        "{report:?}{:?}{:?}",
        report.document("config.json", Lang::En),
        report.findings("config.json")
    );
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn findings_stand_where_the_report_says() {
    let text = "{\n \"fields\": {\n  \"A\": { \"type\": \"text\", \"label\": \" \" } } }";
    let findings = Definition::read(text.as_bytes()).findings("config.json");
    let place = &findings[0].place;
    assert_eq!(
        (
            place.file.as_str(),
            place.pointer.as_str(),
            place.line,
            place.column
        ),
        ("config.json", "/fields/A/label", Some(3), Some(35))
    );
    assert!(!findings[0].text(Lang::ZhCn).is_empty());
}

#[test]
fn what_is_stored_of_a_definition_reads_back_without_its_secrets() {
    let mut json = service();
    json["values"]["API_KEY"] = json!("sk-0123456789");
    let original = definition(&json);
    let stored = original.to_json();
    assert!(!stored.to_string().contains("sk-0123456789"));
    let back = Definition::stored(&stored).expect("it was written by us");
    assert_eq!(back.shipped_secrets(), []);
    assert_ne!(back, original);
    assert_eq!(
        back.with_shipped_secrets(original.shipped_secrets()),
        original
    );
    assert!(!format!("{original:?}").contains("sk-0123456789"));
    assert_eq!(
        submit(&back, &back.initial_values(), &json!({ "API_TIMEOUT": 1 }))
            .unwrap()
            .updated,
        ["API_TIMEOUT"]
    );
}
