//! What a row of a dump means here: judged by the same rules as what operators write, except where older
//! applications let more through.

use std::collections::BTreeMap;

use plugyard_model::{Finding, Place, Severity, codes};
use sea_orm::prelude::DateTime;
use sea_orm::{NotSet, Set};
use serde_json::{Map, Value as Json, json};

use super::{Generation, Row};
use crate::columns::{self, Issue, PATH_MAX_LIMIT};
use crate::entity::plugin;
use crate::usage::PluginState;
use crate::usages::draft::Draft;

/// Longest host that the column takes.
const HOST_MAX: usize = 128;

/// A row of `plugins` that can be stored, and what is to be known about it.
pub(super) struct Plugin {
    pub(super) row: plugin::ActiveModel,
    pub(super) fskey: String,
    pub(super) scene: Vec<String>,
    pub(super) is_offered: bool,
    /// A path is longer than the column is made for.
    pub(super) is_long: bool,
}

/// Collects what is wrong with one row.
pub(super) struct Judge<'a> {
    file: &'a str,
    row: &'a Row,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(file: &'a str, row: &'a Row) -> Self {
        Self {
            file,
            row,
            findings: Vec::new(),
        }
    }

    pub(super) fn place(&self, column: &str) -> Place {
        Place::pointer(self.file, format!("/{column}")).at(self.row.line, 1)
    }

    pub(super) fn note(&mut self, column: &str, issue: Issue) {
        let place = self.place(column);
        self.findings.push(Finding {
            code: issue.code,
            severity: issue.severity,
            place,
            params: issue.params,
            own_text: None,
        });
    }

    fn taken<T>(&mut self, column: &str, judged: Result<T, Issue>) -> Option<T> {
        judged.map_err(|issue| self.note(column, issue)).ok()
    }

    fn dropped(&mut self, column: &str, fskey: &str, reason: &str) {
        let issue = Issue::warning(codes::W_IMPORT_DROPPED)
            .with("field", column)
            .with("fskey", fskey)
            .with("reason", reason);
        self.note(column, issue);
    }

    pub(super) fn is_sound(&self) -> bool {
        let is_error = |finding: &Finding| finding.severity == Severity::Error;
        !self.findings.iter().any(is_error)
    }

    fn value(&self, column: &str) -> Option<&'a Json> {
        self.row
            .columns
            .get(column)
            .filter(|value| !value.is_null())
    }

    /// The first of these columns that has a value, as text.
    fn text(&self, columns: &[&str]) -> Option<String> {
        columns
            .iter()
            .find_map(|column| self.value(column))
            .map(text_of)
    }

    fn required(&mut self, column: &str) -> Option<String> {
        let text = self.text(&[column]);
        if text.is_none() {
            let issue = Issue::error(codes::E_FIELD_REQUIRED).with("field", column);
            self.note(column, issue);
        }
        text
    }

    fn number(&self, column: &str) -> Option<i64> {
        match self.value(column)? {
            Json::String(text) => text.trim().parse().ok(),
            Json::Bool(flag) => Some(i64::from(*flag)),
            number => number.as_i64(),
        }
    }

    fn flag(&self, column: &str) -> Option<bool> {
        match self.value(column)? {
            Json::String(text) => match text.trim() {
                "1" | "t" | "true" => Some(true),
                "0" | "f" | "false" => Some(false),
                _ => None,
            },
            Json::Bool(flag) => Some(*flag),
            number => Some(number.as_i64()? != 0),
        }
    }

    fn time(&self, column: &str) -> Option<DateTime> {
        time(&self.text(&[column])?)
    }
}

