//! Measures on so many processor cores and prints what it found as JSON. `cargo xtask bench` runs it.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its result goes to standard output, its progress to standard error"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use plugyard_benches::ours::Ours;
use plugyard_benches::plugins::Plugin;
use plugyard_benches::works::{Bench, Effort, Maker, Recorded, Row, Work};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Measures on so many processor cores.
#[derive(Parser)]
struct Arguments {
    /// Processor cores for host and plugin together.
    #[arg(long)]
    cores: usize,
    /// An interpreter with the plugin SDK.
    #[arg(long)]
    python: PathBuf,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Turns of ours and the limit.
    #[arg(long, default_value_t = 7)]
    turns: usize,
    /// Only works whose title contains this.
    #[arg(long)]
    only: Option<String>,
    /// Swaps in a row.
    #[arg(long, default_value_t = 100)]
    swaps: usize,
    /// Only the soak, for so many minutes.
    #[arg(long)]
    soak: Option<f64>,
}

fn main() -> Result<ExitCode> {
    plugyard_sandbox::shim::run_if_asked();
    if let Some(code) = plugyard_benches::spine::packages::run_if_asked() {
        return Ok(code);
    }
    let arguments = Arguments::parse();
    pin(arguments.cores)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;

    let below = tempfile::tempdir()?;
    let peer = std::env::current_exe()?.with_file_name("plugyard-bench-peer");
    let python = Plugin::python(below.path(), &arguments.python)?;
    let bare = Plugin::bare(below.path(), &peer, "bare")?;
    let ours = runtime.block_on(async {
        let ours = Ours::new(&arguments.python).await?;
        ours.install(&python).await?;
        ours.install(&bare).await?;
        anyhow::Ok(ours)
    })?;
    let effort = Effort {
        span: Duration::from_secs_f64(arguments.seconds),
        turns: arguments.turns,
    };
    let bench = Bench::new(runtime, ours, python, bare, effort, arguments.cores);
    if let Some(minutes) = arguments.soak {
        let soaked = bench.load().soak(Duration::from_secs_f64(minutes * 60.0))?;
        bench.end();
        println!("{soaked}");
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = |title: &str| {
        arguments
            .only
            .as_ref()
            .is_none_or(|only| title.contains(only))
    };

    let (mut rows, mut latencies) = (Vec::new(), Vec::new());
    for work in Work::ALL {
        for maker in [Maker::Bare, Maker::Python] {
            let title = work.title(maker);
            if wanted(&title) {
                eprintln!("{} core(s): {title}", arguments.cores);
                rows.push(bench.row(work, maker).with_context(|| title.clone())?);
                if work == Work::Call {
                    latencies.push(bench.latency(maker).with_context(|| title)?);
                }
            }
        }
    }
    if arguments.cores == 2 {
        rows.extend(recorded(&rows));
    }
    if wanted("install") {
        let plugins: Vec<Plugin> = (0..arguments.turns)
            .map(|n| Plugin::bare(below.path(), &peer, &format!("bare{n}")))
            .collect::<Result<_, _>>()?;
        rows.push(bench.install(&plugins)?);
    }
    let load = bench.load();
    if wanted("burst over HTTP") {
        eprintln!("{} core(s): burst over HTTP", arguments.cores);
        rows.push(load.burst()?);
    }
    // The rest says little on one core: the plugin and the host only wait for each other there.
    if arguments.cores > 1 && wanted("worker pool") {
        eprintln!("{} core(s): worker pool", arguments.cores);
        rows.extend(load.pools()?);
    }
    if arguments.cores > 1 && wanted("plugin killed") {
        eprintln!("{} core(s): plugin killed", arguments.cores);
        rows.push(load.killed()?);
    }
    if arguments.cores > 1 && wanted("hot swap") {
        eprintln!("{} core(s): hot swap", arguments.cores);
        rows.extend(load.swaps(below.path(), arguments.swaps)?);
    }
    if wanted("validation") && arguments.cores == 1 {
        rows.extend(plugyard_benches::validation::rows(
            effort.turns,
            effort.span,
        ));
    }
    if wanted("configuration") && arguments.cores == 1 {
        eprintln!("{} core(s): configuration", arguments.cores);
        rows.extend(bench.configurations()?);
    }
    if (wanted("URLs of usages") || wanted("listing of 1,000 usages")) && arguments.cores == 1 {
        eprintln!("{} core(s): URLs and usages", arguments.cores);
        let web = runtime_of_one_thread()?;
        rows.extend(plugyard_benches::web::rows(&web, effort)?);
    }
    if wanted("fsync") {
        rows.push(bench.durable()?);
    }
    rows.extend(bench.spine(&arguments.python, wanted));
    bench.end();
    println!(
        "{}",
        serde_json::json!({"rows": rows, "latencies": latencies})
    );
    Ok(ExitCode::SUCCESS)
}

/// A runtime for what needs no other threads.
fn runtime_of_one_thread() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().build()?)
}

/// The rules' rows against the established host, where those that they need were measured.
fn recorded(rows: &[Row]) -> Vec<Row> {
    let find = |work: Work| {
        let title = work.title(Maker::Python);
        rows.iter().find(|row| row.work == title)
    };
    let of =
        |rule, bound, recorded| Some(Bench::against_recorded(find(rule)?, find(bound)?, recorded));
    let projection = Recorded {
        rule: 19_000.0,
        bound: 36_000.0,
    };
    let function = Recorded {
        rule: 5_000.0,
        bound: 11_100.0,
    };
    [
        of(Work::Project, Work::Source, projection),
        of(Work::Function, Work::Call, function),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Keeps this process and its children on the first `cores` of the cores it may use. To be called
/// before there is a second thread.
fn pin(cores: usize) -> Result<()> {
    let allowed = sched_getaffinity(None)?;
    let mut chosen = CpuSet::new();
    let free = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    for cpu in free.take(cores) {
        chosen.set(cpu);
    }
    if (chosen.count() as usize) < cores {
        bail!("this process may not use {cores} cores");
    }
    sched_setaffinity(None, &chosen)?;
    Ok(())
}
