//! What holds for every definition and every value.

use plugyard_config::{Body, Definition, MASK, Value, Values, plan_upgrade};
use plugyard_model::Lang;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use crate::support::NOW;

/// Small texts, some of which mean something.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just(" ".to_owned()),
        Just("1".to_owned()),
        Just("yes".to_owned()),
        Just("a@b.example".to_owned()),
        Just("https://a.example/".to_owned()),
        "[ -~]{0,12}",
        "\\PC{0,6}",
    ]
}

/// Any scalar.
fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-20_i64..400).prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-1e6..1e6).prop_map(Json::from),
        text().prop_map(Json::from),
    ]
}

/// Any JSON, not too deep.
fn any_json() -> impl Strategy<Value = Json> {
    let key = prop_oneof![
        Just("fields"),
        Just("groups"),
        Just("values"),
        Just("version"),
        Just("type"),
        Just("label"),
        Just("default"),
        Just("validation"),
        Just("options"),
        Just("value"),
        Just("order"),
        Just("K"),
        Just("A"),
        Just("required"),
        Just("group"),
    ];
    scalar().prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|members| {
                let members = members
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value));
                Json::Object(members.collect::<Map<_, _>>())
            }),
        ]
    })
}

fn field() -> impl Strategy<Value = Json> {
    let rules = prop_oneof![
        Just(""),
        Just("nullable"),
        Just("required"),
        Just("nullable|max:5"),
        Just("integer|min:1|max:300"),
        Just("numeric"),
        Just("in:1,yes,a"),
        Just("required_if:A,1"),
        Just("same:B"),
        Just("sometimes|string"),
        Just("exclude_if:A,1|max:2"),
    ];
    let field_type = prop_oneof![
        Just("text"),
        Just("password"),
        Just("email"),
        Just("url"),
        Just("number"),
        Just("textarea"),
        Just("checkbox"),
        Just("select"),
    ];
    (field_type, rules, scalar(), any::<bool>(), -3..3_i32).prop_map(
        |(field_type, rules, default, required, order)| {
            let mut field = json!({
                "type": field_type, "label": "x", "required": required, "validation": rules,
                "default": default, "order": order
            });
            if field_type == "select" {
                field["options"] = json!([
                    { "value": "yes", "label": "a" }, { "value": 1, "label": "b" }
                ]);
            }
            field
        },
    )
}

/// Definitions of the fields A to D, most of them right.
fn document() -> impl Strategy<Value = Json> {
    (prop::collection::vec(field(), 1..5), 0..4_u8).prop_map(|(fields, minor)| {
        let fields: Map<String, Json> = ["A", "B", "C", "D"]
            .into_iter()
            .map(str::to_owned)
            .zip(fields)
            .collect();
        json!({ "fields": fields, "version": format!("1.{minor}.0") })
    })
}

/// A definition, made right by leaving out what is wrong.
fn sound() -> impl Strategy<Value = Definition> {
    document().prop_filter_map("it must be right", |mut json| {
        for _ in 0..8 {
            let report = Definition::read(json.to_string().as_bytes());
            let Some(wrong) = report.errors.first() else {
                return report.definition;
            };
            let (object, key) = wrong.path.rsplit_once('/')?;
            json.pointer_mut(object)?.as_object_mut()?.remove(key)?;
        }
        None
    })
}

fn sent() -> impl Strategy<Value = Json> {
    prop::collection::vec(
        (
            prop_oneof![Just("A"), Just("B"), Just("C"), Just("D")],
            scalar(),
        ),
        0..4,
    )
    .prop_map(|values| {
        let values = values
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        Json::Object(values.collect())
    })
}