/// A row of `plugins` (2.x) or `apps` (3.x). `None` when it cannot be kept; the judge knows why.
pub(super) fn plugin(judge: &mut Judge<'_>, now: DateTime) -> Option<Plugin> {
    let third = judge.row.generation == Generation::Third;
    let fskey = judge.required("fskey")?;
    judge.taken("fskey", columns::fskey(&fskey));
    let (kind, standalone) = kind(judge, third)?;
    let name = judge.required("name");
    let name = name.and_then(|it| judge.taken("name", columns::name(&it)));
    let description = judge.text(&["description"]).unwrap_or_default();
    let description = judge.taken("description", columns::description(&description));
    let author = judge.text(&["author", "developer"]).unwrap_or_default();
    let author = judge.taken("author", columns::author(&author));
    let version = judge.required("version");
    let version = version.filter(|it| judge.taken("version", columns::version(it)).is_some());
    let link = judge.text(&["author_link", "website"]).unwrap_or_default();
    let author_link = columns::author_link(&link).unwrap_or_else(|_| {
        judge.dropped("author_link", &fskey, "no_address");
        None
    });
    let scene = scene(judge, &fskey);
    let host = host(judge);
    let mut is_long = false;
    let access_path = path(judge, "access_path", &mut is_long);
    let settings_path = path(judge, "settings_path", &mut is_long);
    let upgrade = upgrade(judge, &fskey, version.as_deref());
    let code = judge.text(&["upgrade_code"]).filter(|code| {
        let fits = (1..=32).contains(&code.len()) && code.bytes().all(|it| it.is_ascii_graphic());
        if !fits && !code.is_empty() {
            judge.dropped("upgrade_code", &fskey, "no_code");
        }
        fits
    });
    let theme = kind == columns::PluginType::Theme;
    let is_enabled = theme || judge.flag("is_enabled").unwrap_or(true);
    let created_at = judge.time("created_at").unwrap_or(now);
    let updated_at = judge.time("updated_at").unwrap_or(created_at);
    let deleted_at = judge.time("deleted_at").map(|it| it.max(created_at));
    if !judge.is_sound() {
        return None;
    }
    let row = plugin::ActiveModel {
        id: NotSet,
        fskey: Set(fskey.clone()),
        plugin_type: Set(i16::from(kind as u8)),
        name: Set(name?),
        description: Set(description?),
        version: Set(version?),
        author: Set(author?),
        author_link: Set(author_link),
        scene: Set((!scene.is_empty()).then(|| json!(scene))),
        plugin_host: Set(host),
        access_path: Set(access_path),
        settings_path: Set(settings_path),
        is_standalone: Set(i16::from(standalone)),
        is_upgrade: Set(i16::from(upgrade.is_some())),
        upgrade_version: Set(upgrade),
        upgrade_code: Set(code),
        is_enabled: Set(i16::from(is_enabled)),
        created_at: Set(created_at),
        updated_at: Set(updated_at),
        deleted_at: Set(deleted_at),
    };
    Some(Plugin {
        row,
        fskey,
        scene,
        is_offered: is_enabled && deleted_at.is_none(),
        is_long,
    })
}

/// 3.x counts the types anew and has no `is_standalone`.
fn kind(judge: &mut Judge<'_>, third: bool) -> Option<(columns::PluginType, bool)> {
    let Some(number) = judge.number("type") else {
        let given = judge.text(&["type"]).unwrap_or_else(|| "null".to_owned());
        judge.note("type", columns::type_out_of_range(given));
        return None;
    };
    let (number, standalone) = if third {
        match number {
            1 => (1, Some(false)),
            2 => (4, Some(false)),
            3 | 4 => (5, Some(true)),
            other => {
                judge.note("type", columns::type_out_of_range(other));
                return None;
            }
        }
    } else {
        // Older tables let the flag disagree with the type; the type decides.
        let given = judge.flag("is_standalone");
        let kind = columns::PluginType::from_number(number);
        let given = given.filter(|_| {
            !matches!(
                kind,
                Some(columns::PluginType::Standalone | columns::PluginType::Theme)
            )
        });
        (number, given)
    };
    judge.taken("type", columns::plugin_type(number, standalone))
}

