//! Values that somebody sends.

use plugyard_config::{Body, BodyError, Definition, Entry, MASK, Secret, Value, Values};
use plugyard_model::{Lang, Problem, codes};
use serde_json::{Value as Json, json};

use crate::support::{
    NOW, definition, failure, field, notifications, put, refused, service, submit,
};

/// The service as it is used: with a secret and an address.
fn in_use() -> (Definition, Values) {
    let definition = definition(&service());
    let stored = put(
        &definition,
        &definition.initial_values(),
        &json!({ "API_KEY": "sk-0123456789", "API_TIMEOUT": 60 }),
    );
    (definition, stored)
}

#[test]
fn fields_begin_with_preset_values_then_defaults() {
    let definition = definition(&service());
    let values = definition.initial_values();
    assert_eq!(
        *values.value("API_BASE_URL"),
        Value::Text("https://api.example.com".into())
    );
    assert_eq!(*values.value("API_TIMEOUT"), Value::Int(30));
    assert_eq!(*values.value("API_KEY"), Value::Null);
    assert!(values.iter().all(|(_, entry)| !entry.user_modified));
    let missing = definition.completeness(&values, NOW);
    assert_eq!(missing.len(), 1);
    let issue = missing[0].issue(Lang::ZhCn);
    assert_eq!(
        (issue.key.as_str(), issue.rule.as_str()),
        ("API_KEY", "required")
    );
    assert_eq!(issue.message, "API密钥为必填项。");
}

#[test]
fn numbers_are_taken_as_text_and_stored_as_numbers() {
    let (definition, stored) = in_use();
    for (sent, expected) in [
        (json!("61"), Value::Int(61)),
        (json!(" 5 "), Value::Int(5)),
        (json!(7.0), Value::Int(7)),
    ] {
        let accepted = submit(&definition, &stored, &json!({ "API_TIMEOUT": sent })).unwrap();
        assert_eq!(accepted.updated, ["API_TIMEOUT"]);
        assert_eq!(*accepted.values.value("API_TIMEOUT"), expected);
        assert!(accepted.values.user_modified("API_TIMEOUT"));
    }
    for (sent, code, rule) in [
        (json!("abc"), "type_number", "type"),
        (json!(true), "type_number", "type"),
        (json!(0), "rule_failed", "min"),
        (json!(301), "rule_failed", "max"),
        (json!(1.5), "rule_failed", "integer"),
        (json!(null), "rule_failed", "integer"),
        (json!(""), "rule_failed", "integer"),
    ] {
        let failed = refused(&definition, &stored, &json!({ "API_TIMEOUT": sent }));
        assert_eq!(failed[0], failure("/API_TIMEOUT", code, rule), "{sent}");
    }
}

#[test]
fn a_failure_is_told_as_clients_of_laravel_read_it() {
    let (definition, stored) = in_use();
    let rejected = submit(&definition, &stored, &json!({ "API_TIMEOUT": 301 })).unwrap_err();
    assert_eq!(
        serde_json::to_value(rejected.document(Lang::ZhCn)).unwrap(),
        json!({
            "errors": { "API_TIMEOUT": ["请求超时不能大于300。"] },
            "details": [{
                "path": "/API_TIMEOUT", "code": "rule_failed", "field": "API_TIMEOUT", "rule": "max",
                "params": { "max": "300", "kind": "numeric" },
                "message": "请求超时不能大于300。",
                "messages": { "zh-CN": "请求超时不能大于300。", "en": "请求超时 must be 300 or less." }
            }]
        })
    );
    let problem = Problem::from(&rejected);
    assert_eq!(problem.code, codes::VALIDATION_FAILED);
    assert_eq!(problem.findings[0].place.pointer, "/API_TIMEOUT");
    assert_eq!(problem.findings[0].params["rule"], "max");
    // In the words of the rule, wherever it is told.
    assert_eq!(
        problem.findings[0].text(Lang::ZhCn),
        "请求超时不能大于300。"
    );
    assert_eq!(
        problem.findings[0].text(Lang::En),
        "请求超时 must be 300 or less."
    );
}

