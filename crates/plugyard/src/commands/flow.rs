//! `stream …` and `rule …`, over the routes that eKuiper's clients use too.

use futures::StreamExt as _;
use plugyard_model::{ExitCode, Lang, Problem, codes};
use reqwest::Method;
use serde_json::{Map, Value as Json, json};

use crate::cli::{Format, Rule, RuleCreate, RuleExplain, Stream};
use crate::client::{Client, segment};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{line, table, text_at};

pub(super) async fn stream(
    command: &Stream,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    match command {
        Stream::List => {
            let body = client.get("/streamdetails").await?;
            let items = body.as_array().cloned().unwrap_or_default();
            context.printer.list(
                &body,
                &items,
                |item| text_at(item, "/name"),
                &["NAME", "TYPE", "FORMAT"],
                |item| {
                    ["/name", "/type", "/format"]
                        .map(|at| text_at(item, at))
                        .to_vec()
                },
            );
        }
        Stream::Show { name } => {
            let body = client.get(&format!("/streams/{}", segment(name))).await?;
            context.printer.one(&body, name, || pretty(&body));
        }
        Stream::Create { sql } => {
            let request = client
                .request(Method::POST, "/streams")
                .json(&json!({ "sql": sql }));
            say(&client.json(request).await?, context);
        }
        Stream::Delete { name, sure } => {
            let what = match context.lang {
                Lang::En => format!("delete the stream {name}"),
                Lang::ZhCn => format!("删除流 {name}"),
            };
            context.confirm(&what, *sure)?;
            let request = client.request(Method::DELETE, &format!("/streams/{}", segment(name)));
            say(&client.json(request).await?, context);
        }
    }
    Ok(ExitCode::Done)
}

pub(super) async fn rule(
    command: &Rule,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    match command {
        Rule::List => {
            let body = client.get("/rules").await?;
            let items = body.as_array().cloned().unwrap_or_default();
            context.printer.list(
                &body,
                &items,
                |item| text_at(item, "/id"),
                &["ID", "STATUS"],
                |item| ["/id", "/status"].map(|at| text_at(item, at)).to_vec(),
            );
        }
        Rule::Show(arguments) => {
            let body = client.get(&path(&arguments.id)).await?;
            context.printer.one(&body, &arguments.id, || pretty(&body));
        }
        Rule::Create(arguments) => {
            let body = document(arguments, context)?;
            let request = client.request(Method::POST, "/rules").json(&body);
            say(&client.json(request).await?, context);
        }
        Rule::Delete { ids, sure } => {
            let names = ids.join(", ");
            let what = match context.lang {
                Lang::En => format!("delete the rule {names}"),
                Lang::ZhCn => format!("删除规则 {names}"),
            };
            context.confirm(&what, *sure)?;
            let mut worst = ExitCode::Done;
            for id in ids {
                match client.json(client.request(Method::DELETE, &path(id))).await {
                    Ok(answer) => say(&answer, context),
                    Err(failure) => {
                        failure.print(context.terminal);
                        worst = worst.worst(failure.exit());
                    }
                }
            }
            return Ok(worst);
        }
        Rule::Start(arguments) => {
            let path = format!("{}/start", path(&arguments.id));
            say(
                &client.json(client.request(Method::POST, &path)).await?,
                context,
            );
        }
        Rule::Stop(arguments) => {
            let path = format!("{}/stop", path(&arguments.id));
            say(
                &client.json(client.request(Method::POST, &path)).await?,
                context,
            );
        }
        Rule::Status(arguments) => {
            let body = client
                .get(&format!("{}/status", path(&arguments.id)))
                .await?;
            context
                .printer
                .one(&body, &arguments.id, || status(&body, context));
        }
        Rule::Explain(arguments) => return explain(arguments, client, context).await,
        Rule::Tail { id, count } => return tail(id, *count, client, context).await,
    }
    Ok(ExitCode::Done)
}

fn path(id: &str) -> String {
    format!("/rules/{}", segment(id))
}

/// The rule to send, out of a file or the options.
fn document(arguments: &RuleCreate, context: &Context) -> Result<Json, Failure> {
    let mut rule = match &arguments.file {
        Some(file) => {
            let unreadable = |reason: String| {
                let problem = Problem::new(codes::INPUT_UNREADABLE)
                    .with("path", file.display())
                    .with("reason", reason);
                context.problem(&problem)
            };
            let text = if file.as_os_str() == "-" {
                std::io::read_to_string(std::io::stdin())
            } else {
                std::fs::read_to_string(file)
            };
            let text = text.map_err(|error| unreadable(error.to_string()))?;
            match serde_json::from_str(&text) {
                Ok(Json::Object(rule)) => rule,
                Ok(_) => return Err(unreadable("it holds no JSON object".to_owned())),
                Err(error) => return Err(unreadable(error.to_string())),
            }
        }
        None => {
            let actions: Vec<Json> = arguments
                .sinks
                .iter()
                .map(|(sink, properties)| json!({ sink.as_str(): properties }))
                .collect();
            let mut rule = Map::new();
            rule.insert("sql".to_owned(), arguments.sql.clone().into());
            rule.insert("actions".to_owned(), actions.into());
            rule
        }
    };
    rule.insert("id".to_owned(), arguments.id.clone().into());
    if !arguments.options.is_empty() {
        let options = rule.entry("options").or_insert_with(|| json!({}));
        if let Some(options) = options.as_object_mut() {
            options.extend(arguments.options.iter().cloned());
        }
    }
    if arguments.stopped {
        rule.insert("triggered".to_owned(), false.into());
    }
    Ok(rule.into())
}

