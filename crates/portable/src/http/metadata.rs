//! `/metadata`: what symbols say about themselves and how they are configured, for forms in user interfaces.
//!
//! Only symbols of plugins are here, and only those whose author wrote metadata, as with eKuiper. Texts in two
//! languages have the keys `en_US` and `zh_CN` in files and `en` and `zh` in answers. Configuration keys
//! made over the interface lie over those of `sources/{source}.yaml`; a source takes notice of a change
//! when it is started next.

use std::path::PathBuf;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use plugyard_model::{Key, Problem, codes};
use plugyard_symbol::SymbolKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::Routes;
use super::reply::{Failure, document};
use super::transfer::unmasked;
use crate::config::Sections;
use crate::manifest::folder;

/// Longest file that is read; inspected packages have none over it.
const LIMIT: u64 = 1 << 20;
/// What stands for a secret.
pub(super) const MASK: &str = "******";
/// eKuiper's code for what concerns configuration keys.
const CODE: u16 = 5000;

/// One symbol in a list.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct DescribedSymbol {
    name: String,
    /// Author, help and description.
    about: Json,
    /// `portable`.
    r#type: &'static str,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// `scan` (default) or `lookup`; no plugin serves lookup sources.
    kind: Option<String>,
}

/// Sources with metadata.
#[utoipa::path(get, path = "/metadata/sources", tag = "portable", operation_id = "metadata_sources",
    params(Which), responses((status = 200, description = "By name", body = Vec<DescribedSymbol>)))]
pub(super) async fn sources(State(routes): State<Routes>, Query(which): Query<Which>) -> Response {
    if which.kind.as_deref() == Some("lookup") {
        return document(&Vec::<DescribedSymbol>::new());
    }
    document(&routes.list(SymbolKind::Source).await)
}

/// Sinks with metadata.
#[utoipa::path(get, path = "/metadata/sinks", tag = "portable", operation_id = "metadata_sinks",
    responses((status = 200, description = "By name", body = Vec<DescribedSymbol>)))]
pub(super) async fn sinks(State(routes): State<Routes>) -> Response {
    document(&routes.list(SymbolKind::Sink).await)
}

/// The metadata of functions as their authors wrote it, each once (HOST-36).
#[utoipa::path(get, path = "/metadata/functions", tag = "portable", operation_id = "metadata_functions",
    responses((status = 200, description = "All files, by function", body = Vec<Object>)))]
pub(super) async fn functions(State(routes): State<Routes>) -> Response {
    let mut all = Vec::new();
    for (symbol, _) in routes.host.registry.owners(SymbolKind::Function) {
        if let Some(metadata) = routes.metadata(SymbolKind::Function, &symbol).await {
            // One file may describe a set of functions, of which each is a symbol with a file of its own.
            if !all.contains(&metadata) {
                all.push(metadata);
            }
        }
    }
    document(&all)
}

/// How a source is configured.
#[utoipa::path(get, path = "/metadata/sources/{name}", tag = "portable", operation_id = "metadata_source",
    params(("name" = String, Path, description = "The source")),
    responses((status = 200, description = "about, libs, dataSource, properties by configuration key, node, type", body = Object),
        (status = 400, description = "No such source, or no metadata", body = String)))]
pub(super) async fn source(
    State(routes): State<Routes>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let mut metadata = routes.described(SymbolKind::Source, &name).await?;
    if let Some(Json::Object(sections)) = metadata.get_mut("properties") {
        for properties in sections.values_mut() {
            *properties = translated(properties);
        }
    }
    Ok(document(&finished(metadata)))
}

/// How a sink is configured.
#[utoipa::path(get, path = "/metadata/sinks/{name}", tag = "portable", operation_id = "metadata_sink",
    params(("name" = String, Path, description = "The sink")),
    responses((status = 200, description = "about, libs, properties, node, type", body = Object),
        (status = 400, description = "No such sink, or no metadata", body = String)))]
