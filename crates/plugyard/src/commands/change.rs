//! Commands that change plugins: they send a package when there is one, ask for the change, and follow it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use plugyard_archive::{Limits, Policy, pack_to_file};
use plugyard_model::{ExitCode, Lang, Problem, codes};
use plugyard_platform::Home;
use reqwest::header::CONTENT_TYPE;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value as Json, json};
use tempfile::NamedTempFile;

use crate::cli::{Change, Format, Install, Plugins, Rollback, Running, Set, Uninstall, Upgrade};
use crate::client::{Client, segment};
use crate::commands::{Context, config, operation};
use crate::failure::Failure;
use crate::output::{note, table, text_at};
use crate::words::word;

pub(super) async fn install(
    arguments: &Install,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let source = in_home(&arguments.package, context);
    let package = Package {
        source: source.as_deref().unwrap_or(&arguments.package),
        kind: arguments.kind.as_deref(),
        key: None,
    };
    let mut options = options(Map::new(), &arguments.options, &arguments.running);
    if arguments.seed {
        seeds(&mut options, true, context)?;
    }
    if arguments.change.dry_run {
        let mut change = json!({ "options": options });
        if arguments.stopped {
            change["wanted"] = json!("stopped");
        }
        if !arguments.values.is_empty() {
            change["values"] = config::values(&arguments.values, context)?.into();
        }
        return foresee(package, &change, client, context).await;
    }
    let package = package.send(client, context).await?;
    if text_at(&package, "/kind") == WEB {
        seeds(&mut options, arguments.seed, context)?;
    }
    let mut body = json!({
        "package": package["sha256"],
        "options": options,
    });
    // Whether it works at once unless said otherwise is its kind's to say.
    if arguments.stopped {
        body["wanted"] = json!("stopped");
    }
    if !arguments.values.is_empty() {
        body["values"] = config::values(&arguments.values, context)?.into();
    }
    let request = client
        .request(Method::POST, "/v1/installations")
        .json(&body);
    carry_out(request, &arguments.change, client, context).await
}

/// The directory in `plugins/` of the home that a bare name means, where nothing else has that name.
fn in_home(name: &str, context: &Context) -> Option<String> {
    let global = &context.global;
    let is_name = Path::new(name).components().count() == 1 && !Path::new(name).exists();
    if !is_name || name.starts_with('.') || global.server.is_some() || global.context.is_some() {
        return None;
    }
    let there = Home::new(&global.home).plugins().join(name);
    there.is_dir().then(|| there.display().to_string())
}

pub(super) async fn upgrade(
    arguments: &Upgrade,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let installation = client.get(&path(&arguments.plugin)).await?;
    let (kind, key) = (
        text_at(&installation, "/kind"),
        text_at(&installation, "/key"),
    );
    let package = Package {
        source: &arguments.package,
        kind: Some(&kind),
        key: Some(&key),
    };
    let mut body = json!({});
    if !arguments.options.is_empty() {
        body["options"] = options(Map::new(), &arguments.options, &Running::default());
    }
    if kind == WEB || arguments.seed {
        if body["options"].is_null() {
            let mut before = installation.pointer("/version/options").cloned();
            if let Some(before) = before.as_mut().and_then(Json::as_object_mut) {
                // It was said of an earlier change.
                before.remove(SEED);
            }
            body["options"] = before.unwrap_or_else(|| json!({}));
        }
        seeds(&mut body["options"], arguments.seed, context)?;
    }
    if arguments.keep_definitions {
        body["update_definitions"] = json!(false);
    }
    if arguments.force {
        body["force"] = json!(true);
    }
    if arguments.change.dry_run {
        body["upgrade"] = json!(true);
        return foresee(package, &body, client, context).await;
    }
    body["package"] = package.send(client, context).await?["sha256"].take();
    let request = client
        .request(
            Method::POST,
            &format!("{}/upgrade", path(&arguments.plugin)),
        )
        .json(&body);
    carry_out(request, &arguments.change, client, context).await
}

