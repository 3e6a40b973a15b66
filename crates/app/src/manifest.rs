//! `plugyard.app.json`: what a plugin says of itself beside its configuration. It may be left out.
//!
//! ```json
//! { "name": "DemoPlugin", "display_name": "Demo", "author": "…", "category": "tools",
//!   "version": "1.0.0", "entry": "src/Plugin.php", "dependencies": [], "requirements": {"php": ">=8.2"},
//!   "permissions": ["network"], "tables": ["templates"],
//!   "handler": {"command": ["python3", "handler.py"]} }
//! ```
//!
//! It stands beside `config.json`, whose format has no room for it. Unlike there, nothing in here changes
//! what is stored for the plugin. An unknown key is an error.

use std::collections::BTreeMap;

use plugyard_archive::PackageReader;
use plugyard_model::json::{self, Node};
use plugyard_model::{Code, Finding, Place, codes};
use serde::{Deserialize, Serialize};

use crate::name;

/// Name of the file.
pub(crate) const FILE: &str = "plugyard.app.json";
/// Bytes it may have.
const SIZE: u64 = 1 << 20;
/// Characters of a text in it.
const TEXT: usize = 4000;
/// Entries of a list or map in it, `files` aside.
const ENTRIES: usize = 200;
/// Entries of `files`.
const FILES: usize = 10_000;

/// Who carries out actions and reads data tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Handler {
    /// A process in a sandbox that is asked in lines of JSON. The first word is a program: found in `PATH`,
    /// or in the package when it contains a slash.
    Command(Vec<String>),
    /// An address that is asked by POST.
    Url(String),
}

/// What the file says. Everything has a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Manifest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entry: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dependencies: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) requirements: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) permissions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tables: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) handler: Option<Handler>,
    /// SHA-256 of files, in hexadecimal, by path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) files: Option<BTreeMap<String, String>>,
}

/// Reads it from a package that has it.
pub(crate) fn read(package: &dyn PackageReader) -> (Manifest, Vec<Finding>) {
    if !package.listing().has_file(FILE) {
        return (Manifest::default(), Vec::new());
    }
    match package.read(FILE, SIZE) {
        Ok(bytes) => parse(&bytes),
        Err(error) => (Manifest::default(), vec![error.to_finding()]),
    }
}

/// Reads its bytes. What cannot be used is left out and stands among the findings.
pub(crate) fn parse(bytes: &[u8]) -> (Manifest, Vec<Finding>) {
    let document = match json::parse(bytes, json::Options::default()) {
        Ok(document) => document,
        Err(error) => return (Manifest::default(), vec![error.to_finding(FILE)]),
    };
    let mut reader = Reader {
        findings: document.findings(FILE),
    };
    let manifest = reader.manifest(&document.root);
    (manifest, reader.findings)
}

struct Reader {
    findings: Vec<Finding>,
}

impl Reader {
    fn manifest(&mut self, root: &Node) -> Manifest {
        const KEYS: &str = "name, display_name, description, version, author, category, entry, \
                            dependencies, requirements, permissions, tables, handler, files";
        let mut manifest = Manifest::default();
        let Some(object) = root.as_object() else {
            self.wrong_type(root, "", "", "an object");
            return manifest;
        };
        for (key, node) in object.iter() {
            let pointer = json::pointer_join("", key);
            match key {
                "name" => {
                    manifest.name = self.text(node, key, &pointer);
                    if let Some(wrong) = manifest.name.as_deref().and_then(name::check) {
                        self.findings.push(Finding {
                            place: node.place(FILE, &pointer),
                            ..wrong
                        });
                    }
                }
                "display_name" => manifest.display_name = self.text(node, key, &pointer),
                "description" => manifest.description = self.text(node, key, &pointer),
                "version" => manifest.version = self.text(node, key, &pointer),
                "author" => manifest.author = self.text(node, key, &pointer),
                "category" => manifest.category = self.text(node, key, &pointer),
                "entry" => manifest.entry = self.text(node, key, &pointer),
                "dependencies" => manifest.dependencies = self.texts(node, key, &pointer),
                "permissions" => manifest.permissions = self.texts(node, key, &pointer),
                "tables" => manifest.tables = Some(self.texts(node, key, &pointer)),
                "requirements" => {
                    manifest.requirements = self.map(node, key, &pointer, ENTRIES);
                }
                "files" => manifest.files = Some(self.map(node, key, &pointer, FILES)),
                "handler" => manifest.handler = self.handler(node, &pointer),
                "$schema" => {}
                _ => self.unknown_key(node, key, &pointer, KEYS),
            }
        }
        manifest
    }

