//! What eKuiper's interface was told and no package holds: configuration keys made over it, and the
//! requests that plugins were installed with.
//!
//! Both hold passwords, so they are secrets of the platform: sealed in the database, and read into memory once
//! when the server starts. Each change is one transaction, so that a crash leaves the old or the new.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use plugyard_model::{Problem, codes};
use plugyard_platform::Platform;
use plugyard_platform::files::missing_is_fine;
use plugyard_store::secrets::{self, SecretOwner, SecretText};
use plugyard_symbol::SymbolKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::config::Sections;
use crate::manifest::folder;

/// Whose secrets these are: no installation's, because a key may be set for a symbol that goes to another plugin.
const OWNER: SecretOwner = SecretOwner(Uuid::from_u128(0x706c_7567_7961_7264_706f_7274_6162_6c65));
/// Where earlier versions kept it, in clear.
const FILE: &str = "portable.json";
/// Configuration keys of one symbol at most.
const MOST_KEYS: usize = 256;
/// How names of requests begin; those of keys begin with the folder of their symbol.
const REQUEST: &str = "request";

/// Properties by configuration key.
pub(crate) type Keys = BTreeMap<String, Map<String, Json>>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Kept {
    file: PathBuf,
    known: RwLock<Known>,
    /// One change at a time.
    changes: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
enum Known {
    /// Nobody has looked: there is nothing, for a host without a platform.
    #[default]
    Nothing,
    /// What is there cannot be read, and why.
    Unreadable(String),
    All(Document),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    /// By folder (`sources`, `sinks`), then by symbol.
    #[serde(default)]
    conf_keys: BTreeMap<String, BTreeMap<String, Keys>>,
    /// By name of the plugin.
    #[serde(default)]
    requests: BTreeMap<String, Request>,
}

/// The request that a plugin was installed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// What its package was; where another is in force, the request tells nothing any more.
    pub(crate) digest: String,
    /// The request itself.
    pub(crate) text: String,
}

impl Document {
    /// As the platform keeps it: texts by name.
    fn entries(&self) -> BTreeMap<String, String> {
        let keys = self.conf_keys.iter().flat_map(|(folder, symbols)| {
            symbols.iter().flat_map(move |(symbol, keys)| {
                keys.iter().map(move |(key, properties)| {
                    let text = Json::from(properties.clone()).to_string();
                    (format!("{folder}/{symbol}/{key}"), text)
                })
            })
        });
        let requests = self.requests.iter().map(|(plugin, request)| {
            let text = serde_json::json!(request).to_string();
            (format!("{REQUEST}/{plugin}"), text)
        });
        keys.chain(requests).collect()
    }

    /// Takes one of those in; why it is none.
    fn enter(&mut self, name: &str, text: &str) -> Result<(), String> {
        let wrong = |error: serde_json::Error| format!("{name}: {error}");
        let mut parts = name.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(REQUEST), Some(plugin), None) => {
                let request = serde_json::from_str(text).map_err(wrong)?;
                self.requests.insert(plugin.to_owned(), request);
            }
            (Some(folder), Some(symbol), Some(key)) => {
                let properties = serde_json::from_str(text).map_err(wrong)?;
                let symbols = self.conf_keys.entry(folder.to_owned()).or_default();
                let keys = symbols.entry(symbol.to_owned()).or_default();
                keys.insert(key.to_owned(), properties);
            }
            _ => return Err(format!("{name}: it is nothing of this kind's")),
        }
        Ok(())
    }
}

impl Kept {
    /// Nothing yet; `directory` is where earlier versions kept it.
    pub(crate) fn new(directory: &Path) -> Arc<Self> {
        Arc::new(Self {
            file: directory.join(FILE),
            known: RwLock::default(),
            changes: tokio::sync::Mutex::default(),
        })
    }

    /// Reads what there is, unless that was done before.
    ///
    /// # Errors
    /// `secret_store_unavailable` when there is something and no master key to it, `store_unavailable`, or that the
    /// file of an earlier version cannot be read.
    pub(crate) async fn load(&self, platform: &Platform) -> Result<(), Problem> {
        let _changes = self.changes.lock().await;
        self.loaded(platform).await.map(drop)
    }

