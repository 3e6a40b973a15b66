//! What happens to plugins, told to others: before it happens, so that they can refuse, and after it did.
//!
//! Names and payloads are those of Fresns (`plugin:installing`, `{"fskey": …}`). One of `-ing` is told before
//! anything changed; an error from a listener ends the change cleanly. One of `-ed` is told in the
//! transaction that puts the change in force: what a listener writes there, such as a job that delivers
//! it, holds exactly when the change does. It can come again after a crash, with the same id.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::RwLock;
use plugyard_store::{StoreError, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Something that happens to a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Name {
    /// A plugin's files, data and record are about to come here.
    #[serde(rename = "plugin:installing")]
    Installing,
    /// They are here.
    #[serde(rename = "plugin:installed")]
    Installed,
    /// A plugin is about to be loaded.
    #[serde(rename = "plugin:activating")]
    Activating,
    /// It is loaded from now on.
    #[serde(rename = "plugin:activated")]
    Activated,
    /// A plugin is about to rest.
    #[serde(rename = "plugin:deactivating")]
    Deactivating,
    /// It is loaded no longer.
    #[serde(rename = "plugin:deactivated")]
    Deactivated,
    /// A plugin is about to go.
    #[serde(rename = "plugin:uninstalling")]
    Uninstalling,
    /// It is gone.
    #[serde(rename = "plugin:uninstalled")]
    Uninstalled,
    /// A theme is about to come.
    #[serde(rename = "theme:installing")]
    ThemeInstalling,
    /// It is here.
    #[serde(rename = "theme:installed")]
    ThemeInstalled,
    /// A theme is about to go.
    #[serde(rename = "theme:uninstalling")]
    ThemeUninstalling,
    /// It is gone.
    #[serde(rename = "theme:uninstalled")]
    ThemeUninstalled,
    /// An application that is deployed on its own stands in the table now; the payload says what it is.
    #[serde(rename = "app:handleData")]
    AppData,
    /// A plugin or theme is about to go to another version: `from`, `to`.
    #[serde(rename = "plugin:upgrading")]
    Upgrading,
    /// It is that version now: `from`, `to`.
    #[serde(rename = "plugin:upgraded")]
    Upgraded,
    /// It is the former version again: `from`, `to`, `step`, `reason`.
    #[serde(rename = "plugin:rolledBack")]
    RolledBack,
    /// Loading it ended the application twice; it is disabled now: `reason`.
    #[serde(rename = "plugin:quarantined")]
    Quarantined,
}

impl Name {
    /// Whether it is told before it happens, and can be refused.
    #[must_use]
    pub const fn is_before(self) -> bool {
        matches!(
            self,
            Self::Installing
                | Self::Activating
                | Self::Deactivating
                | Self::Uninstalling
                | Self::ThemeInstalling
                | Self::ThemeUninstalling
                | Self::Upgrading
        )
    }

    /// The word, e.g. `plugin:installing`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Installing => "plugin:installing",
            Self::Installed => "plugin:installed",
            Self::Activating => "plugin:activating",
            Self::Activated => "plugin:activated",
            Self::Deactivating => "plugin:deactivating",
            Self::Deactivated => "plugin:deactivated",
            Self::Uninstalling => "plugin:uninstalling",
            Self::Uninstalled => "plugin:uninstalled",
            Self::ThemeInstalling => "theme:installing",
            Self::ThemeInstalled => "theme:installed",
            Self::ThemeUninstalling => "theme:uninstalling",
            Self::ThemeUninstalled => "theme:uninstalled",
            Self::AppData => "app:handleData",
            Self::Upgrading => "plugin:upgrading",
            Self::Upgraded => "plugin:upgraded",
            Self::RolledBack => "plugin:rolledBack",
            Self::Quarantined => "plugin:quarantined",
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The same whenever it is told again: the change's id, and the event's name.
    pub id: String,
    /// Which.
    pub name: Name,
    /// Whose.
    pub fskey: String,
    /// `{"fskey": …}` and what the name promises. Never a secret.
    pub payload: Json,
    /// Milliseconds since 1970 (UTC).
    pub at: i64,
}

impl Event {
    /// An event of a change. `more` are members of the payload beside `fskey`.
    #[must_use]
    pub fn new(change: &str, name: Name, fskey: &str, more: Json, at: i64) -> Self {
        let mut payload = json!({ "fskey": fskey });
        if let (Some(payload), Json::Object(more)) = (payload.as_object_mut(), more) {
            payload.extend(more);
        }
        Self {
            id: format!("{change}/{}", name.as_str()),
            name,
            fskey: fskey.to_owned(),
            payload,
            at,
        }
    }
}

/// Why a listener does not let something happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{who}: {reason}")]
pub struct Veto {
    /// The listener, as its operator called it.
    pub who: String,
    /// Its reason, for people.
    pub reason: String,
}

/// Somebody who wants to know.
#[async_trait]
pub trait Listener: Send + Sync {
    /// Before it happens. Called once for each attempt, in order; takes no longer than the listener's own
    /// limit.
    ///
    /// # Errors
    /// [`Veto`] ends the change.
    async fn before(&self, event: &Event) -> Result<(), Veto>;

    /// In the transaction that makes it so, in order for each fskey. Write there and return; deliver after.
    ///
    /// # Errors
    /// When nothing can be written: the transaction is tried again. A listener's own troubles are its to log.
    async fn after(&self, event: &Event, transaction: &Transaction) -> Result<(), StoreError>;
}

/// All listeners.
#[derive(Default)]
pub(crate) struct Listeners(RwLock<Vec<Arc<dyn Listener>>>);

impl Listeners {
    pub(crate) fn add(&self, listener: Arc<dyn Listener>) {
        self.0.write().push(listener);
    }

    fn all(&self) -> Vec<Arc<dyn Listener>> {
        self.0.read().clone()
    }

    /// Tells all; the first veto counts.
    pub(crate) async fn before(&self, event: &Event) -> Result<(), Veto> {
        for listener in self.all() {
            listener.before(event).await?;
        }
        Ok(())
    }

    pub(crate) async fn after(
        &self,
        event: &Event,
        transaction: &Transaction,
    ) -> Result<(), StoreError> {
        for listener in self.all() {
            listener.after(event, transaction).await?;
        }
        Ok(())
    }
}
