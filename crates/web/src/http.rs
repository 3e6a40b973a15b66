//! The routes of this kind; each file has its own table of rights.
//!
//! Bodies are those of the registry: camelCase, times in RFC 3339. Refusals are problems like everywhere
//! under `/v1`.

mod assets;
mod bridge;
mod callbacks;
mod entitlements;
mod import;
mod market;
mod pages;
mod plugins;
mod settings;
mod switch;
mod tasks;
mod themes;
mod upkeep;
mod url;
mod usages;
mod viewers;
mod webhooks;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use plugyard_http::{Envelope, Json, RouteRight};
use plugyard_model::rights::Right;
use plugyard_model::{Problem, codes};
use plugyard_platform::Platform;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;

use crate::host::{Web, WebHost};

/// One line of a table of rights.
pub(crate) type Entry = (axum::http::Method, &'static str, Right);

impl WebHost {
    /// The routes; which right each of them needs is in [`rights`].
    pub fn routes(&self, platform: Platform) -> OpenApiRouter {
        let web = Web {
            host: self.clone(),
            platform,
        };
        // One line for each file.
        OpenApiRouter::new()
            .merge(assets::router())
            .merge(plugins::router())
            .merge(switch::router())
            .merge(upkeep::router())
            .merge(settings::router())
            .merge(market::router())
            .merge(entitlements::router())
            .merge(import::router())
            .merge(viewers::router())
            .merge(tasks::router())
            .merge(themes::router())
            .merge(usages::router())
            .merge(url::router())
            .merge(bridge::router())
            .merge(callbacks::router())
            .merge(pages::router())
            .merge(webhooks::router())
            .with_state(web)
    }
}

/// The answer to something that was made, with where it is.
fn created(location: &str, body: Value) -> Response {
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// What a list or a document includes beside what it always does: words of `known`, with commas.
fn included<const N: usize>(
    include: Option<&str>,
    known: [&'static str; N],
) -> Result<[bool; N], Problem> {
    let mut found = [false; N];
    let words = include.unwrap_or_default().split(',');
    for word in words.filter(|word| !word.is_empty()) {
        match known.iter().position(|it| *it == word) {
            Some(at) => found[at] = true,
            None => {
                let reason = format!("`include` takes `{}`, with commas", known.join("`, `"));
                return Err(Problem::new(codes::REQUEST_INVALID).with("reason", reason));
            }
        }
    }
    Ok(found)
}

/// Which right each route needs.
pub fn rights() -> Vec<RouteRight> {
    // One line for each file.
    let tables: [&[Entry]; 17] = [
        entitlements::RIGHTS,
        import::RIGHTS,
        assets::RIGHTS,
        plugins::RIGHTS,
        switch::RIGHTS,
        upkeep::RIGHTS,
        settings::RIGHTS,
        tasks::RIGHTS,
        themes::RIGHTS,
        market::RIGHTS,
        viewers::RIGHTS,
        usages::RIGHTS,
        url::RIGHTS,
        bridge::RIGHTS,
        callbacks::RIGHTS,
        pages::RIGHTS,
        webhooks::RIGHTS,
    ];
    tables
        .into_iter()
        .flatten()
        .map(|(method, path, right)| RouteRight {
            method: method.clone(),
            path,
            right: *right,
            envelope: Envelope::Native,
        })
        .collect()
}
