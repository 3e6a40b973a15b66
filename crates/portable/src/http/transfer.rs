//! Plugins, configuration keys and uploaded files as eKuiper's `/data/export` and `/data/import` carry them.
//!
//! A plugin is carried as the request it was installed with. One that did not come by such a request (it was
//! uploaded, or installed otherwise) has no address to be fetched from: its package is carried among the
//! uploads, and its request names it there. Wherever a request names a file below a directory `uploads`, an
//! import takes the document's own upload of that name. Options of an installation are in the request as
//! `options`, which eKuiper does not read; variables of its environment are not, because they may be secrets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path as FilePath;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plugyard_http::Principal;
use plugyard_model::{Digest, Lang, PluginName, Problem, codes};
use plugyard_platform::kind::Packages as _;
use plugyard_platform::{InstallationView, Platform};
use plugyard_symbol::SymbolKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::metadata::{MASK, masked};
use super::plugins::{Asked, InstallRequest, Refusal};
use super::{Routes, shown, uploads};
use crate::PortableHost;
use crate::kept::Keys;
use crate::package::KIND;

/// Texts by name: what is carried, or why something was not taken.
pub type Carried = BTreeMap<String, String>;

/// What `/data/export` and `/data/import` do with what this kind has.
#[derive(Clone)]
pub struct Transfer(Routes);

impl std::fmt::Debug for Transfer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transfer").finish_non_exhaustive()
    }
}

impl PortableHost {
    /// Carries plugins and configuration keys out and in.
    pub fn transfer(&self, platform: Platform) -> Transfer {
        Transfer(Routes {
            host: self.inner().clone(),
            platform,
        })
    }
}

/// How much of uploads and packages is carried, and what was not.
#[derive(Debug)]
pub struct Room {
    left: u64,
    /// Why something is not in the document, by its place there (`uploads.x.bin`).
    pub missing: Carried,
}

/// Those of a request.
type Members = Map<String, Json>;

impl Room {
    /// For so many bytes.
    pub fn new(bytes: u64) -> Self {
        Self {
            left: bytes,
            missing: Carried::new(),
        }
    }

    /// A file's content, when there is room for it.
    async fn take(&mut self, place: String, path: &FilePath) -> Option<Vec<u8>> {
        let read = async {
            let size = tokio::fs::metadata(path).await?.len();
            if size > self.left {
                return Ok(Err(size));
            }
            tokio::fs::read(path).await.map(Ok)
        };
        let reason = match read.await {
            Ok(Ok(bytes)) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                return Some(bytes);
            }
            Ok(Err(size)) => format!(
                "it has {size} bytes, and the document has room for {}",
                self.left
            ),
            Err(error) => error.to_string(),
        };
        self.missing.insert(place, reason);
        None
    }
}

/// An upload as the document has it: what `POST /config/uploads` takes.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CarriedFile {
    name: String,
    content: String,
    /// An address to be fetched from; not written by this server.
    file: String,
    /// The content where it is no text; eKuiper does not read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_base64: Option<String>,
}

impl CarriedFile {
    fn text(name: &str, bytes: Vec<u8>) -> String {
        let (content, content_base64) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => (String::new(), Some(STANDARD.encode(error.into_bytes()))),
        };
        let file = Self {
            name: name.to_owned(),
            content,
            file: String::new(),
            content_base64,
        };
        json!(file).to_string()
    }
}

