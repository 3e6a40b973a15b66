//! Which settings of the site there are, and what each takes.

use std::collections::BTreeMap;

use plugyard_model::{Code, Problem, codes};
use serde_json::{Map, Value as Json, json};

use crate::columns::{self, Issue, PATH_MAX, PATH_MAX_LIMIT, PluginType, closest};
use crate::entity::{plugin, state};
use crate::market::settings as market;
use crate::package::FunctionKey;
use crate::pages::settings as pages;
use crate::site::{self, SLOTS, Site, THEMES};
use crate::usages::fields::{Fields, pointer, refused};
use crate::{records, themes};

/// Services that plugins provide, and the scene a plugin must have.
const PROVIDERS: &[(&str, &str)] = &[
    ("site_public_service", "register"),
    ("site_private_service", "join"),
    ("send_email_service", "sendEmail"),
    ("send_sms_service", "sendSms"),
    ("ios_notifications_service", "appNotifications"),
    ("android_notifications_service", "appNotifications"),
    ("desktop_notifications_service", "appNotifications"),
    ("wechat_notifications_service", "appNotifications"),
    ("account_real_name_service", "realName"),
    ("multi_user_service", "multiUser"),
    ("image_service", "storage"),
    ("video_service", "storage"),
    ("audio_service", "storage"),
    ("document_service", "storage"),
    ("post_editor_service", "editor"),
    ("comment_editor_service", "editor"),
    ("ip_service", "extendIp"),
    ("map_service", "extendMap"),
    ("notifications_service", "extendNotification"),
    ("content_review_service", "extendReview"),
    ("post_list_service", "extendData"),
    ("post_follow_service", "extendData"),
    ("post_nearby_service", "extendData"),
    ("post_detail_service", "extendData"),
    ("comment_list_service", "extendData"),
    ("comment_follow_service", "extendData"),
    ("comment_nearby_service", "extendData"),
    ("comment_detail_service", "extendData"),
    ("search_users_service", "extendSearch"),
    ("search_groups_service", "extendSearch"),
    ("search_hashtags_service", "extendSearch"),
    ("search_posts_service", "extendSearch"),
    ("search_comments_service", "extendSearch"),
];

/// The list of connections: `[{"code", "fskey"}]`, each a plugin with scene `connect`.
const CONNECTIONS: &str = "account_connect_services";