    async fn loaded(&self, platform: &Platform) -> Result<Document, Problem> {
        if let Known::All(document) = &*self.known.read() {
            return Ok(document.clone());
        }
        let read = self.read_all(platform).await;
        *self.known.write() = match &read {
            Ok(document) => Known::All(document.clone()),
            Err(problem) => Known::Unreadable(problem.to_string()),
        };
        read
    }

    async fn read_all(&self, platform: &Platform) -> Result<Document, Problem> {
        let connection = platform.database().conn();
        let names = secrets::names(connection, OWNER).await?;
        let mut document = Document::default();
        // A server that has nothing of this needs no master key for it.
        if !names.is_empty() {
            let secrets = platform.secrets().await?;
            for name in names {
                let text = secrets.get(connection, OWNER, &name).await?;
                if let Some(text) = text {
                    let entered = document.enter(&name, text.expose());
                    entered.map_err(|reason| self.unreadable(reason))?;
                }
            }
        }
        let earlier = self.earlier().map_err(|reason| self.unreadable(reason))?;
        let Some(mut whole) = earlier else {
            return Ok(document);
        };
        // Where both know something, the file is what a crash left of an earlier taking over.
        for (name, text) in document.entries() {
            let entered = whole.enter(&name, &text);
            entered.map_err(|reason| self.unreadable(reason))?;
        }
        store(platform, &document, &whole).await?;
        let removed = missing_is_fine(std::fs::remove_file(&self.file));
        removed.map_err(|error| self.unreadable(error))?;
        Ok(whole)
    }

    fn unreadable(&self, reason: impl std::fmt::Display) -> Problem {
        Problem::new(codes::INPUT_UNREADABLE)
            .with("path", self.file.display())
            .with("reason", reason)
    }

