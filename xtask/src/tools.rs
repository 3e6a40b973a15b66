//! What chores need from the machine: a Python environment with the plugin SDK, and Debian packages.

use std::fs;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;

use crate::process::{self, command};
use crate::workspace;

/// The public plugin SDK, in the version whose behaviour the product is built for.
const SDK: &str = "ekuiper==2.4.2";

/// Interpreters that the SDK's binary wheels exist for.
const MINORS: std::ops::RangeInclusive<u32> = 11..=13;

/// A server with Amazon's S3 interface, for the tests of the object store.
const S3_SERVER: &str = "moto[server]==5.2.5";

/// A Python with the SDK in `target/tools/venv`, made when it is not there yet.
pub(crate) fn python() -> Result<PathBuf> {
    environment("venv", &[SDK])
}

/// A Python with everything that tests run in one, in `target/tools/test-venv`.
pub(crate) fn test_python() -> Result<PathBuf> {
    environment("test-venv", &[SDK, S3_SERVER])
}

fn environment(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let venv = workspace::target()?.join("tools").join(name);
    let python = venv.join("bin").join("python");
    let stamp = venv.join("plugyard-packages");
    let wanted = packages.join(" ");
    if python.exists() && fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    let base = interpreter()?;
    eprintln!(
        "preparing a Python environment with {wanted} in {}",
        venv.display()
    );
    process::run(command(&base).args(["-m", "venv", "--clear"]).arg(&venv)).with_context(|| {
        format!(
            "{} cannot make a virtual environment; on Debian: apt-get install python3-venv",
            base.display()
        )
    })?;
    process::run(
        command(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(packages)
            .stdout(std::io::stderr()),
    )
    .with_context(|| format!("cannot install {wanted}"))?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(python)
}

/// Whether a usable Python with `venv` is on this machine.
pub(crate) fn has_python() -> bool {
    interpreter().is_ok()
}

fn interpreter() -> Result<PathBuf> {
    let mut names: Vec<String> = MINORS
        .rev()
        .map(|minor| format!("python3.{minor}"))
        .collect();
    names.insert(0, "python3".to_owned());
    names.push("python".to_owned());
    for name in &names {
        let probe = "import sys, venv, ensurepip; print(sys.version_info[0], sys.version_info[1])";
        let Ok(answer) = process::capture(command(name).args(["-c", probe])) else {
            continue;
        };
        let mut version = answer.stdout.split_whitespace().map(str::parse::<u32>);
        if let (true, Some(Ok(3)), Some(Ok(minor))) =
            (answer.status.success(), version.next(), version.next())
            && MINORS.contains(&minor)
        {
            return Ok(name.into());
        }
    }
    bail!(
        "no Python 3.{} to 3.{} with `venv` found; on Debian: apt-get install python3-venv",
        MINORS.start(),
        MINORS.end()
    )
}

/// Where PostgreSQL's own programs are, when they are installed.
pub(crate) fn postgres_bin() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let mut debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    debian.sort();
    on_path.chain(debian.into_iter().rev()).find(|directory| {
        ["initdb", "pg_ctl", "postgres"]
            .iter()
            .all(|name| directory.join(name).exists())
    })
}

/// Installs what is missing for the tests, or says what would.
///
/// As root without a terminal (a build machine) at once; otherwise it prints the one command and asks.
pub(crate) fn install_missing(allowed: bool) -> Result<()> {
    let mut missing = Vec::new();
    if postgres_bin().is_none() {
        missing.push("postgresql");
    }
    if !has_python() {
        missing.push("python3-venv");
    }
    // The client for PHP is tested with it.
    if !process::capture(command("php").arg("--version"))
        .is_ok_and(|answer| answer.status.success())
    {
        missing.push("php-cli");
    }
    // Tests of fetching make a network of their own.
    if !process::capture(command("ip").arg("-V")).is_ok_and(|answer| answer.status.success()) {
        missing.push("iproute2");
    }
    // The client for pages and the example application run in it.
    if !process::capture(command("node").arg("--version"))
        .is_ok_and(|answer| answer.status.success())
    {
        missing.push("nodejs");
    }
    // Plugin pages are opened in a real browser.
    if !process::capture(command("chromium").arg("--version"))
        .is_ok_and(|answer| answer.status.success())
    {
        missing.push("chromium");
    }
    if missing.is_empty() || !allowed {
        return Ok(());
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        eprintln!(
            "missing: {}; install them, or the tests that need them are skipped",
            missing.join(", ")
        );
        return Ok(());
    }
    let root = geteuid().is_root();
    let line = format!(
        "{}apt-get install --yes --no-install-recommends {}",
        if root { "" } else { "sudo " },
        missing.join(" ")
    );
    let terminal = std::io::stdin().is_terminal();
    if terminal || !root {
        eprintln!(
            "The tests need packages that are not here. This would install them:\n\n    {line}\n"
        );
        if !terminal {
            eprintln!("Without them the tests that need them are skipped.");
            return Ok(());
        }
        eprint!("Run it now? [y/N] ");
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
    }
    eprintln!("installing {}", missing.join(", "));
    let apt = |words: &[&str]| {
        let mut apt = command(if root { "apt-get" } else { "sudo" });
        if !root {
            apt.arg("apt-get");
        }
        apt.args(words).env("DEBIAN_FRONTEND", "noninteractive");
        // In the terminal's own group: `sudo` asks for a password there.
        let status = apt.stdout(std::io::stderr()).status();
        status.is_ok_and(|status| status.success())
    };
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(&missing);
    if !apt(&install) {
        apt(&["update"]);
        if !apt(&install) {
            bail!("`{line}` failed");
        }
    }
    Ok(())
}
