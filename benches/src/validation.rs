//! Validations per second on one core: a field set of three and one of fifty, all values valid, beside
//! what Laravel itself was recorded with.

use std::hint::black_box;
use std::time::{Duration, Instant};

use plugyard_validation::{RuleSet, Value};

use crate::works::Row;

/// Laravel 13 on PHP 8.2 with its bytecode cache, in validations per second and core.
const RECORDED: [(usize, f64); 2] = [(3, 18_300.0), (50, 1_010.0)];

/// How much faster than Laravel ours has to be.
const TARGET: f64 = 20.0;

/// Rules and values that pass them, as configurations have them.
const FIELDS: [(&str, &str); 10] = [
    ("required|url", "https://api.example.com"),
    ("required|string|min:10", "sk-0123456789"),
    ("integer|min:1|max:300", "30"),
    ("required|email", "admin@example.com"),
    ("required|in:email,webhook,both", "both"),
    ("nullable|string|max:255", "a short description"),
    ("required|boolean", "1"),
    ("required|numeric|between:0,65535", "8080"),
    ("nullable|alpha_dash|max:64", "plugin-name_1"),
    ("nullable|string|starts_with:http", "http://localhost"),
];

/// One row for each size of a field set, ours as the median of the turns.
pub fn rows(turns: usize, span: Duration) -> Vec<Row> {
    RECORDED
        .iter()
        .map(|(count, recorded)| row(*count, *recorded, turns, span))
        .collect()
}

fn row(count: usize, recorded: f64, turns: usize, span: Duration) -> Row {
    let fields: Vec<(String, RuleSet)> = FIELDS
        .iter()
        .cycle()
        .take(count)
        .enumerate()
        .filter_map(|(at, (rules, _))| Some((format!("F{at}"), RuleSet::parse(rules).ok()?)))
        .collect();
    let data: std::collections::HashMap<String, Value> = FIELDS
        .iter()
        .cycle()
        .take(count)
        .enumerate()
        .map(|(at, (_, value))| (format!("F{at}"), Value::from(*value)))
        .collect();
    let mut rates: Vec<f64> = (0..turns.max(1))
        .map(|_| rate(&fields, &data, span))
        .collect();
    rates.sort_by(f64::total_cmp);
    let ours = rates[rates.len() / 2];
    Row {
        work: format!("validation of {count} fields, all valid"),
        cores: 1,
        unit: "validations/s",
        ours,
        limit: recorded,
        ratio: ours / recorded,
        ratios: rates.iter().map(|rate| rate / recorded).collect(),
        target: Some(TARGET),
        against: "Laravel (recorded)",
        established: None,
        ours_cpu: 0.0,
        limit_cpu: 0.0,
    }
}

/// Validations per second of all fields.
fn rate(
    fields: &[(String, RuleSet)],
    data: &std::collections::HashMap<String, Value>,
    span: Duration,
) -> f64 {
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < span {
        for _ in 0..100 {
            for (name, rules) in fields {
                black_box(rules.evaluate(name, black_box(data), &(), 0));
            }
            count += 1;
        }
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}