fn scene(judge: &mut Judge<'_>, fskey: &str) -> Vec<String> {
    let value = judge.value("scene").or_else(|| judge.value("panel_usages"));
    let list = match value {
        None => return Vec::new(),
        Some(Json::String(text)) if text.is_empty() => return Vec::new(),
        Some(Json::String(text)) => serde_json::from_str(text).unwrap_or(Json::Null),
        Some(other) => other.clone(),
    };
    let words: Option<Vec<&str>> = list
        .as_array()
        .and_then(|words| words.iter().map(Json::as_str).collect());
    match words.map(columns::scene) {
        Some(Ok((scene, warnings))) => {
            for warning in warnings {
                judge.note("scene", warning);
            }
            scene
        }
        Some(Err(_)) | None => {
            judge.dropped("scene", fskey, "no_list");
            Vec::new()
        }
    }
}

/// What nobody could enter today is kept all the same, as long as it fits: its pages went on working.
fn host(judge: &mut Judge<'_>) -> Option<String> {
    let host = judge.text(&["plugin_host", "app_host"])?;
    match columns::plugin_host(&host) {
        Ok(host) => host,
        Err(issue) => {
            let fits = host.chars().count() <= HOST_MAX && !host.contains(char::is_control);
            judge.note("plugin_host", if fits { warning(issue) } else { issue });
            fits.then_some(host)
        }
    }
}

fn path(judge: &mut Judge<'_>, column: &str, is_long: &mut bool) -> Option<String> {
    let path = judge.text(&[column]).filter(|path| !path.is_empty())?;
    let (_, issues) = columns::path(&path, columns::PATH_MAX);
    let length = path.chars().count();
    let fits = length <= PATH_MAX_LIMIT && !path.contains(char::is_control);
    *is_long |= fits && length > columns::PATH_MAX;
    for issue in issues {
        judge.note(column, if fits { warning(issue) } else { issue });
    }
    fits.then_some(path)
}

/// An announced upgrade must be one.
fn upgrade(judge: &mut Judge<'_>, fskey: &str, version: Option<&str>) -> Option<String> {
    let announced = judge.text(&["upgrade_version"]).filter(|it| !it.is_empty());
    if announced.is_none() && !judge.flag("is_upgrade").unwrap_or(false) {
        return None;
    }
    let newer = announced.filter(|announced| {
        let installed = version.and_then(|it| semver::Version::parse(it).ok());
        columns::version(announced).is_ok_and(|announced| {
            installed.is_some_and(|it| announced.cmp_precedence(&it).is_gt())
        })
    });
    if newer.is_none() || judge.flag("is_upgrade") == Some(false) {
        judge.dropped("upgrade_version", fskey, "not_newer");
        return None;
    }
    newer
}

fn warning(mut issue: Issue) -> Issue {
    issue.severity = Severity::Warning;
    issue
}

/// A row of `plugin_usages` or `app_usages` as the same body that an operator would send, with what the body
/// has no key for.
pub(super) struct UsageBody {
    pub(super) body: Map<String, Json>,
    pub(super) fskey: String,
    pub(super) old_id: Option<i64>,
    pub(super) created_at: Option<DateTime>,
    pub(super) updated_at: Option<DateTime>,
    pub(super) deleted_at: Option<DateTime>,
}

