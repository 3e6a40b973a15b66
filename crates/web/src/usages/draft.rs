//! A usage as somebody writes it: the columns with their names in other languages, read from JSON.

use std::collections::BTreeMap;

use plugyard_model::codes;
use serde_json::{Map, Value as Json, json};

use super::fields::{Fields, pointer};
use super::sources;
use crate::columns::{self, Issue};
use crate::usage::{PluginState, Usage, check};

/// Everything that is stored of a usage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    pub(crate) usage: Usage,
    /// Names by language tag, beside the one in the site's default language.
    pub(crate) names: BTreeMap<String, String>,
    pub(crate) icon_file_id: Option<i64>,
    pub(crate) icon_file_url: Option<String>,
    pub(crate) data_sources: Option<Json>,
}

const KEYS: [&str; 17] = [
    "usageType",
    "pluginFskey",
    "name",
    "names",
    "iconFileId",
    "iconFileUrl",
    "scene",
    "editorToolbar",
    "editorNumber",
    "dataSources",
    "isGroupAdmin",
    "groupId",
    "roles",
    "parameter",
    "rating",
    "canDelete",
    "isEnabled",
];

impl Draft {
    /// A usage with the table's defaults and nothing else.
    pub(crate) fn new() -> Self {
        Self {
            usage: Usage {
                id: 0,
                usage_type: 0,
                plugin_fskey: String::new(),
                name: String::new(),
                scene: Vec::new(),
                editor_toolbar: false,
                editor_number: None,
                is_group_admin: false,
                group_id: None,
                roles: Vec::new(),
                parameter: None,
                rating: 9,
                can_delete: true,
                is_enabled: true,
            },
            names: BTreeMap::new(),
            icon_file_id: None,
            icon_file_url: None,
            data_sources: None,
        }
    }

    /// Whether it has been stored before.
    pub(crate) fn is_stored(&self) -> bool {
        self.usage.id > 0
    }

