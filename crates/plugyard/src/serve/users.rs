//! Introduces rules to the platform: which of them use a plugin.

use std::collections::BTreeSet;

use async_trait::async_trait;
use plugyard_flow::FlowService;
use plugyard_model::PluginName;
use plugyard_platform::{Dependent, Dependents};
use plugyard_portable::PortableHost;
use plugyard_symbol::SymbolKind;

/// Rules and streams over the symbols of plugins.
#[derive(Debug)]
pub(crate) struct FlowUsers {
    pub(crate) flow: FlowService,
    pub(crate) portable: PortableHost,
}

#[async_trait]
impl Dependents for FlowUsers {
    async fn users_of(&self, plugin: &PluginName) -> Vec<Dependent> {
        if self.portable.kind().id() != plugin.kind {
            return Vec::new();
        }
        let mut users = BTreeSet::new();
        for kind in [SymbolKind::Source, SymbolKind::Sink, SymbolKind::Function] {
            for (symbol, owner) in self.portable.owners(kind) {
                if owner != plugin.key.as_str() {
                    continue;
                }
                let found = self.flow.users_of(kind, &symbol);
                let as_user = |kind| move |name| Dependent { kind, name };
                users.extend(found.streams.into_iter().map(as_user("stream")));
                users.extend(found.rules.into_iter().map(as_user("rule")));
            }
        }
        users.into_iter().collect()
    }
}