pub(super) async fn sink(
    State(routes): State<Routes>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let mut metadata = routes.described(SymbolKind::Sink, &name).await?;
    if let Some(properties) = metadata.get_mut("properties") {
        *properties = translated(properties);
    }
    Ok(document(&finished(metadata)))
}

/// The configuration keys of a source, secrets masked.
#[utoipa::path(get, path = "/metadata/sources/yaml/{name}", tag = "portable", operation_id = "metadata_source_yaml",
    params(("name" = String, Path, description = "The source")),
    responses((status = 200, description = "Properties by configuration key", body = Object),
        (status = 400, description = "No such source", body = String)))]
pub(super) async fn source_yaml(
    State(routes): State<Routes>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    routes.yaml(SymbolKind::Source, &name).await
}

/// The configuration keys of a sink, secrets masked.
#[utoipa::path(get, path = "/metadata/sinks/yaml/{name}", tag = "portable", operation_id = "metadata_sink_yaml",
    params(("name" = String, Path, description = "The sink")),
    responses((status = 200, description = "Properties by configuration key", body = Object),
        (status = 400, description = "No such sink", body = String)))]
pub(super) async fn sink_yaml(
    State(routes): State<Routes>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    routes.yaml(SymbolKind::Sink, &name).await
}

/// Sets a configuration key of a source, over what its file says under that name.
#[utoipa::path(put, path = "/metadata/sources/{name}/confKeys/{key}", tag = "portable", operation_id = "metadata_source_key_set",
    params(("name" = String, Path, description = "The source"), ("key" = String, Path, description = "The configuration key")),
    request_body = Object,
    responses((status = 200, description = "Set; rules take notice when they are started next"),
        (status = 400, description = "No such source, no such name, or no object", body = String)))]
pub(super) async fn source_key_set(
    State(routes): State<Routes>,
    Path((name, key)): Path<(String, String)>,
    body: String,
) -> Result<StatusCode, Failure> {
    routes.set(SymbolKind::Source, &name, &key, &body).await
}

/// Takes a configuration key of a source away; what its file says under that name stays.
#[utoipa::path(delete, path = "/metadata/sources/{name}/confKeys/{key}", tag = "portable", operation_id = "metadata_source_key_delete",
    params(("name" = String, Path, description = "The source"), ("key" = String, Path, description = "The configuration key")),
    responses((status = 200, description = "Not there any more"),
        (status = 400, description = "No such source", body = String)))]
pub(super) async fn source_key_delete(
    State(routes): State<Routes>,
    Path((name, key)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    routes.unset(SymbolKind::Source, &name, &key).await
}

/// Sets a configuration key of a sink, which an action names by `resourceId`.
#[utoipa::path(put, path = "/metadata/sinks/{name}/confKeys/{key}", tag = "portable", operation_id = "metadata_sink_key_set",
    params(("name" = String, Path, description = "The sink"), ("key" = String, Path, description = "The configuration key")),
    request_body = Object,
    responses((status = 200, description = "Set; rules take notice when they are started next"),
        (status = 400, description = "No such sink, no such name, or no object", body = String)))]
pub(super) async fn sink_key_set(
    State(routes): State<Routes>,
    Path((name, key)): Path<(String, String)>,
    body: String,
) -> Result<StatusCode, Failure> {
    routes.set(SymbolKind::Sink, &name, &key, &body).await
}

/// Takes a configuration key of a sink away.
#[utoipa::path(delete, path = "/metadata/sinks/{name}/confKeys/{key}", tag = "portable", operation_id = "metadata_sink_key_delete",
    params(("name" = String, Path, description = "The sink"), ("key" = String, Path, description = "The configuration key")),
    responses((status = 200, description = "Not there any more"),
        (status = 400, description = "No such sink", body = String)))]
pub(super) async fn sink_key_delete(
    State(routes): State<Routes>,
    Path((name, key)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    routes.unset(SymbolKind::Sink, &name, &key).await
}

/// The configuration keys that were made over this interface, each with its symbol.
#[utoipa::path(get, path = "/metadata/resources", tag = "portable", operation_id = "metadata_resources",
    responses((status = 200, description = "`sinks` and `sources`: one object for each symbol, key → symbol; null when there are none", body = Object)))]
