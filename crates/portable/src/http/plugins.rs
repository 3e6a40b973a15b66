//! `/plugins/portables` and `/plugins/udfs`.

use std::path::PathBuf;

use axum::RequestExt as _;
use axum::extract::{Multipart, Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use plugyard_http::{About, Caller, PageQuery, Principal, Unhurried};
use plugyard_model::rights::Right;
use plugyard_model::{OperationId, PluginName, Problem, codes};
use plugyard_platform::installations::InstallationFilter;
use plugyard_platform::operations::InstallOptions;
use plugyard_platform::{InstallationView, Intake, Source, TakeIn};
use plugyard_symbol::SymbolKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::reply::{Failure, cause, document, fetch_failure, is_ours, text};
use super::uploads::{is_multipart, save};
use super::{Routes, shown};
use crate::host::shown_directory;
use crate::kept::Request as KeptRequest;
use crate::manifest::Manifest;
use crate::package::{KIND, upstream_text};
use crate::process::NO_HANDSHAKE;

/// A plugin as eKuiper shows it; the order of the keys is part of the format.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PluginObject {
    name: String,
    version: String,
    language: &'static str,
    /// Absolute path.
    executable: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    virtual_env_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<String>,
    sources: Option<Vec<String>>,
    sinks: Option<Vec<String>>,
    functions: Option<Vec<String>>,
}

/// What a request to install says. Unknown keys are ignored, missing ones are empty.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct InstallRequest {
    pub(super) name: String,
    /// `http`, `https` or `file`; ends with `.zip`.
    file: String,
    /// Arguments of `install.sh`.
    shell_paras: Option<Vec<String>>,
    /// Options of the installation: `workers`, `limits` and others. eKuiper has none.
    #[schema(value_type = Option<Object>)]
    options: Option<Map<String, Json>>,
}

/// A request with where its package is.
pub(super) struct Wanted {
    name: PluginName,
    source: Source,
    /// For people: the address, or what it is instead.
    uri: String,
    shell_paras: Vec<String>,
    options: Map<String, Json>,
    /// The file that an upload was written to; goes with this.
    file: Option<tempfile::TempPath>,
}

impl Wanted {
    /// The request again, where its package can be fetched by it once more.
    fn request(&self) -> Option<String> {
        let paras = (!self.shell_paras.is_empty()).then_some(&self.shell_paras);
        self.file.is_none().then(|| {
            json!({"name": self.name.key, "file": self.uri, "shellParas": paras}).to_string()
        })
    }
}

/// All portable plugins.
#[utoipa::path(get, path = "/plugins/portables", tag = "portable", operation_id = "portables_list",
    responses((status = 200, description = "By name", body = Vec<PluginObject>)))]
pub(super) async fn list(State(routes): State<Routes>) -> Result<Response, Failure> {
    let all = routes.all().await?;
    let objects: Vec<PluginObject> = all.iter().filter_map(|it| routes.object(it)).collect();
    Ok(document(&objects))
}

/// Installs a plugin and waits until it works.
#[utoipa::path(post, path = "/plugins/portables", tag = "portable", operation_id = "portables_create",
    request_body(content = InstallRequest, description = "JSON, or a form with `name` and `uploadFile`"),
    responses((status = 201, description = "`portable plugin <name> is created`", body = String),
        (status = 400, description = "Why not", body = String)))]
pub(super) async fn create(
    State(routes): State<Routes>,
    _: Unhurried,
    Caller(who): Caller,
    about: About,
    request: Request,
) -> Result<Response, Failure> {
    const PREFIX: &str = "portable plugin create command error";
    let asked = routes.read(request).await?;
    asked.tell(&about);
    let wanted = routes
        .check(&who, asked)
        .await
        .map_err(|error| error.during(PREFIX))?;
    let name = wanted.name.clone();
    if routes.installed(&name).await?.is_some() {
        return Err(Refusal::Text(format!("invalid name {}: duplicate", name.key)).during(PREFIX));
    }
    routes
        .install(&who, wanted)
        .await
        .map_err(|error| error.during(PREFIX))?;
    Ok(text(
        StatusCode::CREATED,
        format!("portable plugin {} is created", name.key),
    ))
}

