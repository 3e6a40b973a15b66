//! Reading a package of this kind: pure, everything wrong with it at once.
//!
//! [`inspect`] gives manifest and findings. [`upstream_text`] picks, of the findings of a refused
//! package, the one that eKuiper would have stumbled over first, in eKuiper's words.

use std::collections::BTreeSet;

use plugyard_archive::{Listing, PackageReader};
use plugyard_model::json::{self, Node, Object};
use plugyard_model::{
    Code, Finding, Inspection, KindId, Lang, Place, Severity, codes, sort_findings,
};

use plugyard_sandbox::PartialLimits;
use plugyard_symbol::SymbolKind;

use crate::config;
use crate::environment::requirements;
use crate::manifest::{Block, Handover, Language, Manifest, SourceBlock};

/// The kind's word.
pub const KIND: KindId = KindId::from_static("portable");

/// Manifests and metadata are small; configuration may be a little larger.
pub(crate) const DOCUMENT_LIMIT: u64 = 1 << 20;

/// Longest plugin or symbol name: it becomes `plugin_{name}.ipc` and `func_{name}.ipc` in a socket
/// address of at most 107 bytes.
pub const NAME_LIMIT: usize = 64;

/// What the names in a package say about its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signs {
    /// A root file that can be a manifest beside a folder of symbols.
    Strong,
    /// A root file that can be a manifest.
    Weak,
    /// Neither.
    None,
}

/// What the names alone say.
pub fn signs(names: &Listing) -> Signs {
    let root = |name: &str| names.entries.iter().any(|entry| entry.path == name);
    if root("plugin.json") || root("theme.json") || dockerfile(names).is_some() {
        return Signs::None;
    }
    let manifests = manifest_files(names).count();
    let folder = ["sources/", "sinks/", "functions/"]
        .iter()
        .any(|folder| names.files().any(|entry| entry.path.starts_with(folder)));
    match (manifests, folder) {
        (1.., true) => Signs::Strong,
        (1.., false) => Signs::Weak,
        _ => Signs::None,
    }
}

/// Says everything about a package of this kind; `expected` is the name it is to be installed under.
pub fn inspect(package: &dyn PackageReader, expected: Option<&str>) -> Inspection {
    let mut findings = package.findings().to_vec();
    let names = package.listing();
    if names.entries.is_empty() && package.has_errors() {
        // Of an archive that cannot be read nothing is known but why.
        return Inspection::failed(Some(KIND), findings);
    }
    let Some(name) = expected.map(str::to_owned).or_else(|| guess_name(package)) else {
        findings.extend(missing_manifest(names, None));
        return Inspection::failed(Some(KIND), findings);
    };
    let file = format!("{name}.json");
    if !names.has_file(&file) {
        findings.extend(missing_manifest(names, Some(&name)));
        return Inspection::failed(Some(KIND), findings);
    }
    let document = match package.read(&file, DOCUMENT_LIMIT) {
        Ok(bytes) => json::parse(&bytes, json::Options::default()),
        Err(error) => {
            findings.push(error.to_finding());
            return Inspection::failed(Some(KIND), findings);
        }
    };
    let document = match document {
        Ok(document) => document,
        Err(error) => {
            findings.push(error.to_finding(&file));
            return Inspection::failed(Some(KIND), findings);
        }
    };
    findings.extend(document.findings(&file));
    let Some(object) = document.root.as_object() else {
        findings.push(
            Finding::error(codes::MANIFEST_FIELD_TYPE, document.root.place(&file, ""))
                .with("field", &file)
                .with("expected", "an object"),
        );
        return Inspection::failed(Some(KIND), findings);
    };
    let mut reader = Reader {
        file: &file,
        object,
        root: &document.root,
        findings,
    };
    let manifest = reader.manifest(&name);
    let mut findings = reader.findings;
    if let Some(manifest) = &manifest {
        check_files(package, manifest, &mut findings);
    }
    sort_findings(&mut findings);
    let version = object
        .get("version")
        .and_then(Node::as_str)
        .map(str::to_owned);
    Inspection {
        kind: Some(KIND),
        key: Some(name),
        version,
        manifest: manifest.map_or(serde_json::Value::Null, |manifest| {
            serde_json::to_value(manifest).expect("a manifest can be written")
        }),
        findings,
    }
}

