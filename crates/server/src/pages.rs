//! Pages for people: the API's reference, the list of codes, and the console's place.
//!
//! Everything is served from the program itself; no page loads anything from another host.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, Method, header};
use axum::response::{Html, IntoResponse, Redirect};
use axum::routing::get;
use plugyard_http::{Envelope, Language, RouteRight};
use plugyard_model::rights::Right;
use plugyard_model::{Code, Lang, Params};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// Where the document is.
pub(crate) const DOCUMENT: &str = "/openapi.json";

/// The pages around a finished document.
pub(crate) fn router(document: &OpenApi) -> Router {
    let json: Arc<str> = document
        .to_json()
        .expect("an OpenAPI document is plain data")
        .into();
    let document = async move || {
        let json_type = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, json_type)], json.to_string()).into_response()
    };
    // Without a validator: the default one is on another host.
    let config = Config::new([DOCUMENT]).validator_url("none");
    Router::new()
        .route(DOCUMENT, get(document))
        .route("/docs/errors", get(errors))
        .route("/ui", get(async || Redirect::permanent("/ui/")))
        .route("/ui/", get(console))
        .route("/ui/{*page}", get(console))
        .merge(SwaggerUi::new("/docs").config(config))
}

/// All of them are for everybody.
pub(crate) fn rights() -> Vec<RouteRight> {
    [
        DOCUMENT,
        "/docs",
        "/docs/",
        "/docs/{*rest}",
        "/docs/errors",
        "/ui",
        "/ui/",
        "/ui/{*page}",
    ]
    .map(|path| RouteRight {
        method: Method::GET,
        path,
        right: Right::Public,
        envelope: Envelope::Native,
    })
    .to_vec()
}

async fn console(Language(lang): Language) -> Html<String> {
    let (title, text, link) = match lang {
        Lang::En => (
            "Plugyard",
            "This build of the server has no console. The API can be tried out in the browser, and \
             `plugyard` on the command line does everything.",
            "API reference",
        ),
        Lang::ZhCn => (
            "Plugyard",
            "此构建不包含控制台。可在浏览器中试用 API，也可使用命令行 `plugyard` 完成所有操作。",
            "API 参考",
        ),
    };
    page(
        lang,
        title,
        &format!("<p>{}</p><p><a href=\"/docs\">{link}</a></p>", escape(text)),
    )
}

async fn errors(Language(lang): Language) -> Html<String> {
    let (title, heads) = match lang {
        Lang::En => (
            "Problem and finding codes",
            ["Code", "Status", "Exit", "English", "中文", "When"],
        ),
        Lang::ZhCn => (
            "问题与检查项代码",
            ["代码", "状态", "退出码", "English", "中文", "何时出现"],
        ),
    };
    let mut table = String::from("<table><thead><tr>");
    for head in heads {
        _ = write!(table, "<th scope=\"col\">{head}</th>");
    }
    table.push_str("</tr></thead><tbody>");
    for code in Code::all() {
        _ = write!(
            table,
            "<tr id=\"{0}\"><td><a href=\"#{0}\"><code>{0}</code></a></td><td>{1}</td><td>{2}</td>",
            escape(code.as_str()),
            code.status(),
            code.exit() as u8,
        );
        for lang in [Lang::En, Lang::ZhCn] {
            // Without values the texts show their `{names}`, which is what a reference wants.
            let (text, hint) = (
                code.text(lang, &Params::new()),
                code.hint(lang, &Params::new()),
            );
            _ = write!(
                table,
                "<td lang=\"{}\"><strong>{}</strong><br>{}",
                lang.tag(),
                escape(code.title(lang)),
                prose(&text)
            );
            if !hint.is_empty() {
                _ = write!(table, "<br><em>{}</em>", prose(&hint));
            }
            table.push_str("</td>");
        }
        _ = write!(table, "<td lang=\"en\">{}</td></tr>", prose(code.doc()));
    }
    table.push_str("</tbody></table>");
    page(lang, title, &table)
}

fn page(lang: Lang, title: &str, body: &str) -> Html<String> {
    const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;\
        padding:0 1rem;color:#1b1b1b;background:#fff}table{border-collapse:collapse}\
        th,td{text-align:left;vertical-align:top;padding:.4rem .6rem;border-bottom:1px solid #ccc}\
        tr:target{background:#fff3c4}\
        @media(prefers-color-scheme:dark){body{color:#eee;background:#161616}a{color:#8ab4f8}\
        th,td{border-color:#444}tr:target{background:#4a3f12}}";
    Html(format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>",
        lang.tag()
    ))
}

/// Text with `code` in backticks.
fn prose(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            _ = write!(html, "<code>{}</code>", escape(part));
        } else {
            html.push_str(&escape(part));
        }
    }
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