pub(super) async fn resources(State(routes): State<Routes>) -> Response {
    let of = |kind| -> Json {
        let symbols = routes.host.shared.kept.all_keys(kind).into_iter();
        let list: Vec<Json> = symbols
            .map(|(symbol, keys)| {
                keys.into_keys()
                    .map(|key| (key, Json::from(symbol.as_str())))
                    .collect::<Map<_, _>>()
                    .into()
            })
            .collect();
        if list.is_empty() {
            Json::Null
        } else {
            list.into()
        }
    };
    document(&json!({"sinks": of(SymbolKind::Sink), "sources": of(SymbolKind::Source)}))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Sort {
    /// Only keys whose property `sourceType` is this.
    #[serde(rename = "sourceType")]
    source_type: Option<String>,
}

/// The configuration keys of all sources, secrets masked.
#[utoipa::path(get, path = "/metadata/resource", tag = "portable", operation_id = "metadata_resource",
    params(Sort), responses((status = 200, description = "Properties by configuration key, by source", body = Object)))]
pub(super) async fn resource(State(routes): State<Routes>, Query(sort): Query<Sort>) -> Response {
    let mut all = Map::new();
    for (source, _) in routes.host.registry.owners(SymbolKind::Source) {
        let Ok(sections) = routes.sections(SymbolKind::Source, &source).await else {
            continue;
        };
        let wanted = |section: &Map<String, Json>| match &sort.source_type {
            Some(wanted) => section.get("sourceType").and_then(Json::as_str) == Some(wanted),
            None => true,
        };
        let keys: Map<String, Json> = sections
            .into_iter()
            .filter(|(_, section)| wanted(section))
            .map(|(key, section)| (key, masked(Json::Object(section))))
            .collect();
        if !keys.is_empty() {
            all.insert(source, keys.into());
        }
    }
    document(&all)
}

/// What operators of graph rules say about themselves; there are no such rules here.
#[utoipa::path(get, path = "/metadata/operators", tag = "portable", operation_id = "metadata_operators",
    responses((status = 200, description = "Empty", body = Vec<Object>)))]
pub(super) async fn operators() -> Response {
    document(&Vec::<Json>::new())
}

/// Whether a source could be reached; no plugin can say.
#[utoipa::path(post, path = "/metadata/sources/connection/{name}", tag = "portable", operation_id = "metadata_source_connection",
    params(("name" = String, Path, description = "The source")),
    responses((status = 400, description = "`source <name> doesn't support ping connection`", body = String)))]
pub(super) async fn source_connection(Path(name): Path<String>) -> Failure {
    Failure::Bad(format!("source {name} doesn't support ping connection"))
}

/// Whether a sink could be reached; no plugin can say.
#[utoipa::path(post, path = "/metadata/sinks/connection/{name}", tag = "portable", operation_id = "metadata_sink_connection",
    params(("name" = String, Path, description = "The sink")),
    responses((status = 400, description = "`sink <name> doesn't support ping connection`", body = String)))]
pub(super) async fn sink_connection(Path(name): Path<String>) -> Failure {
    Failure::Bad(format!("sink {name} doesn't support ping connection"))
}

impl Routes {
    /// Where the file of a symbol is, when a plugin serves it: the directory of the version, and its path there.
    fn file(&self, kind: SymbolKind, symbol: &str, extension: &str) -> Option<(PathBuf, String)> {
        let launch = self.host.registry.find(kind, symbol)?.launch()?;
        // Its plugin's manifest names it, so that it is no path.
        let path = format!("{}/{symbol}.{extension}", folder(kind));
        Some((launch.directory.clone(), path))
    }

    async fn metadata(&self, kind: SymbolKind, symbol: &str) -> Option<Json> {
        let bytes = read(self.file(kind, symbol, "json")?).await?;
        serde_json::from_slice(&bytes).ok()
    }