#[test]
fn nothing_instead_of_text_where_the_rules_allow_it() {
    let definition = definition(&notifications());
    let stored = definition.initial_values();
    let set = put(
        &definition,
        &stored,
        &json!({ "WEBHOOK_URL": " https://a.example/ " }),
    );
    assert_eq!(
        *set.value("WEBHOOK_URL"),
        Value::Text("https://a.example/".into())
    );
    let cleared = put(&definition, &set, &json!({ "WEBHOOK_URL": "" }));
    assert_eq!(*cleared.value("WEBHOOK_URL"), Value::Null);
    assert!(cleared.user_modified("WEBHOOK_URL"));
    assert_eq!(
        refused(&definition, &stored, &json!({ "WEBHOOK_URL": "ftp//x" })),
        [failure("/WEBHOOK_URL", "rule_failed", "url")]
    );
}

#[test]
fn boxes_and_options_have_many_spellings_and_one_value() {
    let definition = definition(&notifications());
    let stored = definition.initial_values();
    assert_eq!(*stored.value("ENABLED"), Value::Bool(true));
    for off in [
        json!("off"),
        json!(0),
        json!(false),
        json!("NO"),
        json!(null),
        json!(""),
    ] {
        let values = put(&definition, &stored, &json!({ "ENABLED": off }));
        assert_eq!(*values.value("ENABLED"), Value::Bool(false), "{off}");
    }
    assert_eq!(
        refused(&definition, &stored, &json!({ "ENABLED": "maybe" })),
        [failure("/ENABLED", "type_checkbox", "type")]
    );
    assert_eq!(
        refused(&definition, &stored, &json!({ "NOTIFICATION_TYPE": "sms" })),
        [failure("/NOTIFICATION_TYPE", "type_select", "type")]
    );
    let both = put(
        &definition,
        &stored,
        &json!({ "NOTIFICATION_TYPE": "both" }),
    );
    assert_eq!(*both.value("NOTIFICATION_TYPE"), Value::Text("both".into()));
}

#[test]
fn one_bad_value_keeps_the_others_out() {
    let (definition, stored) = in_use();
    let failed = refused(
        &definition,
        &stored,
        &json!({ "NOPE": 1, "API_TIMEOUT": 20, "API_KEY": ["x"], "API_BASE_URL": "nowhere" }),
    );
    assert_eq!(
        failed,
        [
            failure("/NOPE", "unknown_field", ""),
            failure("/API_KEY", "value_type", ""),
            failure("/API_BASE_URL", "rule_failed", "url"),
        ]
    );
}

#[test]
fn values_may_be_wrapped() {
    let (definition, stored) = in_use();
    for wrapped in [
        json!({ "values": { "API_TIMEOUT": 10 } }),
        json!({ "config": { "API_TIMEOUT": 10 }, "revision": 3 }),
        json!({ "API_TIMEOUT": 10 }),
    ] {
        let values = put(&definition, &stored, &wrapped);
        assert_eq!(*values.value("API_TIMEOUT"), Value::Int(10), "{wrapped}");
    }
    assert_eq!(
        refused(
            &definition,
            &stored,
            &json!({ "values": { "API_TIMEOUT": 0, "a/b": 1 } })
        ),
        [
            failure("/values/API_TIMEOUT", "rule_failed", "min"),
            failure("/values/a~1b", "unknown_field", ""),
        ]
    );
    let read = |json: Json| Body::read(json.to_string().as_bytes(), &definition);
    assert_eq!(
        read(json!({ "config": {}, "revision": 3 }))
            .unwrap()
            .revision(),
        Some(3)
    );
    // Neither form: every key is held against the fields.
    for flat in [
        json!({ "revision": 3 }),
        json!({ "values": {}, "config": {} }),
        json!({ "values": {}, "API_TIMEOUT": 1 }),
    ] {
        let failed = refused(&definition, &stored, &flat);
        assert!(
            failed
                .iter()
                .all(|it| it.1 == "unknown_field" || it.1 == "value_type")
        );
    }
    assert_eq!(
        read(json!({ "values": 5 })).unwrap_err(),
        BodyError::WrappedNotObject("values")
    );
    assert_eq!(
        read(json!({ "values": {}, "revision": "x" })).unwrap_err(),
        BodyError::Revision
    );
    // A field may have the name of a wrapper.
    let odd = crate::support::definition(
        &json!({ "fields": { "values": { "type": "text", "label": "V" } } }),
    );
    let failed = refused(
        &odd,
        &odd.initial_values(),
        &json!({ "values": { "values": "x" } }),
    );
    assert_eq!(failed, [failure("/values", "value_type", "")]);
}

