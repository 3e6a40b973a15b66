//! A client of plain HTTP/1.1 over TCP and Unix sockets, and who uses it.

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// Where a server is.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Somebody who asks.
#[derive(Debug, Clone)]
pub(crate) struct Persona {
    pub(crate) name: &'static str,
    target: Target,
    pub(crate) token: Option<String>,
    headers: Vec<(&'static str, String)>,
}

/// What they are told.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The code of the problem.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Persona {
    pub(crate) fn new(name: &'static str, target: Target, token: Option<String>) -> Self {
        Self {
            name,
            target,
            token,
            headers: Vec::new(),
        }
    }

    /// The same one at another server.
    pub(crate) fn at(&self, target: Target) -> Self {
        Self {
            target,
            ..self.clone()
        }
    }

    /// The same one with a header in each request.
    pub(crate) fn header(&self, name: &'static str, value: impl Into<String>) -> Self {
        let mut changed = self.clone();
        changed.headers.push((name, value.into()));
        changed
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.header("content-type", "application/json")
            .send(Method::POST, path, Body::from(body.to_string()))
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, Body::empty()).await
    }

    pub(crate) async fn upload(&self, package: &[u8]) -> Answer {
        self.header("content-type", "application/zip")
            .send(Method::POST, "/v1/packages", Body::from(package.to_vec()))
            .await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Body) -> Answer {
        let (parts, body) = self.begin(method, path, body).await.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// Only how it is answered, whatever follows.
    pub(crate) async fn status(&self, method: Method, path: &str, body: Body) -> StatusCode {
        self.begin(method, path, body).await.status()
    }

    /// Follows a stream of events.
    pub(crate) async fn follow(&self, path: &str) -> Events {
        let response = self.begin(Method::GET, path, Body::empty()).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events {
            body: response.into_body(),
            read: String::new(),
        }
    }

    async fn begin(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> axum::http::Response<Incoming> {
        match &self.target {
            Target::Tcp(address) => {
                let stream = TcpStream::connect(address).await.unwrap();
                self.over(stream, method, path, body).await
            }
            Target::Unix(path_of_socket) => {
                let stream = UnixStream::connect(path_of_socket).await.unwrap();
                self.over(stream, method, path, body).await
            }
        }
    }

    async fn over<IO>(
        &self,
        stream: IO,
        method: Method,
        path: &str,
        body: Body,
    ) -> axum::http::Response<Incoming>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        if !self.headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost");
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        sender
            .send_request(request.body(body).unwrap())
            .await
            .unwrap()
    }
}

/// A stream of server-sent events.
#[derive(Debug)]
pub(crate) struct Events {
    body: Incoming,
    read: String,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl Events {
    /// The next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((record, _)) = self.read.split_once("\n\n") {
                let length = record.len() + 2;
                let field = |name: &str| {
                    record
                        .lines()
                        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                };
                let event = field("data").map(|data| Event {
                    id: field("id").map_or(0, |id| id.parse().unwrap()),
                    name: field("event").unwrap_or_default().to_owned(),
                    data: serde_json::from_str(data).unwrap(),
                });
                self.read.drain(..length);
                match event {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                self.read.push_str(std::str::from_utf8(&data).unwrap());
            }
        }
    }

    /// All that follow, up to the end.
    pub(crate) async fn rest(mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

/// Sends bytes as they are and reads until the server closes.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A server that refuses may close while bytes of ours are still on their way.
    _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
