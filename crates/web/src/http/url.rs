//! `/v1/plugins/{plugin}/url` and `/v1/web/expand`: addresses of pages, and how they come about.

use axum::extract::State;
use axum::http::Method;
use plugyard_http::{ApiResult, Json, Language, Path, Query};
use plugyard_model::rights::Right;
use plugyard_model::{Code, Finding, Lang, Params, Place, PluginName, Problem, codes};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::columns::{self, PATH_MAX_LIMIT};
use crate::entity::plugin::Model;
use crate::host::Web;
use crate::package::KIND;
use crate::records;
use crate::site::Site;
use crate::url::{self, Encoding, NoUrl, Origin, Page, Parameter, variable};
use crate::usages::store;

/// Longest address that is expanded, in bytes.
const EXPANDED_MAX: usize = 64 << 10;

pub(super) const RIGHTS: &[Entry] = &[
    (Method::GET, "/v1/plugins/{plugin}/url", Right::PluginRead),
    (Method::POST, "/v1/web/expand", Right::PluginRead),
];

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(expand))
}

/// Which address.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// The page as this usage offers it.
    usage: Option<i64>,
    /// `access` for end users (the default), or `settings` for the operator.
    page: Option<String>,
    /// `1`: say of each piece where it came from.
    explain: Option<String>,
}

/// The address of a plugin's page, and how it came about
#[utoipa::path(
    get, path = "/v1/plugins/{plugin}/url", tag = "web", operation_id = "plugin_url",
    params(("plugin" = String, Path, description = "The plugin, as `web:key` or its key"), Which),
    responses((status = 200, description = "`url` is null where there is none, and `reason` says why", body = serde_json::Value)),
)]
async fn show(
    State(web): State<Web>,
    Path(plugin): Path<String>,
    Query(which): Query<Which>,
    Language(lang): Language,
) -> ApiResult<Json<Value>> {
    let invalid = |reason: &str| Problem::new(codes::REQUEST_INVALID).with("reason", reason);
    let settings = match which.page.as_deref() {
        None | Some("access") => false,
        Some("settings") => true,
        Some(_) => return Err(invalid("`page` is `access` or `settings`").into()),
    };
    if settings && which.usage.is_some() {
        return Err(
            invalid("a usage offers the page for end users, not that for the operator").into(),
        );
    }
    let explain = match which.explain.as_deref() {
        None | Some("0" | "false") => false,
        Some("" | "1" | "true") => true,
        Some(_) => return Err(invalid("`explain` is 1 or 0").into()),
    };
    let database = web.database()?;
    let fskey = match plugin.split_once(':') {
        Some((kind, key)) if kind == KIND.as_str() => key,
        Some(_) => {
            let name: PluginName = plugin.parse().map_err(|_| records::not_found(&plugin))?;
            // Only plugins of this kind have pages with addresses.
            return Err(Problem::new(codes::PLUGIN_NOT_FOUND).about(&name).into());
        }
        None => plugin.as_str(),
    };
    let record = records::live(database.conn(), fskey).await?;
    let site = web.site().await?;
    let usage = match which.usage {
        None => None,
        Some(id) => {
            let stored = store::find(database.conn(), id).await?;
            if stored.draft.usage.plugin_fskey != record.fskey {
                return Err(store::not_found(id).with("fskey", &record.fskey).into());
            }
            Some(stored.draft.usage)
        }
    };
    let parameter = Parameter {
        value: usage.as_ref().and_then(|usage| usage.parameter.as_deref()),
        encoding: site.parameter_encoding(),
    };
    let addresses = site.addresses(&record);
    let made = if settings {
        url::settings_url(&addresses)
    } else {
        url::usage_url(&addresses, parameter)
    };
    let reason = made.as_ref().err().map(|reason| code(*reason));
    let mut answer = json!({
        "plugin": format!("{KIND}:{}", record.fskey),
        "usage": usage.as_ref().map(|usage| usage.id),
        "page": if settings { "settings" } else { "access" },
        "url": made.ok(),
        "reason": reason.map(Code::as_str),
    });
    if explain {
        let page = if settings {
            Page::Settings
        } else {
            Page::Access(parameter)
        };
        let mut notes = Notes {
            lang,
            findings: Vec::new(),
        };
        notes.state(
            &record,
            usage
                .as_ref()
                .filter(|usage| !usage.is_enabled)
                .map(|usage| usage.id),
        );
        answer["explanation"] = notes.explanation(&site, &record, page, reason);
    }
    Ok(Json(answer))
}

/// What is said beside an address.
struct Notes {
    lang: Lang,
    findings: Vec<Finding>,
}

impl Notes {
    fn warn(&mut self, code: Code, column: &str, params: Params) {
        let mut finding = Finding::warning(code, Place::pointer("", column));
        finding.params = params;
        self.findings.push(finding);
    }

    /// Why no viewer is given the address.
    fn state(&mut self, record: &Model, disabled_usage: Option<u32>) {
        if !records::is_offered(record) {
            let params = Params::from([("fskey".to_owned(), record.fskey.clone())]);
            self.warn(codes::W_PLUGIN_DISABLED, "/isEnabled", params);
        }
        if let Some(id) = disabled_usage {
            let params = Params::from([("id".to_owned(), id.to_string())]);
            self.warn(codes::W_USAGE_DISABLED, "/isEnabled", params);
        }
    }

