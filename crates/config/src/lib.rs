//! Configuration of plugins: what a `config.json` defines, and what becomes of its values.
//!
//! A definition is read once with [`Definition::read`], which says everything that is wrong with it at
//! once, each error with code, place and texts in two languages. From then on the definition answers
//! questions about values: what a field initially holds ([`Definition::initial_values`]), what becomes of
//! values that somebody sends ([`Definition::submit`]), whether all is there that the plugin needs
//! ([`Definition::completeness`]), how it looks to an administrator ([`Definition::view`]), and what a new
//! definition does to the values that are stored ([`plan_upgrade`]).
//!
//! The rules themselves are those of Laravel and live in `plugyard-validation`. This crate stores nothing,
//! encrypts nothing, reads no files and no clock: values come in as [`Values`] and go out as such, secrets in
//! them as [`Secret`], which nothing shows by accident, and the time is passed in.
//!
//! ```
//! use plugyard_config::{Body, Definition};
//!
//! let report = Definition::read(br#"{"fields": {
//!     "PORT": {"type": "number", "label": "Port", "default": 80, "validation": "integer|min:1"}
//! }}"#);
//! let definition = report.definition.expect("nothing is wrong with it");
//! let stored = definition.initial_values();
//! let body = Body::read(br#"{"PORT": "8080"}"#, &definition).expect("it is an object");
//! let accepted = definition.submit(&stored, &body, 0).expect("it follows the rules");
//! assert_eq!(accepted.updated, ["PORT"]);
//! assert_eq!(accepted.values.value("PORT").to_json(), 8080);
//! ```
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod definition;
mod judge;
mod read;
mod report;
mod rules;
mod shape;
mod submit;
mod upgrade;
mod value;
mod version;
mod view;

pub use definition::{Choice, Definition, Field, GENERAL, Group, Section};
pub use judge::{ConfigIssue, Failure, FailureDocument};
pub use plugyard_validation::FieldType;
pub use read::{DEPTH_MAX, FILE_MAX};
pub use report::{
    ERRORS_MAX, Issue, IssueDocument, Messages, Report, ReportDocument, WARNINGS_MAX,
};
pub use submit::{
    Accepted, BODY_MAX, Body, BodyError, Rejected, RejectedDocument, Reset, VALUE_MAX, read_object,
};
pub use upgrade::{
    Difference, Move, MoveDocument, ResetDocument, ResetField, ResetReason, UpgradeDocument,
    UpgradePlan, differences, plan_upgrade,
};
pub use value::{Entry, MASK, Secret, Value, Values};
pub use version::Version;
pub use view::{ConfigView, FieldView, GroupView, ItemView, SectionView, ValuesView};

/// JSON Schema (draft 2020-12) of `config.json`: the structural part, for editors and for authors' own checks.
/// Rule strings, references and values against rules are beyond it; [`Definition::read`] checks them too.
pub const SCHEMA: &str = include_str!("../plugin-config.schema.json");
