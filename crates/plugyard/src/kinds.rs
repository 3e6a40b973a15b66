//! The kinds of plugin this binary knows, as far as a package is concerned.

use plugyard_archive::PackageReader;
use plugyard_model::{Finding, Inspection, Place, Problem, codes};
use plugyard_portable::package::{self, KIND, Signs};

/// Says everything about a package, as the server would.
///
/// # Errors
/// When the caller names a kind that does not exist.
pub(crate) fn inspect(
    package: &dyn PackageReader,
    kind: Option<&str>,
    expected: Option<&str>,
) -> Result<Inspection, Problem> {
    match kind {
        Some(kind) if kind == KIND.as_str() => Ok(package::inspect(package, expected)),
        Some(kind) => Err(Problem::new(codes::KIND_NOT_SERVED)
            .with("kind", kind)
            .with("known", KIND.as_str())),
        None if package::signs(package.listing()) == Signs::None => {
            let mut findings = package.findings().to_vec();
            // Bytes that are no archive say nothing about a kind.
            if !package.has_errors() {
                let seen: Vec<&str> =
                    package.listing().files().take(8).map(|entry| entry.path.as_str()).collect();
                let seen = if seen.is_empty() { "no files".to_owned() } else { seen.join(", ") };
                findings.push(
                    Finding::error(codes::KIND_UNKNOWN, Place::default()).with("seen", seen),
                );
            }
            Ok(Inspection::failed(None, findings))
        }
        None => Ok(package::inspect(package, expected)),
    }
}
