//! eKuiper's `/data/export` and `/data/import`: streams, rules, plugins with their packages, configuration keys
//! and uploaded files as one document, out and in again.
//!
//! What the document may hold besides, and this server has not (tables, native plugins, connections,
//! schemas, services, scripts), is empty on the way out, and answered with a reason for each entry on the
//! way in. What could not be put into a document stands in it under `notCarried`, with the reason.

use std::collections::BTreeMap;

use axum::extract::{Query, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use plugyard_flow::{FlowService, RuleNeeds};
use plugyard_http::{
    ApiResult, Caller, Envelope, Language, Principal, RouteRight, Unhurried, ekuiper,
};
use plugyard_model::rights::Right;
use plugyard_model::{Lang, Problem};
use plugyard_portable::{Carried, Room, Transfer};
use plugyard_symbol::SymbolKind;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Larger documents are refused.
const LIMIT: usize = 128 * 1024 * 1024;
/// Bytes of uploads and packages that a document carries at most; coded as text and quoted twice they stay
/// below [`LIMIT`].
const ROOM: u64 = 64 * 1024 * 1024;
/// Said of streams and rules that end with the server: a document is for what stays.
const TEMPORARY: &str = "it is temporary";
/// Said of what this server has not.
const NOT_HERE: &str = "not supported by this server";

/// What the document is made of and goes into.
#[derive(Clone)]
pub(super) struct Data {
    pub(super) flow: FlowService,
    pub(super) plugins: Transfer,
}

pub(super) fn routes(data: Data) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(export, export_rules))
        .routes(routes!(import))
        .layer(axum::extract::DefaultBodyLimit::max(LIMIT))
        .with_state(data)
}

/// Both concern everything there is.
pub(super) fn rights() -> Vec<RouteRight> {
    let right = |method, path| RouteRight {
        method,
        path,
        right: Right::Admin,
        envelope: Envelope::Ekuiper,
    };
    vec![
        right(Method::GET, "/data/export"),
        right(Method::POST, "/data/export"),
        right(Method::POST, "/data/import"),
    ]
}

/// Everything by name, each as text; in an answer to an import, why an entry was not taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, rename_all = "camelCase")]
#[schema(as = DataDocument)]
struct Document {
    /// Statements.
    streams: Carried,
    tables: Carried,
    /// JSON of rules.
    rules: Carried,
    native_plugins: Carried,
    /// Requests to install, as JSON.
    portable_plugins: Carried,
    /// Configuration keys of a source, as JSON.
    source_config: Carried,
    /// Configuration keys of a sink, as JSON.
    sink_config: Carried,
    connection_config: Carried,
    #[serde(rename = "Service")]
    service: Carried,
    #[serde(rename = "Schema")]
    schema: Carried,
    /// Uploaded files and packages of plugins, as JSON.
    uploads: Carried,
    scripts: Carried,
    /// Only on the way out: what is missing in the document, and why.
    #[serde(skip_serializing_if = "Carried::is_empty")]
    not_carried: Carried,
}

/// What an import was answered.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "PascalCase")]
#[schema(as = DataImported)]
struct Imported {
    error_msg: String,
    config_response: Document,
}

/// Where the document to import is.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
#[schema(as = DataImport)]
struct Asked {
    /// The document as text.
    content: String,
    /// Or its address: `http`, `https`, or `file` for a file of the server.
    file: String,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Manner {
    /// `1`: add to what is there, instead of taking its place.
    #[serde(default)]
    partial: String,
}

/// Streams, rules, plugins, configuration keys and uploads as one document.
#[utoipa::path(get, path = "/data/export", tag = "server", operation_id = "data_export",
    responses((status = 200, description = "The document", body = Document)))]
async fn export(State(data): State<Data>, _: Unhurried) -> ApiResult<Response> {
    let mut room = Room::new(ROOM);
    let mut uploads = data.plugins.uploads(&mut room).await;
    let portable_plugins = data.plugins.plugins(None, &mut uploads, &mut room).await?;
    let missing = &mut room.missing;
    Ok(sent(&Document {
        streams: data.lasting_streams(data.streams(), missing),
        rules: data.lasting_rules(missing),
        portable_plugins,
        source_config: data.plugins.keys(SymbolKind::Source, None),
        sink_config: data.plugins.keys(SymbolKind::Sink, None),
        uploads,
        not_carried: room.missing,
        ..Document::default()
    }))
}

/// Some rules with what they need: their streams, the plugins behind them and the configuration keys they name.
#[utoipa::path(post, path = "/data/export", tag = "server", operation_id = "data_export_rules",
    request_body(content = Vec<String>, description = "Ids of rules"),
    responses((status = 200, description = "The document", body = Document),
        (status = 400, description = "No list of ids", body = String)))]
