//! What a new definition does to the values that are stored: a merge of three sides.
//!
//! The old definition says what a value was before anybody touched it, the new one what it is from now
//! on, and what is stored says who touched what. Untouched values follow the new definition; touched ones
//! stay, in the new form where the type changed, even when they break a new rule: then the plan says so.

use indexmap::IndexMap;
use plugyard_model::Lang;
use plugyard_validation::{FieldType, Value as EngineValue};
use serde::Serialize;
use serde_json::Value as Json;

use crate::definition::{Definition, Field};
use crate::judge::{ConfigIssue, Failure, Seen, judge};
use crate::report::Messages;
use crate::shape;
use crate::value::{Entry, MASK, Value, Values};
use crate::version::Version;

/// What an upgrade from one definition to another does.
#[derive(Debug, Clone, PartialEq)]
pub struct UpgradePlan {
    /// Version of the definition in force.
    pub from: Version,
    /// Version of the new definition.
    pub to: Version,
    /// Whether the new version is lower; then the upgrade needs to be forced.
    pub downgrade: bool,
    /// Fields that are new, in the order of the new file.
    pub added: Vec<String>,
    /// Fields that are gone, with their values, in the order of the old file.
    pub removed: Vec<String>,
    /// Fields in both whose definition or untouched value changes, in the order of the new file.
    pub changed: Vec<String>,
    /// Fields whose modified value stays, in the order of the new file.
    pub kept: Vec<String>,
    /// Fields whose value is replaced although somebody set it, and why.
    pub reset: Vec<ResetField>,
    /// Rules that kept values break from now on, in the order of the new file.
    pub issues: Vec<Failure>,
    /// Whatever else keeps the configuration from being complete afterwards, such as new fields to fill in.
    pub incomplete: Vec<Failure>,
    /// Every field whose value changes, in the order of the new file, then those that are gone.
    pub moves: Vec<Move>,
    /// What is to be stored of all fields.
    pub values: Values,
}

/// A value that could not be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct ResetField {
    /// Key of the field.
    pub key: String,
    /// Why.
    pub reason: ResetReason,
    /// The type it had.
    pub from: FieldType,
    /// The type it has from now on.
    pub to: FieldType,
}

/// Why a value could not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetReason {
    /// The new type has no form for it.
    NotConvertible,
    /// It has a form in the new type, but breaks a rule.
    Invalid,
    /// It is a secret, and the new type would show it.
    Secret,
}

impl ResetReason {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotConvertible => "not_convertible",
            Self::Invalid => "invalid",
            Self::Secret => "secret",
        }
    }

    fn messages(self, label: &str, from: FieldType, to: FieldType) -> Messages {
        let (from, to) = (from.as_str(), to.as_str());
        let (zh_cn, en) = match self {
            Self::NotConvertible => (
                format!("{label}的类型由 {from} 改为 {to}，原值无法转换，已恢复初始值。"),
                format!(
                    "{label} changes from {from} to {to}; its value has no such form and is reset."
                ),
            ),
            Self::Invalid => (
                format!("{label}的类型由 {from} 改为 {to}，原值不符合新规则，已恢复初始值。"),
                format!(
                    "{label} changes from {from} to {to}; its value breaks the new rules and is reset."
                ),
            ),
            Self::Secret => (
                format!("{label}不再是敏感信息，原值不会公开，已恢复初始值。"),
                format!("{label} is no secret any more; its value is not disclosed but reset."),
            ),
        };
        Messages { zh_cn, en }
    }
}

/// A value that changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Move {
    /// Key of the field.
    pub key: String,
    /// What is stored now.
    pub before: Value,
    /// What is stored afterwards; nothing when the field is gone.
    pub after: Option<Value>,
}

/// Says what becomes of the stored values when `new` takes the place of `old`. Nothing is stored.
///
/// Refusing a [`downgrade`](UpgradePlan::downgrade) is the caller's. `now` is the time in seconds since
/// 1970, for rules that mention today.
pub fn plan_upgrade(old: &Definition, new: &Definition, stored: &Values, now: i64) -> UpgradePlan {
    let mut merge = Merge {
        old,
        new,
        stored,
        values: Values::new(),
        converted: Vec::new(),
        reset: Vec::new(),
    };
    for (key, field) in new.fields() {
        let entry = merge.entry(key, field);
        merge.values.insert(key.as_str(), entry);
    }
    merge.drop_invalid(now);
    let Merge { values, reset, .. } = merge;

    let both = |key: &&String| old.field(key).is_some();
    let kept = |key: &str| {
        old.field(key).is_some()
            && values.user_modified(key)
            && !reset.iter().any(|it| it.key == key)
    };
    let changed = |key: &&String| {
        let moved = values.value(key) != stored.value(key);
        old.field(key)
            .zip(new.field(key))
            .is_some_and(|(old, new)| !same_definition(old, new) || (moved && !kept(key)))
    };
    let (issues, incomplete) = new
        .completeness(&values, now)
        .into_iter()
        .partition(|failure| kept(&failure.field) && values.value(&failure.field).is_set());
    let keys = || new.fields().keys();
    let gone = || old.fields().keys().filter(|key| new.field(key).is_none());
    let moves = keys()
        .filter(|key| values.value(key) != stored.value(key))
        .map(|key| Move {
            key: key.clone(),
            before: stored.value(key).clone(),
            after: Some(values.value(key).clone()),
        })
        .chain(gone().map(|key| Move {
            key: key.clone(),
            before: stored.value(key).clone(),
            after: None,
        }))
        .collect();
    UpgradePlan {
        from: old.version().clone(),
        to: new.version().clone(),
        downgrade: new.version() < old.version(),
        added: keys().filter(|key| !both(key)).cloned().collect(),
        removed: gone().cloned().collect(),
        changed: keys().filter(changed).cloned().collect(),
        kept: keys().filter(|key| kept(key)).cloned().collect(),
        reset,
        issues,
        incomplete,
        moves,
        values,
    }
}