pub(super) async fn rollback(
    arguments: &Rollback,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let mut body = match &arguments.to {
        Some(version) => json!({ "to": version }),
        None => json!({}),
    };
    if arguments.force {
        body["force"] = json!(true);
    }
    let request = client
        .request(
            Method::POST,
            &format!("{}/rollback", path(&arguments.plugin)),
        )
        .json(&body);
    carry_out(request, &arguments.change, client, context).await
}

pub(super) async fn uninstall(
    arguments: &Uninstall,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    if !arguments.change.dry_run {
        let names = arguments.plugins.join(", ");
        // Data of plugins of an application stay unless said otherwise.
        let keeps = arguments.plugins.iter().all(|it| it.starts_with("web:"));
        let mut what = match (context.lang, arguments.keep_data || keeps) {
            (Lang::En, true) => format!("uninstall {names} and keep its data"),
            (Lang::En, false) => format!("uninstall {names} and delete its data"),
            (Lang::ZhCn, true) => format!("卸载 {names}（保留数据）"),
            (Lang::ZhCn, false) => format!("卸载 {names} 并删除其数据"),
        };
        let users = used_by(&arguments.plugins, client).await;
        match context.lang {
            _ if users.is_empty() => {}
            Lang::En => {
                let _ = write!(what, ", which leaves without it: {users}");
            }
            Lang::ZhCn => {
                let _ = write!(what, "，以下将因此缺少它：{users}");
            }
        }
        context.confirm(&what, arguments.sure)?;
        if arguments.sure.yes {
            say_users(&users, context);
        }
    }
    let mut worst = ExitCode::Done;
    for plugin in &arguments.plugins {
        let mut request = client.request(Method::DELETE, &path(plugin));
        if arguments.keep_data {
            request = request.query(&[("keep_data", true)]);
        }
        worst = worst.worst(told(
            carry_out(request, &arguments.change, client, context).await,
            context,
        ));
    }
    Ok(worst)
}

/// `enable`, `disable`, `restart` of several plugins, one after the other; the worst end counts.
pub(super) async fn each(
    verb: &str,
    arguments: &Plugins,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    if verb == "disable" && !arguments.change.dry_run {
        say_users(&used_by(&arguments.plugins, client).await, context);
    }
    let mut worst = ExitCode::Done;
    for plugin in &arguments.plugins {
        let request = client.request(Method::POST, &format!("{}/{verb}", path(plugin)));
        worst = worst.worst(told(
            carry_out(request, &arguments.change, client, context).await,
            context,
        ));
    }
    Ok(worst)
}

/// The same package with other options, as an upgrade that can go wrong and be rolled back.
pub(super) async fn set(
    arguments: &Set,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let installation = client.get(&path(&arguments.plugin)).await?;
    let mut before = match installation.pointer("/version/options") {
        Some(Json::Object(options)) => options.clone(),
        _ => Map::new(),
    };
    for name in &arguments.unset {
        let gone = match name.split_once('.') {
            Some(("limit" | "limits", limit)) => remove_from(&mut before, "limits", limit),
            Some((outer, inner)) => remove_from(&mut before, outer, inner),
            None => before.remove(name).is_some(),
        };
        if !gone {
            let problem = Problem::new(codes::PORTABLE_OPTION_INVALID)
                .with("option", name)
                .with("reason", "it is not set");
            return Err(context.problem(&problem));
        }
    }
    let body = json!({
        "package": text_at(&installation, "/version/digest"),
        "options": options(before, &arguments.options, &arguments.running),
    });
    let request = client
        .request(
            Method::POST,
            &format!("{}/upgrade", path(&arguments.plugin)),
        )
        .json(&body);
    carry_out(request, &arguments.change, client, context).await
}

