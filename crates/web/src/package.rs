//! Reading a package of this kind: pure, everything wrong with it at once.

use std::collections::BTreeMap;

use plugyard_archive::{Listing, PackageReader};
use plugyard_model::json::{self, Document, Node, Object};
use plugyard_model::{Finding, Inspection, KindId, Place, Severity, codes, sort_findings};
use plugyard_platform::kind::Likeness;
use serde::{Deserialize, Serialize};

use crate::columns::{self, Issue, PluginType, closest};
use crate::composer::{self, ForeignDependencies};

/// The kind's word.
pub const KIND: KindId = KindId::from_static("web");

/// Manifests of plugins and themes.
pub const MANIFESTS: [&str; 2] = ["plugin.json", "theme.json"];

/// What desktops leave in archives.
pub(crate) const JUNK: [&str; 2] = ["__MACOSX", ".DS_Store"];

/// Largest manifest.
const MANIFEST_LIMIT: u64 = 256 << 10;

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
    if is_one(names) || wrapped {
        Likeness::Yes
    } else {
        Likeness::No
    }
}

/// Says everything about a package of this kind; `expected` is the fskey it is asked for.
pub fn inspect(package: &dyn PackageReader, expected: Option<&str>) -> Inspection {
    let names = package.listing();
    let mut findings = package.findings().to_vec();
    // Directories of an application may not tell letters' cases apart.
    for finding in &mut findings {
        if finding.code == codes::ARCHIVE_CASE_COLLISION {
            finding.severity = Severity::Error;
        }
    }
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

/// The one manifest: at the root, else in the one directory around everything (as code hosts pack).
fn manifest_file(names: &Listing, findings: &mut Vec<Finding>) -> Option<String> {
    let ignored = |root: &&str| !JUNK.contains(root);
    let roots: Vec<&str> = names.root_names().into_iter().filter(ignored).collect();
    let inner = match roots.as_slice() {
        [directory] => vec![format!("{directory}/")],
        _ => Vec::new(),
    };
    for directory in std::iter::once(String::new()).chain(inner) {
        let found: Vec<String> = MANIFESTS
            .iter()
            .map(|file| format!("{directory}{file}"))
            .filter(|file| names.has_file(file))
            .collect();
        match found.as_slice() {
            [] => {}
            [file] => return Some(file.clone()),
            several => {
                findings.push(
                    Finding::error(codes::E_PACKAGE_AMBIGUOUS, Place::default())
                        .with("found", several.join(", ")),
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
            findings.push(error.to_finding());
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

/// Keys and the spelling of another generation.
const ALIASES: [(&str, &str); 3] = [
    ("author", "developer"),
    ("authorLink", "website"),
    ("scene", "panelUsages"),
];

const PLUGIN_KEYS: &[&str] = &[
    "fskey",
    "type",
    "name",
    "description",
    "author",
    "authorLink",
    "version",
    "scene",
    "accessPath",
    "settingsPath",
    "isStandalone",
    "providers",
    "autoloadFiles",
    "aliases",
    "platform",
];

/// Types of a theme's settings.
const ITEM_TYPES: [&str; 8] = [
    "string", "number", "boolean", "array", "object", "file", "plugin", "plugins",
];

const THEME_KEYS: &[&str] = &[
    "fskey",
    "name",
    "description",
    "author",
    "authorLink",
    "version",
    "functions",
    "functionKeys",
];

struct Reader<'a> {
    theme: bool,
    file: &'a str,
    root: &'a Node,
    object: &'a Object,
    findings: Vec<Finding>,
}

impl<'a> Reader<'a> {
    /// The manifest, when nothing keeps it from being stored.
    fn manifest(&mut self, expected: Option<&str>) -> Option<Manifest> {
        self.unknown_keys();
        let fskey = self.column("fskey", |text| {
            columns::fskey(text).map(|()| text.to_owned())
        });
        if let (Some(actual), Some(expected)) = (&fskey, expected)
            && actual != expected
        {
            let finding = Finding::error(codes::E_FSKEY_MISMATCH, self.place("fskey"))
                .with("actual", actual)
                .with("expected", expected);
            self.findings.push(finding);
        }
        let name = self.column("name", columns::name);
        let description = self.column("description", columns::description);
        let author = self.column("author", columns::author);
        let version = self.column("version", |text| {
            columns::version(text).map(|_| text.to_owned())
        });
        let author_link = self.optional("authorLink", columns::author_link);
        let (plugin_type, is_standalone) = self.plugin_type();
        let scene = self.scene();
        let (access_path, settings_path) = if self.theme {
            let form = self.flag("functions").unwrap_or(false);
            // The form is rendered from the theme's own keys, under its fskey.
            (None, form.then(|| fskey.clone()).flatten())
        } else {
            (self.path("accessPath"), self.path("settingsPath"))
        };
        if is_standalone && plugin_type != PluginType::Standalone && access_path.is_some() {
            let place = self.place("accessPath");
            self.findings
                .push(Finding::warning(codes::W_STANDALONE_WITHOUT_HOST, place));
        }
        let providers = self.texts("providers", |_| true);
        let autoload_files = self.texts("autoloadFiles", is_inside);
        let platform = self.platform();
        let function_keys = self.function_keys();
        if self
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
        {
            return None;
        }
        Some(Manifest {
            fskey: fskey?,
            plugin_type: plugin_type as u8,
            name: name?,
            description: description?,
            author: author?,
            author_link: author_link.flatten(),
            version: version?,
            scene,
            access_path,
            settings_path,
            is_standalone,
            providers,
            autoload_files,
            platform,
            foreign_dependencies: ForeignDependencies::default(),
            function_keys,
            contents: Contents::default(),
        })
    }

    /// A key's value under either of its names.
    fn member(&self, key: &str) -> Option<(&'a str, &'a Node)> {
        let alias = ALIASES.iter().find(|(name, _)| *name == key);
        let names = std::iter::once(key).chain(alias.map(|(_, alias)| *alias));
        names
            .filter_map(|name| self.object.member(name))
            .map(|member| (member.key.as_str(), &member.node))
            .next()
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.member(key).and_then(|(_, value)| value.as_str())
    }

    fn place(&self, key: &str) -> Place {
        match self.member(key) {
            Some((name, value)) => value.place(self.file, &json::pointer_join("", name)),
            None => self.root.place(self.file, ""),
        }
    }

    fn found(&mut self, key: &str, issue: Issue) {
        let finding = Finding {
            code: issue.code,
            severity: issue.severity,
            place: self.place(key),
            params: issue.params,
        };
        self.findings.push(finding);
    }

    fn wrong_type(&mut self, key: &str, expected: &str) {
        let finding = Finding::error(codes::E_FIELD_FORMAT, self.place(key))
            .with("field", key)
            .with("expected", expected);
        self.findings.push(finding);
    }

    /// A mandatory text.
    fn column<T>(&mut self, key: &str, check: impl FnOnce(&str) -> Result<T, Issue>) -> Option<T> {
        if self.member(key).is_none() {
            let finding =
                Finding::error(codes::E_FIELD_REQUIRED, self.place(key)).with("field", key);
            self.findings.push(finding);
            return None;
        }
        let Some(text) = self.text(key) else {
            self.wrong_type(key, "string");
            return None;
        };
        match check(text) {
            Ok(value) => Some(value),
            Err(issue) => {
                self.found(key, issue);
                None
            }
        }
    }

    /// A text that may be absent or null.
    fn optional<T>(
        &mut self,
        key: &str,
        check: impl FnOnce(&str) -> Result<T, Issue>,
    ) -> Option<T> {
        let (_, value) = self.member(key)?;
        if value.is_null() {
            return None;
        }
        self.column(key, check)
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        let (_, value) = self.member(key)?;
        let number = value.as_number().and_then(json::Number::as_i64);
        let flag = match (value.as_bool(), number) {
            (Some(flag), _) => Some(flag),
            (None, Some(0)) => Some(false),
            (None, Some(1)) => Some(true),
            _ => None,
        };
        if flag.is_none() {
            self.wrong_type(key, "boolean");
        }
        flag
    }

    fn plugin_type(&mut self) -> (PluginType, bool) {
        if self.theme {
            return (PluginType::Theme, false);
        }
        let standalone = self.flag("isStandalone");
        let number = match self.member("type") {
            None => 1,
            Some((_, value)) => match value.as_number().and_then(json::Number::as_i64) {
                // Themes come from `theme.json` only.
                Some(4) | None => {
                    let shown = value.to_serde().to_string();
                    self.found("type", columns::type_out_of_range(shown));
                    return (PluginType::Extension, false);
                }
                Some(number) => number,
            },
        };
        match columns::plugin_type(number, standalone) {
            Ok(both) => both,
            Err(issue) => {
                let key = if issue.code == codes::E_TYPE_RANGE {
                    "type"
                } else {
                    "isStandalone"
                };
                self.found(key, issue);
                (PluginType::Extension, false)
            }
        }
    }

    fn scene(&mut self) -> Vec<String> {
        let Some((_, value)) = self.member("scene").filter(|(_, value)| !value.is_null()) else {
            return Vec::new();
        };
        let words: Option<Vec<&str>> = value
            .as_array()
            .and_then(|items| items.iter().map(Node::as_str).collect());
        let Some(words) = words else {
            self.found("scene", columns::scene_malformed());
            return Vec::new();
        };
        match columns::scene(words) {
            Ok((stored, warnings)) => {
                for warning in warnings {
                    self.found("scene", warning);
                }
                stored
            }
            Err(issue) => {
                self.found("scene", issue);
                Vec::new()
            }
        }
    }

    fn path(&mut self, key: &str) -> Option<String> {
        let (_, value) = self.member(key).filter(|(_, value)| !value.is_null())?;
        let Some(text) = value.as_str() else {
            self.wrong_type(key, "string");
            return None;
        };
        // A package is the same everywhere, so the widest limit counts here, not this site's setting.
        let (path, issues) = columns::path(text, columns::PATH_MAX_LIMIT);
        for issue in issues {
            self.found(key, issue);
        }
        path
    }

    fn texts(&mut self, key: &str, taken: impl Fn(&str) -> bool) -> Vec<String> {
        let Some((_, value)) = self.member(key).filter(|(_, value)| !value.is_null()) else {
            return Vec::new();
        };
        let texts: Option<Vec<String>> = value.as_array().and_then(|items| {
            let text = |item: &Node| item.as_str().filter(|text| taken(text)).map(str::to_owned);
            items.iter().map(text).collect()
        });
        if texts.is_none() {
            self.wrong_type(key, "array");
        }
        texts.unwrap_or_default()
    }

    fn platform(&mut self) -> Platform {
        let Some((_, value)) = self
            .member("platform")
            .filter(|(_, value)| !value.is_null())
        else {
            return Platform::default();
        };
        let Some(object) = value.as_object() else {
            self.wrong_type("platform", "object");
            return Platform::default();
        };
        let text = |key: &str| object.get(key).and_then(Node::as_str).map(str::to_owned);
        let versions = |key: &str| -> BTreeMap<String, String> {
            let entries = object.get(key).and_then(Node::as_object);
            let pairs = entries.into_iter().flat_map(Object::iter);
            pairs
                .filter_map(|(name, range)| Some((name.to_owned(), range.as_str()?.to_owned())))
                .collect()
        };
        let platform = Platform {
            core: text("core"),
            dependencies: versions("dependencies"),
            conflicts: versions("conflicts"),
            health_path: text("healthPath"),
            compatible_since: text("compatibleSince"),
            reversible_migrations: object.get("reversibleMigrations").and_then(Node::as_bool),
        };
        if let Some(path) = &platform.health_path {
            let (_, issues) = columns::path(path, columns::PATH_MAX_LIMIT);
            for issue in issues {
                self.found("platform", issue);
            }
        }
        if let Some(since) = &platform.compatible_since
            && semver::Version::parse(since).is_err()
        {
            let finding = Finding::error(codes::E_VERSION_FORMAT, self.place("platform"))
                .with("value", since);
            self.findings.push(finding);
        }
        let ranges = platform
            .dependencies
            .values()
            .chain(platform.conflicts.values());
        for range in ranges.chain(platform.core.as_ref()) {
            if let Err(_not_one) = semver::VersionReq::parse(range) {
                let finding = Finding::error(codes::E_VERSION_FORMAT, self.place("platform"))
                    .with("value", range);
                self.findings.push(finding);
            }
        }
        platform
    }

    /// The fields of a theme's settings, each key once.
    fn function_keys(&mut self) -> Vec<FunctionKey> {
        let Some((_, value)) = self
            .member("functionKeys")
            .filter(|(_, value)| self.theme && !value.is_null())
        else {
            return Vec::new();
        };
        let Some(items) = value.as_array() else {
            self.wrong_type("functionKeys", "array");
            return Vec::new();
        };
        let mut keys: Vec<FunctionKey> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let pointer = |key: &str| format!("/functionKeys/{index}/{key}");
            let mut wrong = |node: &Node, key: &str, expected: &str| {
                let finding =
                    Finding::error(codes::E_FIELD_FORMAT, node.place(self.file, &pointer(key)));
                let finding = finding.with("field", key).with("expected", expected);
                self.findings.push(finding);
            };
            let Some(object) = item.as_object() else {
                wrong(item, "", "object");
                continue;
            };
            let text = |key: &str| object.get(key).and_then(Node::as_str);
            let item_type = text("itemType").unwrap_or_default();
            if !ITEM_TYPES.contains(&item_type) {
                wrong(item, "itemType", "string");
            }
            let item_key = text("itemKey").unwrap_or_default().to_owned();
            let twice = keys.iter().any(|key| key.item_key == item_key);
            if item_key.is_empty() || item_key.len() > 64 || twice {
                wrong(item, "itemKey", "string");
            }
            keys.push(FunctionKey {
                item_key,
                item_type: item_type.to_owned(),
                item_tag: text("itemTag").unwrap_or("themes").to_owned(),
                is_multilingual: object
                    .get("isMultilingual")
                    .and_then(Node::as_bool)
                    .unwrap_or(false),
            });
        }
        keys
    }

    fn unknown_keys(&mut self) {
        let known = if self.theme { THEME_KEYS } else { PLUGIN_KEYS };
        let is_known = |key: &str| {
            known.contains(&key)
                || ALIASES
                    .iter()
                    .any(|(name, alias)| *alias == key && known.contains(name))
        };
        for (key, value) in self.object.iter().filter(|(key, _)| !is_known(key)) {
            let place = value.place(self.file, &json::pointer_join("", key));
            let mut finding =
                Finding::warning(codes::W_MANIFEST_UNKNOWN_KEY, place).with("key", key);
            if let Some(suggestion) = closest(key, known.iter().copied()) {
                finding = finding.with("suggestion", suggestion);
            }
            self.findings.push(finding);
        }
    }
}

/// A relative path that stays inside.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with('/')
        && !path.contains('\\')
        && !path.split('/').any(|segment| segment == "..")
}
