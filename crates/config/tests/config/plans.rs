//! What a new definition does to stored values.

use plugyard_config::{
    Definition, MASK, ResetReason, Secret, UpgradePlan, Value, Values, differences, plan_upgrade,
};
use plugyard_model::Lang;
use serde_json::{Value as Json, json};

use crate::support::{NOW, definition, put, service};

/// An upgrade of fields, with values that somebody sent before.
fn upgrade(old: &Json, sent: &Json, new: &Json) -> UpgradePlan {
    let (old, new) = (definition(old), definition(new));
    let stored = put(&old, &old.initial_values(), sent);
    plan_upgrade(&old, &new, &stored, NOW)
}

/// One field `K` that changes its type, with a value that somebody sent.
#[track_caller]
fn retyped(old: Json, sent: Json, new: Json) -> UpgradePlan {
    let wrap = |mut field: Json| {
        field["label"] = json!("K");
        json!({ "fields": { "K": field } })
    };
    upgrade(&wrap(old), &json!({ "K": sent }), &wrap(new))
}

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

#[test]
fn modified_values_stay_and_untouched_ones_follow() {
    let mut new = service();
    new["version"] = json!("1.1.0");
    new["fields"]["API_BASE_URL"]["default"] = json!("https://api2.example.com");
    new["fields"]["API_RETRIES"] = json!({ "type": "number", "label": "重试", "default": 3 });
    let mut old = service();
    old["fields"]["OLD"] = json!({ "type": "text", "label": "旧", "default": "x" });
    let plan = upgrade(
        &old,
        &json!({ "API_TIMEOUT": 60, "API_KEY": "sk-0123456789" }),
        &new,
    );
    assert_eq!((plan.from.as_str(), plan.to.as_str()), ("1.0.0", "1.1.0"));
    assert!(!plan.downgrade);
    assert_eq!(plan.added, keys(&["API_RETRIES"]));
    assert_eq!(plan.removed, keys(&["OLD"]));
    assert_eq!(plan.changed, keys(&["API_BASE_URL"]));
    assert_eq!(plan.kept, keys(&["API_KEY", "API_TIMEOUT"]));
    assert_eq!(
        (plan.reset.len(), plan.issues.len(), plan.incomplete.len()),
        (0, 0, 0)
    );
    assert_eq!(*plan.values.value("API_TIMEOUT"), Value::Int(60));
    assert_eq!(*plan.values.value("API_RETRIES"), Value::Int(3));
    assert_eq!(
        *plan.values.value("API_BASE_URL"),
        Value::Text("https://api2.example.com".into())
    );
    assert!(plan.values.get("OLD").is_none());
    assert!(plan.values.user_modified("API_TIMEOUT"));
}

#[test]
fn values_that_break_new_rules_stay_and_are_told() {
    let mut new = service();
    new["version"] = json!("1.1.0");
    new["fields"]["API_TIMEOUT"]["validation"] = json!("integer|min:1|max:50");
    let plan = upgrade(&service(), &json!({ "API_TIMEOUT": 60 }), &new);
    assert_eq!(*plan.values.value("API_TIMEOUT"), Value::Int(60));
    assert_eq!(plan.kept, keys(&["API_TIMEOUT"]));
    let issue = plan.issues[0].issue(Lang::En);
    assert_eq!(
        (issue.key.as_str(), issue.rule.as_str()),
        ("API_TIMEOUT", "max")
    );
    assert_eq!(plan.incomplete[0].field, "API_KEY");
    assert!(!definition(&new).completeness(&plan.values, NOW).is_empty());
}