/// What eKuiper would have said first of a package with these findings; `None` without an error.
pub fn upstream_text(findings: &[Finding]) -> Option<String> {
    findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .min_by_key(|finding| rank(finding.code))
        .map(|finding| finding.text(Lang::En))
}

/// The order of eKuiper's own checks. Findings of equal rank stay in their order.
fn rank(code: Code) -> usize {
    const ORDER: [Code; 10] = [
        codes::ARCHIVE_NOT_ZIP,
        codes::ARCHIVE_DAMAGED,
        codes::PORTABLE_MANIFEST_MISSING,
        codes::MANIFEST_NAME_MISMATCH,
        codes::PORTABLE_LANGUAGE_MISSING,
        codes::PORTABLE_EXECUTABLE_MISSING,
        codes::PORTABLE_NO_SYMBOLS,
        codes::PORTABLE_LANGUAGE_UNSUPPORTED,
        codes::PORTABLE_EXECUTABLE_ABSENT,
        codes::PORTABLE_SOURCE_YAML_ABSENT,
    ];
    ORDER
        .iter()
        .position(|&known| known == code)
        .unwrap_or(ORDER.len())
}

/// The files at the root that may be a manifest.
fn manifest_files(names: &Listing) -> impl Iterator<Item = &str> {
    names
        .root_files()
        .filter_map(|entry| entry.path.strip_suffix(".json"))
        .filter(|stem| !["", "plugyard.config", "config", "plugin", "theme"].contains(stem))
}

/// The name a package gives itself: that of the root file which reads like a manifest.
fn guess_name(package: &dyn PackageReader) -> Option<String> {
    let stems: Vec<&str> = manifest_files(package.listing()).collect();
    let reads_like_one = |stem: &&&str| {
        let bytes = package.read(&format!("{stem}.json"), DOCUMENT_LIMIT).ok()?;
        let document = json::parse(&bytes, json::Options::default()).ok()?;
        let object = document.root.as_object()?;
        ["sources", "sinks", "functions", "executable", "language"]
            .iter()
            .any(|key| object.get(key).is_some())
            .then_some(())
    };
    stems
        .iter()
        .find(|stem| reads_like_one(stem).is_some())
        .or(if stems.len() == 1 {
            stems.first()
        } else {
            None
        })
        .map(|stem| (*stem).to_owned())
}

/// Why there is no manifest, with what was noticed on the way.
fn missing_manifest(names: &Listing, name: Option<&str>) -> Vec<Finding> {
    let file = format!("{}.json", name.unwrap_or("<name>"));
    let mut findings = vec![
        Finding::error(codes::PORTABLE_MANIFEST_MISSING, Place::default())
            .with("file", &file)
            .with("count", names.declared()),
    ];
    let other = |kind: &str, seen: &str| {
        Finding::error(codes::PORTABLE_OTHER_KIND, Place::file(seen))
            .with("kind", kind)
            .with("seen", seen)
    };
    if let Some(dockerfile) = dockerfile(names) {
        findings.push(other("container", dockerfile));
    } else if let Some(web) = ["plugin.json", "theme.json"]
        .iter()
        .find(|file| names.has_file(file))
    {
        findings.push(other("web", web));
    } else if names.has_file("config.json") {
        findings.push(other("app", "config.json"));
    }
    findings
}

fn dockerfile(names: &Listing) -> Option<&str> {
    names
        .root_files()
        .map(|entry| entry.path.as_str())
        .find(|path| path.eq_ignore_ascii_case("dockerfile"))
}

