//! The kinds of plugin this binary knows, as far as a package is concerned.

use std::io;
use std::path::Path;
use std::sync::Arc;

use plugyard_app::AppHost;
use plugyard_archive::{Directory, Limits, PackageReader, Policy};
use plugyard_model::{Inspection, KindId, Problem};
use plugyard_platform::kind::Dropped;
use plugyard_platform::{Home, Kind, open_directory, open_zip};
use plugyard_portable::{PortableHost, PortableSettings};
use plugyard_web::WebHost;

/// Says everything about a package, with the server's own function.
///
/// # Errors
/// When the caller names a kind that does not exist.
pub(crate) fn inspect(
    package: &dyn PackageReader,
    kind: Option<&str>,
    expected: Option<&str>,
) -> Result<Inspection, Problem> {
    let kind = kind.map(|kind| KindId::from(kind.to_owned()));
    plugyard_platform::inspect(&kinds(), package, kind.as_ref(), expected)
}

/// Opens a zip file or a directory within the bounds that its kind has unless the server is told others.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn open(path: &Path, kind: Option<&str>) -> io::Result<Box<dyn PackageReader>> {
    let kind = kind.map(|kind| KindId::from(kind.to_owned()));
    let (kinds, kind) = (kinds(), kind.as_ref());
    Ok(if std::fs::metadata(path)?.is_dir() {
        Box::new(open_directory(&kinds, path, kind))
    } else {
        Box::new(open_zip(&kinds, path, kind)?)
    })
}

/// What packages of a kind may be unless the server is told otherwise.
pub(crate) fn policy(kind: Option<&KindId>) -> Policy {
    let kinds = kinds();
    let kind = kinds.iter().find(|it| Some(&it.id()) == kind);
    Policy::within(kind.map_or_else(Limits::default, |kind| kind.limits()))
}

/// A host does nothing until something is started through it, so its home is never touched.
fn kinds() -> [Arc<dyn Kind>; 3] {
    [
        PortableHost::new(PortableSettings::default(), Home::new(".")).kind(),
        AppHost::offline(Home::new(".")).kind(),
        WebHost::offline(Home::new(".")).kind(),
    ]
}

/// The name of a directory, where it is the name of the plugin in it: for kinds whose packages need not
/// say it themselves.
pub(crate) fn directory_name(directory: &Path, kind: Option<&str>) -> Option<String> {
    if !directory.is_dir() {
        return None;
    }
    let package = open(directory, kind).ok()?;
    let inspection = inspect(&*package, kind, None).ok()?;
    let silent = inspection.kind.is_some() && inspection.key.is_none();
    // As it was written: a plugin in `plugins/` is a link, and what that leads to is called after its contents.
    let written = std::path::absolute(directory).ok().filter(|_| silent)?;
    let name = match written.file_name() {
        Some(name) => name.to_owned(),
        None => std::fs::canonicalize(written).ok()?.file_name()?.to_owned(),
    };
    name.into_string().ok()
}

/// The directories that were put into a home by hand and are not installed, with what would be said about
/// them.
pub(crate) fn dropped(home: &Home) -> Vec<(Dropped, Result<Inspection, Problem>)> {
    let kind = PortableHost::new(PortableSettings::default(), home.clone()).kind();
    let looked = |dropped: Dropped| {
        let package = Directory::open(&dropped.path, &Policy::default());
        let (id, key) = (kind.id(), Some(dropped.key.as_str()));
        let inspection =
            plugyard_platform::inspect(std::slice::from_ref(&kind), &package, Some(&id), key);
        (dropped, inspection)
    };
    kind.dropped(home).into_iter().map(looked).collect()
}
