//! Commands that look at plugins.

use std::fmt::Write as _;

use futures::StreamExt as _;
use plugyard_model::ExitCode;
use serde_json::Value as Json;

use crate::cli::{Format, List, Logs, PluginArg};
use crate::client::{Client, segment};
use crate::commands::Context;
use crate::commands::change::path;
use crate::failure::Failure;
use crate::output::{line, table, text_at, time_at};
use crate::words::word;

pub(super) async fn list(
    arguments: &List,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let mut query = Vec::new();
    for (name, value) in [("kind", &arguments.kind), ("health", &arguments.health)] {
        query.extend(
            value
                .as_ref()
                .map(|value| format!("{name}={}", segment(value))),
        );
    }
    let mut path = "/v1/installations".to_owned();
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let (body, items) = client.list(&path).await?;
    context.printer.list(
        &body,
        &items,
        |item| text_at(item, "/plugin"),
        &["PLUGIN", "WANTED", "HEALTH", "VERSION", "REASON"],
        |item| {
            let reason = text_at(item, "/health/reason");
            vec![
                text_at(item, "/plugin"),
                text_at(item, "/wanted"),
                text_at(item, "/health/state"),
                text_at(item, "/version/label"),
                reason.lines().next().unwrap_or_default().to_owned(),
            ]
        },
    );
    Ok(ExitCode::Done)
}

pub(super) async fn show(
    arguments: &PluginArg,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let body = client.get(&path(&arguments.plugin)).await?;
    context
        .printer
        .one(&body, &text_at(&body, "/plugin"), || text(&body, context));
    Ok(ExitCode::Done)
}

pub(super) async fn logs(
    arguments: &Logs,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let path = format!("{}/logs?tail={}", path(&arguments.plugin), arguments.tail);
    if !arguments.follow {
        let body = client.get(&path).await?;
        let lines = body
            .get("lines")
            .and_then(Json::as_array)
            .cloned()
            .unwrap_or_default();
        match context.printer.format {
            Format::Json | Format::Yaml => context.printer.document(&body),
            Format::Ndjson => lines.iter().for_each(|entry| line(&entry.to_string())),
            _ => lines.iter().for_each(print),
        }
        return Ok(ExitCode::Done);
    }
    let mut events = client.events(&format!("{path}&follow=true"), None).await?;
    loop {
        tokio::select! {
            event = events.next() => {
                let Some(event) = event else { return Ok(ExitCode::Done) };
                let Ok(entry) = serde_json::from_str::<Json>(&event.data) else { continue };
                if context.printer.format == Format::Table {
                    print(&entry);
                } else {
                    line(&entry.to_string());
                }
            }
            Ok(()) = tokio::signal::ctrl_c() => return Ok(ExitCode::Done),
        }
    }
}

/// A line that a plugin wrote, as it wrote it; what the platform says about it is marked.
fn print(entry: &Json) {
    let text = text_at(entry, "/text");
    if text_at(entry, "/stream") == "host" {
        line(&format!("* {text}"));
    } else {
        line(&text);
    }
}

fn text(body: &Json, context: &Context) -> String {
    let lang = context.lang;
    let mut text = format!("{}\n", text_at(body, "/plugin"));
    let digest = |pointer: &str| text_at(body, pointer).chars().take(12).collect::<String>();
    for (label, value) in [
        ("wanted", text_at(body, "/wanted")),
        ("health", text_at(body, "/health/state")),
        ("reason", text_at(body, "/health/reason")),
        (
            "version",
            format!(
                "{} ({})",
                text_at(body, "/version/label"),
                digest("/version/digest")
            ),
        ),
        ("previous", text_at(body, "/previous/label")),
        ("options", options(body)),
        ("used by", users(body).join(", ")),
    ] {
        if !value.is_empty() {
            let label = word(lang, label);
            let _ = writeln!(text, "  {label}: {}", value.replace('\n', "\n    "));
        }
    }
    let details = body.get("details").and_then(Json::as_object);
    let by_process = details
        .and_then(|details| details.get("processes")?.as_array())
        .is_some_and(|processes| !processes.is_empty());
    for (name, value) in details.into_iter().flatten() {
        // Each process says this of itself.
        if !(by_process && ["process", "limits", "restarts"].contains(&name.as_str())) {
            detail(&mut text, name, value, 1);
        }
    }
    if let Some(versions) = body.get("versions").and_then(Json::as_array)
        && !versions.is_empty()
    {
        let current = text_at(body, "/version/id");
        let rows = versions.iter().map(|version| {
            let id = text_at(version, "/id");
            let mark = if id == current {
                "*".to_owned()
            } else {
                String::new()
            };
            let digest = text_at(version, "/digest").chars().take(12).collect();
            vec![text_at(version, "/label"), digest, id, mark]
        });
        text.push('\n');
        text.push_str(&table(
            lang,
            &["VERSION", "DIGEST", "ID", "CURRENT"],
            rows.collect(),
        ));
    }
    text
}

