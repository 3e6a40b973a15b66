//! A whole server for one test, and the people who use it.

mod client;
mod fake;
mod log;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Extension;
use axum::http::Method;
use plugyard_archive::build::Archive;
use plugyard_http::{Envelope, RouteRight, Unhurried};
use plugyard_model::VersionId;
use plugyard_model::rights::{Right, Role};
use plugyard_platform::tokens::TokenRequest;
use plugyard_platform::{Home, Pass, Platform, Settings};
use plugyard_server::{Bound, PluginCheck, Routes, Server, ServerSettings, StartError};
use plugyard_store::testing::{TestDatabase, databases, sqlite};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use client::{Event, Events, Persona, Target, raw};
pub(crate) use fake::Fake;
pub(crate) use log::logged;

/// A running server.
pub(crate) struct World {
    pub(crate) platform: Platform,
    pub(crate) fake: Arc<Fake>,
    pub(crate) address: SocketAddr,
    pub(crate) socket: PathBuf,
    pub(crate) stopper: CancellationToken,
    running: Option<tokio::task::JoinHandle<Result<(), StartError>>>,
    home: tempfile::TempDir,
    database: TestDatabase,
}

impl World {
    /// On SQLite, with the settings a test wants.
    pub(crate) async fn start(change: impl FnOnce(&mut ServerSettings)) -> Self {
        let (world, bound) = Self::bound(sqlite().await, change).await;
        world.run(bound).await
    }

    /// One on each sort of database.
    pub(crate) async fn everywhere() -> Vec<Self> {
        let mut worlds = Vec::new();
        for database in databases().await {
            let (world, bound) = Self::bound(database, |_| {}).await;
            worlds.push(world.run(bound).await);
        }
        worlds
    }

    /// One that has its addresses but answers nothing yet.
    pub(crate) async fn bound(
        database: TestDatabase,
        change: impl FnOnce(&mut ServerSettings),
    ) -> (Self, Bound) {
        log::begin();
        let home = tempfile::tempdir().unwrap();
        database
            .database
            .migrate(plugyard_platform::migrations())
            .await
            .unwrap();
        let fake = Arc::new(Fake::default());
        let settings = Settings::new(Home::new(home.path()), database.database.clone());
        let platform = Platform::open(settings, vec![fake.clone()]).await.unwrap();
        let socket = platform.home().api_socket();
        let mut settings = ServerSettings::new("1.2.3-test", nobody());
        settings.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        settings.socket = Some(socket.clone());
        change(&mut settings);
        let server = Server::new(
            settings,
            platform.clone(),
            vec![foreign_routes(fake.clone())],
        )
        .unwrap();
        let bound = server.bind().await.unwrap();
        let world = Self {
            platform,
            fake,
            address: bound.addresses()[0],
            socket,
            stopper: bound.stopper(),
            running: None,
            home,
            database,
        };
        (world, bound)
    }

    /// Lets it answer, and waits until it says that it is ready.
    pub(crate) async fn run(mut self, bound: Bound) -> Self {
        self.running = Some(tokio::spawn(bound.run(std::future::pending())));
        // Nothing else tells a client from outside.
        while self.anonymous().get("/readyz").await.status != 200 {
            tokio::task::yield_now().await;
        }
        self
    }

    /// Ends the server and begins another on the same home and database.
    pub(crate) async fn restart(&mut self) {
        self.restart_with(vec![self.fake.clone()]).await;
    }

    /// The same with other kinds.
    pub(crate) async fn restart_with(&mut self, kinds: Vec<Arc<dyn plugyard_platform::Kind>>) {
        self.stopper.cancel();
        self.stopped().await;
        self.platform.shut_down().await;
        let home = Home::new(self.home.path());
        let settings = Settings::new(home, self.database.database.clone());
        self.platform = Platform::open(settings, kinds).await.unwrap();
        let mut settings = ServerSettings::new("1.2.3-test", nobody());
        settings.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        let routes = vec![foreign_routes(self.fake.clone())];
        let server = Server::new(settings, self.platform.clone(), routes).unwrap();
        let bound = server.bind().await.unwrap();
        self.address = bound.addresses()[0];
        self.stopper = bound.stopper();
        self.running = Some(tokio::spawn(bound.run(std::future::pending())));
        while self.anonymous().get("/readyz").await.status != 200 {
            tokio::task::yield_now().await;
        }
    }

    /// The same person at the server as it is now.
    pub(crate) fn again(&self, who: &Persona) -> Persona {
        who.at(Target::Tcp(self.address))
    }

