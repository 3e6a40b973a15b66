//! Streams and rules: SQL to running pipelines over symbols.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod catalog;
mod clock;
mod error;
mod eval;
mod plan;
mod rule;
mod run;
mod sql;
mod suggest;

pub use catalog::Combined;
pub use clock::{Clock, SystemClock};
pub use error::FlowError;
pub use eval::functions::{BUILTINS, Builtin};
pub use rule::{Action, RuleDefinition, RuleOptions};
pub use run::RuleState;
pub use sql::stream::{Column, ColumnType, StreamDefinition, StreamOptions};
pub use sql::{MAX_STATEMENT, SqlError};
