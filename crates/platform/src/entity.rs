//! The tables of the platform, as `migrations` makes them. Times are milliseconds since 1970.
#![expect(
    unreachable_pub,
    reason = "entities are public to the macro that derives them"
)]

pub(crate) mod account;
pub(crate) mod answer;
pub(crate) mod audit_event;
pub(crate) mod config_definition;
pub(crate) mod config_history;
pub(crate) mod config_value;
pub(crate) mod event;
pub(crate) mod installation;
pub(crate) mod instance;
pub(crate) mod object_doubt;
pub(crate) mod operation;
pub(crate) mod operation_event;
pub(crate) mod operation_step;
pub(crate) mod package;
pub(crate) mod token;
pub(crate) mod version;
