//! Which kind a package is of, and what that kind says of it: the same offline and on the server.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use plugyard_archive::{
    Contents, Directory, Entry, EntryKind, Limits, Listing, PackageReader, Policy, Zip,
};
use plugyard_config::Definition;
use plugyard_model::{Finding, Inspection, KindId, Problem, codes, sort_findings};

use super::{Kinds, absent, nowhere};
use crate::config::read_file;
use crate::kind::Likeness;
use crate::platform::kind_of;

/// How many names `kind_unknown` lists.
const SEEN: usize = 12;

/// Inspects a package. The kind is the caller's word (`hint`) or else the one that recognises it; at
/// equal likeness the one registered first. Pure, so it serves `plugyard check` without a server.
///
/// A package that is only recognised below a wrapping directory gets the finding `package_wrapped`,
/// one that nobody recognises `kind_unknown`, and one that looks like a kind which is not here `kind_absent`.
///
/// # Errors
/// `kind_not_served` for a hint that is no kind here. That the package is bad is no error.
pub fn inspect(
    kinds: &Kinds,
    package: &dyn PackageReader,
    hint: Option<&KindId>,
    expected_key: Option<&str>,
) -> Result<Inspection, Problem> {
    let listing = package.listing();
    if hint.is_none()
        && let Some(finding) = of_absent_kind(kinds, package)
    {
        let mut findings = package.findings().to_vec();
        findings.push(finding);
        return Ok(Inspection::failed(None, findings));
    }
    let at_root = match hint {
        Some(hint) => Some(kind_of(kinds, hint)?),
        None => best(kinds, listing),
    };
    if let Some(kind) = at_root {
        let mut inspection = kind.inspect(package, expected_key);
        // A file that cannot be read is said by the container and by whoever needs it.
        inspection.findings.dedup();
        if !kind.takes_legacy_names() {
            refuse_legacy_names(&mut inspection);
        }
        config_findings(&mut inspection, kind.as_ref(), package);
        return Ok(with_wrapping(inspection, kind.as_ref(), listing));
    }
    let mut findings = package.findings().to_vec();
    if listing.entries.is_empty() && !findings.is_empty() {
        // A container that cannot be read says so itself; nobody could recognise it.
        return Ok(Inspection::failed(None, findings));
    }
    let wrapped =
        unwrapped(listing).and_then(|(directory, inner)| Some((directory, best(kinds, &inner)?)));
    if let Some((directory, kind)) = wrapped {
        findings.push(wrapping(&directory));
        return Ok(Inspection::failed(Some(kind.id()), findings));
    }
    let unknown = Finding::error(codes::KIND_UNKNOWN, nowhere()).with("seen", seen(listing));
    findings.push(unknown);
    Ok(Inspection::failed(None, findings))
}

/// What a package is that nobody here takes, at its root or below a wrapping directory.
fn of_absent_kind(kinds: &Kinds, package: &dyn PackageReader) -> Option<Finding> {
    let listing = package.listing();
    let absent = absent::look(kinds, package, listing, "").or_else(|| {
        let (directory, inner) = unwrapped(listing)?;
        absent::look(kinds, package, &inner, &format!("{directory}/"))
    })?;
    let known: Vec<_> = kinds
        .iter()
        .map(|kind| format!("`{}`", kind.id()))
        .collect();
    Some(
        Finding::error(codes::KIND_ABSENT, nowhere())
            .with("kind", absent.kind)
            .with("sign", absent.sign)
            .with("known", known.join(", ")),
    )
}

/// Opens a zip within the bounds of its kind: the caller's word (`hint`) or else the one that recognises it.
///
/// # Errors
/// When the file cannot be read.
pub fn open_zip(kinds: &Kinds, path: &Path, hint: Option<&KindId>) -> io::Result<Zip> {
    // Names alone tell the kind, so contents need no look yet.
    let quick = Policy {
        contents: Contents::WhenRead,
        ..Policy::within(widest(kinds))
    };
    let names = Zip::open_path(path, &quick)?;
    let limits = limits(kinds, names.listing(), hint);
    Zip::open_path(path, &Policy::within(limits))
}