    /// Puts the members of `body` in. What is wrong is noted, and then what was there before stays.
    ///
    /// A draft that was never stored needs `usageType`, `pluginFskey` and `name`.
    pub(crate) fn put<'b>(&mut self, body: &'b Map<String, Json>, language: &str) -> Fields<'b> {
        let mut fields = Fields::new(body, &KEYS);
        if !self.is_stored() {
            for key in ["usageType", "pluginFskey", "name"] {
                fields.require(key);
            }
        }
        self.put_type(&mut fields);
        if fields.has("pluginFskey") {
            match fields.text("pluginFskey") {
                Some(fskey) => fskey.clone_into(&mut self.usage.plugin_fskey),
                None if !fields.is_wrong("pluginFskey") => {
                    fields.malformed("/pluginFskey", "string");
                }
                None => {}
            }
        }
        self.put_names(&mut fields, language);
        self.put_icon(&mut fields);
        let usage = &mut self.usage;
        if let Some(scene) = fields.numbers("scene") {
            match scene.iter().map(|it| u8::try_from(*it)).collect() {
                Ok(scene) => usage.scene = scene,
                Err(_) => fields.range("/scene", 1, 3),
            }
        }
        if let Some(roles) = fields.numbers("roles") {
            usage.roles = roles;
            let length = joined(&usage.roles).len();
            if length > 128 {
                fields.note("/roles", length_issue("roles", length, 0, 128));
            }
            let mut sorted = usage.roles.clone();
            sorted.sort_unstable();
            if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                let issue = Issue::error(codes::E_FIELD_DUPLICATE).with("field", "roles");
                fields.note("/roles", issue.with("value", pair[0]));
            }
        }
        let flags = [
            ("editorToolbar", &mut usage.editor_toolbar),
            ("isGroupAdmin", &mut usage.is_group_admin),
            ("canDelete", &mut usage.can_delete),
            ("isEnabled", &mut usage.is_enabled),
        ];
        for (key, flag) in flags {
            if let Some(given) = fields.flag(key) {
                *flag = given;
            }
        }
        if fields.has("editorNumber") {
            let number = fields.number("editorNumber", 1, 10);
            usage.editor_number = number.and_then(|number| u8::try_from(number).ok());
        }
        if fields.has("groupId") {
            let group = fields.number("groupId", 1, u32::MAX.into());
            usage.group_id = group.and_then(|group| u32::try_from(group).ok());
        }
        if fields.has("parameter") {
            // The empty text is a value here; only null is none.
            usage.parameter = fields.text("parameter").map(str::to_owned);
        }
        if fields.has("rating") {
            match fields.number("rating", 0, u16::MAX.into()) {
                Some(rating) => usage.rating = u16::try_from(rating).unwrap_or(u16::MAX),
                None if !fields.is_wrong("rating") => fields.malformed("/rating", "integer"),
                None => {}
            }
        }
        if let Some(given) = fields.get("dataSources") {
            self.data_sources = sources::read(given, &mut fields);
        }
        fields
    }

    /// The rules between columns, and those that need the plugin.
    pub(crate) fn check(&mut self, plugin: Option<PluginState<'_>>, fields: &mut Fields<'_>) {
        if self.data_sources.is_some() && self.usage.usage_type != 4 {
            let issue = Issue::error(codes::E_USAGE_COLUMN_NOT_APPLICABLE)
                .with("field", "dataSources")
                .with("type", self.usage.usage_type);
            fields.note("/dataSources", issue);
        }
        for issue in check(&mut self.usage, plugin) {
            let key = match issue.params.get("field") {
                Some(field) => field.clone(),
                None if issue.code == codes::E_TYPE_RANGE => "usageType".to_owned(),
                None if issue.code == codes::W_PARAMETER_NOT_URL_SAFE => "parameter".to_owned(),
                None => "pluginFskey".to_owned(),
            };
            // What was sent could not even be read; the rule would speak of something else.
            if !fields.is_wrong(&key) {
                fields.note(&pointer("", &key), issue);
            }
        }
    }

    fn put_type(&mut self, fields: &mut Fields<'_>) {
        let Some(given) = fields.get("usageType") else {
            return;
        };
        let known = given.as_i64().filter(|number| (1..=9).contains(number));
        let known = known.and_then(|number| u8::try_from(number).ok());
        match known {
            None => {
                let issue = Issue::error(codes::E_TYPE_RANGE)
                    .with("field", "usageType")
                    .with("value", given)
                    .with("allowed", "1, 2, 3, 4, 5, 6, 7, 8, 9");
                fields.note("/usageType", issue);
            }
            Some(number) if self.is_stored() && number != self.usage.usage_type => {
                let issue = Issue::error(codes::E_USAGE_TYPE_FIXED).with("id", self.usage.id);
                fields.note("/usageType", issue.with("actual", self.usage.usage_type));
            }
            Some(number) => self.usage.usage_type = number,
        }
    }

    /// `name` is the text of the default language or an object by language tag; `names` is such an object too.
    fn put_names(&mut self, fields: &mut Fields<'_>, language: &str) {
        match fields.get("name") {
            None => {}
            Some(Json::String(text)) => match columns::line("name", text, 1, 128) {
                Ok(name) => self.usage.name = name,
                Err(issue) => fields.note("/name", issue),
            },
            Some(Json::Object(names)) => {
                self.put_translations("name", names, fields, language);
                // The column holds the default language's name.
                if !names.contains_key(language) {
                    let issue = Issue::error(codes::E_FIELD_REQUIRED).with("field", language);
                    fields.note("/name", issue);
                }
            }
            Some(_) => fields.malformed("/name", "name"),
        }
        match fields.get("names") {
            None => {}
            Some(Json::Null) => self.names.clear(),
            Some(Json::Object(names)) => {
                self.put_translations("names", names, fields, language);
            }
            Some(_) => fields.malformed("/names", "object"),
        }
    }

    fn put_translations(
        &mut self,
        key: &str,
        names: &Map<String, Json>,
        fields: &mut Fields<'_>,
        language: &str,
    ) {
        self.names.clear();
        for (tag, name) in names {
            let at = pointer(&pointer("", key), tag);
            if !is_language_tag(tag) {
                fields.malformed(&at, "language tag");
                continue;
            }
            let Some(name) = name.as_str() else {
                fields.malformed(&at, "string");
                continue;
            };
            match columns::line(&format!("{key}/{tag}"), name, 1, 128) {
                Ok(name) if tag == language => self.usage.name = name,
                Ok(name) => {
                    self.names.insert(tag.clone(), name);
                }
                Err(issue) => fields.note(&at, issue),
            }
        }
    }

    fn put_icon(&mut self, fields: &mut Fields<'_>) {
        if fields.has("iconFileId") {
            self.icon_file_id = fields.number("iconFileId", 1, i64::MAX);
        }
        if fields.has("iconFileUrl") {
            let url = fields.text("iconFileUrl").filter(|url| !url.is_empty());
            self.icon_file_url = url.map(str::to_owned);
            if let Some(url) = url {
                let scheme = ["https://", "http://"];
                if !scheme
                    .iter()
                    .any(|scheme| url.starts_with(scheme) && url.len() > scheme.len())
                {
                    let issue = Issue::error(codes::E_HOST_SCHEME).with("value", url);
                    fields.note("/iconFileUrl", issue);
                } else if let Err(issue) = columns::line("iconFileUrl", url, 1, 255) {
                    fields.note("/iconFileUrl", issue);
                }
            }
        }
    }

    /// As operators see it; what is computed is added by the caller.
    pub(crate) fn document(&self) -> Json {
        let usage = &self.usage;
        json!({
            "id": usage.id,
            "usageType": usage.usage_type,
            "pluginFskey": usage.plugin_fskey,
            "name": usage.name,
            "names": self.names,
            "iconFileId": self.icon_file_id,
            "iconFileUrl": self.icon_file_url,
            "scene": usage.scene,
            "editorToolbar": usage.editor_toolbar,
            "editorNumber": usage.editor_number,
            "dataSources": self.data_sources,
            "isGroupAdmin": usage.is_group_admin,
            "groupId": usage.group_id,
            "roles": usage.roles,
            "parameter": usage.parameter,
            "rating": usage.rating,
            "canDelete": usage.can_delete,
            "isEnabled": usage.is_enabled,
        })
    }
}

/// Numbers as the table holds them: a comma between two and nothing else.
pub(crate) fn joined(numbers: &[impl ToString]) -> String {
    let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    texts.join(",")
}

/// Whether a text can be a language tag: letters and digits in parts of at most eight, 16 characters in all.
pub(crate) fn is_language_tag(text: &str) -> bool {
    let part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    text.len() <= 16
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.split('-').all(part)
}

fn length_issue(field: &str, actual: usize, min: usize, limit: usize) -> Issue {
    Issue::error(codes::E_FIELD_LENGTH)
        .with("field", field)
        .with("actual", actual)
        .with("min", min)
        .with("limit", limit)
}