/// The merge under way.
struct Merge<'a> {
    old: &'a Definition,
    new: &'a Definition,
    stored: &'a Values,
    values: Values,
    /// Fields of another type whose value was brought into the new form.
    converted: Vec<String>,
    reset: Vec<ResetField>,
}

impl Merge<'_> {
    /// What a field of the new definition holds.
    fn entry(&mut self, key: &str, field: &Field) -> Entry {
        let initial = || Entry {
            value: field.initial(),
            user_modified: false,
        };
        let (Some(before), Some(stored)) = (self.old.field(key), self.stored.get(key)) else {
            return initial();
        };
        let (from, to) = (before.field_type, field.field_type);
        if from == FieldType::Password && to != FieldType::Password {
            if stored.value.is_set() {
                self.reset_field(key, ResetReason::Secret, from, to);
            }
            return initial();
        }
        if !stored.user_modified {
            let initial = initial();
            // A text that becomes a secret is kept even untouched, when there is nothing else to use.
            if to == FieldType::Password && from != to && !initial.value.is_set() {
                return converted(stored, from, field).unwrap_or(initial);
            }
            return initial;
        }
        if from == to {
            return same_type(stored, field);
        }
        match converted(stored, from, field) {
            Some(entry) => {
                // Secrets stay whatever the rules say: nobody could type them in again from memory.
                if to != FieldType::Password {
                    self.converted.push(key.to_owned());
                }
                entry
            }
            None => {
                self.reset_field(key, ResetReason::NotConvertible, from, to);
                initial()
            }
        }
    }

    /// Resets converted values that the new rules refuse, all of them seen together.
    fn drop_invalid(&mut self, now: i64) {
        let seen = Seen::stored(&self.values);
        let invalid = |key: &String| {
            let field = self.new.field(key)?;
            let before = self.old.field(key)?;
            let judgement = judge(key, field, &seen, self.new.fields(), now);
            (!judgement.broken.is_empty()).then_some((key.clone(), before.field_type, field))
        };
        let dropped: Vec<_> = self.converted.iter().filter_map(invalid).collect();
        drop(seen);
        for (key, from, field) in dropped {
            let entry = Entry {
                value: field.initial(),
                user_modified: false,
            };
            self.reset_field(&key, ResetReason::Invalid, from, field.field_type);
            self.values.insert(key, entry);
        }
        let place = |it: &ResetField| self.new.fields().get_index_of(&it.key);
        self.reset.sort_by_key(place);
    }

    fn reset_field(&mut self, key: &str, reason: ResetReason, from: FieldType, to: FieldType) {
        self.reset.push(ResetField {
            key: key.to_owned(),
            reason,
            from,
            to,
        });
    }
}

/// A modified value of a field that keeps its type: as it is, but the value of an option as it is written
/// from now on.
fn same_type(stored: &Entry, field: &Field) -> Entry {
    let mut entry = stored.clone();
    if field.field_type == FieldType::Select
        && let Some(value) = stored.value.to_engine()
        && let Some(option) = shape::canonical(field.field_type, &field.options, &value)
    {
        entry.value = option;
    }
    entry
}

/// A value in the form of a field of another type; `None` when it has none.
fn converted(stored: &Entry, from: FieldType, field: &Field) -> Option<Entry> {
    let value = match (&stored.value, field.field_type) {
        (Value::Null, _) => Value::Null,
        // A box says 0 or 1, which a text can hold as well.
        (value, to) => {
            let text = value.to_text()?;
            let seen = match (from, to) {
                (_, FieldType::Number) if matches!(value, Value::Int(_) | Value::Float(_)) => {
                    value.to_engine()?
                }
                _ => EngineValue::Text(text.into_owned()),
            };
            let seen = shape::normalised(to, seen);
            shape::canonical(to, &field.options, &seen)?
        }
    };
    Some(Entry {
        value,
        user_modified: stored.user_modified,
    })
}

