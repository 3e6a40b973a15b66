//! The published JSON Schema and the reader agree about structure.

use plugyard_config::{Definition, SCHEMA};
use serde_json::{Value as Json, json};

use crate::support::{field, notifications, service};

/// Codes of what a schema can see. Everything else needs references, rules or the text itself.
const STRUCTURE: [&str; 18] = [
    "unknown_key",
    "required_key_missing",
    "wrong_type",
    "blank",
    "too_long",
    "too_many",
    "out_of_range",
    "version_format",
    "icon_format",
    "field_key_format",
    "group_key_format",
    "field_type_unsupported",
    "validation_type",
    "options_missing",
    "options_type",
    "options_empty",
    "options_not_allowed",
    "default_type",
];

fn samples() -> Vec<Json> {
    let mut samples = vec![
        service(),
        notifications(),
        json!({}),
        json!({ "fields": {} }),
        json!({ "fields": [] }),
        json!({ "fields": null }),
        json!({ "fields": {}, "other": 1 }),
        json!({ "fields": {}, "$schema": "x" }),
        json!({ "fields": {}, "$schema": 1 }),
        json!({ "fields": {}, "values": { "1": null } }),
        json!({ "fields": {}, "values": [] }),
        json!({ "fields": {}, "groups": { "a-b": { "label": "x" } } }),
        json!({ "fields": {}, "groups": { "-a": { "label": "x" } } }),
        json!({ "fields": {}, "groups": { "a": {} } }),
        json!({ "fields": {}, "groups": { "a": { "label": "x", "icon": "A" } } }),
        json!({ "fields": {}, "groups": { "a": { "label": "x", "icon": "a9-_" } } }),
        json!({ "fields": {}, "groups": { "a": { "label": "x", "order": 1e6 } } }),
        json!({ "fields": {}, "groups": { "a": { "label": "x", "order": 1_000_001 } } }),
        json!({ "fields": {}, "groups": { "a": { "label": "x", "extra": 1 } } }),
        json!({ "fields": { "_": { "type": "text", "label": "x" } } }),
        json!({ "fields": { "": { "type": "text", "label": "x" } } }),
        json!({ "fields": { "9": { "type": "text", "label": "x" } } }),
        json!({ "fields": { "a.b": { "type": "text", "label": "x" } } }),
        json!({ "fields": { "a".repeat(64): { "type": "text", "label": "x" } } }),
        json!({ "fields": { "a".repeat(65): { "type": "text", "label": "x" } } }),
        json!({ "fields": { "K": 1 } }),
        json!({ "fields": { "K": { "type": "text" } } }),
        json!({ "fields": { "K": { "label": "x" } } }),
        json!({ "fields": { "K": { "label": "x", "options": [] } } }),
    ];
    for version in [
        "1.0.0",
        "1.0",
        "1.0.0-a",
        "1.0.0-",
        "01.0.0",
        "1.0.0-a+b",
        "1.0.0+a+b",
        "1.0.0-01",
    ] {
        samples.push(json!({ "fields": {}, "version": version }));
    }
    samples.extend(values().into_iter().flat_map(placed));
    samples
}

/// Values that some key takes and others do not.
fn values() -> Vec<Json> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(2),
        json!(1.0),
        json!(1.5),
        json!("a"),
        json!(""),
        json!(" "),
        json!("1"),
        json!("1.5e3"),
        json!(" 7\t"),
        json!("YES"),
        json!("x".repeat(256)),
        json!("x".repeat(1001)),
        json!("x".repeat(4001)),
        json!("x".repeat(4097)),
        json!([]),
        json!({}),
        json!(-1_000_001),
        json!("a b"),
        json!([{ "value": "a", "label": "A" }]),
        json!([{ "value": 1 }]),
        json!([{ "value": 1.0, "label": "A" }]),
        json!([{ "value": 1.5, "label": "A" }]),
        json!([{ "value": null, "label": "A" }]),
        json!([{ "value": "", "label": " " }]),
        json!([{ "value": "a", "label": "A", "x": 1 }]),
        json!([1]),
        json!([{ "value": "x".repeat(256), "label": "A" }]),
    ]
}

/// Definitions that have the value in one place each.
fn placed(value: Json) -> Vec<Json> {
    let mut samples = Vec::new();
    for key in [
        "label",
        "description",
        "placeholder",
        "required",
        "validation",
        "group",
        "order",
        "options",
        "type",
        "extra",
    ] {
        for field_type in ["text", "select"] {
            let mut sample = field(json!({ "type": field_type }));
            if field_type == "select" {
                sample["fields"]["K"]["options"] = json!([{ "value": "a", "label": "A" }]);
            }
            sample["fields"]["K"][key] = value.clone();
            samples.push(sample);
        }
    }
    for field_type in [
        "text", "password", "textarea", "email", "url", "number", "checkbox",
    ] {
        samples.push(field(json!({ "type": field_type, "default": value })));
    }
    let mut select = field(json!({ "type": "select", "default": value }));
    select["fields"]["K"]["options"] = json!([{ "value": "a", "label": "A" }]);
    samples.push(select);
    samples
}

#[test]
fn schema_and_reader_agree_about_structure() {
    let schema: Json = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::draft202012::new(&schema).expect("it is a schema");
    let samples = samples();
    assert!(samples.len() > 500);
    let mut refused = 0;
    for sample in samples {
        let report = Definition::read(sample.to_string().as_bytes());
        let structural = report
            .errors
            .iter()
            .find(|issue| STRUCTURE.contains(&issue.code.as_str()));
        assert_eq!(
            validator.is_valid(&sample),
            structural.is_none(),
            "{sample}\n{structural:?}\n{:?}",
            validator.iter_errors(&sample).next()
        );
        refused += usize::from(structural.is_some());
    }
    assert!(refused > 200, "{refused}");
}

#[test]
fn what_is_stored_of_a_definition_follows_the_schema() {
    let schema: Json = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::draft202012::new(&schema).expect("it is a schema");
    for json in [service(), notifications()] {
        let stored = crate::support::definition(&json).to_json();
        assert!(validator.is_valid(&stored), "{stored}");
    }
}
