//! `/config/uploads`: files that a client sends ahead of a request that names them.

use std::path::{Component, Path as FilePath, PathBuf};

use axum::RequestExt as _;
use axum::extract::multipart::Field;
use axum::extract::{Multipart, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use plugyard_http::{Caller, Principal, Unhurried};
use plugyard_platform::Home;
use plugyard_platform::intake::outbound;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;

use super::plugins::decoded;
use super::reply::{Failure, document, fetch_failure, text};
use super::{Routes, shown};
use crate::versions::with_cause;

/// Files listed at most; directories are searched no deeper than eKuiper makes them.
const LISTED: usize = 10_000;

/// All uploaded files.
#[utoipa::path(get, path = "/config/uploads", tag = "portable", operation_id = "uploads_list",
    responses((status = 200, description = "Absolute paths, sorted", body = Vec<String>)))]
pub(super) async fn list(State(routes): State<Routes>) -> Result<Response, Failure> {
    let files = all(routes.platform.home().uploads()).await;
    let files: Vec<String> = files.iter().map(|path| shown(path)).collect();
    Ok(document(&files))
}

/// The files below a directory, sorted; none where it cannot be read.
pub(super) async fn all(root: PathBuf) -> Vec<PathBuf> {
    let files = tokio::task::spawn_blocking(move || {
        let mut files = Vec::new();
        collect(&root, &mut files);
        files.sort();
        files
    });
    files.await.unwrap_or_default()
}

fn collect(directory: &FilePath, files: &mut Vec<PathBuf>) {
    // A directory that cannot be read has nothing to show.
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&entry.path(), files),
            Ok(kind) if kind.is_file() && files.len() < LISTED => files.push(entry.path()),
            _ => {}
        }
    }
}

/// Uploads a file.
#[utoipa::path(post, path = "/config/uploads", tag = "portable", operation_id = "uploads_create",
    request_body(content = Object, description = "Multipart with `uploadFile`, or JSON with `name` and `content` or `file`, an address"),
    responses((status = 201, description = "The absolute path of the file", body = String),
        (status = 400, description = "Why not", body = String)))]
pub(super) async fn create(
    State(routes): State<Routes>,
    _: Unhurried,
    Caller(who): Caller,
    request: Request,
) -> Result<Response, Failure> {
    let path = if is_multipart(&request) {
        from_multipart(routes.platform.home(), request).await?
    } else {
        from_json(&routes, &who, request).await?
    };
    Ok(text(StatusCode::CREATED, shown(&path)))
}

/// Deletes an uploaded file.
#[utoipa::path(delete, path = "/config/uploads/{name}", tag = "portable", operation_id = "uploads_delete",
    params(("name" = String, Path, description = "Name of the file below the directory of uploads")),
    responses((status = 200, description = "`ok`", body = String),
        (status = 400, description = "Why not", body = String)))]
pub(super) async fn delete(
    State(routes): State<Routes>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let path = target(routes.platform.home(), &name).map_err(Failure::Bad)?;
    tokio::fs::remove_file(&path)
        .await
        .map_err(|error| Failure::Bad(format!("Error deleting the file: {name}: {error}")))?;
    Ok(text(StatusCode::OK, "ok".to_owned()))
}

/// Whether a request carries a form with files.
pub(super) fn is_multipart(request: &Request) -> bool {
    request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().starts_with("multipart/form-data"))
}

/// Writes a field of a form to a file, as it comes.
pub(super) async fn save(field: &mut Field<'_>, path: &FilePath) -> Result<(), String> {
    let mut file = tokio::fs::File::create(path)
        .await
        .map_err(|error| error.to_string())?;
    while let Some(chunk) = field.chunk().await.map_err(|error| error.body_text())? {
        file.write_all(&chunk)
            .await
            .map_err(|error| error.to_string())?;
    }
    file.sync_all().await.map_err(|error| error.to_string())
}

async fn from_multipart(home: &Home, request: Request) -> Result<PathBuf, Failure> {
    let unreadable = |reason: String| Failure::Bad(format!("Error Retrieving the File: {reason}"));
    let mut form: Multipart = request.extract().await.map_err(
        |error: axum::extract::multipart::MultipartRejection| unreadable(error.to_string()),
    )?;
    while let Some(mut field) = form
        .next_field()
        .await
        .map_err(|error| unreadable(error.body_text()))?
    {
        if field.name() != Some("uploadFile") {
            continue;
        }
        let name = field.file_name().unwrap_or_default().to_owned();
        let path = target(home, &name).map_err(Failure::Bad)?;
        let passing = tempfile::NamedTempFile::new_in(home.staging())
            .map_err(|error| unreadable(error.to_string()))?
            .into_temp_path();
        save(&mut field, &passing).await.map_err(unreadable)?;
        return keep(passing, path).await.map_err(Failure::Bad);
    }
    Err(unreadable("http: no such file".to_owned()))
}

