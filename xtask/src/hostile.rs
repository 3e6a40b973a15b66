//! The table of hostile input: which test shows what becomes of it.
//!
//! Made from the tests themselves: a test's name says the class, the codes in its body what is answered.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, bail};

use crate::{tidy, workspace};

const ARCHIVES: &str = "crates/archive/tests/hostile.rs";

/// The same as far as a directory can be hostile.
const DIRECTORIES: &str = "crates/archive/tests/directories.rs";

/// What the platform meets by itself: addresses, full disks, kills, damaged backups.
const PLATFORM: [&str; 3] = [
    "crates/platform/tests/it/fetching.rs",
    "crates/platform/tests/it/full.rs",
    "crates/platform/tests/it/crash.rs",
];

/// Where the started product meets clients and a machine that mean no good.
const PRODUCT: [&str; 5] = [
    "crates/plugyard/tests/it/hostile.rs",
    "crates/plugyard/tests/it/surroundings.rs",
    "crates/plugyard/tests/it/databases.rs",
    "crates/plugyard/tests/it/home.rs",
    "crates/plugyard/tests/it/secrets.rs",
];

/// The page `docs/conformance/hostile.md`.
pub(crate) fn page() -> Result<String> {
    let mut page = format!(
        "{}\n\n# Hostile input\n\nEach row is a test; its name says the class.\n\n\
         ## Archives\n\nTold by code and entry; nothing of a refused archive is written. From `{ARCHIVES}`.\n\n\
         | class | codes | test |\n|---|---|---|\n",
        tidy::GENERATED
    );
    with_codes(&mut page, ARCHIVES)?;
    let _ = write!(
        page,
        "\n## Directories\n\nHeld to the same rules; what only bytes can be, such as overlapping entries, a file system cannot \
         hold. From `{DIRECTORIES}`.\n\n| class | codes | test |\n|---|---|---|\n"
    );
    with_codes(&mut page, DIRECTORIES)?;
    page.push_str(
        "\n## Addresses, disks and kills\n\nOf the platform without a server, on every database.\n\n\
         | class | test | file |\n|---|---|---|\n",
    );
    for file in PLATFORM {
        for (test, _) in tests(file)? {
            // What the tests run again in a process of its own.
            if test != "child" {
                let _ = writeln!(page, "| {} | `{test}` | `{file}` |", words(&test));
            }
        }
    }
    page.push_str(
        "\n## Clients and machines\n\nAgainst the started server.\n\n| class | test | file |\n|---|---|---|\n",
    );
    for file in PRODUCT {
        for (test, _) in tests(file)? {
            let _ = writeln!(page, "| {} | `{test}` | `{file}` |", words(&test));
        }
    }
    Ok(page)
}

/// The tests of a file, with the codes that each names.
fn with_codes(page: &mut String, file: &str) -> Result<()> {
    for (test, body) in tests(file)? {
        let codes: Vec<String> = codes(&body)
            .iter()
            .map(|code| format!("`{code}`"))
            .collect();
        let _ = writeln!(
            page,
            "| {} | {} | `{test}` |",
            words(&test),
            codes.join(", ")
        );
    }
    Ok(())
}

fn words(test: &str) -> String {
    test.replace('_', " ")
}

/// Each test of a file with its text.
fn tests(file: &str) -> Result<Vec<(String, String)>> {
    let text = fs::read_to_string(workspace::root().join(file))
        .with_context(|| format!("cannot read {file}"))?;
    let found = split(&text);
    if found.is_empty() {
        bail!("{file} has no tests");
    }
    Ok(found)
}

fn split(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let text = text.replace("\n#[tokio::test]\nasync fn ", "\n#[test]\nfn ");
    for part in text.split("\n#[test]\nfn ").skip(1) {
        let name = part.split('(').next().unwrap_or_default();
        let body = part.split("\n}\n").next().unwrap_or(part);
        found.push((name.to_owned(), body.to_owned()));
    }
    found
}

/// The codes that a test names, as texts or as constants, each once.
fn codes(body: &str) -> BTreeSet<String> {
    let texts = body.split('"').skip(1).step_by(2).map(str::to_owned);
    let constants = body.split("codes::").skip(1).map(|rest| {
        let end = rest
            .find(|letter: char| !letter.is_ascii_uppercase() && letter != '_')
            .unwrap_or(rest.len());
        rest[..end].to_ascii_lowercase()
    });
    texts
        .chain(constants)
        .filter(|code| {
            code.starts_with("archive_")
                && code
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{codes, page, split};

    #[test]
    fn tests_and_their_codes_are_found() {
        let text = "x\n#[test]\nfn a_b() {\n    refused(\"archive_link\", \"x\");\n    \
                    codes::ARCHIVE_RATIO;\n}\n\nfn other() {}\n";
        let found = split(text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "a_b");
        let codes: Vec<String> = codes(&found[0].1).into_iter().collect();
        assert_eq!(codes, ["archive_link", "archive_ratio"]);
    }

    #[test]
    fn every_class_of_archives_has_a_row() {
        let page = page().expect("the tests are there");
        assert!(
            page.contains("| names must stay inside | `archive_name_absolute`"),
            "{page}"
        );
    }
}
