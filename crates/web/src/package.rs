//! Reading a package of this kind: pure, everything wrong with it at once.

mod cover;
mod limits;
mod reader;

use std::collections::BTreeMap;

use plugyard_archive::{Listing, PackageReader};
use plugyard_model::json::{self, Document};
use plugyard_model::{Code, Finding, Inspection, KindId, Place, Severity, codes, sort_findings};
use plugyard_platform::kind::Likeness;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

pub use self::limits::PackageLimits;
use self::reader::Reader;
use crate::columns::PluginType;
use crate::composer::{self, ForeignDependencies};

/// The kind's word.
pub const KIND: KindId = KindId::from_static("web");

/// Manifests of plugins and themes.
pub const MANIFESTS: [&str; 2] = ["plugin.json", "theme.json"];

/// What desktops leave in archives.
pub(crate) const JUNK: [&str; 2] = ["__MACOSX", ".DS_Store"];

/// Largest manifest.
const MANIFEST_LIMIT: u64 = 256 << 10;

/// So many findings of names are enough.
const FINDINGS: usize = 200;

/// What a manifest says, in the form that is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The plugin's identifier everywhere.
    pub fskey: String,
    /// Its kind, 1 to 5.
    #[serde(rename = "type")]
    pub plugin_type: u8,
    /// Display name.
    pub name: String,
    /// One line; may be empty.
    pub description: String,
    /// Who made it.
    pub author: String,
    /// The author's page.
    pub author_link: Option<String>,
    /// Semantic version.
    pub version: String,
    /// Where the plugin can be selected.
    pub scene: Vec<String>,
    /// Page for end users.
    pub access_path: Option<String>,
    /// Page for the operator.
    pub settings_path: Option<String>,
    /// Whether it is deployed on its own.
    pub is_standalone: bool,
    /// Entry points, in the order they are loaded in.
    pub providers: Vec<String>,
    /// Files included at load, relative to the plugin's directory.
    pub autoload_files: Vec<String>,
    /// What it needs and promises beside the columns.
    pub platform: Platform,
    /// What its `composer.json` requires.
    #[serde(default)]
    pub foreign_dependencies: ForeignDependencies,
    /// Short names of classes, for the application.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, String>,
    /// Members that mean nothing here, as they were.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub more: Map<String, Json>,
    /// Fields of a theme's settings.
    #[serde(default)]
    pub function_keys: Vec<FunctionKey>,
    /// What there is beside code.
    #[serde(default)]
    pub contents: Contents,
}

/// A field of a theme's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionKey {
    /// The configuration item it sets.
    pub item_key: String,
    /// `string`, `number`, `boolean`, `array`, `object`, `file`, `plugin` or `plugins`.
    pub item_type: String,
    /// Usually `themes`.
    pub item_tag: String,
    /// Whether its value differs by language.
    pub is_multilingual: bool,
    /// What can be chosen; nothing when anything can be written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Choice>,
}

/// What can be chosen in a field of a theme's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What people see.
    pub label: String,
    /// What is stored.
    pub value: Json,
}

/// What a package holds beside code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contents {
    /// `database/migrations/`.
    pub migrations: bool,
    /// `database/seeders/`.
    pub seeders: bool,
    /// What is published: `resources/assets/`, of themes `assets/`.
    pub assets: bool,
}

/// Where what is published lies in a package of this type.
#[must_use]
pub const fn asset_directory(is_theme: bool) -> &'static str {
    if is_theme {
        "assets"
    } else {
        "resources/assets"
    }
}

/// The `platform` object of a manifest; other systems ignore it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// Versions of the application it works with.
    pub core: Option<String>,
    /// Plugins it needs, with their versions.
    pub dependencies: BTreeMap<String, String>,
    /// Plugins it cannot be beside, with their versions.
    pub conflicts: BTreeMap<String, String>,
    /// Where the application answers whether the plugin works.
    pub health_path: Option<String>,
    /// Oldest version whose data this one can hand back.
    pub compatible_since: Option<String>,
    /// Whether its migrations can be taken back.
    pub reversible_migrations: Option<bool>,
}

/// Whether the names at the root say that a package is of this kind.
#[must_use]
pub fn is_one(names: &Listing) -> bool {
    MANIFESTS.iter().any(|file| names.has_file(file))
}

