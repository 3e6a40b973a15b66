//! The kind `web` over HTTP and the command line: scenarios of the plugin registry by their numbers, against the
//! started binary on every database there is. The application is a small HTTP server and a script.

mod beside;
mod install;
mod registry;
mod sources;
mod switch;
mod tasks;
mod themes;
mod upgrade;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use plugyard_store::testing::{TestDatabase, databases};
use reqwest::Method;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value as Json, json};

use crate::support::{Ended, Server, leaks};

/// The application's commands: its tables are files of lines, one for each migration.
const SCRIPT: &str = r#"
root=$(dirname "$0")
table="$root/tables/$PLUGYARD_FSKEY"
mkdir -p "$root/tables"
echo "$PLUGYARD_HOOK $PLUGYARD_FSKEY $PLUGYARD_VERSION" >> "$root/hooks.log"
while [ -e "$root/wait-$PLUGYARD_FSKEY" ]; do sleep 0.05; done
if [ -e "$root/fail-$PLUGYARD_HOOK" ]; then
    [ $PLUGYARD_HOOK != migrate ] || echo half >> "$table"
    echo "told to fail" >&2; exit 1
fi
case $PLUGYARD_HOOK in
dependencies) [ ! -e "$PLUGYARD_DIRECTORY/app/unresolvable" ] ;;
mark) [ ! -e "$root/silent-mark" ] || exit 0
    if [ -e "$table" ]; then wc -l < "$table"; else echo 0; fi ;;
