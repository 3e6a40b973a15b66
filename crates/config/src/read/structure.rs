//! The structure of a definition and its references: keys, types, lengths, groups, options.

use indexmap::IndexMap;
use plugyard_model::codes;
use plugyard_model::json::{Member, Node, Object, Position};
use plugyard_validation::{FieldType, Value as EngineValue};
use serde_json::json;

use super::Issues;
use super::choices::Preset;
use super::forms::{KEY_MAX, VALIDATION_MAX, is_date, is_field_key, is_group_key, rule_string};
use super::path::Path;
use super::suggest;
use crate::definition::{Choice, Field, GENERAL, Group};
use crate::report::Issue;
use crate::rules::Rules;
use crate::version::{VERSION_LIMIT, Version};

pub(super) const FIELDS_MAX: usize = 500;
const LABEL_MAX: usize = 255;
pub(super) const DESCRIPTION_MAX: usize = 4000;
const PLACEHOLDER_MAX: usize = 1000;
const SCHEMA_MAX: usize = 512;
const ORDER_MAX: i32 = 1_000_000;

/// The types in the order in which they are told.
pub(super) const TYPES: [&str; 8] = [
    "text", "password", "select", "checkbox", "number", "email", "url", "textarea",
];

const TOP_KEYS: &[&str] = &[
    "fields",
    "groups",
    "values",
    "version",
    "last_updated",
    "description",
    "$schema",
];
const FIELD_KEYS: &[&str] = &[
    "type",
    "label",
    "description",
    "placeholder",
    "required",
    "default",
    "validation",
    "group",
    "order",
    "options",
];

/// What was read of a definition, sound or not.
pub(super) struct Draft<'a> {
    pub(super) version: Version,
    pub(super) last_updated: Option<String>,
    pub(super) description: String,
    pub(super) groups: IndexMap<String, Group>,
    /// Every key in `fields`.
    pub(super) keys: Vec<&'a str>,
    pub(super) fields: Vec<FieldDraft<'a>>,
}

/// What was read of a field.
pub(super) struct FieldDraft<'a> {
    pub(super) key: &'a str,
    pub(super) at: Position,
    /// Whether its structure and references have nothing wrong.
    pub(super) sound: bool,
    pub(super) field_type: Option<FieldType>,
    pub(super) required: Option<(bool, Position)>,
    pub(super) validation: Option<(&'a str, Position)>,
    /// Its default, when the type takes it, and where it stands.
    pub(super) default: Option<(EngineValue, Position)>,
    /// Its preset value, when the type takes it, and where it stands.
    pub(super) preset: Option<(EngineValue, Position)>,
    /// Its options, where their values stand, and their places in the array.
    pub(super) options: Vec<(Choice, Position, usize)>,
    label: String,
    description: Option<String>,
    placeholder: Option<String>,
    pub(super) group: Option<(&'a str, Position)>,
    order: i32,
}

impl FieldDraft<'_> {
    /// The field, once its rules are registered.
    pub(super) fn finish(&self, field_type: FieldType, rules: Rules) -> Field {
        let source = |written: &Option<(EngineValue, Position)>| {
            written
                .as_ref()
                .map_or(EngineValue::Null, |it| it.0.clone())
        };
        Field {
            field_type,
            label: self.label.clone(),
            description: self.description.clone(),
            placeholder: self.placeholder.clone(),
            required: self.required.is_some_and(|it| it.0),
            validation: self.validation.map(|it| it.0.to_owned()),
            group: self.group.map_or(GENERAL, |it| it.0).to_owned(),
            order: self.order,
            options: self.options.iter().map(|it| it.0.clone()).collect(),
            default: source(&self.default),
            preset: source(&self.preset),
            rules,
        }
    }
}

/// Reads the document, whose root is an object.
pub(super) fn read<'a>(root: &'a Node, issues: &mut Issues) -> Draft<'a> {
    let mut reader = Reader { issues };
    let mut draft = Draft {
        version: Version::default(),
        last_updated: None,
        description: String::new(),
        groups: IndexMap::new(),
        keys: Vec::new(),
        fields: Vec::new(),
    };
    let Some(object) = root.as_object() else {
        return draft;
    };
    let top = Path::Root;
    reader.known(object, &top, TOP_KEYS);
    reader.needs(object, &top, root.at, "fields");
    if let Some(node) = object.get("$schema") {
        reader.text(node, &top.key("$schema"), SCHEMA_MAX);
    }
    if let Some(node) = object.get("version") {
        draft.version = reader
            .version(node, &top.key("version"))
            .unwrap_or_default();
    }
    if let Some(node) = object.get("last_updated") {
        draft.last_updated = reader.date(node, &top.key("last_updated"));
    }
    if let Some(node) = object.get("description") {
        let text = reader.text(node, &top.key("description"), DESCRIPTION_MAX);
        draft.description = text.unwrap_or_default().to_owned();
    }
    let groups = object.get("groups");
    if let Some(node) = groups {
        draft.groups = reader.groups(node);
    }
    if let Some(node) = object.get("fields") {
        reader.fields(node, &mut draft);
    }
    if let Some(node) = object.get("values") {
        reader.values(node, &mut draft);
    }
    reader.references(groups, &mut draft);
    draft
}

