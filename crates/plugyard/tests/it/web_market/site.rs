//! Clients of markets, on each database, and packages.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value as Json, json};

use crate::support::postgres::Postgres;
use crate::support::{Server, plugins, plugyard, run, wait_for};

/// A server that asks markets, with what its packages are made in.
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) work: tempfile::TempDir,
    database: Option<Postgres>,
}

/// The settings of such a server.
fn prepare(command: &mut Command, database: Option<String>) {
    command
        .env("PLUGYARD__WEB__ALLOW_PRIVATE_HOSTS", "true")
        .env("PLUGYARD__WEB__WEBHOOKS__ALLOW_PRIVATE", "true")
        .env("PLUGYARD__WEB__OBSERVATION", "100ms")
        .env("PLUGYARD__WEB__HEALTH_TRIES", "1")
        .env("PLUGYARD__WEB__MARKET_TIMEOUT", "5s");
    if let Some(url) = database {
        command.env("PLUGYARD__DATABASE__URL", url);
    }
}

/// One site on each database.
pub(crate) fn sites(word: &str) -> Vec<Site> {
    let mut sites = vec![Site::on(None)];
    sites.extend(Postgres::new(word).map(|database| Site::on(Some(database))));
    sites
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::on(None)
    }

    /// Changes a record.
    #[track_caller]
    pub(crate) fn patch(&self, path: &str, body: &Json) {
        let request = self
            .server
            .http
            .patch(format!("{}{path}", self.server.address));
        let answer = request.json(body).send().expect("an answer");
        assert!(answer.status().is_success(), "{path} {body}: {answer:?}");
    }

    fn on(database: Option<Postgres>) -> Self {
        let url = database.as_ref().map(Postgres::url);
        let work = tempfile::tempdir().expect("a temporary directory");
        let server = Server::start_in(&work.path().join("server/home"), |command| {
            prepare(command, url);
        });
        Self {
            server,
            work,
            database,
        }
    }

    /// Ends the server, by force or not, and starts it again.
    pub(crate) fn start_again(&mut self, kill: bool) {
        if kill {
            self.server.kill();
        } else {
            self.server.terminate();
        }
        let home = self.server.home.clone();
        let url = self.database.as_ref().map(Postgres::url);
        self.server = Server::start_in(&home, |command| prepare(command, url));
    }

    pub(crate) fn record(&self, fskey: &str) -> Json {
        let answer = self
            .server
            .get(&format!("/v1/web/plugins/{fskey}"))
            .send()
            .expect("an answer");
        answer.json().expect("JSON")
    }

    /// `upgradeVersion`, which is there exactly when the plugin is flagged.
    #[track_caller]
    pub(crate) fn flag(&self, fskey: &str) -> Option<String> {
        let record = self.record(fskey);
        let version = record["upgradeVersion"].as_str().map(str::to_owned);
        assert_eq!(record["isUpgrade"], json!(version.is_some()), "{record}");
        version
    }

    /// Installs a package from this machine.
    pub(crate) fn install(&self, fskey: &str, version: &str) {
        let zip = package(self.work.path(), fskey, version, &json!({}));
        self.server.cli_ok(&["install", &zip.display().to_string()]);
    }

    /// Adds a market of Fresns' protocol.
    pub(crate) fn add_legacy(&self, name: &str, url: &str) {
        self.server.cli_ok(&[
            "market",
            "add",
            url,
            "--name",
            name,
            "--protocol",
            "v2",
            "--allow-private",
        ]);
    }

    /// What `POST` answers, and how.
    pub(crate) fn posted(&self, path: &str, body: &Json) -> (u16, Json) {
        let answer = self.server.post(path).json(body).send().expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().unwrap_or_default())
    }

    pub(crate) fn check(&self) -> Json {
        let (status, report) = self.posted("/v1/web/check", &json!({}));
        assert_eq!(status, 200, "{report}");
        report
    }

    pub(crate) fn checked_at(&self) -> Json {
        let answer = self.server.get("/v1/web/check").send().expect("an answer");
        answer.json::<Json>().expect("JSON")["checkedAt"].clone()
    }
}

/// A package as a zip; `platform` is that object of the manifest.
pub(crate) fn package(work: &Path, fskey: &str, version: &str, platform: &Json) -> PathBuf {
    let directory = work.join(format!("{fskey}-{version}"));
    std::fs::create_dir_all(&directory).expect("a directory");
    let manifest = json!({
        "fskey": fskey,
        "name": fskey,
        "description": "",
        "author": "Ann",
        "version": version,
        "scene": ["extendChannel"],
        "accessPath": format!("/{}", fskey.to_lowercase()),
        "platform": platform,
    });
    std::fs::write(directory.join("plugin.json"), manifest.to_string()).expect("a manifest");
    plugins::zip(&directory, &work.join(format!("{fskey}-{version}.zip")))
}

/// A market of one's own, served by the binary.
pub(crate) struct Market {
    pub(crate) directory: PathBuf,
    pub(crate) key: String,
    pub(crate) url: String,
    child: Child,
}

impl Market {
    pub(crate) fn serve(work: &Path) -> Self {
        let directory = work.join("market");
        let made = run(plugyard(work)
            .args(["market", "init", "-o", "json", "--in"])
            .arg(&directory));
        assert_eq!(made.code, 0, "{made:?}");
        let made: Json = serde_json::from_str(&made.stdout).expect("JSON");
        let key = made["rootKeys"][0].as_str().expect("a key");
        Self::over(directory, key)
    }

    /// Serves what is there.
    pub(crate) fn over(directory: PathBuf, key: &str) -> Self {
        let mut command = plugyard(&directory);
        command.args(["market", "serve", "--in"]).arg(&directory);
        Self::started(command, directory, key)
    }

    /// Starts a command that serves one.
    pub(crate) fn started(mut command: Command, directory: PathBuf, key: &str) -> Self {
        let mut child = command
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the market starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("a line");
        let url = line
            .trim()
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        Self {
            directory,
            key: key.to_owned(),
            url,
            child,
        }
    }

    /// A command about the market.
    #[track_caller]
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let mut command: Command = plugyard(&self.directory);
        command
            .arg("market")
            .args(words)
            .arg("--in")
            .arg(&self.directory);
        let ended = run(&mut command);
        assert_eq!(ended.code, 0, "{words:?}: {ended:?}");
        ended.stdout
    }

    #[track_caller]
    pub(crate) fn publish(&self, package: &Path) {
        self.ok(&["publish", &package.display().to_string()]);
    }

    pub(crate) fn add_to(&self, site: &Site) {
        site.server.cli_ok(&[
            "market",
            "add",
            &self.url,
            "--name",
            "own",
            "--trust",
            &self.key,
            "--allow-private",
        ]);
    }

    pub(crate) fn document(&self, name: &str) -> PathBuf {
        self.directory.join("metadata").join(name)
    }

    /// Ends it; the address answers nobody any more.
    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits until nothing changes the plugin any more.
pub(crate) fn settled(site: &Site, fskey: &str) {
    wait_for("the end of the change", || {
        let shown = site.server.shown(&format!("web:{fskey}"));
        shown["operation"].is_null().then_some(())
    });
}
