//! A definition that was read and found right: fields, groups, defaults, compiled rules.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use plugyard_model::Lang;
use plugyard_validation::{FieldType, Value as EngineValue, is_blank};
use serde_json::{Map, Value as Json, json};

use crate::rules::Rules;
use crate::value::{Entry, Secret, Value, Values};
use crate::version::Version;
use crate::{Report, read, shape};

/// The group of fields that name none; it exists even where a file does not define it.
pub const GENERAL: &str = "general";

/// What a `config.json` defines. Cheap to clone; holds the rules compiled, so keep it rather than
/// read it again for each value.
#[derive(Clone)]
pub struct Definition(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) version: Version,
    pub(crate) last_updated: Option<String>,
    pub(crate) description: String,
    pub(crate) fields: IndexMap<String, Field>,
    pub(crate) groups: IndexMap<String, Group>,
}

/// One setting.
#[derive(Clone)]
pub struct Field {
    /// Its type.
    pub field_type: FieldType,
    /// What people read.
    pub label: String,
    /// A sentence about it.
    pub description: Option<String>,
    /// An example shown in the empty input.
    pub placeholder: Option<String>,
    /// Whether the file says that it must be filled in; rules may say so too.
    pub required: bool,
    /// The rule string as written.
    pub validation: Option<String>,
    /// The key of its group.
    pub group: String,
    /// Its rank in the group.
    pub order: i32,
    /// What can be chosen, for a `select`.
    pub options: Vec<Choice>,
    /// `default` as written; `Null` without one.
    pub(crate) default: EngineValue,
    /// The entry in `values` as written; `Null` without one.
    pub(crate) preset: EngineValue,
    pub(crate) rules: Rules,
}

impl Field {
    /// The canonical form of `default`; [`Value::Null`] when there is none.
    pub fn default_value(&self) -> Value {
        self.canonical(&self.default)
    }

    /// What the field holds right after an install: the preset value, else the default, else nothing.
    pub fn initial(&self) -> Value {
        match self.canonical(&self.preset) {
            Value::Null => self.default_value(),
            preset => preset,
        }
    }

    /// Whether it holds a secret.
    pub fn is_secret(&self) -> bool {
        self.field_type == FieldType::Password
    }

    fn canonical(&self, source: &EngineValue) -> Value {
        match source {
            EngineValue::Null => Value::Null,
            EngineValue::Text(text) if is_blank(text) => Value::Null,
            source => shape::canonical(self.field_type, &self.options, source).unwrap_or_default(),
        }
    }
}

/// Without what it is preset to, which may be a secret.
impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field")
            .field("type", &self.field_type)
            .field("label", &self.label)
            .field("validation", &self.validation)
            .finish_non_exhaustive()
    }
}

/// Something a `select` can be set to.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The value: [`Value::Text`] or [`Value::Int`].
    pub value: Value,
    /// What people read.
    pub label: String,
}

impl Choice {
    /// The string form of the value.
    pub fn text(&self) -> String {
        match &self.value {
            Value::Int(value) => value.to_string(),
            Value::Text(text) => text.clone(),
            _ => String::new(),
        }
    }
}

/// A heading over fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What people read.
    pub label: String,
    /// A sentence about it.
    pub description: Option<String>,
    /// Name of an icon.
    pub icon: Option<String>,
    /// Its rank.
    pub order: i32,
}

impl Group {
    /// The group [`GENERAL`] of files that do not define it.
    pub fn general(lang: Lang) -> Self {
        let label = match lang {
            Lang::En => "General",
            Lang::ZhCn => "通用",
        };
        Self {
            label: label.to_owned(),
            description: None,
            icon: Some("settings".to_owned()),
            order: 0,
        }
    }
}

impl Definition {
    /// Reads and checks the bytes of a `config.json`; everything wrong with it is in the report.
    pub fn read(bytes: &[u8]) -> Report {
        read::read(bytes, read::Purpose::Accept)
    }

