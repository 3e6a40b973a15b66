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
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::works::{Effort, Row};

/// Few plugins, many, and how many are many enough to see that it works.
const FEW: usize = 10;
const MANY: usize = 10_000;
const FEWER: usize = 500;
/// A shorter measurement is not meant to be compared.
const MEANT: Duration = Duration::from_millis(900);
/// What is left of the rate with many plugins, at least: all but what measurements scatter.
const UNCHANGED: f64 = 0.8;

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

/// One of a row's figures.
type Rate = fn(&ConfigRow) -> f64;

/// The rows of reading and of writing: with many plugins installed, beside the same with few.
///
/// # Errors
/// When a plugin cannot be installed or a request is refused.
pub fn rows(runtime: &Runtime, effort: Effort) -> Result<Vec<Row>> {
    let many = if effort.span < MEANT { FEWER } else { MANY };
    let turns = effort.turns.max(1);
    let (few, many) = runtime.block_on(async {
        let mut configured = Configured::new().await?;
        let mut measured = Vec::new();
        for plugins in [FEW, many] {
            configured.install(plugins).await?;
            let mut rows = Vec::with_capacity(turns);
            for _ in 0..turns {
                rows.push(configured.measure(effort.span).await?);
            }
            measured.push(rows);
        }
        configured.end().await;
        let many = measured.pop().unwrap_or_default();
        anyhow::Ok((measured.pop().unwrap_or_default(), many))
    })?;
    let works: [(&str, Rate); 2] = [
        ("GET", |row| row.get_per_second),
        ("PUT", |row| row.put_per_second),
    ];
    Ok(works
        .into_iter()
        .map(|(method, rate)| {
            let rates = |rows: &[ConfigRow]| {
                let mut rates: Vec<f64> = rows.iter().map(rate).collect();
                rates.sort_by(f64::total_cmp);
                rates
            };
            let (ours, limit) = (rates(&many), rates(&few));
            let middle = |rates: &[f64]| rates.get(rates.len() / 2).copied().unwrap_or_default();
            Row {
                work: format!(
                    "configuration: {method} with {} plugins",
                    many.first().map_or(0, |row| row.plugins)
                ),
                cores: 1,
                unit: "requests/s",
                ours: middle(&ours),
                limit: middle(&limit),
                ratio: middle(&ours) / middle(&limit),
                ratios: ours.iter().map(|it| it / middle(&limit)).collect(),
                target: Some(UNCHANGED),
                against: "the same with 10 plugins",
                established: None,
                ours_cpu: 0.0,
                limit_cpu: 0.0,
            }
        })
        .collect())
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