/// One plugin.
#[utoipa::path(get, path = "/plugins/portables/{name}", tag = "portable", operation_id = "portables_describe",
    params(("name" = String, Path, description = "The plugin")),
    responses((status = 200, description = "The plugin", body = PluginObject),
        (status = 404, description = "No such plugin", body = String)))]
pub(super) async fn describe(
    State(routes): State<Routes>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let view = match name.parse() {
        Ok(key) => routes.installed(&PluginName::new(KIND, key)).await?,
        Err(_) => None,
    };
    match view.and_then(|view| routes.object(&view)) {
        Some(object) => Ok(document(&object)),
        None => Err(Failure::NotFound(format!(
            "describe portable plugin {name} error: not found"
        ))),
    }
}

/// Replaces a plugin's version under running rules, or installs it. When the new one does not work the
/// old one goes on.
#[utoipa::path(put, path = "/plugins/portables/{name}", tag = "portable", operation_id = "portables_replace",
    params(("name" = String, Path, description = "The plugin")),
    request_body(content = InstallRequest, description = "As for installing"),
    responses((status = 200, description = "`portable plugin <name> is updated`", body = String),
        (status = 400, description = "Why not; the old version goes on", body = String)))]
pub(super) async fn replace(
    State(routes): State<Routes>,
    Path(path_name): Path<String>,
    _: Unhurried,
    Caller(who): Caller,
    about: About,
    request: Request,
) -> Result<Response, Failure> {
    const PREFIX: &str = "portable plugin update command error";
    let asked = routes.read(request).await?;
    asked.tell(&about);
    let wanted = routes
        .check(&who, asked)
        .await
        .map_err(|error| error.during(PREFIX))?;
    let name = wanted.name.clone();
    let done = match routes.installed(&name).await? {
        Some(view) => Box::pin(routes.upgrade(&who, wanted, view)).await,
        None => routes.install(&who, wanted).await,
    };
    done.map_err(|error| error.during(PREFIX))?;
    // eKuiper deletes what the path names and registers what the body names.
    if path_name != name.key.as_str()
        && let Ok(key) = path_name.parse()
    {
        let other = PluginName::new(KIND, key);
        if routes.installed(&other).await?.is_some() {
            routes
                .uninstall(&who, &other)
                .await
                .map_err(|error| error.during(PREFIX))?;
        }
    }
    Ok(text(
        StatusCode::OK,
        format!("portable plugin {} is updated", name.key),
    ))
}

/// Uninstalls a plugin.
#[utoipa::path(delete, path = "/plugins/portables/{name}", tag = "portable", operation_id = "portables_delete",
    params(("name" = String, Path, description = "The plugin")),
    responses((status = 200, description = "`portable plugin <name> is deleted`", body = String),
        (status = 400, description = "Why not", body = String)))]
pub(super) async fn delete(
    State(routes): State<Routes>,
    Path(name): Path<String>,
    _: Unhurried,
    Caller(who): Caller,
    about: About,
) -> Result<Response, Failure> {
    let prefix = format!("delete portable plugin {name} error");
    let plugin = name.parse().map(|key| PluginName::new(KIND, key)).ok();
    if let Some(plugin) = &plugin {
        about.plugin(plugin);
    }
    let installed = match &plugin {
        Some(plugin) => routes.installed(plugin).await?,
        None => None,
    };
    match (plugin, installed) {
        (Some(plugin), Some(_)) => {
            routes
                .uninstall(&who, &plugin)
                .await
                .map_err(|error| error.during(&prefix))?;
            Ok(text(
                StatusCode::OK,
                format!("portable plugin {name} is deleted"),
            ))
        }
        _ => Err(Failure::Bad(format!(
            "{prefix}: portable plugin {name} is not found"
        ))),
    }
}

/// How a plugin is: also one that is gone, as long as the server remembers it.
#[utoipa::path(get, path = "/plugins/portables/{name}/status", tag = "portable", operation_id = "portables_status",
    params(("name" = String, Path, description = "The plugin")),
    responses((status = 200, description = "refCount, status, errMsg, then pid, startedAt, restarts, history, cpu", body = Object),
        (status = 404, description = "Never heard of it", body = String)))]