migrate)
    for file in "$PLUGYARD_DIRECTORY"/database/migrations/*; do
        name=$(basename "$file")
        grep -qx "$name" "$table" 2>/dev/null && continue
        case $name in *fails*) echo "cannot run $name" >&2; exit 1 ;; esac
        echo "$name" >> "$table"
    done ;;
seed) echo seed >> "$table.seeds" ;;
revert)
    if [ -z "$PLUGYARD_MARK" ] || [ "$PLUGYARD_MARK" = 0 ]; then rm -f "$table"
    else head -n "$PLUGYARD_MARK" "$table" > "$table.new"; mv "$table.new" "$table"; fi ;;
snapshot) cp "$table" "$PLUGYARD_SNAPSHOT" ;;
restore) cp "$PLUGYARD_SNAPSHOT" "$table" ;;
load) [ ! -e "$PLUGYARD_DIRECTORY/app/unloadable" ] || { echo "no such class" >&2; exit 1; } ;;
esac
"#;

/// The application: answers `/health/{fskey}` as the plugin's file `app/health` says.
struct Application {
    address: String,
    ended: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Application {
    fn start(plugins: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let ended = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ended);
        let answered = Arc::new(AtomicUsize::new(0));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), plugins) = (stream, plugins.clone()) else {
                    continue;
                };
                let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
                thread::spawn(move || serve(stream, &plugins, &stop, &answered));
            }
        });
        Self {
            address,
            ended,
            thread: Some(thread),
        }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address.trim_start_matches("http://"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: TcpStream, plugins: &Path, stop: &AtomicBool, answered: &AtomicUsize) {
    let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
    let Some(Ok(first)) = lines.next() else {
        return;
    };
    for line in lines {
        if line.is_ok_and(|line| line.is_empty()) {
            break;
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let fskey = path.trim_start_matches("/health/");
    let how = fs::read_to_string(plugins.join(fskey).join("app/health"));
    let status = match how.as_deref().map(str::trim) {
        Ok("ok") => "200 OK",
        Ok("once") if answered.fetch_add(1, Ordering::SeqCst) == 0 => "200 OK",
        Ok("hangs") => {
            while !stop.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(20));
            }
            return;
        }
        _ => "500 Internal Server Error",
    };
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
}

/// A server with an application beside it.
pub(super) struct Site {
    pub(super) server: Server,
    pub(super) database: TestDatabase,
    application: Application,
    pub(super) directory: tempfile::TempDir,
}

/// Runs a test on every sort of database.
#[track_caller]
pub(super) fn on_each(test: impl Fn(&mut Site)) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for database in runtime.block_on(databases()) {
        println!("on {}", database.sort);
        let mut site = Site::start(database);
        test(&mut site);
        let Site {
            server, database, ..
        } = site;
        drop(server);
        let _entered = runtime.enter();
        drop(database);
    }
}

impl Site {
    fn start(database: TestDatabase) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let home = directory.path().join("home");
        fs::create_dir_all(&home).expect("a home");
        let script = directory.path().join("hook.sh");
        fs::write(&script, SCRIPT).expect("a script");
        let words = format!("[\"sh\", {:?}]", script.display().to_string());
        let hooks: String = [
            "dependencies",
            "mark",
            "migrate",
            "seed",
            "revert",
            "snapshot",
            "restore",
            "load",
        ]
        .map(|hook| format!("{hook} = {words}\n"))
        .concat();
        let settings = format!(
            "[web]\nallow_private_hosts = true\nhealth_timeout = \"2s\"\nhealth_tries = 3\n\
             observation = \"1500ms\"\ncore_version = \"1.5.0\"\n[web.hooks]\n{hooks}"
        );
        fs::write(home.join("plugyard.toml"), settings).expect("settings");
        let application = Application::start(home.join("plugins"));
        let server = Server::start_in(&home, |command| {
            command.env("PLUGYARD__DATABASE__URL", &database.address);
        });
        let site = Self {
            server,
            database,
            application,
            directory,
        };
        let address = site.application.address.clone();
        site.ok(
            Method::PATCH,
            "/v1/web/settings",
            Some(json!({ "system_url": address })),
        );
        site
    }

    /// The same server again, after it was ended.
    pub(super) fn restart(&mut self, words: &[&str]) {
        self.server.terminate();
        let home = self.server.home.clone();
        let address = self.database.address.clone();
        self.server = Server::start_in(&home, |command| {
            command.env("PLUGYARD__DATABASE__URL", address).args(words);
        });
    }

    /// Sends a request; status and body.
    #[track_caller]
    pub(super) fn call(&self, method: Method, path: &str, body: Option<Json>) -> (u16, Json) {
        let mut request = self
            .server
            .http
            .request(method, format!("{}{path}", self.server.address));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().expect("a text");
        leaks::note(&text);
        (status, serde_json::from_str(&text).unwrap_or(Json::Null))
    }

    /// The body of a request that must go well.
    #[track_caller]
    pub(super) fn ok(&self, method: Method, path: &str, body: Option<Json>) -> Json {
        let (status, body) = self.call(method, path, body);
        assert!(
            (200..300).contains(&status),
            "{path}: {status} {body:#}\n{}",
            self.server.log()
        );
        body
    }

    #[track_caller]
    pub(super) fn get(&self, path: &str) -> Json {
        self.ok(Method::GET, path, None)
    }

    #[track_caller]
    pub(super) fn post(&self, path: &str, body: Json) -> Json {
        self.ok(Method::POST, path, Some(body))
    }

    /// The codes of a request that must be refused: the problem's own, or those of its findings.
    #[track_caller]
    pub(super) fn refused(&self, method: Method, path: &str, body: Option<Json>) -> Vec<String> {
        let (status, body) = self.call(method, path, body);
        assert!((400..500).contains(&status), "{path}: {status} {body:#}");
        codes_of(&body)
    }

    /// A plugin's record.
    #[track_caller]
    pub(super) fn record(&self, fskey: &str) -> Json {
        self.get(&format!("/v1/web/plugins/{fskey}?include=deleted"))
    }

    /// A directory with a plugin; `more` are files, and may hold another `plugin.json`.
    pub(super) fn package(&self, fskey: &str, version: &str, more: &[(&str, &str)]) -> PathBuf {
        let manifest = json!({
            "fskey": fskey, "name": format!("The {fskey}"), "description": "", "author": "me",
            "version": version, "scene": ["extendChannel"], "accessPath": "/demo?id={parameter}",
            "platform": { "healthPath": format!("/health/{fskey}") },
        });
        self.package_of(&format!("{fskey}-{version}"), &manifest, more)
    }

    /// A directory with a plugin of this manifest.
    pub(super) fn package_of(&self, name: &str, manifest: &Json, more: &[(&str, &str)]) -> PathBuf {
        let directory = self.directory.path().join("packages").join(name);
        let _ = fs::remove_dir_all(&directory);
        let base: [(&str, &str); 3] = [
            ("plugin.json", &manifest.to_string()),
            ("app/health", "ok"),
            ("resources/assets/css/a.css", "body {}"),
        ];
        for (path, content) in base.iter().chain(more) {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, content).expect("a file");
        }
        directory
    }

    /// `plugyard install`, which must go well.
    #[track_caller]
    pub(super) fn install(&self, package: &Path) {
        self.server
            .cli_ok(&["install", &package.display().to_string()]);
    }

    /// `plugyard upgrade`.
    #[track_caller]
    pub(super) fn upgrade(&self, fskey: &str, package: &Path) -> Ended {
        let (plugin, package) = (format!("web:{fskey}"), package.display().to_string());
        self.server
            .cli(&["upgrade", &plugin, &package, "-o", "json"])
    }

    #[track_caller]
    pub(super) fn activate(&self, fskey: &str) -> Json {
        self.ok(
            Method::POST,
            &format!("/v1/web/plugins/{fskey}/activate"),
            None,
        )
    }

    #[track_caller]
    pub(super) fn deactivate(&self, fskey: &str) -> Json {
        self.ok(
            Method::POST,
            &format!("/v1/web/plugins/{fskey}/deactivate"),
            None,
        )
    }

    /// Everything agrees.
    #[track_caller]
    pub(super) fn doctor_finds_nothing(&self) {
        let found = self.get("/v1/web/doctor");
        assert_eq!(
            found["items"],
            json!([]),
            "{found:#}\n{}",
            self.server.log()
        );
        self.server.cli_ok(&["web", "doctor"]);
    }

    /// The lines of a plugin's table.
    pub(super) fn table(&self, fskey: &str) -> Option<Vec<String>> {
        let file = self.directory.path().join("tables").join(fskey);
        let text = fs::read_to_string(file).ok()?;
        Some(text.lines().map(str::to_owned).collect())
    }

    /// What the application was asked to do.
    pub(super) fn hooks(&self) -> Vec<String> {
        let text = fs::read_to_string(self.directory.path().join("hooks.log"));
        text.unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Has the application's commands for a plugin wait from now on, or go on.
    pub(super) fn hold(&self, fskey: &str, on: bool) {
        let flag = self.directory.path().join(format!("wait-{fskey}"));
        if on {
            fs::write(flag, "").expect("a flag");
        } else {
            fs::remove_file(flag).expect("a flag");
        }
    }

    /// Waits until the application was asked to do this.
    #[track_caller]
    pub(super) fn asked(&self, what: &str) {
        crate::support::wait_for(what, || {
            let asked = |line: &String| line.starts_with(what);
            self.hooks().iter().any(asked).then_some(())
        });
    }

    /// What the version in force says of itself on disk.
    pub(super) fn on_disk(&self, fskey: &str) -> Option<String> {
        let file = self
            .server
            .home
            .join("plugins")
            .join(fskey)
            .join("plugin.json");
        let manifest: Json = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        manifest["version"].as_str().map(str::to_owned)
    }

    /// What the status file says.
    pub(super) fn status_file(&self) -> Json {
        let bytes = fs::read(self.server.home.join("plugins.json")).expect("a status file");
        serde_json::from_slice::<Json>(&bytes).expect("JSON")["plugins"].clone()
    }

    /// Hands a zip in; status and body.
    #[track_caller]
    pub(super) fn hand_in(&self, zip: Vec<u8>, key: Option<&str>) -> (u16, Json) {
        let query = key.map_or(String::new(), |key| format!("?kind=web&key={key}"));
        let request = self
            .server
            .post(&format!("/v1/packages{query}"))
            .header("content-type", "application/zip")
            .body(zip);
        let answer = request.send().expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().unwrap_or(Json::Null))
    }

    /// Changes rows as an SQL client does.
    pub(super) fn sql(&self, statement: &str) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let url = self.database.address.parse().expect("an address");
            let database = plugyard_store::Database::open(&url)
                .await
                .expect("a database");
            let done = database.conn().execute_unprepared(statement).await;
            done.expect("a statement");
            database.close().await.expect("an end");
        });
    }
}

/// The codes a refusal names.
pub(super) fn codes_of(body: &Json) -> Vec<String> {
    let findings = body["findings"].as_array().cloned().unwrap_or_default();
    let errors = findings.iter().filter(|it| it["severity"] == "error");
    let mut codes: Vec<String> = errors
        .filter_map(|it| it["code"].as_str().map(str::to_owned))
        .collect();
    if codes.is_empty() {
        codes.extend(body["code"].as_str().map(str::to_owned));
    }
    codes
}

/// A zip of these files.
pub(super) fn zip_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(*name, options).expect("an entry");
        zip.write_all(content.as_bytes()).expect("content");
    }
    zip.finish().expect("a zip").into_inner()
}
