//! A record as somebody writes it: everything wrong with it at once.

use plugyard_model::codes;
use sea_orm::{ActiveValue, Set};
use serde_json::{Map, Value as Json, json};

use crate::columns::{self, Issue, PluginType};
use crate::entity::plugin::{ActiveModel, Model};
use crate::site::Site;
use crate::usages::fields::{Fields, pointer};

/// What can be written of a record.
const KEYS: [&str; 14] = [
    "fskey",
    "type",
    "name",
    "description",
    "version",
    "author",
    "authorLink",
    "scene",
    "pluginHost",
    "accessPath",
    "settingsPath",
    "isStandalone",
    "isEnabled",
    "upgradeCode",
];

/// What a new record must say. `type` is no default's, as the table has none.
const REQUIRED: [&str; 6] = ["fskey", "type", "name", "description", "version", "author"];

/// What is written by something else, and how.
const READ_ONLY: [(&str, &str); 10] = [
    ("id", "the table gives it"),
    ("isUpgrade", "the upgrade check writes it"),
    ("upgradeVersion", "the upgrade check writes it"),
    ("hasUpgradeCode", "set `upgradeCode`"),
    ("state", "activate, deactivate or uninstall it"),
    ("createdAt", "written once"),
    ("updatedAt", "written with each change"),
    ("deletedAt", "uninstall the plugin, or install it again"),
    ("accessUrl", "it follows from `pluginHost` and `accessPath`"),
    (
        "settingsUrl",
        "it follows from `pluginHost` and `settingsPath`",
    ),
];

/// Columns of a record that a package's manifest says.
const OF_MANIFEST: [&str; 10] = [
    "type",
    "name",
    "description",
    "version",
    "author",
    "authorLink",
    "scene",
    "accessPath",
    "settingsPath",
    "isStandalone",
];

/// Reads a new record, or what changes of one. The columns count when nothing found is an error.
pub(crate) fn read<'b>(
    body: &'b Map<String, Json>,
    before: Option<&Model>,
    packaged: bool,
    site: &Site,
) -> (ActiveModel, Fields<'b>) {
    let known: Vec<&str> = KEYS
        .into_iter()
        .chain(READ_ONLY.map(|(key, _)| key))
        .collect();
    let mut reader = Reader {
        fields: Fields::new(body, &known),
        columns: ActiveModel::default(),
    };
    for (key, how) in READ_ONLY {
        reader.read_only(key, how);
    }
    match before {
        None => REQUIRED.iter().for_each(|key| reader.fields.require(key)),
        Some(_) => reader.read_only("fskey", "an fskey never changes"),
    }
    if packaged {
        for key in OF_MANIFEST {
            reader.read_only(key, "it comes from the package's manifest");
        }
    }
    if before.is_none() {
        reader.text(
            "fskey",
            |text| columns::fskey(text).map(|()| text.to_owned()),
            |it, value| {
                it.fskey = value;
            },
        );
    }
    reader.text("name", columns::name, |it, value| it.name = value);
    reader.text("description", columns::description, |it, value| {
        it.description = value;
    });
    reader.text(
        "version",
        |text| columns::version(text).map(|_| text.to_owned()),
        |it, value| it.version = value,
    );
    reader.text("author", columns::author, |it, value| it.author = value);
    reader.optional("authorLink", columns::author_link, |it, value| {
        it.author_link = value;
    });
    reader.optional("pluginHost", columns::plugin_host, |it, value| {
        it.plugin_host = value;
    });
    let limit = site.access_path_max();
    reader.path("accessPath", limit, |it, value| it.access_path = value);
    reader.path("settingsPath", limit, |it, value| it.settings_path = value);
    reader.scene();
    reader.upgrade_code();
    reader.plugin_type(before);
    reader.enabled(before);
    reader.host_missing(before);
    (reader.columns, reader.fields)
}

struct Reader<'b> {
    fields: Fields<'b>,
    columns: ActiveModel,
}

