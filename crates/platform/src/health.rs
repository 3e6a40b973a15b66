//! How installations are, as they last said it themselves.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt as _;
use plugyard_model::{Health, HealthState, PluginName};

use crate::Platform;
use crate::events::{self, codes};
use crate::kind::Installation;

/// How long a probe may take before the answer is that there was none.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

impl Platform {
    /// The last health known of a plugin; `unknown` when nobody has asked yet.
    pub fn health(&self, plugin: &PluginName) -> Health {
        self.0
            .health
            .lock()
            .get(plugin)
            .cloned()
            .unwrap_or(Health::new(HealthState::Unknown))
    }

    /// Asks a plugin now, and remembers the answer.
    pub async fn probe(&self, installation: &Installation) -> Health {
        let Ok(kind) = self.kind(&installation.plugin.kind) else {
            return Health::new(HealthState::Unknown);
        };
        let health = tokio::time::timeout(PROBE_LIMIT, kind.probe(installation))
            .await
            .unwrap_or_else(|_| Health::because(HealthState::Degraded, "the probe had no answer"));
        self.health_set(&installation.plugin, health.clone());
        health
    }

    /// Listens to what kinds say by themselves, until the end.
    pub(crate) fn follow_health(&self) {
        for kind in &self.0.kinds {
            let mut changes = kind.watch();
            let (platform, closing) = (self.clone(), self.0.closing.clone());
            tokio::spawn(closing.run_until_cancelled_owned(async move {
                while let Some(change) = changes.next().await {
                    platform.health_set(&change.plugin, change.health);
                }
            }));
        }
    }

    pub(crate) fn health_set(&self, plugin: &PluginName, health: Health) {
        let before = self.0.health.lock().insert(plugin.clone(), health.clone());
        if before.as_ref() != Some(&health) {
            self.health_changed();
            self.0.events.publish(
                events::plugin_topic(plugin),
                codes::HEALTH_CHANGED,
                [
                    ("plugin", plugin.to_string()),
                    ("health", health.state.as_str().to_owned()),
                    ("reason", health.reason),
                ],
            );
        }
    }

    pub(crate) fn health_forget(&self, plugin: &PluginName) {
        self.0.health.lock().remove(plugin);
        self.health_changed();
    }

    /// After what is known of it changed.
    fn health_changed(&self) {
        self.0.health_changes.fetch_add(1, Ordering::AcqRel);
    }
}