#[test]
fn what_is_no_object_is_no_body() {
    let definition = definition(&service());
    for bad in [
        "[]",
        "\"x\"",
        "{bad",
        "",
        "null",
        "{\"a\":1,}",
        "{\"a\":1,\"a\":2}",
    ] {
        let error = Body::read(bad.as_bytes(), &definition).expect_err(bad);
        let problem = Problem::from(&error);
        assert_eq!(
            (problem.code, problem.code.status()),
            (codes::BAD_JSON, 400),
            "{bad}"
        );
        assert!(
            !problem.hint(Lang::En).contains('{'),
            "{}",
            problem.hint(Lang::En)
        );
    }
    let error = Body::read(b"{\"a\":1,\n \"a\":2}", &definition).unwrap_err();
    let said = Problem::from(&error).detail(Lang::En);
    assert!(
        said.contains("line 2, column 2: The key `a` stands here again"),
        "{said}"
    );
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(1 << 20));
    let error = Body::read(large.as_bytes(), &definition).unwrap_err();
    assert_eq!(Problem::from(&error).code.status(), 413);
}

#[test]
fn nothing_sent_changes_nothing() {
    let (definition, stored) = in_use();
    for empty in [json!({}), json!({ "values": {} })] {
        let accepted = submit(&definition, &stored, &empty).unwrap();
        assert_eq!(accepted.updated.len() + accepted.unchanged.len(), 0);
        assert_eq!(accepted.values, stored);
    }
    let again = submit(&definition, &stored, &json!({ "API_TIMEOUT": "60" })).unwrap();
    assert_eq!(
        (again.updated.len(), again.unchanged),
        (0, vec!["API_TIMEOUT".to_owned()])
    );
}

#[test]
fn secrets_stay_what_they_are_and_are_never_repeated() {
    let (definition, stored) = in_use();
    let failed = submit(&definition, &stored, &json!({ "API_KEY": "short-one" })).unwrap_err();
    assert_eq!(failed.failures[0].rule.as_deref(), Some("min"));
    let told = format!("{failed:?}{:?}", failed.document(Lang::En));
    assert!(!told.contains("short-one"), "{told}");

    let accepted = submit(
        &definition,
        &stored,
        &json!({ "API_KEY": MASK, "API_TIMEOUT": 20 }),
    )
    .unwrap();
    assert_eq!(accepted.updated, ["API_TIMEOUT"]);
    assert_eq!(accepted.unchanged, ["API_KEY"]);
    assert_eq!(
        *accepted.values.value("API_KEY"),
        Value::Secret(Secret::new("sk-0123456789"))
    );
    assert_eq!(
        refused(&definition, &stored, &json!({ "API_KEY": null })),
        [failure("/API_KEY", "rule_failed", "required")]
    );
    assert!(!format!("{accepted:?}").contains("sk-0123456789"));
    let body = Body::flat(serde_json::Map::from_iter([(
        "API_KEY".to_owned(),
        json!("sk-x"),
    )]));
    assert!(!format!("{body:?}").contains("sk-x"));
}

