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
    /// Those of plugins that do not run, or did last.
    absent: RwLock<BTreeMap<(SymbolKind, String), Absence>>,
    /// Grows with each change.
    changes: watch::Sender<u64>,
}

/// A plugin that does not serve its symbols.
#[derive(Debug, Clone)]
struct Absence {
    plugin: String,
    removed: bool,
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
            absent: RwLock::default(),
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
        if manifest.is_some() {
            let key = plugin.name.key.as_str();
            self.absent.write().retain(|_, it| it.plugin != key);
        }
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// The plugin serves nothing of what its manifest says; `removed`: nor will it when it is enabled.
    pub(crate) fn rest(&self, plugin: &Arc<Plugin>, manifest: &Manifest, removed: bool) {
        let absence = Absence {
            plugin: plugin.name.key.to_string(),
            removed,
        };
        {
            let mut absent = self.absent.write();
            absent.retain(|_, it| it.plugin != absence.plugin);
            for (kind, symbol) in manifest.all_symbols() {
                absent.insert((kind, symbol.to_owned()), absence.clone());
            }
        }
        self.set(plugin, None);
    }

    /// Whether a symbol is served by nothing now and by that plugin last.
    pub(crate) fn was_last(&self, kind: SymbolKind, symbol: &str, plugin: &Plugin) -> bool {
        let key = (kind, symbol.to_owned());
        let absent = self.absent.read();
        let last = absent.get(&key).map(|it| it.plugin.as_str());
        last == Some(plugin.name.key.as_str()) && !self.symbols.read().contains_key(&key)
    }

    /// Why nothing serves a symbol, and what to do about it; nothing where something does or none is known to
    /// have it.
    pub(crate) fn absence(&self, kind: SymbolKind, symbol: &str) -> Option<String> {
        if self.find(kind, symbol).is_some() {
            return None;
        }
        let absent = self.absent.read();
        let Absence { plugin, removed } = absent.get(&(kind, symbol.to_owned()))?;
        Some(if *removed {
            format!(
                "plugin {plugin}, which provided it, was removed; install a plugin that provides it"
            )
        } else {
            format!(
                "plugin {plugin}, which provides it, is stopped; `plugyard enable {plugin}` starts it"
            )
        })
    }

    /// Is told of each change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use plugyard_platform::Home;

    use super::*;
    use crate::{PortableHost, PortableSettings};

    fn manifest(name: &str) -> Manifest {
        let symbol = |kind: &str| vec![format!("{name}_{kind}")];
        serde_json::from_value(serde_json::json!({
            "name": name, "language": "go", "executable": "x",
            "sources": symbol("source"), "sinks": symbol("sink"), "functions": symbol("function"),
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn fact_18_plugins_that_come_and_go_at_once_leave_exact_maps() {
        let host = PortableHost::new(PortableSettings::default(), Home::new("/nowhere"));
        let host = Arc::clone(host.inner());
        let names = ["a", "b", "c"];
        let all = |act: fn(&Registry, &Arc<Plugin>, &str)| {
            let threads = names.map(|name| {
                let host = Arc::clone(&host);
                std::thread::spawn(move || {
                    let plugin = host.plugin(&format!("portable:{name}").parse().unwrap());
                    act(&host.registry, &plugin, name);
                })
            });
            for thread in threads {
                thread.join().unwrap();
            }
        };
        all(|registry, plugin, name| registry.set(plugin, Some(&manifest(name))));
        assert_eq!(
            host.registry.names(SymbolKind::Source),
            ["a_source", "b_source", "c_source"]
        );
        let owners = host.registry.owners(SymbolKind::Function);
        let of = |name: &str| (format!("{name}_function"), name.to_owned());
        assert_eq!(owners, names.map(of));
        let found = host.registry.find(SymbolKind::Sink, "b_sink").unwrap();
        assert_eq!(found.name.key.as_str(), "b");
        assert!(host.registry.find(SymbolKind::Source, "b_sink").is_none());
        let mut thief = manifest("a");
        thief.name = "thief".into();
        let taken = host.registry.conflict(&thief).unwrap();
        assert_eq!(
            (taken.symbol.as_str(), taken.owner.as_str()),
            ("a_source", "a"),
            "HOST-1"
        );
        all(|registry, plugin, _| registry.set(plugin, None));
        for kind in [SymbolKind::Source, SymbolKind::Sink, SymbolKind::Function] {
            assert!(host.registry.names(kind).is_empty());
        }
    }
}
