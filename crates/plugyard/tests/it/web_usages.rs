//! Usages and URLs of web plugins over HTTP: scenarios 13 to 25, against the started binary on every
//! database there is. Rows come from an SQL client where an application would have them already.

mod listing;
mod store;
mod terminal;
mod urls;

use std::sync::Arc;

use plugyard_store::testing::{TestDatabase, databases};
use reqwest::Method;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;

use crate::support::Server;

pub(super) const SYSTEM: &str = "https://api.example.com";
pub(super) const HOST: &str = "https://plug.example.net";

/// Every scene that a usage needs.
pub(super) const SCENES: &str = r#"["recharge","withdraw","extendEditor","extendContentType","extendManage","extendGroup","extendUser","extendChannel"]"#;

/// A server on one sort of database.
pub(super) struct Site {
    pub(super) server: Server,
    runtime: Arc<Runtime>,
    database: TestDatabase,
}

/// Runs a test on every sort of database, with a site that has an address.
#[track_caller]
pub(super) fn on_each(test: impl Fn(&Site)) {
    on_each_with(|_| {}, test);
}

#[track_caller]
pub(super) fn on_each_with(prepare: impl Fn(&mut std::process::Command), test: impl Fn(&Site)) {
    let runtime = Arc::new(Runtime::new().expect("a runtime"));
    for database in runtime.block_on(databases()) {
        println!("on {}", database.sort);
        let server = Server::start_with(|command| {
            command.env("PLUGYARD__DATABASE__URL", &database.address);
            prepare(command);
        });
        let site = Site {
            server,
            runtime: Arc::clone(&runtime),
            database,
        };
        site.set("system_url", &json!(SYSTEM));
        test(&site);
        let Site {
            server,
            runtime,
            database,
        } = site;
        drop(server);
        let _entered = runtime.enter();
        drop(database);
    }
}

/// A text as SQL writes it.
fn quoted(text: Option<&str>) -> String {
    match text {
        Some(text) => format!("'{}'", text.replace('\'', "''")),
        None => "NULL".to_owned(),
    }
}

impl Site {
    /// What an SQL client does.
    #[track_caller]
    pub(super) fn sql(&self, sql: &str) {
        let done = self
            .runtime
            .block_on(self.database.database.conn().execute_unprepared(sql));
        done.expect("the statement is carried out");
    }

    /// Sets a setting of the site; null takes it away.
    #[track_caller]
    pub(super) fn set(&self, key: &str, value: &Json) {
        self.sql(&format!("DELETE FROM web_settings WHERE key = '{key}'"));
        if !value.is_null() {
            let value = quoted(Some(&value.to_string()));
            self.sql(&format!(
                "INSERT INTO web_settings (key, value, updated_at) VALUES ('{key}', {value}, 0)"
            ));
        }
    }

    /// A plugin's row with every scene.
    #[track_caller]
    pub(super) fn plugin(&self, fskey: &str, host: Option<&str>, path: Option<&str>) {
        self.sql(&format!(
            "INSERT INTO plugins (fskey, type, name, description, version, author, scene, plugin_host, access_path, updated_at) \
             VALUES ('{fskey}', 1, '{fskey}', '', '1.0.0', 'Ann', '{SCENES}', {}, {}, '2026-01-01 00:00:00')",
            quoted(host),
            quoted(path),
        ));
    }

    /// Sends a request; status and body.
    #[track_caller]
    pub(super) fn ask(&self, method: Method, path: &str, body: Option<&Json>) -> (u16, Json) {
        let address = format!("{}{path}", self.server.address);
        let mut request = self.server.http.request(method, address);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().expect("text");
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    #[track_caller]
    pub(super) fn get(&self, path: &str) -> Json {
        let (status, body) = self.ask(Method::GET, path, None);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Offers a plugin; the usage's number.
    #[track_caller]
    pub(super) fn offer(&self, plugin: &str, usage_type: u8, more: &Json) -> i64 {
        let (status, body) = self.try_offer(plugin, usage_type, more);
        assert_eq!(status, 201, "{more}: {body}");
        body["id"].as_i64().expect("a number")
    }

    pub(super) fn try_offer(&self, plugin: &str, usage_type: u8, more: &Json) -> (u16, Json) {
        let mut body = json!({ "pluginFskey": plugin, "usageType": usage_type, "name": plugin });
        for (key, value) in more.as_object().expect("an object") {
            body[key] = value.clone();
        }
        self.ask(Method::POST, "/v1/web/usages", Some(&body))
    }

    #[track_caller]
    pub(super) fn change(&self, id: i64, body: &Json) -> Json {
        let path = format!("/v1/web/usages/{id}");
        let (status, answer) = self.ask(Method::PATCH, &path, Some(body));
        assert_eq!(status, 200, "{body}: {answer}");
        answer
    }

    /// Tells who a viewer is.
    #[track_caller]
    pub(super) fn viewer(&self, id: i64, body: &Json) {
        let path = format!("/v1/viewers/{id}");
        let (status, answer) = self.ask(Method::PUT, &path, Some(body));
        assert_eq!(status, 200, "{answer}");
    }

    /// What a viewer is shown; nobody without a number.
    #[track_caller]
    pub(super) fn shown(&self, viewer: Option<i64>, query: &str) -> Vec<Json> {
        let path = match viewer {
            Some(id) => format!("/v1/viewers/{id}/usages?{query}"),
            None => format!("/v1/usages?{query}"),
        };
        let body = self.get(&path);
        body.as_array().expect("a list").clone()
    }

    /// The same, by name only.
    #[track_caller]
    pub(super) fn names(&self, viewer: Option<i64>, query: &str) -> Vec<String> {
        let shown = self.shown(viewer, query);
        let name = |it: &Json| it["name"].as_str().expect("a name").to_owned();
        shown.iter().map(name).collect()
    }
}

/// The codes of a refusal, with their places.
pub(super) fn findings(body: &Json) -> Vec<(String, String)> {
    let text = |it: &Json| it.as_str().unwrap_or_default().to_owned();
    let findings = body["findings"].as_array().into_iter().flatten();
    findings
        .map(|it| (text(&it["code"]), text(&it["pointer"])))
        .collect()
}