/// Whether a name can be a file, a socket and an identifier (HOST-2).
fn is_name(name: &str) -> bool {
    (1..=NAME_LIMIT).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Reads the manifest's members.
struct Reader<'a> {
    file: &'a str,
    object: &'a Object,
    root: &'a Node,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    /// The manifest as far as it could be read; `None` when what is missing makes it useless.
    fn manifest(&mut self, expected: &str) -> Option<Manifest> {
        if !is_name(expected) {
            self.bad_name(expected, self.root.place(self.file, ""));
        }
        let name = self.text("name").filter(|name| !name.is_empty());
        if let Some(actual) = name.filter(|actual| actual != expected) {
            let place = self.place("name");
            self.findings.push(
                Finding::error(codes::MANIFEST_NAME_MISMATCH, place)
                    .with("expected", expected)
                    .with("actual", actual),
            );
        }
        let version = self.text("version").unwrap_or_default();
        let language = self.language();
        let executable = self.text("executable").filter(|path| !path.is_empty());
        if executable.is_none() {
            self.missing(codes::PORTABLE_EXECUTABLE_MISSING);
        }
        let sources = self.names("sources");
        let sinks = self.names("sinks");
        let functions = self.names("functions");
        // A list with nothing but bad names is a mistake of its own, already said.
        let none = |field: &str| {
            self.object.get(field).is_none_or(|node| {
                node.is_null() || node.as_array().is_some_and(<[Node]>::is_empty)
            })
        };
        if none("sources") && none("sinks") && none("functions") {
            self.missing(codes::PORTABLE_NO_SYMBOLS);
        }
        let (virtual_env_type, env) = self.environment(language);
        let plugyard = self.block(
            sources.as_deref().unwrap_or_default(),
            functions.as_deref().unwrap_or_default(),
        );
        Some(Manifest {
            name: expected.to_owned(),
            version,
            language: language?,
            executable: executable?,
            virtual_env_type,
            env,
            sources,
            sinks,
            functions,
            plugyard,
        })
    }

    fn language(&mut self) -> Option<Language> {
        match self.text("language").as_deref() {
            None | Some("") => {
                self.missing(codes::PORTABLE_LANGUAGE_MISSING);
                None
            }
            Some("go") => Some(Language::Go),
            Some("python") => Some(Language::Python),
            Some(other) => {
                let place = self.place("language");
                self.findings.push(
                    Finding::error(codes::PORTABLE_LANGUAGE_UNSUPPORTED, place)
                        .with("language", other),
                );
                None
            }
        }
    }

    fn environment(&mut self, language: Option<Language>) -> (Option<String>, Option<String>) {
        let kind = self.text("virtualEnvType").filter(|kind| !kind.is_empty());
        let env = self.text("env").filter(|env| !env.is_empty());
        match kind.as_deref() {
            Some("conda") if env.is_none() => {
                let place = self.place("virtualEnvType");
                self.findings
                    .push(Finding::error(codes::PORTABLE_ENVIRONMENT_UNNAMED, place));
            }
            Some("conda") | None => {}
            Some(other) if language != Some(Language::Go) => {
                let place = self.place("virtualEnvType");
                self.findings.push(
                    Finding::error(codes::PORTABLE_ENVIRONMENT_UNSUPPORTED, place)
                        .with("type", other),
                );
            }
            Some(_) => {}
        }
        (kind, env)
    }

    /// A text member; `null` counts as absent.
    fn text(&mut self, field: &str) -> Option<String> {
        let node = self.object.get(field).filter(|node| !node.is_null())?;
        if let Some(text) = node.as_str() {
            return Some(text.to_owned());
        }
        self.wrong_type(node, field, &format!("/{field}"), "a text");
        None
    }

    /// A list of symbol names; `null` counts as absent.
    fn names(&mut self, field: &str) -> Option<Vec<String>> {
        let node = self.object.get(field).filter(|node| !node.is_null())?;
        let Some(items) = node.as_array() else {
            self.wrong_type(node, field, &format!("/{field}"), "a list of names");
            return None;
        };
        let mut seen = BTreeSet::new();
        let mut names = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let pointer = format!("/{field}/{index}");
            let place = item.place(self.file, &pointer);
            let Some(name) = item.as_str() else {
                self.wrong_type(item, &format!("{field}[{index}]"), &pointer, "a name");
                continue;
            };
            if !is_name(name) {
                self.bad_name(name, place);
            } else if seen.insert(name) {
                names.push(name.to_owned());
            } else {
                self.findings.push(
                    Finding::error(codes::PORTABLE_SYMBOL_TWICE, place)
                        .with("name", name)
                        .with("field", field),
                );
            }
        }
        Some(names)
    }

    /// The block `plugyard`, in which, unlike around it, an unknown key is an error.
    fn block(&mut self, sources: &[String], functions: &[String]) -> Block {
        let mut block = Block::default();
        let Some(members) = self.members(self.object.get("plugyard"), "plugyard", "/plugyard")
        else {
            return block;
        };
        for (key, node) in members.iter() {
            let pointer = json::pointer_join("/plugyard", key);
            let field = format!("plugyard.{key}");
            match key {
                "sources" => {
                    for (source, node, pointer) in self.symbols_of(node, &field, &pointer, sources)
                    {
                        let entry = self.source_block(node, source, &pointer);
                        block.sources.insert(source.to_owned(), entry);
                    }
                }
                "functions" => {
                    for (function, node, pointer) in
                        self.symbols_of(node, &field, &pointer, functions)
                    {
                        let field = format!("{field}.{function}");
                        let entry = self.value(node, &field, &pointer).unwrap_or_default();
                        block.functions.insert(function.to_owned(), entry);
                    }
                }
                "call_timeout" => block.call_timeout = self.value(node, &field, &pointer),
                "limits" => block.limits = self.limits(node, &field, &pointer),
                _ => self.unknown_key(
                    node,
                    key,
                    &pointer,
                    "`sources`, `functions`, `call_timeout`, `limits`",
                ),
            }
        }
        block
    }

    /// The members of an object whose keys are symbols of this plugin.
    fn symbols_of<'n>(
        &mut self,
        node: &'n Node,
        field: &str,
        pointer: &str,
        known: &[String],
    ) -> Vec<(&'n str, &'n Node, String)> {
        let mut found = Vec::new();
        for (symbol, node) in self
            .members(Some(node), field, pointer)
            .into_iter()
            .flat_map(Object::iter)
        {
            let pointer = json::pointer_join(pointer, symbol);
            if known.iter().any(|it| it == symbol) {
                found.push((symbol, node, pointer));
            } else {
                self.unknown_key(node, symbol, &pointer, &known.join(", "));
            }
        }
        found
    }

    /// Limits, of which single wrong ones are named.
    fn limits(&mut self, node: &Node, field: &str, pointer: &str) -> PartialLimits {
        let Some(members) = self.members(Some(node), field, pointer) else {
            return PartialLimits::default();
        };
        let mut fine = true;
        for (name, node) in members.iter() {
            let pointer = json::pointer_join(pointer, name);
            if !PartialLimits::NAMES.contains(&name) {
                self.unknown_key(node, name, &pointer, &PartialLimits::NAMES.join(", "));
                fine = false;
                continue;
            }
            let alone = serde_json::json!({name: node.to_serde()});
            let limit = serde_json::from_value::<PartialLimits>(alone);
            let reason = match limit.map(|it| it.unusable()) {
                Ok(None) => continue,
                Ok(Some((_, least))) => format!("it is {least}"),
                Err(error) => error.to_string(),
            };
            self.bad_value(node, &format!("{field}.{name}"), &pointer, &reason);
            fine = false;
        }
        let all = fine.then(|| serde_json::from_value(node.to_serde()).ok());
        all.flatten().unwrap_or_default()
    }

    /// A value of the block in the form it is kept in.
    fn value<T: serde::de::DeserializeOwned>(
        &mut self,
        node: &Node,
        field: &str,
        pointer: &str,
    ) -> Option<T> {
        match serde_json::from_value(node.to_serde()) {
            Ok(value) => Some(value),
            Err(error) => {
                self.bad_value(node, field, pointer, &error.to_string());
                None
            }
        }
    }

    fn bad_value(&mut self, node: &Node, field: &str, pointer: &str, reason: &str) {
        self.findings.push(
            Finding::error(codes::PORTABLE_BLOCK_VALUE, node.place(self.file, pointer))
                .with("field", field)
                .with("reason", reason),
        );
    }

    fn source_block(&mut self, node: &Node, source: &str, pointer: &str) -> SourceBlock {
        let mut entry = SourceBlock::default();
        let field = format!("plugyard.sources.{source}");
        let Some(members) = self.members(Some(node), &field, pointer) else {
            return entry;
        };
        for (key, node) in members.iter() {
            let pointer = json::pointer_join(pointer, key);
            match (key, node.as_str()) {
                ("handover", Some("exclusive")) => entry.handover = Handover::Exclusive,
                ("handover", Some("overlap")) => entry.handover = Handover::Overlap,
                ("handover", _) => self.bad_value(
                    node,
                    &format!("{field}.handover"),
                    &pointer,
                    "it is `exclusive` or `overlap`",
                ),
                _ => self.unknown_key(node, key, &pointer, "`handover`"),
            }
        }
        entry
    }

    fn members<'n>(
        &mut self,
        node: Option<&'n Node>,
        field: &str,
        pointer: &str,
    ) -> Option<&'n Object> {
        let node = node.filter(|node| !node.is_null())?;
        if node.as_object().is_none() {
            self.wrong_type(node, field, pointer, "an object");
        }
        node.as_object()
    }

    fn wrong_type(&mut self, node: &Node, field: &str, pointer: &str, expected: &str) {
        self.findings.push(
            Finding::error(codes::MANIFEST_FIELD_TYPE, node.place(self.file, pointer))
                .with("field", field)
                .with("expected", expected),
        );
    }

    fn unknown_key(&mut self, node: &Node, key: &str, pointer: &str, known: &str) {
        self.findings.push(
            Finding::error(codes::PORTABLE_BLOCK_KEY, node.place(self.file, pointer))
                .with("key", key)
                .with("known", known),
        );
    }

    fn bad_name(&mut self, name: &str, place: Place) {
        self.findings.push(
            Finding::error(codes::PORTABLE_NAME_INVALID, place)
                .with("name", name)
                .with("limit", NAME_LIMIT),
        );
    }

    fn missing(&mut self, code: Code) {
        self.findings
            .push(Finding::error(code, self.root.place(self.file, "")));
    }

    fn place(&self, field: &str) -> Place {
        let pointer = format!("/{field}");
        self.object.get(field).map_or_else(
            || self.root.place(self.file, ""),
            |node| node.place(self.file, &pointer),
        )
    }
}