async fn from_json(routes: &Routes, who: &Principal, request: Request) -> Result<PathBuf, Failure> {
    #[derive(Deserialize)]
    struct Upload {
        #[serde(default)]
        name: String,
        content: Option<String>,
        file: Option<String>,
    }
    let body: String =
        request
            .extract()
            .await
            .map_err(|error: axum::extract::rejection::StringRejection| {
                Failure::Bad(format!("Invalid body: {error}"))
            })?;
    let upload: Upload = serde_json::from_str(&body).map_err(|error| {
        Failure::Bad(format!("Invalid body: Error decoding file json: {error}"))
    })?;
    let content = match (upload.content, upload.file) {
        (Some(content), _) => Content::Bytes(content.into_bytes()),
        (None, Some(address)) => Content::At(address),
        (None, None) => {
            let missing = "Invalid body: name and content or file are required";
            return Err(Failure::Bad(missing.to_owned()));
        }
    };
    let kept = routes.upload(who, &upload.name, content).await;
    kept.map_err(Failure::Bad)
}

/// What an upload is to hold.
pub(super) enum Content {
    Bytes(Vec<u8>),
    /// An address to be fetched from.
    At(String),
}

impl Routes {
    /// Makes an upload of that name; gives its path.
    pub(super) async fn upload(
        &self,
        who: &Principal,
        name: &str,
        content: Content,
    ) -> Result<PathBuf, String> {
        let home = self.platform.home();
        let path = target(home, name)?;
        let passing = tempfile::NamedTempFile::new_in(home.staging())
            .map_err(|error| error.to_string())?
            .into_temp_path();
        match content {
            Content::Bytes(bytes) => tokio::fs::write(&passing, bytes)
                .await
                .map_err(|error| error.to_string())?,
            Content::At(address) => {
                let fetched = self.bring(who, &address, &passing).await;
                fetched.map_err(|reason| format!("fail to download file {address}: {reason}"))?;
            }
        }
        keep(passing, path).await
    }

    /// Brings what is at an address into a file: from the web, within the server's rules for addresses, or
    /// from this machine for whoever may read its disk.
    pub(super) async fn bring(
        &self,
        who: &Principal,
        address: &str,
        to: &FilePath,
    ) -> Result<(), String> {
        let limit = self.platform.settings().package_limit;
        let too_large = || format!("it is larger than {limit}");
        if let Some(path) = address.strip_prefix("file://") {
            let from = decoded(path).filter(|path| path.is_absolute());
            let from = from.ok_or_else(|| format!("invalid uri {address}"))?;
            self.permit_file(who, &from).await?;
            let size = tokio::fs::metadata(&from).await.map(|it| it.len());
            if size.map_err(|error| error.to_string())? > limit.0 {
                return Err(too_large());
            }
            let copied = tokio::fs::copy(from, to).await;
            return copied.map(drop).map_err(|error| error.to_string());
        }
        let private = self.platform.settings().allow_private_urls;
        let (client, url) = outbound(address, private).map_err(|it| fetch_failure(&it))?;
        let failed = |error: &dyn std::error::Error| with_cause(error);
        let answer = client.get(url).send().await;
        let mut answer = answer.map_err(|error| failed(&error.without_url()))?;
        if !answer.status().is_success() {
            return Err(format!("the answer is {}", answer.status()));
        }
        let file = tokio::fs::File::create(to).await;
        let mut file = file.map_err(|error| error.to_string())?;
        let mut taken = 0_u64;
        loop {
            let chunk = answer.chunk().await;
            let Some(chunk) = chunk.map_err(|error| failed(&error.without_url()))? else {
                break;
            };
            taken += chunk.len() as u64;
            if taken > limit.0 {
                return Err(too_large());
            }
            let written = file.write_all(&chunk).await;
            written.map_err(|error| error.to_string())?;
        }
        file.sync_all().await.map_err(|error| error.to_string())
    }
}

/// Where a file of that name goes; never out of the directory of uploads.
fn target(home: &Home, name: &str) -> Result<PathBuf, String> {
    let clean = FilePath::new(name);
    let inside = !name.is_empty()
        && clean
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        && !name.contains('\0');
    if !inside {
        return Err(format!(
            "invalid file name {name:?}: path escapes from parent"
        ));
    }
    Ok(home.uploads().join(clean))
}

async fn keep(passing: tempfile::TempPath, path: PathBuf) -> Result<PathBuf, String> {
    let kept = path.clone();
    let done = tokio::task::spawn_blocking(move || {
        if let Some(parent) = kept.parent() {
            std::fs::create_dir_all(parent)?;
        }
        passing.persist(&kept).map_err(|error| error.error)
    });
    match done.await {
        Ok(Ok(())) => Ok(path),
        Ok(Err(error)) => Err(format!("Error Saving the File: {error}")),
        Err(error) => Err(error.to_string()),
    }
}
