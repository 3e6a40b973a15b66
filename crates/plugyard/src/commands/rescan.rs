//! `rescan`: plugins that were put into the home by hand.
//!
//! Packages left there are installed. Directories of the kind `app` are only looked at, as their own system
//! does: a record is made of each, and installing it is another step.

use plugyard_model::{ExitCode, ProblemDocument};
use reqwest::Method;
use serde_json::{Value as Json, json};

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
    let dry_run = arguments.rehearsal.dry_run;
    let request = client.request(Method::POST, "/v1/rescan");
    let request = request.query(&[("dry_run", dry_run)]);
    let mut body = client.json(request).await?;
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
    let looked_at = client.request(Method::POST, "/api/admin/plugins/rescan");
    // Directories of applications are only looked at, but a record is made of what is new.
    let apps = if dry_run {
        Vec::new()
    } else {
        apps(&client.json(looked_at).await?)
    };
    if apps.iter().any(|row| row["result"] == "broken") {
        worst = worst.worst(ExitCode::Failed);
    }
    rows.extend(apps);
    body["items"] = rows.clone().into();
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

/// A row for each directory of the kind `app`. What is wrong with one goes to standard error.
fn apps(answer: &Json) -> Vec<Json> {
    let results = answer.pointer("/data/results").and_then(Json::as_object);
    let rows = results.into_iter().flatten().map(|(name, found)| {
        let path = format!("plugins/{name}");
        for error in found["errors"].as_array().into_iter().flatten() {
            let place = text_at(error, "/path");
            note(&format!(
                "{path}/config.json{place}: {}",
                text_at(error, "/message")
            ));
        }
        let valid = found["success"] == true;
        json!({
            "path": path,
            "kind": "app",
            "key": name,
            "plugin": format!("app:{name}"),
            "result": if valid { "discovered" } else { "broken" },
            "findings": found["errors"].as_array().cloned().unwrap_or_default(),
        })
    });
    rows.collect()
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
    if arguments.rehearsal.dry_run {
        let upgrade = item.get("upgrade").and_then(Json::as_bool) == Some(true);
        let result = if upgrade {
            "would upgrade"
        } else {
            "would install"
        };
        return (result, ExitCode::Done);
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
