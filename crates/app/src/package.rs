//! Reads a package of this kind: what it says, and everything wrong with it.
//!
//! Pure: the same bytes give the same inspection offline and on the server.

use plugyard_archive::{Listing, PackageReader, ReadError};
use plugyard_config::{Definition, Report};
use plugyard_model::{Finding, Inspection, KindId, Place, codes, sort_findings};
use plugyard_platform::kind::Likeness;
use serde::{Deserialize, Serialize};

use crate::manifest::{self, Handler, Manifest};
use crate::name;

/// The word before the colon.
pub(crate) const KIND: KindId = KindId::from_static("app");
/// The definition of the configuration.
pub(crate) const CONFIG: &str = "config.json";
/// Bytes that a definition may have.
const CONFIG_LIMIT: u64 = 1 << 20;
/// What stands for a definition with more.
const TOO_LARGE: usize = (1 << 20) + 1;

/// What is stored with a version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Stored {
    /// What `plugyard.app.json` says.
    pub(crate) app: Manifest,
    /// What `config.json` says of itself, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<About>,
}

/// What a definition says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct About {
    pub(crate) version: String,
    pub(crate) description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_updated: Option<String>,
}

impl About {
    pub(crate) fn of(definition: &Definition) -> Self {
        Self {
            version: definition.version().to_string(),
            description: definition.description().to_owned(),
            last_updated: definition.last_updated().map(ToString::to_string),
        }
    }
}

impl Stored {
    /// The version in force of the plugin: its definition's, else its own.
    pub(crate) fn version(&self) -> String {
        match (&self.config, &self.app.version) {
            (Some(config), _) => config.version.clone(),
            (None, Some(version)) => version.clone(),
            (None, None) => "1.0.0".to_owned(),
        }
    }

    pub(crate) fn description(&self) -> String {
        let own = self.app.description.clone().unwrap_or_default();
        match &self.config {
            Some(config) if !config.description.is_empty() => config.description.clone(),
            _ => own,
        }
    }
}

/// What the names alone say.
pub(crate) fn recognise(names: &Listing) -> Likeness {
    let dockerfile = || {
        names
            .root_files()
            .any(|entry| entry.path.eq_ignore_ascii_case("dockerfile"))
    };
    if names.has_file("plugin.json") || names.has_file("theme.json") || dockerfile() {
        return Likeness::No;
    }
    if names.has_file(manifest::FILE) {
        return Likeness::Yes;
    }
    // The folders of another kind speak against it, other JSON files at the root do not.
    let symbols = ["sources/", "sinks/", "functions/"];
    let folders = names
        .files()
        .any(|entry| symbols.iter().any(|folder| entry.path.starts_with(folder)));
    match (names.has_file(CONFIG), folders) {
        (true, false) => Likeness::Yes,
        (true, true) => Likeness::Maybe,
        (false, _) => Likeness::No,
    }
}

/// Says everything about a package; `expected` is the name it is to be installed under.
pub(crate) fn inspect(package: &dyn PackageReader, expected: Option<&str>) -> Inspection {
    let mut findings = package.findings().to_vec();
    let (manifest, wrong) = manifest::read(package);
    findings.extend(wrong);
    let names = package.listing();
    if let (Some(expected), Some(actual)) = (expected, manifest.name.as_deref())
        && expected != actual
    {
        findings.push(
            Finding::error(
                codes::MANIFEST_NAME_MISMATCH,
                Place::pointer(manifest::FILE, "/name"),
            )
            .with("expected", expected)
            .with("actual", actual),
        );
    }
    findings.extend(expected.and_then(name::check));
    for (pointer, path) in named_files(&manifest) {
        if !names.has_file(&path) {
            findings.push(
                Finding::error(
                    codes::APP_FILE_ABSENT,
                    Place::pointer(manifest::FILE, pointer),
                )
                .with("path", path),
            );
        }
    }
    let report = definition(package);
    let config = report.as_ref().and_then(|report| {
        findings.extend(report.findings(CONFIG));
        report.definition.as_ref().map(About::of)
    });
    let stored = Stored {
        app: manifest,
        config,
    };
    sort_findings(&mut findings);
    Inspection {
        kind: Some(KIND),
        key: expected.map(str::to_owned).or(stored.app.name.clone()),
        version: Some(stored.version()),
        manifest: serde_json::to_value(&stored).unwrap_or_default(),
        findings,
    }
}

