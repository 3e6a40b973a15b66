//! Tables of which rules of a format are held by which tests.
//!
//! A rule is listed in `docs/conformance/{kind}.toml`; a test belongs to it by its name
//! (`host_08_…`, `fact_29_…`, `scenario_12_…`). Nobody can claim a rule without a test that carries its number.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{tidy, workspace};

/// A page about one format.
struct Format {
    /// Name of the files `docs/conformance/{name}.toml` and `.md`.
    name: &'static str,
    title: &'static str,
    about: &'static str,
    /// Word in names of tests, title of the section, word before a number.
    families: &'static [(&'static str, &'static str, &'static str)],
}

/// Every format that has a page.
const FORMATS: &[Format] = &[
    Format {
        name: "portable",
        title: "Portable plugins: which rules hold",
        about: "What a host must do for plugins written with eKuiper's public SDKs, and the tests that show it here. A rule\n\
                without a test counts as not held, whatever the code does. *Imitated* means that the test's counterpart is our own\n\
                imitation and not the real thing; such a rule is not counted as held.",
        families: &[
            ("host", "Rules for the host", "HOST"),
            ("fact", "Facts that plugins and clients rely on", "fact"),
        ],
    },
    Format {
        name: "config",
        title: "Configuration of plugins: which scenarios hold",
        about: "What a `config.json`, its rules, its values and the routes for them must do, scenario by scenario, and the tests that\n\
                show it here. A scenario without a test counts as not held, whatever the code does.",
        families: &[("scenario", "Scenarios", "scenario")],
    },
    Format {
        name: "web",
        title: "Web plugins: which scenarios hold",
        about: "What a registry of web plugins must do, scenario by scenario, and the tests that show it here. A scenario without a\n\
                test counts as not held, whatever the code does.",
        families: &[
            ("web", "Scenarios", "scenario"),
            ("url", "URLs", "row"),
            ("expansion", "What clients fill in", "row"),
            ("vector", "Signatures", "vector"),
        ],
    },
];

/// The rules of one format as their file lists them.
#[derive(Deserialize)]
struct Rules {
    /// Rules of which only an imitation is tested, with what is imitated.
    #[serde(default)]
    imitated: BTreeMap<String, String>,
    /// Rules that deliberately are not held, with the reason.
    #[serde(default)]
    deviation: BTreeMap<String, String>,
    /// What each rule says, by the word of its family and by number.
    #[serde(flatten)]
    families: BTreeMap<String, BTreeMap<String, String>>,
}

/// Where a test stands.
type Tests = BTreeMap<(String, u32), Vec<String>>;

/// Every page: its file and its text.
pub(crate) fn pages() -> Result<Vec<(String, String)>> {
    let tests = tests()?;
    FORMATS
        .iter()
        .map(|format| {
            let file = format!("docs/conformance/{}.md", format.name);
            Ok((file, page(format, &tests)?))
        })
        .collect()
}

fn page(format: &Format, tests: &Tests) -> Result<String> {
    let name = format!("docs/conformance/{}.toml", format.name);
    let text = fs::read_to_string(workspace::root().join(&name))
        .with_context(|| format!("cannot read {name}"))?;
    let rules: Rules = toml::from_str(&text).with_context(|| name.clone())?;
    if let Some(unknown) = rules
        .families
        .keys()
        .find(|word| !format.families.iter().any(|it| it.0 == word.as_str()))
    {
        bail!("{name}: `{unknown}` is no family of rules");
    }
    let mut page = format!(
        "{}\n\n# {}\n\n{}\n\n",
        tidy::GENERATED,
        format.title,
        format.about
    );
    for (word, title, label) in format.families {
        let none = BTreeMap::new();
        let numbered = rules.families.get(*word).unwrap_or(&none);
        for (found, number) in tests.keys() {
            if found == word && !numbered.contains_key(&number.to_string()) {
                bail!("a test carries the number {found}_{number:02}, which no rule has");
            }
        }
        section(&mut page, title, label, word, tests, &rules)?;
    }
    // A blank line parts sections; none follows the last.
    page.pop();
    Ok(page)
}

fn section(
    page: &mut String,
    title: &str,
    label: &str,
    family: &str,
    tests: &Tests,
    all: &Rules,
) -> Result<()> {
    let mut numbered: Vec<(u32, &String)> = Vec::new();
    for (number, says) in all.families.get(family).into_iter().flatten() {
        let number = number
            .parse()
            .with_context(|| format!("{label} `{number}` is no number"))?;
        numbered.push((number, says));
    }
    numbered.sort_unstable();
    let mut rows = String::new();
    let mut held = 0;
    for (number, says) in &numbered {
        let name = format!("{label}-{number}");
        let mut shown = match tests.get(&(family.to_owned(), *number)) {
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
    Ok(())
}

/// Every test that carries a number: `fn host_08_…`, `fn scenario_12_…` under a test attribute.
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
            (word, _)
                if FORMATS
                    .iter()
                    .any(|it| it.families.iter().any(|it| it.0 == word)) =>
            {
                family = Some(word);
            }
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
