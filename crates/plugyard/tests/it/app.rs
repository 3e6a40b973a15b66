//! The kind `app` over its own routes: the acceptance scenarios 31 to 64 of the configuration
//! specification, against the started binary on every database there is.

mod checks;
mod clients;
mod files;
mod lifecycle;
mod values;

use std::fs;
use std::path::{Path, PathBuf};

use plugyard_store::testing::{TestDatabase, databases};
use reqwest::Method;
use reqwest::blocking::RequestBuilder;
use serde_json::{Value as Json, json};

use crate::support::{Server, leaks, wait_for};

/// The simple example of an API.
pub(super) fn s1() -> Json {
    json!({
        "version": "1.0.0",
        "fields": {
            "API_BASE_URL": {
                "type": "url", "label": "接口地址", "required": true,
                "default": "https://api.example.com", "validation": "required|url",
            },
            "API_KEY": {
                "type": "password", "label": "API密钥", "required": true,
                "validation": "required|string|min:10",
            },
            "API_TIMEOUT": {
                "type": "number", "label": "请求超时", "default": "30",
                "validation": "integer|min:1|max:300",
            },
        },
        "values": { "API_BASE_URL": "", "API_KEY": "", "API_TIMEOUT": 30 },
    })
}

/// The second example.
pub(super) fn s2() -> Json {
    json!({
        "fields": {
            "ENABLED": { "type": "checkbox", "label": "启用", "default": "1" },
            "NOTIFICATION_TYPE": {
                "type": "select", "label": "通知方式", "default": "email",
                "options": [
                    { "value": "email", "label": "邮件" },
                    { "value": "webhook", "label": "Webhook" },
                    { "value": "both", "label": "两者" },
                ],
            },
            "WEBHOOK_URL": { "type": "url", "label": "Webhook", "validation": "nullable|url" },
        },
    })
}

/// A server on one sort of database.
pub(super) struct App {
    pub(super) server: Server,
    pub(super) database: TestDatabase,
}

/// Runs a test on every sort of database.
#[track_caller]
pub(super) fn on_each(test: impl Fn(&App)) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for database in runtime.block_on(databases()) {
        let sort = database.sort;
        println!("on {sort}");
        let server = Server::start_with(|command| {
            command.env("PLUGYARD__DATABASE__URL", &database.address);
            // Programs of the system: a version manager's stand-ins need files that no plugin sees.
            command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        });
        let app = App { server, database };
        test(&app);
        let App { server, database } = app;
        drop(server);
        let _entered = runtime.enter();
        drop(database);
    }
}

impl App {
    /// Where people put plugins.
    pub(super) fn directory(&self, name: &str) -> PathBuf {
        self.server.home.join("plugins").join(name)
    }

