//! What a rule will do, as a document: where its rows come from, through which nodes they go, which plugins have a
//! part in it, and what holds where nothing was said.
//!
//! It is made from a plan, which the rule runs by as well. What a source's own configuration holds is left out:
//! there may be secrets in it, and only the key that chooses it is the rule's.

use std::time::Duration;

use plugyard_symbol::{Catalog, SymbolKind};
use serde_json::{Map, Value as Json, json};

use crate::operators::Work;
use crate::plan::{self, Plan, Program};
use crate::rule::{Format, RuleOptions, SinkOptions};
use crate::sql::window::{Unit, Window};

/// The document of a rule that could run like that.
pub(crate) fn document(plan: &Plan, program: &Program, catalog: &dyn Catalog) -> Json {
    let rule = &plan.rule;
    json!({
        "id": rule.id,
        "sql": (!rule.sql.is_empty()).then_some(&rule.sql),
        "source": source(plan, program, catalog),
        "operators": operators(plan),
        "functions": functions(plan, program, catalog),
        "sinks": sinks(plan, catalog),
        "options": options(&rule.options),
        "topology": plan::topology(rule, program),
    })
}

/// The same in eKuiper's form, the last node first, each with those that lead to it behind and further in.
pub(crate) fn text(plan: &Plan) -> String {
    let mut nodes: Vec<(&str, String)> = match &plan.operators {
        Some(operators) => operators
            .list
            .iter()
            .map(|operator| (plan_word(&operator.work), described(&operator.work)))
            .collect(),
        None => plan
            .operator_names()
            .iter()
            .map(|name| match name.split_once('_') {
                Some((_, "filter")) => ("FilterPlan", String::new()),
                _ => ("ProjectPlan", String::new()),
            })
            .collect(),
    };
    nodes.insert(0, ("DataSourcePlan", stream_info(plan)));
    nodes.reverse();
    let lines: Vec<String> = nodes
        .iter()
        .enumerate()
        .map(|(depth, (word, info))| {
            let tabs = "\t".repeat((2 * depth).saturating_sub(1));
            let op = Json::from(format!("{word}_{depth}"));
            format!(
                "{tabs}{{\"op\":{op},\"info\":{}}}",
                Json::from(info.as_str())
            )
        })
        .collect();
    lines.join("\n")
}

fn stream_info(plan: &Plan) -> String {
    let mut columns: Vec<&str> = plan
        .stream
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    columns.sort_unstable();
    let name = &plan.stream.name;
    if columns.is_empty() {
        format!("StreamName: {name}")
    } else {
        format!(
            "StreamName: {name}, StreamFields:[ {} ]",
            columns.join(", ")
        )
    }
}

/// Who has a symbol.
fn provider(catalog: &dyn Catalog, kind: SymbolKind, name: &str) -> Json {
    match catalog.provider(kind, name) {
        Some(provider) => json!({ "plugin": provider.plugin, "version": provider.version }),
        None => json!({ "builtin": true }),
    }
}

fn source(plan: &Plan, program: &Program, catalog: &dyn Catalog) -> Json {
    let options = &plan.stream.options;
    let symbol = plan.stream.source_type();
    json!({
        "node": format!("source_{}", plan.source_name),
        "stream": program.stream(),
        "type": symbol,
        "provider": provider(catalog, SymbolKind::Source, symbol),
        "shared": options.shared,
        "waits": plan.source.can_wait(),
        "datasource": options.datasource,
        "confKey": (!options.conf_key.is_empty()).then_some(&options.conf_key),
        "config": plan.stream.source_config(),
        "columns": plan.stream.schema(),
    })
}

