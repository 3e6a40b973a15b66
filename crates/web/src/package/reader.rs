//! What a manifest says, member by member, with everything wrong with it.

use std::collections::BTreeMap;

use plugyard_model::json::{self, Node, Object};
use plugyard_model::{Finding, Place, Severity, codes};
use serde_json::{Map, Value as Json};

use super::{Choice, Contents, FunctionKey, Manifest, Platform};
use crate::columns::{self, Issue, PluginType, closest};
use crate::composer::ForeignDependencies;

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

/// Members of `platform`.
const PLATFORM_KEYS: &[&str] = &[
    "core",
    "dependencies",
    "conflicts",
    "healthPath",
    "compatibleSince",
    "reversibleMigrations",
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

/// What a text must be like: how that is called, and whether one is.
type Form<'f> = (&'f str, fn(&str) -> bool);

/// The manifest of a package, read member by member.
pub(super) struct Reader<'a> {
    pub(super) theme: bool,
    pub(super) file: &'a str,
    pub(super) root: &'a Node,
    pub(super) object: &'a Object,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Reader<'a> {
    /// The manifest, when nothing keeps it from being stored.
    pub(super) fn manifest(&mut self, expected: Option<&str>) -> Option<Manifest> {
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
        let providers = self.texts("providers", None);
        let autoload_files = self.texts("autoloadFiles", Some(("relative path", is_inside)));
        let aliases = self.aliases();
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
            aliases,
            more: self.more(),
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

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.member(key).and_then(|(_, value)| value.as_str())
    }

    fn place(&self, key: &str) -> Place {
        match self.member(key) {
            Some((name, value)) => value.place(self.file, &json::pointer_join("", name)),
            None => self.root.place(self.file, ""),
        }
    }

    /// Notes what is wrong with a member, with what is written there.
    fn found(&mut self, key: &str, issue: Issue) {
        let issue = match self.member(key) {
            Some((_, node)) => quoting(node, issue),
            None => issue,
        };
        self.push(self.place(key), issue);
    }

    fn wrong_type(&mut self, key: &str, expected: &str) {
        let issue = Issue::error(codes::E_FIELD_FORMAT)
            .with("field", key)
            .with("expected", expected);
        self.found(key, issue);
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
                number @ (Some(4) | None) => {
                    let shown = value.to_serde().to_string();
                    let issue = columns::type_out_of_range(shown).with("allowed", "1, 2, 3, 5");
                    let issue = match number {
                        Some(_) => issue.with("manifest", "theme.json"),
                        None => issue,
                    };
                    self.found("type", issue);
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

    /// A list of texts, all of which are of a form where one is given.
    fn texts(&mut self, key: &str, form: Option<Form<'_>>) -> Vec<String> {
        let Some((_, value)) = self.member(key).filter(|(_, value)| !value.is_null()) else {
            return Vec::new();
        };
        let Some(items) = value.as_array() else {
            self.wrong_type(key, "array");
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let expected = match (item.as_str(), form) {
                (None, _) => "string",
                (Some(text), Some((expected, is_taken))) if !is_taken(text) => expected,
                (Some(text), _) => {
                    texts.push(text.to_owned());
                    continue;
                }
            };
            let field = format!("{key}/{index}");
            let place = item.place(self.file, &format!("/{field}"));
            let issue = Issue::error(codes::E_FIELD_FORMAT)
                .with("field", field)
                .with("expected", expected);
            self.push(place, quoting(item, issue));
        }
        texts
    }

    fn push(&mut self, place: Place, issue: Issue) {
        self.findings.push(Finding {
            code: issue.code,
            severity: issue.severity,
            place,
            params: issue.params,
            own_text: None,
        });
    }

    /// Short names, carried as they are.
    fn aliases(&mut self) -> BTreeMap<String, String> {
        let Some((_, value)) = self.member("aliases").filter(|(_, value)| !value.is_null()) else {
            return BTreeMap::new();
        };
        let pairs = value.as_object().and_then(|object| {
            let text =
                |(name, node): (&str, &Node)| Some((name.to_owned(), node.as_str()?.to_owned()));
            object.iter().map(text).collect()
        });
        if pairs.is_none() {
            self.wrong_type("aliases", "object");
        }
        pairs.unwrap_or_default()
    }

    /// Members that are not known, for the stored copy.
    fn more(&self) -> Map<String, Json> {
        let unknown = self.object.iter().filter(|(key, _)| !self.is_known(key));
        unknown
            .map(|(key, value)| (key.to_owned(), value.to_serde()))
            .collect()
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
        for (key, value) in object
            .iter()
            .filter(|(key, _)| !PLATFORM_KEYS.contains(key))
        {
            let place = value.place(self.file, &json::pointer_join("/platform", key));
            self.unknown(key, place, PLATFORM_KEYS);
        }
        let health_path = self.platform_text(object, "healthPath");
        if let Some(path) = &health_path {
            let (_, issues) = columns::path(path, columns::PATH_MAX_LIMIT);
            for issue in issues {
                self.within(object, "healthPath", issue);
            }
        }
        let compatible_since = self.platform_text(object, "compatibleSince");
        if let Some(since) = &compatible_since
            && semver::Version::parse(since).is_err()
        {
            let issue = Issue::error(codes::E_VERSION_FORMAT).with("value", since);
            self.within(object, "compatibleSince", issue);
        }
        let core = self.platform_text(object, "core");
        if let Some(range) = &core
            && semver::VersionReq::parse(range).is_err()
        {
            self.within(object, "core", no_range("platform.core", range));
        }
        let reversible = object
            .get("reversibleMigrations")
            .filter(|it| !it.is_null());
        if reversible.is_some_and(|it| it.as_bool().is_none()) {
            self.within_type(object, "reversibleMigrations", "boolean");
        }
        Platform {
            core,
            dependencies: self.ranges(object, "dependencies"),
            conflicts: self.ranges(object, "conflicts"),
            health_path,
            compatible_since,
            reversible_migrations: reversible.and_then(Node::as_bool),
        }
    }

    fn platform_text(&mut self, object: &Object, key: &str) -> Option<String> {
        let value = object.get(key).filter(|value| !value.is_null())?;
        let text = value.as_str().map(str::to_owned);
        if text.is_none() {
            self.within_type(object, key, "string");
        }
        text
    }

    /// Versions of other plugins, by their fskeys.
    fn ranges(&mut self, platform: &Object, key: &str) -> BTreeMap<String, String> {
        let Some(value) = platform.get(key).filter(|value| !value.is_null()) else {
            return BTreeMap::new();
        };
        let Some(object) = value.as_object() else {
            self.within_type(platform, key, "object");
            return BTreeMap::new();
        };
        let mut ranges = BTreeMap::new();
        for (name, node) in object.iter() {
            let at = json::pointer_join(&format!("/platform/{key}"), name);
            let place = node.place(self.file, &at);
            let mut wrong = |issue: Issue| {
                self.findings.push(Finding {
                    code: issue.code,
                    severity: issue.severity,
                    place: place.clone(),
                    params: issue.params,
                    own_text: None,
                });
            };
            if let Err(issue) = columns::fskey(name) {
                wrong(issue);
            }
            match node.as_str() {
                Some(range) if semver::VersionReq::parse(range).is_ok() => {
                    ranges.insert(name.to_owned(), range.to_owned());
                }
                Some(range) => wrong(no_range(format_args!("platform.{key}.{name}"), range)),
                None => wrong(
                    Issue::error(codes::E_FIELD_FORMAT)
                        .with("field", format_args!("platform.{key}.{name}"))
                        .with("expected", "string"),
                ),
            }
        }
        ranges
    }

    /// Notes what is wrong with a member of `platform`.
    fn within(&mut self, platform: &Object, key: &str, issue: Issue) {
        let at = json::pointer_join("/platform", key);
        let place = match platform.get(key) {
            Some(node) => node.place(self.file, &at),
            None => self.place("platform"),
        };
        self.findings.push(Finding {
            code: issue.code,
            severity: issue.severity,
            place,
            params: issue.params,
            own_text: None,
        });
    }

    fn within_type(&mut self, platform: &Object, key: &str, expected: &str) {
        let issue = Issue::error(codes::E_FIELD_FORMAT)
            .with("field", format_args!("platform.{key}"))
            .with("expected", expected);
        self.within(platform, key, issue);
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
            let mut wrong = |node: &Node, key: &str, issue: Issue| {
                self.findings.push(Finding {
                    code: issue.code,
                    severity: issue.severity,
                    place: node.place(self.file, &pointer(key)),
                    params: issue.params,
                    own_text: None,
                });
            };
            let format = |key: &str, expected: &str| {
                Issue::error(codes::E_FIELD_FORMAT)
                    .with("field", key)
                    .with("expected", expected)
            };
            let Some(object) = item.as_object() else {
                wrong(item, "", format("functionKeys", "object"));
                continue;
            };
            let options = choices(object.get("options"));
            if options.is_none() {
                let issue = format("options", "[{\"label\", \"value\"}]");
                wrong(object.get("options").unwrap_or(item), "options", issue);
            }
            let text = |key: &str| object.get(key).and_then(Node::as_str);
            let item_type = text("itemType").unwrap_or_default();
            if !ITEM_TYPES.contains(&item_type) {
                let issue = format("itemType", &ITEM_TYPES.join(" | "));
                let node = object.get("itemType");
                let issue = match node {
                    Some(node) => quoting(node, issue),
                    None => issue,
                };
                wrong(node.unwrap_or(item), "itemType", issue);
            }
            let item_key = text("itemKey").unwrap_or_default().to_owned();
            let twice = keys.iter().any(|key| key.item_key == item_key);
            let node = object.get("itemKey");
            let issue = match node {
                None => Some(Issue::error(codes::E_FIELD_REQUIRED).with("field", "itemKey")),
                Some(node) if node.as_str().is_none() => {
                    Some(quoting(node, format("itemKey", "string")))
                }
                Some(_) if twice => Some(
                    Issue::error(codes::E_FIELD_DUPLICATE)
                        .with("field", "functionKeys")
                        .with("value", &item_key),
                ),
                Some(_) => columns::line("itemKey", &item_key, 1, 64).err(),
            };
            if let Some(issue) = issue {
                wrong(node.unwrap_or(item), "itemKey", issue);
            }
            keys.push(FunctionKey {
                item_key,
                item_type: item_type.to_owned(),
                item_tag: text("itemTag").unwrap_or("themes").to_owned(),
                is_multilingual: object
                    .get("isMultilingual")
                    .and_then(Node::as_bool)
                    .unwrap_or(false),
                options: options.unwrap_or_default(),
            });
        }
        keys
    }

    /// Whether a member means something here.
    fn is_known(&self, key: &str) -> bool {
        let known = if self.theme { THEME_KEYS } else { PLUGIN_KEYS };
        let alias = |(name, alias): &(&str, &str)| *alias == key && known.contains(name);
        known.contains(&key) || ALIASES.iter().any(alias)
    }

    fn unknown_keys(&mut self) {
        let known = if self.theme { THEME_KEYS } else { PLUGIN_KEYS };
        let object = self.object;
        for (key, value) in object.iter() {
            if !self.is_known(key) {
                let place = value.place(self.file, &json::pointer_join("", key));
                self.unknown(key, place, known);
            }
        }
    }

    fn unknown(&mut self, key: &str, place: Place, known: &[&str]) {
        let mut finding = Finding::warning(codes::W_MANIFEST_UNKNOWN_KEY, place).with("key", key);
        if let Some(suggestion) = closest(key, known.iter().copied()) {
            finding = finding.with("suggestion", suggestion);
        }
        self.findings.push(finding);
    }
}

/// Adds what is written to an issue that does not mention it.
fn quoting(node: &Node, issue: Issue) -> Issue {
    if issue.params.contains_key("value") {
        return issue;
    }
    match node.as_str() {
        Some(text) => issue.with("value", text),
        None => issue.with("value", node.to_serde()),
    }
}

/// The finding for versions that are no range.
fn no_range(field: impl ToString, range: &str) -> Issue {
    Issue::error(codes::E_FIELD_FORMAT)
        .with("field", field)
        .with("expected", "version range")
        .with("value", range)
}

/// What can be chosen; `None` when that is written in another form.
fn choices(options: Option<&Node>) -> Option<Vec<Choice>> {
    let Some(options) = options.filter(|it| !it.is_null()) else {
        return Some(Vec::new());
    };
    let choice = |node: &Node| {
        let object = node.as_object()?;
        let value = object.get("value")?.to_serde();
        let label = match object.get("label") {
            Some(label) => label.as_str()?.to_owned(),
            None => value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        };
        (!value.is_object() && !value.is_array()).then_some(Choice { label, value })
    };
    options.as_array()?.iter().map(choice).collect()
}

/// A relative path that stays inside.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with('/')
        && !path.contains('\\')
        && !path.split('/').any(|segment| segment == "..")
}
