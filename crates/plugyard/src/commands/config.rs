//! `config …`: what is configured of a plugin.

use std::io::Read as _;
use std::path::Path;

use plugyard_model::{ExitCode, Lang, Problem, codes};
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value as Json, json};

use crate::cli::{Config, FailOn, Rehearsal, Seen};
use crate::client::{Client, segment};
use crate::commands::{Context, change, check};
use crate::failure::Failure;
use crate::output::{note, text_at, time_at};

/// Where a package's definition stands, by kind.
const FILES: [&str; 2] = ["plugyard.config.json", "config.json"];
/// The definition of a package that has none.
const NOTHING: &str = r#"{"fields":{}}"#;
/// More than a definition may have, so that the server says that it is too large.
const LIMIT: u64 = 2 << 20;

pub(super) async fn run(
    command: &Config,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    match command {
        Config::Get { plugin, key } => get(plugin, key.as_deref(), client, context).await?,
        Config::Set {
            plugin,
            values,
            seen,
        } => {
            let values = self::values(values, context)?;
            put(plugin, values, *seen, client, context).await?;
        }
        Config::Unset { plugin, keys, seen } => {
            let body = keys.iter().map(|key| (key.clone(), Json::Null)).collect();
            put(plugin, body, *seen, client, context).await?;
        }
        Config::Edit { plugin, rehearsal } => edit(plugin, *rehearsal, client, context).await?,
        Config::Plan {
            plugin,
            package,
            fail_on,
        } => return plan(plugin, package, *fail_on, client, context).await,
        Config::Diff { plugin, from, to } => diff(plugin, *from, *to, client, context).await?,
        Config::History { plugin } => history(plugin, client, context).await?,
        Config::Restore {
            plugin,
            revision,
            seen,
        } => {
            let request = client.request(Method::POST, &path(plugin, "/restore"));
            let request = request.json(&json!({ "revision": revision }));
            written(plugin, request, *seen, client, context).await?;
        }
        Config::Export { plugin, recipient } => {
            let at = path(plugin, "/export");
            let request = match recipient {
                Some(recipient) => client
                    .request(Method::POST, &at)
                    .json(&json!({ "recipient": recipient })),
                None => client.request(Method::GET, &at),
            };
            let body = client.json(request).await?;
            left_out(&body, context.lang);
            let document = || serde_json::to_string_pretty(&body).unwrap_or_default();
            let name = text_at(&body, "/plugin");
            context.printer.one(&body, &name, document);
        }
        Config::Import { plugin, file, seen } => {
            let body: Json = serde_json::from_str(&read(file, context)?).map_err(|error| {
                let problem = Problem::new(codes::CONFIG_EXPORT_INVALID).with("reason", error);
                context.problem(&problem)
            })?;
            left_out(&body, context.lang);
            let request = client.request(Method::POST, &path(plugin, "/import"));
            written(plugin, request.json(&body), *seen, client, context).await?;
        }
        Config::Reset {
            plugin,
            keys,
            sure,
            seen,
        } => {
            if keys.is_empty() && !seen.rehearsal.dry_run {
                let what = match context.lang {
                    Lang::En => format!("give every field of {plugin} its initial value back"),
                    Lang::ZhCn => format!("将 {plugin} 的所有字段恢复为初始值"),
                };
                context.confirm(&what, *sure)?;
            }
            let keys = (!keys.is_empty()).then_some(keys);
            let request = client.request(Method::POST, &path(plugin, "/reset"));
            let request = request.json(&json!({ "keys": keys }));
            written(plugin, request, *seen, client, context).await?;
        }
    }
    Ok(ExitCode::Done)
}

/// Fields with the texts that were given for them.
pub(super) fn values(
    given: &[(String, String)],
    context: &Context,
) -> Result<Map<String, Json>, Failure> {
    let mut values = Map::new();
    for (key, value) in given {
        values.insert(key.clone(), Json::from(self::given(value, context)?));
    }
    Ok(values)
}

fn path(plugin: &str, rest: &str) -> String {
    format!("/v1/installations/{}/config{rest}", segment(plugin))
}