/// The report on `config.json`; `None` when there is no such file, which is fine.
pub(crate) fn definition(package: &dyn PackageReader) -> Option<Report> {
    package.listing().find(CONFIG)?;
    // One byte more than it may have: the report says that it is too large.
    let bytes = match package.read(CONFIG, CONFIG_LIMIT) {
        Ok(bytes) => bytes,
        Err(ReadError::TooLarge { .. }) => vec![b' '; TOO_LARGE],
        // What the container has wrong stands among its own findings.
        Err(_) => return None,
    };
    Some(Definition::read(&bytes))
}

/// The files that the manifest names, with where it does.
fn named_files(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let mut files = Vec::new();
    if let Some(entry) = &manifest.entry {
        files.push(("/entry", entry.clone()));
    }
    if let Some(Handler::Command(words)) = &manifest.handler
        && let Some(program) = words.first().filter(|program| program.contains('/'))
        && !program.starts_with('/')
    {
        let program = program.strip_prefix("./").unwrap_or(program);
        files.push(("/handler/command/0", program.to_owned()));
    }
    files
}

#[cfg(test)]
mod tests {
    use plugyard_archive::{Directory, Entry, EntryKind, Policy};

    use super::*;

    fn listing(paths: &[&str]) -> Listing {
        Listing::of(paths.iter().map(|path| Entry {
            path: (*path).to_owned(),
            kind: EntryKind::File,
            size: 1,
            mode: 0o644,
        }))
    }

    #[test]
    fn what_a_directory_is_its_files_say() {
        for (paths, expected) in [
            (&["config.json"][..], Likeness::Yes),
            (&["config.json", "composer.json"], Likeness::Yes),
            (&["config.json", "sources/a.yaml"], Likeness::Maybe),
            (
                &["config.json", "sources/a.yaml", "plugyard.app.json"],
                Likeness::Yes,
            ),
            (&["plugyard.app.json", "a.php"], Likeness::Yes),
            (&["config.json", "plugin.json"], Likeness::No),
            (&["config.json", "theme.json"], Likeness::No),
            (&["config.json", "DockerFile"], Likeness::No),
            (&["a/config.json"], Likeness::No),
            (&["index.php"], Likeness::No),
        ] {
            assert_eq!(recognise(&listing(paths)), expected, "{paths:?}");
        }
    }

    fn inspected(files: &[(&str, &str)], expected: Option<&str>) -> Inspection {
        let directory = tempfile::tempdir().unwrap();
        for (path, content) in files {
            std::fs::write(directory.path().join(path), content).unwrap();
        }
        inspect(
            &Directory::open(directory.path(), &Policy::default()),
            expected,
        )
    }

    #[test]
    fn a_directory_without_configuration_is_a_plugin_too() {
        let inspection = inspected(&[("index.php", "<?php")], Some("Plain"));
        assert!(!inspection.has_errors(), "{:?}", inspection.findings);
        assert_eq!(inspection.version.as_deref(), Some("1.0.0"));
        assert_eq!(inspection.key.as_deref(), Some("Plain"));
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let inspection = inspected(
            &[
                (
                    "config.json",
                    r#"{"fields": {"A": {"type": "Text"}}, "x": 1}"#,
                ),
                (
                    "plugyard.app.json",
                    r#"{"name": "Other", "entry": "gone.php", "handler": {"command": ["./gone"]}}"#,
                ),
            ],
            Some("discover"),
        );
        let codes: Vec<_> = inspection
            .findings
            .iter()
            .map(|it| it.code.as_str())
            .collect();
        for code in [
            "plugin_name_reserved",
            "field_type_unsupported",
            "required_key_missing",
            "unknown_key",
            "manifest_name_mismatch",
            "app_file_absent",
        ] {
            assert!(codes.contains(&code), "{code} is not in {codes:?}");
        }
    }

    #[test]
    fn a_definition_above_its_size_is_refused_unread() {
        let large = " ".repeat(1 << 20) + "{}";
        let inspection = inspected(&[("config.json", &large)], Some("Large"));
        let codes: Vec<_> = inspection.findings.iter().map(|it| it.code).collect();
        assert_eq!(codes, [plugyard_model::codes::FILE_TOO_LARGE]);
    }
}
