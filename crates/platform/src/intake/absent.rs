//! Packages of kinds that have no crate here: told from their names and a look at their documents, so that
//! whoever hands one in learns what it is and not what it is not.

use std::path::Path;

use plugyard_archive::{Listing, PackageReader};
use serde_json::{Map, Value as Json};

use super::Kinds;

const CONTAINER: &str = "container";
const TENANT: &str = "tenant";
/// The file whose presence makes a package one of a container, in any case.
const DOCKERFILE: &str = "dockerfile";
/// The description of a container's or an application's plugin.
const CONFIG: &str = "config.json";
/// Files that say of a package that it is something else.
const MANIFESTS: [&str; 2] = ["plugin.json", "theme.json"];
/// Longest document that is looked at.
const DOCUMENT: u64 = 4 << 20;
/// Documents that are looked at.
const DOCUMENTS: usize = 4;

/// What a package looks like.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Absent {
    pub(super) kind: &'static str,
    /// By what it is known, for people.
    pub(super) sign: String,
}

/// What a package looks like, when that is a kind that is not among `kinds`. `names` is what lies in `directory`
/// of it, which ends with a slash where it is not the root.
pub(super) fn look(
    kinds: &Kinds,
    package: &dyn PackageReader,
    names: &Listing,
    directory: &str,
) -> Option<Absent> {
    let found =
        container(package, names, directory).or_else(|| tenant(package, names, directory))?;
    let is_there = kinds.iter().any(|kind| kind.id().as_str() == found.kind);
    (!is_there).then_some(found)
}

fn container(package: &dyn PackageReader, names: &Listing, directory: &str) -> Option<Absent> {
    let dockerfile = names
        .root_files()
        // A plugin of a site may bring one along, and says what it is.
        .filter(|_| !MANIFESTS.iter().any(|file| names.has_file(file)))
        .find(|entry| entry.path.eq_ignore_ascii_case(DOCKERFILE));
    let sign = match dockerfile {
        Some(entry) => format!("`{}`", entry.path),
        None => {
            let config = document(package, &format!("{directory}{CONFIG}"))
                .filter(|_| names.has_file(CONFIG))?;
            let devices = config.contains_key("support_devices") && !config.contains_key("fields");
            devices.then(|| format!("`support_devices` in `{CONFIG}`"))?
        }
    };
    Some(Absent {
        kind: CONTAINER,
        sign,
    })
}

/// A document that describes plugins by their names, each with groups of options.
fn tenant(package: &dyn PackageReader, names: &Listing, directory: &str) -> Option<Absent> {
    let is_plugin = |value: &Json| {
        let has = |key| value.get(key).is_some();
        has("config_group") && (has("category") || has("build_source"))
    };
    let file = names
        .root_files()
        .filter(|entry| {
            let extension = Path::new(&entry.path).extension();
            extension.is_some_and(|it| it.eq_ignore_ascii_case("json"))
        })
        .take(DOCUMENTS)
        .find(|entry| {
            document(package, &format!("{directory}{}", entry.path))
                .is_some_and(|it| !it.is_empty() && it.values().all(is_plugin))
        })?;
    Some(Absent {
        kind: TENANT,
        sign: format!("`config_group` in `{}`", file.path),
    })
}

/// A document that can be read; the kinds say of others what is wrong with them.
fn document(package: &dyn PackageReader, path: &str) -> Option<Map<String, Json>> {
    let bytes = package.read(path, DOCUMENT).ok()?;
    serde_json::from_slice(&bytes).ok()
}