    fn explanation(
        mut self,
        site: &Site,
        record: &Model,
        page: Page<'_>,
        reason: Option<Code>,
    ) -> Value {
        let none = Params::new();
        let (mut parts, mut variables) = (Vec::new(), Vec::new());
        let (path, column) = match page {
            Page::Access(_) => (record.access_path.as_deref(), "/accessPath"),
            Page::Settings => (record.settings_path.as_deref(), "/settingsPath"),
        };
        if let Ok(explained) = url::explain(&site.addresses(record), page) {
            let absolute = !explained
                .parts
                .iter()
                .any(|part| part.from == Origin::Joint);
            for part in &explained.parts {
                let (from, rule) = origin(part.from, absolute, page);
                parts.push(json!({
                    "text": part.text,
                    "column": from,
                    "rule": rule.as_str(),
                    "note": rule.text(self.lang, &none),
                }));
            }
            for open in &explained.variables {
                let meaning = variable(&open.name).map(|known| known.meaning);
                variables.push(json!({
                    "name": open.name,
                    "known": open.known,
                    "meaning": meaning,
                }));
            }
            if explained.parameter_unused {
                self.warn(codes::W_PARAMETER_UNUSED, "/parameter", Params::new());
            }
        }
        // Rows from older tables may hold what no write would; the same rules say so, as warnings.
        let (_, issues) = columns::path(path.unwrap_or_default(), PATH_MAX_LIMIT);
        for issue in issues {
            self.warn(issue.code, column, issue.params);
        }
        if let Some(host) = &record.plugin_host
            && let Err(issue) = columns::plugin_host(host)
        {
            self.warn(issue.code, "/pluginHost", issue.params);
        }
        if let Page::Access(Parameter {
            value: Some(value),
            encoding: Encoding::Verbatim,
        }) = page
            && let Some(issue) = crate::usage::parameter_warning(value)
        {
            self.warn(issue.code, "/parameter", issue.params);
        }
        plugyard_model::sort_findings(&mut self.findings);
        json!({
            "parts": parts,
            "variables": variables,
            "reason": reason.map(|code| code.text(self.lang, &none)),
            "hint": reason.map(|code| code.hint(self.lang, &none)),
            "warnings": self.findings.iter().map(|it| it.document(self.lang)).collect::<Vec<_>>(),
        })
    }
}

/// Where a piece came from, as table and column, and which rule put it there.
fn origin(origin: Origin, absolute: bool, page: Page<'_>) -> (Option<&'static str>, Code) {
    let path = if absolute {
        codes::URL_PATH_ABSOLUTE
    } else {
        codes::URL_PATH
    };
    match origin {
        Origin::PluginHost => (Some("plugins.plugin_host"), codes::URL_BASE_PLUGIN_HOST),
        Origin::SystemUrl => (Some("web_settings.system_url"), codes::URL_BASE_SYSTEM),
        Origin::Joint => (None, codes::URL_JOINT),
        Origin::AccessPath => (Some("plugins.access_path"), path),
        Origin::SettingsPath => (Some("plugins.settings_path"), path),
        Origin::PanelUrl => (Some("web_settings.panel_url"), codes::URL_BASE_PANEL),
        Origin::Form => (None, codes::URL_FORM),
        Origin::Parameter => {
            let rule = match page {
                Page::Access(Parameter {
                    encoding: Encoding::Component,
                    ..
                }) => codes::URL_PARAMETER_COMPONENT,
                _ => codes::URL_PARAMETER_VERBATIM,
            };
            (Some("plugin_usages.parameter"), rule)
        }
    }
}

fn code(reason: NoUrl) -> Code {
    match reason {
        NoUrl::NoAccessPath => codes::NO_ACCESS_PATH,
        NoUrl::NoSettingsPath => codes::NO_SETTINGS_PATH,
        NoUrl::NoBaseUrl => codes::NO_BASE_URL,
    }
}

/// An address with variables, and what to fill them with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Expand {
    /// As a listing gave it.
    url: String,
    /// Values by the names of variables: texts, numbers, truth values; null is absent.
    #[schema(value_type = Object)]
    #[serde(default)]
    values: Map<String, Value>,
}

/// Fill the client's variables of an address, as the client libraries do
#[utoipa::path(
    post, path = "/v1/web/expand", tag = "web", operation_id = "url_expand", request_body = Expand,
    responses((status = 200, description = "The address to open", body = serde_json::Value)),
)]
async fn expand(Json(request): Json<Expand>) -> ApiResult<Json<Value>> {
    let invalid = |reason: String| Problem::new(codes::REQUEST_INVALID).with("reason", reason);
    if request.url.len() > EXPANDED_MAX {
        return Err(invalid(format!("`url` has more than {EXPANDED_MAX} bytes")).into());
    }
    let url = url::expand_json(&request.url, &request.values).map_err(|names| {
        let names = names.join("`, `");
        invalid(format!(
            "a value is a text, a number, true, false or null; `{names}` is not"
        ))
    })?;
    Ok(Json(json!({ "url": url })))
}