async fn export_rules(State(data): State<Data>, _: Unhurried, body: String) -> ApiResult<Response> {
    let ids: Vec<String> = match serde_json::from_str(&body) {
        Ok(ids) => ids,
        Err(error) => {
            return Ok(refused(&format!(
                "Invalid body: Error decoding json: {error}"
            )));
        }
    };
    let mut document = Document::default();
    let mut needs = RuleNeeds::default();
    for id in ids {
        if data.flow.is_temporary_rule(&id) {
            let place = format!("rules.{id}");
            document.not_carried.insert(place, TEMPORARY.to_owned());
            continue;
        }
        match (data.flow.rule_json(&id), data.flow.rule_needs(&id)) {
            (Ok(json), Ok(of_rule)) => {
                document.rules.insert(id, json.to_string());
                needs.streams.extend(of_rule.streams);
                needs.sources.extend(of_rule.sources);
                needs.sinks.extend(of_rule.sinks);
                needs.functions.extend(of_rule.functions);
            }
            (Err(error), _) | (_, Err(error)) => {
                let place = format!("rules.{id}");
                document.not_carried.insert(place, error.to_string());
            }
        }
    }
    let mut streams = data.streams();
    streams.retain(|name, _| needs.streams.contains(name));
    document.streams = data.lasting_streams(streams, &mut document.not_carried);
    document.source_config = data.plugins.keys(SymbolKind::Source, Some(&needs.sources));
    document.sink_config = data.plugins.keys(SymbolKind::Sink, Some(&needs.sinks));
    let named = |kind, pairs: &'_ [(String, String)]| -> Vec<(SymbolKind, String)> {
        pairs.iter().map(|pair| (kind, pair.0.clone())).collect()
    };
    let mut symbols = named(SymbolKind::Source, &needs.sources);
    symbols.extend(named(SymbolKind::Sink, &needs.sinks));
    let functions = needs.functions.into_iter();
    symbols.extend(functions.map(|name| (SymbolKind::Function, name)));
    let owners = data
        .plugins
        .owners(symbols.iter().map(|(kind, name)| (*kind, name.as_str())));
    let mut room = Room::new(ROOM);
    document.portable_plugins = data
        .plugins
        .plugins(Some(&owners), &mut document.uploads, &mut room)
        .await?;
    document.not_carried.extend(room.missing);
    Ok(sent(&document))
}

/// As eKuiper sends a document: as a file to be kept.
fn sent(document: &Document) -> Response {
    let mut response = ekuiper::document(document);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "Attachment"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refused(text: &str) -> Response {
    ekuiper::failure(StatusCode::BAD_REQUEST, 1001, text)
}

/// Puts a document in the place of all streams, rules, plugins and configuration keys, or beside them.
///
/// A plugin that is installed by the very request in the document goes on as it is. Uploads that are not
/// in the document stay.
#[utoipa::path(post, path = "/data/import", tag = "server", operation_id = "data_import",
    params(Manner), request_body = Asked,
    responses((status = 200, description = "All of it was taken", body = Imported),
        (status = 400, description = "What was not taken, and why; the rest was", body = String)))]
async fn import(
    State(data): State<Data>,
    Query(manner): Query<Manner>,
    Language(lang): Language,
    _: Unhurried,
    Caller(who): Caller,
    body: String,
) -> ApiResult<Response> {
    let asked: Asked = match serde_json::from_str(&body) {
        Ok(asked) => asked,
        Err(error) => {
            return Ok(refused(&format!(
                "Invalid body: Error decoding json: {error}"
            )));
        }
    };
    let content = match (asked.content.is_empty(), asked.file.is_empty()) {
        (false, false) => {
            return Ok(refused(
                "Invalid body: Cannot specify both content and file",
            ));
        }
        (true, true) => return Ok(refused("Invalid body: must specify content or file")),
        (true, false) => match data.plugins.fetch(&who, &asked.file, LIMIT as u64).await {
            Ok(content) => content,
            Err(reason) => return Ok(refused(&reason)),
        },
        (false, true) => asked.content,
    };
    // Read as a whole before anything is taken away.
    let document = match read(&content) {
        Ok(document) => document,
        Err(error) => {
            return Ok(refused(&format!(
                "configuration unmarshal with error {error}"
            )));
        }
    };
    // A client that goes away does not leave half of it behind.
    let partial = manner.partial == "1";
    let done =
        tokio::spawn(async move { Box::pin(data.take(&who, document, partial, lang)).await });
    let failed = match done.await {
        Ok(failed) => failed?,
        Err(error) => return Ok(refused(&error.to_string())),
    };
    if failed == Document::default() {
        let imported = Imported {
            error_msg: String::new(),
            config_response: failed,
        };
        return Ok(ekuiper::document(&imported).into_response());
    }
    Ok(refused(&serde_json::to_string(&failed).unwrap_or_default()))
}