/// What a rule does, or one would that is given.
async fn explain(
    arguments: &RuleExplain,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let plan = match &arguments.id {
        Some(id) => {
            client
                .get(&format!("/v1/rules/{}/explain", segment(id)))
                .await?
        }
        None => {
            // A rule has to have an id and somewhere to go; neither matters for what is asked here.
            let mut sinks = arguments.sinks.clone();
            if sinks.is_empty() {
                sinks.push(("log".to_owned(), json!({})));
            }
            let draft = RuleCreate {
                id: "draft".to_owned(),
                sql: arguments.sql.clone(),
                sinks,
                options: arguments.options.clone(),
                file: arguments.file.clone(),
                stopped: false,
            };
            let body = document(&draft, context)?;
            let request = client
                .request(Method::POST, "/v1/rules/explain")
                .json(&body);
            client.json(request).await?
        }
    };
    let id = text_at(&plan, "/id");
    context
        .printer
        .one(&plan, &id, || explanation(&plan, context));
    Ok(ExitCode::Done)
}

/// A line for each node in the order of the rows, then what is in force.
fn explanation(plan: &Json, context: &Context) -> String {
    let provider = |node: &Json| match node["provider"]["plugin"].as_str() {
        Some(plugin) => format!("{plugin} {}", text_at(node, "/provider/version")),
        None => "-".to_owned(),
    };
    let list = |at: &str| plan[at].as_array().cloned().unwrap_or_default();
    let source = &plan["source"];
    let mut rows = vec![vec![
        text_at(source, "/node"),
        text_at(source, "/type"),
        provider(source),
        brief(&source["config"]),
    ]];
    for operator in list("operators") {
        rows.push(vec![
            text_at(&operator, "/node"),
            text_at(&operator, "/kind"),
            "-".to_owned(),
            brief(&operator["window"]),
        ]);
        let functions = list("functions");
        for function in functions.iter().filter(|it| it["node"] == operator["node"]) {
            let aggregate = if function["aggregate"] == true {
                "aggregate"
            } else {
                ""
            };
            rows.push(vec![
                format!("  {}()", text_at(function, "/name")),
                "function".to_owned(),
                provider(function),
                aggregate.to_owned(),
            ]);
        }
    }
    for sink in list("sinks") {
        rows.push(vec![
            text_at(&sink, "/node"),
            text_at(&sink, "/type"),
            provider(&sink),
            brief(&sink["properties"]),
        ]);
    }
    let nodes = table(context.lang, &["NODE", "TYPE", "PLUGIN", "DETAILS"], rows);
    let options = plan["options"].as_object().into_iter().flatten();
    let options = options.map(|(name, value)| vec![name.clone(), value.to_string()]);
    let options = table(context.lang, &["OPTION", "VALUE"], options.collect());
    format!("{}\n\n{options}", nodes.trim_end())
}

/// What an object says, without what says nothing.
fn brief(object: &Json) -> String {
    let said = object
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| {
            !matches!(value, Json::Null | Json::Bool(false))
                && value.as_str() != Some("")
                && value.as_i64() != Some(0)
        });
    let said: Vec<String> = said
        .map(|(name, value)| {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            format!("{name}={value}")
        })
        .collect();
    said.join(" ")
}

/// Rows as they pass, one JSON document per line.
async fn tail(
    id: &str,
    count: Option<u64>,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    // The stream of rows begins even for a rule that does not exist; ask first, for a clear answer.
    client.get(&path(id)).await?;
    let mut events = client
        .events(&format!("/v1/rules/{}/tail", segment(id)), None)
        .await?;
    let mut left = count.unwrap_or(u64::MAX);
    while left > 0 {
        tokio::select! {
            event = events.next() => {
                let Some(event) = event else {
                    let reason = "the stream of rows ended";
                    return Err(context.problem(&Problem::new(codes::ANSWER_UNREADABLE).with("reason", reason)));
                };
                if !matches!(event.event.as_str(), "row") {
                    continue;
                }
                match serde_json::from_str::<Json>(&event.data) {
                    Ok(row) if context.printer.format == Format::Yaml => context.printer.document(&row),
                    _ => line(&event.data),
                }
                left -= 1;
            }
            Ok(()) = tokio::signal::ctrl_c() => break,
        }
    }
    Ok(ExitCode::Done)
}

/// What a route said in words: for people as it is, for programs as a JSON string.
fn say(answer: &Json, context: &Context) {
    let text = answer
        .as_str()
        .map_or_else(|| answer.to_string(), |text| text.trim_end().to_owned());
    match context.printer.format {
        Format::Table | Format::Name => line(&text),
        _ => context.printer.document(&text),
    }
}

fn pretty(body: &Json) -> String {
    serde_json::to_string_pretty(body).unwrap_or_default()
}

fn status(body: &Json, context: &Context) -> String {
    let Some(fields) = body.as_object() else {
        return pretty(body);
    };
    let rows = fields.iter().map(|(name, value)| {
        vec![
            name.clone(),
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        ]
    });
    table(context.lang, &["METRIC", "VALUE"], rows.collect())
}