/// What a setting takes.
enum Form {
    /// The site's own address.
    Address,
    /// A whole number in these bounds.
    Number(u64, u64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Text of at most so many characters.
    Text(usize),
}

/// Settings that are not of plugins, with their defaults.
fn known() -> Vec<(&'static str, Form, Json)> {
    let limits = (PATH_MAX as u64, PATH_MAX_LIMIT as u64);
    vec![
        (site::SYSTEM_URL, Form::Address, Json::Null),
        (site::PANEL_URL, Form::Address, Json::Null),
        (
            site::BACKUPS_KEPT,
            Form::Number(0, 100),
            json!(site::BACKUPS),
        ),
        (
            site::ACCESS_PATH_MAX,
            Form::Number(limits.0, limits.1),
            json!(PATH_MAX),
        ),
        (
            site::FOREIGN_DEPENDENCIES,
            Form::Word(&["warn", "require", "ignore"]),
            json!("warn"),
        ),
        (
            site::PARAMETER_ENCODING,
            Form::Word(&["verbatim", "component"]),
            json!("verbatim"),
        ),
        ("plugin_usages.file_url", Form::Text(255), Json::Null),
        ("default_language", Form::Text(16), json!("en")),
    ]
}

/// The defaults of what is always there.
pub(crate) fn defaults() -> BTreeMap<String, Json> {
    // Those whose values other parts judge.
    let others = [
        (market::CHANNEL, json!("stable")),
        (market::SEND_SITE_HEADERS, json!(true)),
        (market::CHECK_INTERVAL, json!(8)),
        (pages::LEGACY_CREDENTIALS, json!(true)),
    ];
    known()
        .into_iter()
        .map(|(key, _, default)| (key, default))
        .chain(others)
        .map(|(key, default)| (key.to_owned(), default))
        .collect()
}

/// What is to be stored.
pub(crate) struct Changes {
    /// Key, value, and whose it is.
    pub(crate) values: Vec<(String, Json, Option<String>)>,
    /// Whether paths may become longer than before.
    pub(crate) wider: bool,
}

/// Reads what somebody sent, with everything wrong with it at once.
pub(crate) fn check(
    body: &Map<String, Json>,
    rows: &[plugin::Model],
    all: &[state::Model],
) -> Result<Changes, Problem> {
    let keys: Vec<&str> = body.keys().map(String::as_str).collect();
    let mut fields = Fields::new(body, &keys);
    let (mut values, mut wider) = (Vec::new(), false);
    for (key, value) in body {
        let at = pointer("", key);
        let judged = whose(key, rows, all).and_then(|whose| {
            let value = match &whose {
                _ if value.is_null() => Json::Null,
                Whose::Site => checked(key, value, rows)?,
                Whose::Engine => slot(key, value, rows)?,
                Whose::Theme(field) => {
                    themes::check(field, value, rows)?;
                    value.clone()
                }
            };
            Ok((value, whose.tag()))
        });
        match judged {
            Ok((value, tag)) => {
                wider |= key == site::ACCESS_PATH_MAX && !value.is_null();
                values.push((key.clone(), value, tag));
            }
            Err(issue) => fields.note(&at, issue),
        }
    }
    if fields.has_errors() {
        return Err(refused(fields.findings));
    }
    Ok(Changes { values, wider })
}

/// Whose a setting is.
enum Whose {
    Site,
    /// Which theme an engine uses.
    Engine,
    /// A field of a theme's form.
    Theme(FunctionKey),
}

impl Whose {
    /// What the setting is stored with.
    fn tag(self) -> Option<String> {
        match self {
            Self::Site => None,
            Self::Engine => Some(THEMES.to_owned()),
            Self::Theme(field) => Some(field.item_tag),
        }
    }
}

/// Whether a setting is the site's own.
pub(crate) fn is_own(key: &str) -> bool {
    known().iter().any(|(known, ..)| *known == key)
        || PROVIDERS.iter().any(|(known, _)| *known == key)
        || key == CONNECTIONS
        || judged(key, &Json::Null).is_some()
}

/// Whose a setting is, when there is such a one.
fn whose(key: &str, rows: &[plugin::Model], all: &[state::Model]) -> Result<Whose, Issue> {
    if is_own(key) {
        return Ok(Whose::Site);
    }
    let engine = |key: &str| {
        SLOTS
            .iter()
            .find_map(|slot| key.strip_suffix(slot))
            .is_some_and(|fskey| {
                live(rows, fskey).is_some_and(|row| row.plugin_type == PluginType::Engine as i16)
            })
    };
    if engine(key) {
        return Ok(Whose::Engine);
    }
    if let Some((_, field)) = themes::field_of(key, rows, all) {
        return Ok(Whose::Theme(field));
    }
    let own = known();
    let names = own.iter().map(|(key, ..)| *key);
    let names = names.chain(PROVIDERS.iter().map(|(key, _)| *key));
    let issue = Issue::error(codes::SETTING_UNKNOWN).with("key", key);
    Err(match closest(key, names) {
        Some(suggestion) => issue.with("suggestion", suggestion),
        None => issue,
    })
}

/// What another part says of one of its settings.
fn judged(key: &str, value: &Json) -> Option<Result<(), String>> {
    market::check(key, value).or_else(|| pages::check(key, value))
}

/// A setting of the site's own, as it is stored.
fn checked(key: &str, value: &Json, rows: &[plugin::Model]) -> Result<Json, Issue> {
    let wrong = |expected: String| {
        Issue::error(codes::SETTING_INVALID)
            .with("key", key)
            .with("expected", expected)
    };
    if let Some(verdict) = judged(key, value) {
        return verdict.map(|()| value.clone()).map_err(wrong);
    }
    if let Some((_, form, _)) = known().into_iter().find(|(known, ..)| *known == key) {
        return match form {
            Form::Address => {
                let text = value
                    .as_str()
                    .ok_or_else(|| wrong("an address".to_owned()))?;
                Ok(columns::system_url(text)?.map_or(Json::Null, Json::from))
            }
            Form::Number(min, max) => value
                .as_u64()
                .filter(|number| (min..=max).contains(number))
                .map(Json::from)
                .ok_or_else(|| wrong(format!("{min} … {max}"))),
            Form::Word(words) => value
                .as_str()
                .filter(|word| words.contains(word))
                .map(Json::from)
                .ok_or_else(|| wrong(words.join(" | "))),
            Form::Text(limit) => value
                .as_str()
                .filter(|text| text.chars().count() <= limit && !text.contains(char::is_control))
                .map(Json::from)
                .ok_or_else(|| wrong(format!("a text of 0 … {limit} characters"))),
        };
    }
    if let Some((_, scene)) = PROVIDERS.iter().find(|(known, _)| *known == key) {
        let fskey = value.as_str().ok_or_else(|| wrong("an fskey".to_owned()))?;
        provides(fskey, scene, rows)?;
        return Ok(value.clone());
    }
    if key == CONNECTIONS {
        let items = value
            .as_array()
            .ok_or_else(|| wrong("[{\"code\", \"fskey\"}]".to_owned()))?;
        for item in items {
            let text = |key: &str| item.get(key).and_then(Json::as_str);
            if item.get("code").is_none_or(Json::is_null) {
                return Err(wrong("[{\"code\", \"fskey\"}]".to_owned()));
            }
            let fskey = text("fskey").ok_or_else(|| wrong("[{\"code\", \"fskey\"}]".to_owned()))?;
            provides(fskey, "connect", rows)?;
        }
        return Ok(value.clone());
    }
    Ok(value.clone())
}

/// The theme in a slot of an engine; the empty text is none.
fn slot(key: &str, value: &Json, rows: &[plugin::Model]) -> Result<Json, Issue> {
    let fskey = value.as_str().ok_or_else(|| {
        Issue::error(codes::SETTING_INVALID)
            .with("key", key)
            .with("expected", "an fskey")
    })?;
    let theme = |row: &plugin::Model| row.plugin_type == PluginType::Theme as i16;
    if !fskey.is_empty() && !live(rows, fskey).is_some_and(theme) {
        return Err(Issue::error(codes::E_THEME_NOT_FOUND).with("fskey", fskey));
    }
    Ok(value.clone())
}

/// Whether a plugin is there, enabled, and has the scene. The empty text chooses nobody.
fn provides(fskey: &str, scene: &str, rows: &[plugin::Model]) -> Result<(), Issue> {
    let reason = match live(rows, fskey) {
        _ if fskey.is_empty() => return Ok(()),
        None => "plugin_missing",
        Some(row) if !records::scene(row).iter().any(|word| word == scene) => "scene_missing",
        Some(row) if row.is_enabled == 0 => "plugin_disabled",
        Some(_) => return Ok(()),
    };
    Err(Issue::error(codes::E_SCENE_NOT_SUPPORTED)
        .with("fskey", fskey)
        .with("scene", scene)
        .with("reason", reason))
}

fn live<'a>(rows: &'a [plugin::Model], fskey: &str) -> Option<&'a plugin::Model> {
    rows.iter()
        .find(|row| row.fskey == fskey && row.deleted_at.is_none())
}

