//! `web add` and `web set`: records as an operator writes them.

use plugyard_model::{ExitCode, Problem, codes};
use reqwest::Method;
use serde_json::{Map, Value as Json, json};

use super::plugins::{path, print};
use super::tasks;
use crate::cli::{RecordAdd, RecordColumns, RecordSet};
use crate::client::Client;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{note, text_at};
use crate::words::word;

pub(super) async fn add(
    arguments: &RecordAdd,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let mut body = columns_of(&arguments.columns, context)?;
    // The table takes no null here, and the empty text is one.
    body.entry("description").or_insert_with(|| json!(""));
    for (key, value) in [
        ("fskey", json!(arguments.fskey)),
        ("type", json!(arguments.plugin_type)),
        ("name", json!(arguments.name)),
        ("version", json!(arguments.version)),
        ("author", json!(arguments.author)),
    ] {
        body.insert(key.to_owned(), value);
    }
    if arguments.disabled {
        body.insert("isEnabled".to_owned(), json!(false));
    }
    let request = client.request(Method::POST, "/v1/web/plugins").json(&body);
    written(&client.json(request).await?, context);
    Ok(ExitCode::Done)
}

pub(super) async fn set(
    arguments: &RecordSet,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let fskey = tasks::one(arguments.fskey.as_deref(), context)?;
    let mut body = columns_of(&arguments.columns, context)?;
    for (key, value) in [
        ("type", json!(arguments.plugin_type)),
        ("name", json!(arguments.name)),
        ("version", json!(arguments.version)),
        ("author", json!(arguments.author)),
    ] {
        if !value.is_null() {
            body.insert(key.to_owned(), value);
        }
    }
    if arguments.enabled || arguments.disabled {
        body.insert("isEnabled".to_owned(), json!(arguments.enabled));
    }
    for option in &arguments.unset {
        body.insert(column(option).to_owned(), Json::Null);
    }
    let request = client.request(Method::PATCH, &path(&fskey)).json(&body);
    written(&client.json(request).await?, context);
    Ok(ExitCode::Done)
}

/// The columns that were named.
fn columns_of(columns: &RecordColumns, context: &Context) -> Result<Map<String, Json>, Failure> {
    let code = match columns.upgrade_code.as_deref() {
        Some("-") => Some(line_of_input(context)?),
        given => given.map(str::to_owned),
    };
    let named = [
        ("description", json!(columns.description)),
        ("authorLink", json!(columns.author_link)),
        ("scene", json!(columns.scene)),
        ("pluginHost", json!(columns.host)),
        ("accessPath", json!(columns.access_path)),
        ("settingsPath", json!(columns.settings_path)),
        ("isStandalone", json!(columns.standalone.then_some(true))),
        ("upgradeCode", json!(code)),
    ];
    let named = named.into_iter().filter(|(_, value)| !value.is_null());
    Ok(named.map(|(key, value)| (key.to_owned(), value)).collect())
}

/// The column of an option that can be emptied.
fn column(option: &str) -> &'static str {
    match option {
        "author-link" => "authorLink",
        "scene" => "scene",
        "host" => "pluginHost",
        "access-path" => "accessPath",
        "settings-path" => "settingsPath",
        // The command line takes no other words.
        _ => "upgradeCode",
    }
}

fn line_of_input(context: &Context) -> Result<String, Failure> {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    read.map_err(|error| {
        let problem = Problem::new(codes::INPUT_UNREADABLE).with("path", "-");
        context.problem(&problem.with("reason", error))
    })?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// A record that was written, and what there is to know about it.
fn written(record: &Json, context: &Context) {
    for warning in record["findings"].as_array().into_iter().flatten() {
        let said = word(context.lang, "warning:");
        note(&format!("{said} {}", text_at(warning, "/message")));
    }
    print(record, context);
}