fn operators(plan: &Plan) -> Json {
    let Some(operators) = &plan.operators else {
        let named = plan.operator_names().into_iter().map(|name| {
            let kind = name.split_once('_').map_or(name, |(_, kind)| kind);
            json!({ "node": format!("op_{name}"), "kind": kind })
        });
        return named.collect();
    };
    let list = operators.list.iter().map(|operator| {
        let mut node = Map::new();
        node.insert("node".to_owned(), format!("op_{}", operator.name).into());
        node.insert("kind".to_owned(), word(&operator.work).into());
        match &operator.work {
            Work::Window { window, .. } => {
                node.insert("window".to_owned(), window_document(window));
            }
            Work::Project {
                together, limit, ..
            } => {
                node.insert("together".to_owned(), (*together).into());
                if let Some(limit) = limit {
                    node.insert("limit".to_owned(), (*limit).into());
                }
            }
            _ => {}
        }
        Json::Object(node)
    });
    list.collect()
}

fn functions(plan: &Plan, program: &Program, catalog: &dyn Catalog) -> Json {
    let calls = program.calls().iter().zip(&plan.calls);
    calls
        .map(|(call, bound)| {
            json!({
                "name": call.name,
                "node": format!("op_{}", bound.operator),
                "index": call.func_id,
                "arguments": call.arguments,
                "aggregate": bound.aggregate,
                "provider": provider(catalog, SymbolKind::Function, &call.name),
            })
        })
        .collect()
}

fn sinks(plan: &Plan, catalog: &dyn Catalog) -> Json {
    let sinks = plan.sinks.iter().zip(&plan.rule.actions);
    sinks
        .map(|(sink, action)| {
            let stages = sink.options.stages();
            let nodes: Vec<String> = stages
                .map(|(index, stage)| format!("op_{}_{index}_{stage}", sink.op_id))
                .chain([format!("sink_{}", sink.op_id)])
                .collect();
            let mut properties = effective(&sink.options);
            // As they stand in the rule; what the rule itself acts on with what is made of it.
            for (name, value) in &sink.properties {
                properties
                    .entry(name.clone())
                    .or_insert_with(|| value.clone());
            }
            json!({
                "node": format!("sink_{}", sink.op_id),
                "nodes": nodes,
                "type": action.sink,
                "provider": provider(catalog, SymbolKind::Sink, &action.sink),
                "properties": properties,
            })
        })
        .collect()
}

/// What the rule does before a sink, with what holds where nothing was said.
fn effective(options: &SinkOptions) -> Map<String, Json> {
    let format = match &options.format {
        Format::Json => "json",
        Format::Delimited { .. } => "delimited",
    };
    let mut all = Map::new();
    let mut put = |name: &str, value: Json| all.insert(name.to_owned(), value);
    put("sendSingle", options.send_single.into());
    put("omitIfEmpty", options.omit_if_empty.into());
    put("format", format.into());
    put("bufferLength", options.buffer_length.into());
    put("concurrency", options.concurrency.into());
    put("batchSize", options.batch_size.into());
    put("lingerInterval", millis(options.linger));
    put("enableCache", options.cache.is_some().into());
    if let Some(cache) = &options.cache {
        put("memoryCacheThreshold", cache.memory.into());
        put("maxDiskCache", cache.disk.into());
        put("bufferPageSize", cache.page.into());
        put("resendInterval", millis(cache.resend));
        put("cleanCacheAtStop", cache.clean_at_stop.into());
        put("resendAlterQueue", cache.apart.is_some().into());
    }
    all
}

fn options(options: &RuleOptions) -> Json {
    let restart = &options.restart;
    json!({
        "bufferLength": options.buffer_length,
        "disableBufferFullDiscard": options.block_when_full,
        "concurrency": options.concurrency,
        "ordered": options.ordered,
        "sendMetaToSink": options.send_meta,
        "sendNilField": options.send_nil,
        "sendError": options.send_error,
        "isEventTime": options.event_time,
        "lateTolerance": millis(options.late_tolerance),
        "qos": options.qos,
        "checkpointInterval": millis(options.checkpoint_interval),
        "enableSaveStateBeforeStop": options.save_at_stop,
        "restartStrategy": {
            "attempts": restart.attempts,
            "delay": millis(restart.delay),
            "multiplier": restart.multiplier,
            "maxDelay": millis(restart.max_delay),
            "jitterFactor": restart.jitter_factor,
        },
        "scheduled": options.schedule.is_some(),
        "debug": options.log.as_ref().is_some_and(|log| log.debug),
    })
}