/// Takes a member out of a member; an empty one goes with it.
fn remove_from(options: &mut Map<String, Json>, outer: &str, inner: &str) -> bool {
    let Some(Json::Object(members)) = options.get_mut(outer) else {
        return false;
    };
    let gone = members.remove(inner).is_some();
    if members.is_empty() {
        options.remove(outer);
    }
    gone
}

/// The option of a web plugin that says whether its seeds run.
const SEED: &str = "seed";
/// The kind that has it.
const WEB: &str = "web";

/// Seeds run from the command line only when that was asked for, by the flag or by the option.
fn seeds(options: &mut Json, asked: bool, context: &Context) -> Result<(), Failure> {
    match options.get(SEED) {
        None => options[SEED] = asked.into(),
        Some(said) if asked && *said != Json::Bool(true) => {
            let problem = Problem::new(codes::PORTABLE_OPTION_INVALID)
                .with("option", SEED)
                .with("reason", "`--seed` says otherwise");
            return Err(context.problem(&problem));
        }
        Some(_) => {}
    }
    Ok(())
}

/// `web unzip`: the package is sent, and its files are placed.
pub(super) async fn unzip(
    package: &str,
    change: &Change,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let package = Package {
        source: package,
        kind: Some(WEB),
        key: None,
    };
    if change.dry_run {
        let plan = planned(package, &json!({ "unzip": true }), client, context).await?;
        package.warn(&plan, context);
        context.printer.one(&plan, &text_at(&plan, "/plugin"), || {
            plan_text(&plan, context)
        });
        return Ok(ExitCode::Done);
    }
    let package = package.send(client, context).await?;
    let body = json!({ "package": package["sha256"] });
    let request = client.request(Method::POST, "/v1/web/unzip").json(&body);
    carry_out(request, change, client, context).await
}

/// Options with what was given on top.
fn options(mut options: Map<String, Json>, given: &[(String, Json)], running: &Running) -> Json {
    options.extend(given.iter().cloned());
    let env = running.env.iter();
    let env = env.map(|(name, value)| (name.clone(), Json::from(value.clone())));
    let limits = running.limits.iter().cloned();
    for (name, members) in [
        ("limits", limits.collect::<Vec<_>>()),
        ("env", env.collect()),
    ] {
        if members.is_empty() {
            continue;
        }
        let there = options.entry(name).or_insert_with(|| json!({}));
        // Whatever else was given there is refused by the server, in its words.
        if let Json::Object(there) = there {
            there.extend(members);
        }
    }
    if let Some(workers) = running.workers {
        options.insert("workers".to_owned(), workers.into());
    }
    Json::Object(options)
}

/// What uses these plugins. What cannot be told is left out: the change itself says why.
async fn used_by(plugins: &[String], client: &Client) -> String {
    let mut users = Vec::new();
    for plugin in plugins {
        if let Ok(installation) = client.get(&path(plugin)).await {
            users.extend(super::plugin::users(&installation));
        }
    }
    users.sort_unstable();
    users.dedup();
    users.join(", ")
}

/// Nothing is refused because of them, but nobody shall be surprised.
fn say_users(users: &str, context: &Context) {
    if users.is_empty() {
        return;
    }
    note(&match context.lang {
        Lang::En => format!("note: {users} will wait until it is back"),
        Lang::ZhCn => format!("注意：{users} 将等待其恢复"),
    });
}

/// Says a failure and goes on with its exit code.
pub(super) fn told(ended: Result<ExitCode, Failure>, context: &Context) -> ExitCode {
    ended.unwrap_or_else(|failure| {
        failure.print(context.terminal);
        failure.exit()
    })
}

