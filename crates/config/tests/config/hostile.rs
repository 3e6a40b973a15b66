//! Definitions and bodies that mean no good.

use plugyard_config::{Body, BodyError, Definition};
use plugyard_model::{Lang, codes};
use serde_json::{Map, Value as Json, json};

use crate::support::{definition, failure, field, found, put, read, refused};

fn first_code(bytes: &[u8]) -> String {
    let report = Definition::read(bytes);
    assert!(report.definition.is_none());
    found(&report.errors)[0].0.clone()
}

#[test]
fn a_mebibyte_of_brackets_is_too_deep() {
    let half = 1 << 19;
    let nested = [b"[".repeat(half), b"]".repeat(half)].concat();
    assert_eq!(first_code(&nested), "json_too_deep");
    assert_eq!(first_code(&b"[".repeat(1 << 20)), "json_too_deep");
    assert_eq!(first_code(&b"{\"a\":".repeat(100_000)), "json_too_deep");
    let wide = format!("{{\"fields\": [{}0]}}", "0,".repeat((1 << 19) - 20));
    assert_eq!(first_code(wide.as_bytes()), "wrong_type");
}

#[test]
fn five_hundred_fields_with_the_longest_rules_are_read_or_refused() {
    let rules = |length: usize| {
        let mut rules = "regex:/^[a-z]+$/|".to_owned();
        rules.push_str(&"max:255|".repeat((length - rules.len()) / 8));
        rules.push_str(&"|".repeat(length - rules.len()));
        rules
    };
    let fields = |length: usize| {
        let rules = rules(length);
        let fields: Map<String, Json> = (0..500)
            .map(|i| {
                let field = json!({ "type": "text", "label": "x", "validation": rules });
                (format!("K{i}"), field)
            })
            .collect();
        json!({ "fields": fields })
    };
    // Together they are larger than a file may be.
    let report = read(&fields(4096));
    assert_eq!(
        found(&report.errors),
        [("file_too_large".to_owned(), String::new())]
    );
    let largest = fields(1980);
    assert!(largest.to_string().len() > 1_000_000);
    definition(&largest);
    let one = json!({ "type": "text", "validation": rules(4096) });
    definition(&field(one));
    let longer = json!({ "type": "text", "validation": rules(4097) });
    assert_eq!(found(&read(&field(longer)).errors)[0].0, "too_long");
}

#[test]
fn keys_that_differ_by_their_normal_form_only_are_no_keys() {
    let text = "{\"fields\": {\"caf\u{e9}\": {\"type\": \"text\", \"label\": \"a\"},
                 \"cafe\u{301}\": {\"type\": \"text\", \"label\": \"b\"}}}";
    let report = Definition::read(text.as_bytes());
    let codes: Vec<_> = found(&report.errors).into_iter().map(|it| it.0).collect();
    assert_eq!(codes, ["field_key_format", "field_key_format"]);

    let plain = definition(&field(json!({ "type": "text" })));
    let failed = refused(
        &plain,
        &plain.initial_values(),
        &json!({ "K": "x", "\u{212a}": "x", "K\u{301}": "x" }),
    );
    let codes: Vec<_> = failed.iter().map(|it| it.1.as_str()).collect();
    assert_eq!(codes, ["unknown_field", "unknown_field"]);
}

#[test]
fn numbers_of_ten_thousand_digits_are_no_numbers() {
    let digits = "9".repeat(10_000);
    let text = format!(
        "{{\"fields\": {{\"K\": {{\"type\": \"number\", \"label\": \"K\", \"default\": {digits}}}}}}}"
    );
    assert_eq!(first_code(text.as_bytes()), "json_number_range");
    let as_text = field(json!({ "type": "number", "default": digits }));
    assert_eq!(found(&read(&as_text).errors)[0].0, "default_type");

    let number = definition(&field(json!({ "type": "number" })));
    let stored = number.initial_values();
    assert_eq!(
        refused(&number, &stored, &json!({ "K": digits })),
        [failure("/K", "type_number", "type")]
    );
    let body = format!("{{\"K\": {digits}}}");
    let error = Body::read(body.as_bytes(), &number).unwrap_err();
    let BodyError::Syntax(problem) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(problem.code, codes::BAD_JSON);
    // Three hundred digits are still a number.
    let large = put(&number, &stored, &json!({ "K": "9".repeat(300) }));
    assert!(large.value("K").is_set());
    let fraction = format!("0.{}", "1".repeat(10_000));
    let small = put(&number, &stored, &json!({ "K": fraction }));
    assert!(small.value("K").is_set());
    let rules = definition(&field(
        json!({ "type": "number", "validation": "numeric|min:1|multiple_of:3" }),
    ));
    refused(&rules, &rules.initial_values(), &json!({ "K": fraction }));
}