/// The same for a directory.
pub fn open_directory(kinds: &Kinds, path: &Path, hint: Option<&KindId>) -> Directory {
    let widest = widest(kinds);
    let package = Directory::open(path, &Policy::within(widest));
    match limits(kinds, package.listing(), hint) {
        limits if limits == widest => package,
        limits => Directory::open(path, &Policy::within(limits)),
    }
}

/// Bounds that packages of any kind keep.
pub(super) fn widest(kinds: &Kinds) -> Limits {
    let all = kinds.iter().map(|kind| kind.limits());
    all.fold(Limits::default(), Limits::widest)
}

fn limits(kinds: &Kinds, names: &Listing, hint: Option<&KindId>) -> Limits {
    let kind = match hint {
        Some(hint) => kind_of(kinds, hint).ok(),
        None => best(kinds, names),
    };
    kind.map_or_else(Limits::default, |kind| kind.limits())
}

fn best<'a>(kinds: &'a Kinds, listing: &Listing) -> Option<&'a std::sync::Arc<dyn crate::Kind>> {
    let liked = |wanted| kinds.iter().find(|kind| kind.recognise(listing) == wanted);
    liked(Likeness::Yes).or_else(|| liked(Likeness::Maybe))
}

/// A name that had to be guessed keeps the package out.
fn refuse_legacy_names(inspection: &mut Inspection) {
    let guessed = [codes::ARCHIVE_NAME_DECODED, codes::ARCHIVE_NAME_AMBIGUOUS];
    for finding in &mut inspection.findings {
        if guessed.contains(&finding.code) {
            *finding = Finding::error(codes::ARCHIVE_NAME_ENCODING, finding.place.clone());
        }
    }
}

/// What is wrong with the definition of a package's configuration, unless its kind has said so itself.
fn config_findings(
    inspection: &mut Inspection,
    kind: &dyn crate::Kind,
    package: &dyn PackageReader,
) {
    let Some(file) = kind.config_file() else {
        return;
    };
    if inspection.findings.iter().any(|it| it.place.file == file) {
        return;
    }
    // A file that cannot be read is a finding of the container already.
    if let Ok(Some(bytes)) = read_file(package, file) {
        inspection
            .findings
            .extend(Definition::read(&bytes).findings(file));
        sort_findings(&mut inspection.findings);
    }
}

/// Says of a package of a kind that was named, but is not there, where it is.
fn with_wrapping(
    mut inspection: Inspection,
    kind: &dyn crate::Kind,
    listing: &Listing,
) -> Inspection {
    if !inspection.has_errors() || kind.recognise(listing) != Likeness::No {
        return inspection;
    }
    if let Some((directory, inner)) = unwrapped(listing)
        && kind.recognise(&inner) != Likeness::No
    {
        inspection.findings.push(wrapping(&directory));
        sort_findings(&mut inspection.findings);
    }
    inspection
}

fn wrapping(directory: &str) -> Finding {
    Finding::error(codes::PACKAGE_WRAPPED, nowhere()).with("directory", directory)
}

/// The listing of what is in the one directory that holds everything.
fn unwrapped(listing: &Listing) -> Option<(String, Listing)> {
    let names = listing.root_names();
    let directory = names.first().filter(|_| names.len() == 1)?;
    let inner = listing.entries.iter().filter_map(|entry| {
        let path = entry.path.strip_prefix(directory)?.strip_prefix('/')?;
        Some(Entry {
            path: path.to_owned(),
            ..entry.clone()
        })
    });
    let inner = Listing::of(inner);
    (!inner.entries.is_empty()).then(|| ((*directory).to_owned(), inner))
}

/// What stands at the root, for people.
fn seen(listing: &Listing) -> String {
    let directories: BTreeSet<_> = listing
        .entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Directory || entry.path.contains('/'))
        .filter_map(|entry| entry.path.split('/').next())
        .collect();
    let names = listing.root_names();
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let mut text: Vec<_> = names
        .iter()
        .take(SEEN)
        .map(|name| {
            format!(
                "`{name}{}`",
                if directories.contains(name) { "/" } else { "" }
            )
        })
        .collect();
    if names.len() > SEEN {
        text.push(format!("… ({})", names.len()));
    }
    text.join(", ")
}
