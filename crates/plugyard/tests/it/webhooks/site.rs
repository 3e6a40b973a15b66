//! A server with web plugins, on each of the databases.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use sea_orm::ConnectionTrait as _;
use serde_json::{Value as Json, json};

use crate::support::postgres::Postgres;
use crate::support::{Server, run};

/// A server, and the database behind it.
pub(crate) struct Site {
    pub(crate) server: Server,
    postgres: Option<Postgres>,
    packages: tempfile::TempDir,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Site {
    /// One on SQLite.
    pub(crate) fn start(prepare: impl Fn(&mut Command)) -> Self {
        Self::with(None, &prepare)
    }

    /// One on SQLite, and one on PostgreSQL where there is one.
    pub(crate) fn each(prepare: impl Fn(&mut Command)) -> Vec<Self> {
        let word = format!("pages_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut sites = vec![Self::with(None, &prepare)];
        if let Some(postgres) = Postgres::new(&word) {
            sites.push(Self::with(Some(postgres), &prepare));
        }
        sites
    }

    fn with(postgres: Option<Postgres>, prepare: &impl Fn(&mut Command)) -> Self {
        let server = Server::start_with(|command| {
            command
                .env("PLUGYARD__WEB__OBSERVATION", "0ms")
                .env("PLUGYARD__WEB__WEBHOOKS__ALLOW_PRIVATE", "true")
                .env("PLUGYARD__WEB__WEBHOOKS__FIRST_WAIT", "50ms");
            if let Some(postgres) = &postgres {
                command.env("PLUGYARD__DATABASE__URL", postgres.url());
            }
            prepare(command);
        });
        Self {
            server,
            postgres,
            packages: tempfile::tempdir().expect("a directory"),
        }
    }

    /// Which database this one has.
    pub(crate) fn database(&self) -> &'static str {
        match self.postgres {
            Some(_) => "postgres",
            None => "sqlite",
        }
    }

    /// Writes to the database by hand.
    pub(crate) fn sql(&self, sql: &str) {
        if let Some(postgres) = &self.postgres {
            let words = [
                "--no-psqlrc",
                "--quiet",
                "--set",
                "ON_ERROR_STOP=1",
                "--command",
                sql,
            ];
            let ended = run(Command::new("psql").args(words).arg(postgres.url()));
            assert_eq!(ended.code, 0, "{sql}: {ended:?}");
            return;
        }
        let file = self.server.home.join("plugyard.db");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let url = format!("sqlite:{}?mode=rw", file.display());
            let database = sea_orm::Database::connect(url).await.expect("a database");
            database.execute_unprepared(sql).await.expect(sql);
            database.close().await.expect("it closes");
        });
    }

    /// The directory of a plugin's package.
    pub(crate) fn package(&self, fskey: &str, version: &str) -> String {
        let directory = self.packages.path().join(format!("{fskey}-{version}"));
        package(&directory, fskey, version);
        directory.display().to_string()
    }

    /// Installs a plugin, disabled.
    #[track_caller]
    pub(crate) fn install(&self, fskey: &str) {
        let package = self.package(fskey, "1.0.0");
        self.server.cli_ok(&["install", &package]);
    }

    /// Installs a plugin and enables it.
    #[track_caller]
    pub(crate) fn enable(&self, fskey: &str) {
        self.install(fskey);
        self.server.cli_ok(&["enable", &format!("web:{fskey}")]);
    }

    /// Sets a setting of the site.
    #[track_caller]
    pub(crate) fn set(&self, key: &str, value: &Json) {
        let mut body = json!({});
        body[key] = value.clone();
        let url = format!("{}/v1/web/settings", self.server.address);
        let answer = self
            .server
            .http
            .patch(url)
            .json(&body)
            .send()
            .expect("an answer");
        assert!(
            answer.status().is_success(),
            "{key}: {}",
            answer.text().unwrap_or_default()
        );
    }

    /// Posts JSON and gives status and answer.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Json) -> (u16, Json) {
        let answer = self.server.post(path).json(body).send().expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().unwrap_or_default())
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> (u16, Json) {
        let answer = self.server.get(path).send().expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().unwrap_or_default())
    }

    /// Calls a command word and gives the number it answers.
    #[track_caller]
    pub(crate) fn word(&self, fskey: &str, word: &str, body: Json) -> Json {
        let call = json!({ "fskey": fskey, "word": word, "body": body });
        let (status, answer) = self.post("/v1/web/command-words", &call);
        assert_eq!(status, 200, "{answer}");
        answer
    }
}

/// Writes a package into a directory.
pub(crate) fn package(directory: &Path, fskey: &str, version: &str) {
    let assets = directory.join("resources/assets");
    std::fs::create_dir_all(&assets).expect("a directory");
    std::fs::write(assets.join("fresns.png"), PNG).expect("a file");
    let manifest = json!({
        "fskey": fskey,
        "type": 1,
        "name": fskey,
        "description": "",
        "author": "Plugyard",
        "version": version,
        "scene": ["apiKey", "extendChannel"],
        "accessPath": "/page?a={authorization}&p={parameter}",
        "settingsPath": "/settings",
    });
    std::fs::write(directory.join("plugin.json"), manifest.to_string()).expect("a file");
}

/// One transparent point.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\0\x01\0\0\x05\0\x01\r\n-\xb4\0\0\0\0IEND\xaeB`\x82";
