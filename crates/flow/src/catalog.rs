//! Two catalogues as one.

use std::sync::Arc;

use plugyard_symbol::{Catalog, FunctionSymbol, Provider, SinkSymbol, SourceSymbol, SymbolKind};

/// Built-in symbols before those of plugins: a plugin's sink called `file` is hidden by ours.
#[derive(Clone)]
pub struct Combined {
    builtin: Arc<dyn Catalog>,
    plugins: Arc<dyn Catalog>,
}

impl std::fmt::Debug for Combined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Combined").finish_non_exhaustive()
    }
}

impl Combined {
    /// Looks in `builtin` first, then in `plugins`.
    pub fn new(builtin: Arc<dyn Catalog>, plugins: Arc<dyn Catalog>) -> Self {
        Self { builtin, plugins }
    }
}

impl Catalog for Combined {
    fn source(&self, name: &str) -> Option<Arc<dyn SourceSymbol>> {
        self.builtin
            .source(name)
            .or_else(|| self.plugins.source(name))
    }

    fn sink(&self, name: &str) -> Option<Arc<dyn SinkSymbol>> {
        self.builtin.sink(name).or_else(|| self.plugins.sink(name))
    }

    fn function(&self, name: &str) -> Option<Arc<dyn FunctionSymbol>> {
        self.builtin
            .function(name)
            .or_else(|| self.plugins.function(name))
    }

    fn names(&self, kind: SymbolKind) -> Vec<String> {
        let mut names = self.builtin.names(kind);
        names.extend(self.plugins.names(kind));
        names.sort();
        names.dedup();
        names
    }

    fn absence(&self, kind: SymbolKind, name: &str) -> Option<String> {
        let absence = self.builtin.absence(kind, name);
        absence.or_else(|| self.plugins.absence(kind, name))
    }

    fn provider(&self, kind: SymbolKind, name: &str) -> Option<Provider> {
        // What is built in hides what plugins have.
        let hidden = self.builtin.names(kind).iter().any(|known| known == name);
        if hidden {
            return None;
        }
        self.plugins.provider(kind, name)
    }
}
