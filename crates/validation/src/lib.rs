#![doc = include_str!("../README.md")]
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
pub use field::FieldType;
pub use messages::Lang;
pub use problem::{ProblemCode, RuleProblem};
pub use register::{Context, Registered, RuleWarning, WarningCode, register};
pub use rule::{Fields, RuleName, Shape, UNSUPPORTED, Unsupported};
pub use set::{Rule, RuleSet};
pub use value::{Data, Value, is_blank, is_numeric_text};