pub(super) fn usage(judge: &Judge<'_>, language: &str) -> UsageBody {
    let mut body = Map::new();
    let fskey = judge.text(&["plugin_fskey", "app_fskey"]);
    let mut put = |key: &str, value: Option<Json>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    let number = |column: &str| {
        judge.value(column).map(|given| {
            judge
                .number(column)
                .map_or_else(|| given.clone(), Json::from)
        })
    };
    let flag = |column: &str| {
        judge
            .value(column)
            .map(|given| judge.flag(column).map_or_else(|| given.clone(), Json::from))
    };
    let filled = |column: &str| judge.text(&[column]).filter(|it| !it.is_empty());
    let numbers = |column: &str| filled(column).map(|text| numbers(&text));
    put("usageType", number("usage_type"));
    put("pluginFskey", fskey.clone().map(Json::from));
    put(
        "iconFileId",
        number("icon_file_id").filter(|it| *it != json!(0)),
    );
    put("iconFileUrl", filled("icon_file_url").map(Json::from));
    put("scene", numbers("scene"));
    put("editorToolbar", flag("editor_toolbar"));
    put("editorNumber", number("editor_number"));
    put("isGroupAdmin", flag("is_group_admin"));
    put("groupId", number("group_id").filter(|it| *it != json!(0)));
    put("roles", numbers("roles"));
    put("parameter", judge.text(&["parameter"]).map(Json::from));
    put("rating", number("rating").or_else(|| number("sort_order")));
    put("canDelete", flag("can_delete"));
    put("isEnabled", flag("is_enabled"));
    let sources = judge.value("data_sources").map(parsed);
    put("dataSources", sources.filter(|it| !is_blank(it)));
    match judge.value("name").map(parsed) {
        Some(Json::Object(mut names)) => {
            // The column holds the default language's name; where that is missing, the first one stands in.
            let own = names
                .remove(language)
                .or_else(|| names.values().next().cloned());
            put("name", own);
            put("names", Some(Json::Object(names)));
        }
        Some(name) => put("name", Some(Json::from(text_of(&name)))),
        None => {}
    }
    UsageBody {
        body,
        fskey: fskey.unwrap_or_default(),
        old_id: judge.number("id"),
        created_at: judge.time("created_at"),
        updated_at: judge.time("updated_at"),
        deleted_at: judge.time("deleted_at"),
    }
}

/// Puts a usage's body into a draft, with the findings at the row's place. `plugin` is its plugin, also a
/// deleted one: its usages are hidden and come back with it.
pub(super) fn draft(
    judge: &mut Judge<'_>,
    body: &UsageBody,
    plugin: Option<PluginState<'_>>,
    language: &str,
) -> Draft {
    let mut draft = Draft::new();
    let mut fields = draft.put(&body.body, language);
    draft.check(plugin, &mut fields);
    for finding in fields.findings {
        let column = finding.place.pointer.trim_start_matches('/').to_owned();
        let place = judge.place(&column);
        judge.findings.push(Finding { place, ..finding });
    }
    draft
}

/// Names of usages in other languages: by the usage's number in the dump, then by language.
pub(super) fn translations<'r>(
    rows: impl Iterator<Item = &'r Row>,
) -> BTreeMap<i64, BTreeMap<String, String>> {
    let mut all = BTreeMap::<_, BTreeMap<_, _>>::new();
    for row in rows {
        let judge = Judge::new("", row);
        let is_name = judge.text(&["table_name"]).as_deref() == Some("plugin_usages")
            && judge.text(&["table_column"]).as_deref() == Some("name");
        let language = judge.text(&["lang_tag"]);
        let text = judge.text(&["lang_content"]);
        if let (true, Some(id), Some(language), Some(text)) =
            (is_name, judge.number("table_id"), language, text)
        {
            all.entry(id).or_default().insert(language, text);
        }
    }
    all
}

fn numbers(text: &str) -> Json {
    let numbers: Option<Vec<i64>> = text
        .split(',')
        .map(|part| part.trim().parse().ok())
        .collect();
    numbers.map_or_else(|| Json::from(text), Json::from)
}

/// A column of JSON, which most dumps have as text.
fn parsed(value: &Json) -> Json {
    match value {
        Json::String(text) if text.starts_with(['{', '[']) => {
            serde_json::from_str(text).unwrap_or_else(|_| value.clone())
        }
        other => other.clone(),
    }
}

fn is_blank(value: &Json) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(Map::is_empty)
        || value.as_str().is_some_and(str::is_empty)
}

fn text_of(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `2024-01-31 12:00:00`, with or without a fraction and an offset; or RFC 3339.
fn time(text: &str) -> Option<DateTime> {
    let text = text.trim();
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)) {
        return Some(time.naive_utc());
    }
    if let Ok(time) = chrono::DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z") {
        return Some(time.naive_utc());
    }
    let text = text.replacen('T', " ", 1);
    DateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").ok()
}
