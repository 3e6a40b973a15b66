//! `composer.json` as data: what a plugin's PHP code requires. Nothing here resolves it; a command of the
//! application does.

use std::collections::BTreeMap;

use plugyard_archive::PackageReader;
use plugyard_model::json::{self, Node};
use plugyard_model::{Finding, Place, codes};
use serde::{Deserialize, Serialize};

/// The file.
pub(crate) const FILE: &str = "composer.json";
/// Largest one.
const LIMIT: u64 = 256 << 10;

/// Packages of PHP that a plugin requires, with their versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ForeignDependencies {
    /// Always.
    pub require: BTreeMap<String, String>,
    /// For its own development.
    pub require_dev: BTreeMap<String, String>,
}

impl ForeignDependencies {
    /// Whether nothing is required.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.require.is_empty() && self.require_dev.is_empty()
    }
}

/// Reads the file at `path`; what is wrong with it becomes findings.
pub(crate) fn read(
    package: &dyn PackageReader,
    path: &str,
    findings: &mut Vec<Finding>,
) -> ForeignDependencies {
    let mut read = ForeignDependencies::default();
    if !package.listing().has_file(path) {
        return read;
    }
    let bytes = match package.read(path, LIMIT) {
        Ok(bytes) => bytes,
        Err(error) => {
            findings.push(error.to_finding());
            return read;
        }
    };
    let document = match json::parse(&bytes, json::Options::default()) {
        Ok(document) => document,
        Err(error) => {
            let place = Place::file(path).at(error.at.line, error.at.column);
            findings.push(
                Finding::error(codes::E_MANIFEST_SYNTAX, place)
                    .with("line", error.at.line)
                    .with("column", error.at.column)
                    .with("kind", error.kind.code()),
            );
            return read;
        }
    };
    for (key, into) in [
        ("require", &mut read.require),
        ("require-dev", &mut read.require_dev),
    ] {
        let Some(node) = document.root.as_object().and_then(|root| root.get(key)) else {
            continue;
        };
        let pointer = format!("/{key}");
        // An empty PHP array is written as a list.
        if node.as_array().is_some_and(<[Node]>::is_empty) {
            continue;
        }
        let entries = node.as_object().map(|object| {
            object
                .iter()
                .map(|(name, version)| Some((name.to_owned(), version.as_str()?.to_owned())))
                .collect::<Option<BTreeMap<_, _>>>()
        });
        match entries.flatten() {
            Some(entries) => *into = entries,
            None => findings.push(wrong(node, path, &pointer, key)),
        }
    }
    read
}

fn wrong(node: &Node, path: &str, pointer: &str, key: &str) -> Finding {
    Finding::error(codes::E_FIELD_FORMAT, node.place(path, pointer))
        .with("field", key)
        .with("expected", "object")
}
