//! A configuration as administrators see it: definition and values together, secrets masked.

use indexmap::IndexMap;
use plugyard_model::Lang;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::definition::{Definition, Field, Group, choices_json};
use crate::judge::ConfigIssue;
use crate::value::{Value, Values};

/// Definition and values of a plugin, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConfigView {
    /// The plugin.
    pub plugin: String,
    /// Version of the definition.
    pub version: String,
    /// What its author says about it.
    pub description: String,
    /// Counts every change of the values.
    pub revision: u64,
    /// Whether the plugin has all that it needs.
    pub config_complete: bool,
    /// What it lacks.
    pub config_issues: Vec<ConfigIssue>,
    /// Every field by its key, in the order of the file.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::BTreeMap<String, FieldView>))]
    pub fields: IndexMap<String, FieldView>,
    /// Every group by its key, in the order of the file.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::BTreeMap<String, GroupView>))]
    pub groups: IndexMap<String, GroupView>,
    /// The same as lists, in the order in which they are shown.
    #[serde(rename = "configGroups")]
    pub config_groups: Vec<SectionView>,
}

/// A field with its value.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own that clients ask"
)]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ConfigFieldView))]
pub struct FieldView {
    /// Its type.
    #[serde(rename = "type")]
    pub field_type: &'static str,
    /// What people read.
    pub label: String,
    /// A sentence about it.
    pub description: Option<String>,
    /// An example for the empty input.
    pub placeholder: Option<String>,
    /// Whether it must be filled in, as far as the file says so outside of the rules.
    pub required: bool,
    /// Its default in canonical form; always null for secrets.
    pub default: Json,
    /// Its rules.
    pub validation: Option<String>,
    /// Key of its group.
    pub group: String,
    /// Its rank in the group.
    pub order: i32,
    /// What can be chosen; null unless it is a select.
    pub options: Json,
    /// Its value; a secret is eight asterisks.
    pub value: Json,
    /// Whether it has a value.
    pub is_set: bool,
    /// Whether somebody changed it since the install or the last reset.
    pub user_modified: bool,
    /// Whether it is a secret that cannot be decrypted; left out when it is not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unreadable: bool,
}

/// A heading over fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ConfigGroupView))]
pub struct GroupView {
    /// What people read.
    pub label: String,
    /// A sentence about it.
    pub description: Option<String>,
    /// Name of an icon.
    pub icon: Option<String>,
    /// Its rank.
    pub order: i32,
}

impl From<&Group> for GroupView {
    fn from(group: &Group) -> Self {
        Self {
            label: group.label.clone(),
            description: group.description.clone(),
            icon: group.icon.clone(),
            order: group.order,
        }
    }
}

/// A group with its fields, in the older form of lists.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ConfigSectionView))]
pub struct SectionView {
    /// Key of the group.
    pub name: String,
    /// What people read, and its rank.
    #[serde(flatten)]
    pub group: GroupView,
    /// Its fields in order.
    #[serde(rename = "configItems")]
    pub items: Vec<ItemView>,
}

/// A field in the older form of lists.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ConfigItemView))]
pub struct ItemView {
    /// Its key.
    pub key: String,
    /// What people read.
    pub label: String,
    /// Its type.
    #[serde(rename = "type")]
    pub field_type: &'static str,
    /// Its value; a secret is eight asterisks.
    pub value: Json,
    /// Its default in canonical form; always null for secrets.
    #[serde(rename = "defaultValue")]
    pub default: Json,
    /// What can be chosen; empty unless it is a select.
    pub options: Json,
    /// A sentence about it.
    pub description: Option<String>,
    /// Key of its group.
    pub group: String,
    /// Its rank in the group.
    pub order: i32,
    /// Whether it must be filled in, as far as the file says so outside of the rules.
    pub required: bool,
    /// Its rules.
    #[serde(rename = "validationRules")]
    pub validation: Option<String>,
    /// Always false: every field can be set.
    pub is_readonly: bool,
}

