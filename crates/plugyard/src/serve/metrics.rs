//! What `/metrics` tells of rules and plugins.
//!
//! Labels are the names of rules and plugins that are here, never anything from a row, and each metric has
//! at most [`MOST`] of them: what is beyond is counted together under the label `other`.

use std::collections::BTreeMap;

use plugyard_flow::FlowService;
use plugyard_portable::PortableHost;
use plugyard_server::metrics::Text;
use serde_json::{Map, Value as Json};

/// Most rules, and most plugins, that have a label of their own.
const MOST: usize = 500;
/// The label of all others.
const OTHER: &str = "other";

/// Rules, by `state`.
const RULES: &str = "plugyard_rules";
/// Messages that came to the nodes of a rule, by `rule` and `node` (`source`, `op`, `sink`).
const RECORDS_IN: &str = "plugyard_rule_records_in_total";
/// Messages that left them.
const RECORDS_OUT: &str = "plugyard_rule_records_out_total";
/// What went wrong in them: failed evaluations and deliveries, and messages dropped because a queue was full.
const EXCEPTIONS: &str = "plugyard_rule_exceptions_total";
/// Of these, messages dropped because a queue was full.
const DROPPED: &str = "plugyard_rule_records_dropped_total";
/// Messages that wait in their queues now.
const QUEUE: &str = "plugyard_rule_queue_length";
/// Exits of a plugin's processes that nobody had asked for, by `plugin`.
const RESTARTS: &str = "plugyard_plugin_restarts_total";
/// Whether a plugin's first process runs.
const RUNNING: &str = "plugyard_plugin_running";

/// The counters of one sort of node of one rule.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    records_in: u64,
    records_out: u64,
    exceptions: u64,
    dropped: u64,
    queue: u64,
}

/// Name, type and value of a metric.
type Family = (&'static str, &'static str, fn(&Counts) -> u64);

/// Of all rules.
pub(crate) fn of_rules(flow: &FlowService, text: &mut Text) {
    let rules = flow.rules();
    let mut by_state = BTreeMap::<String, u64>::new();
    let mut counts = BTreeMap::<(String, &'static str), Counts>::new();
    for (index, rule) in rules.iter().enumerate() {
        *by_state.entry(rule.status.replace(' ', "_")).or_default() += 1;
        // It may have been deleted since.
        let Ok(status) = flow.rule_status(&rule.id) else {
            continue;
        };
        let label = if index < MOST { &rule.id } else { OTHER };
        add(&status, label, &mut counts);
    }
    text.family(RULES, "gauge");
    for (state, count) in by_state {
        text.sample(RULES, &[("state", &state)], count);
    }
    let families: [Family; 5] = [
        (RECORDS_IN, "counter", |it| it.records_in),
        (RECORDS_OUT, "counter", |it| it.records_out),
        (EXCEPTIONS, "counter", |it| it.exceptions),
        (DROPPED, "counter", |it| it.dropped),
        (QUEUE, "gauge", |it| it.queue),
    ];
    for (name, sort, value) in families {
        text.family(name, sort);
        for ((rule, node), counts) in &counts {
            text.sample(name, &[("rule", rule), ("node", node)], value(counts));
        }
    }
}

/// Adds up the nodes of a status document, whose keys are `{sort}_{name}_{instance}_{metric}`.
fn add(
    status: &Map<String, Json>,
    rule: &str,
    counts: &mut BTreeMap<(String, &'static str), Counts>,
) {
    for (key, value) in status {
        let Some(node) = ["source", "op", "sink"]
            .into_iter()
            .find(|sort| key.strip_prefix(sort).is_some_and(|it| it.starts_with('_')))
        else {
            continue;
        };
        let value = value.as_u64().unwrap_or_default();
        let metric: fn(&mut Counts) -> &mut u64 = if key.ends_with("_records_in_total") {
            |it| &mut it.records_in
        } else if key.ends_with("_records_out_total") {
            |it| &mut it.records_out
        } else if key.ends_with("_exceptions_total") {
            |it| &mut it.exceptions
        } else if key.ends_with("_records_dropped_total") {
            |it| &mut it.dropped
        } else if key.ends_with("_buffer_length") {
            |it| &mut it.queue
        } else {
            continue;
        };
        let counts = counts.entry((rule.to_owned(), node)).or_default();
        *metric(counts) += value;
    }
}

/// Of all portable plugins that were here since the server started.
pub(crate) fn of_plugins(portable: &PortableHost, text: &mut Text) {
    let mut counts = BTreeMap::<String, (u64, u64)>::new();
    for (index, (plugin, status)) in portable.statuses().into_iter().enumerate() {
        let label = if index < MOST {
            plugin.to_string()
        } else {
            OTHER.to_owned()
        };
        let (restarts, running) = counts.entry(label).or_default();
        *restarts += status["restarts"].as_u64().unwrap_or_default();
        *running += u64::from(status["status"] == "running");
    }
    text.family(RESTARTS, "counter");
    for (plugin, (restarts, _)) in &counts {
        text.sample(RESTARTS, &[("plugin", plugin)], restarts);
    }
    text.family(RUNNING, "gauge");
    for (plugin, (_, running)) in &counts {
        text.sample(RUNNING, &[("plugin", plugin)], running);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_of_a_rule_are_added_up_by_their_sort() {
        let status = serde_json::json!({
            "status": "running",
            "source_demo_0_records_in_total": 3,
            "source_demo_0_records_out_total": 2,
            "source_demo_0_exceptions_total": 1,
            "source_demo_0_records_dropped_total": 1,
            "op_2_project_0_records_in_total": 2,
            "sink_log_0_0_records_in_total": 2,
            "sink_log_0_1_records_in_total": 5,
            "sink_log_0_1_buffer_length": 4,
            "sink_log_0_1_last_exception": "x",
        });
        let mut counts = BTreeMap::new();
        add(status.as_object().unwrap(), "r", &mut counts);
        let of = |node| counts[&("r".to_owned(), node)];
        assert_eq!((of("source").records_in, of("source").records_out), (3, 2));
        assert_eq!((of("source").dropped, of("op").dropped), (1, 0));
        assert_eq!(of("source").exceptions, 1);
        assert_eq!((of("sink").records_in, of("sink").queue), (7, 4));
        assert_eq!(counts.len(), 3);
    }
}