/// Whether each service that is provided by a plugin can be: Fresns' code for what is the matter, 0 for
/// nothing.
pub(crate) fn providers(site: &Site, rows: &[plugin::Model]) -> BTreeMap<&'static str, Json> {
    let told = |fskey: Option<&str>| {
        let (code, problem) = match fskey.map(|fskey| live(rows, fskey)) {
            None => return json!({ "fskey": null, "code": 32100 }),
            Some(None) => (32101, Some(codes::E_PLUGIN_NOT_FOUND)),
            Some(Some(row)) if row.is_enabled == 0 => (32102, None),
            Some(Some(_)) => (0, None),
        };
        json!({ "fskey": fskey, "code": code, "problem": problem.map(Code::as_str) })
    };
    let mut all: BTreeMap<&'static str, Json> = PROVIDERS
        .iter()
        .map(|(key, _)| (*key, told(site.text(key))))
        .collect();
    let connections = site.0.get(CONNECTIONS).and_then(Json::as_array);
    let connections = connections.filter(|items| !items.is_empty()).map(|items| {
        let one = |item: &Json| {
            let fskey = item.get("fskey").and_then(Json::as_str);
            let mut said = told(fskey.filter(|fskey| !fskey.is_empty()));
            said["connection"] = item.get("code").cloned().unwrap_or_default();
            said
        };
        items.iter().map(one).collect()
    });
    all.insert(CONNECTIONS, connections.unwrap_or_else(|| told(None)));
    all
}