    /// Reads what [`to_json`](Self::to_json) wrote of a definition that was accepted before.
    ///
    /// Defaults and preset values are not held against the rules again: that was done when it was
    /// accepted, when secrets that it was shipped with were still there.
    ///
    /// # Errors
    /// The report, when it does not have the form of a definition.
    pub fn stored(json: &Json) -> Result<Self, Report> {
        let mut report = read::read(json.to_string().as_bytes(), read::Purpose::Restore);
        report.definition.take().ok_or(report)
    }

    /// The definition of a plugin without a `config.json`.
    pub fn empty() -> Self {
        Self::new(Inner {
            version: Version::default(),
            last_updated: None,
            description: String::new(),
            fields: IndexMap::new(),
            groups: IndexMap::new(),
        })
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The version of the definition; `1.0.0` when the file names none.
    pub fn version(&self) -> &Version {
        &self.0.version
    }

    /// When its author says it was last changed, as `YYYY-MM-DD`.
    pub fn last_updated(&self) -> Option<&str> {
        self.0.last_updated.as_deref()
    }

    /// What its author says about it; may be empty.
    pub fn description(&self) -> &str {
        &self.0.description
    }

    /// Every field by its key, in the order of the file.
    pub fn fields(&self) -> &IndexMap<String, Field> {
        &self.0.fields
    }

    /// The field of a key.
    pub fn field(&self, key: &str) -> Option<&Field> {
        self.0.fields.get(key)
    }

    /// Every group that the file defines by its key, in the order of the file.
    pub fn groups(&self) -> &IndexMap<String, Group> {
        &self.0.groups
    }

    /// Groups with their fields in the order in which they are shown: both by rank, then by place in the
    /// file. [`GENERAL`] is among them when a field is in it, before others of its rank unless the file
    /// defines it.
    pub fn display(&self, lang: Lang) -> Vec<Section<'_>> {
        let mut sections: Vec<Section<'_>> = Vec::with_capacity(self.0.groups.len() + 1);
        if !self.0.groups.contains_key(GENERAL)
            && self.0.fields.values().any(|field| field.group == GENERAL)
        {
            sections.push(Section::new(GENERAL, Group::general(lang)));
        }
        for (key, group) in &self.0.groups {
            sections.push(Section::new(key, group.clone()));
        }
        sections.sort_by_key(|section| section.group.order);
        for section in &mut sections {
            let fields = self.0.fields.iter();
            section.fields = fields
                .filter(|(_, field)| field.group == section.key)
                .map(|(key, field)| (key.as_str(), field))
                .collect();
            section.fields.sort_by_key(|(_, field)| field.order);
        }
        sections
    }

    /// What every field holds right after an install.
    pub fn initial_values(&self) -> Values {
        self.0
            .fields
            .iter()
            .map(|(key, field)| {
                let entry = Entry {
                    value: field.initial(),
                    user_modified: false,
                };
                (key.clone(), entry)
            })
            .collect()
    }

    /// The definition in normal form, to be stored and read with [`stored`](Self::stored).
    ///
    /// Secrets that the file was shipped with are left out; see [`shipped_secrets`](Self::shipped_secrets).
    pub fn to_json(&self) -> Json {
        let fields: Map<String, Json> = self
            .0
            .fields
            .iter()
            .map(|(key, field)| (key.clone(), field_json(field)))
            .collect();
        let groups: Map<String, Json> = self
            .0
            .groups
            .iter()
            .map(|(key, group)| (key.clone(), group_json(group)))
            .collect();
        let values: Map<String, Json> = self
            .0
            .fields
            .iter()
            .filter(|(_, field)| !field.is_secret() && field.preset != EngineValue::Null)
            .map(|(key, field)| (key.clone(), source_json(&field.preset)))
            .collect();
        let mut json = json!({ "version": self.0.version.as_str() });
        if let Some(date) = &self.0.last_updated {
            json["last_updated"] = json!(date);
        }
        json["description"] = json!(self.0.description);
        json["fields"] = Json::Object(fields);
        json["groups"] = Json::Object(groups);
        json["values"] = Json::Object(values);
        json
    }