async fn get(
    plugin: &str,
    key: Option<&str>,
    client: &Client,
    context: &Context,
) -> Result<(), Failure> {
    let body = client.get(&path(plugin, "")).await?;
    let fields = body["fields"].as_object().cloned().unwrap_or_default();
    let Some(key) = key else {
        let items: Vec<Json> = fields
            .iter()
            .map(|(key, field)| {
                let mut item = field.clone();
                item["key"] = json!(key);
                item
            })
            .collect();
        context.printer.list(
            &body,
            &items,
            |item| text_at(item, "/key"),
            &["KEY", "VALUE", "TYPE", "LABEL"],
            |item| {
                vec![
                    text_at(item, "/key"),
                    shown(&item["value"]),
                    text_at(item, "/type"),
                    text_at(item, "/label"),
                ]
            },
        );
        for issue in body["issues"].as_array().into_iter().flatten() {
            note(&format!(
                "{}: {}",
                text_at(issue, "/key"),
                text_at(issue, "/message")
            ));
        }
        return Ok(());
    };
    let field = fields.get(key).ok_or_else(|| {
        let problem = Problem::new(codes::UNKNOWN_FIELD).with("key", key);
        context.problem(&problem)
    })?;
    context.printer.one(field, key, || shown(&field["value"]));
    Ok(())
}

async fn put(
    plugin: &str,
    values: Map<String, Json>,
    seen: Seen,
    client: &Client,
    context: &Context,
) -> Result<(), Failure> {
    let body = json!({ "values": values });
    let request = client.request(Method::PUT, &path(plugin, ""));
    written(plugin, request.json(&body), seen, client, context).await
}

/// Sends a write and says what it did.
async fn written(
    plugin: &str,
    mut request: RequestBuilder,
    seen: Seen,
    client: &Client,
    context: &Context,
) -> Result<(), Failure> {
    if let Some(revision) = seen.if_revision {
        let (found, tag) = state(plugin, client).await?;
        if found["revision"].as_u64() != Some(revision) {
            let problem = Problem::new(codes::REVISION_CONFLICT)
                .with("plugin", plugin)
                .with("revision", &found["revision"]);
            return Err(context.problem(&problem));
        }
        request = request.header("if-match", tag);
    }
    let body = client.json(rehearsed(request, seen.rehearsal)).await?;
    print_written(plugin, &body, seen.rehearsal, context);
    Ok(())
}

/// Whether the request is only to say what it would do.
fn rehearsed(request: RequestBuilder, rehearsal: Rehearsal) -> RequestBuilder {
    if rehearsal.dry_run {
        request.query(&[("dry_run", true)])
    } else {
        request
    }
}

fn print_written(plugin: &str, body: &Json, rehearsal: Rehearsal, context: &Context) {
    context.printer.one(body, plugin, || {
        let updated = words(&body["updated"]);
        let revision = text_at(body, "/revision");
        if rehearsal.dry_run {
            return match (updated.is_empty(), context.lang) {
                (true, Lang::En) => format!("{plugin}: nothing would change"),
                (true, Lang::ZhCn) => format!("{plugin}：不会有更改"),
                (false, Lang::En) => format!("{plugin}: would change {updated}"),
                (false, Lang::ZhCn) => format!("{plugin}：将更改 {updated}"),
            };
        }
        match (updated.is_empty(), context.lang) {
            (true, Lang::En) => format!("{plugin}: nothing changed (revision {revision})"),
            (true, Lang::ZhCn) => format!("{plugin}：没有更改（修订版本 {revision}）"),
            (false, Lang::En) => format!("{plugin}: {updated} (revision {revision})"),
            (false, Lang::ZhCn) => format!("{plugin}：{updated}（修订版本 {revision}）"),
        }
    });
    for issue in body["issues"].as_array().into_iter().flatten() {
        note(&format!(
            "{}: {}",
            text_at(issue, "/key"),
            text_at(issue, "/message")
        ));
    }
}

/// The configuration, and the tag that names its state.
async fn state(plugin: &str, client: &Client) -> Result<(Json, String), Failure> {
    let request = client.request(Method::GET, &path(plugin, ""));
    let response = client.send(request).await?;
    let tag = response.headers().get("etag").cloned();
    let tag = tag.and_then(|it| it.to_str().ok().map(str::to_owned));
    let body = response
        .bytes()
        .await
        .map_err(|error| client.unreachable(&error))?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Ok((body, tag.unwrap_or_default()))
}