/// The files that a manifest promises, and what they say.
fn check_files(package: &dyn PackageReader, manifest: &Manifest, findings: &mut Vec<Finding>) {
    let names = package.listing();
    match names.find(&manifest.executable).filter(|it| it.is_file()) {
        None => findings.push(
            Finding::error(
                codes::PORTABLE_EXECUTABLE_ABSENT,
                Place::pointer(format!("{}.json", manifest.name), "/executable"),
            )
            .with("path", &manifest.executable),
        ),
        // Python reads its file, and `install.sh` may give what is missing.
        Some(entry) if manifest.language == Language::Go && entry.mode & 0o100 == 0 => findings
            .push(
                Finding::warning(
                    codes::PORTABLE_EXECUTABLE_MODE,
                    Place::file(&manifest.executable),
                )
                .with("path", &manifest.executable),
            ),
        Some(_) => {}
    }
    for source in manifest.sources.iter().flatten() {
        let path = format!("sources/{source}.yaml");
        if !names.has_file(&path) {
            findings.push(
                Finding::error(codes::PORTABLE_SOURCE_YAML_ABSENT, Place::file(&path))
                    .with("path", &path),
            );
            continue;
        }
        match package.read(&path, DOCUMENT_LIMIT) {
            Ok(bytes) => {
                if let Err(reason) = config::Sections::parse(&bytes) {
                    findings.push(
                        Finding::error(codes::PORTABLE_SOURCE_YAML_INVALID, Place::file(&path))
                            .with("reason", reason),
                    );
                }
            }
            Err(error) => findings.push(error.to_finding()),
        }
    }
    requirements::check(package, manifest, findings);
    for (kind, symbol) in manifest.all_symbols() {
        let path = format!("{}/{symbol}.json", crate::manifest::folder(kind));
        if names.has_file(&path)
            && let Some(reason) = metadata_trouble(package, &path, kind)
        {
            findings.push(
                Finding::warning(codes::PORTABLE_METADATA_INVALID, Place::file(&path))
                    .with("reason", reason),
            );
        }
    }
}

/// Why a metadata file cannot be used.
fn metadata_trouble(package: &dyn PackageReader, path: &str, kind: SymbolKind) -> Option<String> {
    let bytes = match package.read(path, DOCUMENT_LIMIT) {
        Ok(bytes) => bytes,
        Err(error) => return Some(error.to_string()),
    };
    match json::parse(&bytes, json::Options::default()) {
        Err(error) => Some(error.to_string()),
        Ok(document) => match document.root.as_object() {
            None => Some("it is no object".into()),
            // Those of functions are passed on as they are.
            Some(object) if kind != SymbolKind::Function && object.get("about").is_none() => {
                Some("it has no `about`, so that it is not shown".into())
            }
            Some(_) => None,
        },
    }
}

#[cfg(test)]
mod tests;