fn millis(duration: Duration) -> Json {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .into()
}

/// What an operator is called here: as in the names of the nodes of a statement.
const fn word(work: &Work) -> &'static str {
    match work {
        Work::Filter(_) => "filter",
        Work::Having(_) => "having",
        Work::Watermark => "watermark",
        Work::Window { .. } => "window",
        Work::Group(_) => "aggregate",
        Work::Column { .. } => "function",
        Work::Aggregate { .. } => "aggfunc",
        Work::Order(_) => "order",
        Work::Project { .. } => "project",
        Work::Switch { .. } => "switch",
    }
}

/// What eKuiper calls its plan.
const fn plan_word(work: &Work) -> &'static str {
    match work {
        Work::Filter(_) => "FilterPlan",
        Work::Having(_) => "HavingPlan",
        Work::Watermark => "WatermarkPlan",
        Work::Window { .. } => "WindowPlan",
        Work::Group(_) => "AggregatePlan",
        Work::Order(_) => "OrderPlan",
        Work::Switch { .. } => "SwitchPlan",
        Work::Column { .. } | Work::Aggregate { .. } | Work::Project { .. } => "ProjectPlan",
    }
}

fn described(work: &Work) -> String {
    let Work::Window { window, .. } = work else {
        return String::new();
    };
    let numbers = match window {
        Window::Hopping { length, hop, .. } => format!("length:{length}, interval:{hop}, "),
        Window::Tumbling { length, .. }
        | Window::Sliding {
            length, delay: 0, ..
        } => format!("length:{length}, "),
        Window::Sliding { length, delay, .. } => format!("length:{length}, delay:{delay}, "),
        Window::Session {
            length, timeout, ..
        } => format!("length:{length}, interval:{timeout}, "),
        Window::Count { length, interval } if interval == length => {
            format!("length:{length}, ")
        }
        Window::Count { length, interval } => format!("length:{length}, interval:{interval}, "),
        Window::State { .. } => String::new(),
    };
    format!(
        "{{ {numbers}windowType:{}_WINDOW, limit: 0 }}",
        kind(window).to_uppercase()
    )
}

const fn kind(window: &Window) -> &'static str {
    match window {
        Window::Tumbling { .. } => "tumbling",
        Window::Hopping { .. } => "hopping",
        Window::Sliding { .. } => "sliding",
        Window::Session { .. } => "session",
        Window::Count { .. } => "count",
        Window::State { .. } => "state",
    }
}

fn window_document(window: &Window) -> Json {
    let time = |unit: &Unit, number: i64| Json::from(number.saturating_mul(unit.milliseconds()));
    let mut document = Map::new();
    let mut put = |name: &str, value: Json| document.insert(name.to_owned(), value);
    put("type", kind(window).into());
    match window {
        Window::Tumbling { unit, length } => {
            put("lengthMs", time(unit, *length));
        }
        Window::Hopping { unit, length, hop } => {
            put("lengthMs", time(unit, *length));
            put("hopMs", time(unit, *hop));
        }
        Window::Sliding {
            unit,
            length,
            delay,
        } => {
            put("lengthMs", time(unit, *length));
            put("delayMs", time(unit, *delay));
        }
        Window::Session {
            unit,
            length,
            timeout,
        } => {
            put("lengthMs", time(unit, *length));
            put("timeoutMs", time(unit, *timeout));
        }
        Window::Count { length, interval } => {
            put("rows", (*length).into());
            put("every", (*interval).into());
        }
        Window::State { single } => {
            put("single", (*single).into());
        }
    }
    Json::Object(document)
}