#[test]
fn values_take_the_form_of_a_new_type_where_they_can() {
    let select = json!({ "type": "select", "options": [{ "value": 1, "label": "a" }, { "value": "x", "label": "b" }] });
    for (old, sent, new, expected) in [
        (
            json!({ "type": "number" }),
            json!(30),
            json!({ "type": "text" }),
            Value::Text("30".into()),
        ),
        (
            json!({ "type": "number" }),
            json!(1.5),
            json!({ "type": "text" }),
            Value::Text("1.5".into()),
        ),
        (
            json!({ "type": "text" }),
            json!("30"),
            json!({ "type": "number" }),
            Value::Int(30),
        ),
        (
            json!({ "type": "checkbox" }),
            json!(true),
            json!({ "type": "text" }),
            Value::Text("1".into()),
        ),
        (
            json!({ "type": "checkbox" }),
            json!(true),
            json!({ "type": "number" }),
            Value::Int(1),
        ),
        (
            json!({ "type": "text" }),
            json!("true"),
            json!({ "type": "checkbox" }),
            Value::Bool(true),
        ),
        (
            json!({ "type": "number" }),
            json!(1),
            json!({ "type": "checkbox" }),
            Value::Bool(true),
        ),
        (
            json!({ "type": "text" }),
            json!("x"),
            select.clone(),
            Value::Text("x".into()),
        ),
        (
            json!({ "type": "text" }),
            json!("1"),
            select.clone(),
            Value::Int(1),
        ),
        (
            select.clone(),
            json!("1"),
            json!({ "type": "text" }),
            Value::Text("1".into()),
        ),
        (
            json!({ "type": "text" }),
            json!("a@b.example"),
            json!({ "type": "email" }),
            Value::Text("a@b.example".into()),
        ),
        (
            json!({ "type": "textarea" }),
            json!("a\n"),
            json!({ "type": "text" }),
            Value::Text("a".into()),
        ),
    ] {
        let plan = retyped(old.clone(), sent.clone(), new.clone());
        assert_eq!(*plan.values.value("K"), expected, "{old} {sent} {new}");
        assert_eq!(plan.kept, keys(&["K"]), "{old} {sent} {new}");
        assert_eq!(plan.reset.len(), 0);
    }
}

#[test]
fn values_without_a_form_in_the_new_type_are_reset() {
    for (old, sent, new, reason) in [
        (
            json!({ "type": "number" }),
            json!(60),
            json!({ "type": "checkbox", "default": true }),
            ResetReason::NotConvertible,
        ),
        (
            json!({ "type": "text" }),
            json!("abc"),
            json!({ "type": "number", "default": 5 }),
            ResetReason::NotConvertible,
        ),
        (
            json!({ "type": "text" }),
            json!("abc"),
            json!({ "type": "url", "default": "https://a.example" }),
            ResetReason::Invalid,
        ),
        (
            json!({ "type": "number" }),
            json!(60),
            json!({ "type": "text", "validation": "max:1", "default": "x" }),
            ResetReason::Invalid,
        ),
        (
            json!({ "type": "password" }),
            json!("s3cret-text"),
            json!({ "type": "text", "default": "y" }),
            ResetReason::Secret,
        ),
    ] {
        let plan = retyped(old.clone(), sent, new.clone());
        assert_eq!(plan.reset.len(), 1, "{old} {new}");
        assert_eq!(plan.reset[0].reason, reason, "{old} {new}");
        let initial = definition(&json!({ "fields": { "K": {
            "type": new["type"], "label": "K", "default": new["default"]
        } } }));
        assert_eq!(plan.values.value("K"), initial.initial_values().value("K"));
        assert!(!plan.values.user_modified("K"));
        assert_eq!(plan.kept.len(), 0);
    }
}

#[test]
fn texts_become_secrets_but_secrets_never_texts() {
    let (text, password) = (json!({ "type": "text" }), json!({ "type": "password" }));
    let plan = retyped(text.clone(), json!("s3cret-text"), password.clone());
    assert_eq!(
        *plan.values.value("K"),
        Value::Secret(Secret::new("s3cret-text"))
    );
    assert_eq!(plan.kept, keys(&["K"]));
    let shown = |plan: &UpgradePlan, field: &Json| {
        let new = definition(&json!({ "fields": { "K": {
            "type": field["type"], "label": "K"
        } } }));
        serde_json::to_string(&plan.document(&new, Lang::En)).unwrap()
    };
    assert!(!shown(&plan, &password).contains("s3cret-text"));
    assert!(shown(&plan, &password).contains(MASK));

    let plan = retyped(password, json!("s3cret-text"), text.clone());
    assert_eq!(*plan.values.value("K"), Value::Null);
    assert!(!format!("{plan:?}{}", shown(&plan, &text)).contains("s3cret-text"));
}

