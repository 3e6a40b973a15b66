//! Actions and data tables: what a plugin's handler answers.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use plugyard_http::{Language, Unhurried};
use plugyard_model::{Lang, PluginName, Problem, codes};
use plugyard_platform::kind::Installation;
use serde_json::{Map, Value as Json, json};

use super::plugins::pairs;
use super::reply::{Name, Refused, Sent, Success, Wrong, answer, object};
use super::words::{Done, Expected};
use super::{Routes, not_found, plugin_in};
use crate::handler::{Launch, Question};
use crate::manifest::{Handler, Manifest};
use crate::package::Stored;
use plugyard_platform::files;

/// Rows of a page.
const PAGE_SIZE: u64 = 20;
/// Characters of what is searched for, sorted by and filtered.
const TEXT: usize = 1000;
/// Filters of one request.
const FILTERS: usize = 50;

/// Let a plugin do something
///
/// `{"action": "…", "config_key": "…", "params": {}}`. `data` is what the plugin's handler answered:
/// `{success, message, data}`.
#[utoipa::path(
    post, path = "/api/admin/plugins/{name}/config/actions", tag = "app", operation_id = "app_action",
    params(("name" = String, Path, description = "Name of the plugin")),
    responses((status = 200, description = "What the handler answered in `data`", body = serde_json::Value)),
)]
pub(super) async fn act(
    State(routes): State<Routes>,
    Language(lang): Language,
    _: Unhurried,
    name: Name,
    sent: Sent,
) -> Response {
    let plugin = plugin_in(name);
    let outcome = async {
        let plugin = plugin.as_ref().map_err(Clone::clone)?;
        let installation = routes.installed(plugin).await?;
        let mut question = action(object(sent)?, lang)?;
        question.insert("lang".to_owned(), lang.tag().into());
        let asked = routes.ask(&installation, None, question).await?;
        let Some(success) = asked.get("success").and_then(Json::as_bool) else {
            return Err(unreadable(plugin, "its answer has no `success`"));
        };
        let data = json!({
            "success": success,
            "message": asked.get("message").and_then(Json::as_str).unwrap_or_default(),
            "data": asked.get("data").cloned().unwrap_or_default(),
        });
        Ok(Success::new(Done::Acted, data))
    };
    let outcome = outcome.await;
    answer(outcome, plugin.as_ref().ok(), lang)
}