pub(super) async fn status(
    State(routes): State<Routes>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    match routes.host.find(&name) {
        Some(plugin) => Ok(document(&plugin.status())),
        None => Err(Failure::NotFound(format!(
            "portable plugin {name} not found: not found"
        ))),
    }
}

/// The functions that plugins serve (HOST-37).
#[utoipa::path(get, path = "/plugins/udfs", tag = "portable", operation_id = "udfs_list",
    responses((status = 200, description = "Names, sorted", body = Vec<String>)))]
pub(super) async fn functions(State(routes): State<Routes>) -> Response {
    document(&routes.host.registry.names(SymbolKind::Function))
}

/// Which plugin serves a function.
#[utoipa::path(get, path = "/plugins/udfs/{name}", tag = "portable", operation_id = "udfs_describe",
    params(("name" = String, Path, description = "The function")),
    responses((status = 200, description = "Its name and its plugin", body = Object),
        (status = 404, description = "No plugin serves it", body = String)))]
pub(super) async fn function(
    State(routes): State<Routes>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    match routes.host.registry.find(SymbolKind::Function, &name) {
        Some(plugin) => Ok(document(&json!({"name": name, "plugin": plugin.name.key}))),
        None => Err(Failure::NotFound(format!(
            "describe udf {name} error: not found"
        ))),
    }
}

/// Native plugins that could be downloaded: none, because this server runs none in its own process.
#[utoipa::path(get, path = "/plugins/{symbols}/prebuild", tag = "portable", operation_id = "prebuilt_list",
    params(("symbols" = String, Path, description = "`sources`, `sinks` or `functions`")),
    responses((status = 200, description = "Addresses by name: always empty", body = Object),
        (status = 404, description = "Another word", body = String)))]
pub(super) async fn prebuilt(Path(symbols): Path<String>) -> Result<Response, Failure> {
    match symbols.as_str() {
        "sources" | "sinks" | "functions" => Ok(document(&json!({}))),
        other => Err(Failure::NotFound(format!(
            "plugin type {other} not found: not found"
        ))),
    }
}

/// Why something is not done: eKuiper's cause, or a problem that it has no words for.
pub(super) enum Refusal {
    Text(String),
    Problem(Problem),
}

impl Refusal {
    fn during(self, prefix: &str) -> Failure {
        match self {
            Self::Text(text) => Failure::Bad(format!("{prefix}: {text}")),
            Self::Problem(problem) => Failure::Problem(problem),
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        if is_ours(&problem) {
            Self::Problem(problem)
        } else {
            Self::Text(cause(&problem))
        }
    }
}

/// What was sent, before it is looked at.
pub(super) struct Asked {
    pub(super) request: InstallRequest,
    pub(super) upload: Option<tempfile::TempPath>,
}

impl Asked {
    /// Says for the audit log which plugin is meant.
    fn tell(&self, about: &About) {
        if let Ok(key) = self.request.name.trim().parse() {
            about.plugin(&PluginName::new(KIND, key));
        }
    }
}

impl Routes {
    async fn read(&self, request: Request) -> Result<Asked, Failure> {
        if is_multipart(&request) {
            return self.read_form(request).await;
        }
        let undecodable = |reason: String| {
            Failure::Bad(format!(
                "Invalid body: Error decoding the portable plugin json: {reason}"
            ))
        };
        let body: String = request.extract().await.map_err(
            |error: axum::extract::rejection::StringRejection| undecodable(error.to_string()),
        )?;
        let request =
            serde_json::from_str(&body).map_err(|error| undecodable(error.to_string()))?;
        Ok(Asked {
            request,
            upload: None,
        })
    }

