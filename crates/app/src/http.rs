//! The routes `/api/admin/plugins…`, with the bodies and texts of the configuration specification §4.
//!
//! They are a façade: what is installed and configured are the platform's rows, changed by operations like
//! any other, whose end these routes wait for. Every answer has the envelope of
//! [`plugyard_http::admin`].

mod actions;
mod config;
mod discover;
mod entry;
mod lifecycle;
mod plugins;
mod reply;
mod security;
mod words;

use std::sync::Arc;

use axum::http::Method;
use plugyard_http::{Envelope, RouteRight};
use plugyard_model::rights::Right;
use plugyard_model::{KindId, PluginName, Problem, codes};
use plugyard_platform::kind::Installation;
use plugyard_platform::{InstallationView, Platform};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::AppHost;
use crate::discovery::Found;
use crate::entity::Model;
use crate::host::Inner;
use crate::package::KIND;
use crate::{discovery, name, records};

/// Plugins of other kinds whose configuration these routes serve too.
const CONFIGURED_TOO: KindId = KindId::from_static("web");

/// What the routes work with.
#[derive(Clone)]
struct Routes {
    host: Arc<Inner>,
    platform: Platform,
}

impl AppHost {
    /// The routes; which right each of them needs is in [`rights`].
    pub fn routes(&self, platform: Platform) -> OpenApiRouter {
        let routes = Routes {
            host: Arc::clone(&self.0),
            platform,
        };
        OpenApiRouter::new()
            .routes(routes!(plugins::list))
            .routes(routes!(discover::discover))
            .routes(routes!(discover::rescan))
            .routes(routes!(discover::status))
            .routes(routes!(discover::discover_one))
            .routes(routes!(lifecycle::install))
            .routes(routes!(lifecycle::upgrade))
            .routes(routes!(lifecycle::uninstall))
            .routes(routes!(lifecycle::enable))
            .routes(routes!(lifecycle::disable))
            .routes(routes!(security::check))
            .routes(routes!(config::show, config::put, config::delete))
            .routes(routes!(config::values))
            .routes(routes!(config::reset))
            .routes(routes!(actions::act))
            .routes(routes!(actions::table))
            .with_state(routes)
    }
}

/// Which right each route needs.
pub fn rights() -> Vec<RouteRight> {
    use Right::{PluginInstall, PluginOperate, PluginRead, PluginRemove};
    let right = |method: Method, path, right| RouteRight {
        method,
        path,
        right,
        envelope: Envelope::Admin,
    };
    let (get, post) = (Method::GET, Method::POST);
    let (put, delete) = (Method::PUT, Method::DELETE);
    vec![
        right(get.clone(), "/api/admin/plugins", PluginRead),
        right(post.clone(), "/api/admin/plugins/discover", PluginInstall),
        right(post.clone(), "/api/admin/plugins/rescan", PluginInstall),
        right(
            get.clone(),
            "/api/admin/plugins/discovery-status",
            PluginRead,
        ),
        right(
            post.clone(),
            "/api/admin/plugins/{name}/discover",
            PluginInstall,
        ),
        right(
            post.clone(),
            "/api/admin/plugins/{name}/install",
            PluginInstall,
        ),
        right(
            post.clone(),
            "/api/admin/plugins/{name}/upgrade",
            PluginInstall,
        ),
        right(delete.clone(), "/api/admin/plugins/{name}", PluginRemove),
        right(
            post.clone(),
            "/api/admin/plugins/{name}/enable",
            PluginOperate,
        ),
        right(
            post.clone(),
            "/api/admin/plugins/{name}/disable",
            PluginOperate,
        ),
        right(
            get.clone(),
            "/api/admin/plugins/{name}/security-check",
            PluginRead,
        ),
        right(get.clone(), "/api/admin/plugins/{name}/config", PluginRead),
        right(put, "/api/admin/plugins/{name}/config", PluginOperate),
        right(delete, "/api/admin/plugins/{name}/config", PluginOperate),
        right(
            get.clone(),
            "/api/admin/plugins/{name}/config/values",
            PluginRead,
        ),
        right(
            post.clone(),
            "/api/admin/plugins/{name}/config/reset",
            PluginOperate,
        ),
        right(
            post,
            "/api/admin/plugins/{name}/config/actions",
            PluginOperate,
        ),
        right(
            get,
            "/api/admin/plugins/{name}/config/data-tables/{table}",
            PluginRead,
        ),
    ]
}