/// What is set for it, as `set` takes it.
fn options(body: &Json) -> String {
    let options = body.pointer("/version/options").and_then(Json::as_object);
    let all = options.into_iter().flatten();
    let all = all.map(|(name, value)| match value {
        Json::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    });
    all.collect::<Vec<_>>().join(", ")
}

/// One line for a plain value, an indented block for an object.
fn detail(out: &mut String, name: &str, value: &Json, depth: usize) {
    let indent = "  ".repeat(depth);
    if let Some(line) = limit(name, value).or_else(|| activity(value)) {
        let _ = writeln!(out, "{indent}{name}: {line}");
        return;
    }
    match value {
        Json::Null => {}
        Json::Number(_) if name == "at" || name.ends_with("_at") => {
            let _ = writeln!(out, "{indent}{name}: {}", time_at(value, ""));
        }
        Json::Object(fields) if fields.values().any(Json::is_boolean) => {
            let _ = writeln!(out, "{indent}{name}: {}", what_holds(fields));
        }
        Json::String(text) if text.is_empty() => {}
        Json::Object(fields) if fields.is_empty() => {}
        Json::Object(fields) => {
            let mut inner = String::new();
            for (name, value) in fields {
                detail(&mut inner, name, value, depth + 1);
            }
            if !inner.is_empty() {
                let _ = write!(out, "{indent}{name}:\n{inner}");
            }
        }
        Json::Array(items) if items.is_empty() => {}
        Json::Array(items) if items.iter().all(Json::is_object) => {
            let _ = writeln!(out, "{indent}{name}:");
            for item in items {
                let mut fields = String::new();
                for (name, value) in item.as_object().into_iter().flatten() {
                    detail(&mut fields, name, value, depth + 2);
                }
                // The first line begins the item.
                let _ = write!(out, "{indent}  - {}", fields.trim_start());
            }
        }
        Json::Array(items) if name.ends_with("lines") || name == "weaker" => {
            let _ = writeln!(out, "{indent}{name}:");
            for item in items {
                let _ = writeln!(out, "{indent}  {}", shown(item));
            }
        }
        other => {
            let _ = writeln!(out, "{indent}{name}: {}", shown(other));
        }
    }
}

/// `120 so far, 4.9 a second, in use 2 times`, for what goes through a symbol.
fn activity(value: &Json) -> Option<String> {
    let rate = value.get("per_second")?.as_f64()?;
    let (count, uses) = (value.get("count")?, value.get("uses")?);
    Some(format!(
        "{count} so far, {rate:.1} a second, in use {uses} times"
    ))
}

/// `12.4 MiB of 512 MiB, kernel (cgroup v1)`, for a value that has the form of a limit.
fn limit(name: &str, value: &Json) -> Option<String> {
    let (enforced, by) = (value.get("enforced")?.as_str()?, value.get("by")?.as_str()?);
    let figure = |key: &str| {
        let number = value.get(key)?.as_f64()?;
        Some(match name {
            "memory" | "disk" | "log" => format!("{:.1} MiB", number / 1_048_576.0),
            _ => number.to_string(),
        })
    };
    let amount = match (figure("used"), figure("limit")) {
        (Some(used), Some(limit)) => format!("{used} of {limit}"),
        (None, Some(limit)) => format!("at most {limit}"),
        (Some(used), None) => format!("{used}, no limit"),
        (None, None) => "no limit".to_owned(),
    };
    Some(format!("{amount}, {} ({by})", enforced.replace('_', " ")))
}

/// The names of what is true, and then what is not as it should be.
fn what_holds(fields: &serde_json::Map<String, Json>) -> String {
    let mut words: Vec<_> = fields
        .iter()
        .filter_map(|(name, value)| match value {
            Json::Bool(true) => Some(name.replace('_', " ")),
            Json::Number(version) => Some(format!("{name} {version}")),
            _ => None,
        })
        .collect();
    if let Some(missing) = fields
        .get("missing")
        .filter(|it| **it != Json::Array(Vec::new()))
    {
        words.push(format!("missing: {}", shown(missing)));
    }
    words.join(", ")
}

/// Lists of plain values in one line, everything else as compact JSON.
fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => text.replace('\n', " "),
        Json::Array(items)
            if items
                .iter()
                .all(|item| !item.is_object() && !item.is_array()) =>
        {
            items.iter().map(shown).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// What uses a plugin, as the server tells it of the plugin or of a plan.
pub(super) fn users(body: &Json) -> Vec<String> {
    body.get("used_by")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .map(|user| format!("{} {}", text_at(user, "/kind"), text_at(user, "/name")))
        .collect()
}
