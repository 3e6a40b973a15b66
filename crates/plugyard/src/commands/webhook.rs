//! `webhook …`.

use plugyard_model::{ExitCode, Lang};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::cli::Webhook;
use crate::client::{Client, segment};
use crate::commands::Context;
use crate::commands::user::words_at;
use crate::failure::Failure;
use crate::output::{text_at, time_at};

pub(super) async fn run(
    command: &Webhook,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    match command {
        Webhook::List => {
            let (body, items) = client.list("/v1/webhooks").await?;
            let name = |item: &Json| text_at(item, "/name");
            context.printer.list(&body, &items, name, HEADINGS, row);
        }
        Webhook::Add {
            name,
            url,
            events,
            on_unreachable,
        } => {
            let mut body = json!({
                "name": name,
                "url": url,
                "on_unreachable": on_unreachable.as_str(),
            });
            if !events.is_empty() {
                body["events"] = json!(events);
            }
            let request = client.request(Method::POST, "/v1/webhooks").json(&body);
            let made = client.json(request).await?;
            context
                .printer
                .one(&made, name, || text_at(&made, "/secret"));
        }
        Webhook::Set {
            webhook,
            url,
            events,
            on_unreachable,
            enable,
            disable,
        } => {
            let mut body = json!({});
            if let Some(url) = url {
                body["url"] = json!(url);
            }
            if !events.is_empty() {
                body["events"] = json!(events);
            }
            if let Some(word) = on_unreachable {
                body["on_unreachable"] = json!(word.as_str());
            }
            if *enable || *disable {
                body["enabled"] = json!(enable);
            }
            let request = client.request(Method::PATCH, &path(webhook)).json(&body);
            let changed = client.json(request).await?;
            let shown = || row(&changed).join("  ");
            context
                .printer
                .one(&changed, &text_at(&changed, "/name"), shown);
        }
        Webhook::Remove { webhook, sure } => {
            let what = match context.lang {
                Lang::En => format!("remove the webhook {webhook} and its deliveries"),
                Lang::ZhCn => format!("移除 Webhook {webhook} 及其投递记录"),
            };
            context.confirm(&what, *sure)?;
            let request = client.request(Method::DELETE, &path(webhook));
            client.json(request).await?;
        }
        Webhook::Test { webhook } => return test(webhook, client, context).await,
        Webhook::Deliveries {
            webhook,
            state,
            plugin,
        } => {
            let mut query = Vec::new();
            if let Some(webhook) = webhook {
                query.push(format!("webhook={}", segment(webhook)));
            }
            if let Some(state) = state {
                query.push(format!("state={}", state.as_str()));
            }
            if let Some(plugin) = plugin {
                query.push(format!("fskey={}", segment(plugin)));
            }
            deliveries(&query, client, context).await?;
        }
        Webhook::Retry { id } => {
            let path = format!("/v1/webhook-deliveries/{}/retry", segment(id));
            let waiting = client.json(client.request(Method::POST, &path)).await?;
            context.printer.one(&waiting, id, || {
                format!("{id}: {}", text_at(&waiting, "/state"))
            });
        }
    }
    Ok(ExitCode::Done)
}

/// Sends something to the endpoint and says what it answered.
async fn test(webhook: &str, client: &Client, context: &Context) -> Result<ExitCode, Failure> {
    let path = format!("{}/test", path(webhook));
    let outcome = client.json(client.request(Method::POST, &path)).await?;
    let delivered = outcome["delivered"] == true;
    let shown = || {
        let took = text_at(&outcome, "/milliseconds");
        match (delivered, context.lang) {
            (true, Lang::En) => format!("{webhook}: delivered in {took} ms"),
            (true, Lang::ZhCn) => format!("{webhook}：已送达，用时 {took} 毫秒"),
            (false, Lang::En) => {
                format!("{webhook}: not delivered: {}", text_at(&outcome, "/error"))
            }
            (false, Lang::ZhCn) => {
                format!("{webhook}：未送达：{}", text_at(&outcome, "/error"))
            }
        }
    };
    context.printer.one(&outcome, webhook, shown);
    Ok(if delivered {
        ExitCode::Done
    } else {
        ExitCode::Failed
    })
}

async fn deliveries(query: &[String], client: &Client, context: &Context) -> Result<(), Failure> {
    let path = if query.is_empty() {
        "/v1/webhook-deliveries".to_owned()
    } else {
        format!("/v1/webhook-deliveries?{}", query.join("&"))
    };
    let (body, items) = client.list(&path).await?;
    let id = |item: &Json| text_at(item, "/id");
    context.printer.list(&body, &items, id, DELIVERIES, |item| {
        vec![
            text_at(item, "/id"),
            text_at(item, "/event"),
            text_at(item, "/fskey"),
            text_at(item, "/state"),
            text_at(item, "/attempts"),
            time_at(item, "/created_at"),
            text_at(item, "/error"),
        ]
    });
    Ok(())
}

const HEADINGS: &[&str] = &["NAME", "URL", "EVENTS", "UNREACHABLE", "ENABLED"];
const DELIVERIES: &[&str] = &[
    "ID", "EVENT", "PLUGIN", "STATE", "ATTEMPTS", "CREATED", "REASON",
];

fn row(item: &Json) -> Vec<String> {
    vec![
        text_at(item, "/name"),
        text_at(item, "/url"),
        words_at(item, "events"),
        text_at(item, "/on_unreachable"),
        text_at(item, "/enabled"),
    ]
}

fn path(webhook: &str) -> String {
    format!("/v1/webhooks/{}", segment(webhook))
}