    /// What the file of an earlier version says.
    fn earlier(&self) -> Result<Option<Document>, String> {
        match std::fs::read(&self.file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The configuration keys of a symbol.
    pub(crate) fn keys(&self, kind: SymbolKind, symbol: &str) -> Keys {
        let all = self.read(|document| document.conf_keys.get(folder(kind))?.get(symbol).cloned());
        all.unwrap_or_default()
    }

    /// The configuration keys of all symbols of a kind.
    pub(crate) fn all_keys(&self, kind: SymbolKind) -> BTreeMap<String, Keys> {
        let all = self.read(|document| document.conf_keys.get(folder(kind)).cloned());
        all.unwrap_or_default()
    }

    /// The sections of a symbol's file with the keys of the same name on top.
    ///
    /// # Errors
    /// Why the keys cannot be read: with the file alone a plugin would work with other settings than it was given.
    pub(crate) fn over(
        &self,
        kind: SymbolKind,
        symbol: &str,
        file: Sections,
    ) -> Result<Sections, String> {
        if let Known::Unreadable(reason) = &*self.known.read() {
            return Err(format!(
                "the configuration keys that were set for it cannot be read ({reason}); restart the server when they can"
            ));
        }
        Ok(file.with(self.keys(kind, symbol)))
    }

    /// Sets a configuration key, or takes it away. A source takes notice when it is started next.
    ///
    /// # Errors
    /// `portable_keys_too_many`, `portable_key_not_written`.
    pub(crate) async fn set_key(
        &self,
        platform: &Platform,
        kind: SymbolKind,
        symbol: &str,
        key: &str,
        properties: Option<Map<String, Json>>,
    ) -> Result<(), Problem> {
        let place = format!("{}.{symbol}", folder(kind));
        self.change(platform, &place, |document| {
            let symbols = document
                .conf_keys
                .entry(folder(kind).to_owned())
                .or_default();
            let keys = symbols.entry(symbol.to_owned()).or_default();
            match properties {
                Some(properties) => {
                    if keys.len() >= MOST_KEYS && !keys.contains_key(key) {
                        return Err(too_many(symbol));
                    }
                    keys.insert(key.to_owned(), properties);
                }
                None => {
                    keys.remove(key);
                }
            }
            if keys.is_empty() {
                symbols.remove(symbol);
            }
            Ok(())
        })
        .await
    }

    /// Puts these in the place of all configuration keys of a symbol; none takes them away.
    ///
    /// # Errors
    /// As [`Kept::set_key`].
    pub(crate) async fn set_keys(
        &self,
        platform: &Platform,
        kind: SymbolKind,
        symbol: &str,
        keys: Keys,
    ) -> Result<(), Problem> {
        let place = format!("{}.{symbol}", folder(kind));
        self.change(platform, &place, |document| {
            let symbols = document
                .conf_keys
                .entry(folder(kind).to_owned())
                .or_default();
            if keys.len() > MOST_KEYS {
                return Err(too_many(symbol));
            }
            if keys.is_empty() {
                symbols.remove(symbol);
            } else {
                symbols.insert(symbol.to_owned(), keys);
            }
            Ok(())
        })
        .await
    }

    /// The request that a plugin was installed with, if it came by eKuiper's interface from an address and
    /// its package is still this one.
    pub(crate) fn request(&self, plugin: &str, digest: &str) -> Option<String> {
        let request = self.read(|document| document.requests.get(plugin).cloned())?;
        (request.digest == digest).then_some(request.text)
    }

    /// Remembers the request of a plugin, or forgets it. A failure is logged: the plugin itself is there,
    /// only an export will not know where it came from.
    pub(crate) async fn set_request(
        &self,
        platform: &Platform,
        plugin: &str,
        request: Option<Request>,
    ) {
        let place = format!("requests.{plugin}");
        let done = self.change(platform, &place, |document| {
            match request {
                Some(request) => document.requests.insert(plugin.to_owned(), request),
                None => document.requests.remove(plugin),
            };
            Ok(())
        });
        if let Err(error) = done.await {
            tracing::warn!(%error, "The request that {plugin} was installed with is not kept");
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Document) -> Option<T>) -> Option<T> {
        match &*self.known.read() {
            Known::All(document) => look(document),
            Known::Nothing | Known::Unreadable(_) => None,
        }
    }

    /// `place` is what changes, for the text of a failure.
    async fn change(
        &self,
        platform: &Platform,
        place: &str,
        edit: impl FnOnce(&mut Document) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let _changes = self.changes.lock().await;
        let not_written = |problem: Problem| {
            Problem::new(codes::PORTABLE_KEY_NOT_WRITTEN)
                .with("symbol", place)
                .with("reason", problem)
        };
        let before = self.loaded(platform).await.map_err(not_written)?;
        let mut changed = before.clone();
        edit(&mut changed)?;
        if changed != before {
            let stored = store(platform, &before, &changed).await;
            stored.map_err(not_written)?;
            *self.known.write() = Known::All(changed);
        }
        Ok(())
    }
}

/// Makes of what is kept `before` what is to be kept `after`, or nothing.
async fn store(platform: &Platform, before: &Document, after: &Document) -> Result<(), Problem> {
    let (mut gone, mut new) = (before.entries(), after.entries());
    for (name, text) in after.entries() {
        if gone.remove(&name).is_some_and(|before| before == text) {
            new.remove(&name);
        }
    }
    let transaction = platform.database().begin().await?;
    if !gone.is_empty() {
        let gone = move |name: &str| gone.contains_key(name);
        secrets::forget_named(&*transaction, OWNER, gone).await?;
    }
    if !new.is_empty() {
        let secrets = platform.secrets().await?;
        for (name, text) in new {
            let text = SecretText::new(text);
            secrets.put(&transaction, OWNER, &name, &text).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}

fn too_many(symbol: &str) -> Problem {
    Problem::new(codes::PORTABLE_KEYS_TOO_MANY)
        .with("symbol", symbol)
        .with("limit", MOST_KEYS)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_kept_is_read_from_its_entries() {
        let document: Document = serde_json::from_value(json!({
            "confKeys": {"sources": {"s": {"fast": {"interval": 1}, "slow": {}}}, "sinks": {"k": {"a": {"b": [1]}}}},
            "requests": {"p": {"digest": "d", "text": "{}"}},
        }))
        .unwrap();
        let entries = document.entries();
        let names: Vec<_> = entries.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["request/p", "sinks/k/a", "sources/s/fast", "sources/s/slow"]
        );
        let mut read = Document::default();
        for (name, text) in &entries {
            read.enter(name, text).unwrap();
        }
        assert_eq!(read, document);
        for (name, text) in [("request/p", "{"), ("x", "{}"), ("sources/s", "{}")] {
            assert!(read.enter(name, text).is_err(), "{name}");
        }
    }
}