#[test]
fn a_pattern_that_never_ends_matches_nothing() {
    for pattern in ["/^(a+)+$/", "/^(?:(a+)+)\\1$/", "/(x+x+)+y/"] {
        let rules = format!("regex:{pattern}");
        let json = json!({ "type": "text", "validation": rules });
        let definition = definition(&field(json.clone()));
        let endless = format!(
            "{}!",
            "ax".repeat(20) + &"a".repeat(4000) + &"x".repeat(4000)
        );
        let failed = refused(
            &definition,
            &definition.initial_values(),
            &json!({ "K": endless }),
        );
        assert_eq!(failed, [failure("/K", "rule_failed", "regex")]);
        // In a file as well.
        let mut preset = json;
        preset["default"] = json!(endless);
        assert_eq!(found(&read(&field(preset)).errors)[0].0, "default_invalid");
    }
}

#[test]
fn dates_of_far_years_are_judged() {
    let definition = definition(&field(json!({
        "type": "text", "validation": "date_format:Y-m-d|before:2100-01-01"
    })));
    let stored = definition.initial_values();
    for far in [
        "10000-01-01",
        "99999999999-01-01",
        "2024-02-30",
        "-0001-01-01",
    ] {
        refused(&definition, &stored, &json!({ "K": far }));
    }
    put(&definition, &stored, &json!({ "K": "2024-02-29" }));
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_stand() {
    for (bytes, code) in [
        (&b"{\"fields\": {\"A\xc3\x28\": {}}}"[..], "json_encoding"),
        (b"\xff\xfe{\x00}\x00", "json_encoding"),
        (
            b"{\"fields\": {\"A\": {\"label\": \"\\udc00\"}}}",
            "json_syntax",
        ),
        (
            b"{\"fields\": {\"A\": {\"label\": \"\\ud83d\\u0041\"}}}",
            "json_syntax",
        ),
        (
            b"{\"fields\": {\"A\": {\"label\": \"\x00\"}}}",
            "json_syntax",
        ),
        (b"\x00", "json_syntax"),
    ] {
        assert_eq!(
            first_code(bytes),
            code,
            "{}",
            String::from_utf8_lossy(bytes)
        );
        let plain = definition(&json!({ "fields": {} }));
        assert!(Body::read(bytes, &plain).is_err());
    }
}

#[test]
fn ten_thousand_errors_of_any_kind_are_two_hundred_and_one() {
    let many = |one: &str| {
        (0..10_000)
            .map(|i| one.replace('#', &i.to_string()))
            .collect::<Vec<_>>()
            .join(",")
    };
    for text in [
        format!("{{\"fields\": {{{}}}}}", many("\"K#\": 1")),
        format!("{{\"fields\": {{{}}}}}", many("\"K#\": {\"type\": \"x\"}")),
        format!(
            "{{\"fields\": {{}}, \"values\": {{{}}}}}",
            many("\"K#\": 1")
        ),
        format!("{{\"fields\": {{\"K\": {{{}}}}}}}", many("\"k#\": 1")),
        format!(
            "{{\"fields\": {{\"K\": {{\"type\": \"select\", \"label\": \"K\", \"options\": [{}]}}}}}}",
            many("#.5")
        ),
        format!(
            "{{\"fields\": {{\"K\": {{\"type\": \"text\", \"label\": \"K\"}}}}, \"groups\": {{{}}}}}",
            many("\"g#\": {\"a\": 1, \"b\": 2, \"c\": 3}")
        ),
    ] {
        let report = Definition::read(text.as_bytes());
        assert_eq!(report.errors.len(), 201, "{}", &text[..60]);
        assert_eq!(report.errors[200].code, codes::TOO_MANY_ERRORS);
        let offsets: Vec<_> = report.errors[..200].iter().map(|it| it.at.offset).collect();
        assert!(offsets.is_sorted());
        // The same is told again, whatever was left out.
        let again = Definition::read(text.as_bytes());
        assert_eq!(
            report.document("f", Lang::En),
            again.document("f", Lang::En)
        );
    }
}

#[test]
fn texts_of_errors_stay_short() {
    let long = "x".repeat(500_000);
    for json in [
        json!({ "fields": {}, long.clone(): 1 }),
        json!({ "fields": { "K": { "type": long, "label": "K" } } }),
        json!({ "fields": { "K": { "type": "text", "label": "K", "group": long } } }),
        json!({ "fields": {}, "version": long }),
    ] {
        let report = read(&json);
        for issue in &report.errors {
            assert!(issue.text(Lang::En).chars().count() < 2000);
            assert!(issue.text(Lang::ZhCn).chars().count() < 2000);
        }
        assert!(!report.valid());
    }
}