    /// The package itself instead of its address (HOST-34).
    async fn read_form(&self, request: Request) -> Result<Asked, Failure> {
        let unreadable = |reason: String| Failure::Bad(format!("Invalid body: {reason}"));
        let mut form: Multipart = request.extract().await.map_err(
            |error: axum::extract::multipart::MultipartRejection| unreadable(error.to_string()),
        )?;
        let mut asked = Asked {
            request: InstallRequest::default(),
            upload: None,
        };
        while let Some(mut field) = form
            .next_field()
            .await
            .map_err(|error| unreadable(error.body_text()))?
        {
            match field.name() {
                Some("uploadFile") => {
                    let path = tempfile::NamedTempFile::new_in(self.platform.home().staging())
                        .map_err(|error| unreadable(error.to_string()))?
                        .into_temp_path();
                    save(&mut field, &path).await.map_err(unreadable)?;
                    asked.upload = Some(path);
                }
                Some("name") => {
                    asked.request.name = field
                        .text()
                        .await
                        .map_err(|error| unreadable(error.body_text()))?;
                }
                Some("shellParas") => {
                    let text = field
                        .text()
                        .await
                        .map_err(|error| unreadable(error.body_text()))?;
                    let paras = serde_json::from_str(&text).map_err(|error| {
                        unreadable(format!("shellParas is no list of texts: {error}"))
                    })?;
                    asked.request.shell_paras = Some(paras);
                }
                _ => {}
            }
        }
        if asked.upload.is_none() {
            return Err(unreadable("the form has no file `uploadFile`".to_owned()));
        }
        Ok(asked)
    }

    /// eKuiper's own checks of a request, in its order.
    pub(super) async fn check(&self, who: &Principal, asked: Asked) -> Result<Wanted, Refusal> {
        let Asked { request, upload } = asked;
        let name = request.name.trim();
        if name.is_empty() {
            return Err(Refusal::Text(
                "invalid name : should not be empty".to_owned(),
            ));
        }
        let shell_paras = request.shell_paras.unwrap_or_default();
        let address = match &upload {
            Some(path) => Address::File(path.to_path_buf()),
            None => Address::parse(&request.file)
                .ok_or_else(|| Refusal::Text(format!("invalid uri {}", request.file)))?,
        };
        let key = name.parse().map_err(|_| {
            Refusal::Text(format!(
                "id '{name}' contains invalid characters: only alphanumeric, hyphens and underscores are allowed"
            ))
        })?;
        let source = match address {
            Address::Web => Source::Url(request.file.clone()),
            Address::File(path) => {
                if upload.is_none() {
                    let permitted = self.permit_file(who, &path).await;
                    permitted.map_err(Refusal::Text)?;
                }
                Source::Path(path)
            }
        };
        Ok(Wanted {
            name: PluginName::new(KIND, key),
            source,
            uri: request.file,
            shell_paras,
            options: request.options.unwrap_or_default(),
            file: upload,
        })
    }

    /// A file that was uploaded, or any file where the configuration allows it and the caller may read
    /// the server's disk.
    pub(super) async fn permit_file(
        &self,
        who: &Principal,
        path: &std::path::Path,
    ) -> Result<(), String> {
        if self.host.shared.settings.external_files && who.may(Right::Admin) {
            return Ok(());
        }
        let uploads = self.platform.home().uploads();
        let root = tokio::fs::canonicalize(&uploads).await;
        let file = tokio::fs::canonicalize(path).await;
        match (root, file) {
            (Ok(root), Ok(file)) if file.starts_with(&root) => Ok(()),
            _ => Err(format!(
                "file access denied: path must be under {}",
                shown(&uploads)
            )),
        }
    }

