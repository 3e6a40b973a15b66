//! One plugin in the list (configuration specification §4.3).

use plugyard_platform::InstallationView;
use serde_json::{Value as Json, json};

use super::Routes;
use super::reply::time;
use crate::discovery::Seen;
use crate::entity::Model;
use crate::host;
use crate::package::Stored;
use plugyard_platform::files;

/// Everything that an entry is made of.
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) record: Option<Model>,
    pub(super) view: Option<InstallationView>,
    /// What the directory says, where that is not stored yet.
    pub(super) seen: Option<Seen>,
}

impl Parts {
    pub(super) fn status(&self, routes: &Routes) -> &'static str {
        match self.view.as_ref().filter(|view| view.current.is_some()) {
            Some(view) if view.wanted.is_on() => "active",
            Some(_) => "installed",
            None if self.is_there(routes) => "not_installed",
            None => "missing",
        }
    }

    fn is_there(&self, routes: &Routes) -> bool {
        files::is_there(&files::shown(&routes.host.home, &self.name))
    }

    /// What the plugin says of itself: the version in force, else what was last seen.
    fn about(&self) -> Seen {
        let installed = self.view.as_ref().and_then(|view| view.current.as_ref());
        if let Some(version) = installed {
            let stored: Stored =
                serde_json::from_value(version.manifest.clone()).unwrap_or_default();
            return Seen {
                has_config: stored.config.is_some(),
                // Nothing else is ever installed.
                config_valid: true,
                stored,
            };
        }
        let seen = self
            .record
            .as_ref()
            .and_then(|record| serde_json::from_str(&record.seen).ok());
        self.seen.clone().or(seen).unwrap_or_default()
    }

    pub(super) async fn document(self, routes: &Routes) -> Json {
        let about = self.about();
        let status = self.status(routes);
        let view = self.view.as_ref().filter(|view| view.current.is_some());
        let complete = match view {
            Some(view) if about.has_config => match routes.platform.config(&view.plugin).await {
                Ok(Some(config)) => {
                    let now = host::now() / 1000;
                    config
                        .definition
                        .completeness(&config.values, now)
                        .is_empty()
                }
                _ => false,
            },
            Some(_) => true,
            None => false,
        };
        let app = &about.stored.app;
        let enabled = view.is_some_and(|view| view.wanted.is_on());
        let record = self.record.as_ref();
        let at = |of: fn(&Model) -> Option<i64>| record.and_then(of).map_or(Json::Null, time);
        let last_updated = about
            .stored
            .config
            .as_ref()
            .and_then(|config| config.last_updated.clone());
        json!({
            "id": record.map(|record| record.id),
            "name": self.name,
            "displayName": app.display_name.as_deref().unwrap_or(&self.name),
            "description": about.stored.description(),
            "version": about.stored.version(),
            "author": app.author.as_deref().unwrap_or_default(),
            "status": status,
            "installStatus": if view.is_some() { "installed" } else { "not_installed" },
            "installed": view.is_some(),
            "enabled": enabled,
            "discovered": record.is_some(),
            "hasConfig": about.has_config,
            "configValid": about.config_valid,
            "configComplete": complete,
            "category": app.category.as_deref().unwrap_or_default(),
            "dependencies": app.dependencies,
            "requirements": app.requirements,
            "installedAt": at(|it| it.installed_at),
            "enabledAt": at(|it| it.enabled_at),
            "disabledAt": at(|it| it.disabled_at),
            "uninstalledAt": at(|it| it.uninstalled_at),
            "lastUpdated": last_updated,
        })
    }
}