/// Adds what is wrong to `issues`; each method answers what it could read.
pub(super) struct Reader<'i> {
    pub(super) issues: &'i mut Issues,
}

impl Reader<'_> {
    pub(super) fn error(&mut self, issue: Issue) {
        self.issues.error(issue);
    }

    /// Every key must be one of `allowed`.
    pub(super) fn known(&mut self, object: &Object, path: &Path<'_>, allowed: &[&str]) {
        for member in &object.members {
            if !allowed.contains(&member.key.as_str()) {
                let suggestion = suggest::nearest(&member.key, allowed.iter().copied());
                self.error(
                    Issue::new(
                        codes::UNKNOWN_KEY,
                        path.key(&member.key).pointer(),
                        member.key_at,
                    )
                    .with("key", member.key.as_str())
                    .with("suggestion", suggestion)
                    .with("allowed", json!(allowed)),
                );
            }
        }
    }

    pub(super) fn needs(&mut self, object: &Object, path: &Path<'_>, at: Position, key: &str) {
        if object.get(key).is_none() {
            self.error(
                Issue::new(codes::REQUIRED_KEY_MISSING, path.pointer(), at).with("key", key),
            );
        }
    }

    pub(super) fn wrong_type(&mut self, node: &Node, path: &Path<'_>, expected: &str) {
        self.error(
            Issue::new(codes::WRONG_TYPE, path.pointer(), node.at)
                .with("expected", expected)
                .with("actual", node.type_name()),
        );
    }

    pub(super) fn text<'a>(
        &mut self,
        node: &'a Node,
        path: &Path<'_>,
        limit: usize,
    ) -> Option<&'a str> {
        let Some(text) = node.as_str() else {
            self.wrong_type(node, path, "string");
            return None;
        };
        let length = text.chars().count();
        if length > limit {
            self.error(
                Issue::new(codes::TOO_LONG, path.pointer(), node.at)
                    .with("limit", limit)
                    .with("actual", length),
            );
            return None;
        }
        Some(text)
    }

    pub(super) fn label(&mut self, object: &Object, path: &Path<'_>) -> String {
        let path = path.key("label");
        let Some(node) = object.get("label") else {
            return String::new();
        };
        if node.as_str().is_some_and(|text| text.trim().is_empty()) {
            self.error(Issue::new(codes::BLANK, path.pointer(), node.at));
        }
        self.text(node, &path, LABEL_MAX)
            .unwrap_or_default()
            .to_owned()
    }

    pub(super) fn optional_text(
        &mut self,
        object: &Object,
        path: &Path<'_>,
        key: &str,
        limit: usize,
    ) -> Option<String> {
        let node = object.get(key)?;
        self.text(node, &path.key(key), limit).map(str::to_owned)
    }

    pub(super) fn order(&mut self, object: &Object, path: &Path<'_>) -> i32 {
        let Some(node) = object.get("order") else {
            return 0;
        };
        let path = path.key("order");
        let Some(number) = node.as_number() else {
            self.wrong_type(node, &path, "integer");
            return 0;
        };
        let float = number.as_f64();
        if float.fract() != 0.0 {
            self.wrong_type(node, &path, "integer");
            return 0;
        }
        if float.abs() > f64::from(ORDER_MAX) {
            self.error(
                Issue::new(codes::OUT_OF_RANGE, path.pointer(), node.at)
                    .with("min", -ORDER_MAX)
                    .with("max", ORDER_MAX),
            );
            return 0;
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is whole and within a million"
        )]
        let order = float as i32;
        order
    }

    fn version(&mut self, node: &Node, path: &Path<'_>) -> Option<Version> {
        let text = self.text(node, path, VERSION_LIMIT)?;
        let version = Version::parse(text);
        if version.is_none() {
            self.error(
                Issue::new(codes::VERSION_FORMAT, path.pointer(), node.at).with("actual", text),
            );
        }
        version
    }

    fn date(&mut self, node: &Node, path: &Path<'_>) -> Option<String> {
        let Some(text) = node.as_str() else {
            self.wrong_type(node, path, "string");
            return None;
        };
        if !is_date(text) {
            self.error(
                Issue::new(codes::DATE_FORMAT, path.pointer(), node.at).with("actual", text),
            );
            return None;
        }
        Some(text.to_owned())
    }

    /// The members of an object, of which there are at most `limit`; more than these are not looked at.
    pub(super) fn members<'a>(
        &mut self,
        node: &'a Node,
        path: &Path<'_>,
        limit: usize,
    ) -> &'a [Member] {
        let Some(object) = node.as_object() else {
            self.wrong_type(node, path, "object");
            return &[];
        };
        let members = &object.members;
        if members.len() > limit {
            self.error(
                Issue::new(codes::TOO_MANY, path.pointer(), node.at)
                    .with("limit", limit)
                    .with("actual", members.len()),
            );
        }
        &members[..members.len().min(limit)]
    }

    fn fields<'a>(&mut self, node: &'a Node, draft: &mut Draft<'a>) {
        let path = Path::Root.key("fields");
        if let Some(object) = node.as_object() {
            draft.keys = object.members.iter().map(|it| it.key.as_str()).collect();
        }
        for member in self.members(node, &path, FIELDS_MAX) {
            let before = self.issues.errors.count();
            let mut field = self.field(member);
            field.sound = self.issues.errors.count() == before;
            draft.fields.push(field);
        }
    }

    fn field<'a>(&mut self, member: &'a Member) -> FieldDraft<'a> {
        let fields = Path::Root.key("fields");
        let path = fields.key(&member.key);
        let node = &member.node;
        if !is_field_key(&member.key) {
            self.error(
                Issue::new(codes::FIELD_KEY_FORMAT, path.pointer(), member.key_at)
                    .with("key", member.key.as_str())
                    .with("limit", KEY_MAX),
            );
        }
        let mut field = FieldDraft {
            key: &member.key,
            at: node.at,
            sound: false,
            field_type: None,
            required: None,
            validation: None,
            default: None,
            preset: None,
            options: Vec::new(),
            label: String::new(),
            description: None,
            placeholder: None,
            group: None,
            order: 0,
        };
        let Some(object) = node.as_object() else {
            self.wrong_type(node, &path, "object");
            return field;
        };
        self.known(object, &path, FIELD_KEYS);
        self.needs(object, &path, node.at, "type");
        self.needs(object, &path, node.at, "label");
        field.label = self.label(object, &path);
        field.description = self.optional_text(object, &path, "description", DESCRIPTION_MAX);
        field.placeholder = self.optional_text(object, &path, "placeholder", PLACEHOLDER_MAX);
        field.order = self.order(object, &path);
        if let Some(node) = object.get("type") {
            field.field_type = self.field_type(node, field.key, &path.key("type"));
        }
        if let Some(node) = object.get("required") {
            match node.as_bool() {
                Some(required) => field.required = Some((required, node.at)),
                None => self.wrong_type(node, &path.key("required"), "boolean"),
            }
        }
        if let Some(node) = object.get("validation") {
            let text = self.validation(node, field.key, &path.key("validation"));
            field.validation = text.map(|text| (text, node.at));
        }
        if let Some(node) = object.get("group") {
            field.group = self.group_key(node, &path.key("group"));
        }
        if let Some(field_type) = field.field_type {
            self.options(object, &path, field_type, &mut field);
            if let Some(node) = object.get("default") {
                field.default = self.preset(node, &field, field_type, &Preset::Default);
            }
        }
        field
    }

    fn field_type(&mut self, node: &Node, key: &str, path: &Path<'_>) -> Option<FieldType> {
        let Some(word) = node.as_str() else {
            self.wrong_type(node, path, "string");
            return None;
        };
        let found = FieldType::from_word(word);
        if found.is_none() {
            self.error(
                Issue::new(codes::FIELD_TYPE_UNSUPPORTED, path.pointer(), node.at)
                    .with("actual", word)
                    .with("suggestion", suggest::field_type(word))
                    .with("allowed", json!(TYPES))
                    .of_field(key),
            );
        }
        found
    }

    fn validation<'a>(&mut self, node: &'a Node, key: &str, path: &Path<'_>) -> Option<&'a str> {
        if node.as_str().is_some() {
            return self.text(node, path, VALIDATION_MAX);
        }
        self.error(
            Issue::new(codes::VALIDATION_TYPE, path.pointer(), node.at)
                .with("expected", "string")
                .with("actual", node.type_name())
                .with("suggestion", rule_string(node))
                .of_field(key),
        );
        None
    }

    fn group_key<'a>(&mut self, node: &'a Node, path: &Path<'_>) -> Option<(&'a str, Position)> {
        let Some(key) = node.as_str() else {
            self.wrong_type(node, path, "string");
            return None;
        };
        if !is_group_key(key) {
            self.error(
                Issue::new(codes::GROUP_KEY_FORMAT, path.pointer(), node.at)
                    .with("key", key)
                    .with("limit", KEY_MAX),
            );
            return None;
        }
        Some((key, node.at))
    }
}
