//! What eKuiper's interface was told and no package holds: configuration keys made over it, and the
//! requests that plugins were installed with.
//!
//! It is one small file below `data/` of the home directory, which a backup holds. Each change replaces
//! the file as a whole, so that a crash leaves the old or the new one.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use plugyard_model::{Problem, codes};
use plugyard_symbol::SymbolKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::config::Sections;
use crate::manifest::folder;

/// The file's name.
const FILE: &str = "portable.json";
/// Configuration keys of one symbol at most.
const MOST_KEYS: usize = 256;

/// Properties by configuration key.
pub(crate) type Keys = BTreeMap<String, Map<String, Json>>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Kept {
    path: PathBuf,
    /// Read on first use, when the home directory has been prepared.
    document: Mutex<Option<Document>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
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

impl Kept {
    /// What is kept below that directory.
    pub(crate) fn new(directory: &Path) -> Arc<Self> {
        Arc::new(Self {
            path: directory.join(FILE),
            document: Mutex::default(),
        })
    }

    /// The configuration keys of a symbol.
    pub(crate) fn keys(&self, kind: SymbolKind, symbol: &str) -> Keys {
        let all = self.read(|document| document.conf_keys.get(folder(kind))?.get(symbol).cloned());
        all.flatten().unwrap_or_default()
    }

    /// The configuration keys of all symbols of a kind.
    pub(crate) fn all_keys(&self, kind: SymbolKind) -> BTreeMap<String, Keys> {
        let all = self.read(|document| document.conf_keys.get(folder(kind)).cloned());
        all.flatten().unwrap_or_default()
    }

    /// The sections of a symbol's file with the keys of the same name on top.
    pub(crate) fn over(&self, kind: SymbolKind, symbol: &str, file: Sections) -> Sections {
        file.with(self.keys(kind, symbol))
    }

    /// Sets a configuration key, or takes it away. A source takes notice when it is started next.
    ///
    /// # Errors
    /// `portable_keys_too_many`, `portable_key_not_written`.
    pub(crate) async fn set_key(
        self: &Arc<Self>,
        kind: SymbolKind,
        symbol: &str,
        key: &str,
        properties: Option<Map<String, Json>>,
    ) -> Result<(), Problem> {
        let (symbol, key) = (symbol.to_owned(), key.to_owned());
        let place = format!("{}.{symbol}", folder(kind));
        self.change(place, move |document| {
            let symbols = document
                .conf_keys
                .entry(folder(kind).to_owned())
                .or_default();
            let keys = symbols.entry(symbol.clone()).or_default();
            match properties {
                Some(properties) => {
                    if keys.len() >= MOST_KEYS && !keys.contains_key(&key) {
                        return Err(too_many(&symbol));
                    }
                    keys.insert(key, properties);
                }
                None => {
                    keys.remove(&key);
                }
            }
            if keys.is_empty() {
                symbols.remove(&symbol);
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
        self: &Arc<Self>,
        kind: SymbolKind,
        symbol: &str,
        keys: Keys,
    ) -> Result<(), Problem> {
        let symbol = symbol.to_owned();
        let place = format!("{}.{symbol}", folder(kind));
        self.change(place, move |document| {
            let symbols = document
                .conf_keys
                .entry(folder(kind).to_owned())
                .or_default();
            if keys.len() > MOST_KEYS {
                return Err(too_many(&symbol));
            }
            if keys.is_empty() {
                symbols.remove(&symbol);
            } else {
                symbols.insert(symbol, keys);
            }
            Ok(())
        })
        .await
    }

    /// The request that a plugin was installed with, if it came by eKuiper's interface from an address and
    /// its package is still this one.
    pub(crate) fn request(&self, plugin: &str, digest: &str) -> Option<String> {
        let request = self.read(|document| document.requests.get(plugin).cloned())??;
        (request.digest == digest).then_some(request.text)
    }

    /// Remembers the request of a plugin, or forgets it. A failure is logged: the plugin itself is there,
    /// only an export will not know where it came from.
    pub(crate) async fn set_request(self: &Arc<Self>, plugin: &str, request: Option<Request>) {
        let now = self.read(|document| document.requests.get(plugin) == request.as_ref());
        if now == Some(true) {
            return;
        }
        let name = plugin.to_owned();
        let done = self.change(format!("requests.{plugin}"), move |document| {
            match request {
                Some(request) => document.requests.insert(name, request),
                None => document.requests.remove(&name),
            };
            Ok(())
        });
        if let Err(error) = done.await {
            tracing::warn!(%error, "The request that {plugin} was installed with is not kept");
        }
    }

    /// Looks at what is there; `None` when the file cannot be read, which is logged.
    fn read<T>(&self, look: impl FnOnce(&Document) -> T) -> Option<T> {
        let mut document = self.document.lock();
        match self.loaded(&mut document) {
            Ok(document) => Some(look(document)),
            Err(error) => {
                tracing::error!(%error, "What eKuiper's interface was told cannot be read");
                None
            }
        }
    }

    /// `place` is what changes, for the text of a failure.
    async fn change(
        self: &Arc<Self>,
        place: String,
        edit: impl FnOnce(&mut Document) -> Result<(), Problem> + Send + 'static,
    ) -> Result<(), Problem> {
        let kept = Arc::clone(self);
        let not_written = move |reason: String| {
            Problem::new(codes::PORTABLE_KEY_NOT_WRITTEN)
                .with("symbol", &place)
                .with("reason", reason)
        };
        let worded = not_written.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut document = kept.document.lock();
            let mut changed = kept.loaded(&mut document).map_err(&worded)?.clone();
            edit(&mut changed)?;
            kept.write(&changed).map_err(|error| {
                worded(format!(
                    "{} cannot be written: {error}",
                    kept.path.display()
                ))
            })?;
            *document = Some(changed);
            Ok(())
        });
        done.await
            .unwrap_or_else(|error| Err(not_written(error.to_string())))
    }

    fn loaded<'a>(&self, document: &'a mut Option<Document>) -> Result<&'a Document, String> {
        if document.is_none() {
            let read = match std::fs::read(&self.path) {
                Ok(bytes) => serde_json::from_slice(&bytes)
                    .map_err(|error| format!("{}: {error}", self.path.display()))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => Document::default(),
                Err(error) => return Err(format!("{}: {error}", self.path.display())),
            };
            *document = Some(read);
        }
        Ok(document.get_or_insert_default())
    }

    fn write(&self, document: &Document) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory)?;
        // Readable by the server alone: configuration keys hold passwords.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&serde_json::to_vec_pretty(document)?)?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        std::fs::File::open(directory)?.sync_all()
    }
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

    fn map(json: Json) -> Map<String, Json> {
        json.as_object().cloned().unwrap()
    }

    #[tokio::test]
    async fn what_was_told_is_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::new(directory.path());
        let fast = map(json!({"interval": 1}));
        kept.set_key(SymbolKind::Source, "s", "fast", Some(fast.clone()))
            .await
            .unwrap();
        let request = Request {
            digest: "d".into(),
            text: "{}".into(),
        };
        kept.set_request("p", Some(request)).await;
        let again = Kept::new(directory.path());
        assert_eq!(
            again.keys(SymbolKind::Source, "s"),
            Keys::from([("fast".into(), fast)])
        );
        assert_eq!(again.request("p", "d").as_deref(), Some("{}"));
        assert_eq!(again.request("p", "another"), None);
        assert!(again.keys(SymbolKind::Sink, "s").is_empty());
        again
            .set_key(SymbolKind::Source, "s", "fast", None)
            .await
            .unwrap();
        assert!(again.all_keys(SymbolKind::Source).is_empty());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_not_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        std::fs::write(&path, "{").unwrap();
        let kept = Kept::new(directory.path());
        assert!(kept.keys(SymbolKind::Source, "s").is_empty());
        let set = kept.set_key(SymbolKind::Source, "s", "k", Some(Map::new()));
        assert!(set.await.is_err());
        assert_eq!(std::fs::read_to_string(path).unwrap(), "{");
    }
}