/// Asks for a change and follows it as the options say.
pub(super) async fn carry_out(
    request: RequestBuilder,
    change: &Change,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    if change.dry_run {
        let plan = client.json(request.query(&[("dry_run", true)])).await?;
        context.printer.one(&plan, &text_at(&plan, "/plugin"), || {
            plan_text(&plan, context)
        });
        return Ok(ExitCode::Done);
    }
    let accepted = client.json(request).await?;
    let id = match accepted.get("operation") {
        Some(Json::Object(operation)) => operation.get("id").and_then(Json::as_str),
        Some(Json::String(id)) => Some(id.as_str()),
        _ => accepted.get("id").and_then(Json::as_str),
    };
    let Some(id) = id else {
        let reason = "it names no operation";
        return Err(context.problem(&Problem::new(codes::ANSWER_UNREADABLE).with("reason", reason)));
    };
    if change.no_wait {
        context.printer.one(&accepted, id, || id.to_owned());
        return Ok(ExitCode::Done);
    }
    let operation = operation::watch(id, change.timeout, client, context).await?;
    let plugin = text_at(&operation, "/plugin");
    let code = operation::verdict(&operation, client).inspect_err(|_| {
        // Programs get the operation as it ended, also where it failed.
        if matches!(
            context.printer.format,
            Format::Json | Format::Yaml | Format::Ndjson
        ) {
            context.printer.one(&operation, &plugin, String::new);
        }
    })?;
    let now = match text_at(&operation, "/action").as_str() {
        "uninstall" => None,
        _ => client.get(&path(&plugin)).await.ok(),
    };
    context.printer.one(&operation, &plugin, || match now {
        Some(now) => format!(
            "{plugin} {} {}",
            text_at(&now, "/version/label"),
            text_at(&now, "/health/state")
        ),
        None => format!("{plugin} {}", text_at(&operation, "/action")),
    });
    Ok(code)
}

fn plan_text(plan: &Json, context: &Context) -> String {
    let steps = plan
        .pointer("/plan/steps")
        .or_else(|| plan.pointer("/steps"));
    let rows = steps
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .map(|step| {
            let commit = step.get("commit").and_then(Json::as_bool).unwrap_or(false);
            vec![
                text_at(step, "/name"),
                text_at(step, "/action"),
                if commit {
                    "commit".to_owned()
                } else {
                    String::new()
                },
            ]
        });
    let mut text = table(context.lang, &["STEP", "ACTION", "NOTE"], rows.collect());
    let users = super::plugin::users(plan);
    if !users.is_empty() {
        let _ = write!(
            text,
            "\n{}: {}",
            word(context.lang, "used by"),
            users.join(", ")
        );
    }
    if let Some(configuration) = plan.get("config").filter(|it| it.is_object()) {
        let _ = write!(
            text,
            "\n{} {}",
            match context.lang {
                Lang::En => "configuration:",
                Lang::ZhCn => "配置：",
            },
            config::planned(configuration)
        );
    }
    text
}

/// What a change to a package would do. The package is looked at and not kept.
async fn foresee(
    package: Package<'_>,
    change: &Json,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let mut plan = planned(package, change, client, context).await?;
    let unsaid = change.pointer("/options/seed").is_none() && change.get("upgrade").is_none();
    if unsaid && text_at(&plan, "/plugin").starts_with("web:") {
        // What it is has turned out only now.
        let mut change = change.clone();
        seeds(&mut change["options"], false, context)?;
        plan = planned(package, &change, client, context).await?;
    }
    package.warn(&plan, context);
    context.printer.one(&plan, &text_at(&plan, "/plugin"), || {
        plan_text(&plan, context)
    });
    Ok(ExitCode::Done)
}

async fn planned(
    package: Package<'_>,
    change: &Json,
    client: &Client,
    context: &Context,
) -> Result<Json, Failure> {
    let request = client.request(Method::POST, "/v1/packages/plan");
    let request = request.query(&package.query());
    if package.is_address() {
        let body = json!({ "url": package.source, "change": change });
        client.json(request.json(&body)).await
    } else {
        let (file, _packed) = package.open(context)?;
        let size = file
            .metadata()
            .map_err(|error| package.unreadable(&error, context))?
            .len();
        let file = Part::stream_with_length(tokio::fs::File::from_std(file), size);
        let file = file.file_name("package.zip");
        let form = Form::new()
            .text("change", change.to_string())
            .part("file", file);
        client.json(request.multipart(form)).await
    }
}

