//! The definitions that tests are about, and the words to say what became of them.

use plugyard_config::{Accepted, Body, Definition, Rejected, Report, Values};
use serde_json::{Value as Json, json};

/// 2026-01-02 03:04:05 UTC.
pub(crate) const NOW: i64 = 1_767_323_045;

/// A client of some service: address, secret, timeout.
pub(crate) fn service() -> Json {
    json!({
        "version": "1.0.0",
        "last_updated": "2025-09-01",
        "fields": {
            "API_BASE_URL": {
                "type": "url", "label": "API地址", "description": "API服务的基础URL",
                "required": true, "default": "https://api.example.com",
                "validation": "required|url", "group": "api", "order": 1
            },
            "API_KEY": {
                "type": "password", "label": "API密钥", "required": true,
                "validation": "required|string|min:10", "group": "api", "order": 2
            },
            "API_TIMEOUT": {
                "type": "number", "label": "请求超时", "description": "API请求超时时间（秒）",
                "required": false, "default": "30",
                "validation": "integer|min:1|max:300", "group": "api", "order": 3
            }
        },
        "groups": {
            "api": {
                "label": "API配置", "description": "第三方API相关配置", "icon": "network", "order": 1
            }
        },
        "values": { "API_BASE_URL": "", "API_KEY": "", "API_TIMEOUT": 30 }
    })
}

/// Notifications: a switch, a choice, an address that may be empty.
pub(crate) fn notifications() -> Json {
    json!({
        "fields": {
            "ENABLED": { "type": "checkbox", "label": "启用", "default": "1" },
            "NOTIFICATION_TYPE": {
                "type": "select", "label": "通知方式", "default": "email",
                "options": [
                    { "value": "email", "label": "邮件" },
                    { "value": "webhook", "label": "Webhook" },
                    { "value": "both", "label": "两者" }
                ]
            },
            "WEBHOOK_URL": {
                "type": "url", "label": "Webhook地址", "validation": "nullable|url"
            }
        }
    })
}

/// One field `K` with a label.
pub(crate) fn field(field: Json) -> Json {
    let mut field = field;
    if field.get("label").is_none() {
        field["label"] = json!("K");
    }
    json!({ "fields": { "K": field } })
}

pub(crate) fn read(json: &Json) -> Report {
    Definition::read(json.to_string().as_bytes())
}

#[track_caller]
pub(crate) fn definition(json: &Json) -> Definition {
    let report = read(json);
    assert_eq!(found(&report.errors), [], "no errors are expected");
    report
        .definition
        .expect("what has no errors is a definition")
}

/// Issues as code and path.
pub(crate) fn found(issues: &[plugyard_config::Issue]) -> Vec<(String, String)> {
    issues
        .iter()
        .map(|issue| (issue.code.as_str().to_owned(), issue.path.clone()))
        .collect()
}

/// The errors of a definition as code and path.
#[track_caller]
pub(crate) fn errors(json: &Json, expected: &[(&str, &str)]) {
    assert_found(&read(json).errors, expected);
}

/// The warnings of a definition that has no errors, as code and path.
#[track_caller]
pub(crate) fn warnings(json: &Json, expected: &[(&str, &str)]) {
    let report = read(json);
    assert_found(&report.errors, &[]);
    assert_found(&report.warnings, expected);
}

#[track_caller]
fn assert_found(issues: &[plugyard_config::Issue], expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(code, path)| ((*code).to_owned(), (*path).to_owned()))
        .collect();
    assert_eq!(found(issues), expected, "{issues:#?}");
}

pub(crate) fn body(definition: &Definition, json: &Json) -> Body {
    Body::read(json.to_string().as_bytes(), definition).expect("it is an object")
}

pub(crate) fn submit(
    definition: &Definition,
    stored: &Values,
    json: &Json,
) -> Result<Accepted, Rejected> {
    definition.submit(stored, &body(definition, json), NOW)
}

/// What is stored after values were taken in.
#[track_caller]
pub(crate) fn put(definition: &Definition, stored: &Values, json: &Json) -> Values {
    submit(definition, stored, json)
        .unwrap_or_else(|rejected| panic!("{:#?}", rejected.failures))
        .values
}

/// What values fail with: path, code, and rule.
#[track_caller]
pub(crate) fn refused(
    definition: &Definition,
    stored: &Values,
    json: &Json,
) -> Vec<(String, String, String)> {
    let rejected = submit(definition, stored, json).expect_err("it must not be taken");
    rejected
        .failures
        .iter()
        .map(|failure| {
            (
                failure.path.clone(),
                failure.code.as_str().to_owned(),
                failure.rule.clone().unwrap_or_default(),
            )
        })
        .collect()
}

/// Three texts, for comparing with [`refused`].
pub(crate) fn failure(path: &str, code: &str, rule: &str) -> (String, String, String) {
    (path.to_owned(), code.to_owned(), rule.to_owned())
}