    /// `set` are the options of the version in force, of which those stay that eKuiper does not know.
    async fn take_in(&self, wanted: Wanted, set: Json) -> Result<Intake, Refusal> {
        let mut options = match set {
            Json::Object(options) => options,
            _ => Map::new(),
        };
        options.extend(wanted.options);
        options.shift_remove("shellParas");
        if !wanted.shell_paras.is_empty() {
            options.insert("shellParas".to_owned(), json!(wanted.shell_paras));
        }
        let options = Json::Object(options);
        let options = TakeIn {
            kind: Some(KIND),
            expected_key: Some(wanted.name.key.to_string()),
            options,
        };
        let (uri, key, _file) = (wanted.uri, wanted.name.key, wanted.file);
        self.platform
            .take_in(wanted.source, options)
            .await
            .map_err(|problem| {
                let fetch = [
                    codes::PACKAGE_FETCH_FAILED,
                    codes::PACKAGE_URL_REFUSED,
                    codes::INPUT_UNREADABLE,
                ];
                if is_ours(&problem) {
                    Refusal::Problem(problem)
                } else if fetch.contains(&problem.code) {
                    let reason = fetch_failure(&problem);
                    Refusal::Text(format!("fail to download file {uri}: {reason}"))
                } else {
                    let text = upstream_text(&problem.findings).unwrap_or_else(|| cause(&problem));
                    // eKuiper notices when it starts the process.
                    let text = if text.starts_with("unsupported virtual type: ") {
                        format!("fail to start plugin {key}: {text}")
                    } else {
                        text
                    };
                    Refusal::Text(format!("fail to install plugin: {text}"))
                }
            })
    }

    pub(super) async fn install(&self, who: &Principal, wanted: Wanted) -> Result<(), Refusal> {
        let (name, request) = (wanted.name.clone(), wanted.request());
        let intake = self.take_in(wanted, Json::Null).await?;
        let options = InstallOptions::default();
        let begun = self
            .platform
            .install(who, &name, intake.version.id, options)
            .await;
        let executable = self.executable(&name, &intake.version.manifest);
        self.finish(begun, executable).await?;
        self.remember(&name, &intake, request).await;
        Ok(())
    }

    async fn upgrade(
        &self,
        who: &Principal,
        wanted: Wanted,
        view: InstallationView,
    ) -> Result<(), Refusal> {
        let (name, request) = (wanted.name.clone(), wanted.request());
        let on = view.wanted.is_on();
        let set = view.current.map_or(Json::Null, |version| version.options);
        let intake = self.take_in(wanted, set).await?;
        let begun = self.platform.upgrade(who, &name, intake.version.id).await;
        let executable = self.executable(&name, &intake.version.manifest);
        self.finish(begun, executable).await?;
        self.remember(&name, &intake, request).await;
        if on {
            return Ok(());
        }
        // eKuiper knows no plugin that rests.
        let begun = self.platform.enable(who, &name).await;
        self.finish(begun, None).await
    }

    /// Where the program of a plugin is, as it is told.
    fn executable(&self, name: &PluginName, manifest: &Json) -> Option<String> {
        let executable = manifest.get("executable")?.as_str()?;
        let directory = shown_directory(self.platform.home(), &name.key);
        Some(shown(&directory.join(executable)))
    }

    /// Keeps the request for an export, or forgets an earlier one.
    async fn remember(&self, name: &PluginName, intake: &Intake, request: Option<String>) {
        let request = request.map(|text| KeptRequest {
            digest: intake.digest.to_string(),
            text,
        });
        let kept = &self.host.shared.kept;
        kept.set_request(&self.platform, name.key.as_str(), request)
            .await;
    }

    async fn uninstall(&self, who: &Principal, name: &PluginName) -> Result<(), Refusal> {
        let operation = self.platform.uninstall(who, name, false).await?;
        let outcome = self.platform.wait(operation).await?;
        outcome.into_result().map_err(Refusal::from)?;
        let kept = &self.host.shared.kept;
        kept.set_request(&self.platform, name.key.as_str(), None)
            .await;
        Ok(())
    }

    /// Waits for a change and words its failure as eKuiper does: by the text of the step that failed.
    async fn finish(
        &self,
        begun: Result<OperationId, Problem>,
        executable: Option<String>,
    ) -> Result<(), Refusal> {
        let failed = |text: String| Refusal::Text(format!("fail to install plugin: {text}"));
        let operation = match begun {
            Ok(operation) => operation,
            Err(problem) if is_ours(&problem) => return Err(Refusal::Problem(problem)),
            Err(problem) => return Err(failed(cause(&problem))),
        };
        let Err(problem) = self.platform.wait(operation).await?.into_result() else {
            return Ok(());
        };
        let view = self.platform.operation(operation).await?;
        let text = view.failure.map(|failure| failure.text);
        let text = text.unwrap_or_else(|| cause(&problem));
        Err(failed(match executable {
            Some(executable) if text.contains(NO_HANDSHAKE) => {
                format!("plugin {executable} control handshake error: {text}")
            }
            _ => text,
        }))
    }