/// Values alone, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ConfigValuesView))]
pub struct ValuesView {
    /// Every value by field key, in the order of the file; secrets are eight asterisks.
    pub values: Map<String, Json>,
    /// Counts every change of the values.
    pub revision: u64,
    /// Whether each field has a value.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::BTreeMap<String, bool>))]
    pub is_set: IndexMap<String, bool>,
    /// Fields whose secret cannot be decrypted; left out when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

impl Definition {
    /// Definition and values together. `now` is the time in seconds since 1970, for rules that mention
    /// today.
    pub fn view(
        &self,
        plugin: &str,
        revision: u64,
        values: &Values,
        now: i64,
        lang: Lang,
    ) -> ConfigView {
        let failures = self.completeness(values, now);
        let sections = self.display(lang);
        let mut groups: IndexMap<String, GroupView> = self
            .groups()
            .iter()
            .map(|(key, group)| (key.clone(), group.into()))
            .collect();
        for section in &sections {
            if !groups.contains_key(section.key) {
                groups.insert(section.key.to_owned(), (&section.group).into());
            }
        }
        ConfigView {
            plugin: plugin.to_owned(),
            version: self.version().as_str().to_owned(),
            description: self.description().to_owned(),
            revision,
            config_complete: failures.is_empty(),
            config_issues: failures.iter().map(|it| it.issue(lang)).collect(),
            fields: self
                .fields()
                .iter()
                .map(|(key, field)| (key.clone(), field_view(key, field, values)))
                .collect(),
            groups,
            config_groups: sections
                .iter()
                .map(|section| SectionView {
                    name: section.key.to_owned(),
                    group: (&section.group).into(),
                    items: section
                        .fields
                        .iter()
                        .map(|(key, field)| item_view(key, field, values))
                        .collect(),
                })
                .collect(),
        }
    }

    /// The values of all fields, secrets masked.
    pub fn values_view(&self, values: &Values, revision: u64) -> ValuesView {
        let keys = || self.fields().keys();
        ValuesView {
            values: self.masked(values),
            revision,
            is_set: keys()
                .map(|key| (key.clone(), values.value(key).is_set()))
                .collect(),
            unreadable: keys()
                .filter(|key| *values.value(key) == Value::Unreadable)
                .cloned()
                .collect(),
        }
    }

    /// Every value by field key, in the order of the file, secrets masked.
    pub fn masked(&self, values: &Values) -> Map<String, Json> {
        self.fields()
            .keys()
            .map(|key| (key.clone(), values.value(key).to_json()))
            .collect()
    }
}

fn shown_default(field: &Field) -> Json {
    if field.is_secret() {
        Json::Null
    } else {
        field.default_value().to_json()
    }
}

fn field_view(key: &str, field: &Field, values: &Values) -> FieldView {
    let value = values.value(key);
    FieldView {
        field_type: field.field_type.as_str(),
        label: field.label.clone(),
        description: field.description.clone(),
        placeholder: field.placeholder.clone(),
        required: field.required,
        default: shown_default(field),
        validation: field.validation.clone(),
        group: field.group.clone(),
        order: field.order,
        options: if field.options.is_empty() {
            Json::Null
        } else {
            choices_json(&field.options)
        },
        value: value.to_json(),
        is_set: value.is_set(),
        user_modified: values.user_modified(key),
        unreadable: *value == Value::Unreadable,
    }
}

fn item_view(key: &str, field: &Field, values: &Values) -> ItemView {
    ItemView {
        key: key.to_owned(),
        label: field.label.clone(),
        field_type: field.field_type.as_str(),
        value: values.value(key).to_json(),
        default: shown_default(field),
        options: choices_json(&field.options),
        description: field.description.clone(),
        group: field.group.clone(),
        order: field.order,
        required: field.required,
        validation: field.validation.clone(),
        is_readonly: false,
    }
}
