//! Values that somebody sends: brought into shape, held against the rules, made canonical.

mod body;

use std::collections::HashMap;

use indexmap::IndexMap;
use plugyard_model::{Finding, Lang, Place, Problem, codes};
use plugyard_validation::{Data as _, FieldType, Value as EngineValue};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

pub use body::{BODY_MAX, Body, BodyError, read_object};

use crate::Definition;
use crate::definition::Field;
use crate::judge::{Failure, FailureDocument, Seen, judge};
use crate::read::nearest;
use crate::report::shown;
use crate::shape;
use crate::value::{Entry, MASK, Values};

/// Bytes of UTF-8 of one value.
pub const VALUE_MAX: usize = 64 << 10;

/// What a submission comes to when nothing is wrong with it. Nothing is stored yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Keys whose value changes, in the order of the body. When there are none, there is nothing to store.
    pub updated: Vec<String>,
    /// Other keys that were sent, in the order of the body: the same value again, a secret's mask, or a
    /// value that a rule such as `exclude_if` says does not count.
    pub unchanged: Vec<String>,
    /// What is to be stored of all fields; fields in [`updated`](Self::updated) count as modified.
    pub values: Values,
}

/// What keeps a submission from being stored, all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// By field in the order of the body; fields that only refer to one that was sent come last.
    pub failures: Vec<Failure>,
}

impl Rejected {
    /// The rejection as it is sent.
    pub fn document(&self, lang: Lang) -> RejectedDocument {
        let mut errors: IndexMap<String, Vec<String>> = IndexMap::new();
        for failure in &self.failures {
            errors
                .entry(failure.field.clone())
                .or_default()
                .push(failure.messages.get(lang).to_owned());
        }
        RejectedDocument {
            errors,
            details: self.failures.iter().map(|it| it.document(lang)).collect(),
        }
    }
}

impl From<&Rejected> for Problem {
    /// The code is `validation_failed`; each failure is a finding whose pointer leads into the body and whose text
    /// is the failure's.
    fn from(rejected: &Rejected) -> Self {
        let findings = rejected.failures.iter().map(|failure| {
            let finding = Finding::error(failure.code, Place::pointer("", &failure.path))
                .with("field", &failure.field)
                .saying(failure.messages.texts());
            let finding = match &failure.rule {
                Some(rule) => finding.with("rule", rule),
                None => finding,
            };
            let params = failure.params.iter();
            params.fold(finding, |finding, (name, value)| {
                finding.with(name, shown(value))
            })
        });
        Self::new(codes::VALIDATION_FAILED).with_findings(findings.collect())
    }
}

/// A [`Rejected`] as JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ConfigRejection))]
pub struct RejectedDocument {
    /// Texts by field key, in the language asked for.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::BTreeMap<String, Vec<String>>))]
    pub errors: IndexMap<String, Vec<String>>,
    /// The same with places, codes and parameters.
    pub details: Vec<FailureDocument>,
}

/// What a [`Definition::reset`] comes to. Nothing is stored yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Reset {
    /// The fields that were asked for, in the order of the definition.
    pub reset: Vec<String>,
    /// Those of them whose value or mark of modification changes.
    pub changed: Vec<String>,
    /// What is to be stored of all fields.
    pub values: Values,
}

impl Definition {
    /// Holds what was sent against the definition: partial, but all or nothing.
    ///
    /// Only keys that were sent change. Counted are failures of these fields and of fields whose rules
    /// refer to them; other fields that are incomplete do not stand in the way. Rules see a value as it was
    /// sent, without white space around it; what is stored is its canonical form. `now` is the time in
    /// seconds since 1970, for rules that mention today.
    ///
    /// # Errors
    /// Everything that keeps the submission out.
    pub fn submit(&self, stored: &Values, body: &Body, now: i64) -> Result<Accepted, Rejected> {
        let fields = self.fields();
        let mut failures = Vec::new();
        let mut sent: Vec<Sent<'_>> = Vec::with_capacity(body.entries().len());
        for (key, value) in body.entries() {
            let path = body.pointer(key);
            let Some((key, field)) = fields.get_key_value(key.as_str()) else {
                failures.push(self.unknown_field(key).at(path));
                continue;
            };
            match receive(key, field, value) {
                Ok(what) => sent.push(Sent { key, field, what }),
                Err(failure) => failures.push(failure.at(path)),
            }
        }
        let mut seen = Seen::stored(stored);
        for it in &sent {
            if let What::New(value) = &it.what {
                seen.put(it.key, value.clone());
            }
        }
        let mut values = stored.clone();
        let (mut updated, mut unchanged) = (Vec::new(), Vec::new());
        for it in &sent {
            let What::New(value) = &it.what else {
                unchanged.push(it.key.to_owned());
                continue;
            };
            let judgement = judge(it.key, it.field, &seen, fields, now);
            for broken in &judgement.broken {
                let failure = broken.failure(it.key, fields);
                failures.push(failure.at(body.pointer(it.key)));
            }
            let canonical = shape::canonical(it.field.field_type, &it.field.options, value);
            let canonical = canonical.unwrap_or_default();
            if judgement.excluded || canonical == *stored.value(it.key) {
                unchanged.push(it.key.to_owned());
            } else {
                updated.push(it.key.to_owned());
                let entry = Entry {
                    value: canonical,
                    user_modified: true,
                };
                values.insert(it.key, entry);
            }
        }
        self.judge_dependents(&sent, &seen, body, now, &mut failures);
        if failures.is_empty() {
            Ok(Accepted {
                updated,
                unchanged,
                values,
            })
        } else {
            let order: HashMap<&str, usize> = body
                .entries()
                .iter()
                .map(|entry| entry.0.as_str())
                .zip(0..)
                .collect();
            let place = |failure: &Failure| order.get(failure.field.as_str()).copied();
            failures.sort_by_key(|failure| place(failure).unwrap_or(usize::MAX));
            Err(Rejected { failures })
        }
    }

