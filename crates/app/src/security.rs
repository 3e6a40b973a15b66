//! The security check of an installed or discovered plugin: integrity of its files, what its source code
//! does, and permissions (configuration specification §3.7).
//!
//! It only reads: no code of the plugin is run. Source code is parsed with the grammars of its language
//! (PHP, JavaScript, Python, shell), so that a name in a comment or a text is no call. What it finds is a
//! reason to look, not a proof: a language that makes code of text can hide anything.

mod code;
mod tree;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plugyard_config::Report;
use plugyard_model::{Finding, Lang, Params, Place, Severity, codes, sort_findings};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::manifest::{Handler, Manifest};
use crate::settings::{AppSettings, PERMISSIONS};
use crate::{name, package};
use plugyard_platform::files::{self, Difference};

/// How long a check may take.
pub(crate) const TIME: Duration = Duration::from_secs(30);
/// Errors of one category, and warnings; the rest is left out.
const MOST: usize = 1000;
/// Characters of a description that are enough.
const DESCRIPTION: usize = 1000;

/// What is checked.
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a str,
    /// Where its files are.
    pub(crate) directory: &'a Path,
    /// The package it was installed from, whose contents its files must equal.
    pub(crate) installed: Option<PathBuf>,
    pub(crate) manifest: &'a Manifest,
    pub(crate) description: &'a str,
    pub(crate) config: Option<Report>,
    pub(crate) settings: &'a AppSettings,
}

/// One category: its findings, in their order.
#[derive(Debug, Default)]
pub(crate) struct Category {
    findings: Vec<Finding>,
}

impl Category {
    fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Whether nothing in it is an error.
    pub(crate) fn valid(&self) -> bool {
        self.findings
            .iter()
            .all(|it| it.severity != Severity::Error)
    }

    fn finish(&mut self) {
        sort_findings(&mut self.findings);
        self.findings.dedup();
        // Each has its own bound, so that no number of warnings crowds an error out.
        let (mut errors, mut warnings) = (0, 0);
        self.findings.retain(|finding| {
            let count = match finding.severity {
                Severity::Error => &mut errors,
                _ => &mut warnings,
            };
            *count += 1;
            *count <= MOST
        });
    }

    fn document(&self, lang: Lang) -> Json {
        let of = |severity| {
            let items = self.findings.iter().filter(|it| it.severity == severity);
            items.map(|it| item(it, lang)).collect::<Vec<_>>()
        };
        serde_json::json!({
            "valid": self.valid(),
            "errors": of(Severity::Error),
            "warnings": of(Severity::Warning),
        })
    }
}

/// What came of a check.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) file_integrity: Category,
    pub(crate) code_security: Category,
    pub(crate) permissions: Category,
    pub(crate) syntax: Category,
    pub(crate) config: Option<Report>,
    /// SHA-256 over the names and contents of all files.
    pub(crate) digest: String,
}

impl Outcome {
    /// Whether every category is valid.
    pub(crate) fn valid(&self) -> bool {
        [
            &self.file_integrity,
            &self.code_security,
            &self.permissions,
            &self.syntax,
        ]
        .into_iter()
        .all(Category::valid)
            && self.config.as_ref().is_none_or(Report::valid)
    }

    /// The answer, in a language. `checked_at` is RFC 3339.
    pub(crate) fn document(&self, plugin: &str, checked_at: &str, lang: Lang) -> Json {
        let mut document = Map::new();
        document.insert("plugin".to_owned(), plugin.into());
        document.insert("valid".to_owned(), self.valid().into());
        document.insert("checked_at".to_owned(), checked_at.into());
        document.insert("digest".to_owned(), self.digest.as_str().into());
        for (name, category) in [
            ("file_integrity", &self.file_integrity),
            ("code_security", &self.code_security),
            ("permissions", &self.permissions),
            ("syntax", &self.syntax),
        ] {
            document.insert(name.to_owned(), category.document(lang));
        }
        if let Some(report) = &self.config {
            let report = report.document(&format!("plugins/{plugin}/{}", package::CONFIG), lang);
            let report = serde_json::to_value(report).unwrap_or_default();
            document.insert("config".to_owned(), report);
        }
        Json::Object(document)
    }
}

#[derive(Serialize)]
struct Item<'a> {
    code: &'static str,
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    message: String,
    messages: Messages,
    params: &'a Params,
}

#[derive(Serialize)]
struct Messages {
    #[serde(rename = "zh-CN")]
    zh: String,
    en: String,
}

fn item(finding: &Finding, lang: Lang) -> Json {
    serde_json::to_value(Item {
        code: finding.code.as_str(),
        file: &finding.place.file,
        line: finding.place.line,
        message: finding.text(lang),
        messages: Messages {
            zh: finding.text(Lang::ZhCn),
            en: finding.text(Lang::En),
        },
        params: &finding.params,
    })
    .unwrap_or_default()
}

/// Looks at everything. Reads files, so call it where blocking is fine.
pub(crate) fn check(subject: Subject<'_>) -> Outcome {
    let deadline = Instant::now() + TIME;
    let mut outcome = Outcome::default();
    let found = tree::walk(subject.directory, &mut outcome);
    integrity(&subject, &found, &mut outcome);
    let used = code::check(&subject, &found, deadline, &mut outcome);
    permissions(&subject, &used, &mut outcome.permissions);
    outcome.digest = tree::digest(&found);
    outcome.config = subject.config;
    for category in [
        &mut outcome.file_integrity,
        &mut outcome.code_security,
        &mut outcome.permissions,
        &mut outcome.syntax,
    ] {
        category.finish();
    }
    outcome
}

