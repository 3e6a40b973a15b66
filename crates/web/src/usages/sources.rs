//! `data_sources`: which plugin answers a request for content of some type, and how its answers can be sorted.

use std::collections::BTreeSet;

use plugyard_model::codes;
use serde_json::{Value as Json, json};

use super::fields::{Fields, pointer};
use crate::columns::{self, Issue};
use crate::records;

/// The requests that a content type can hand to a plugin, with the command word that it is asked by.
pub(crate) const SOURCES: [(&str, &str); 6] = [
    ("postByAll", "getPostByAll"),
    ("postByFollow", "getPostByFollow"),
    ("postByNearby", "getPostByNearby"),
    ("commentByAll", "getCommentByAll"),
    ("commentByFollow", "getCommentByFollow"),
    ("commentByNearby", "getCommentByNearby"),
];

/// The scene that a plugin needs to answer.
const SCENE: &str = "extendData";

/// The column's value; an empty object and null are none.
pub(super) fn read(given: &Json, fields: &mut Fields<'_>) -> Option<Json> {
    const AT: &str = "/dataSources";
    let sources = match given {
        Json::Null => return None,
        Json::Object(sources) if sources.is_empty() => return None,
        Json::Object(sources) => sources,
        _ => {
            fields.malformed(AT, "object");
            return None;
        }
    };
    fields.unknown(sources, AT, &SOURCES.map(|(name, _)| name));
    for (name, _) in SOURCES {
        if let Some(source) = sources.get(name) {
            check(source, &pointer(AT, name), fields);
        }
    }
    Some(given.clone())
}

fn check(source: &Json, at: &str, fields: &mut Fields<'_>) {
    let Some(source) = source.as_object() else {
        return fields.malformed(at, "object");
    };
    fields.unknown(source, at, &["pluginFskey", "pluginRating"]);
    let fskey_at = pointer(at, "pluginFskey");
    match source.get("pluginFskey") {
        None | Some(Json::Null) => {}
        Some(Json::String(fskey)) => {
            if !fskey.is_empty()
                && let Err(issue) = columns::fskey(fskey)
            {
                fields.note(&fskey_at, issue);
            }
        }
        Some(_) => fields.malformed(&fskey_at, "string"),
    }
    let at = pointer(at, "pluginRating");
    let ratings = match source.get("pluginRating") {
        None | Some(Json::Null) => return,
        Some(Json::Array(ratings)) => ratings,
        Some(_) => return fields.malformed(&at, "array"),
    };
    let mut seen = BTreeSet::new();
    for (index, rating) in ratings.iter().enumerate() {
        let at = pointer(&at, &index.to_string());
        let Some(rating) = rating.as_object() else {
            fields.malformed(&at, "object");
            continue;
        };
        fields.unknown(rating, &at, &["id", "intro"]);
        match rating.get("id").and_then(Json::as_u64) {
            None => fields.malformed(&pointer(&at, "id"), "integer"),
            Some(id) if !seen.insert(id) => {
                let issue = Issue::error(codes::E_FIELD_DUPLICATE).with("field", "pluginRating");
                fields.note(&pointer(&at, "id"), issue.with("value", id));
            }
            Some(_) => {}
        }
        intro(rating.get("intro"), &pointer(&at, "intro"), fields);
    }
}

fn intro(intro: Option<&Json>, at: &str, fields: &mut Fields<'_>) {
    let texts = match intro {
        None | Some(Json::Null) => return,
        Some(Json::Array(texts)) => texts,
        Some(_) => return fields.malformed(at, "array"),
    };
    for (index, text) in texts.iter().enumerate() {
        let at = pointer(at, &index.to_string());
        let Some(text) = text.as_object() else {
            fields.malformed(&at, "object");
            continue;
        };
        fields.unknown(text, &at, &["langTag", "title", "description"]);
        if !text.get("langTag").is_some_and(Json::is_string) {
            fields.malformed(&pointer(&at, "langTag"), "string");
        }
        for key in ["title", "description"] {
            let given = text.get(key).unwrap_or(&Json::Null);
            if !given.is_string() && !given.is_null() {
                fields.malformed(&pointer(&at, key), "string");
            }
        }
    }
}

/// The ways of sorting, in one language: a list for each request. A translation that is not there gives null.
pub(crate) fn ratings(sources: Option<&Json>, language: &str) -> Json {
    let of = |name: &str| -> Json {
        let list = sources
            .and_then(|sources| sources.get(name)?.get("pluginRating")?.as_array())
            .into_iter()
            .flatten();
        list.map(|rating| {
            let texts = rating.get("intro").and_then(Json::as_array);
            let text = texts
                .into_iter()
                .flatten()
                .find(|text| text.get("langTag").and_then(Json::as_str) == Some(language));
            let part = |key: &str| text.and_then(|text| text.get(key)).cloned();
            json!({
                "id": rating.get("id"),
                "title": part("title"),
                "description": part("description"),
            })
        })
        .collect()
    };
    let lists = SOURCES.map(|(name, _)| (name.to_owned(), of(name)));
    Json::Object(lists.into_iter().collect())
}

/// Who answers a request for content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answering {
    /// The plugin; none: the main program.
    pub(crate) plugin: Option<String>,
    /// Why it is not the one that was chosen.
    pub(crate) reason: Option<&'static str>,
}

/// The plugin that a request is forwarded to, if it can answer.
pub(crate) fn chosen<'s>(sources: Option<&'s Json>, name: &str) -> Option<&'s str> {
    let fskey = sources?.get(name)?.get("pluginFskey")?.as_str()?;
    (!fskey.is_empty()).then_some(fskey)
}

/// Decides between that plugin and the main program.
pub(crate) fn answering(fskey: &str, record: Option<&crate::entity::plugin::Model>) -> Answering {
    let reason = match record.filter(|row| row.deleted_at.is_none()) {
        None => Some("plugin_not_found"),
        Some(row) if !records::is_offered(row) => Some("plugin_disabled"),
        Some(row) if !records::scene(row).iter().any(|word| word == SCENE) => {
            Some("scene_not_supported")
        }
        Some(_) => None,
    };
    Answering {
        plugin: reason.is_none().then(|| fskey.to_owned()),
        reason,
    }
}
