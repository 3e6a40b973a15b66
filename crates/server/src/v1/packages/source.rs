//! The three ways in which a package comes with a request: as the body, in a form, or by reference.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use axum::Extension;
use axum::body::Body;
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use plugyard_http::{Json, ProblemResponse};
use plugyard_model::{Problem, codes};
use plugyard_platform::Source;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::app::App;
use crate::peer::Peer;

/// Pieces of a multipart file between the one who reads it and the one who takes it in.
pub(super) const PIECES: usize = 4;
/// What a form may have around its file, in bytes.
const AROUND: u64 = 1 << 20;

/// A package that is not in the body: exactly one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PackageReference)]
pub(super) struct Reference {
    /// An `http` or `https` address.
    pub(super) url: Option<String>,
    /// A file or directory on the server's own disk; only over the local socket.
    #[schema(value_type = Option<String>)]
    pub(super) path: Option<PathBuf>,
}

/// The schema of a zip as a body.
pub(super) struct ZipBody;

impl PartialSchema for ZipBody {
    fn schema() -> RefOr<Schema> {
        binary().description(Some("The zip itself")).into()
    }
}

impl ToSchema for ZipBody {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("PackageZip")
    }
}

/// The schema of a form with a zip.
pub(super) struct FormBody;

impl PartialSchema for FormBody {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .description(Some("A form; its first file is taken"))
            .property("file", binary().description(Some("The zip")))
            .required("file")
            .into()
    }
}

impl ToSchema for FormBody {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("PackageForm")
    }
}

fn binary() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
}

/// Where the package of a request is, and what has to run beside its taking in.
pub(super) async fn source(
    app: &App,
    peer: Option<Extension<Peer>>,
    request: Request,
) -> Result<(Source, impl Future<Output = ()> + use<>), ProblemResponse> {
    let (feed, pieces) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    let mut multipart = None;
    let source = match media_type(request.headers()) {
        "application/json" => {
            let Json(reference) =
                <Json<Reference> as FromRequest<()>>::from_request(request, &()).await?;
            referenced(reference, peer)?
        }
        "multipart/form-data" => {
            multipart = Some(form(app, request).await?);
            piped(pieces)
        }
        "application/zip" | "application/octet-stream" | "application/x-zip-compressed" => {
            body(app, request)?
        }
        other => return Err(unsupported(other).into()),
    };
    Ok((source, async move {
        if let Some(multipart) = multipart {
            feed_file(multipart, &feed).await;
        }
    }))
}

/// The form that a package comes in. What it may hold is what a package may, and something around it; the
/// limit of other bodies is not for it.
pub(super) async fn form(app: &App, mut request: Request) -> Result<Multipart, Problem> {
    let most = app
        .platform
        .settings()
        .package_limit
        .0
        .saturating_add(AROUND);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    DefaultBodyLimit::max(most).apply(&mut request);
    let parts = Multipart::from_request(request, &()).await;
    parts.map_err(|error| unreadable(&error.body_text()))
}

/// A package that comes piece by piece.
pub(super) fn piped(pieces: mpsc::Receiver<io::Result<Bytes>>) -> Source {
    let pieces = tokio_stream::wrappers::ReceiverStream::new(pieces);
    Source::Stream(Box::pin(StreamReader::new(pieces)))
}

/// A package that is the body.
pub(super) fn body(app: &App, request: Request) -> Result<Source, Problem> {
    check_length(app, request.headers())?;
    Ok(Source::Stream(Box::pin(reader(request.into_body()))))
}

pub(super) fn unsupported(given: &str) -> Problem {
    Problem::new(codes::MEDIA_TYPE_UNSUPPORTED)
        .with("given", if given.is_empty() { "none" } else { given })
        .with("expected", "application/zip")
}

pub(super) fn referenced(
    reference: Reference,
    peer: Option<Extension<Peer>>,
) -> Result<Source, Problem> {
    match (reference.url, reference.path) {
        (Some(url), None) => Ok(Source::Url(url)),
        (None, Some(path)) => match peer {
            Some(Extension(Peer::Unix { .. })) if path.is_absolute() => Ok(Source::Path(path)),
            Some(Extension(Peer::Unix { .. })) => Err(unreadable("`path` must be absolute")),
            _ => Err(Problem::new(codes::PATH_NOT_LOCAL)),
        },
        _ => Err(unreadable("give either `url` or `path`")),
    }
}

/// A body that says it is too large is not read at all.
fn check_length(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let limit = app.platform.settings().package_limit;
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit.0) {
        return Err(Problem::new(codes::PACKAGE_TOO_LARGE).with("limit", limit));
    }
    Ok(())
}

fn reader(body: Body) -> impl tokio::io::AsyncRead + Send {
    StreamReader::new(body.into_data_stream().map_err(io::Error::other))
}

/// Hands the first file of a form on, piece by piece, as fast as it is taken.
pub(super) async fn feed_file(mut multipart: Multipart, feed: &mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let field = match multipart.next_field().await {
            Ok(Some(field)) if field.file_name().is_some() => field,
            Ok(Some(_)) => continue,
            Ok(None) => {
                _ = feed
                    .send(Err(io::Error::other("the form has no file")))
                    .await;
                return;
            }
            Err(error) => {
                _ = feed.send(Err(broken(error))).await;
                return;
            }
        };
        let mut pieces = field.map_err(broken);
        while let Some(piece) = pieces.next().await {
            // Nobody takes any more: the package was refused.
            if feed.send(piece).await.is_err() {
                return;
            }
        }
        return;
    }
}

fn broken(error: MultipartError) -> io::Error {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return io::Error::new(io::ErrorKind::FileTooLarge, error);
    }
    io::Error::other(error)
}

pub(super) fn media_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map_or("", str::trim)
}

pub(super) fn unreadable(reason: &str) -> Problem {
    Problem::new(codes::REQUEST_INVALID).with("reason", reason)
}
