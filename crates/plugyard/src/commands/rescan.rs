//! `rescan`: plugins that were put into the home by hand.

use plugyard_model::{ExitCode, ProblemDocument};
use reqwest::Method;
use serde_json::Value as Json;

use crate::cli::{Format, Rescan};
use crate::client::Client;
use crate::commands::{Context, operation};
use crate::failure::{Failure, finding_text};
use crate::output::{line, note, text_at};

pub(super) async fn run(
    arguments: &Rescan,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let request = client.request(Method::POST, "/v1/rescan");
    let body = client.json(request).await?;
    let items = body.get("items").and_then(Json::as_array);
    let items = items.cloned().unwrap_or_default();
    let mut worst = ExitCode::Done;
    let mut rows = Vec::new();
    for item in &items {
        let (result, code) = outcome(item, arguments, client, context).await;
        worst = worst.worst(code);
        let mut row = item.clone();
        row["result"] = result.into();
        rows.push(row);
    }
    match context.printer.format {
        Format::Name => rows
            .iter()
            .filter(|row| row.get("plugin").is_some())
            .for_each(|row| line(&text_at(row, "/plugin"))),
        _ => context.printer.list(
            &body,
            &rows,
            |row| text_at(row, "/path"),
            &["DIRECTORY", "PLUGIN", "RESULT", "OPERATION"],
            |row| {
                ["/path", "/plugin", "/result", "/operation"]
                    .map(|at| text_at(row, at))
                    .to_vec()
            },
        ),
    }
    Ok(worst)
}

/// What became of a directory, in a word; what is wrong with it goes to standard error.
async fn outcome(
    item: &Json,
    arguments: &Rescan,
    client: &Client,
    context: &Context,
) -> (&'static str, ExitCode) {
    let told = |failure: Failure| {
        failure.print(context.terminal);
        failure.exit()
    };
    let path = text_at(item, "/path");
    if let Some(problem) = item.get("problem") {
        let Ok(document) = serde_json::from_value::<ProblemDocument>(problem.clone()) else {
            return ("untouched", ExitCode::Failed);
        };
        note(&format!("{path}:"));
        return (
            "untouched",
            told(Failure::of_document(document, context.lang)),
        );
    }
    for finding in item
        .get("findings")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
    {
        if let Ok(finding) = serde_json::from_value(finding.clone()) {
            let text = finding_text(&finding, &path, context.lang, context.terminal);
            note(text.trim_end());
        }
    }
    if arguments.no_wait {
        return ("begun", ExitCode::Done);
    }
    let id = text_at(item, "/operation");
    let ended = match operation::watch(&id, arguments.timeout, client, context).await {
        Ok(operation) => operation::verdict(&operation, client),
        Err(failure) => Err(failure),
    };
    match ended {
        Ok(ExitCode::Done) => ("adopted", ExitCode::Done),
        Ok(code) => ("untouched", code),
        Err(failure) => match told(failure) {
            ExitCode::StillRunning => ("begun", ExitCode::StillRunning),
            code => ("untouched", code),
        },
    }
}