fn integrity(subject: &Subject<'_>, found: &[tree::File], outcome: &mut Outcome) {
    let category = &mut outcome.file_integrity;
    if let Some(package) = &subject.installed {
        let compared = files::open_package(package)
            .map_err(|error| error.to_string())
            .and_then(|zip| files::differences(&zip, subject.directory));
        match compared {
            Ok(differences) => {
                for (path, difference) in differences {
                    tell_difference(category, &path, difference);
                }
            }
            Err(reason) => {
                let finding = Finding::error(codes::SECURITY_UNREADABLE, Place::default());
                category.push(finding.with("file", "").with("reason", reason));
            }
        }
    }
    listed(subject, found, category);
    if subject.installed.is_none() && subject.manifest.files.is_none() {
        let code = codes::SECURITY_MANIFEST_ABSENT;
        category.push(Finding::warning(code, Place::default()));
    }
    if let Some(entry) = &subject.manifest.entry
        && !found.iter().any(|file| file.path == *entry)
    {
        tell_difference(category, entry, Difference::Missing);
    }
    let declared = declared(subject.manifest);
    for file in found {
        let place = || Place::file(&file.path);
        let name = file.path.rsplit('/').next().unwrap_or_default();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let extension = extension.to_ascii_lowercase();
        let program = ["exe", "bat", "cmd", "sh", "dll", "so"].contains(&extension.as_str());
        if program && !declared.contains(&file.path.as_str()) {
            let code = codes::SECURITY_PROGRAM_UNDECLARED;
            category.push(Finding::warning(code, place()).with("file", &file.path));
        }
        if file.size > 10 << 20 {
            let code = codes::SECURITY_FILE_LARGE;
            let finding = Finding::warning(code, place()).with("file", &file.path);
            category.push(finding.with("size", file.size));
        }
        if file.path.split('/').any(|part| part.starts_with('.')) {
            let code = codes::SECURITY_FILE_HIDDEN;
            category.push(Finding::warning(code, place()).with("file", &file.path));
        }
    }
}

/// What the manifest itself lists, with hashes.
fn listed(subject: &Subject<'_>, found: &[tree::File], category: &mut Category) {
    let Some(listed) = &subject.manifest.files else {
        return;
    };
    for (path, digest) in listed {
        match found.iter().find(|file| file.path == *path) {
            None => tell_difference(category, path, Difference::Missing),
            Some(file) if !tree::hex(&file.digest).eq_ignore_ascii_case(digest) => {
                tell_difference(category, path, Difference::Changed);
            }
            Some(_) => {}
        }
    }
    for file in found {
        let own = [crate::manifest::FILE, package::CONFIG].contains(&file.path.as_str());
        if !own && !listed.contains_key(&file.path) {
            tell_difference(category, &file.path, Difference::Foreign);
        }
    }
}

fn tell_difference(category: &mut Category, path: &str, difference: Difference) {
    let code = match difference {
        Difference::Missing => codes::SECURITY_FILE_MISSING,
        Difference::Changed => codes::SECURITY_HASH_MISMATCH,
        Difference::Foreign => codes::SECURITY_FILE_UNLISTED,
    };
    category.push(Finding::error(code, Place::file(path)).with("file", path));
}

/// The files that the manifest names as programs.
fn declared(manifest: &Manifest) -> Vec<&str> {
    let mut files: Vec<&str> = manifest.entry.iter().map(String::as_str).collect();
    if let Some(Handler::Command(words)) = &manifest.handler {
        let local = |word: &'_ String| word.strip_prefix("./").unwrap_or(word).len();
        files.extend(words.iter().map(|word| &word[word.len() - local(word)..]));
    }
    files
}

/// Names, and permissions asked for, given and used. What the files themselves permit is told by the walk.
fn permissions(subject: &Subject<'_>, used: &code::Used, category: &mut Category) {
    if let Some(wrong) = name::check(subject.name) {
        category.push(wrong);
    }
    let denied = &subject.settings.denied_names;
    if denied
        .iter()
        .any(|name| name.eq_ignore_ascii_case(subject.name))
    {
        let code = codes::SECURITY_NAME_DENIED;
        category.push(Finding::error(code, Place::default()).with("name", subject.name));
    }
    for (index, permission) in subject.manifest.permissions.iter().enumerate() {
        let place = || Place::pointer(crate::manifest::FILE, format!("/permissions/{index}"));
        let error = |code| Finding::error(code, place()).with("permission", permission);
        if !PERMISSIONS.contains(&permission.as_str()) {
            let known = PERMISSIONS.join(", ");
            category.push(error(codes::SECURITY_PERMISSION_UNKNOWN).with("known", known));
        } else if !subject.settings.permissions.contains(permission) {
            category.push(error(codes::SECURITY_PERMISSION_DENIED));
        } else if used.lacks(permission) {
            let code = codes::SECURITY_PERMISSION_UNUSED;
            category.push(Finding::warning(code, place()).with("permission", permission));
        }
    }
    let length = subject.description.chars().count();
    if length > DESCRIPTION {
        let place = Place::pointer(package::CONFIG, "/description");
        let finding = Finding::warning(codes::SECURITY_DESCRIPTION_LONG, place);
        category.push(finding.with("actual", length));
    }
}

#[cfg(test)]
mod tests;
