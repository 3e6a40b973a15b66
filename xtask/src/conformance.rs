//! Tables of which rules of a format are held by which tests.
//!
//! A rule is listed in `docs/conformance/{kind}.toml`; a test belongs to it by its name
//! (`host_08_…`, `fact_29_…`). Nobody can claim a rule without a test that carries its number.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{tidy, workspace};

/// The rules of one format as their file lists them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    /// What our host does, by number.
    host: BTreeMap<String, String>,
    /// What programs written for the format may rely on, by number.
    fact: BTreeMap<String, String>,
    /// Rules of which only an imitation is tested, with what is imitated.
    imitated: BTreeMap<String, String>,
    /// Rules that deliberately are not held, with the reason.
    #[serde(default)]
    deviation: BTreeMap<String, String>,
}

/// Where a test stands.
type Tests = BTreeMap<(String, u32), Vec<String>>;

/// The page about portable plugins.
pub(crate) fn portable() -> Result<String> {
    let path = workspace::root().join("docs/conformance/portable.toml");
    let text = fs::read_to_string(&path).context("cannot read docs/conformance/portable.toml")?;
    let rules: Rules = toml::from_str(&text).context("docs/conformance/portable.toml")?;
    let tests = tests()?;
    for (family, numbers) in [("host", &rules.host), ("fact", &rules.fact)] {
        for (found, number) in tests.keys() {
            if found == family && !numbers.contains_key(&number.to_string()) {
                bail!("a test carries the number {family}_{number:02}, which no rule has");
            }
        }
    }
    let mut page = format!(
        "{}\n\n# Portable plugins: which rules hold\n\n\
         What a host must do for plugins written with eKuiper's public SDKs, and the tests that show it here. A rule\n\
         without a test counts as not held, whatever the code does. *Imitated* means that the test's counterpart is our own\n\
         imitation and not the real thing; such a rule is not counted as held.\n\n",
        tidy::GENERATED
    );
    section(
        &mut page,
        "Rules for the host",
        "HOST",
        &rules.host,
        &tests,
        &rules,
    )?;
    section(
        &mut page,
        "Facts that plugins and clients rely on",
        "fact",
        &rules.fact,
        &tests,
        &rules,
    )?;
    Ok(page)
}

fn section(
    page: &mut String,
    title: &str,
    label: &str,
    rules: &BTreeMap<String, String>,
    tests: &Tests,
    all: &Rules,
) -> Result<()> {
    let mut numbered: Vec<(u32, &String)> = Vec::new();
    for (number, says) in rules {
        let number = number
            .parse()
            .with_context(|| format!("{label} `{number}` is no number"))?;
        numbered.push((number, says));
    }
    numbered.sort_unstable();
    let family = label.to_ascii_lowercase();
    let mut rows = String::new();
    let mut held = 0;
    for (number, says) in &numbered {
        let name = format!("{label}-{number}");
        let mut shown = match tests.get(&(family.clone(), *number)) {
            Some(places) => {
                if !all.imitated.contains_key(&name) {
                    held += 1;
                }
                places
                    .iter()
                    .map(|test| format!("`{test}`"))
                    .collect::<Vec<_>>()
                    .join("<br>")
            }
            None => "not yet".to_owned(),
        };
        if let Some(what) = all.imitated.get(&name) {
            let _ = write!(shown, "<br>*imitated: {what}*");
        }
        if let Some(why) = all.deviation.get(&name) {
            let _ = write!(shown, "<br>*deviation: {why}*");
        }
        let _ = writeln!(rows, "| {number} | {says} | {shown} |");
    }
    let _ = write!(
        page,
        "## {title}\n\n{held} of {} held by tests.\n\n| {label} | rule | tests |\n|---|---|---|\n{rows}\n",
        numbered.len()
    );
    if page.ends_with("\n\n") && label == "fact" {
        page.pop();
    }
    Ok(())
}

/// Every test that carries a number: `fn host_08_…` or `fn fact_29_…` under a test attribute.
fn tests() -> Result<Tests> {
    let mut tests = Tests::new();
    for file in workspace::files()?.iter().filter(|name| {
        Path::new(name)
            .extension()
            .is_some_and(|extension| extension == "rs")
    }) {
        let text = fs::read_to_string(workspace::root().join(file))
            .with_context(|| format!("cannot read {file}"))?;
        let mut attribute = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[") {
                attribute |= line.contains("test");
                continue;
            }
            let signature = line.trim_start_matches("pub ").trim_start_matches("async ");
            if let Some(name) = signature.strip_prefix("fn ")
                && attribute
            {
                let name: &str = name
                    .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .next()
                    .unwrap_or(name);
                for number in numbers(name) {
                    tests
                        .entry(number)
                        .or_default()
                        .push(format!("{name}` in `{file}"));
                }
            }
            if !line.starts_with("//") {
                attribute = false;
            }
        }
    }
    Ok(tests)
}

/// The rules a test is about: `host_08_fact_13_…` is about two.
fn numbers(name: &str) -> Vec<(String, u32)> {
    let words: Vec<&str> = name.split('_').collect();
    let mut found = Vec::new();
    let mut family = None;
    for word in words {
        match (word, family) {
            ("host" | "fact", _) => family = Some(word),
            (number, Some(of)) if number.len() == 2 && number.parse::<u32>().is_ok() => {
                found.push((of.to_owned(), number.parse().unwrap_or_default()));
            }
            _ => break,
        }
    }
    found
}

#[cfg(test)]
mod tests_of_names {
    use super::numbers;

    #[test]
    fn a_name_says_which_rules_it_is_about() {
        assert_eq!(
            numbers("host_08_refuses_strangers"),
            [("host".to_owned(), 8)]
        );
        assert_eq!(
            numbers("fact_34_35_status"),
            [("fact".to_owned(), 34), ("fact".to_owned(), 35)]
        );
        assert_eq!(
            numbers("host_31_fact_29_x"),
            [("host".to_owned(), 31), ("fact".to_owned(), 29)]
        );
        assert!(numbers("refuses_host_08").is_empty());
    }
}
