//! Plugins and configuration keys as eKuiper's `/data/export` and `/data/import` carry them.
//!
//! A plugin is carried as the request it was installed with. One that did not come by such a request
//! (it was uploaded, or installed otherwise) has no address to be fetched from: its request has an empty
//! `file`, and an import leaves it alone where it is installed already.

use std::collections::BTreeMap;

use plugyard_http::Principal;
use plugyard_model::{PluginName, Problem};
use plugyard_platform::Platform;
use plugyard_symbol::SymbolKind;
use serde_json::{Map, Value as Json, json};

use super::Routes;
use super::metadata::{MASK, masked};
use super::plugins::{Asked, InstallRequest, Refusal};
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

impl Transfer {
    /// The requests that plugins were installed with, by name.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn plugins(&self) -> Result<Carried, Problem> {
        let mut plugins = Carried::new();
        for view in self.0.all().await? {
            let name = view.plugin.key.to_string();
            let version = view.current.as_ref();
            let kept = version.and_then(|it| {
                let digest = it.digest.to_string();
                self.0.host.shared.kept.request(&name, &digest)
            });
            let unknown = || {
                let options = version.map(|it| &it.options);
                let paras = options.and_then(|it| it.get("shellParas")).cloned();
                json!({"name": name, "file": "", "shellParas": paras}).to_string()
            };
            let request = kept.unwrap_or_else(unknown);
            plugins.insert(name, request);
        }
        Ok(plugins)
    }

    /// Configuration keys of sources (or sinks) by symbol, each as the text of an object; secrets masked.
    pub fn keys(&self, kind: SymbolKind) -> Carried {
        let symbols = self.0.host.shared.kept.all_keys(kind).into_iter();
        symbols
            .map(|(symbol, keys)| {
                let keys: Map<String, Json> = keys
                    .into_iter()
                    .map(|(key, properties)| (key, masked(properties.into())))
                    .collect();
                (symbol, Json::Object(keys).to_string())
            })
            .collect()
    }

    /// Uninstalls the plugins that are not installed by exactly these requests; those that are go on.
    ///
    /// # Errors
    /// The first uninstall that failed, or `store_unavailable`.
    pub async fn keep_only(&self, who: &Principal, wanted: &Carried) -> Result<(), Problem> {
        for (name, request) in self.plugins().await? {
            if wanted.get(&name) == Some(&request) {
                continue;
            }
            let Ok(key) = name.parse() else { continue };
            let plugin = PluginName::new(KIND, key);
            let platform = &self.0.platform;
            let operation = platform.uninstall(who, &plugin, false).await?;
            platform.wait(operation).await?.into_result()?;
            self.0.host.shared.kept.set_request(&name, None).await;
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
    pub async fn set_keys(&self, kind: SymbolKind, wanted: &Carried, partial: bool) -> Carried {
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
                    keys.insert(key, unmasked(properties, old)?);
                }
                kept.set_keys(kind, symbol, keys).await
            };
            if let Err(reason) = done.await {
                failed.insert(symbol.clone(), reason);
            }
        }
        if !partial {
            for symbol in before.keys().filter(|it| !wanted.contains_key(*it)) {
                if let Err(reason) = kept.set_keys(kind, symbol, Keys::new()).await {
                    failed.insert(symbol.clone(), reason);
                }
            }
        }
        failed
    }
}

/// With what is masked as it was before.
///
/// # Errors
/// Where something is masked of which nothing is known.
pub(super) fn unmasked(
    properties: Map<String, Json>,
    before: Option<&Map<String, Json>>,
) -> Result<Map<String, Json>, String> {
    let one = |(key, value): (String, Json)| {
        let old = before.and_then(|before| before.get(&key));
        let value = match (value, old) {
            (Json::String(text), Some(old)) if text == MASK => old.clone(),
            (Json::String(text), None) if text == MASK => {
                return Err(format!(
                    "`{key}` is masked, and its value is not known here"
                ));
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
