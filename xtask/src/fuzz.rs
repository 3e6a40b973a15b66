//! `cargo xtask fuzz`: runs the fuzz targets for a while each, and says where a finding lies.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::process::{self, Group};
use crate::workspace;

/// Cases that were recorded from the validator whose rules are read here.
const RECORDED: &str = "crates/validation/testdata/laravel-validation.jsonl";

/// What `fuzz` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this target; all of them unless said.
    target: Option<String>,
    /// How long each target runs, in seconds after it was built.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// The same in minutes.
    #[arg(long, conflicts_with = "seconds", value_parser = clap::value_parser!(u32).range(1..=10_080))]
    minutes: Option<u32>,
    /// Say the names of the targets and end.
    #[arg(long)]
    list: bool,
}

/// Runs every target, also after a finding; fails when there was one.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let all = targets()?;
    if arguments.list {
        for target in &all {
            println!("{target}");
        }
        return Ok(());
    }
    let chosen = match &arguments.target {
        None => all,
        Some(target) if all.contains(target) => vec![target.clone()],
        Some(target) => bail!(
            "there is no fuzz target `{target}`; there are: {}",
            all.join(", ")
        ),
    };
    install()?;
    let engine = Engine::find()?;
    let seconds = arguments
        .minutes
        .map_or(arguments.seconds, |minutes| minutes * 60);
    let mut findings = Vec::new();
    for target in &chosen {
        match engine.run(target, seconds)? {
            None => println!("{target}: nothing found"),
            Some(reproducer) => {
                println!("{target}: found {}", reproducer.display());
                findings.push(reproducer.display().to_string());
            }
        }
    }
    if !findings.is_empty() {
        bail!("{} finding(s): {}", findings.len(), findings.join(", "));
    }
    Ok(())
}

/// Every target by its file.
fn targets() -> Result<Vec<String>> {
    let folder = workspace::root().join("fuzz/fuzz_targets");
    let entries =
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// `cargo fuzz`, installed when it is not there.
fn install() -> Result<()> {
    let there = process::capture(process::cargo().args(["fuzz", "--version"]))?;
    if there.status.success() {
        return Ok(());
    }
    eprintln!("`cargo fuzz` is not here; installing it: cargo install cargo-fuzz --locked");
    process::run(process::cargo().args(["install", "cargo-fuzz", "--locked"]))
}

/// How programs are fuzzed on this machine.
struct Engine {
    nightly: bool,
    target: PathBuf,
}

impl Engine {
    /// With the address sanitizer where a nightly compiler is; otherwise with the stable compiler's own checks.
    fn find() -> Result<Self> {
        let nightly = process::capture(process::command("rustc").args(["+nightly", "--version"]))
            .is_ok_and(|output| output.status.success());
        if !nightly {
            eprintln!("no nightly compiler: fuzzing with the stable one, without a sanitizer");
        }
        Ok(Self {
            nightly,
            target: workspace::target()?.join("fuzz"),
        })
    }

    /// Runs one target; gives the input that it failed for.
    fn run(&self, target: &str, seconds: u32) -> Result<Option<PathBuf>> {
        let corpus = self.target.join("corpus").join(target);
        let artifacts = self.target.join("artifacts").join(target);
        for directory in [&corpus, &artifacts] {
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot create {}", directory.display()))?;
        }
        seed(target, &corpus)?;
        eprintln!("── fuzz {target}, {seconds} s");
        let mut cargo = process::command("cargo");
        cargo.current_dir(workspace::root());
        // What runs this chore must not decide what the fuzz targets are compiled with.
        for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN"] {
            cargo.env_remove(name);
        }
        if self.nightly {
            cargo.args(["+nightly", "fuzz", "run"]);
            // SQLite's one file defines a name of its own twice, which is no harm.
            cargo.env("ASAN_OPTIONS", "detect_odr_violation=0");
        } else {
            cargo.args(["fuzz", "run", "--sanitizer", "none"]);
            cargo.env("RUSTC_BOOTSTRAP", "1");
        }
        cargo.arg("--target-dir").arg(self.target.join("build"));
        cargo.arg(target).arg(&corpus).arg("--");
        cargo.arg(format!("-max_total_time={seconds}"));
        cargo
            .arg("-timeout=20")
            .arg("-rss_limit_mb=4096")
            .arg("-max_len=65536")
            .arg("-print_final_stats=1");
        cargo.arg(format!("-artifact_prefix={}/", artifacts.display()));
        let mut group = Group::start(cargo.stderr(Stdio::piped()))?;
        let mut reproducer = None;
        if let Some(stderr) = group.child().stderr.take() {
            for line in BufReader::new(stderr).split(b'\n') {
                let line = line.context("cannot read what the fuzzer says")?;
                let line = String::from_utf8_lossy(&line);
                eprintln!("{line}");
                reproducer = reproducer.or_else(|| written(&line));
            }
        }
        let ended = group.wait()?;
        match reproducer {
            Some(path) => Ok(Some(path)),
            None if ended.success() => Ok(None),
            None => bail!("fuzz target `{target}` did not run: it ended with {ended}"),
        }
    }
}

/// Recorded cases to begin with: from nothing, a fuzzer is long in finding the names of rules.
fn seed(target: &str, corpus: &Path) -> Result<()> {
    if !["rules", "evaluate"].contains(&target) {
        return Ok(());
    }
    let recorded = workspace::root().join(RECORDED);
    let recorded = fs::read_to_string(&recorded)
        .with_context(|| format!("cannot read {}", recorded.display()))?;
    for (number, line) in recorded.lines().enumerate() {
        if let Some(input) = input(target, line) {
            let path = corpus.join(format!("recorded-{number}"));
            fs::write(&path, input).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

/// A recorded case in the form that a target takes.
fn input(target: &str, line: &str) -> Option<String> {
    let case: serde_json::Value = serde_json::from_str(line).ok()?;
    let value = case.get("value")?;
    if target == "evaluate" {
        return Some(value.to_string());
    }
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    Some(format!("{}\u{1}{text}", case["rules"].as_str()?))
}

/// The file of a finding, out of a line of the fuzzer's.
fn written(line: &str) -> Option<PathBuf> {
    let (_, path) = line.split_once("Test unit written to ")?;
    Some(Path::new(path.trim()).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_known_by_its_file() {
        let line = "artifact_prefix='/a/'; Test unit written to /a/crash-0123";
        assert_eq!(written(line), Some(PathBuf::from("/a/crash-0123")));
        assert_eq!(written("#2 INITED cov: 12 ft: 13"), None);
    }

    #[test]
    fn recorded_cases_are_inputs_of_rules_and_of_values() {
        let line = r#"{"rules":"in:a,b","value":"a"}"#;
        assert_eq!(input("rules", line).as_deref(), Some("in:a,b\u{1}a"));
        assert_eq!(input("evaluate", line).as_deref(), Some("\"a\""));
        assert_eq!(input("rules", r#"{"rules":"required"}"#), None);
        assert!(workspace::root().join(RECORDED).is_file());
    }

    #[test]
    fn every_target_is_listed_and_built() {
        let manifest =
            fs::read_to_string(workspace::root().join("fuzz/Cargo.toml")).expect("it is there");
        let names = targets().expect("targets");
        assert!(names.contains(&"sp_frame".to_owned()));
        for name in names {
            assert!(
                manifest.contains(&format!("name = \"{name}\"")),
                "{name} is not built"
            );
        }
    }
}
