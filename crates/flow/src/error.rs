//! What can go wrong with streams and rules, with the code and words eKuiper's clients know.

use plugyard_model::{Problem, codes};
use sea_orm::DbErr;

use crate::sql::SqlError;

/// A stream or rule could not be made, changed, found or run.
///
/// The text is eKuiper's where it has one; [`FlowError::code`] is eKuiper's error code.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// A `CREATE STREAM` that cannot be read.
    #[error("{0}")]
    StreamSql(SqlError),
    /// A body that carries no statement.
    #[error("Error decoding the statement descriptor: {0}")]
    StreamBody(String),
    /// A stream of that name is there.
    #[error("Create stream fails: Item {0} already exists.")]
    StreamExists(String),
    /// There is no stream of that name, said as `GET /streams/{name}` says it.
    #[error("Describe stream fails, {0} is not found.")]
    StreamUnknown(String),
    /// There is no stream of that name.
    #[error("stream {0} is not found")]
    StreamMissing(String),
    /// Rules read from the stream.
    #[error("stream {0} has been referenced by other rules")]
    StreamReferenced(String),
    /// The statement is about another stream than the address.
    #[error("the statement creates the stream {found}, not {expected}")]
    StreamNameDiffers {
        /// In the address.
        expected: String,
        /// In the statement.
        found: String,
    },
    /// A rule that is no JSON, or not of the right shape.
    #[error("invalid rule json: {0}")]
    RuleJson(String),
    /// A rule without id, with an impossible one, or with another than the address has.
    #[error("{0}")]
    RuleId(String),
    /// A rule of that id is there.
    #[error("rule {0} already exists")]
    RuleExists(String),
    /// Options that are not possible or not supported.
    #[error("Rule {id} has invalid options: {reason}")]
    RuleOptions {
        /// The rule.
        id: String,
        /// Which option, and what is wrong with it.
        reason: String,
    },
    /// The rule's statement cannot be read, or calls a function that does not exist or refuses.
    #[error("Parse SQL {sql} error: {error}")]
    RuleSql {
        /// The statement.
        sql: String,
        /// What is wrong with it.
        error: SqlError,
    },
    /// The rule cannot be planned.
    #[error("{0}")]
    Plan(String),
    /// A source or sink that does not exist or cannot be used so.
    #[error("{0}")]
    Topology(String),
    /// There is no rule of that id, in the words of the operation asked for.
    #[error("{text}")]
    RuleMissing {
        /// The rule.
        id: String,
        /// The words.
        text: String,
        /// Whether eKuiper types this as "not found" (404) or not (400).
        typed: bool,
    },
    /// The database failed.
    #[error("the database failed while {attempt}")]
    Store {
        /// What was attempted.
        attempt: &'static str,
        /// The cause.
        #[source]
        source: DbErr,
    },
}

impl FlowError {
    /// eKuiper's code: 1000 undefined, 1002 not found, 2001 SQL, 2101 plan, 2201 topology, 3000 stream, 4000 rule.
    pub const fn code(&self) -> u16 {
        match self {
            Self::StreamSql(_) | Self::RuleSql { .. } => 2001,
            Self::StreamExists(_) | Self::StreamUnknown(_) | Self::StreamNameDiffers { .. } => 3000,
            Self::StreamMissing(_) | Self::RuleMissing { typed: true, .. } => 1002,
            Self::StreamBody(_)
            | Self::StreamReferenced(_)
            | Self::RuleJson(_)
            | Self::RuleMissing { .. }
            | Self::Store { .. } => 1000,
            Self::RuleId(_) | Self::RuleExists(_) | Self::RuleOptions { .. } => 4000,
            Self::Plan(_) => 2101,
            Self::Topology(_) => 2201,
        }
    }

    /// HTTP status on the compatible routes: 404 for what is typed "not found", 400 for the caller's mistakes,
    /// 500 for a fault of ours.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Store { .. } => 500,
            _ if self.code() == 1002 => 404,
            _ => 400,
        }
    }

    /// The same as a problem of the native interface.
    pub fn problem(&self) -> Problem {
        let with_reason = |code| Problem::new(code).with("reason", self);
        match self {
            Self::StreamSql(_) | Self::RuleSql { .. } => with_reason(codes::SQL_INVALID),
            Self::StreamExists(name) => Problem::new(codes::STREAM_EXISTS).with("stream", name),
            Self::StreamUnknown(name) | Self::StreamMissing(name) => {
                Problem::new(codes::STREAM_NOT_FOUND).with("stream", name)
            }
            Self::StreamReferenced(name) => Problem::new(codes::STREAM_IN_USE).with("stream", name),
            Self::RuleExists(id) => Problem::new(codes::RULE_EXISTS).with("rule", id),
            Self::RuleMissing { id, .. } => Problem::new(codes::RULE_NOT_FOUND).with("rule", id),
            Self::Store { .. } => Problem::new(codes::INTERNAL).with("request", ""),
            Self::StreamNameDiffers { .. }
            | Self::StreamBody(_)
            | Self::RuleJson(_)
            | Self::RuleId(_)
            | Self::RuleOptions { .. }
            | Self::Plan(_)
            | Self::Topology(_) => with_reason(codes::RULE_INVALID),
        }
    }
}