    /// Fields that were not sent, but whose rules look at one that was.
    fn judge_dependents(
        &self,
        sent: &[Sent<'_>],
        seen: &Seen<'_>,
        body: &Body,
        now: i64,
        failures: &mut Vec<Failure>,
    ) {
        let fields = self.fields();
        let changes = |key: &str| {
            sent.iter()
                .any(|it| it.key == key && matches!(it.what, What::New(_)))
        };
        for (key, field) in fields {
            if sent.iter().any(|it| it.key == key)
                || !field.rules.references().any(changes)
                // Nobody can say what is wrong with a secret that nobody can read.
                || seen.value(key).is_some_and(|value| {
                    field.is_secret() && *value == EngineValue::from(MASK)
                })
            {
                continue;
            }
            for broken in judge(key, field, seen, fields, now).broken {
                failures.push(broken.failure(key, fields).at(body.root().to_owned()));
            }
        }
    }

    /// Puts fields back to what they hold right after an install; all of them, or those of `keys`.
    ///
    /// # Errors
    /// One failure for each key that is no field's; its path is the place in `{"keys": […]}`.
    pub fn reset(&self, stored: &Values, keys: Option<&[String]>) -> Result<Reset, Rejected> {
        let unknown = keys
            .unwrap_or_default()
            .iter()
            .enumerate()
            .filter(|(_, key)| self.field(key).is_none())
            .map(|(index, key)| self.unknown_field(key).at(format!("/keys/{index}")));
        let failures: Vec<Failure> = unknown.collect();
        if !failures.is_empty() {
            return Err(Rejected { failures });
        }
        let mut outcome = Reset {
            reset: Vec::new(),
            changed: Vec::new(),
            values: stored.clone(),
        };
        for (key, field) in self.fields() {
            if keys.is_some_and(|keys| !keys.contains(key)) {
                continue;
            }
            let entry = Entry {
                value: field.initial(),
                user_modified: false,
            };
            if stored.get(key) != Some(&entry) {
                outcome.changed.push(key.clone());
            }
            outcome.values.insert(key.as_str(), entry);
            outcome.reset.push(key.clone());
        }
        Ok(outcome)
    }

    fn unknown_field(&self, key: &str) -> Failure {
        let shown: String = key.chars().take(255).collect();
        let suggestion = nearest(key, self.fields().keys().map(String::as_str));
        let mut params = Map::from_iter([("key".to_owned(), json!(shown))]);
        if let Some(suggestion) = suggestion {
            params.insert("suggestion".to_owned(), json!(suggestion));
        }
        Failure::new(codes::UNKNOWN_FIELD, &shown, &shown, params)
    }
}

/// A value that was sent for a field.
struct Sent<'a> {
    key: &'a str,
    field: &'a Field,
    what: What,
}

/// What a value that was sent means.
enum What {
    /// The secret that is stored, or its absence.
    Same,
    /// A new value, normalised as rules see it.
    New(EngineValue),
}

/// Normalises one value; what is wrong with it whatever the rules say is an error.
fn receive(key: &str, field: &Field, value: &Json) -> Result<What, Box<Failure>> {
    let fail = |code, params| Err(Box::new(Failure::new(code, key, &field.label, params)));
    if value.is_array() || value.is_object() {
        let actual = if value.is_array() { "array" } else { "object" };
        let params = Map::from_iter([
            ("expected".to_owned(), json!("scalar")),
            ("actual".to_owned(), json!(actual)),
        ]);
        return fail(codes::VALUE_TYPE, params);
    }
    if let Some(text) = value.as_str() {
        if text.len() > VALUE_MAX {
            let params = Map::from_iter([
                ("limit".to_owned(), json!(VALUE_MAX)),
                ("actual".to_owned(), json!(text.len())),
            ]);
            return fail(codes::VALUE_TOO_LARGE, params);
        }
        if text.contains('\0') && !field.is_secret() {
            return fail(codes::VALUE_NUL, Map::new());
        }
        // What cannot be read can be kept, by whoever sends back what was shown.
        if field.is_secret() && text == MASK {
            return Ok(What::Same);
        }
    }
    let value = shape::normalised(field.field_type, EngineValue::from_json(value));
    if field.field_type == FieldType::Checkbox {
        return match shape::checkbox(&value) {
            Some(on) => Ok(What::New(EngineValue::from(if on { "1" } else { "0" }))),
            None => fail(codes::TYPE_CHECKBOX, Map::new()),
        };
    }
    Ok(What::New(value))
}
