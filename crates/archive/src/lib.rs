//! Reading and writing plugin packages that may be hostile.
//!
//! A package is a zip archive or a directory; both read the same through [`PackageReader`]. Opening
//! inspects everything first (headers, names, bounds, checksums) and says all that is wrong as
//! [findings](plugyard_model::Finding); nothing is written anywhere before that.
//!
//! Entry points:
//!
//! * [`Zip::open`], [`Directory::open`]: look at a package. They never fail: what is wrong stands in
//!   [`PackageReader::findings`].
//! * [`unpack()`] and [`Root::write`]: write entries below a directory that is held open, never through links.
//! * [`pack()`]: a directory as a zip, the same bytes on every machine.
//! * [`digest_file`]: how a package is known.
//!
//! Headers are read and compared here, not by a library: an archive on which two readers could
//! disagree is refused, so no other reader's opinion may matter. The inflating is `flate2`'s, the
//! writing of packages is the `zip` crate's.
//!
//! Deliberately not here: what a package of some kind must contain (the kinds know), and archives in
//! archives, which are opaque files.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "test-archives"))]
pub mod build;
mod digest;
mod directory;
mod listing;
mod name;
mod notes;
mod pack;
mod policy;
mod reader;
mod source;
mod tree;
mod unpack;
mod zip;

pub use digest::digest_file;
pub use directory::{Directory, JUNK};
pub use listing::{Entry, EntryKind, Listing};
pub use pack::{PackError, PackReport, pack, pack_to_file};
pub use policy::{Contents, Limits, Policy};
pub use reader::{PackageReader, ReadError};
pub use source::ReadAt;
pub use tree::read_file;
pub use unpack::{Root, UnpackError, UnpackReport, unpack};
pub use zip::Zip;