    /// All installations of this kind.
    pub(super) async fn all(&self) -> Result<Vec<InstallationView>, Problem> {
        let filter = InstallationFilter {
            kind: Some(KIND),
            health: None,
        };
        let mut page = PageQuery {
            cursor: None,
            limit: Some(PageQuery::MAX_LIMIT),
        };
        let mut all = Vec::new();
        loop {
            let found = self.platform.installations(&filter, &page).await?;
            all.extend(found.items);
            match found.next {
                Some(next) => page.cursor = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// The installation of that name, when it has a version in force.
    pub(super) async fn installed(
        &self,
        name: &PluginName,
    ) -> Result<Option<InstallationView>, Problem> {
        let found = self.platform.installation_of(name).await?;
        Ok(found.filter(|view| view.current.is_some()))
    }

    fn object(&self, view: &InstallationView) -> Option<PluginObject> {
        let version = view.current.as_ref()?;
        let manifest: Manifest = serde_json::from_value(version.manifest.clone()).ok()?;
        let directory = shown_directory(self.platform.home(), &view.plugin.key);
        Some(PluginObject {
            executable: shown(&directory.join(&manifest.executable)),
            name: manifest.name,
            version: manifest.version,
            language: manifest.language.as_str(),
            virtual_env_type: manifest.virtual_env_type,
            env: manifest.env,
            sources: manifest.sources,
            sinks: manifest.sinks,
            functions: manifest.functions,
        })
    }
}

/// Where a package is, as eKuiper understands addresses.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    Web,
    File(PathBuf),
}

impl Address {
    /// An absolute address with scheme http or https and a host, or file with a path and none; the whole
    /// text ends with `.zip`.
    fn parse(uri: &str) -> Option<Self> {
        let (scheme, rest) = uri.split_once("://")?;
        if !uri.as_bytes().ends_with(b".zip") || uri.contains(char::is_whitespace) {
            return None;
        }
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => {
                let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
                (!host.is_empty()).then_some(Self::Web)
            }
            "file" if rest.starts_with('/') => decoded(rest).map(Self::File),
            _ => None,
        }
    }
}

/// A path with its `%xx` resolved.
pub(super) fn decoded(path: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = tail else {
            return None;
        };
        let digit = |byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|it| u8::try_from(it).ok())
        };
        bytes.push(digit(*high)? * 16 + digit(*low)?);
        rest = tail;
    }
    (!bytes.contains(&0)).then(|| PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fact_08_addresses_that_are_none_or_no_zip_are_refused() {
        for bad in [
            "",
            "x.zip",
            "http://host/x",
            "http:///x.zip",
            "ftp://host/x.zip",
            "file://host/x.zip",
            "file://x.zip",
            "http://host/x.zip?y",
            "file:///a%zz.zip",
            "file:///a%00.zip",
        ] {
            assert_eq!(Address::parse(bad), None, "{bad}");
        }
        assert_eq!(
            Address::parse("http://127.0.0.1:80/a/x.zip"),
            Some(Address::Web)
        );
        assert_eq!(Address::parse("https://host/x?v=1.zip"), Some(Address::Web));
        assert_eq!(
            Address::parse("file:///tmp/a%20b.zip"),
            Some(Address::File("/tmp/a b.zip".into()))
        );
    }

    #[test]
    fn fact_17_requests_decode_leniently() {
        let read = |text: &str| serde_json::from_str::<InstallRequest>(text).unwrap();
        let full = read(r#"{"name":"a","file":"b","shellParas":["c"],"unknown":1}"#);
        assert_eq!((full.name.as_str(), full.file.as_str()), ("a", "b"));
        assert_eq!(full.shell_paras, Some(vec!["c".into()]));
        assert_eq!(read(r#"{"nme":"a"}"#), InstallRequest::default());
        assert_eq!(read(r#"{"shellParas":null}"#), InstallRequest::default());
    }
}
