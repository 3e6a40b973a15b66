//! Reaching a server: over the socket of its home directory, or over HTTP with a token.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use eventsource_stream::{Event, Eventsource as _};
use futures::{Stream, StreamExt as _};
use plugyard_model::{Lang, Problem, codes};
use plugyard_platform::Home;
use reqwest::header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::ExposeSecret as _;
use serde_json::Value as Json;

use crate::cli::Global;
use crate::contexts::Target;
use crate::failure::Failure;
use crate::output::note;

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// A server that can be asked.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    /// For messages: the socket or the address.
    address: String,
    lang: Lang,
}

impl Client {
    /// The server that the options name. Does not connect yet.
    pub(crate) fn new(global: &Global, lang: Lang) -> Result<Self, Failure> {
        let target = Target::of(global).map_err(|problem| Failure::local(&problem, lang))?;
        Self::to(&target, lang)
    }

    /// This server. Does not connect yet.
    pub(crate) fn to(target: &Target, lang: Lang) -> Result<Self, Failure> {
        // The only provider in this binary; installing it twice is harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(lang.tag()));
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .user_agent(concat!("plugyard/", env!("CARGO_PKG_VERSION")));
        let (base, address) = match target {
            Target::Remote { server, token } => {
                if let Some(token) = token {
                    let bearer = format!("Bearer {}", token.expose_secret());
                    let mut value = HeaderValue::from_str(&bearer).map_err(|_| {
                        unusable(server, "the token has characters that no token has", lang)
                    })?;
                    value.set_sensitive(true);
                    headers.insert(AUTHORIZATION, value);
                }
                let base = server.trim_end_matches('/').to_owned();
                let url = reqwest::Url::parse(&base)
                    .map_err(|error| unusable(server, &error.to_string(), lang))?;
                if url.scheme() == "http" && token.is_some() && !is_loopback(&url) {
                    note(&format!("warning: the token goes to `{base}` unencrypted"));
                }
                (base, server.clone())
            }
            Target::Home(home) => {
                let socket = socket(home);
                builder = builder.unix_socket(socket.clone());
                ("http://localhost".to_owned(), socket.display().to_string())
            }
        };
        let http = builder
            .default_headers(headers)
            .build()
            .map_err(|error| unusable(&address, &chain(&error), lang))?;
        Ok(Self {
            http,
            base,
            address,
            lang,
        })
    }

    /// A request to a path such as `/v1/plugins`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Sends it and gives the answer when it is a good one.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        Err(Failure::answered(status.as_u16(), &body, self.lang))
    }

    /// Sends it and reads the answer as JSON; an empty answer or plain text is given as a string.
    pub(crate) async fn json(&self, request: RequestBuilder) -> Result<Json, Failure> {
        let response = self.send(request).await?;
        let body = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        Ok(serde_json::from_slice(&body)
            .unwrap_or_else(|_| Json::String(String::from_utf8_lossy(&body).into_owned())))
    }

    /// GET as JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<Json, Failure> {
        self.json(self.request(Method::GET, path)).await
    }

    /// Every item of a paged list, and the body to show for it.
    pub(crate) async fn list(&self, path: &str) -> Result<(Json, Vec<Json>), Failure> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut request = self.request(Method::GET, path);
            if let Some(cursor) = &cursor {
                request = request.query(&[("cursor", cursor)]);
            }
            let mut body = self.json(request).await?;
            if let Some(Json::Array(page)) = body.get_mut("items").map(Json::take) {
                items.extend(page);
            }
            match body.get("next").and_then(Json::as_str) {
                Some(next) if cursor.as_deref() != Some(next) => cursor = Some(next.to_owned()),
                _ => break,
            }
        }
        Ok((serde_json::json!({ "items": items, "next": null }), items))
    }

    /// Server-sent events from a path, after the event of an id when there is one.
    pub(crate) async fn events(
        &self,
        path: &str,
        after: Option<&str>,
    ) -> Result<impl Stream<Item = Event> + Unpin + use<>, Failure> {
        let mut request = self
            .request(Method::GET, path)
            .header(ACCEPT, "text/event-stream");
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let response = self.send(request).await?;
        // A broken connection ends the stream like a closed one: the caller resumes or not.
        Ok(response
            .bytes_stream()
            .eventsource()
            .take_while(|event| std::future::ready(event.is_ok()))
            .filter_map(|event| std::future::ready(event.ok())))
    }

    /// In which language the server was asked to answer.
    pub(crate) const fn lang(&self) -> Lang {
        self.lang
    }

    /// The failure of not reaching the server.
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        unusable(&self.address, &chain(error), self.lang)
    }
}

/// One path segment out of a name.
pub(crate) fn segment(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' => {
                encoded.push(char::from(byte));
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    // Alone they would be taken for directories.
    match encoded.as_str() {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => encoded,
    }
}

/// The socket of a home directory. A path that is too long for the address of a socket is reached
/// through the working directory when that makes it shorter.
fn socket(home: &std::path::Path) -> PathBuf {
    let socket = Home::new(home).api_socket();
    match std::env::current_dir() {
        Ok(here) if socket.as_os_str().len() > 100 => socket
            .strip_prefix(&here)
            .map(PathBuf::from)
            .unwrap_or(socket),
        _ => socket,
    }
}

fn is_loopback(url: &reqwest::Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "[::1]"))
        || url.host_str().is_some_and(|host| host.starts_with("127."))
}

fn unusable(address: &str, reason: &str, lang: Lang) -> Failure {
    let problem = Problem::new(codes::SERVER_UNREACHABLE)
        .with("address", address)
        .with("reason", reason);
    Failure::local(&problem, lang)
}

/// The innermost cause: the outer ones only repeat the address.
fn chain(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(segment("portable:a_b"), "portable:a_b");
        assert_eq!(segment("a/b ?插"), "a%2Fb%20%3F%E6%8F%92");
        assert_eq!(segment(".."), "%2E%2E");
    }
}
