//! Reads over HTTP, as a panel that is open asks: lists, one plugin, operations, the session and the
//! probe of a load balancer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response};
use axum::routing::get;
use bytes::Bytes;
use plugyard_app::{AppHost, AppSettings};
use plugyard_http::Principal;
use plugyard_model::rights::Role;
use plugyard_platform::tokens::TokenRequest;
use plugyard_platform::{Home, Platform, Settings};
use plugyard_server::{Server, ServerSettings};
use plugyard_store::{Database, DatabaseUrl};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{compared, seed};
use crate::works::{Effort, Row};

/// The row of [`row`].
pub const TITLE: &str = "API mix";

/// Connections that are kept alive, one request at a time on each.
const CLIENTS: usize = 8;
/// Installed plugins.
const INSTALLED: u32 = 100;
/// How much of the bare handler's rate.
const TARGET: f64 = 0.5;
/// What is asked for in turn.
const PATHS: [&str; 5] = [
    "/v1/installations?limit=20",
    "/v1/installations/app:plugin-00050",
    "/v1/operations?limit=20",
    "/v1/session",
    "/healthz",
];
/// Bytes of an answer's head at most.
const HEAD: usize = 16 << 10;
/// How long the server may take to be ready.
const READY: Duration = Duration::from_secs(30);

/// Requests per second of a server with sign-in, rights, records and database, against a bare handler that
/// answers the same heads and bodies.
///
/// # Errors
/// When a server cannot be made, or does not answer.
pub async fn row(effort: Effort, cores: usize) -> Result<Row> {
    let directory = tempfile::tempdir()?;
    let home = Home::new(directory.path());
    let database = Database::open(&DatabaseUrl::sqlite(home.database())).await?;
    let mut migrations = plugyard_platform::migrations();
    migrations.extend(plugyard_app::migrations());
    database.migrate(migrations).await?;
    seed(&database, 0..INSTALLED).await?;
    let host = AppHost::new(AppSettings::default(), home.clone(), database.clone());
    let platform = Platform::open(Settings::new(home, database), vec![host.kind()]).await?;
    let token = token(&platform).await?;
    let mut settings = ServerSettings::new("0.0.0-bench", Arc::new(|_| false));
    settings.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    let bound = Server::new(settings, platform.clone(), Vec::new())?
        .bind()
        .await?;
    let ours = *bound
        .addresses()
        .first()
        .context("the server has no address")?;
    let stopper = bound.stopper();
    let server = tokio::spawn(bound.run(std::future::pending()));

    let measured = measured(ours, &token, effort).await;
    stopper.cancel();
    server.await??;
    platform.shut_down().await;
    let work = format!("{TITLE} of {} reads, {CLIENTS} connections", PATHS.len());
    let against = "a bare axum handler with the same heads and bodies";
    Ok(compared(
        work,
        cores,
        "requests/s",
        &measured?,
        Some(TARGET),
        against,
    ))
}

async fn token(platform: &Platform) -> Result<String> {
    let owner = Principal {
        name: "owner".to_owned(),
        roles: vec![Role::Owner],
    };
    let request = TokenRequest {
        name: "bench".to_owned(),
        roles: vec![Role::Owner],
        expires_at: None,
        account: None,
    };
    let made = platform.token_create(&owner, request).await;
    let made = made.map_err(|problem| anyhow::anyhow!("{problem:?}"))?;
    Ok(made.secret.expose_secret().to_owned())
}

async fn measured(ours: SocketAddr, token: &str, effort: Effort) -> Result<Vec<(f64, f64)>> {
    let requests: Arc<[Vec<u8>]> = PATHS.iter().map(|path| request(path, token)).collect();
    ready(ours, token).await?;
    let mut client = Client::connect(ours).await?;
    let mut bare = Router::new();
    for (path, request) in PATHS.iter().zip(requests.iter()) {
        let answer = client.ask(request).await.with_context(|| *path)?;
        let answer = Arc::new(answer);
        ensure!(answer.status == 200, "{path} answered {}", answer.status);
        let without_query = path.split('?').next().unwrap_or(path);
        bare = bare.route(
            without_query,
            get(move || {
                let again = answer.again();
                async move { again }
            }),
        );
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let limit = listener.local_addr()?;
    let serving = tokio::spawn(axum::serve(listener, bare).into_future());
    let turns = turns(ours, limit, &requests, effort).await;
    serving.abort();
    turns
}

async fn turns(
    ours: SocketAddr,
    limit: SocketAddr,
    requests: &Arc<[Vec<u8>]>,
    effort: Effort,
) -> Result<Vec<(f64, f64)>> {
    // Once each, so that what is made at first is there.
    for address in [ours, limit] {
        rate(address, requests, effort.span / 4).await?;
    }
    let mut turns = Vec::new();
    for _ in 0..effort.turns.max(1) {
        let ours = rate(ours, requests, effort.span).await?;
        turns.push((ours, rate(limit, requests, effort.span).await?));
    }
    Ok(turns)
}

/// Requests answered per second, all clients together.
async fn rate(address: SocketAddr, requests: &Arc<[Vec<u8>]>, span: Duration) -> Result<f64> {
    let began = Instant::now();
    let clients = (0..CLIENTS).map(|first| {
        let requests = requests.clone();
        tokio::spawn(async move {
            let mut client = Client::connect(address).await?;
            let mut answered = 0_u32;
            for request in requests.iter().cycle().skip(first) {
                if began.elapsed() >= span {
                    break;
                }
                let status = client.ask(request).await?.status;
                ensure!(status == 200, "a request was answered {status}");
                answered += 1;
            }
            anyhow::Ok(answered)
        })
    });
    let mut answered = 0;
    for client in clients.collect::<Vec<_>>() {
        answered += client.await??;
    }
    Ok(f64::from(answered) / began.elapsed().as_secs_f64())
}

async fn ready(address: SocketAddr, token: &str) -> Result<()> {
    let request = request("/readyz", token);
    let began = Instant::now();
    while Client::connect(address).await?.ask(&request).await?.status != 200 {
        ensure!(began.elapsed() < READY, "the server does not get ready");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

fn request(path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\r\n")
        .into_bytes()
}

/// An answer, to be given again.
struct Answer {
    status: u16,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Answer {
    fn again(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body.clone()));
        for (name, value) in &self.headers {
            response.headers_mut().append(name, value.clone());
        }
        response
    }
}

/// The least that asks over a connection that is kept: the same for both sides.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    async fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(at) = self.buffer.windows(4).position(|it| it == b"\r\n\r\n") {
                break at;
            }
            ensure!(
                self.buffer.len() < HEAD,
                "the head of an answer does not end"
            );
            self.more().await?;
        };
        let (status, headers, length) = read_head(&self.buffer[..head])?;
        let (from, to) = (head + 4, head + 4 + length);
        while self.buffer.len() < to {
            self.more().await?;
        }
        let body = Bytes::copy_from_slice(&self.buffer[from..to]);
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    async fn more(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the connection ended");
        }
        Ok(())
    }
}

type Head = (u16, Vec<(HeaderName, HeaderValue)>, usize);

/// Status, headers but those that the transport makes, and the length of the body.
fn read_head(head: &[u8]) -> Result<Head> {
    let head = std::str::from_utf8(head)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|it| it.split(' ').nth(1));
    let status = status.context("an answer without status")?.parse()?;
    let (mut headers, mut length) = (Vec::new(), None);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.trim().parse()?),
            "date" | "connection" => {}
            name => headers.push((name.parse()?, value.trim().parse()?)),
        }
    }
    Ok((
        status,
        headers,
        length.context("an answer without a length")?,
    ))
}
