//! The words of Plugyard: names, ids, digests, quantities, states, findings, problem codes and rights.
//!
//! Everything else in the workspace speaks in these types. This crate does no I/O, reads no clock
//! and knows no asynchronous code; whatever it parses, it parses at the border so that the rest
//! can rely on it.
//!
//! Where to look:
//!
//! * [`PluginName`], [`KindId`], [`Key`]: how a plugin is called.
//! * [`Finding`] and [`Inspection`]: what is wrong with a package, as values.
//! * [`codes`]: every problem and finding code, declared once, with its texts in two languages.
//! * [`json`]: the one strict reader of JSON that somebody else wrote.
//! * [`Problem`]: an error as it leaves the platform (RFC 9457).
//! * [`rights`]: the one table of who may do what.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod codes;
mod digest;
mod finding;
mod id;
pub mod json;
mod lang;
mod name;
mod problem;
mod quantity;
pub mod rights;
mod state;

pub use codes::{Code, ExitCode};
pub use digest::{Digest, ParseDigestError};
pub use finding::{Finding, FindingDocument, Inspection, Place, Severity, Texts, sort_findings};
pub use id::{AccountId, InstallationId, OperationId, TokenId, VersionId};
pub use lang::{Lang, Params};
pub use name::{Key, KindId, NameError, PluginName};
pub use problem::{Problem, ProblemDocument};
pub use quantity::{ByteSize, QuantityError, parse_duration};
pub use state::{Health, HealthState, StepName, Wanted};
