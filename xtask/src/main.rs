//! Every chore of the project: `cargo xtask <chore>`.
//!
//! A chore is a module with one entry point. None of them links a crate of the product: what they need
//! from it they ask the built binary, so that `tidy` and `test` start within seconds on a fresh clone.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "chores talk to a terminal"
)]

mod bench;
mod bridge;
mod conformance;
mod demo;
mod docs;
mod fuzz;
mod hostile;
mod outcome;
mod postgres;
mod process;
mod test;
mod tidy;
mod tools;
mod workspace;

use clap::{Parser, Subcommand};

/// Every chore of the project.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    max_term_width = 100
)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Show the product at work: install, rule over real data, failed upgrade, return, upgrade, rollback.
    Demo(demo::Arguments),
    /// Check everything that can be checked, and close with one line of totals.
    Test(test::Arguments),
    /// Measure against a minimal loop doing the same work; writes `target/bench.json`.
    Bench(bench::Arguments),
    /// Write the reference pages that follow from the code.
    Docs(docs::Arguments),
    /// Build the script for messages of plugin pages from its TypeScript source.
    Bridge,
    /// Feed hostile bytes to whatever reads foreign ones.
    Fuzz(fuzz::Arguments),
    /// Check the rules of the workspace that no compiler checks.
    Tidy,
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = process::watch_signals() {
        eprintln!("error: {error:#}");
        return std::process::ExitCode::FAILURE;
    }
    let done = match arguments.chore {
        Chore::Demo(arguments) => demo::run(&arguments),
        Chore::Test(arguments) => test::run(&arguments),
        Chore::Bench(arguments) => bench::run(&arguments),
        Chore::Docs(arguments) => docs::run(&arguments),
        Chore::Bridge => bridge::run(),
        Chore::Fuzz(arguments) => fuzz::run(&arguments),
        Chore::Tidy => tidy::run(),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(_) if process::interrupted().is_some() => {
            eprintln!("interrupted");
            std::process::ExitCode::from(process::interrupted().unwrap_or(130))
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
