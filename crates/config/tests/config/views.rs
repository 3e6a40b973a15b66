//! Configurations as administrators see them.

use plugyard_config::MASK;
use plugyard_model::Lang;
use serde_json::json;

use crate::support::{NOW, definition, notifications, put, service};

#[test]
fn a_view_holds_definition_and_values() {
    let definition = definition(&service());
    let values = definition.initial_values();
    let view = definition.view("DemoPlugin", 3, &values, NOW, Lang::ZhCn);
    let view = serde_json::to_value(view).unwrap();
    assert_eq!(view["plugin"], "DemoPlugin");
    assert_eq!(view["version"], "1.0.0");
    assert_eq!(view["description"], "");
    assert_eq!(view["revision"], 3);
    assert_eq!(view["config_complete"], false);
    assert_eq!(
        view["config_issues"],
        json!([{ "key": "API_KEY", "rule": "required", "message": "API密钥为必填项。" }])
    );
    assert_eq!(
        view["fields"]["API_TIMEOUT"],
        json!({
            "type": "number", "label": "请求超时", "description": "API请求超时时间（秒）",
            "placeholder": null, "required": false, "default": 30,
            "validation": "integer|min:1|max:300", "group": "api", "order": 3, "options": null,
            "value": 30, "is_set": true, "user_modified": false
        })
    );
    assert_eq!(
        view["groups"],
        json!({ "api": {
            "label": "API配置", "description": "第三方API相关配置", "icon": "network", "order": 1
        } })
    );
    let section = &view["configGroups"][0];
    assert_eq!(
        (&section["name"], &section["label"]),
        (&json!("api"), &json!("API配置"))
    );
    assert_eq!(
        section["configItems"][2],
        json!({
            "key": "API_TIMEOUT", "label": "请求超时", "type": "number", "value": 30,
            "defaultValue": 30, "options": [], "description": "API请求超时时间（秒）",
            "group": "api", "order": 3, "required": false,
            "validationRules": "integer|min:1|max:300", "is_readonly": false
        })
    );
}

#[test]
fn views_mask_secrets_and_their_defaults() {
    let mut json = service();
    json["fields"]["API_KEY"]["default"] = json!("sk-0123456789");
    let definition = definition(&json);
    let values = definition.initial_values();
    let view = definition.view("P", 1, &values, NOW, Lang::En);
    let view = serde_json::to_value(view).unwrap();
    assert!(!view.to_string().contains("sk-0123456789"));
    assert_eq!(view["fields"]["API_KEY"]["value"], MASK);
    assert_eq!(view["fields"]["API_KEY"]["default"], json!(null));
    let values = serde_json::to_value(definition.values_view(&values, 1)).unwrap();
    assert_eq!(
        values,
        json!({
            "values": { "API_BASE_URL": "https://api.example.com", "API_KEY": MASK, "API_TIMEOUT": 30 },
            "revision": 1,
            "is_set": { "API_BASE_URL": true, "API_KEY": true, "API_TIMEOUT": true }
        })
    );
}

#[test]
fn values_are_of_their_type() {
    let definition = definition(&notifications());
    let view = definition.values_view(&definition.initial_values(), 1);
    assert_eq!(view.values["ENABLED"], json!(true));
    assert_eq!(view.values["WEBHOOK_URL"], json!(null));
    let off = put(
        &definition,
        &definition.initial_values(),
        &json!({ "ENABLED": "off" }),
    );
    assert_eq!(definition.masked(&off)["ENABLED"], json!(false));
}

#[test]
fn groups_and_fields_are_shown_by_rank_then_by_place() {
    let definition = definition(&json!({
        "fields": {
            "A": { "type": "text", "label": "A", "group": "late", "order": 2 },
            "B": { "type": "text", "label": "B", "group": "late", "order": -1 },
            "C": { "type": "text", "label": "C" },
            "D": { "type": "text", "label": "D", "group": "early" },
            "E": { "type": "text", "label": "E", "group": "late", "order": 2 }
        },
        "groups": {
            "late": { "label": "Late", "order": 5 },
            "early": { "label": "Early", "order": -5 }
        }
    }));
    let shown: Vec<(&str, Vec<&str>)> = definition
        .display(Lang::En)
        .iter()
        .map(|section| {
            (
                section.key,
                section.fields.iter().map(|field| field.0).collect(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("early", vec!["D"]),
            ("general", vec!["C"]),
            ("late", vec!["B", "A", "E"]),
        ]
    );
    let view = definition.view("P", 1, &definition.initial_values(), NOW, Lang::ZhCn);
    let labels: Vec<&str> = view
        .groups
        .values()
        .map(|group| group.label.as_str())
        .collect();
    assert_eq!(labels, ["Late", "Early", "通用"]);
}
