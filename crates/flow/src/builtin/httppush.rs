//! Source `httppush`: takes rows that clients send over HTTP.
//!
//! All such sources share one server of their own, as in eKuiper: each has a path, the stream's DATASOURCE,
//! and takes requests of one `method` (default `POST`). A body is an object, or a list of objects. The
//! server listens while there is a source. A request is answered when all its rows have been taken in, so
//! that a slow rule slows its clients and nothing is lost: `200 ok`.
//!
//! It asks nobody who they are, so it listens on this machine alone unless it is told otherwise.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use plugyard_symbol::{
    Connection, SourceHandle, SourceInbox, SourceRequest, SourceSymbol, SymbolError, Tuple,
};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::memory::objects;
use super::properties;
use crate::clock::Clock;

/// Where eKuiper has its server for this, on this machine alone.
pub(super) const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 10081);
/// Longest body of a request, in bytes.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// The server of all sources of this kind. Cheap to clone; clones are the same server.
#[derive(Clone)]
pub(super) struct PushServer(Arc<Mutex<Server>>);

struct Server {
    address: SocketAddr,
    /// By path and method.
    endpoints: HashMap<(String, Method), Vec<Endpoint>>,
    /// Ends the listener.
    running: Option<CancellationToken>,
    number: u64,
}

#[derive(Clone)]
struct Endpoint {
    number: u64,
    inbox: Arc<dyn SourceInbox>,
    clock: Arc<dyn Clock>,
}

impl PushServer {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self(Arc::new(Mutex::new(Server {
            address,
            endpoints: HashMap::new(),
            running: None,
            number: 0,
        })))
    }

    /// Where it listens, or would.
    pub(super) fn address(&self) -> SocketAddr {
        self.0.lock().address
    }

    /// Adds a source, and listens where it is the first.
    fn add(
        &self,
        at: (String, Method),
        inbox: Arc<dyn SourceInbox>,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<u64> {
        let mut server = self.0.lock();
        if server.running.is_none() {
            let listener = std::net::TcpListener::bind(server.address)?;
            listener.set_nonblocking(true)?;
            // The port that was chosen, where none was given.
            server.address = listener.local_addr()?;
            let end = CancellationToken::new();
            let app = axum::Router::new().fallback(take).with_state(self.clone());
            let (listener, ended) = (TcpListener::from_std(listener)?, end.clone());
            tokio::spawn(async move {
                let serving = axum::serve(listener, app);
                tokio::select! {
                    _ = async { serving.await } => {}
                    () = ended.cancelled() => {}
                }
            });
            server.running = Some(end);
        }
        server.number += 1;
        let number = server.number;
        server.endpoints.entry(at).or_default().push(Endpoint {
            number,
            inbox,
            clock,
        });
        Ok(number)
    }

    /// Takes a source away, and does not listen any more where it was the last.
    fn remove(&self, at: &(String, Method), number: u64) {
        let mut server = self.0.lock();
        if let Some(here) = server.endpoints.get_mut(at) {
            here.retain(|endpoint| endpoint.number != number);
            if here.is_empty() {
                server.endpoints.remove(at);
            }
        }
        if server.endpoints.is_empty()
            && let Some(running) = server.running.take()
        {
            running.cancel();
        }
    }

    fn find(&self, path: &str, method: &Method) -> Result<Vec<Endpoint>, StatusCode> {
        let server = self.0.lock();
        if let Some(found) = server.endpoints.get(&(path.to_owned(), method.clone())) {
            return Ok(found.clone());
        }
        let other_method = server.endpoints.keys().any(|(at, _)| at == path);
        Err(if other_method {
            StatusCode::METHOD_NOT_ALLOWED
        } else {
            StatusCode::NOT_FOUND
        })
    }
}

/// Takes a request in.
async fn take(State(server): State<PushServer>, request: Request<HttpBody>) -> Response {
    let endpoints = match server.find(request.uri().path(), request.method()) {
        Ok(endpoints) => endpoints,
        Err(status) => return status.into_response(),
    };
    let Ok(body) = axum::body::to_bytes(request.into_body(), MAX_BODY).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the body is too long").into_response();
    };
    let bodies = match objects(&body) {
        Ok(bodies) => bodies,
        Err(error) => {
            let text = format!("the body is neither an object nor a list of objects: {error}");
            for endpoint in endpoints {
                let text = format!("source httppush: {text}");
                endpoint.inbox.exception(SymbolError::refused(text));
            }
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    for endpoint in endpoints {
        let received_at = endpoint.clock.now_ms();
        let tuples = bodies.iter().map(|body| Tuple {
            body: body.clone(),
            meta: None,
            received_at,
        });
        endpoint.inbox.push_all(tuples.collect()).await;
    }
    "ok".into_response()
}

pub(super) struct HttpPush {
    pub(super) server: PushServer,
    pub(super) clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
struct Properties {
    #[serde(default)]
    datasource: String,
    #[serde(default)]
    method: Option<String>,
}

#[async_trait]
impl SourceSymbol for HttpPush {
    fn can_wait(&self) -> bool {
        true
    }

    async fn start(
        &self,
        request: SourceRequest,
        inbox: Arc<dyn SourceInbox>,
    ) -> Result<Box<dyn SourceHandle>, SymbolError> {
        let given: Properties = properties("source httppush", &request.config)?;
        if !given.datasource.starts_with('/') {
            return Err(SymbolError::refused(
                "source httppush: DATASOURCE must be the path that clients send to, such as `/api/data`"
                    .to_owned(),
            ));
        }
        let method = match given.method.as_deref().unwrap_or("POST") {
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            other => {
                return Err(SymbolError::refused(format!(
                    "source httppush: method must be POST or PUT, got {other}"
                )));
            }
        };
        let at = (given.datasource, method);
        let added = self
            .server
            .add(at.clone(), inbox.clone(), self.clock.clone());
        let number = added.map_err(|error| {
            SymbolError::io(format!(
                "source httppush cannot listen on {}: {error}",
                self.server.address()
            ))
        })?;
        inbox.connection(Connection::Connected);
        Ok(Box::new(RunningSource {
            server: self.server.clone(),
            at,
            number,
        }))
    }
}

/// Dropped, it takes no more requests.
struct RunningSource {
    server: PushServer,
    at: (String, Method),
    number: u64,
}

#[async_trait]
impl SourceHandle for RunningSource {
    async fn stop(self: Box<Self>) -> Result<(), SymbolError> {
        Ok(())
    }
}

impl Drop for RunningSource {
    fn drop(&mut self) {
        self.server.remove(&self.at, self.number);
    }
}
