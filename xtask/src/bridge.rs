//! `cargo xtask bridge`: builds the script that plugin pages and clients load from its TypeScript source.
//!
//! The built file is kept in the repository, so that building the product needs no Node; a test of
//! `plugyard-web` compares the hash in its first line with the source.

use std::fs;

use anyhow::{Context, Result};

use crate::process::{self, command};
use crate::workspace;

/// What is built, below the root.
const SOURCE: &str = "clients/typescript/src/bridge.ts";
const BUILT: &str = "crates/web/assets/bridge.js";

/// Builds it with the compiler that `clients/typescript/package-lock.json` names.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let project = root.join("clients/typescript");
    process::run(
        command("npm")
            .args(["ci", "--silent"])
            .current_dir(&project),
    )
    .context("cannot install the compiler; on Debian: apt-get install nodejs npm")?;
    process::run(
        command("npx")
            .args(["tsc", "-p", "tsconfig.bridge.json"])
            .current_dir(&project),
    )
    .context("cannot compile the script")?;
    let hash = process::capture(command("sha256sum").arg(root.join(SOURCE)))?;
    let hash = hash
        .stdout
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned();
    let compiled = project.join("dist/bridge/bridge.js");
    let script = fs::read_to_string(&compiled)
        .with_context(|| format!("cannot read {}", compiled.display()))?;
    let built = root.join(BUILT);
    let header = format!("// Built by `cargo xtask bridge` from {SOURCE}, SHA-256 {hash}.\n");
    fs::write(&built, header + &script)
        .with_context(|| format!("cannot write {}", built.display()))?;
    println!("{BUILT}");
    Ok(())
}