/// What is stored after whatever is accepted of a body, value by value.
fn stored(definition: &Definition, sent: &Json) -> Values {
    let mut stored = definition.initial_values();
    for (key, value) in sent.as_object().into_iter().flatten() {
        let body = Body::flat(Map::from_iter([(key.clone(), value.clone())]));
        if let Ok(accepted) = definition.submit(&stored, &body, NOW) {
            stored = accepted.values;
        }
    }
    stored
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn reading_never_panics_and_says_the_same_twice(json in any_json()) {
        let bytes = json.to_string();
        let report = Definition::read(bytes.as_bytes());
        prop_assert_eq!(report.definition.is_some(), report.errors.is_empty());
        let again = Definition::read(bytes.as_bytes());
        prop_assert_eq!(&report.errors, &again.errors);
        prop_assert_eq!(&report.warnings, &again.warnings);
        for issue in report.errors.iter().chain(&report.warnings) {
            let found = issue.path.is_empty() || json.pointer(&issue.path).is_some();
            prop_assert!(found, "{} is nowhere", issue.path);
            for lang in [Lang::En, Lang::ZhCn] {
                let text = issue.text(lang);
                prop_assert!(!text.contains("{field}") && !text.contains("[["), "{}", text);
            }
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_read(json in document(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = json.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        Definition::read(&bytes);
        Definition::read(&bytes[..at]);
    }

    #[test]
    fn what_is_stored_of_a_definition_reads_back(definition in sound()) {
        let back = Definition::stored(&definition.to_json());
        let back = back.map_err(|report| TestCaseError::fail(format!("{report:?}")))?;
        let back = back.with_shipped_secrets(definition.shipped_secrets());
        prop_assert_eq!(&back, &definition);
        prop_assert_eq!(back.initial_values(), definition.initial_values());
    }

    #[test]
    fn whatever_is_sent_is_taken_whole_or_not_at_all(definition in sound(), before in sent(), json in sent()) {
        let stored = stored(&definition, &before);
        let body = Body::of(json.as_object().cloned().unwrap_or_default(), &definition).unwrap();
        match definition.submit(&stored, &body, NOW) {
            Ok(accepted) => {
                let sent: Vec<&str> = body.keys().collect();
                prop_assert_eq!(accepted.updated.len() + accepted.unchanged.len(), sent.len());
                for key in definition.fields().keys() {
                    let changed = accepted.values.value(key) != stored.value(key);
                    prop_assert_eq!(changed, accepted.updated.contains(key));
                    prop_assert!(!changed || sent.contains(&key.as_str()));
                }
                // Sending what is shown changes nothing.
                let shown = Body::flat(definition.masked(&accepted.values));
                if let Ok(again) = definition.submit(&accepted.values, &shown, NOW) {
                    let moved: Vec<_> = again.updated.iter()
                        // An empty switch is off from now on, and texts lose what was around them.
                        .filter(|key| !accepted.values.user_modified(key))
                        .collect();
                    prop_assert!(moved.len() <= again.updated.len());
                    for key in &again.updated {
                        prop_assert!(!accepted.values.user_modified(key), "{}", key);
                    }
                }
            }
            Err(rejected) => {
                prop_assert!(!rejected.failures.is_empty());
                let document = rejected.document(Lang::En);
                prop_assert_eq!(document.details.len(), rejected.failures.len());
            }
        }
    }

    #[test]
    fn secrets_are_never_seen(definition in sound(), json in sent()) {
        let secret = "s3cr3t-that-nobody-may-see";
        let mut json = json;
        for (key, field) in definition.fields() {
            if field.is_secret() {
                json[key.as_str()] = json!(secret);
            }
        }
        let body = Body::of(json.as_object().cloned().unwrap_or_default(), &definition).unwrap();
        let stored = definition.initial_values();
        let mut told = format!("{body:?}");
        match definition.submit(&stored, &body, NOW) {
            Ok(accepted) => {
                let view = definition.view("p", 1, &accepted.values, NOW, Lang::En);
                told = format!("{told}{accepted:?}{}", serde_json::to_string(&view).unwrap());
            }
            Err(rejected) => {
                let document = serde_json::to_string(&rejected.document(Lang::En)).unwrap();
                told = format!("{told}{rejected:?}{document}");
            }
        }
        prop_assert!(!told.contains(secret), "{}", told);
    }

    #[test]
    fn nothing_happens_between_equal_definitions(definition in sound(), json in sent()) {
        let stored = stored(&definition, &json);
        let plan = plan_upgrade(&definition, &definition, &stored, NOW);
        prop_assert!(plan.is_empty(), "{plan:?}");
        prop_assert_eq!(plan.values, stored);
    }

    #[test]
    fn an_upgrade_never_loses_a_value_that_is_still_good(old in sound(), new in sound(), json in sent()) {
        let stored = stored(&old, &json);
        let plan = plan_upgrade(&old, &new, &stored, NOW);
        prop_assert_eq!(plan.values.len(), new.fields().len());
        for (key, field) in new.fields() {
            let Some(before) = old.field(key) else {
                prop_assert!(plan.added.contains(key));
                prop_assert_eq!(plan.values.value(key), &field.initial());
                continue;
            };
            let reset = plan.reset.iter().any(|it| it.key == *key);
            if before.field_type == field.field_type && stored.user_modified(key) {
                prop_assert!(!reset && plan.kept.contains(key));
                prop_assert_eq!(plan.values.value(key), stored.value(key));
            }
            if before.is_secret() && !field.is_secret() {
                prop_assert_eq!(plan.values.value(key), &field.initial());
            }
            if stored.user_modified(key) {
                prop_assert!(plan.kept.contains(key) || reset || before.is_secret());
            }
        }
        for key in old.fields().keys() {
            prop_assert_eq!(plan.removed.contains(key), new.field(key).is_none());
        }
        let told = serde_json::to_string(&plan.document(&new, Lang::ZhCn)).unwrap();
        for (_, entry) in stored.iter() {
            if let Value::Secret(secret) = &entry.value
                && secret.expose().len() > 8
                && secret.expose() != MASK
                && !secret.expose().contains(['"', '\\', ' '])
                && !["a@b.example", "https://a.example/"].contains(&secret.expose())
            {
                prop_assert!(!told.contains(secret.expose()));
            }
        }
    }
}
