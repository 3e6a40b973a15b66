//! The routes of portable plugins, in eKuiper's paths, bodies and words.
//!
//! They are a façade: packages are taken in and changed by the platform, as operations like any other,
//! and these routes wait for their end and answer as eKuiper would.

mod metadata;
mod plugins;
mod reply;
mod transfer;
mod uploads;

pub use transfer::{Carried, Room, Transfer};

use std::path::Path as FilePath;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use plugyard_http::{Envelope, RouteRight};
use plugyard_model::rights::Right;
use plugyard_platform::Platform;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::PortableHost;
use crate::host::Host;

/// What the routes work with.
#[derive(Clone)]
struct Routes {
    host: Arc<Host>,
    platform: Platform,
}

impl PortableHost {
    /// The routes; which right each of them needs is in [`rights`].
    pub fn routes(&self, platform: Platform) -> OpenApiRouter {
        // Packages come as streams and are bounded by the platform; a little is for what is around them.
        let limit = platform
            .settings()
            .package_limit
            .0
            .saturating_add(64 * 1024);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let routes = Routes {
            host: Arc::clone(self.inner()),
            platform,
        };
        let bodies = OpenApiRouter::new()
            .routes(routes!(plugins::list, plugins::create))
            .routes(routes!(
                plugins::describe,
                plugins::replace,
                plugins::delete
            ))
            .routes(routes!(uploads::list, uploads::create))
            .layer(DefaultBodyLimit::max(limit));
        OpenApiRouter::new()
            .merge(bodies)
            .routes(routes!(plugins::status))
            .routes(routes!(plugins::functions))
            .routes(routes!(plugins::function))
            .routes(routes!(plugins::prebuilt))
            .routes(routes!(uploads::delete))
            .routes(routes!(metadata::sources))
            .routes(routes!(metadata::source))
            .routes(routes!(metadata::source_yaml))
            .routes(routes!(metadata::source_connection))
            .routes(routes!(
                metadata::source_key_set,
                metadata::source_key_delete
            ))
            .routes(routes!(metadata::sink_key_set, metadata::sink_key_delete))
            .routes(routes!(metadata::resources))
            .routes(routes!(metadata::resource))
            .routes(routes!(metadata::operators))
            .routes(routes!(metadata::sinks))
            .routes(routes!(metadata::sink))
            .routes(routes!(metadata::sink_yaml))
            .routes(routes!(metadata::sink_connection))
            .routes(routes!(metadata::functions))
            .with_state(routes)
    }
}

/// Which right each route needs.
///
/// Installing a file of the server's disk that was not uploaded needs [`Right::Admin`] besides, which is
/// asked for when the request names one.
pub fn rights() -> Vec<RouteRight> {
    use Right::{PluginConfigure, PluginInstall, PluginRead, PluginRemove};
    let right = |method: Method, path, right| RouteRight {
        method,
        path,
        right,
        envelope: Envelope::Ekuiper,
    };
    vec![
        right(Method::GET, "/plugins/portables", PluginRead),
        right(Method::POST, "/plugins/portables", PluginInstall),
        right(Method::GET, "/plugins/portables/{name}", PluginRead),
        right(Method::PUT, "/plugins/portables/{name}", PluginInstall),
        right(Method::DELETE, "/plugins/portables/{name}", PluginRemove),
        right(Method::GET, "/plugins/portables/{name}/status", PluginRead),
        right(Method::GET, "/plugins/udfs", PluginRead),
        right(Method::GET, "/plugins/udfs/{name}", PluginRead),
        right(Method::GET, "/plugins/{symbols}/prebuild", PluginRead),
        right(Method::GET, "/metadata/sources", PluginRead),
        right(Method::GET, "/metadata/sources/{name}", PluginRead),
        right(Method::GET, "/metadata/sources/yaml/{name}", PluginRead),
        right(
            Method::POST,
            "/metadata/sources/connection/{name}",
            PluginRead,
        ),
        right(Method::GET, "/metadata/sinks", PluginRead),
        right(Method::GET, "/metadata/sinks/{name}", PluginRead),
        right(Method::GET, "/metadata/sinks/yaml/{name}", PluginRead),
        right(
            Method::POST,
            "/metadata/sinks/connection/{name}",
            PluginRead,
        ),
        right(Method::GET, "/metadata/functions", PluginRead),
        right(
            Method::PUT,
            "/metadata/sources/{name}/confKeys/{key}",
            PluginConfigure,
        ),
        right(
            Method::DELETE,
            "/metadata/sources/{name}/confKeys/{key}",
            PluginConfigure,
        ),
        right(
            Method::PUT,
            "/metadata/sinks/{name}/confKeys/{key}",
            PluginConfigure,
        ),
        right(
            Method::DELETE,
            "/metadata/sinks/{name}/confKeys/{key}",
            PluginConfigure,
        ),
        right(Method::GET, "/metadata/resources", PluginRead),
        right(Method::GET, "/metadata/resource", PluginRead),
        right(Method::GET, "/metadata/operators", PluginRead),
        right(Method::GET, "/config/uploads", PluginRead),
        right(Method::POST, "/config/uploads", PluginInstall),
        right(Method::DELETE, "/config/uploads/{name}", PluginInstall),
    ]
}

/// A path as text, the way it is told to clients.
fn shown(path: &FilePath) -> String {
    path.to_string_lossy().into_owned()
}