#[test]
fn a_secret_keeps_its_white_space_and_may_hold_anything() {
    let definition = definition(&field(json!({ "type": "password" })));
    let stored = definition.initial_values();
    for secret in [" a b \n", "-----BEGIN-----\nx\n", "a\0b", "\u{3000}"] {
        let values = put(&definition, &stored, &json!({ "K": secret }));
        assert_eq!(*values.value("K"), Value::Secret(Secret::new(secret)));
    }
    let cleared = put(&definition, &stored, &json!({ "K": "" }));
    assert_eq!(*cleared.value("K"), Value::Null);
}

#[test]
fn values_are_bounded() {
    let definition = definition(&json!({ "fields": {
        "T": { "type": "textarea", "label": "T" },
        "P": { "type": "password", "label": "P" }
    } }));
    let stored = definition.initial_values();
    let most = "x".repeat(64 << 10);
    put(&definition, &stored, &json!({ "T": most }));
    assert_eq!(
        refused(&definition, &stored, &json!({ "T": format!("{most}x") })),
        [failure("/T", "value_too_large", "")]
    );
    assert_eq!(
        refused(&definition, &stored, &json!({ "T": "a\0b" })),
        [failure("/T", "value_nul", "")]
    );
}

#[test]
fn fields_that_look_at_what_was_sent_are_judged_as_well() {
    let definition = definition(&json!({ "fields": {
        "MODE": { "type": "text", "label": "模式" },
        "TOKEN": { "type": "text", "label": "令牌", "validation": "required_if:MODE,api" },
        "OTHER": { "type": "text", "label": "其他", "required": true }
    } }));
    let stored = definition.initial_values();
    // OTHER is incomplete, but nobody sent it or anything that it looks at.
    put(&definition, &stored, &json!({ "MODE": "web" }));
    assert_eq!(
        refused(
            &definition,
            &stored,
            &json!({ "values": { "MODE": "api" } })
        ),
        [failure("/values", "rule_failed", "required_if")]
    );
    let values = put(
        &definition,
        &stored,
        &json!({ "MODE": "api", "TOKEN": "t" }),
    );
    assert_eq!(
        refused(&definition, &values, &json!({ "TOKEN": null })),
        [failure("/TOKEN", "rule_failed", "required_if")]
    );
}

#[test]
fn rules_see_what_was_sent_and_compare_secrets_in_clear() {
    let definition = definition(&json!({ "fields": {
        "ENABLED": { "type": "checkbox", "label": "E" },
        "URL": { "type": "url", "label": "U", "validation": "required_if:ENABLED,true" },
        "SECRET": { "type": "password", "label": "S" },
        "AGAIN": { "type": "password", "label": "A", "validation": "same:SECRET" }
    } }));
    let stored = definition.initial_values();
    assert_eq!(
        refused(&definition, &stored, &json!({ "ENABLED": "yes" })),
        [failure("", "rule_failed", "required_if")]
    );
    let values = put(
        &definition,
        &stored,
        &json!({ "ENABLED": "on", "URL": "https://a.example", "SECRET": "s3", "AGAIN": "s3" }),
    );
    let failed = refused(&definition, &values, &json!({ "SECRET": "other" }));
    assert_eq!(failed, [failure("", "rule_failed", "same")]);
}

#[test]
fn a_value_that_does_not_count_is_not_taken() {
    let definition = definition(&json!({ "fields": {
        "MODE": { "type": "text", "label": "M", "default": "a" },
        "X": { "type": "text", "label": "X", "validation": "exclude_if:MODE,a|min:3" }
    } }));
    let stored = definition.initial_values();
    let accepted = submit(&definition, &stored, &json!({ "X": "x" })).unwrap();
    assert_eq!((accepted.updated.len(), accepted.unchanged.len()), (0, 1));
    let failed = refused(&definition, &stored, &json!({ "X": "x", "MODE": "b" }));
    assert_eq!(failed, [failure("/X", "rule_failed", "min")]);
}