impl Reader<'_> {
    fn read_only(&mut self, key: &str, how: &str) {
        if self.fields.has(key) {
            let issue = Issue::error(codes::E_FIELD_READ_ONLY).with("field", key);
            self.fields.note(&pointer("", key), issue.with("how", how));
        }
    }

    fn text(
        &mut self,
        key: &str,
        check: impl FnOnce(&str) -> Result<String, Issue>,
        set: impl FnOnce(&mut ActiveModel, ActiveValue<String>),
    ) {
        let Some(value) = self.fields.get(key) else {
            return;
        };
        let at = pointer("", key);
        match value.as_str().map(check) {
            None => self.fields.malformed(&at, "string"),
            Some(Ok(value)) => set(&mut self.columns, Set(value)),
            Some(Err(issue)) => self.fields.note(&at, issue),
        }
    }

    /// A text that may be null; the empty one is stored as null.
    fn optional(
        &mut self,
        key: &str,
        check: impl FnOnce(&str) -> Result<Option<String>, Issue>,
        set: impl FnOnce(&mut ActiveModel, ActiveValue<Option<String>>),
    ) {
        match self.fields.get(key) {
            None => {}
            Some(Json::Null) => set(&mut self.columns, Set(None)),
            Some(Json::String(text)) => match check(text) {
                Ok(value) => set(&mut self.columns, Set(value)),
                Err(issue) => self.fields.note(&pointer("", key), issue),
            },
            Some(_) => self.fields.malformed(&pointer("", key), "string"),
        }
    }

    fn path(
        &mut self,
        key: &str,
        limit: usize,
        set: impl FnOnce(&mut ActiveModel, ActiveValue<Option<String>>),
    ) {
        match self.fields.get(key) {
            None => {}
            Some(Json::Null) => set(&mut self.columns, Set(None)),
            Some(Json::String(text)) => {
                let (path, issues) = columns::path(text, limit);
                for issue in issues {
                    self.fields.note(&pointer("", key), issue);
                }
                set(&mut self.columns, Set(path));
            }
            Some(_) => self.fields.malformed(&pointer("", key), "string"),
        }
    }

    fn scene(&mut self) {
        let words = match self.fields.get("scene") {
            None => return,
            Some(Json::Null) => Some(Vec::new()),
            Some(value) => value
                .as_array()
                .and_then(|items| items.iter().map(Json::as_str).collect()),
        };
        let read = words.ok_or_else(columns::scene_malformed);
        match read.and_then(columns::scene) {
            Ok((stored, warnings)) => {
                for warning in warnings {
                    self.fields.note("/scene", warning);
                }
                self.columns.scene = Set(Some(json!(stored)));
            }
            Err(issue) => self.fields.note("/scene", issue),
        }
    }

    /// A secret, so that nothing of it is repeated.
    fn upgrade_code(&mut self) {
        match self.fields.get("upgradeCode") {
            None => {}
            Some(Json::Null) => self.columns.upgrade_code = Set(None),
            Some(Json::String(code))
                if (1..=32).contains(&code.len())
                    && code.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                self.columns.upgrade_code = Set(Some(code.clone()));
            }
            Some(Json::String(code)) if !(1..=32).contains(&code.chars().count()) => {
                let issue = Issue::error(codes::E_FIELD_LENGTH)
                    .with("field", "upgradeCode")
                    .with("actual", code.chars().count())
                    .with("min", 1)
                    .with("limit", 32);
                self.fields.note("/upgradeCode", issue);
            }
            Some(_) => self.fields.malformed("/upgradeCode", "string"),
        }
    }

    fn plugin_type(&mut self, before: Option<&Model>) {
        let standalone = self.fields.flag("isStandalone");
        let number = match self.fields.get("type") {
            Some(value) => match value.as_i64() {
                Some(number) => Some(number),
                None => {
                    let issue = columns::type_out_of_range(value);
                    self.fields.note("/type", issue);
                    return;
                }
            },
            None => before.map(|row| i64::from(row.plugin_type)),
        };
        if standalone.is_none() && !self.fields.has("type") {
            return;
        }
        let Some(number) = number else { return };
        let kept = before.map(|row| row.is_standalone == 1);
        let standalone = standalone.or_else(|| kept.filter(|_| !(4..=5).contains(&number)));
        match columns::plugin_type(number, standalone) {
            Ok((kind, standalone)) => {
                self.columns.plugin_type = Set(kind as i16);
                self.columns.is_standalone = Set(i16::from(standalone));
            }
            Err(issue) => {
                let at = if issue.code == codes::E_TYPE_RANGE {
                    "/type"
                } else {
                    "/isStandalone"
                };
                self.fields.note(at, issue);
            }
        }
    }

    /// Themes are always enabled, what is loaded here is activated, and all else is offered or not.
    fn enabled(&mut self, before: Option<&Model>) {
        let number = set(&self.columns.plugin_type).copied();
        let number = number.or(before.map(|row| row.plugin_type));
        let theme = number == Some(PluginType::Theme as i16);
        if let Some(row) = before
            && self.fields.has("isEnabled")
            && row.is_standalone == 0
            && !theme
        {
            return self.read_only("isEnabled", "activate or deactivate the plugin");
        }
        match self.fields.flag("isEnabled") {
            Some(false) if theme => {
                let fskey = before.map(|row| row.fskey.as_str());
                let fskey = fskey.or(self.fields.get("fskey").and_then(Json::as_str));
                let issue = Issue::error(codes::E_THEME_NOT_ACTIVATABLE);
                let issue = issue.with("fskey", fskey.unwrap_or_default());
                self.fields.note("/isEnabled", issue);
            }
            Some(enabled) => self.columns.is_enabled = Set(i16::from(enabled)),
            None => {}
        }
    }

    fn host_missing(&mut self, before: Option<&Model>) {
        let flag = set(&self.columns.is_standalone).copied();
        let number = set(&self.columns.plugin_type).copied();
        let standalone = flag.or(before.map(|row| row.is_standalone)) == Some(1);
        let number = number.or(before.map(|row| row.plugin_type));
        let text = |now: Option<&Option<String>>, before: Option<&Option<String>>| {
            now.or(before).is_some_and(Option::is_some)
        };
        let host = text(
            set(&self.columns.plugin_host),
            before.map(|row| &row.plugin_host),
        );
        let path = text(
            set(&self.columns.access_path),
            before.map(|row| &row.access_path),
        );
        if standalone && number != Some(PluginType::Standalone as i16) && path && !host {
            let issue = Issue::warning(codes::W_STANDALONE_WITHOUT_HOST);
            self.fields.note("/pluginHost", issue);
        }
    }
}

/// Empties what a manifest could say and this one does not: a record that lives again is that of another package.
pub(super) fn empty_unsaid(columns: &mut ActiveModel) {
    for column in [
        &mut columns.author_link,
        &mut columns.access_path,
        &mut columns.settings_path,
    ] {
        if column.is_not_set() {
            *column = Set(None);
        }
    }
    if columns.scene.is_not_set() {
        columns.scene = Set(None);
    }
}

/// A column's value, when it is set.
pub(crate) fn set<T: Into<sea_orm::Value>>(column: &ActiveValue<T>) -> Option<&T> {
    match column {
        ActiveValue::Set(value) => Some(value),
        _ => None,
    }
}
