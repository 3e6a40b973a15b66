//! Looking through `plugins/`: which directories are plugins of this kind, and what is wrong with them.
//!
//! Finding one registers a record and nothing else; installing is somebody's decision. What a directory is,
//! its files say: one with `plugin.json` or `theme.json` is another kind's.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use plugyard_archive::{Directory, PackageReader as _, Policy};
use plugyard_config::Report;
use plugyard_model::{Finding, Inspection, Place, Severity, codes};
use plugyard_platform::Home;
use serde::{Deserialize, Serialize};

use crate::package::{self, Stored};
use plugyard_platform::files;

/// What a directory says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Seen {
    pub(crate) stored: Stored,
    pub(crate) has_config: bool,
    pub(crate) config_valid: bool,
}

/// A directory that is, or should be, a plugin.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) seen: Seen,
    /// The report on its configuration, when it has one.
    pub(crate) report: Option<Report>,
    /// What else keeps it from being installed.
    pub(crate) findings: Vec<Finding>,
}

impl Found {
    /// Whether it could be installed.
    pub(crate) fn is_valid(&self) -> bool {
        self.report.as_ref().is_none_or(Report::valid)
            && self
                .findings
                .iter()
                .all(|it| it.severity != Severity::Error)
    }
}

/// All of them, by name.
///
/// # Errors
/// When `plugins/` cannot be read.
pub(crate) fn look(home: &Home) -> io::Result<Vec<Found>> {
    let names = names(home)?;
    let mut by_case: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for name in &names {
        by_case.entry(name.to_lowercase()).or_default().push(name);
    }
    let found = names.iter().map(|name| {
        let mut found = look_at(home, name);
        let alike = by_case.get(&name.to_lowercase()).into_iter().flatten();
        for other in alike.filter(|other| other.as_str() != name.as_str()) {
            let finding = Finding::error(codes::PLUGIN_NAME_CONFLICT, Place::default());
            found
                .findings
                .push(finding.with("name", name).with("other", other));
        }
        found
    });
    Ok(found.collect())
}

/// One of them; `None` when there is no such directory. The name must be one.
pub(crate) fn look_for(home: &Home, name: &str) -> io::Result<Option<Found>> {
    if !is_ours(&files::shown(home, name)) {
        return Ok(None);
    }
    let mut found = look_at(home, name);
    // Names alone first: there may be ten thousand directories.
    let mut alike = Vec::new();
    for entry in fs::read_dir(home.plugins())? {
        let entry = entry?;
        let other = entry.file_name().to_string_lossy().into_owned();
        if other != name && other.eq_ignore_ascii_case(name) && is_ours(&entry.path()) {
            alike.push(other);
        }
    }
    for other in alike {
        let finding = Finding::error(codes::PLUGIN_NAME_CONFLICT, Place::default());
        let finding = finding.with("name", name).with("other", other);
        found.findings.push(finding);
    }
    Ok(Some(found))
}

/// The names of the directories that are this kind's.
pub(crate) fn names(home: &Home) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(home.plugins())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.')
            && !["portable", "portables"].contains(&name.as_str())
            && is_ours(&entry.path())
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Whether a directory, or a link to one, is this kind's.
pub(crate) fn is_ours(path: &Path) -> bool {
    let has = |file: &str| path.join(file).is_file();
    files::is_there(path) && !has("plugin.json") && !has("theme.json")
}

/// What the link or directory of a plugin leads to; what is packed when it is installed.
pub(crate) fn source(home: &Home, name: &str) -> io::Result<PathBuf> {
    fs::canonicalize(files::shown(home, name))
}

fn look_at(home: &Home, name: &str) -> Found {
    let directory = source(home, name).unwrap_or_else(|_| files::shown(home, name));
    let package = Directory::open(&directory, &Policy::default());
    let report = package::definition(&package);
    let Inspection {
        manifest, findings, ..
    } = package::inspect(&package, Some(name));
    let stored: Stored = serde_json::from_value(manifest).unwrap_or_default();
    // What the report says stands there, in its own words.
    let findings = findings
        .into_iter()
        .filter(|it| it.place.file != package::CONFIG || report.is_none())
        .collect();
    Found {
        name: name.to_owned(),
        seen: Seen {
            stored,
            has_config: package.listing().find(package::CONFIG).is_some(),
            config_valid: report.as_ref().is_none_or(Report::valid),
        },
        report,
        findings,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_told_apart_by_their_files_and_names() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        let put = |path: &str, content: &str| {
            let path = home.plugins().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        put("Good/config.json", r#"{"fields": {}}"#);
        put("Plain/index.php", "<?php");
        put("Broken/config.json", r#"{"fields": 1}"#);
        put("demo/config.json", r#"{"fields": {}}"#);
        put("Demo/config.json", r#"{"fields": {}}"#);
        put("2bad/index.php", "");
        put("Rescan/index.php", "");
        put("Web/plugin.json", "{}");
        put("Web/config.json", r#"{"fields": {}}"#);
        put("portable/x/x.json", "{}");
        put(".hidden/config.json", r#"{"fields": {}}"#);
        put("file", "");
        let found = look(&home).unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|it| {
                let first = it.findings.first().map(|it| it.code.as_str());
                (it.name.as_str(), it.is_valid(), first)
            })
            .collect();
        assert_eq!(
            told,
            [
                ("2bad", false, Some("app_name_invalid")),
                ("Broken", false, None),
                ("Demo", false, Some("plugin_name_conflict")),
                ("Good", true, None),
                ("Plain", true, None),
                ("Rescan", false, Some("plugin_name_reserved")),
                ("demo", false, Some("plugin_name_conflict")),
            ]
        );
        assert!(look_for(&home, "Web").unwrap().is_none());
        assert!(look_for(&home, "Absent").unwrap().is_none());
        assert!(!look_for(&home, "Demo").unwrap().unwrap().is_valid());
        assert!(look_for(&home, "Good").unwrap().unwrap().is_valid());
    }
}