/// Rows of a table that a plugin shows
///
/// Query: `page`, `page_size` (10 to 100), `search`, `sort_field`, `sort_order` (`asc`, `desc`) and
/// `filters[name]`.
#[utoipa::path(
    get, path = "/api/admin/plugins/{name}/config/data-tables/{table}", tag = "app",
    operation_id = "app_data_table",
    params(
        ("name" = String, Path, description = "Name of the plugin"),
        ("table" = String, Path, description = "Name of the table"),
    ),
    responses((status = 200, description = "Rows in `data`", body = serde_json::Value)),
)]
pub(super) async fn table(
    State(routes): State<Routes>,
    Language(lang): Language,
    _: Unhurried,
    path: Result<Path<(String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response {
    let (plugin, table) = match path {
        Ok(Path((name, table))) => (Routes::named(&name), table),
        Err(_) => (Err(not_found("?")), String::new()),
    };
    let outcome = async {
        let plugin = plugin.as_ref().map_err(Clone::clone)?;
        let installation = routes.installed(plugin).await?;
        let page = Page::read(&pairs(query.as_deref()));
        let mut question = page.question(&table);
        question.insert("lang".to_owned(), lang.tag().into());
        let asked = routes.ask(&installation, Some(&table), question).await?;
        let rows = asked.get("data").and_then(Json::as_array);
        let total = asked.get("total").and_then(Json::as_u64);
        let (Some(rows), Some(total)) = (rows, total) else {
            return Err(unreadable(
                plugin,
                "its answer has no list `data` and number `total`",
            ));
        };
        let data = json!({
            "data": rows,
            "total": total,
            "page": page.number,
            "page_size": page.size,
            "total_pages": total.div_ceil(page.size),
        });
        Ok(Success::new(Done::Table, data))
    };
    let outcome = outcome.await;
    answer(outcome, plugin.as_ref().ok(), lang)
}

fn unreadable(plugin: &PluginName, reason: &str) -> Refused {
    Problem::new(codes::HANDLER_FAILED)
        .with("reason", reason)
        .about(plugin)
        .into()
}

/// The question that a request for an action becomes.
fn action(mut body: Map<String, Json>, lang: Lang) -> Result<Question, Refused> {
    let mut wrong = Vec::new();
    let mut question = Map::new();
    question.insert("type".to_owned(), "action".into());
    for field in ["action", "config_key"] {
        match body.remove(field) {
            Some(Json::String(text)) if !text.trim().is_empty() => {
                question.insert(field.to_owned(), text.into());
            }
            None | Some(Json::Null | Json::String(_)) => wrong.push(Wrong::missing(field)),
            Some(_) => wrong.push(Wrong::of_type(field, Expected::Text)),
        }
    }
    match body.remove("params") {
        None | Some(Json::Null) => {
            question.insert("params".to_owned(), json!({}));
        }
        Some(params @ Json::Object(_)) => {
            question.insert("params".to_owned(), params);
        }
        // An empty list is how some clients write an empty object.
        Some(Json::Array(list)) if list.is_empty() => {
            question.insert("params".to_owned(), json!({}));
        }
        Some(_) => wrong.push(Wrong::of_type("params", Expected::Object)),
    }
    if wrong.is_empty() {
        Ok(question)
    } else {
        Err(Refused::fields(wrong, lang))
    }
}

/// Which part of a table.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    number: u64,
    size: u64,
    search: Option<String>,
    sort_field: Option<String>,
    descending: bool,
    filters: Map<String, Json>,
}

impl Page {
    fn read(pairs: &[(String, String)]) -> Self {
        let mut page = Self {
            number: 1,
            size: PAGE_SIZE,
            search: None,
            sort_field: None,
            descending: false,
            filters: Map::new(),
        };
        let cut = |text: &str| text.chars().take(TEXT).collect::<String>();
        let some = |text: &str| Some(cut(text)).filter(|text| !text.is_empty());
        for (name, value) in pairs {
            match name.as_str() {
                "page" => page.number = value.parse().unwrap_or(1).max(1),
                "page_size" => page.size = value.parse().unwrap_or(PAGE_SIZE).clamp(10, 100),
                "search" => page.search = some(value),
                "sort_field" => page.sort_field = some(value),
                "sort_order" => page.descending = value.eq_ignore_ascii_case("desc"),
                _ => {
                    let filter = name
                        .strip_prefix("filters[")
                        .and_then(|name| name.strip_suffix(']'));
                    if let Some(filter) = filter.filter(|_| page.filters.len() < FILTERS) {
                        page.filters.insert(cut(filter), cut(value).into());
                    }
                }
            }
        }
        page
    }

    fn question(&self, table: &str) -> Question {
        let question = json!({
            "type": "table",
            "table": table,
            "page": self.number,
            "page_size": self.size,
            "search": self.search,
            "sort_field": self.sort_field,
            "sort_order": if self.descending { "desc" } else { "asc" },
            "filters": self.filters,
        });
        match question {
            Json::Object(question) => question,
            _ => Map::new(),
        }
    }
}

impl Routes {
    async fn installed(&self, plugin: &PluginName) -> Result<Installation, Refused> {
        let known = self.known(plugin.clone()).await?;
        match known.installed() {
            Some(installation) => Ok(installation),
            None if self.is_known(&known).await => Err(Problem::new(codes::PLUGIN_NOT_INSTALLED)
                .about(plugin)
                .into()),
            None => Err(not_found(plugin.key.as_str()).into()),
        }
    }

    /// Asks the handler of an enabled plugin.
    async fn ask(
        &self,
        installation: &Installation,
        table: Option<&str>,
        question: Question,
    ) -> Result<Question, Refused> {
        let plugin = &installation.plugin;
        if !installation.wanted.is_on() {
            return Err(Problem::new(codes::NOT_ENABLED).about(plugin).into());
        }
        let unsupported = || Problem::new(codes::ACTION_UNSUPPORTED).about(plugin);
        let stored: Stored =
            serde_json::from_value(installation.current.manifest.clone()).unwrap_or_default();
        let Manifest {
            handler, tables, ..
        } = &stored.app;
        let handler = handler.as_ref().ok_or_else(unsupported)?;
        let unknown = |table: &str| {
            let table: String = table.chars().take(64).collect();
            Problem::new(codes::TABLE_UNKNOWN)
                .with("table", table)
                .about(plugin)
        };
        if let (Some(table), Some(tables)) = (table, tables)
            && !tables.iter().any(|known| known == table)
        {
            return Err(unknown(table).into());
        }
        let mut plain = Map::new();
        if matches!(handler, Handler::Command(_)) {
            let config = self.platform.config_plain(plugin).await?;
            let config = serde_json::to_value(config).unwrap_or_default();
            plain.insert("config".to_owned(), config);
        }
        let launch = |words| Launch {
            plugin: plugin.clone(),
            version: installation.current.clone(),
            directory: files::version_directory(
                &self.host.home,
                plugin,
                &installation.current.digest,
            ),
            words,
        };
        let asked = self.host.handlers.ask(handler, launch, question, plain);
        let asked = asked.await.map_err(|error| error.problem(plugin))?;
        let Some(error) = asked.get("error").filter(|error| !error.is_null()) else {
            return Ok(asked);
        };
        let text = error
            .get("message")
            .or(Some(error))
            .and_then(Json::as_str)
            .unwrap_or("it says that it failed");
        let code = error.get("code").and_then(Json::as_str);
        Err(match (code, table) {
            (Some("unknown_table"), Some(table)) => unknown(table).into(),
            (Some("unknown_action" | "unsupported"), _) => unsupported().into(),
            _ => unreadable(plugin, &text.chars().take(500).collect::<String>()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_clamped_and_filters_read() {
        let read = |query: &str| Page::read(&pairs(Some(query)));
        let page = read(
            "page=0&page_size=1000&search=a%20b&sort_order=DESC&sort_field=x&filters[k]=v&other=1",
        );
        assert_eq!((page.number, page.size), (1, 100));
        assert_eq!(page.search.as_deref(), Some("a b"));
        assert!(page.descending);
        assert_eq!(page.filters["k"], "v");
        let page = read("page=x&page_size=1");
        assert_eq!((page.number, page.size), (1, 10));
        assert_eq!(read("").size, 20);
        assert_eq!(read("page_size=x").size, 20);
    }
}
