//! `cargo xtask test`: prepares what the tests need, runs everything, and closes with one line of totals.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::outcome::Totals;
use crate::postgres::Cluster;
use crate::process::{self, Group, cargo};
use crate::{docs, tidy, tools, workspace};

/// What `test` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Install nothing; what cannot run without is skipped.
    #[arg(long)]
    no_install: bool,
    /// Only the tests, without formatting, lints, tidiness and pages.
    #[arg(long)]
    only_tests: bool,
}

/// Runs everything, even after something failed.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut totals = Totals::default();
    tools::install_missing(!arguments.no_install)?;
    // Dropped, and so stopped, on every way out of here.
    let mut cluster = None;
    let mut environment = Vec::new();
    match tools::test_python() {
        Ok(python) => environment.push(("PLUGYARD_TEST_PYTHON", python.display().to_string())),
        Err(error) => eprintln!("no Python for the tests: {error:#}"),
    }
    match tools::typescript() {
        Ok(directory) => environment.push(("PLUGYARD_TEST_NODE", directory.display().to_string())),
        Err(error) => eprintln!("no TypeScript for the tests: {error:#}"),
    }
    match tools::postgres_bin() {
        Some(bin) => {
            let started = cluster.insert(Cluster::start(&bin)?);
            environment.push(("PLUGYARD_TEST_PG", started.url()));
        }
        None => eprintln!("no PostgreSQL for the tests"),
    }

    if !arguments.only_tests {
        checks(&mut totals, !arguments.no_install)?;
    }
    if has_nextest() {
        nextest(&environment, &mut totals)?;
    } else {
        let words = [
            "test",
            "--workspace",
            "--all-targets",
            "--no-fail-fast",
            "--",
            "--show-output",
        ];
        libtest("cargo test", &words, &environment, &mut totals)?;
    }
    let words = ["test", "--workspace", "--doc", "--no-fail-fast"];
    libtest("doc tests", &words, &environment, &mut totals)?;
    drop(cluster);

    for reason in &totals.reasons {
        println!("skipped: {reason}");
    }
    for (what, number) in &totals.counted {
        println!("{number} {what}");
    }
    println!("{totals}");
    if totals.failed > 0 {
        bail!("{} failed", totals.failed);
    }
    if totals.skipped > 0 && std::env::var("CI").is_ok_and(|ci| ci == "true") {
        bail!("nothing may be skipped where CI=true");
    }
    Ok(())
}

/// Everything that is checked besides the tests; each counts as one.
fn checks(totals: &mut Totals, install: bool) -> Result<()> {
    check("cargo fmt", totals, || {
        process::run(cargo().args(["fmt", "--all", "--check"]))
    })?;
    check("cargo clippy", totals, || {
        process::run(cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    check("tidy", totals, tidy::run)?;
    check("docs --check", totals, || {
        docs::run(&docs::Arguments { check: true })
    })?;
    check("cargo doc", totals, || {
        process::run(
            cargo()
                .args([
                    "doc",
                    "--workspace",
                    "--no-deps",
                    "--document-private-items",
                ])
                .env("RUSTDOCFLAGS", "-D warnings"),
        )
    })?;
    match tools::wasm(install) {
        Ok(()) => check("wasm32", totals, || {
            process::run(cargo().args([
                "check",
                "--package",
                "plugyard-validation",
                "--target",
                tools::WASM,
            ]))
        })?,
        Err(error) => totals.skip(&format!("wasm32: {error:#}")),
    }
    if has(cargo().args(["deny", "--version"])) {
        check("cargo deny", totals, || {
            // Advisories would have to be fetched; what is checked here needs nothing from outside.
            let words = ["deny", "--offline", "check", "bans", "licenses", "sources"];
            process::run(cargo().args(words))
        })?;
    }
    Ok(())
}

fn check(name: &str, totals: &mut Totals, run: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("── {name}");
    let result = run();
    process::check_interrupted()?;
    if let Err(error) = &result {
        eprintln!("error: {name}: {error:#}");
    }
    totals.check(result.is_ok());
    Ok(())
}

fn has(command: &mut Command) -> bool {
    process::capture(command).is_ok_and(|output| output.status.success())
}

fn has_nextest() -> bool {
    has(cargo().args(["nextest", "--version"]))
}

fn nextest(environment: &[(&str, String)], totals: &mut Totals) -> Result<()> {
    eprintln!("── cargo nextest");
    // Always there, wherever cargo builds: the directory is relative to the workspace.
    let report = workspace::root().join("target/nextest/default/junit.xml");
    let _ = std::fs::remove_file(&report);
    let ended = Group::start(
        cargo()
            .args([
                "nextest",
                "run",
                "--workspace",
                "--no-fail-fast",
                "--config-file",
            ])
            .arg(Path::new("xtask").join("nextest.toml"))
            .envs(environment.iter().map(|(name, value)| (name, value))),
    )?
    .wait()?;
    match std::fs::read_to_string(&report) {
        Ok(report) => {
            let failed = totals.failed;
            totals.add_junit(&report);
            // A run that failed without a failing test did not get as far as the tests.
            if !ended.success() && totals.failed == failed {
                totals.check(false);
            }
        }
        Err(_) => totals.check(false),
    }
    Ok(())
}

fn libtest(
    name: &str,
    words: &[&str],
    environment: &[(&str, String)],
    totals: &mut Totals,
) -> Result<()> {
    eprintln!("── {name}");
    let mut group = Group::start(
        cargo()
            .args(words)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped()),
    )?;
    let mut printed = String::new();
    if let Some(stdout) = group.child().stdout.take() {
        let mut out = std::io::stdout().lock();
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            writeln!(out, "{line}")?;
            printed.push_str(&line);
            printed.push('\n');
        }
    }
    let ended = group.wait()?;
    let failed = totals.failed;
    totals.add_libtest(&printed);
    if !ended.success() && totals.failed == failed {
        totals.check(false);
    }
    Ok(())
}
