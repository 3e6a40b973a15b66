//! Bodies and addresses of requests, against a whole server on a socket: every answer is one, and none is the
//! server's own mistake. The first line is an index into the routes and what stands for `{}` in it.
//!
//! The server has no kinds and no symbols: nothing that is asked here can reach beyond its own directory. Packages
//! are not sent by address for the same reason.

#![no_main]

use std::cell::RefCell;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use plugyard_flow::FlowService;
use plugyard_platform::{Home, Platform, Settings};
use plugyard_server::{Auth, Routes, Server, ServerSettings};
use plugyard_store::testing::{TestDatabase, sqlite};
use plugyard_symbol::{Catalog, FunctionSymbol, SinkSymbol, SourceSymbol, SymbolKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

const ROUTES: [(&str, &str, &str); 24] = [
    ("POST", "/v1/tokens", "application/json"),
    ("POST", "/v1/installations", "application/json"),
    ("POST", "/v1/installations?dry_run={}", "application/json"),
    ("POST", "/v1/installations/{}/upgrade", "application/json"),
    ("POST", "/v1/installations/{}/rollback", "application/json"),
    ("POST", "/v1/packages?kind={}", "application/zip"),
    ("POST", "/v1/packages?key={}", "multipart/form-data; boundary=x"),
    ("POST", "/v1/packages/inspect", "application/zip"),
    ("GET", "/v1/packages/{}", ""),
    ("GET", "/v1/installations?{}", ""),
    ("GET", "/v1/installations/{}", ""),
    ("DELETE", "/v1/installations/{}", ""),
    ("GET", "/v1/operations?{}", ""),
    ("GET", "/v1/operations/{}", ""),
    ("POST", "/v1/operations/{}/cancel", "application/json"),
    ("DELETE", "/v1/tokens/{}", ""),
    ("GET", "/v1/audit?{}", ""),
    ("POST", "/streams", "application/json"),
    ("PUT", "/streams/{}", "application/json"),
    ("DELETE", "/streams/{}", ""),
    ("POST", "/rules", "application/json"),
    ("PUT", "/rules/{}", "application/json"),
    ("POST", "/rules/validate", "application/json"),
    ("GET", "/rules/{}/status", ""),
];

/// No symbol at all: no rule ever starts.
struct Nothing;

impl Catalog for Nothing {
    fn source(&self, _: &str) -> Option<Arc<dyn SourceSymbol>> {
        None
    }

    fn sink(&self, _: &str) -> Option<Arc<dyn SinkSymbol>> {
        None
    }

    fn function(&self, _: &str) -> Option<Arc<dyn FunctionSymbol>> {
        None
    }

    fn names(&self, _: SymbolKind) -> Vec<String> {
        Vec::new()
    }
}

struct World {
    runtime: Runtime,
    connection: TcpStream,
    address: std::net::SocketAddr,
    _database: TestDatabase,
    _home: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(Self::serve()).map_or_else(|error| panic!("no server: {error}"), |(connection, address, database, home)| {
            Self { runtime, connection, address, _database: database, _home: home }
        })
    }

    async fn serve() -> Result<(TcpStream, std::net::SocketAddr, TestDatabase, tempfile::TempDir), Box<dyn std::error::Error>> {
        let home = tempfile::tempdir()?;
        let database = sqlite().await;
        let migrations = [plugyard_platform::migrations(), plugyard_flow::migrations()];
        database.database.migrate(migrations.into_iter().flatten().collect()).await?;
        let platform = Platform::open(Settings::new(Home::new(home.path()), database.database.clone()), Vec::new()).await?;
        let flow = FlowService::new(database.database.conn().clone(), Arc::new(Nothing));
        let mut settings = ServerSettings::new("0", Arc::new(|_| false));
        settings.listen = vec![std::net::SocketAddr::from(([127, 0, 0, 1], 0))];
        settings.auth = Auth::None;
        let routes = Routes { router: plugyard_flow::routes(flow), rights: plugyard_flow::rights() };
        let bound = Server::new(settings, platform, vec![routes])?.bind().await?;
        let address = bound.addresses()[0];
        tokio::spawn(bound.run(std::future::pending()));
        let mut connection = TcpStream::connect(address).await?;
        while ask(&mut connection, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").await?.0 != 200 {
            tokio::task::yield_now().await;
        }
        Ok((connection, address, database, home))
    }
}

/// Sends a request and reads its answer: status, and whether the connection stays.
async fn ask(connection: &mut TcpStream, request: &[u8]) -> std::io::Result<(u16, bool)> {
    connection.write_all(request).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    match length {
        Some(length) => {
            let mut body = vec![0; length];
            connection.read_exact(&mut body).await?;
        }
        None if head.contains("transfer-encoding") => {
            let mut tail = Vec::new();
            while !tail.ends_with(b"0\r\n\r\n") {
                tail.push(connection.read_u8().await?);
            }
        }
        None => {}
    }
    Ok((status, !head.contains("connection: close")))
}

/// As a browser would write it into an address.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'%' | b'=' | b'&' | b':' => {
                text.push(char::from(*byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
        text
    })
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

fuzz_target!(|bytes: &[u8]| {
    let Some((index, rest)) = bytes.split_first() else { return };
    let cut = rest.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (hole, body) = (&rest[..cut], rest.get(cut + 1..).unwrap_or_default());
    let (method, path, content_type) = ROUTES[usize::from(*index) % ROUTES.len()];
    let path = path.replace("{}", &escaped(&hole[..hole.len().min(2000)]));
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(body);
    WORLD.with_borrow_mut(|world| {
        let World { runtime, connection, address, .. } = world.get_or_insert_with(World::new);
        runtime.block_on(async {
            let (status, stays) = ask(connection, &request).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
            assert!((200..500).contains(&status), "{method} {path} answers {status}");
            if !stays {
                *connection = TcpStream::connect(*address).await.expect("the server still listens");
            }
        });
    });
});
