//! `GET /api/admin/plugins`.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{RawQuery, State};
use axum::response::Response;
use futures::StreamExt as _;
use plugyard_http::{Language, Unhurried};
use plugyard_model::Problem;
use plugyard_model::codes;

use super::Routes;
use super::entry::Parts;
use super::reply::{Refused, Success, answer};
use super::words::Done;
use crate::discovery;
use crate::package::KIND;
use crate::records;

/// Plugins that are looked at together.
const TOGETHER: usize = 8;

/// The plugins of this kind
///
/// `status` is one of `active`, `installed`, `not_installed`, `missing`; `search` is part of the name, the
/// display name or the description. Directories that were not discovered yet are listed too, with
/// `discovered: false`.
#[utoipa::path(
    get, path = "/api/admin/plugins", tag = "app", operation_id = "app_list",
    params(
        ("status" = Option<String>, Query, description = "Only with this status"),
        ("search" = Option<String>, Query, description = "Only with this text"),
    ),
    responses((status = 200, description = "An array of plugins in `data`", body = serde_json::Value)),
)]
pub(super) async fn list(
    State(routes): State<Routes>,
    Language(lang): Language,
    _: Unhurried,
    RawQuery(query): RawQuery,
) -> Response {
    answer(all(&routes, query.as_deref()).await, None, lang)
}

async fn all(routes: &Routes, query: Option<&str>) -> Result<Success, Refused> {
    let mut wanted = BTreeMap::new();
    for (name, value) in pairs(query) {
        wanted.insert(name, value);
    }
    let status = wanted.remove("status").filter(|it| !it.is_empty());
    let search = wanted.remove("search").filter(|it| !it.is_empty());
    let records = match &routes.host.database {
        Some(database) => records::list(database.conn()).await?,
        None => Vec::new(),
    };
    let views = routes.platform.installations_of(&KIND).await?;
    let home = routes.host.home.clone();
    let known: BTreeSet<String> = records
        .iter()
        .map(|it| it.name.clone())
        .chain(views.iter().map(|it| it.plugin.key.to_string()))
        .collect();
    // Read only where nothing is stored yet.
    let found = tokio::task::spawn_blocking(move || {
        let names = discovery::names(&home).unwrap_or_default();
        names
            .into_iter()
            .filter(|name| !known.contains(name) && crate::name::check(name).is_none())
            .filter_map(|name| discovery::look_for(&home, &name).ok().flatten())
            .collect::<Vec<_>>()
    });
    let found = found.await.map_err(|error| {
        tracing::error!(%error, "Looking through `plugins/` failed");
        Problem::new(codes::INTERNAL)
    })?;
    let mut parts: BTreeMap<String, Parts> = BTreeMap::new();
    let empty = |name: &str| Parts {
        name: name.to_owned(),
        record: None,
        view: None,
        seen: None,
    };
    for record in records {
        let entry = parts.entry(record.name.clone());
        entry.or_insert_with_key(|name| empty(name)).record = Some(record);
    }
    for view in views {
        let entry = parts.entry(view.plugin.key.to_string());
        entry.or_insert_with_key(|name| empty(name)).view = Some(view);
    }
    for found in found {
        let entry = parts.entry(found.name.clone());
        entry.or_insert_with_key(|name| empty(name)).seen = Some(found.seen);
    }
    let entries = futures::stream::iter(parts.into_values())
        .filter(|it| {
            let fits = status
                .as_deref()
                .is_none_or(|status| it.status(routes) == status);
            std::future::ready(fits)
        })
        .map(|it| it.document(routes))
        .buffered(TOGETHER);
    let mut entries: Vec<_> = entries.collect().await;
    if let Some(search) = search {
        let search = search.to_lowercase();
        entries.retain(|entry| {
            ["name", "displayName", "description"].iter().any(|key| {
                let text = entry[key].as_str().unwrap_or_default();
                text.to_lowercase().contains(&search)
            })
        });
    }
    Ok(Success::new(Done::List, entries))
}

/// The parameters of a query, decoded.
pub(super) fn pairs(query: Option<&str>) -> Vec<(String, String)> {
    let address = format!("http://localhost/?{}", query.unwrap_or_default());
    reqwest::Url::parse(&address)
        .map(|url| {
            url.query_pairs()
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect()
        })
        .unwrap_or_default()
}