    /// Puts a directory there as people do, whatever was there before.
    pub(super) fn put_files(&self, name: &str, files: &[(&str, &str)]) {
        let directory = self.directory(name);
        if fs::symlink_metadata(&directory).is_ok_and(|it| it.is_symlink()) {
            fs::remove_file(&directory).expect("the link goes");
        }
        for (path, content) in files {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, content).expect("a file");
        }
    }

    pub(super) fn put(&self, name: &str, config: &Json) {
        self.put_files(name, &[("config.json", &config.to_string())]);
    }

    /// The same, installed.
    #[track_caller]
    pub(super) fn install(&self, name: &str, config: &Json) {
        self.put(name, config);
        self.ok(Method::POST, &format!("/{name}/install"), None);
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let address = format!("{}/api/admin/plugins{path}", self.server.address);
        self.server.http.request(method, address)
    }

    /// Sends a request; status and body, whose `code` must be the status.
    #[track_caller]
    pub(super) fn call(&self, method: Method, path: &str, body: Option<Json>) -> (u16, Json) {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request)
    }

    /// The data of a request that must go well.
    #[track_caller]
    pub(super) fn ok(&self, method: Method, path: &str, body: Option<Json>) -> Json {
        let (status, body) = self.call(method, path, body);
        assert_eq!(status, 200, "{path}: {body:#}\n{}", self.server.log());
        body["data"].clone()
    }

    /// The body of a request that must be refused so.
    #[track_caller]
    pub(super) fn refused(
        &self,
        method: Method,
        path: &str,
        body: Option<Json>,
        status: u16,
        error: &str,
    ) -> Json {
        let (actual, body) = self.call(method, path, body);
        assert_eq!(
            (actual, &body["error"]),
            (status, &error.into()),
            "{path}: {body:#}"
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

    #[track_caller]
    pub(super) fn set(&self, name: &str, values: Json) -> Json {
        self.ok(Method::PUT, &format!("/{name}/config"), Some(values))
    }

    /// A write that must be refused with 422 and these codes or rules, in order.
    #[track_caller]
    pub(super) fn set_refused(&self, name: &str, values: Json, expected: &[&str]) -> Json {
        let (status, body) = self.call(Method::PUT, &format!("/{name}/config"), Some(values));
        assert_eq!(status, 422, "{body:#}");
        let told: Vec<&str> = body["details"]
            .as_array()
            .expect("details")
            .iter()
            .map(|it| it["rule"].as_str().or(it["code"].as_str()).expect("a word"))
            .collect();
        assert_eq!(told, expected, "{body:#}");
        body
    }

    /// The values as they are told.
    #[track_caller]
    pub(super) fn values(&self, name: &str) -> Json {
        self.get(&format!("/{name}/config/values"))["values"].clone()
    }

    /// The entry in the list, when there is one.
    #[track_caller]
    pub(super) fn entry(&self, name: &str) -> Option<Json> {
        let all = self.get("");
        let mut named = all
            .as_array()
            .expect("a list")
            .iter()
            .filter(|it| it["name"] == name);
        let entry = named.next().cloned();
        assert!(named.next().is_none(), "`{name}` is listed twice");
        entry
    }

    /// What the plugin itself reads: the document that its processes and clients get. Of another version
    /// there is none, a moment after the change.
    #[track_caller]
    pub(super) fn own(&self, name: &str) -> Option<Json> {
        let versions = self.server.home.join("plugin-config/app").join(name);
        let files = || -> Vec<PathBuf> {
            let entries = fs::read_dir(&versions).into_iter().flatten();
            entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| !path.is_symlink())
                .map(|path| path.join("config.json"))
                .filter(|path| path.is_file())
                .collect()
        };
        let wanted = usize::from(self.get_is_ok(&format!("/{name}/config")));
        let files = wait_for("the file of the version in force", || {
            Some(files()).filter(|files| files.len() == wanted)
        });
        let bytes = fs::read(files.first()?).expect("the file");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    fn get_is_ok(&self, path: &str) -> bool {
        self.call(Method::GET, path, None).0 == 200
    }

    /// How many rows a table has.
    pub(super) fn rows(&self, table: &str) -> i64 {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            use sea_orm::{ConnectionTrait as _, Statement};
            let connection = sea_orm::Database::connect(&self.database.address)
                .await
                .expect("the database can be reached");
            let sql = format!("SELECT COUNT(*) AS n FROM {table}");
            let query = Statement::from_string(connection.get_database_backend(), sql);
            let row = connection.query_one_raw(query).await.expect("a row");
            let count = row.expect("a row").try_get("", "n").expect("a number");
            connection.close().await.expect("a connection closes");
            count
        })
    }

    /// Whether a text is anywhere in the database's files.
    pub(super) fn database_contains(&self, text: &str) -> bool {
        let Some(path) = self.database.address.strip_prefix("sqlite:") else {
            // The tables that could hold it, as text.
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            return runtime.block_on(dump(&self.database)).contains(text);
        };
        let directory = Path::new(path).parent().expect("a directory");
        fs::read_dir(directory)
            .expect("a directory")
            .filter_map(|entry| fs::read(entry.ok()?.path()).ok())
            .any(|bytes| {
                let mut windows = bytes.windows(text.len());
                windows.any(|it| it == text.as_bytes())
            })
    }
}

/// Every row of every table, as text.
async fn dump(test: &TestDatabase) -> String {
    use sea_orm::{ConnectionTrait as _, Statement};
    let connection = sea_orm::Database::connect(&test.address)
        .await
        .expect("the database can be reached");
    let query = |sql: String| Statement::from_string(connection.get_database_backend(), sql);
    let tables = "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'";
    let tables = connection
        .query_all_raw(query(tables.to_owned()))
        .await
        .expect("the tables");
    let mut all = String::new();
    for table in tables {
        let name: String = table.try_get("", "name").expect("a name");
        let sql = format!("SELECT t::text AS row FROM \"{name}\" t");
        for row in connection.query_all_raw(query(sql)).await.expect("rows") {
            all += &row.try_get::<String>("", "row").expect("text");
        }
    }
    connection.close().await.expect("a connection closes");
    all
}

/// Status and body, whose `code` must be the status.
#[track_caller]
pub(super) fn answer(request: RequestBuilder) -> (u16, Json) {
    let response = request.send().expect("an answer");
    let status = response.status().as_u16();
    let media = response.headers()["content-type"].clone();
    let body = response.text().expect("text");
    leaks::note_answer(&body);
    let body: Json = serde_json::from_str(&body).expect("JSON");
    assert_eq!(media, "application/json; charset=utf-8");
    assert_eq!(body["code"], status, "{body:#}");
    assert!(
        body["message"].is_string() && body.get("data").is_some(),
        "{body:#}"
    );
    (status, body)
}
