//! The routes of this kind; each file has its own table of rights.
//!
//! Bodies are those of the registry: camelCase, times in RFC 3339. Refusals are problems like everywhere
//! under `/v1`.

mod assets;
mod bridge;
mod callbacks;
mod import;
mod market;
mod pages;
mod plugins;
mod settings;
mod url;
mod usages;
mod viewers;
mod webhooks;

use plugyard_http::{Envelope, RouteRight};
use plugyard_model::rights::Right;
use plugyard_platform::Platform;
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
            .merge(settings::router())
            .merge(market::router())
            .merge(import::router())
            .merge(viewers::router())
            .merge(usages::router())
            .merge(url::router())
            .merge(bridge::router())
            .merge(callbacks::router())
            .merge(pages::router())
            .merge(webhooks::router())
            .with_state(web)
    }
}

/// Which right each route needs.
pub fn rights() -> Vec<RouteRight> {
    // One line for each file.
    let tables: [&[Entry]; 12] = [
        import::RIGHTS,
        assets::RIGHTS,
        plugins::RIGHTS,
        settings::RIGHTS,
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
