//! `audit`.

use plugyard_model::ExitCode;
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::cli::Audit;
use crate::client::{Client, segment};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{text_at, time_at};

/// Most rows that the server gives at once.
const PAGE: usize = 500;

pub(super) async fn run(
    arguments: &Audit,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let filter = filter(arguments, client).await?;
    let mut items: Vec<Json> = Vec::new();
    let mut next: Option<String> = None;
    while items.len() < arguments.limit {
        let missing = arguments.limit - items.len();
        let mut request = client
            .request(Method::GET, "/v1/audit")
            .query(&filter)
            .query(&[("limit", missing.min(PAGE))]);
        if let Some(cursor) = &next {
            request = request.query(&[("cursor", cursor)]);
        }
        let mut page = client.json(request).await?;
        if let Some(Json::Array(rows)) = page.get_mut("items").map(Json::take) {
            items.extend(rows);
        }
        next = page["next"].as_str().map(str::to_owned);
        if next.is_none() {
            break;
        }
    }
    let body = json!({ "items": items, "next": next });
    context.printer.list(
        &body,
        &items,
        |item| text_at(item, "/id"),
        &["TIME", "USER", "ACTION", "TARGET", "PLUGIN", "RESULT"],
        |item| {
            [time_at(item, "/at")]
                .into_iter()
                .chain(
                    ["/who", "/action", "/target", "/plugin", "/result"]
                        .map(|pointer| text_at(item, pointer)),
                )
                .collect()
        },
    );
    Ok(ExitCode::Done)
}

async fn filter(
    arguments: &Audit,
    client: &Client,
) -> Result<Vec<(&'static str, String)>, Failure> {
    let mut filter = Vec::new();
    if let Some(plugin) = &arguments.plugin {
        // A key alone is completed while its plugin is there.
        let name = if plugin.contains(':') {
            plugin.clone()
        } else {
            let path = format!("/v1/installations/{}", segment(plugin));
            text_at(&client.get(&path).await?, "/plugin")
        };
        filter.push(("plugin", name));
    }
    if let Some(user) = &arguments.user {
        filter.push(("who", user.clone()));
    }
    for (name, time) in [("since", arguments.since), ("until", arguments.until)] {
        if let Some(time) = time {
            filter.push((name, time.as_millisecond().to_string()));
        }
    }
    Ok(filter)
}
