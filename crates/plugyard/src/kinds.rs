//! The kinds of plugin this binary knows, as far as a package is concerned.

use plugyard_archive::PackageReader;
use plugyard_model::{Inspection, KindId, Problem};
use plugyard_platform::Home;
use plugyard_portable::{PortableHost, PortableSettings};

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
    let host = PortableHost::new(PortableSettings::default(), Home::new("."));
    let kind = kind.map(|kind| KindId::from(kind.to_owned()));
    plugyard_platform::inspect(&[host.kind()], package, kind.as_ref(), expected)
}
