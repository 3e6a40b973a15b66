//! The configuration of a plugin over the routes of the kind `app`: reading and writing it, with few and
//! with many plugins installed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use plugyard_app::{AppHost, AppSettings};
use plugyard_http::Principal;
use plugyard_model::rights::Role;
use plugyard_platform::{Home, Platform, Settings};
use plugyard_store::{Database, DatabaseUrl};
use serde::Serialize;
use serde_json::{Value as Json, json};
use tower::ServiceExt as _;

/// Installs under way at once.
const TOGETHER: usize = 8;

/// What was measured with so many plugins installed. Requests come one after another, so a rate is also
/// the inverse of a latency; the network is left out.
#[derive(Debug, Clone, Serialize)]
pub struct ConfigRow {
    /// Installed plugins.
    pub plugins: usize,
    /// `GET …/config` per second.
    pub get_per_second: f64,
    /// `PUT …/config` of one value per second.
    pub put_per_second: f64,
}

/// A server's inside with plugins of this kind.
pub struct Configured {
    routes: Router,
    platform: Platform,
    installed: usize,
    directory: tempfile::TempDir,
}

impl std::fmt::Debug for Configured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Configured")
            .field("installed", &self.installed)
            .finish_non_exhaustive()
    }
}

impl Configured {
    /// A platform on files, without plugins.
    ///
    /// # Errors
    /// When the home or its database cannot be made.
    pub async fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let home = Home::new(directory.path().join("home"));
        let url = DatabaseUrl::sqlite(home.database());
        let database = Database::open(&url).await?;
        let mut migrations = plugyard_platform::migrations();
        migrations.extend(plugyard_app::migrations());
        database.migrate(migrations).await?;
        let host = AppHost::new(AppSettings::default(), home.clone(), database.clone());
        let settings = Settings::new(home, database);
        let platform = Platform::open(settings, vec![host.kind()]).await?;
        let routes: Router = host.routes(platform.clone()).into();
        Ok(Self {
            routes,
            platform,
            installed: 0,
            directory,
        })
    }

    /// Installs plugins until there are so many, each from a directory of its own.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn install(&mut self, wanted: usize) -> Result<()> {
        while self.installed < wanted {
            let last = wanted.min(self.installed + TOGETHER);
            let installs = (self.installed..last).map(|index| self.install_one(index));
            futures::future::try_join_all(installs).await?;
            self.installed = last;
        }
        Ok(())
    }

    async fn install_one(&self, index: usize) -> Result<()> {
        let name = format!("Plugin{index}");
        let plugin = self.directory.path().join("home/plugins").join(&name);
        tokio::fs::create_dir_all(&plugin).await?;
        tokio::fs::write(plugin.join("config.json"), definition().to_string()).await?;
        let path = format!("/{name}/install");
        self.ask(Method::POST, &path, Body::empty()).await
    }

    /// Reads and writes the configuration of one plugin for so long each.
    ///
    /// # Errors
    /// When a request is refused, or nothing is installed.
    pub async fn measure(&self, span: Duration) -> Result<ConfigRow> {
        ensure!(self.installed > 0, "there is nothing to ask for");
        let path = format!("/Plugin{}/config", self.installed / 2);
        let get = per_second(span, async |_| {
            self.ask(Method::GET, &path, Body::empty()).await
        });
        let get_per_second = get.await?;
        let put = per_second(span, async |turn| {
            let value = json!({ "TIMEOUT": 1 + turn % 300 });
            self.ask(Method::PUT, &path, Body::from(value.to_string()))
                .await
        });
        Ok(ConfigRow {
            plugins: self.installed,
            get_per_second,
            put_per_second: put.await?,
        })
    }

    /// Ends what works in the background.
    pub async fn end(self) {
        self.platform.shut_down().await;
    }

    async fn ask(&self, method: Method, path: &str, body: Body) -> Result<()> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/admin/plugins{path}"))
            .extension(Principal {
                name: "bench".to_owned(),
                roles: vec![Role::Owner],
            })
            .body(body)?;
        let response = self.routes.clone().oneshot(request).await?;
        let status = response.status();
        // The body is made before it is sent; reading it is the client's work.
        let length = response.headers().get("content-length");
        ensure!(status.is_success(), "{path} answered {status} {length:?}");
        Ok(())
    }
}

async fn per_second(span: Duration, mut act: impl AsyncFnMut(u32) -> Result<()>) -> Result<f64> {
    // Once, so that what is read at first is in memory.
    act(0).await.context("the first request")?;
    let (began, mut turns) = (Instant::now(), 0_u32);
    while began.elapsed() < span {
        turns += 1;
        act(turns).await?;
    }
    Ok(f64::from(turns) / began.elapsed().as_secs_f64())
}

/// Three fields, as the simple example of the specification has them.
fn definition() -> Json {
    json!({ "fields": {
        "BASE_URL": {
            "type": "url", "label": "Address", "default": "https://api.example.com",
            "validation": "required|url",
        },
        "KEY": { "type": "text", "label": "Key", "default": "k-0123456789", "validation": "required|string|min:10" },
        "TIMEOUT": { "type": "number", "label": "Timeout", "default": 30, "validation": "integer|min:1|max:300" },
    }})
}
