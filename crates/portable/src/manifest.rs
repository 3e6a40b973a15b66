//! The manifest of a portable plugin in normal form.

use std::collections::BTreeMap;

use plugyard_sandbox::PartialLimits;
use plugyard_symbol::SymbolKind;
use serde::{Deserialize, Serialize};

use crate::settings::Span;

/// What `{plugin}.json` says, checked. Written with the keys, and in the order, of eKuiper's plugin object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The plugin's name; equal to the manifest's file name.
    pub name: String,
    /// Free text, may be empty.
    #[serde(default)]
    pub version: String,
    /// How it is started.
    pub language: Language,
    /// Path of the program inside the package.
    pub executable: String,
    /// `conda`, when the interpreter is that of a conda environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_env_type: Option<String>,
    /// Name of the conda environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// Sources; `None` when the manifest does not have the key, which listings show as `null`.
    #[serde(default)]
    pub sources: Option<Vec<String>>,
    /// Sinks, likewise.
    #[serde(default)]
    pub sinks: Option<Vec<String>>,
    /// Functions, likewise.
    #[serde(default)]
    pub functions: Option<Vec<String>>,
    /// What only Plugyard reads; other hosts ignore it.
    #[serde(default, skip_serializing_if = "Block::is_default")]
    pub plugyard: Block,
}

/// How a plugin is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// The executable is a program of the operating system, whatever it was written in.
    Go,
    /// The executable is a script for the Python interpreter.
    Python,
}

impl Language {
    /// The word in the manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Python => "python",
        }
    }
}

/// The block `plugyard` of a manifest.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Per source.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, SourceBlock>,
    /// Per function.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub functions: BTreeMap<String, FunctionBlock>,
    /// One call of any of its functions, where 5 s are not the right time (HOST-32).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_timeout: Option<Span>,
    /// What its processes get along with. Can only be less than what the server gives every plugin.
    #[serde(default, skip_serializing_if = "PartialLimits::is_empty")]
    pub limits: PartialLimits,
}

/// What the block `plugyard` says of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionBlock {
    /// One call of it (HOST-32).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_timeout: Option<Span>,
}

impl Block {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What the block `plugyard` says of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceBlock {
    /// How a running instance passes from one version to the next.
    #[serde(default)]
    pub handover: Handover,
}

/// How a running source passes from one version to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Handover {
    /// The old one ends before the new one begins: nothing twice, a pause of milliseconds.
    #[default]
    Exclusive,
    /// The new one begins before the old one ends: no pause, some rows may come from both.
    Overlap,
}

impl Manifest {
    /// The names of one kind, in the manifest's order.
    pub fn symbols(&self, kind: SymbolKind) -> &[String] {
        match kind {
            SymbolKind::Source => &self.sources,
            SymbolKind::Sink => &self.sinks,
            SymbolKind::Function => &self.functions,
        }
        .as_deref()
        .unwrap_or_default()
    }

    /// All symbols: sources, sinks, functions.
    pub fn all_symbols(&self) -> impl Iterator<Item = (SymbolKind, &str)> {
        [SymbolKind::Source, SymbolKind::Sink, SymbolKind::Function]
            .into_iter()
            .flat_map(|kind| {
                self.symbols(kind)
                    .iter()
                    .map(move |name| (kind, name.as_str()))
            })
    }

    /// Whether it serves that symbol.
    pub fn serves(&self, kind: SymbolKind, name: &str) -> bool {
        self.symbols(kind).iter().any(|symbol| symbol == name)
    }

    /// How long a call of that function may take, as far as the author says (HOST-32).
    pub(crate) fn call_timeout(&self, function: &str) -> Option<Span> {
        let own = self.plugyard.functions.get(function);
        own.and_then(|it| it.call_timeout)
            .or(self.plugyard.call_timeout)
    }

    /// How that source passes to the next version.
    pub fn handover(&self, source: &str) -> Handover {
        self.plugyard
            .sources
            .get(source)
            .copied()
            .unwrap_or_default()
            .handover
    }
}

/// The word for a kind of symbol, as in `sources/`.
pub(crate) const fn folder(kind: SymbolKind) -> &'static str {
    match kind {
        SymbolKind::Source => "sources",
        SymbolKind::Sink => "sinks",
        SymbolKind::Function => "functions",
    }
}

/// The word for one symbol of a kind.
pub(crate) const fn word(kind: SymbolKind) -> &'static str {
    match kind {
        SymbolKind::Source => "source",
        SymbolKind::Sink => "sink",
        SymbolKind::Function => "function",
    }
}