/// Lets the values be changed in an editor, and sends those that were.
async fn edit(
    plugin: &str,
    rehearsal: Rehearsal,
    client: &Client,
    context: &Context,
) -> Result<(), Failure> {
    let (body, tag) = state(plugin, client).await?;
    let fields = body["fields"].as_object().cloned().unwrap_or_default();
    let before: Map<String, Json> = fields
        .iter()
        .map(|(key, field)| (key.clone(), field["value"].clone()))
        .collect();
    let failed = |reason: &dyn std::fmt::Display| {
        let problem = Problem::new(codes::INPUT_UNREADABLE)
            .with("path", "$EDITOR")
            .with("reason", reason);
        context.problem(&problem)
    };
    let file = tempfile::Builder::new()
        .prefix("plugyard-config-")
        .suffix(".json")
        .tempfile()
        .map_err(|error| failed(&error))?
        .into_temp_path();
    let text = serde_json::to_string_pretty(&before).unwrap_or_default();
    std::fs::write(&file, text + "\n").map_err(|error| failed(&error))?;
    let editor = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|it| !it.trim().is_empty()))
        .unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    #[expect(
        clippy::disallowed_methods,
        reason = "the user's own editor, not a plugin"
    )]
    let ended = std::process::Command::new(words.next().unwrap_or("vi"))
        .args(words)
        .arg(&file)
        .status()
        .map_err(|error| failed(&error))?;
    if !ended.success() {
        return Err(failed(&format!("`{editor}` ended with {ended}")));
    }
    let text = std::fs::read_to_string(&file).map_err(|error| failed(&error))?;
    let after: Map<String, Json> = serde_json::from_str(&text).map_err(|error| failed(&error))?;
    let mut values: Map<String, Json> = after
        .into_iter()
        .filter(|(key, value)| before.get(key) != Some(value))
        .collect();
    // A line that was taken out means: clear it.
    let kept: Map<String, Json> = serde_json::from_str(&text).unwrap_or_default();
    for key in before.keys().filter(|key| !kept.contains_key(*key)) {
        values.insert(key.clone(), Json::Null);
    }
    let request = client
        .request(Method::PUT, &path(plugin, ""))
        .header("if-match", tag)
        .json(&json!({ "values": values }));
    let body = client.json(rehearsed(request, rehearsal)).await?;
    print_written(plugin, &body, rehearsal, context);
    Ok(())
}

async fn plan(
    plugin: &str,
    package: &str,
    fail_on: Option<FailOn>,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let mut foreseen = Json::Null;
    let asked = match source(package) {
        Source::Digest => json!({ "package": package }),
        Source::Address => {
            // The server fetches it, as for an upgrade to it.
            let installation = client.get(&change::path(plugin)).await?;
            let (kind, key) = (
                text_at(&installation, "/kind"),
                text_at(&installation, "/key"),
            );
            let request = client.request(Method::POST, "/v1/packages/plan");
            let request = request.query(&[("kind", kind), ("key", key)]);
            let change = json!({ "upgrade": true, "force": true });
            let request = request.json(&json!({ "url": package, "change": change }));
            foreseen = client.json(request).await?["config"].take();
            json!({ "definition": NOTHING })
        }
        Source::Here => {
            let reader = check::open(Path::new(package), None, context)?;
            let found = FILES.iter().find_map(|file| reader.read(file, LIMIT).ok());
            let definition = match found {
                Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                None => NOTHING.to_owned(),
            };
            json!({ "definition": definition })
        }
    };
    let body = if foreseen.is_null() {
        let request = client.request(Method::POST, &path(plugin, "/plan"));
        client.json(request.json(&asked)).await?
    } else {
        foreseen
    };
    context.printer.one(&body, plugin, || planned(&body));
    let invalid = ["issues", "reset"]
        .iter()
        .any(|list| body[list].as_array().is_some_and(|it| !it.is_empty()));
    Ok(if invalid && fail_on == Some(FailOn::Invalid) {
        ExitCode::Failed
    } else {
        ExitCode::Done
    })
}

/// Where a package is.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// On the server already.
    Digest,
    /// Where the server can fetch it.
    Address,
    /// On this machine.
    Here,
}

fn source(package: &str) -> Source {
    let is_digest = package.len() == 64 && package.bytes().all(|it| it.is_ascii_hexdigit());
    if package.starts_with("http://") || package.starts_with("https://") {
        Source::Address
    } else if is_digest && !Path::new(package).exists() {
        Source::Digest
    } else {
        Source::Here
    }
}

/// What would become of every field, a line each.
pub(super) fn planned(body: &Json) -> String {
    let mut lines = vec![format!(
        "{} -> {}",
        text_at(body, "/from"),
        text_at(body, "/to")
    )];
    for (list, sign) in [
        ("added", "+"),
        ("removed", "-"),
        ("changed", "~"),
        ("kept", "="),
    ] {
        for key in body[list].as_array().into_iter().flatten() {
            lines.push(format!("{sign} {}{}", shown(key), moved(body, key)));
        }
    }
    let told = |list: &str, sign: &str| -> Vec<String> {
        body[list]
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| {
                format!(
                    "{sign} {}: {}",
                    text_at(it, "/key"),
                    text_at(it, "/message")
                )
            })
            .collect()
    };
    lines.extend(told("reset", "!"));
    lines.extend(told("issues", "!"));
    lines.extend(told("incomplete", "?"));
    lines.join("\n")
}