/// Whether two fields are defined the same, secrets that they are shipped with included.
fn same_definition(old: &Field, new: &Field) -> bool {
    old.field_type == new.field_type
        && old.label == new.label
        && old.description == new.description
        && old.placeholder == new.placeholder
        && old.required == new.required
        && old.validation == new.validation
        && old.group == new.group
        && old.order == new.order
        && old.options == new.options
        && old.default_value() == new.default_value()
        && old.initial() == new.initial()
}

impl UpgradePlan {
    /// Whether neither definitions nor values change.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.changed.is_empty()
            && self.reset.is_empty()
            && self.moves.is_empty()
    }

    /// The plan as it is sent; secrets are masked. Labels are those of the new definition.
    pub fn document(&self, new: &Definition, lang: Lang) -> UpgradeDocument {
        let reset = self.reset.iter().map(|it| {
            let label = new.field(&it.key).map_or(it.key.as_str(), |it| &it.label);
            let messages = it.reason.messages(label, it.from, it.to);
            ResetDocument {
                key: it.key.clone(),
                reason: it.reason.as_str().to_owned(),
                from_type: it.from.as_str().to_owned(),
                to_type: it.to.as_str().to_owned(),
                message: messages.get(lang).to_owned(),
                messages,
            }
        });
        let moves = self.moves.iter().map(|it| MoveDocument {
            key: it.key.clone(),
            before: masked(&it.before, it.after.as_ref().is_some_and(is_secret)),
            after: it.after.as_ref().map(Value::to_json).unwrap_or_default(),
            gone: it.after.is_none(),
        });
        UpgradeDocument {
            from: self.from.as_str().to_owned(),
            to: self.to.as_str().to_owned(),
            downgrade: self.downgrade,
            added: self.added.clone(),
            removed: self.removed.clone(),
            changed: self.changed.clone(),
            kept: self.kept.clone(),
            reset: reset.collect(),
            issues: self.issues.iter().map(|it| it.issue(lang)).collect(),
            incomplete: self.incomplete.iter().map(|it| it.issue(lang)).collect(),
            moves: moves.collect(),
        }
    }
}

/// An [`UpgradePlan`] as JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ConfigUpgradePlan))]
pub struct UpgradeDocument {
    /// Version of the definition in force.
    pub from: String,
    /// Version of the new definition.
    pub to: String,
    /// Whether the new version is lower.
    pub downgrade: bool,
    /// Fields that are new.
    pub added: Vec<String>,
    /// Fields that are gone, with their values.
    pub removed: Vec<String>,
    /// Fields whose definition or untouched value changes.
    pub changed: Vec<String>,
    /// Fields whose modified value stays.
    pub kept: Vec<String>,
    /// Fields whose modified value cannot stay.
    pub reset: Vec<ResetDocument>,
    /// Rules that kept values break from now on.
    pub issues: Vec<ConfigIssue>,
    /// Whatever else is incomplete afterwards.
    pub incomplete: Vec<ConfigIssue>,
    /// Values that change, secrets masked.
    pub moves: Vec<MoveDocument>,
}

/// A [`ResetField`] as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ConfigResetField))]
pub struct ResetDocument {
    /// Key of the field.
    pub key: String,
    /// `not_convertible`, `invalid` or `secret`.
    pub reason: String,
    /// The type it had.
    pub from_type: String,
    /// The type it has from now on.
    pub to_type: String,
    /// The reason in the language asked for.
    pub message: String,
    /// The reason in every language.
    pub messages: Messages,
}

/// A [`Move`] as JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ConfigMove))]
pub struct MoveDocument {
    /// Key of the field.
    pub key: String,
    /// What is stored now, masked.
    pub before: Json,
    /// What is stored afterwards, masked.
    pub after: Json,
    /// Whether the field is gone.
    pub gone: bool,
}

/// A change of one value between two revisions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ConfigDifference))]
pub struct Difference {
    /// Key of the field.
    pub key: String,
    /// What was stored, masked; null when nothing was.
    pub before: Json,
    /// What is stored, masked; null when nothing is.
    pub after: Json,
    /// Whether it is a secret, of which only the change itself is told.
    pub secret: bool,
}

/// The values that differ between two revisions, by key.
pub fn differences(before: &Values, after: &Values) -> Vec<Difference> {
    let mut keys: IndexMap<&str, ()> = before.iter().map(|(key, _)| (key, ())).collect();
    keys.extend(after.iter().map(|(key, _)| (key, ())));
    keys.sort_unstable_keys();
    keys.keys()
        .map(|key| (key, before.value(key), after.value(key)))
        .filter(|(_, before, after)| before != after)
        .map(|(key, before, after)| {
            let secret = is_secret(before) || is_secret(after);
            Difference {
                key: (*key).to_owned(),
                before: masked(before, secret),
                after: masked(after, secret),
                secret,
            }
        })
        .collect()
}

fn is_secret(value: &Value) -> bool {
    matches!(value, Value::Secret(_) | Value::Unreadable)
}

/// A value as shown; masked also when it is or was a secret on the other side of a change.
fn masked(value: &Value, secret: bool) -> Json {
    if secret && value.is_set() {
        Json::from(MASK)
    } else {
        value.to_json()
    }
}
