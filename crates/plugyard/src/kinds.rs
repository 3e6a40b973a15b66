//! The kinds of plugin this binary knows, as far as a package is concerned.

use std::path::Path;

use plugyard_app::AppHost;
use plugyard_archive::{Directory, PackageReader, Policy};
use plugyard_model::{Inspection, KindId, Problem};
use plugyard_platform::Home;
use plugyard_platform::kind::Dropped;
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
    // A host does nothing until something is started through it, so its home is never touched.
    let kinds = [
        PortableHost::new(PortableSettings::default(), Home::new(".")).kind(),
        AppHost::offline(Home::new(".")).kind(),
        WebHost::offline(Home::new(".")).kind(),
    ];
    let kind = kind.map(|kind| KindId::from(kind.to_owned()));
    plugyard_platform::inspect(&kinds, package, kind.as_ref(), expected)
}

/// The name of a directory, where it is the name of the plugin in it: for kinds whose packages need not
/// say it themselves.
pub(crate) fn directory_name(directory: &Path, kind: Option<&str>) -> Option<String> {
    if !directory.is_dir() {
        return None;
    }
    let package = Directory::open(directory, &Policy::default());
    let inspection = inspect(&package, kind, None).ok()?;
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
