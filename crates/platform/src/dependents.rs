//! What would miss a plugin that goes away.

use async_trait::async_trait;
use plugyard_model::PluginName;
use serde::Serialize;

use crate::Platform;

/// Something that uses a plugin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Dependent {
    /// What it is, e.g. `rule` or `stream`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

/// Knows what uses plugins. Told to the platform by whoever puts the server together, because the platform
/// knows of nothing that stands beside it.
#[async_trait]
pub trait Dependents: std::fmt::Debug + Send + Sync {
    /// What uses a plugin now, in a fixed order and without repetition.
    async fn users_of(&self, plugin: &PluginName) -> Vec<Dependent>;
}

impl Platform {
    /// What uses a plugin now: it waits, or fails, when the plugin is disabled or uninstalled, and goes on
    /// when it is back. Nothing is refused because of it.
    pub async fn dependents(&self, plugin: &PluginName) -> Vec<Dependent> {
        match &self.settings().dependents {
            Some(known) => known.users_of(plugin).await,
            None => Vec::new(),
        }
    }
}
