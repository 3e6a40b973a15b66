//! Which plugin serves which symbol.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use plugyard_symbol::SymbolKind;
use tokio::sync::watch;

use crate::manifest::Manifest;
use crate::plugin::Plugin;

/// The three name spaces of symbols, over all plugins.
#[derive(Debug)]
pub(crate) struct Registry {
    symbols: RwLock<BTreeMap<(SymbolKind, String), Arc<Plugin>>>,
    /// Grows with each change.
    changes: watch::Sender<u64>,
}

/// A symbol that another plugin serves (HOST-1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) kind: SymbolKind,
    pub(crate) symbol: String,
    pub(crate) owner: String,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            symbols: RwLock::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// The plugin that serves a symbol.
    pub(crate) fn find(&self, kind: SymbolKind, symbol: &str) -> Option<Arc<Plugin>> {
        // Two lookups of a name behind a lock that is written only when a plugin changes.
        self.symbols.read().get(&(kind, symbol.to_owned())).cloned()
    }

    /// All names of a kind, sorted.
    pub(crate) fn names(&self, kind: SymbolKind) -> Vec<String> {
        let symbols = self.symbols.read();
        symbols
            .keys()
            .filter(|key| key.0 == kind)
            .map(|key| key.1.clone())
            .collect()
    }

    /// All symbols of a kind with the keys of their plugins, sorted.
    pub(crate) fn owners(&self, kind: SymbolKind) -> Vec<(String, String)> {
        let symbols = self.symbols.read();
        let of_kind = symbols.iter().filter(|(key, _)| key.0 == kind);
        of_kind
            .map(|(key, owner)| (key.1.clone(), owner.name.key.to_string()))
            .collect()
    }

    /// The first symbol of a manifest that another plugin serves.
    pub(crate) fn conflict(&self, manifest: &Manifest) -> Option<Taken> {
        let symbols = self.symbols.read();
        manifest.all_symbols().find_map(|(kind, symbol)| {
            let owner = symbols.get(&(kind, symbol.to_owned()))?;
            (owner.name.key.as_str() != manifest.name).then(|| Taken {
                kind,
                symbol: symbol.to_owned(),
                owner: owner.name.key.to_string(),
            })
        })
    }

    /// From now on the plugin serves what the manifest says, or nothing.
    pub(crate) fn set(&self, plugin: &Arc<Plugin>, manifest: Option<&Manifest>) {
        {
            let mut symbols = self.symbols.write();
            symbols.retain(|_, owner| !Arc::ptr_eq(owner, plugin));
            for (kind, symbol) in manifest.iter().flat_map(|manifest| manifest.all_symbols()) {
                // Conflicts were refused when the change was planned; who was first keeps the name.
                symbols
                    .entry((kind, symbol.to_owned()))
                    .or_insert_with(|| Arc::clone(plugin));
            }
        }
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Is told of each change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