/// What is known of a plugin.
struct Known {
    plugin: PluginName,
    record: Option<Model>,
    view: Option<InstallationView>,
}

impl Known {
    /// The installation, when it is installed.
    fn installed(&self) -> Option<Installation> {
        self.view.as_ref().and_then(InstallationView::installed)
    }
}

impl Routes {
    /// The plugin that a request names. A name that is none leads nowhere, and never to the disk.
    fn named(name: &str) -> Result<PluginName, Problem> {
        let key = name.parse().ok().filter(|_| name::is_name(name));
        key.map(|key| PluginName::new(KIND, key))
            .ok_or_else(|| not_found(name))
    }

    /// What is known of it: its record and its installation.
    async fn known(&self, plugin: PluginName) -> Result<Known, Problem> {
        let record = match &self.host.database {
            Some(database) => records::find(database.conn(), plugin.key.as_str()).await?,
            None => None,
        };
        Ok(Known {
            view: self.view(&plugin).await?,
            record,
            plugin,
        })
    }

    async fn view(&self, plugin: &PluginName) -> Result<Option<InstallationView>, Problem> {
        self.platform.installation_of(plugin).await
    }

    /// The installation of a plugin whose configuration is asked for: of this kind, or of the other that
    /// has its directories beside ours.
    async fn configured(&self, name: &str) -> Result<Installation, Problem> {
        let plugin = Self::named(name)?;
        let known = self.known(plugin).await?;
        if let Some(installation) = known.installed() {
            return Ok(installation);
        }
        let other = PluginName::new(CONFIGURED_TOO, known.plugin.key.clone());
        if let Some(view) = self.view(&other).await?
            && let Some(installation) = view.installed()
            && self.platform.config(&other).await?.is_some()
        {
            return Ok(installation);
        }
        if self.is_known(&known).await {
            Err(Problem::new(codes::PLUGIN_NOT_INSTALLED).about(&known.plugin))
        } else {
            Err(not_found(name))
        }
    }

    /// What its directory says; `None` when there is none.
    async fn look(&self, plugin: &PluginName) -> Result<Option<Found>, Problem> {
        let (home, name) = (self.host.home.clone(), plugin.key.to_string());
        let looked = tokio::task::spawn_blocking(move || discovery::look_for(&home, &name)).await;
        let looked = looked.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        looked.map_err(|error| {
            tracing::error!(%error, plugin.name = %plugin, "`plugins/` cannot be read");
            Problem::new(codes::INTERNAL).with("request", "-")
        })
    }

    /// Whether there is a record, an installation or a directory.
    async fn is_known(&self, known: &Known) -> bool {
        known.record.is_some() || known.view.is_some() || self.is_there(&known.plugin).await
    }

    /// Whether there is a directory of this kind.
    async fn is_there(&self, plugin: &PluginName) -> bool {
        let path = plugyard_platform::files::shown(&self.host.home, plugin.key.as_str());
        tokio::task::spawn_blocking(move || discovery::is_ours(&path))
            .await
            .unwrap_or(false)
    }
}

fn not_found(name: &str) -> Problem {
    // As somebody wrote it, so not much of it.
    let name: String = name.chars().take(64).collect();
    Problem::new(codes::PLUGIN_NOT_FOUND).with("plugin", name)
}

/// The plugin of an address. What is no name is one that is not here.
fn plugin_in(name: reply::Name) -> Result<PluginName, Problem> {
    let name = name.map_err(|_| not_found("?"))?;
    Routes::named(&name.0)
}