/// What the names say: also where one directory is around everything.
#[must_use]
pub fn recognise(names: &Listing) -> Likeness {
    let roots = names.root_names();
    let mut roots = roots.iter().filter(|root| !JUNK.contains(root));
    let wrapped = match (roots.next(), roots.next()) {
        (Some(directory), None) => MANIFESTS
            .iter()
            .any(|file| names.has_file(&format!("{directory}/{file}"))),
        _ => false,
    };
    let manifests = names.root_names();
    let manifests = manifests.iter().filter(|root| {
        let mut files = MANIFESTS.iter().map(|file| format!("{root}/{file}"));
        files.any(|file| names.has_file(&file))
    });
    if is_one(names) || wrapped {
        Likeness::Yes
    } else if manifests.count() > 1 {
        // Several plugins in one package, which the inspection says.
        Likeness::Maybe
    } else {
        Likeness::No
    }
}

/// Says everything about a package of this kind; `expected` is the fskey it is asked for. Of the limits those of
/// paths are looked at here, the others when the package is opened.
pub fn inspect(
    package: &dyn PackageReader,
    expected: Option<&str>,
    limits: &PackageLimits,
) -> Inspection {
    let names = package.listing();
    let mut findings = package.findings().to_vec();
    for finding in &mut findings {
        // Directories of an application may not tell letters' cases apart.
        if finding.code == codes::ARCHIVE_CASE_COLLISION {
            finding.severity = Severity::Error;
        }
        rename(finding);
    }
    beyond_limits(names, limits.possible(), &mut findings);
    let Some(file) = manifest_file(names, &mut findings) else {
        return Inspection::failed(Some(KIND), findings);
    };
    let Some(document) = read(package, &file, &mut findings) else {
        return Inspection::failed(Some(KIND), findings);
    };
    let Some(object) = document.root.as_object() else {
        findings.push(
            Finding::error(codes::E_FIELD_FORMAT, document.root.place(&file, ""))
                .with("field", &file)
                .with("expected", "object"),
        );
        return Inspection::failed(Some(KIND), findings);
    };
    let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
    let inside = |path: &str| match directory {
        "" => path.to_owned(),
        _ => format!("{directory}/{path}"),
    };
    let theme = file.ends_with("theme.json");
    let has = |path: &str| {
        let prefix = inside(path) + "/";
        names.files().any(|entry| entry.path.starts_with(&prefix))
    };
    let contents = Contents {
        migrations: !theme && has("database/migrations"),
        seeders: !theme && has("database/seeders"),
        assets: has(asset_directory(theme)),
    };
    let foreign = if theme {
        ForeignDependencies::default()
    } else {
        composer::read(package, &inside(composer::FILE), &mut findings)
    };
    let mut reader = Reader {
        theme,
        file: &file,
        root: &document.root,
        object,
        findings,
    };
    let manifest = reader.manifest(expected).map(|manifest| Manifest {
        foreign_dependencies: foreign,
        contents,
        ..manifest
    });
    let key = reader.text("fskey").map(str::to_owned);
    let version = reader.text("version").map(str::to_owned);
    let mut findings = reader.findings;
    // Files of an application that is deployed on its own are somebody else's.
    let elsewhere = |it: &Manifest| i64::from(it.plugin_type) == PluginType::Standalone as i64;
    if !manifest.as_ref().is_some_and(elsewhere) {
        cover::check(package, inside, theme, &mut findings);
    }
    sort_findings(&mut findings);
    Inspection {
        kind: Some(KIND),
        key,
        version,
        manifest: manifest.map_or(serde_json::Value::Null, |manifest| {
            serde_json::to_value(manifest).expect("a manifest can be written")
        }),
        findings,
    }
}

/// Names longer or deeper than packages of this kind may have; archives as such may have more.
fn beyond_limits(names: &Listing, limits: PackageLimits, findings: &mut Vec<Finding>) {
    for entry in &names.entries {
        let limit = |cause: Code| {
            Finding::error(codes::E_PACKAGE_LIMIT, Place::file(&entry.path))
                .with("cause", cause.as_str())
        };
        let (length, depth) = (entry.path.chars().count(), entry.path.split('/').count());
        if length > limits.path_length {
            let finding = limit(codes::ARCHIVE_NAME_TOO_LONG);
            findings.push(
                finding
                    .with("length", length)
                    .with("limit", limits.path_length),
            );
        }
        if depth > limits.depth {
            let finding = limit(codes::ARCHIVE_NAME_TOO_DEEP);
            findings.push(finding.with("depth", depth).with("limit", limits.depth));
        }
        if findings.len() > FINDINGS {
            return;
        }
    }
}