#[test]
fn a_text_that_nobody_touched_becomes_a_secret_unless_there_is_another() {
    let old = |default: Json| json!({ "fields": { "K": { "type": "text", "label": "K", "default": default } } });
    let new = |default: Json| json!({ "fields": { "K": { "type": "password", "label": "K", "default": default } } });
    let plan = upgrade(&old(json!("a")), &json!({}), &new(Json::Null));
    assert_eq!(*plan.values.value("K"), Value::Secret(Secret::new("a")));
    let plan = upgrade(&old(json!("a")), &json!({}), &new(json!("b")));
    assert_eq!(*plan.values.value("K"), Value::Secret(Secret::new("b")));
}

#[test]
fn an_option_that_is_gone_is_kept_and_told() {
    let select = |values: &[&str]| {
        let options: Vec<Json> = values
            .iter()
            .map(|v| json!({ "value": v, "label": v }))
            .collect();
        json!({ "type": "select", "options": options })
    };
    let plan = retyped(select(&["a", "b"]), json!("b"), select(&["a"]));
    assert_eq!(*plan.values.value("K"), Value::Text("b".into()));
    assert_eq!(plan.issues[0].rule.as_deref(), Some("type"));
}

#[test]
fn a_lower_version_is_a_downgrade_with_the_same_table() {
    let mut old = service();
    old["version"] = json!("1.10.0");
    let plan = upgrade(&old, &json!({ "API_TIMEOUT": 60 }), &service());
    assert!(plan.downgrade);
    assert_eq!(plan.kept, keys(&["API_TIMEOUT"]));
}

#[test]
fn nothing_happens_between_equal_definitions() {
    let definition = definition(&service());
    let plan = plan_upgrade(&definition, &definition, &definition.initial_values(), NOW);
    assert!(plan.is_empty());
    let empty = plan_upgrade(&Definition::empty(), &definition, &Values::new(), NOW);
    assert_eq!(empty.added.len(), 3);
    assert_eq!(empty.values, definition.initial_values());
}

#[test]
fn a_plan_is_told_with_reasons_in_the_readers_language() {
    let plan = retyped(
        json!({ "type": "number" }),
        json!(60),
        json!({ "type": "checkbox" }),
    );
    let new = definition(&json!({ "fields": { "K": { "type": "checkbox", "label": "开关" } } }));
    let document = serde_json::to_value(plan.document(&new, Lang::ZhCn)).unwrap();
    assert_eq!(document["reset"][0]["key"], "K");
    assert_eq!(document["reset"][0]["reason"], "not_convertible");
    let message = document["reset"][0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("开关的类型由 number 改为 checkbox"),
        "{message}"
    );
    assert_eq!(
        document["moves"],
        json!([{ "key": "K", "before": 60, "after": null, "gone": false }])
    );
}

#[test]
fn differences_tell_of_secrets_only_that_they_changed() {
    let definition = definition(&service());
    let before = definition.initial_values();
    let after = put(
        &definition,
        &before,
        &json!({ "API_KEY": "sk-0123456789", "API_TIMEOUT": 60 }),
    );
    let told = serde_json::to_value(differences(&before, &after)).unwrap();
    assert_eq!(
        told,
        json!([
            { "key": "API_KEY", "before": null, "after": MASK, "secret": true },
            { "key": "API_TIMEOUT", "before": 30, "after": 60, "secret": false }
        ])
    );
    assert_eq!(differences(&after, &after), []);
}
