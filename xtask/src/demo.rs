//! `cargo xtask demo`: the product at work, on this machine's live counters.
//!
//! The tour runs the built binary and nothing else, and waits for conditions, never for time. Each
//! sentence it prints comes from an answer it got; an answer other than expected ends the tour with an
//! error. At its end the rows that reached the sink are counted: one missing or doubled row fails it.

mod rows;
mod stage;

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{docs, process, tools, workspace};
use rows::Rows;
use stage::Stage;

/// What `demo` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// End after the tour instead of leaving the server running.
    #[arg(long)]
    exit: bool,
    /// Break the good upgrade too: the tour must notice and fail.
    #[arg(long)]
    break_good: bool,
    /// Take this binary instead of building one.
    #[arg(long, hide = true)]
    binary: Option<PathBuf>,
}

/// The rule of the tour.
const RULE: &str = "load";
/// The plugin of the tour.
const PLUGIN: &str = "portable:machine";
/// How many rows must have come in before and after each change.
const ROWS: u64 = 20;

/// Exit code of a change that failed and after which the previous version runs.
const PREVIOUS_RUNS: i32 = 9;

/// Runs the tour.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // Unoptimised: a newcomer waits half as long for it, `cargo xtask test` uses the same build, and
    // nothing here is about speed.
    let plugyard = match &arguments.binary {
        Some(binary) => binary.clone(),
        None => {
            say("Building plugyard");
            docs::build_plugyard(false)?
        }
    };
    let python = tools::python()?;
    let directory = workspace::target()?.join("demo");
    let mut stage = Stage::set(&plugyard, &python, &directory)?;

    say(
        "Packing three versions of examples/portable/machine: a good one, a broken one, a better one",
    );
    let first = stage.pack("1.0.0", true)?;
    let broken = stage.pack("1.1.0", false)?;
    let better = stage.pack("1.2.0", !arguments.break_good)?;
    for package in [&first, &broken, &better] {
        stage.show(&["check", package])?;
    }

    say("Starting a server on a fresh home directory, with nothing but files");
    stage.serve()?;
    println!("  it answers at {}", stage.address());

    say("Installing the plugin");
    stage.show(&["install", &first])?;
    stage.expect_version("1.0.0")?;

    say("A stream over the plugin's source, and a rule that uses its function and writes a file");
    stage.show(&[
        "stream",
        "create",
        "CREATE STREAM counters () WITH (TYPE=\"counters\", FORMAT=\"json\")",
    ])?;
    stage.show(&[
        "rule",
        "create",
        RULE,
        "--sql",
        "SELECT n, tstamp() AS at, load1, percent(mem_used, mem_total) AS memory_percent, net_received, net_sent FROM counters",
        "--sink",
        "file={\"path\":\"load.jsonl\"}",
    ])?;

    say("Rows of this machine, as they pass");
    stage.show(&["rule", "tail", RULE, "--count", "5"])?;
    wait_for_more(&stage)?;

    say("Upgrading to a version that imports a module nobody has");
    let code = stage.show_ending(&["upgrade", PLUGIN, &broken])?;
    ensure!(
        code == PREVIOUS_RUNS,
        "the broken upgrade ended with {code} instead of {PREVIOUS_RUNS} (failed, previous version runs)"
    );
    stage.expect_version("1.0.0")?;
    wait_for_more(&stage)?;

    say("Upgrading to the better version");
    stage.show(&["upgrade", PLUGIN, &better])?;
    stage.expect_version("1.2.0")?;
    wait_for_more(&stage)?;

    say("Rolling back");
    stage.show(&["rollback", PLUGIN])?;
    stage.expect_version("1.0.0")?;
    wait_for_more(&stage)?;

    say("What the sink's file holds after all this");
    stage.show(&["rule", "stop", RULE])?;
    let rows = Rows::read(&stage.rows_file())?;
    println!("  {rows}");
    ensure!(rows.whole(), "rows are missing or doubled: {rows}");

    say("Summary");
    stage.show(&["list"])?;
    stage.show(&["operation", "list"])?;
    println!("  every row of the source is in the file once, over three changes of its plugin");
    println!("  API documentation: {}/docs", stage.address());

    if !arguments.exit {
        stage.show(&["rule", "start", RULE])?;
        println!("\nThe server stays up until Ctrl-C. In another terminal:\n");
        println!("    export PLUGYARD_HOME={}", stage.home().display());
        println!("    {} show machine", stage.plugyard().display());
        while process::interrupted().is_none() {
            stage.check_alive()?;
            thread::sleep(Duration::from_millis(100));
        }
        stage.end()?;
        println!("\nThe server has ended.");
        return Ok(());
    }
    stage.end().context("the server did not end well")
}

/// Waits until the rule's sink has taken more rows than now.
fn wait_for_more(stage: &Stage) -> Result<()> {
    let before = Rows::read(&stage.rows_file())?.count();
    let now = process::wait_for(
        "more rows in the sink's file",
        Duration::from_mins(1),
        || {
            let count = Rows::read(&stage.rows_file())?.count();
            Ok((count >= before + ROWS).then_some(count))
        },
    )?;
    println!("  the file went from {before} to {now} rows");
    Ok(())
}

fn say(what: &str) {
    println!("\n── {what}");
}