    /// The secrets that the file was shipped with: field key and what the field initially holds.
    pub fn shipped_secrets(&self) -> Vec<(String, Secret)> {
        self.0
            .fields
            .iter()
            .filter_map(|(key, field)| match field.initial() {
                Value::Secret(secret) => Some((key.clone(), secret)),
                _ => None,
            })
            .collect()
    }

    /// The definition with secrets put back that [`to_json`](Self::to_json) left out. Keys that are no
    /// `password` field are ignored.
    #[must_use]
    pub fn with_shipped_secrets(
        &self,
        secrets: impl IntoIterator<Item = (String, Secret)>,
    ) -> Self {
        let mut fields = self.0.fields.clone();
        for (key, secret) in secrets {
            if let Some(field) = fields.get_mut(&key).filter(|field| field.is_secret()) {
                field.preset = EngineValue::Text(secret.expose().to_owned());
            }
        }
        Self::new(Inner {
            version: self.0.version.clone(),
            last_updated: self.0.last_updated.clone(),
            description: self.0.description.clone(),
            fields,
            groups: self.0.groups.clone(),
        })
    }
}

/// Without secrets.
impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition")
            .field("version", &self.0.version)
            .field("fields", &self.0.fields)
            .field("groups", &self.0.groups)
            .finish_non_exhaustive()
    }
}

/// Two definitions are equal when they have the same normal form and are shipped with the same secrets.
impl PartialEq for Definition {
    fn eq(&self, other: &Self) -> bool {
        self.to_json() == other.to_json() && self.shipped_secrets() == other.shipped_secrets()
    }
}

/// A group with its fields, as shown.
#[derive(Debug, Clone)]
pub struct Section<'a> {
    /// The group's key.
    pub key: &'a str,
    /// The group.
    pub group: Group,
    /// Its fields with their keys, in order.
    pub fields: Vec<(&'a str, &'a Field)>,
}

impl<'a> Section<'a> {
    fn new(key: &'a str, group: Group) -> Self {
        Self {
            key,
            group,
            fields: Vec::new(),
        }
    }
}

fn field_json(field: &Field) -> Json {
    let mut json = json!({ "type": field.field_type.as_str(), "label": field.label });
    for (key, text) in [
        ("description", &field.description),
        ("placeholder", &field.placeholder),
        ("validation", &field.validation),
    ] {
        if let Some(text) = text {
            json[key] = json!(text);
        }
    }
    if field.required {
        json["required"] = json!(true);
    }
    if !field.is_secret() && field.default != EngineValue::Null {
        json["default"] = source_json(&field.default);
    }
    json["group"] = json!(field.group);
    json["order"] = json!(field.order);
    if field.field_type == FieldType::Select {
        json["options"] = choices_json(&field.options);
    }
    json
}

/// Options as in the file.
pub(crate) fn choices_json(options: &[Choice]) -> Json {
    options
        .iter()
        .map(|option| json!({ "value": option.value.to_json(), "label": option.label }))
        .collect()
}

fn group_json(group: &Group) -> Json {
    let mut json = json!({ "label": group.label, "order": group.order });
    for (key, text) in [("description", &group.description), ("icon", &group.icon)] {
        if let Some(text) = text {
            json[key] = json!(text);
        }
    }
    json
}

/// A default as it was written.
fn source_json(source: &EngineValue) -> Json {
    match source {
        EngineValue::Bool(value) => json!(value),
        EngineValue::Int(value) => json!(value),
        EngineValue::Float(value) => json!(value),
        EngineValue::Text(text) => json!(text),
        EngineValue::Null | EngineValue::List(_) | EngineValue::Map(_) => Json::Null,
    }
}
