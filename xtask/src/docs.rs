//! `cargo xtask docs`: the reference pages that follow from the code.
//!
//! The pages about the product are printed by the product itself (`plugyard reference <page>`), so they
//! cannot disagree with it. The conformance tables are made from the names of tests.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::{conformance, hostile, process, workspace};

/// What `docs` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail when a page is not what it would become.
    #[arg(long)]
    pub(crate) check: bool,
}

/// Pages that the binary prints: name of the page, file.
const FROM_BINARY: &[(&str, &str)] = &[
    ("cli", "docs/cli.md"),
    ("cli-zh", "docs/zh-CN/cli.md"),
    ("configuration", "docs/configuration.md"),
    ("environment", "docs/environment.md"),
    ("errors", "docs/errors.md"),
    ("openapi", "docs/openapi.json"),
];

/// Files that are part of a crate and published as they are: in the crate, in the documentation.
const COPIED: &[(&str, &str)] = &[(
    "crates/config/plugin-config.schema.json",
    "docs/plugin-config.schema.json",
)];

/// Writes or compares every page.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut pages = conformance::pages()?;
    pages.push(("docs/conformance/hostile.md".to_owned(), hostile::page()?));
    for (copied, file) in COPIED {
        let text = fs::read_to_string(workspace::root().join(copied))
            .with_context(|| format!("cannot read {copied}"))?;
        pages.push(((*file).to_owned(), text));
    }
    let plugyard = build_plugyard(false)?;
    for (page, file) in FROM_BINARY {
        // The same page on every machine: nothing from the caller's surroundings.
        let text = process::read(
            process::command(&plugyard)
                .args(["reference", page])
                .env_clear()
                .env("COLUMNS", "100")
                .current_dir(workspace::root()),
        )?;
        pages.push(((*file).to_owned(), text));
    }
    let mut stale = Vec::new();
    for (file, text) in pages {
        let path = workspace::root().join(&file);
        if fs::read_to_string(&path).is_ok_and(|there| there == text) {
            continue;
        }
        if arguments.check {
            stale.push(file);
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {file}"))?;
        println!("wrote {file}");
    }
    if !stale.is_empty() {
        bail!(
            "not up to date: {}; run `cargo xtask docs`",
            stale.join(", ")
        );
    }
    Ok(())
}

/// Builds the product and says where it is.
pub(crate) fn build_plugyard(release: bool) -> Result<PathBuf> {
    let mut cargo = process::cargo();
    cargo.args(["build", "--package", "plugyard", "--bin", "plugyard"]);
    if release {
        cargo.arg("--release");
    }
    process::run(&mut cargo)?;
    let profile = if release { "release" } else { "debug" };
    Ok(workspace::target()?.join(profile).join("plugyard"))
}