/// A package that a command names.
#[derive(Clone, Copy)]
pub(super) struct Package<'a> {
    /// A zip, a directory or an address.
    pub(super) source: &'a str,
    pub(super) kind: Option<&'a str>,
    pub(super) key: Option<&'a str>,
}

impl Package<'_> {
    /// Brings it to the server and gives what that says about it. Warnings are shown.
    pub(super) async fn send(self, client: &Client, context: &Context) -> Result<Json, Failure> {
        let request = client.request(Method::POST, "/v1/packages");
        let request = request.query(&self.query());
        let request = if self.is_address() {
            request.json(&json!({ "url": self.source }))
        } else {
            let (file, _packed) = self.open(context)?;
            let size = file
                .metadata()
                .map_err(|error| self.unreadable(&error, context))?
                .len();
            request
                .header(CONTENT_TYPE, "application/zip")
                .header(reqwest::header::CONTENT_LENGTH, size)
                .body(reqwest::Body::from(tokio::fs::File::from_std(file)))
        };
        let package = client.json(request).await?;
        self.warn(&package, context);
        Ok(package)
    }

    fn is_address(self) -> bool {
        self.source.starts_with("http://") || self.source.starts_with("https://")
    }

    /// What is known of it beside its bytes.
    fn query(self) -> Vec<(&'static str, String)> {
        let named = self
            .key
            .is_none()
            .then(|| crate::kinds::directory_name(Path::new(self.source), self.kind))
            .flatten();
        let kind = self.kind.map(str::to_owned);
        let key = self.key.map(str::to_owned).or(named);
        let known = [("kind", kind), ("key", key)];
        known
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// Its bytes, and what must not go away before they are sent. A directory is packed here, so that the
    /// server need not see this machine's files.
    fn open(self, context: &Context) -> Result<(std::fs::File, Option<NamedTempFile>), Failure> {
        let path = PathBuf::from(self.source);
        let unreadable = |error: &dyn std::fmt::Display| self.unreadable(error, context);
        if path.is_dir() {
            let packed = packed(&path).map_err(|error| unreadable(&error))?;
            let file = std::fs::File::open(packed.path());
            return Ok((file.map_err(|error| unreadable(&error))?, Some(packed)));
        }
        let file = std::fs::File::open(&path);
        Ok((file.map_err(|error| unreadable(&error))?, None))
    }

    fn unreadable(self, reason: &dyn std::fmt::Display, context: &Context) -> Failure {
        let problem = Problem::new(codes::INPUT_UNREADABLE)
            .with("path", self.source)
            .with("reason", reason);
        context.problem(&problem)
    }

    fn warn(self, answer: &Json, context: &Context) {
        if context.global.no_progress {
            return;
        }
        let findings = answer.get("findings").and_then(Json::as_array);
        for finding in findings.into_iter().flatten() {
            if let Ok(finding) = serde_json::from_value(finding.clone()) {
                let (lang, terminal) = (context.lang, context.terminal);
                let text = crate::failure::finding_text(&finding, self.source, lang, terminal);
                note(text.trim_end());
            }
        }
    }
}

/// A directory as a zip in a file that goes away again.
fn packed(directory: &Path) -> Result<NamedTempFile, String> {
    let file = NamedTempFile::new().map_err(|error| error.to_string())?;
    // Bounds are the server's to say.
    let policy = Policy::within(Limits::MOST);
    pack_to_file(directory, file.path(), &policy).map_err(|error| error.to_string())?;
    Ok(file)
}

pub(super) fn path(plugin: &str) -> String {
    format!("/v1/installations/{}", segment(plugin))
}