    pub(crate) fn sort(&self) -> &'static str {
        self.database.sort
    }

    /// Waits until the server has stopped.
    pub(crate) async fn stopped(&mut self) {
        self.running.take().unwrap().await.unwrap().unwrap();
    }

    pub(crate) fn anonymous(&self) -> Persona {
        Persona::new("anonymous", Target::Tcp(self.address), None)
    }

    /// The local command line: over the socket, without a token.
    pub(crate) fn local(&self) -> Persona {
        Persona::new("local", Target::Unix(self.socket.clone()), None)
    }

    /// Somebody with a token of these roles.
    pub(crate) async fn with_role(&self, role: Role) -> Persona {
        let who = plugyard_http::Principal {
            name: "owner".into(),
            roles: vec![Role::Owner],
        };
        let request = TokenRequest {
            name: role.as_str().into(),
            roles: vec![role],
            expires_at: None,
            account: None,
        };
        let made = self.platform.token_create(&who, request).await.unwrap();
        let secret = made.secret.expose_secret().to_owned();
        Persona::new(role.as_str(), Target::Tcp(self.address), Some(secret))
    }

    /// A process of a plugin, for as long as the pass is kept.
    pub(crate) fn process(&self, plugin: &str) -> (Persona, Pass) {
        let access = &self.platform.settings().plugin_access;
        let version = VersionId(uuid::Uuid::nil());
        let pass = access.admit(&plugin.parse().unwrap(), version).unwrap();
        let [(_, api), (_, token)] = pass.environment();
        assert_eq!(api, format!("http://{}", self.address).as_str());
        let token = token.into_string().unwrap();
        let process = Persona::new("plugin", Target::Tcp(self.address), Some(token));
        (process, pass)
    }

    pub(crate) async fn owner(&self) -> Persona {
        self.with_role(Role::Owner).await
    }

    /// Hands a package in and installs it; answers the operation's id.
    pub(crate) async fn install(&self, by: &Persona, manifest: &Value) -> String {
        let package = by.upload(&package(manifest)).await;
        assert_eq!(package.status, 201, "{}", package.text());
        let body = json!({ "package": package.json()["sha256"] });
        let answer = by.post("/v1/installations", &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["operation"].as_str().unwrap().to_owned()
    }

    /// The same, and waits for the end.
    pub(crate) async fn installed(&self, by: &Persona, manifest: &Value) {
        let id = self.install(by, manifest).await;
        let outcome = self.platform.wait(id.parse().unwrap()).await.unwrap();
        outcome.into_result().unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stopper.cancel();
    }
}

/// A package of the pretended kind.
pub(crate) fn package(manifest: &Value) -> Vec<u8> {
    Archive::new()
        .file("fake.json", manifest.to_string())
        .build()
}

/// Nobody is a plugin.
pub(crate) fn nobody() -> PluginCheck {
    Arc::new(|_| false)
}

/// This very process is a plugin.
pub(crate) fn ourselves() -> PluginCheck {
    Arc::new(|pid| pid == std::process::id())
}

/// Routes as another crate brings them, some of them badly behaved.
fn foreign_routes(fake: Arc<Fake>) -> Routes {
    let right = |path, right, envelope| RouteRight {
        method: Method::GET,
        path,
        right,
        envelope,
    };
    Routes {
        router: OpenApiRouter::new()
            .routes(routes!(compatible))
            .routes(routes!(panics))
            .routes(routes!(stuck))
            .routes(routes!(patient))
            .routes(routes!(slow_write))
            // No operation of the document, so no right: refused to everybody.
            .route("/v1/forgotten", axum::routing::get(|| async { "never" }))
            .layer(Extension(fake)),
        rights: vec![
            right("/rules/{id}", Right::FlowRead, Envelope::Ekuiper),
            right("/v1/test/panics", Right::Public, Envelope::Native),
            right("/v1/test/stuck", Right::Public, Envelope::Native),
            right("/v1/test/patient", Right::Public, Envelope::Native),
            RouteRight {
                method: Method::POST,
                path: "/v1/test/write",
                right: Right::Admin,
                envelope: Envelope::Native,
            },
        ],
    }
}

#[utoipa::path(get, path = "/rules/{id}", operation_id = "test_rule", responses((status = 200)),
    params(("id" = String, Path)))]
async fn compatible() -> &'static str {
    "a rule"
}

#[utoipa::path(get, path = "/v1/test/panics", operation_id = "test_panics", responses((status = 200)))]
async fn panics() -> &'static str {
    panic!("a handler's mistake with secret-of-the-handler")
}

#[utoipa::path(get, path = "/v1/test/stuck", operation_id = "test_stuck", responses((status = 200)))]
async fn stuck() -> &'static str {
    std::future::pending().await
}

#[utoipa::path(get, path = "/v1/test/patient", operation_id = "test_patient", responses((status = 200)))]
async fn patient(_: Unhurried) -> &'static str {
    std::future::pending().await
}

/// Begins, waits, and only then takes effect: the effect is a line in the log.
#[utoipa::path(post, path = "/v1/test/write", operation_id = "test_write", responses((status = 200)))]
async fn slow_write(Extension(fake): Extension<Arc<Fake>>) -> &'static str {
    fake.write("begun");
    fake.go_on.notified().await;
    fake.write("done");
    "written"
}
