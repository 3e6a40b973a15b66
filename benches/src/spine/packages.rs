//! Looking at packages: a large sound one, and bombs.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use plugyard_archive::build::{Archive, File};
use plugyard_archive::{PackageReader as _, Policy, Zip};
use serde::{Deserialize, Serialize};

use super::{compared, milliseconds};
use crate::works::{Effort, Row};

/// The rows of [`inspection`].
pub const INSPECTION: &str = "zip inspection";
/// The rows of [`rejection`].
pub const REJECTION: &str = "zip bomb";

/// The most that the policy takes.
const ENTRIES: usize = 10_000;
/// How often the time of another program at most.
const INSPECTION_TARGET: f64 = 2.0;
/// In ms.
const REJECTION_TIME: f64 = 50.0;
/// In MiB.
const REJECTION_MEMORY: f64 = 16.0;
/// The first argument of a process that only inspects.
const ASKED: &str = "inspect-only";

/// What a process that only inspects tells.
#[derive(Debug, Serialize, Deserialize)]
struct Inspected {
    refused: bool,
    /// Of the inspection.
    milliseconds: f64,
    /// How much the most memory that was ever resident is above what was before.
    grown_mib: f64,
}

/// Inspects one package and tells how it went, where this process was started to do only that.
/// To be called first: memory that was used before would hide what the inspection takes.
#[must_use]
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ASKED {
        return None;
    }
    let told = arguments
        .next()
        .context("no package named")
        .and_then(|path| Ok(serde_json::to_string(&inspect(Path::new(&path))?)?));
    let (text, code) = match told {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(error) => (format!("{error:#}"), ExitCode::FAILURE),
    };
    let written = writeln!(std::io::stdout(), "{text}");
    Some(if written.is_ok() {
        code
    } else {
        ExitCode::FAILURE
    })
}

/// A valid package of as many entries as are taken: headers, names, bounds and checksums of all, against
/// a program that checks the same checksums.
///
/// # Errors
/// When the program is not there, or either side does not take the package.
#[expect(
    clippy::disallowed_methods,
    reason = "a program to compare with, which is no plugin"
)]
pub fn inspection(effort: Effort, cores: usize) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("large.zip");
    let entries = (0..ENTRIES).map(|n| {
        let name = format!("directory{}/file{n}.json", n % 100);
        let line = format!("{{\"number\": {n}, \"text\": \"{:x}\"}}\n", n * n * 7_919);
        File::new(name, line.repeat(4096 / line.len()))
    });
    let archive = Archive {
        entries: entries.collect(),
        ..Archive::new()
    };
    fs::write(&path, archive.build())?;
    let unzip = || {
        let began = Instant::now();
        let status = Command::new("unzip")
            .arg("-tqq")
            .arg(&path)
            .stdout(Stdio::null())
            .status()
            .context("cannot run `unzip`")?;
        ensure!(status.success(), "`unzip -t` says {status}");
        anyhow::Ok(milliseconds(began.elapsed()))
    };
    let ours = || {
        let began = Instant::now();
        let zip = Zip::open_path(&path, &Policy::default())?;
        let time = milliseconds(began.elapsed());
        ensure!(
            zip.findings().is_empty(),
            "the package is refused: {:?}",
            zip.findings()
        );
        anyhow::Ok(time)
    };
    // Once, so that the file is in memory for both.
    ours()?;
    unzip()?;
    let turns: Vec<_> = (0..effort.turns.max(1))
        .map(|_| Ok((ours()?, unzip()?)))
        .collect::<Result<_>>()?;
    let work = format!("{INSPECTION}, {ENTRIES} entries of 4 KiB, headers and sums");
    let against = "`unzip -tqq` of the same file, its start included";
    Ok(vec![compared(
        work,
        cores,
        "ms",
        &turns,
        Some(INSPECTION_TARGET),
        against,
    )])
}

/// Bombs, each inspected by a process of its own: how long until it is refused, and how much memory that
/// takes at most.
///
/// # Errors
/// When a bomb cannot be made, or is not refused.
pub fn rejection(effort: Effort, cores: usize) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let mut rows = Vec::new();
    for (sort, archive) in bombs() {
        let path = directory.path().join("bomb.zip");
        fs::write(&path, archive.build())?;
        drop(archive);
        let told: Vec<_> = (0..effort.turns.max(1))
            .map(|_| ask(&path))
            .collect::<Result<_>>()
            .with_context(|| sort)?;
        let times: Vec<_> = told
            .iter()
            .map(|it| (it.milliseconds, REJECTION_TIME))
            .collect();
        let work = format!("{REJECTION} refused, {sort}: time");
        rows.push(compared(
            work,
            cores,
            "ms",
            &times,
            Some(1.0),
            "the bound of 50 ms",
        ));
        let memory: Vec<_> = told
            .iter()
            .map(|it| (it.grown_mib, REJECTION_MEMORY))
            .collect();
        let work = format!("{REJECTION} refused, {sort}: memory grown");
        rows.push(compared(
            work,
            cores,
            "MiB",
            &memory,
            Some(1.0),
            "the bound of 16 MiB",
        ));
    }
    Ok(rows)
}

/// One that unpacks to a thousand times its size, one that hides that, and one whose entries are all the
/// same bytes.
fn bombs() -> Vec<(&'static str, Archive)> {
    let zeros = || File::new("zeros", vec![0; 250 << 20]);
    let hidden = zeros().with(|file| file.size = Some(4096));
    let kernel = vec![0; 64 << 10];
    let overlapping = (0..1000).map(|n| {
        File::new(format!("entry{n:04}"), kernel.clone()).with(|file| {
            if n > 0 {
                file.offset = Some(0);
            }
        })
    });
    let overlapping = Archive {
        entries: overlapping.collect(),
        ..Archive::new()
    };
    vec![
        ("250 MiB of zeros", Archive::new().entry(zeros())),
        ("250 MiB said to be 4 KiB", Archive::new().entry(hidden)),
        ("1,000 entries over one another", overlapping),
    ]
}

/// What a process of its own says to a package.
#[expect(
    clippy::disallowed_methods,
    reason = "this very program, which is no plugin"
)]
fn ask(path: &Path) -> Result<Inspected> {
    let output = Command::new(std::env::current_exe()?)
        .arg(ASKED)
        .arg(path)
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("the inspection failed: {told}");
    }
    let told: Inspected = serde_json::from_str(&told)?;
    ensure!(told.refused, "the bomb was taken");
    Ok(told)
}

fn inspect(path: &Path) -> Result<Inspected> {
    let policy = Policy::default();
    let before = resident("VmRSS:")?;
    let began = Instant::now();
    let zip = Zip::open_path(path, &policy)?;
    let refused = zip.has_errors();
    let time = began.elapsed();
    Ok(Inspected {
        refused,
        milliseconds: milliseconds(time),
        grown_mib: resident("VmHWM:")? - before,
    })
}

/// A line of what the kernel says of this process, in MiB.
fn resident(line: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let found = status.lines().find_map(|it| it.strip_prefix(line));
    let number = found.and_then(|it| it.split_whitespace().next());
    let kib: f64 = number
        .with_context(|| format!("no {line} among what is said"))?
        .parse()?;
    Ok(kib / 1024.0)
}
