//! `operation …`, and following an operation to its end.

use std::fmt::Write as _;
use std::time::Duration;

use futures::StreamExt as _;
use plugyard_model::{ExitCode, Problem, codes};
use reqwest::Method;
use serde_json::Value as Json;

use crate::cli::Operation;
use crate::client::{Client, segment};
use crate::commands::Context;
use crate::failure::{Failure, finding_text};
use crate::output::{note, table, text_at, time_at, took};
use crate::words::word;

/// How long to wait before connecting again to a server that went away, how many times.
const AGAIN: (Duration, u32) = (Duration::from_millis(500), 60);

/// How long, and how often, to look again at an operation that was said to have ended.
const SETTLE: (Duration, u32) = (Duration::from_millis(50), 100);

/// How long after a Ctrl-C another one still cancels the operation.
const SECOND_THOUGHT: Duration = Duration::from_secs(2);

pub(super) async fn run(
    command: &Operation,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    match command {
        Operation::List { plugin } => {
            let path = match plugin {
                Some(plugin) => format!("/v1/operations?plugin={}", segment(plugin)),
                None => "/v1/operations".to_owned(),
            };
            let (body, items) = client.list(&path).await?;
            context.printer.list(
                &body,
                &items,
                |item| text_at(item, "/id"),
                &["OPERATION", "PLUGIN", "ACTION", "STATE", "STARTED"],
                |item| {
                    ["/id", "/plugin", "/action", "/state"]
                        .map(|pointer| text_at(item, pointer))
                        .into_iter()
                        .chain([time_at(item, "/created_at")])
                        .collect()
                },
            );
            Ok(ExitCode::Done)
        }
        Operation::Show(arguments) => {
            let body = client.get(&path(&arguments.id)).await?;
            let id = text_at(&body, "/id");
            context.printer.one(&body, &id, || text(&body, context));
            Ok(ExitCode::Done)
        }
        Operation::Watch { id, timeout } => {
            let operation = watch(id, *timeout, client, context).await?;
            let id = text_at(&operation, "/id");
            context.printer.one(&operation, &id, || {
                format!(
                    "{} {} {}",
                    text_at(&operation, "/plugin"),
                    text_at(&operation, "/action"),
                    text_at(&operation, "/state")
                )
            });
            verdict(&operation, client)
        }
        Operation::Cancel(arguments) => {
            let request = client.request(Method::POST, &format!("{}/cancel", path(&arguments.id)));
            client.json(request).await?;
            Ok(ExitCode::Done)
        }
    }
}

/// Follows an operation to its end, showing its steps, and gives it as it ended.
///
/// Ctrl-C and the end of `timeout` stop the watching, never the operation; a second Ctrl-C soon after the
/// first cancels it, and its way back is shown.
pub(super) async fn watch(
    id: &str,
    timeout: Option<Duration>,
    client: &Client,
    context: &Context,
) -> Result<Json, Failure> {
    let left = || Err(context.problem(&Problem::new(codes::WAIT_ENDED).with("operation", id)));
    let limit = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = follow(id, client, context) => return ended,
        () = limit => return left(),
        // Without a handler for it the signal would end the command at once, which is as good.
        Ok(()) = tokio::signal::ctrl_c() => {}
    }
    note(word(
        context.lang,
        "Ctrl-C again cancels the operation; otherwise it goes on",
    ));
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        () = tokio::time::sleep(SECOND_THOUGHT) => return left(),
    }
    note(word(context.lang, "cancelling"));
    let request = client.request(Method::POST, &format!("{}/cancel", path(id)));
    client.send(request).await?;
    tokio::select! {
        ended = follow(id, client, context) => ended,
        Ok(()) = tokio::signal::ctrl_c() => left(),
    }
}