impl Transfer {
    /// The requests that plugins were installed with, by name; packages that no address leads to are put to
    /// `uploads`. `only` limits it to some plugins.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn plugins(
        &self,
        only: Option<&[String]>,
        uploads: &mut Carried,
        room: &mut Room,
    ) -> Result<Carried, Problem> {
        let mut plugins = Carried::new();
        for view in self.0.all().await? {
            let name = view.plugin.key.to_string();
            if only.is_some_and(|only| !only.contains(&name)) {
                continue;
            }
            let Some((request, package)) = self.request(&view) else {
                continue;
            };
            let place = format!("portablePlugins.{name}");
            let (request, password) = without_password(request);
            if password {
                let told = "the password in the address of its package".to_owned();
                room.missing.insert(place.clone(), told);
            }
            if let Some((file, digest)) = package
                && !uploads.contains_key(&file)
            {
                let content = match self.0.platform.file(&digest).await {
                    Ok(path) => room.take(place.clone(), &path).await,
                    Err(error) => {
                        room.missing.insert(place.clone(), error.text);
                        None
                    }
                };
                if let Some(content) = content {
                    uploads.insert(file.clone(), CarriedFile::text(&file, content));
                }
            }
            let variables = view.current.as_ref().and_then(|it| it.options.get("env"));
            if let Some(Json::Object(variables)) = variables
                && !variables.is_empty()
            {
                let names: Vec<&str> = variables.keys().map(String::as_str).collect();
                let told = format!("variables of its environment: {}", names.join(", "));
                room.missing
                    .entry(place)
                    .and_modify(|reason| *reason = format!("{reason}; {told}"))
                    .or_insert_with(|| told.clone());
            }
            plugins.insert(name, Json::Object(request).to_string());
        }
        Ok(plugins)
    }

    /// The request that brings back what is installed, and where no address leads to its package, the name
    /// that the package has among the uploads.
    fn request(&self, view: &InstallationView) -> Option<(Members, Option<(String, Digest)>)> {
        let version = view.current.as_ref()?;
        let (name, digest) = (view.plugin.key.to_string(), version.digest.to_string());
        let kept = self.0.host.shared.kept.request(&name, &digest);
        let kept = kept.and_then(|text| serde_json::from_str::<Map<String, Json>>(&text).ok());
        let mut options = version.options.as_object().cloned().unwrap_or_default();
        let paras = options.shift_remove("shellParas");
        options.shift_remove("env");
        let (mut request, package) = if let Some(kept) = kept {
            (kept, None)
        } else {
            let short: String = digest
                .trim_start_matches("sha256:")
                .chars()
                .take(12)
                .collect();
            let file = format!("{name}-{short}.zip");
            let request = Map::from_iter([
                ("name".to_owned(), name.into()),
                ("file".to_owned(), self.upload_address(&file).into()),
                ("shellParas".to_owned(), paras.unwrap_or_default()),
            ]);
            (request, Some((file, version.digest)))
        };
        if !options.is_empty() {
            request.insert("options".to_owned(), options.into());
        }
        Some((request, package))
    }

    /// The address of an upload of that name.
    fn upload_address(&self, name: &str) -> String {
        let path = self.0.platform.home().uploads().join(name);
        let path = std::path::absolute(&path).unwrap_or(path);
        let mut address = String::from("file://");
        for byte in shown(&path).bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                    address.push(char::from(byte));
                }
                other => {
                    // Writing to a `String` does not fail.
                    let _ = write!(address, "%{other:02X}");
                }
            }
        }
        address
    }

    /// Requests whose file is one of these uploads, wherever the document was written, as requests for the
    /// upload here.
    pub fn here(&self, requests: Carried, uploads: &Carried) -> Carried {
        let here = |text: String| {
            let mut request: Map<String, Json> = serde_json::from_str(&text).ok()?;
            let path = request.get("file")?.as_str()?.strip_prefix("file://")?;
            let path = shown(&super::plugins::decoded(path)?);
            let name = path
                .match_indices("/uploads/")
                .find_map(|(at, found)| uploads.get_key_value(&path[at + found.len()..]))?
                .0;
            let address = self.upload_address(name);
            request.insert("file".to_owned(), address.into());
            Some(Json::Object(request).to_string())
        };
        requests
            .into_iter()
            .map(|(name, text)| {
                let moved = here(text.clone());
                (name, moved.unwrap_or(text))
            })
            .collect()
    }

    /// The uploaded files by name.
    pub async fn uploads(&self, room: &mut Room) -> Carried {
        let directory = self.0.platform.home().uploads();
        let mut files = Carried::new();
        for path in uploads::all(directory.clone()).await {
            let name = path
                .strip_prefix(&directory)
                .ok()
                .and_then(FilePath::to_str);
            let Some(name) = name.map(str::to_owned) else {
                continue;
            };
            if let Some(content) = room.take(format!("uploads.{name}"), &path).await {
                let text = CarriedFile::text(&name, content);
                files.insert(name, text);
            }
        }
        files
    }

    /// Puts uploads to those there are; why others were not taken, by name.
    pub async fn take_uploads(&self, who: &Principal, wanted: &Carried) -> Carried {
        let mut failed = Carried::new();
        for (name, text) in wanted {
            if let Err(reason) = self.take_upload(who, name, text).await {
                failed.insert(name.clone(), reason);
            }
        }
        failed
    }

    async fn take_upload(&self, who: &Principal, name: &str, text: &str) -> Result<(), String> {
        let undecodable = |error: &dyn std::fmt::Display| {
            format!("invalid body: Error decoding file json: {error}")
        };
        let file: CarriedFile = serde_json::from_str(text).map_err(|error| undecodable(&error))?;
        let name = if file.name.is_empty() {
            name
        } else {
            &file.name
        };
        let content = match file.content_base64 {
            _ if !file.file.is_empty() => uploads::Content::At(file.file),
            Some(coded) => {
                let bytes = STANDARD
                    .decode(coded)
                    .map_err(|error| undecodable(&error))?;
                uploads::Content::Bytes(bytes)
            }
            None => uploads::Content::Bytes(file.content.into_bytes()),
        };
        self.0.upload(who, name, content).await.map(drop)
    }

    /// The names of the plugins that serve these symbols.
    pub fn owners<'a>(&self, symbols: impl Iterator<Item = (SymbolKind, &'a str)>) -> Vec<String> {
        let registry = &self.0.host.registry;
        let mut names: Vec<String> = symbols
            .filter_map(|(kind, symbol)| registry.find(kind, symbol))
            .map(|plugin| plugin.name.key.to_string())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// What is at an address, as text of so many bytes at most.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub async fn fetch(&self, who: &Principal, address: &str, most: u64) -> Result<String, String> {
        let staging = self.0.platform.home().staging();
        let passing = tempfile::NamedTempFile::new_in(staging)
            .map_err(|error| error.to_string())?
            .into_temp_path();
        self.0.bring(who, address, &passing).await?;
        let size = tokio::fs::metadata(&passing).await;
        if size.map_err(|error| error.to_string())?.len() > most {
            return Err(format!("it is larger than {most} bytes"));
        }
        let text = tokio::fs::read_to_string(&passing).await;
        text.map_err(|error| error.to_string())
    }

    /// Configuration keys of sources (or sinks) by symbol, each as the text of an object; secrets masked.
    /// `only` limits them to some pairs of symbol and key.
    pub fn keys(&self, kind: SymbolKind, only: Option<&[(String, String)]>) -> Carried {
        let wanted = |symbol: &str, key: &str| {
            only.is_none_or(|only| only.iter().any(|it| it.0 == symbol && it.1 == key))
        };
        let symbols = self.0.host.shared.kept.all_keys(kind).into_iter();
        symbols
            .map(|(symbol, keys)| {
                let keys: Map<String, Json> = keys
                    .into_iter()
                    .filter(|(key, _)| wanted(&symbol, key))
                    .map(|(key, properties)| (key, masked(properties.into())))
                    .collect();
                (symbol, keys)
            })
            .filter(|(_, keys)| !keys.is_empty())
            .map(|(symbol, keys)| (symbol, Json::Object(keys).to_string()))
            .collect()
    }

    /// Uninstalls the plugins that are not installed by exactly these requests; those that are go on.
    ///
    /// # Errors
    /// The first uninstall that failed, or `store_unavailable`.
    pub async fn keep_only(&self, who: &Principal, wanted: &Carried) -> Result<(), Problem> {
        for view in self.0.all().await? {
            let name = view.plugin.key.to_string();
            // As an export tells it.
            let request = self.request(&view).map(|(request, _)| {
                let (request, _) = without_password(request);
                Json::Object(request).to_string()
            });
            if request.is_some() && wanted.get(&name) == request.as_ref() {
                continue;
            }
            let plugin = view.plugin;
            let platform = &self.0.platform;
            let operation = platform.uninstall(who, &plugin, false).await?;
            platform.wait(operation).await?.into_result()?;
            let kept = &self.0.host.shared.kept;
            kept.set_request(&self.0.platform, &name, None).await;
        }
        Ok(())
    }

    /// Installs the plugins that are not there yet; why others were not, by name.
    pub async fn install(&self, who: &Principal, wanted: &Carried) -> Carried {
        let mut failed = Carried::new();
        for (name, request) in wanted {
            if let Err(reason) = self.install_one(who, name, request).await {
                failed.insert(name.clone(), reason);
            }
        }
        failed
    }

    async fn install_one(&self, who: &Principal, name: &str, request: &str) -> Result<(), String> {
        let mut request: InstallRequest =
            serde_json::from_str(request).map_err(|error| error.to_string())?;
        request.name = name.to_owned();
        let told = |refusal: Refusal| match refusal {
            Refusal::Text(text) => text,
            Refusal::Problem(problem) => super::reply::cause(&problem),
        };
        if let Ok(key) = name.parse() {
            let plugin = PluginName::new(KIND, key);
            let there = self.0.installed(&plugin).await;
            if there.map_err(|problem| told(problem.into()))?.is_some() {
                return Ok(());
            }
        }
        let asked = Asked {
            request,
            upload: None,
        };
        let wanted = self.0.check(who, asked).await.map_err(told)?;
        self.0.install(who, wanted).await.map_err(told)
    }

    /// Puts configuration keys in the place of those there are (with `partial`, beside them); why some were
    /// not taken, by symbol. A value that is masked stays what it was.
    pub async fn set_keys(
        &self,
        kind: SymbolKind,
        wanted: &Carried,
        partial: bool,
        lang: Lang,
    ) -> Carried {
        let kept = &self.0.host.shared.kept;
        let before = kept.all_keys(kind);
        let mut failed = Carried::new();
        let none = BTreeMap::new();
        for (symbol, text) in wanted {
            let there = before.get(symbol).unwrap_or(&none);
            let done = async {
                let read: BTreeMap<String, Map<String, Json>> =
                    serde_json::from_str(text).map_err(|error| error.to_string())?;
                let mut keys = if partial { there.clone() } else { Keys::new() };
                for (key, properties) in read {
                    let old = there.get(&key);
                    let properties = unmasked(properties, old);
                    keys.insert(key, properties.map_err(|problem| problem.detail(lang))?);
                }
                let set = kept.set_keys(&self.0.platform, kind, symbol, keys);
                let set = set.await;
                set.map_err(|problem| problem.detail(lang))
            };
            if let Err(reason) = done.await {
                failed.insert(symbol.clone(), reason);
            }
        }
        if !partial {
            for symbol in before.keys().filter(|it| !wanted.contains_key(*it)) {
                let unset = kept.set_keys(&self.0.platform, kind, symbol, Keys::new());
                if let Err(problem) = unset.await {
                    failed.insert(symbol.clone(), problem.detail(lang));
                }
            }
        }
        failed
    }
}