    fn handler(&mut self, node: &Node, pointer: &str) -> Option<Handler> {
        let Some(object) = node.as_object() else {
            self.wrong_type(node, "handler", pointer, "an object");
            return None;
        };
        let (mut command, mut url) = (None, None);
        for (key, node) in object.iter() {
            let pointer = json::pointer_join(pointer, key);
            match key {
                "command" => command = Some(self.texts(node, "handler.command", &pointer)),
                "url" => url = self.text(node, "handler.url", &pointer),
                _ => self.unknown_key(node, key, &pointer, "command, url"),
            }
        }
        let place = node.place(FILE, pointer);
        match (command, url) {
            (Some(words), None) if words.first().is_some_and(|word| !word.is_empty()) => {
                Some(Handler::Command(words))
            }
            (None, Some(url)) if url.starts_with("http://") || url.starts_with("https://") => {
                Some(Handler::Url(url))
            }
            _ => {
                let reason = "it has either a `command` (a list of words, the first a program) \
                              or a `url` that begins with `http://` or `https://`";
                self.invalid(place, "handler", reason);
                None
            }
        }
    }

    fn text(&mut self, node: &Node, field: &str, pointer: &str) -> Option<String> {
        let Some(text) = node.as_str() else {
            self.wrong_type(node, field, pointer, "a text");
            return None;
        };
        if text.chars().count() > TEXT || text.contains('\0') {
            let reason = format!("at most {TEXT} characters, none of them NUL");
            self.invalid(node.place(FILE, pointer), field, &reason);
            return None;
        }
        Some(text.to_owned())
    }

    fn texts(&mut self, node: &Node, field: &str, pointer: &str) -> Vec<String> {
        let Some(items) = node.as_array() else {
            self.wrong_type(node, field, pointer, "a list of texts");
            return Vec::new();
        };
        if items.len() > ENTRIES {
            let reason = format!("at most {ENTRIES} entries");
            self.invalid(node.place(FILE, pointer), field, &reason);
            return Vec::new();
        }
        items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| self.text(item, field, &format!("{pointer}/{index}")))
            .collect()
    }

    fn map(
        &mut self,
        node: &Node,
        field: &str,
        pointer: &str,
        limit: usize,
    ) -> BTreeMap<String, String> {
        let Some(object) = node.as_object() else {
            self.wrong_type(node, field, pointer, "an object of texts");
            return BTreeMap::new();
        };
        let mut map = BTreeMap::new();
        for (key, node) in object.iter() {
            if map.len() >= limit {
                let reason = format!("at most {limit} entries");
                self.invalid(node.place(FILE, pointer), field, &reason);
                break;
            }
            let pointer = json::pointer_join(pointer, key);
            if let Some(text) = self.text(node, field, &pointer) {
                map.insert(key.to_owned(), text);
            }
        }
        map
    }

    fn wrong_type(&mut self, node: &Node, field: &str, pointer: &str, expected: &str) {
        self.push(codes::MANIFEST_FIELD_TYPE, node.place(FILE, pointer))
            .params
            .extend([
                ("field".to_owned(), field.to_owned()),
                ("expected".to_owned(), expected.to_owned()),
            ]);
    }

    fn unknown_key(&mut self, node: &Node, key: &str, pointer: &str, known: &str) {
        let finding = Finding::error(codes::UNKNOWN_KEY, node.place(FILE, pointer))
            .with("key", key)
            .with("allowed", known);
        self.findings.push(finding);
    }

    fn invalid(&mut self, place: Place, field: &str, reason: &str) {
        let finding = Finding::error(codes::APP_VALUE_INVALID, place)
            .with("field", field)
            .with("reason", reason);
        self.findings.push(finding);
    }

    fn push(&mut self, code: Code, place: Place) -> &mut Finding {
        self.findings.push(Finding::error(code, place));
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes_of(text: &str) -> Vec<(&'static str, String)> {
        let (_, findings) = parse(text.as_bytes());
        findings
            .into_iter()
            .map(|it| (it.code.as_str(), it.place.pointer))
            .collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let (manifest, findings) = parse(
            br#"{"name": "Demo", "display_name": "A demo", "permissions": ["network"],
                 "handler": {"command": ["python3", "handler.py"]}, "tables": ["t"],
                 "files": {"a.php": "00"}}"#,
        );
        assert_eq!(findings, []);
        assert_eq!(manifest.name.as_deref(), Some("Demo"));
        assert_eq!(
            manifest.handler,
            Some(Handler::Command(vec![
                "python3".into(),
                "handler.py".into()
            ]))
        );
        let stored = serde_json::to_value(&manifest).unwrap();
        assert_eq!(
            serde_json::from_value::<Manifest>(stored).unwrap(),
            manifest
        );
    }

    #[test]
    fn each_mistake_has_its_place() {
        assert_eq!(
            codes_of(r#"{"nam": 1, "author": 2, "dependencies": ["a", 1], "handler": {}}"#),
            [
                ("unknown_key", "/nam".to_owned()),
                ("manifest_field_type", "/author".to_owned()),
                ("manifest_field_type", "/dependencies/1".to_owned()),
                ("app_value_invalid", "/handler".to_owned()),
            ]
        );
        assert_eq!(codes_of("[]"), [("manifest_field_type", String::new())]);
        for handler in [
            r#"{"command": [], "url": "http://x"}"#,
            r#"{"command": [""]}"#,
            r#"{"url": "ftp://x"}"#,
        ] {
            let text = format!(r#"{{"handler": {handler}}}"#);
            assert_eq!(codes_of(&text).len(), 1, "{handler}");
        }
    }
}