/// Calls an error about the archive what registries of web plugins call it.
fn rename(finding: &mut Finding) {
    if finding.severity == Severity::Error
        && let Some(code) = unsafe_code(finding.code)
    {
        let cause = finding.code.as_str().to_owned();
        finding.params.insert("cause".to_owned(), cause);
        finding.code = code;
    }
}

/// What registries of web plugins call a finding about an archive: unsafe, or beyond a limit. Damage has no other
/// name.
fn unsafe_code(code: Code) -> Option<Code> {
    const LIMITS: [Code; 7] = [
        codes::ARCHIVE_NAME_TOO_LONG,
        codes::ARCHIVE_NAME_TOO_DEEP,
        codes::ARCHIVE_TOO_MANY_ENTRIES,
        codes::ARCHIVE_DIRECTORY_TOO_LARGE,
        codes::ARCHIVE_TOTAL_TOO_LARGE,
        codes::ARCHIVE_ENTRY_TOO_LARGE,
        codes::ARCHIVE_RATIO,
    ];
    const UNSAFE: [Code; 16] = [
        codes::ARCHIVE_END_AMBIGUOUS,
        codes::ARCHIVE_OVERLAP,
        codes::ARCHIVE_HEADER_MISMATCH,
        codes::ARCHIVE_NAME_ABSOLUTE,
        codes::ARCHIVE_NAME_DRIVE,
        codes::ARCHIVE_NAME_TRAVERSAL,
        codes::ARCHIVE_NAME_BACKSLASH,
        codes::ARCHIVE_NAME_CONTROL,
        codes::ARCHIVE_NAME_ENCODING,
        codes::ARCHIVE_LINK,
        codes::ARCHIVE_SPECIAL_FILE,
        codes::ARCHIVE_TYPE_CONFLICT,
        codes::ARCHIVE_DUPLICATE,
        codes::ARCHIVE_DUPLICATE_UNICODE,
        codes::ARCHIVE_CASE_COLLISION,
        codes::ARCHIVE_FILE_AS_DIRECTORY,
    ];
    if LIMITS.contains(&code) {
        return Some(codes::E_PACKAGE_LIMIT);
    }
    let is = UNSAFE.contains(&code) || code == codes::ARCHIVE_ENCRYPTED;
    is.then_some(codes::E_PACKAGE_UNSAFE)
}

/// The one manifest: at the root, else in the one directory around everything (as code hosts pack).
fn manifest_file(names: &Listing, findings: &mut Vec<Finding>) -> Option<String> {
    let ignored = |root: &&str| !JUNK.contains(root);
    let roots: Vec<&str> = names.root_names().into_iter().filter(ignored).collect();
    let inner: Vec<String> = roots.iter().map(|root| format!("{root}/")).collect();
    for (directories, alone) in [
        (vec![String::new()], true),
        // One that is around a part only is no package, two are no one package.
        (inner, roots.len() == 1),
    ] {
        let files = directories.iter().flat_map(|directory| {
            let inside = MANIFESTS.iter();
            inside.map(move |file| format!("{directory}{file}"))
        });
        let mut found: Vec<String> = files.filter(|file| names.has_file(file)).collect();
        match found.len() {
            0 => {}
            1 if alone => return found.pop(),
            1 => break,
            _ => {
                findings.push(
                    Finding::error(codes::E_PACKAGE_AMBIGUOUS, Place::default())
                        .with("found", found.join(", ")),
                );
                return None;
            }
        }
    }
    findings.push(Finding::error(
        codes::E_PACKAGE_NO_MANIFEST,
        Place::default(),
    ));
    None
}

fn read(package: &dyn PackageReader, file: &str, findings: &mut Vec<Finding>) -> Option<Document> {
    let bytes = match package.read(file, MANIFEST_LIMIT) {
        Ok(bytes) => bytes,
        Err(error) => {
            let mut finding = error.to_finding();
            rename(&mut finding);
            findings.push(finding);
            return None;
        }
    };
    match json::parse(&bytes, json::Options::default()) {
        Ok(document) => {
            findings.extend(document.duplicates.iter().map(|duplicate| {
                let place = Place::pointer(file, &duplicate.pointer)
                    .at(duplicate.again.line, duplicate.again.column);
                Finding::error(codes::E_MANIFEST_DUPLICATE_KEY, place).with("key", &duplicate.key)
            }));
            Some(document)
        }
        Err(error) => {
            let place = Place::file(file).at(error.at.line, error.at.column);
            findings.push(
                Finding::error(codes::E_MANIFEST_SYNTAX, place)
                    .with("line", error.at.line)
                    .with("column", error.at.column)
                    .with("kind", error.kind.code()),
            );
            None
        }
    }
}