    async fn list(&self, kind: SymbolKind) -> Vec<DescribedSymbol> {
        let mut list = Vec::new();
        for (name, _) in self.host.registry.owners(kind) {
            let metadata = self.metadata(kind, &name).await;
            let about = metadata.and_then(|it| it.get("about").map(about));
            list.extend(about.map(|about| DescribedSymbol {
                name,
                about,
                r#type: "portable",
            }));
        }
        list
    }

    async fn described(&self, kind: SymbolKind, name: &str) -> Result<Map<String, Json>, Failure> {
        match self.metadata(kind, name).await {
            Some(Json::Object(metadata)) if metadata.contains_key("about") => Ok(metadata),
            Some(_) => Err(worded(
                Problem::new(codes::PORTABLE_ABOUT_MISSING).with("file", format!("{name}.json")),
            )),
            None => Err(worded(unknown(name))),
        }
    }

    async fn yaml(&self, kind: SymbolKind, name: &str) -> Result<Response, Failure> {
        let masked: Map<String, Json> = self
            .sections(kind, name)
            .await?
            .into_iter()
            .map(|(key, section)| (key, masked(Json::Object(section))))
            .collect();
        Ok(document(&masked))
    }

    /// The configuration keys of a symbol: its file's, and over them those of the interface.
    async fn sections(&self, kind: SymbolKind, name: &str) -> Result<Sections, Failure> {
        let file = self
            .file(kind, name, "yaml")
            .ok_or_else(|| not_found(kind, name))?;
        let keys = self.host.shared.kept.keys(kind, name);
        let file = match read(file).await {
            Some(bytes) => Sections::parse(&bytes).map_err(Failure::Bad)?,
            None if keys.is_empty() => return Err(not_found(kind, name)),
            None => Sections::default(),
        };
        Ok(file.with(keys))
    }

    async fn set(
        &self,
        kind: SymbolKind,
        name: &str,
        key: &str,
        body: &str,
    ) -> Result<StatusCode, Failure> {
        self.known(kind, name, key)?;
        let properties = serde_json::from_str(body).map_err(|error| {
            let problem = Problem::new(codes::PORTABLE_KEY_NOT_OBJECT);
            worded(problem.with("symbol", name).with("reason", error))
        })?;
        let kept = &self.host.shared.kept;
        let before = kept.keys(kind, name);
        let properties = unmasked(properties, before.get(key)).map_err(worded)?;
        let set = kept.set_key(&self.platform, kind, name, key, Some(properties));
        let set = set.await;
        set.map_err(worded)?;
        Ok(StatusCode::OK)
    }

    async fn unset(&self, kind: SymbolKind, name: &str, key: &str) -> Result<StatusCode, Failure> {
        self.known(kind, name, key)?;
        let kept = &self.host.shared.kept;
        let unset = kept.set_key(&self.platform, kind, name, key, None);
        let unset = unset.await;
        unset.map_err(worded)?;
        Ok(StatusCode::OK)
    }

    /// Whether a plugin serves the symbol, and the key can be one.
    fn known(&self, kind: SymbolKind, name: &str, key: &str) -> Result<(), Failure> {
        if key.parse::<Key>().is_err() {
            let problem = Problem::new(codes::PORTABLE_KEY_NAME).with("key", key);
            return Err(Failure::Problem(problem));
        }
        match self.host.registry.find(kind, name) {
            Some(_) => Ok(()),
            None => Err(not_found(kind, name)),
        }
    }
}

fn unknown(symbol: &str) -> Problem {
    Problem::new(codes::PORTABLE_KEYS_SYMBOL_UNKNOWN).with("symbol", symbol)
}

fn not_found(kind: SymbolKind, name: &str) -> Failure {
    worded(unknown(&format!("{}.{name}", folder(kind))))
}

/// A refusal that concerns configuration keys.
fn worded(problem: Problem) -> Failure {
    Failure::Worded(Box::new(plugyard_http::ekuiper::problem(CODE, problem)))
}