/// Reads a document, which has to be an object: a list would be read as one with nothing in it, which takes
/// everything away.
fn read(content: &str) -> serde_json::Result<Document> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(content)?;
    serde_json::from_value(object.into())
}

/// The entries that are not temporary; of the others it is noted that they are missing.
fn lasting(
    kind: &str,
    entries: Carried,
    missing: &mut Carried,
    is_temporary: impl Fn(&str) -> bool,
) -> Carried {
    let (temporary, lasting): (Carried, Carried) = entries
        .into_iter()
        .partition(|(name, _)| is_temporary(name));
    let names = temporary.into_keys();
    missing.extend(names.map(|name| (format!("{kind}.{name}"), TEMPORARY.to_owned())));
    lasting
}

impl Data {
    fn streams(&self) -> Carried {
        let statement = |name: String| {
            let described = self.flow.describe_stream(&name).ok()?;
            let statement = described.get("Statement")?.as_str()?.to_owned();
            Some((name, statement))
        };
        let names = self.flow.streams().into_iter().map(|stream| stream.name);
        names.filter_map(statement).collect()
    }

    fn rules(&self) -> Carried {
        let json = |id: String| Some((id.clone(), self.flow.rule_json(&id).ok()?.to_string()));
        let ids = self.flow.rules().into_iter().map(|rule| rule.id);
        ids.filter_map(json).collect()
    }

    /// Those of the streams that do not end with the server; the others are noted as missing.
    fn lasting_streams(&self, streams: Carried, missing: &mut Carried) -> Carried {
        lasting("streams", streams, missing, |name| {
            self.flow.is_temporary_stream(name)
        })
    }

    /// As [`lasting_streams`](Self::lasting_streams), of all rules.
    fn lasting_rules(&self, missing: &mut Carried) -> Carried {
        lasting("rules", self.rules(), missing, |id| {
            self.flow.is_temporary_rule(id)
        })
    }

    /// Takes a document in; what was not taken, and why.
    async fn take(
        &self,
        who: &Principal,
        wanted: Document,
        partial: bool,
        lang: Lang,
    ) -> Result<Document, Problem> {
        let requests = self.plugins.here(wanted.portable_plugins, &wanted.uploads);
        if !partial {
            for id in self.rules().into_keys() {
                // Another client may have been faster.
                let _ = self.flow.delete_rule(&id).await;
            }
            for name in self.streams().into_keys() {
                let _ = self.flow.drop_stream(&name, true).await;
            }
            self.plugins.keep_only(who, &requests).await?;
        }
        let not_here = |entries: Carried| -> Carried {
            let names = entries.into_keys();
            names.map(|name| (name, NOT_HERE.to_owned())).collect()
        };
        let keys = |kind, wanted| self.plugins.set_keys(kind, wanted, partial, lang);
        Ok(Document {
            // Each before what needs it.
            uploads: self.plugins.take_uploads(who, &wanted.uploads).await,
            source_config: keys(SymbolKind::Source, &wanted.source_config).await,
            sink_config: keys(SymbolKind::Sink, &wanted.sink_config).await,
            portable_plugins: self.plugins.install(who, &requests).await,
            streams: self.take_streams(wanted.streams).await,
            rules: self.take_rules(wanted.rules).await,
            tables: not_here(wanted.tables),
            native_plugins: not_here(wanted.native_plugins),
            connection_config: not_here(wanted.connection_config),
            service: not_here(wanted.service),
            schema: not_here(wanted.schema),
            scripts: not_here(wanted.scripts),
            not_carried: Carried::new(),
        })
    }

    async fn take_streams(&self, wanted: Carried) -> Carried {
        let there = self.streams();
        let mut failed = BTreeMap::new();
        for (name, sql) in wanted {
            let done = if there.contains_key(&name) {
                self.flow.replace_stream(&name, &sql).await
            } else {
                self.flow.create_stream(&sql).await.map(drop)
            };
            if let Err(error) = done {
                failed.insert(name, error.to_string());
            }
        }
        failed
    }

    async fn take_rules(&self, wanted: Carried) -> Carried {
        let mut failed = BTreeMap::new();
        for (id, json) in wanted {
            if let Err(error) = self.flow.put_rule(&id, &json).await {
                failed.insert(id, error.to_string());
            }
        }
        failed
    }
}
