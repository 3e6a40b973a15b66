//! One writer of a plugin's configuration at a time in this process.
//!
//! The database would do without; this keeps news and files in the order of the revisions, and spares
//! writers deciding again and again.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use plugyard_model::PluginName;
use tokio::sync::OwnedMutexGuard;

type One = Arc<tokio::sync::Mutex<()>>;

/// A lock for each plugin that somebody writes about.
#[derive(Debug, Default)]
pub(crate) struct Locks(Mutex<HashMap<PluginName, One>>);

impl Locks {
    /// Waits for the plugin's turn.
    pub(crate) async fn hold(&self, plugin: &PluginName) -> OwnedMutexGuard<()> {
        let one = {
            let mut all = self.0.lock();
            // Those that nobody holds or waits for.
            all.retain(|_, one| Arc::strong_count(one) > 1);
            Arc::clone(all.entry(plugin.clone()).or_default())
        };
        one.lock_owned().await
    }
}