#[test]
fn a_reset_brings_the_initial_values_back() {
    let (definition, stored) = in_use();
    let all = definition.reset(&stored, None).unwrap();
    assert_eq!(all.values, definition.initial_values());
    assert_eq!(all.reset, ["API_BASE_URL", "API_KEY", "API_TIMEOUT"]);
    assert_eq!(all.changed, ["API_KEY", "API_TIMEOUT"]);
    let one = definition
        .reset(&stored, Some(&["API_TIMEOUT".to_owned()]))
        .unwrap();
    assert_eq!(one.reset, ["API_TIMEOUT"]);
    assert_eq!(one.values.value("API_KEY"), stored.value("API_KEY"));
    assert!(!one.values.user_modified("API_TIMEOUT"));
    let keys = ["API_TIMEOUT".to_owned(), "API_TIMEOUTS".to_owned()];
    let rejected = definition.reset(&stored, Some(&keys)).unwrap_err();
    assert_eq!(rejected.failures[0].path, "/keys/1");
    assert_eq!(rejected.failures[0].params["suggestion"], "API_TIMEOUT");
}

#[test]
fn a_secret_that_cannot_be_read_is_told_and_can_be_replaced() {
    let (definition, mut stored) = in_use();
    let entry = Entry {
        value: Value::Unreadable,
        user_modified: true,
    };
    stored.insert("API_KEY", entry);
    let missing = definition.completeness(&stored, NOW);
    assert_eq!(missing[0].code, codes::SECRET_UNREADABLE);
    let view = definition.values_view(&stored, 1);
    assert_eq!(
        (view.values["API_KEY"].as_str(), view.unreadable.len()),
        (Some(MASK), 1)
    );
    // Other values can be changed meanwhile, and the secret be set anew.
    put(
        &definition,
        &stored,
        &json!({ "API_TIMEOUT": 5, "API_KEY": MASK }),
    );
    let mended = put(&definition, &stored, &json!({ "API_KEY": "sk-9876543210" }));
    assert_eq!(definition.completeness(&mended, NOW), []);
}

#[test]
fn an_optional_field_that_was_never_set_is_complete() {
    let definition = definition(&field(
        json!({ "type": "number", "validation": "integer|min:1" }),
    ));
    assert_eq!(
        definition.completeness(&definition.initial_values(), NOW),
        []
    );
}

#[test]
fn the_shape_of_the_type_comes_before_the_rules() {
    for (field_, sent, code, rule) in [
        (
            json!({ "type": "email" }),
            json!("nobody"),
            "type_email",
            "type",
        ),
        (
            json!({ "type": "email", "validation": "min:90" }),
            json!("nobody"),
            "type_email",
            "type",
        ),
        (
            json!({ "type": "email", "validation": "email:strict" }),
            json!("a@b"),
            "rule_failed",
            "email",
        ),
        (
            json!({ "type": "url" }),
            json!("nowhere"),
            "type_url",
            "type",
        ),
        (
            json!({ "type": "url", "validation": "url:https" }),
            json!("http://a.b"),
            "rule_failed",
            "url",
        ),
        (json!({ "type": "text" }), json!(5), "type_string", "type"),
        (
            json!({ "type": "textarea" }),
            json!(true),
            "type_string",
            "type",
        ),
        (
            json!({ "type": "password" }),
            json!(1.5),
            "type_string",
            "type",
        ),
        (
            json!({ "type": "number" }),
            json!(true),
            "type_number",
            "type",
        ),
        (
            json!({ "type": "number" }),
            json!("1e999"),
            "type_number",
            "type",
        ),
        (
            json!({ "type": "checkbox" }),
            json!(2),
            "type_checkbox",
            "type",
        ),
    ] {
        let definition = definition(&field(field_.clone()));
        let stored = definition.initial_values();
        assert_eq!(
            refused(&definition, &stored, &json!({ "K": sent })),
            [failure("/K", code, rule)],
            "{field_} {sent}"
        );
    }
    // What is blank has every shape.
    for kind in [
        "email", "url", "text", "textarea", "password", "number", "checkbox",
    ] {
        let definition = definition(&field(json!({ "type": kind })));
        put(
            &definition,
            &definition.initial_values(),
            &json!({ "K": "" }),
        );
    }
}