/// What the value of a field was and becomes, where it changes: with a colon in front.
fn moved(body: &Json, key: &Json) -> String {
    let mut moves = body["moves"].as_array().into_iter().flatten();
    let Some(it) = moves.find(|it| it["key"] == *key) else {
        return String::new();
    };
    match (&it["before"], &it["after"]) {
        (Json::Null, Json::Null) => String::new(),
        (Json::Null, value) | (value, Json::Null) => format!(": {}", shown(value)),
        (before, after) => format!(": {} -> {}", shown(before), shown(after)),
    }
}

async fn history(plugin: &str, client: &Client, context: &Context) -> Result<(), Failure> {
    let (body, items) = client.list(&path(plugin, "/history")).await?;
    context.printer.list(
        &body,
        &items,
        |item| text_at(item, "/revision"),
        &["REVISION", "TIME", "USER", "ACTION", "FIELDS"],
        |item| {
            let changes = item["changes"].as_array().into_iter().flatten();
            let keys: Vec<_> = changes.map(|it| text_at(it, "/key")).collect();
            vec![
                text_at(item, "/revision"),
                time_at(item, "/at"),
                text_at(item, "/who"),
                text_at(item, "/action"),
                keys.join(" "),
            ]
        },
    );
    Ok(())
}

async fn diff(
    plugin: &str,
    from: Option<u64>,
    to: Option<u64>,
    client: &Client,
    context: &Context,
) -> Result<(), Failure> {
    let from = match from {
        Some(from) => from,
        None => {
            let (body, _) = state(plugin, client).await?;
            body["revision"].as_u64().unwrap_or(0).saturating_sub(1)
        }
    };
    let mut request = client
        .request(Method::GET, &path(plugin, "/diff"))
        .query(&[("from", from)]);
    if let Some(to) = to {
        request = request.query(&[("to", to)]);
    }
    let body = client.json(request).await?;
    let items = body["changes"].as_array().cloned().unwrap_or_default();
    context.printer.list(
        &body,
        &items,
        |item| text_at(item, "/key"),
        &["KEY", "BEFORE", "AFTER"],
        |item| {
            vec![
                text_at(item, "/key"),
                shown(&item["before"]),
                shown(&item["after"]),
            ]
        },
    );
    Ok(())
}

/// Says which secrets a document does not have.
fn left_out(body: &Json, lang: Lang) {
    let secrets = words(&body["secrets"]);
    if secrets.is_empty() || body["sealed"].is_string() {
        return;
    }
    note(&match lang {
        Lang::En => {
            format!("note: secrets are not in it: {secrets}; `--recipient` seals them for a server")
        }
        Lang::ZhCn => format!("提示：其中不含机密：{secrets}；可用 `--recipient` 为某个服务器密封"),
    });
}

/// What stands after the sign of equality, or comes from standard input.
fn given(value: &str, context: &Context) -> Result<String, Failure> {
    if value != "-" {
        return Ok(value.to_owned());
    }
    let text = read(Path::new("-"), context)?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

fn read(file: &Path, context: &Context) -> Result<String, Failure> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .read_to_string(&mut text)
            .map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    text.map_err(|error| {
        let problem = Problem::new(codes::INPUT_UNREADABLE)
            .with("path", file.display())
            .with("reason", error);
        context.problem(&problem)
    })
}

/// A value for people: texts without quotes, what is unset as nothing.
fn shown(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn words(list: &Json) -> String {
    let all: Vec<_> = list.as_array().into_iter().flatten().map(shown).collect();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_known_by_its_form() {
        assert_eq!(source(&"0aF".repeat(22)[..64]), Source::Digest);
        assert_eq!(source("https://example.com/a.zip"), Source::Address);
        assert_eq!(source("./https"), Source::Here);
        assert_eq!(source(&"0".repeat(63)), Source::Here);
    }

    #[test]
    fn a_plan_is_told_line_by_line() {
        let plan = json!({
            "from": "1.0.0", "to": "2.0.0",
            "added": ["A", "N"], "removed": ["B"], "changed": ["E"], "kept": ["C"],
            "reset": [{ "key": "D", "message": "not convertible" }],
            "issues": [{ "key": "C", "message": "too large" }],
            "incomplete": [{ "key": "N", "message": "is required" }],
            "moves": [
                { "key": "A", "before": null, "after": 3, "gone": false },
                { "key": "E", "before": "old", "after": "new", "gone": false },
                { "key": "B", "before": "********", "after": null, "gone": true },
            ],
        });
        let expected = "1.0.0 -> 2.0.0\n+ A: 3\n+ N\n- B: ********\n~ E: old -> new\n= C\n\
                        ! D: not convertible\n! C: too large\n? N: is required";
        assert_eq!(planned(&plan), expected);
    }
}
