//! Laravel rule strings: read once into a checked set, evaluated many times.
//!
//! `required|integer|min:1|max:300` means here what it means to Laravel's validator (13.x): the same
//! verdict, the same failed rules in the same order, oddities included. The crate reads rule strings
//! ([`RuleSet::parse`]), refuses those that a definition must not hold ([`register()`]), evaluates
//! ([`RuleSet::evaluate`]), words failures in two languages ([`messages`]), says in words what a set
//! asks for ([`explain`](explain::explain)) and hands out what of it JSON Schema can express
//! ([`schema`]).
//!
//! It deliberately knows nothing about plugins, files, forms or storage; it does no I/O, asks no
//! network, starts no thread and reads no clock: the time is passed in. The same inputs always give
//! the same answer.
//!
//! ```
//! use plugyard_validation::{RuleSet, Value};
//!
//! let rules = RuleSet::parse("required|integer|min:3").expect("these rules are sound");
//! let verdict = rules.evaluate("size", &[("size", Value::Int(2))], &(), 0);
//! let failed: Vec<_> = verdict.failed.iter().map(|failure| failure.rule.studly()).collect();
//! assert_eq!(failed, ["Min"]);
//! ```
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod cases;
mod checks;
mod date;
mod decimal;
mod evaluate;
pub mod explain;
mod field;
mod grammar;
pub mod messages;
mod pattern;
mod problem;
pub mod reference;
mod register;
mod rule;
pub mod schema;
mod set;
mod timezone;
mod value;

pub use checks::{EmailMode, is_email, is_url};
pub use evaluate::{Failure, Siblings, SizeKind, Verdict};
pub use field::{FieldType, ShapeFailure, check_shape, checkbox_value};
pub use messages::Lang;
pub use problem::{ProblemCode, RuleProblem};
pub use register::{Context, Registered, RuleWarning, WarningCode, register};
pub use rule::{Fields, RuleName, Shape, UNSUPPORTED, Unsupported};
pub use set::{Rule, RuleSet};
pub use value::{Data, Value, is_blank, is_numeric_text};
