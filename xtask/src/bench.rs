//! `cargo xtask bench`: runs the benches on one and on two cores, prints a table, and keeps the figures.
//!
//! A figure says nothing by itself: each row is the ratio of ours to a minimal loop that does the same
//! work in the same run. Nothing here decides a test.

use std::fs;
use std::process::Stdio;

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};

use crate::{process, tools, workspace};

/// How far apart the turns' ratios may be.
const UNSTEADY: f64 = 2.0;

/// What `bench` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only works whose title contains this.
    #[arg(long)]
    only: Option<String>,
    /// Short spans and few turns: to see that it works, not to compare.
    #[arg(long, conflicts_with_all = ["seconds", "turns"])]
    quick: bool,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Turns of ours and the limit.
    #[arg(long, default_value_t = 7)]
    turns: usize,
    /// Only this, for so many minutes: a rule under load whose plugin is killed every 10 s.
    #[arg(long, value_name = "MINUTES", conflicts_with_all = ["only", "quick"])]
    soak: Option<f64>,
}

/// Runs them and writes `target/bench.json`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let python = tools::python()?;
    process::run(process::cargo().args(["build", "--release"]).args([
        "--package",
        "plugyard-benches",
        "--package",
        "plugyard",
    ]))?;
    let target = workspace::target()?;
    let program = target.join("release/plugyard-bench");
    if let Some(minutes) = arguments.soak {
        let mut soak = process::command(program);
        soak.args(["--cores", "2", "--soak", &minutes.to_string()])
            .arg("--python")
            .arg(&python)
            .stderr(Stdio::inherit());
        println!("{}", process::read_shown(&mut soak)?);
        return Ok(());
    }
    let (turns, seconds, swaps) = if arguments.quick {
        (3, 0.3, "10")
    } else {
        (arguments.turns, arguments.seconds, "100")
    };
    let (mut rows, mut latencies) = (Vec::new(), Vec::new());
    // Across cores a wake-up costs more than the work: both are worth knowing. A pool of processes wants
    // as many cores as there are, besides.
    let only = arguments.only.as_deref();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut passes = vec![(2, only), (1, only)];
    let pool = "worker pool";
    if cores > 2 && only.is_none_or(|only| pool.contains(only)) {
        passes.push((cores.min(8), Some(pool)));
    }
    for (cores, only) in passes {
        let mut bench = process::command(&program);
        bench
            .args(["--cores", &cores.to_string(), "--turns", &turns.to_string()])
            .args(["--seconds", &seconds.to_string(), "--swaps", swaps])
            .arg("--python")
            .arg(&python)
            .stderr(Stdio::inherit());
        if let Some(only) = only {
            bench.args(["--only", only]);
        }
        let printed = process::read_shown(&mut bench)?;
        let mut found: Json = serde_json::from_str(&printed).context("cannot read the figures")?;
        for (name, into) in [("rows", &mut rows), ("latencies", &mut latencies)] {
            if let Json::Array(items) = found[name].take() {
                into.extend(items);
            }
        }
    }
    println!("{}", table(&rows));
    if !latencies.is_empty() {
        println!("\n{}", latency_table(&latencies));
    }
    let path = target.join("bench.json");
    let figures = json!({ "rows": rows, "latencies": latencies });
    fs::write(&path, serde_json::to_string_pretty(&figures)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("\nwritten to {}", path.display());
    Ok(())
}

fn table(rows: &[Json]) -> String {
    let mut lines = vec![
        "| work | cores | unit | ours | limit or peer | ratio | turns | target | reached | established, recorded | µs CPU ours | µs CPU limit | against |".to_owned(),
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    for row in rows {
        let number = |name: &str| row[name].as_f64();
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        // Of times and memory the ratio is what ours takes more: less is better.
        let less = matches!(text("unit"), "ms" | "MiB");
        let reached = number("ratio")
            .zip(number("target"))
            .map(|(ratio, target)| {
                if less {
                    ratio <= target
                } else {
                    ratio >= target
                }
            });
        lines.push(format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            text("work"),
            row["cores"],
            text("unit"),
            figure(number("ours")),
            figure(number("limit")),
            figure(number("ratio")),
            spread(row),
            figure(number("target")),
            reached.map_or("", |reached| if reached { "yes" } else { "NO" }),
            figure(number("established")),
            figure(number("ours_cpu").filter(|cpu| *cpu > 0.0)),
            figure(number("limit_cpu").filter(|cpu| *cpu > 0.0)),
            text("against"),
        ));
    }
    lines.join("\n")
}

fn latency_table(rows: &[Json]) -> String {
    let mut lines = vec![
        "| latency of | cores | per second | ours p50 µs | ours p99 µs | limit p50 µs | limit p99 µs |"
            .to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    for row in rows {
        let number = |name: &str| figure(row[name].as_f64());
        lines.push(format!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            row["work"].as_str().unwrap_or_default(),
            row["cores"],
            row["rate"],
            number("ours_p50"),
            number("ours_p99"),
            number("limit_p50"),
            number("limit_p99"),
        ));
    }
    lines.join("\n")
}

/// The least and the most of the turns' ratios, and a word where they are so far apart that the ratio
/// says little, as on a disk that swings.
fn spread(row: &Json) -> String {
    let turns = row["ratios"].as_array().into_iter().flatten();
    let mut turns: Vec<f64> = turns.filter_map(Json::as_f64).collect();
    turns.sort_by(f64::total_cmp);
    let (Some(&least), Some(&most)) = (turns.first(), turns.last()) else {
        return String::new();
    };
    let unsteady = if most > UNSTEADY * least {
        ", unsteady"
    } else {
        ""
    };
    format!("{}–{}{unsteady}", figure(Some(least)), figure(Some(most)))
}

/// Three digits that matter.
fn figure(number: Option<f64>) -> String {
    match number {
        None => String::new(),
        Some(number) if number.abs() >= 100.0 => format!("{number:.0}"),
        Some(number) => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_to_stay_below_their_target_and_rates_above() {
        let row = |unit: &str, ratio: f64| json!({"work": "w", "cores": 1, "unit": unit, "ours": 1.0, "limit": 1.0, "ratio": ratio, "target": 0.9});
        assert!(table(&[row("messages/s", 0.95)]).contains("| yes |"));
        assert!(table(&[row("messages/s", 0.85)]).contains("| NO |"));
        assert!(table(&[row("ms", 0.85)]).contains("| yes |"));
        assert!(table(&[row("ms", 1.5)]).contains("| NO |"));
    }

    #[test]
    fn turns_far_apart_are_called_unsteady() {
        let said = |ratios: &[f64]| spread(&json!({ "ratios": ratios }));
        assert_eq!(said(&[0.9, 0.8, 1.0]), "0.80–1.00");
        assert_eq!(said(&[7.5, 0.5]), "0.50–7.50, unsteady");
        assert_eq!(said(&[]), "");
    }
}