/// What the program of the package (`install.sh`) left there, which may be anything but a file.
async fn read((directory, path): (PathBuf, String)) -> Option<Vec<u8>> {
    let read = move || plugyard_archive::read_file(directory, &path, LIMIT);
    tokio::task::spawn_blocking(read).await.ok()?.ok()
}

/// The metadata with what the host adds.
fn finished(mut metadata: Map<String, Json>) -> Map<String, Json> {
    if let Some(written) = metadata.get("about") {
        let about = about(written);
        metadata.insert("about".to_owned(), about);
    }
    metadata.insert("type".to_owned(), "portable".into());
    metadata
}

/// The block `about` as it is told.
fn about(written: &Json) -> Json {
    let get = |key: &str| written.get(key).cloned().unwrap_or(Json::Null);
    json!({
        "trial": get("trial"),
        "installed": true,
        "author": get("author"),
        "helpUrl": language(&get("helpUrl")),
        "description": language(&get("description")),
    })
}

/// A text in two languages, under the keys of the interface.
fn language(text: &Json) -> Json {
    let get = |key: &str| text.get(key).cloned().unwrap_or_else(|| "".into());
    json!({"en": get("en_US"), "zh": get("zh_CN")})
}

/// A list of properties as it is told; a default may be such a list itself.
fn translated(properties: &Json) -> Json {
    let Json::Array(properties) = properties else {
        return properties.clone();
    };
    let one = |property: &Json| {
        let Json::Object(written) = property else {
            return property.clone();
        };
        let get = |key: &str| written.get(key).cloned();
        let text = |key: &str| written.get(key).map_or(Json::Null, language);
        // eKuiper writes all of them, in this order.
        json!({
            "exist": true,
            "name": get("name").unwrap_or_else(|| "".into()),
            "default": written.get("default").map_or(Json::Null, translated),
            "type": get("type").unwrap_or_else(|| "".into()),
            "control": get("control").unwrap_or_else(|| "".into()),
            "connection_related": get("connection_related").unwrap_or(Json::Bool(false)),
            "optional": get("optional").unwrap_or(Json::Bool(false)),
            "values": get("values"),
            "hint": text("hint"),
            "label": text("label"),
        })
    };
    properties.iter().map(one).collect()
}

/// With what sounds like a secret covered.
pub(super) fn masked(value: Json) -> Json {
    match value {
        Json::Object(members) => members
            .into_iter()
            .map(|(key, value)| {
                let name = key.to_ascii_lowercase();
                let secret = [
                    "password",
                    "secret",
                    "token",
                    "passwd",
                    "private_key",
                    "accesskey",
                ]
                .iter()
                .any(|word| name.contains(word));
                let value = if secret && !value.is_object() {
                    MASK.into()
                } else {
                    masked(value)
                };
                (key, value)
            })
            .collect::<Map<_, _>>()
            .into(),
        Json::Array(items) => items.into_iter().map(masked).collect(),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_however_deep() {
        let value = json!({"url": "x", "Password": "p", "tls": {"private_key": "k"}, "list": [{"token": 1}]});
        assert_eq!(
            masked(value),
            json!({"url": "x", "Password": MASK, "tls": {"private_key": MASK}, "list": [{"token": MASK}]})
        );
    }

    #[test]
    fn properties_have_all_keys_in_one_order_also_nested_ones() {
        let property = json!([{"hint": {"en_US": "x", "zh_CN": "y"}, "name": "a", "more": 1, "default": [{"name": "b", "label": {"en_US": "z"}, "values": [1]}]}]);
        let told = translated(&property);
        assert_eq!(
            told.to_string(),
            concat!(
                r#"[{"exist":true,"name":"a","default":[{"exist":true,"name":"b","default":null,"type":"","control":"","#,
                r#""connection_related":false,"optional":false,"values":[1],"hint":null,"label":{"en":"z","zh":""}}],"#,
                r#""type":"","control":"","connection_related":false,"optional":false,"values":null,"#,
                r#""hint":{"en":"x","zh":"y"},"label":null}]"#
            )
        );
    }
}
