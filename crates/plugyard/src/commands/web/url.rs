//! `web url`: addresses of pages, and how they come about.

use plugyard_model::ExitCode;
use reqwest::Method;
use serde_json::Value as Json;

use crate::cli::{Page, Url, UrlCommand};
use crate::client::{Client, segment};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{note, table, text_at};
use crate::words::word;

pub(super) async fn run(
    arguments: &Url,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Some(UrlCommand::Explain { plugin, page }) => explain(plugin, *page, client, context).await,
        // The command line does without a plugin only where there is a command.
        None => {
            let plugin = arguments.plugin.as_deref().unwrap_or_default();
            print(plugin, arguments.page, client, context).await
        }
    }
}

/// The address alone; without one, the reason on standard error and 1.
async fn print(
    plugin: &str,
    page: Page,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let answer = ask(plugin, page, client).await?;
    let mut body = answer.clone();
    if let Some(body) = body.as_object_mut() {
        body.remove("explanation");
    }
    match answer["url"].as_str() {
        Some(url) => {
            context.printer.one(&body, url, || url.to_owned());
            Ok(ExitCode::Done)
        }
        None => {
            tell_reason(&answer);
            Ok(ExitCode::Failed)
        }
    }
}

async fn explain(
    plugin: &str,
    page: Page,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let answer = ask(plugin, page, client).await?;
    let url = text_at(&answer, "/url");
    context.printer.one(&answer, &url, || {
        let lang = context.lang;
        let explanation = &answer["explanation"];
        let rows = |key: &str, row: &dyn Fn(&Json) -> Vec<String>| -> Vec<Vec<String>> {
            let items = explanation[key].as_array().into_iter().flatten();
            items.map(row).collect()
        };
        let mut blocks = Vec::new();
        if answer["url"].is_null() {
            blocks.push(format!(
                "{}: {}",
                word(lang, "no address"),
                text_at(explanation, "/reason")
            ));
        } else {
            blocks.push(url.clone());
        }
        let parts = rows("parts", &|part| {
            vec![
                text_at(part, "/text"),
                text_at(part, "/column"),
                text_at(part, "/note"),
            ]
        });
        if !parts.is_empty() {
            blocks.push(table(lang, &["PIECE", "COLUMN", "NOTE"], parts));
        }
        let variables = rows("variables", &|open| {
            let meaning = match open["known"] {
                Json::Bool(true) => text_at(open, "/meaning"),
                _ => word(lang, "unknown; clients leave it empty").to_owned(),
            };
            vec![format!("{{{}}}", text_at(open, "/name")), meaning]
        });
        if !variables.is_empty() {
            blocks.push(table(lang, &["FOR THE CLIENT", "MEANING"], variables));
        }
        let warnings = rows("warnings", &|warning| {
            vec![text_at(warning, "/code"), text_at(warning, "/message")]
        });
        if !warnings.is_empty() {
            blocks.push(table(lang, &["WARNING", "NOTE"], warnings));
        }
        blocks.join("\n\n")
    });
    Ok(if answer["url"].is_null() {
        ExitCode::Failed
    } else {
        ExitCode::Done
    })
}

async fn ask(plugin: &str, page: Page, client: &Client) -> Result<Json, Failure> {
    let path = format!("/v1/plugins/{}/url", segment(plugin));
    let mut query = vec![("explain", "1".to_owned())];
    if let Some(usage) = page.usage {
        query.push(("usage", usage.to_string()));
    }
    if page.settings {
        query.push(("page", "settings".to_owned()));
    }
    let request = client.request(Method::GET, &path).query(&query);
    client.json(request).await
}

fn tell_reason(answer: &Json) {
    note(&text_at(answer, "/explanation/reason"));
    let hint = text_at(answer, "/explanation/hint");
    if !hint.is_empty() {
        note(&format!("hint: {hint}"));
    }
}
