//! Streams and rules: SQL to running pipelines over symbols.
//!
//! A *stream* names a source and how to start it; a *rule* is a `SELECT` over a stream and the sinks its rows go
//! to. Both are eKuiper's, in the part that is here; what is not is refused by name, never accepted in silence:
//!
//! | there | not there |
//! |---|---|
//! | columns, aliases, `*`, `* EXCEPT(…)`, `->`, `[ ]`, arithmetic, comparison, `AND OR NOT`, `IN`, `BETWEEN`, `LIKE`, `IS`, `CASE`, `CAST` | joins, `UNION`, `DISTINCT` |
//! | windows by processing time and by event time (tumbling, hopping, sliding, session, count, state), and with them `GROUP BY`, `HAVING`, `ORDER BY`, `LIMIT` | windows over several streams |
//! | functions of ours ([`BUILTINS`]), of plugins, `meta(key)`; aggregates of ours ([`AGGREGATES`]) and of plugins | functions that remember rows (`lag`, …) |
//! | graphs: one source, `filter`, `function`, `pick`, `switch`, `window`, `groupby`, `aggfunc`, `orderby`, `watermark`, any number of sinks | several sources, `join`, `script` |
//! | options `bufferLength`, `disableBufferFullDiscard`, `sendMetaToSink`, `sendNilField`, `sendError`, `concurrency`, `isEventTime`, `qos` and checkpoints; restart strategies, schedules, logs of rules | `notifySub` |
//! | sink properties `sendSingle`, `fields`, `excludeFields`, `omitIfEmpty`, `bufferLength`, templates, `dataField`, batches, JSON and delimited rows, gzip, zlib and flate, `encryption` (AES, mode `gcm`), workers in order, caches on disk | mode `cfb`, zstd, formats with schemas |
//! | streams with declared or free columns, shared and temporary ones; temporary rules | tables |
//!
//! Entry points: [`FlowService`] is the whole interface for programs; [`routes`] and [`rights`] put it on HTTP;
//! [`migrations`] make its tables. Symbols come from a [`plugyard_symbol::Catalog`]: the wiring joins [`Builtins`]
//! and the plugins' by [`Combined`]. Which plugin a symbol belongs to is not known here.
//!
//! What holds: a row touches neither the database nor a lock that another rule uses; each hand-over is a bounded
//! queue that counts what it drops; a plugin that hangs holds up its own rule only; bad input is answered with
//! place and expectation, and changes nothing.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod builtin;
mod catalog;
mod clock;
mod entity;
mod error;
mod eval;
mod explain;
mod graph;
mod http;
mod migration;
mod operators;
mod plan;
mod rule;
mod run;
mod seal;
mod service;
mod sql;
mod store;
mod suggest;
mod template;
mod timestamp;

pub use builtin::{Builtins, Subscription, Topics};
pub use catalog::Combined;
pub use clock::{Clock, SystemClock};
pub use error::FlowError;
pub use eval::aggregate::{AGGREGATES, Aggregate};
pub use eval::functions::{BUILTINS, Builtin};
pub use http::{rights, routes};
pub use migration::migrations;
pub use rule::{Action, RestartStrategy, RuleDefinition, RuleLogOptions, RuleOptions, Schedule};
pub use run::RuleState;
pub use seal::{SinkKey, SinkKeyError};
pub use service::{
    FlowService, RuleNeeds, RuleSummary, StreamSummary, SymbolUsers, Tail, TailEvent,
};
pub use sql::stream::{Column, ColumnType, StreamDefinition, StreamOptions};
pub use sql::{MAX_STATEMENT, SqlError};