async fn follow(id: &str, client: &Client, context: &Context) -> Result<Json, Failure> {
    let mut last: Option<String> = None;
    let mut tries = 0;
    loop {
        let path = format!("{}/events", path(id));
        match client.events(&path, last.as_deref()).await {
            Ok(mut events) => {
                tries = 0;
                while let Some(event) = events.next().await {
                    if !event.id.is_empty() {
                        last = Some(event.id.clone());
                    }
                    let data: Json = serde_json::from_str(&event.data).unwrap_or_default();
                    match event.event.as_str() {
                        "step" => progress(&data, context),
                        "log" if !context.global.no_progress => {
                            note(&format!("    {}", text_at(&data, "/line")));
                        }
                        "end" => return ended(id, client).await,
                        "waiting" => {
                            if let Some(error) = data.get("error").cloned()
                                && let Ok(document) = serde_json::from_value(error)
                            {
                                return Err(Failure::of_document(document, client.lang()));
                            }
                        }
                        _ => {}
                    }
                }
            }
            Err(failure)
                if failure.exit() == ExitCode::Unreachable && tries < AGAIN.1 && last.is_some() =>
            {
                tries += 1;
            }
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(AGAIN.0).await;
    }
}

/// The operation as it ended. A server may tell of the end a moment before its document says so.
async fn ended(id: &str, client: &Client) -> Result<Json, Failure> {
    let mut operation = client.get(&path(id)).await?;
    for _ in 0..SETTLE.1 {
        if text_at(&operation, "/state") != "running" {
            break;
        }
        tokio::time::sleep(SETTLE.0).await;
        operation = client.get(&path(id)).await?;
    }
    Ok(operation)
}

/// A step begins or ends.
fn progress(step: &Json, context: &Context) {
    if context.global.no_progress {
        return;
    }
    let name = text_at(step, "/name");
    let state = text_at(step, "/state");
    let colour = match state.as_str() {
        "done" => "32",
        "failed" => "31",
        "undone" => "33",
        // What has only begun says nothing yet; the line comes when it has ended.
        _ => return,
    };
    let time = step
        .get("ms")
        .and_then(Json::as_i64)
        .map(took)
        .unwrap_or_default();
    let state = context.terminal.paint(colour, &format!("{state:<7}"));
    note(format!("  {name:<8} {state} {time}").trim_end());
}

/// Fails when the operation did.
pub(super) fn verdict(operation: &Json, client: &Client) -> Result<ExitCode, Failure> {
    let state = text_at(operation, "/state");
    if state == "done" {
        return Ok(ExitCode::Done);
    }
    if let Some(error) = operation.get("error")
        && let Ok(document) = serde_json::from_value(error.clone())
    {
        return Err(Failure::of_document(document, client.lang()));
    }
    let code = match state.as_str() {
        "rolled_back" => codes::ROLLED_BACK,
        "undo_failed" => codes::UNDO_FAILED,
        "cancelled" => codes::OPERATION_CANCELLED,
        "failed" => codes::STEP_FAILED,
        _ => codes::WAIT_ENDED,
    };
    let problem = Problem::new(code)
        .with("plugin", text_at(operation, "/plugin"))
        .with("operation", text_at(operation, "/id"));
    Err(Failure::local(&problem, client.lang()))
}

fn path(id: &str) -> String {
    format!("/v1/operations/{}", segment(id))
}

fn text(operation: &Json, context: &Context) -> String {
    let mut text = format!(
        "{} {} {} ({})\n",
        text_at(operation, "/plugin"),
        text_at(operation, "/action"),
        text_at(operation, "/state"),
        text_at(operation, "/id"),
    );
    let rows = operation
        .get("steps")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .map(|step| {
            let number = |pointer| step.pointer(pointer).and_then(Json::as_i64);
            let time = number("/started_at")
                .zip(number("/ended_at"))
                .map(|(start, end)| took(end - start))
                .unwrap_or_default();
            let error = match step.pointer("/error") {
                Some(Json::Object(_)) => text_at(step, "/error/text"),
                _ => text_at(step, "/error"),
            };
            let first = error.lines().next().unwrap_or_default().to_owned();
            vec![text_at(step, "/name"), text_at(step, "/state"), time, first]
        });
    text.push_str(&table(
        context.lang,
        &["STEP", "STATE", "TOOK", "NOTE"],
        rows.collect(),
    ));
    let detail = text_at(operation, "/error/detail");
    if !detail.is_empty() {
        let _ = write!(text, "\n\n{detail}");
    }
    let findings = operation.pointer("/error/findings");
    for finding in findings.and_then(Json::as_array).into_iter().flatten() {
        if let Ok(finding) = serde_json::from_value(finding.clone()) {
            let said = finding_text(&finding, "", context.lang, context.terminal);
            let _ = write!(text, "\n{}", said.trim_end());
        }
    }
    text
}