/// A request whose address has no password in it, and whether it had one.
fn without_password(mut request: Members) -> (Members, bool) {
    let open = request.get("file").and_then(Json::as_str).and_then(|file| {
        let (scheme, rest) = file.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (user, host) = rest[..end].rsplit_once('@')?;
        let (user, _) = user.split_once(':')?;
        Some(format!("{scheme}://{user}@{host}{}", &rest[end..]))
    });
    match open {
        Some(open) => {
            request.insert("file".to_owned(), open.into());
            (request, true)
        }
        None => (request, false),
    }
}

/// With what is masked as it was before.
///
/// # Errors
/// `portable_key_masked`, where something is masked of which nothing is known.
pub(super) fn unmasked(
    properties: Map<String, Json>,
    before: Option<&Map<String, Json>>,
) -> Result<Map<String, Json>, Problem> {
    let one = |(key, value): (String, Json)| {
        let old = before.and_then(|before| before.get(&key));
        let value = match (value, old) {
            (Json::String(text), Some(old)) if text == MASK => old.clone(),
            (Json::String(text), None) if text == MASK => {
                return Err(Problem::new(codes::PORTABLE_KEY_MASKED).with("property", key));
            }
            (Json::Object(inner), old) => unmasked(inner, old.and_then(Json::as_object))?.into(),
            (value, _) => value,
        };
        Ok((key, value))
    };
    properties.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_masked_stays_what_it_was() {
        let map = |json: Json| json.as_object().cloned().unwrap();
        let old = map(json!({"password": "p", "tls": {"token": "t"}, "a": 1}));
        let new = map(json!({"password": MASK, "tls": {"token": MASK}, "a": 2}));
        assert_eq!(
            unmasked(new.clone(), Some(&old)),
            Ok(map(json!({"password": "p", "tls": {"token": "t"}, "a": 2})))
        );
        assert!(unmasked(new, None).is_err());
    }
}
