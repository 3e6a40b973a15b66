//! Streams and rules: SQL to running pipelines over symbols.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod builtin;
mod catalog;
mod clock;
mod entity;
mod error;
mod eval;
mod http;
mod migration;
mod plan;
mod rule;
mod run;
mod service;
mod sql;
mod store;
mod suggest;

pub use builtin::{Builtins, Subscription, Topics};
pub use catalog::Combined;
pub use clock::{Clock, SystemClock};
pub use error::FlowError;
pub use eval::functions::{BUILTINS, Builtin};
pub use http::{rights, routes};
pub use migration::migrations;
pub use rule::{Action, RuleDefinition, RuleOptions};
pub use run::RuleState;
pub use service::{FlowService, RuleSummary, StreamSummary, SymbolUsers, Tail, TailEvent};
pub use sql::stream::{Column, ColumnType, StreamDefinition, StreamOptions};
pub use sql::{MAX_STATEMENT, SqlError};
